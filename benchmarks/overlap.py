"""How far further voters, asked where the first ones of a pair of images disagreed, draw models together, and whether the
weights of `--sampling reweighted` mend it.

Images of a model are unlike each other: the log odds of a pair of images scatter around those of its models with the
deviation `unlike`. The truth is what a Bradley-Terry fit of the expected scores gives, every pair of images counting
alike; shown is the distance between the best and the worst model against that. The script fails where the reweighted
distance is more than 1.5% off.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _machine import describe, table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from leaderboard.ratings import SCALE, fit  # noqa: E402
from leaderboard.tally import Pairs  # noqa: E402

MODELS, PAIRS, DRAWS = 6, 400_000, 0.1
STRENGTH = np.linspace(-0.75, 0.75, MODELS)
MOST_OFF = 0.015


def rated(first, second, score, weight):
    """Bradley-Terry strengths [K] from the summed `score` of the first of each pair and its `weight`."""
    won = np.zeros((MODELS, MODELS))
    np.add.at(won, (first, second), score)
    np.add.at(won, (second, first), weight - score)
    none = np.zeros_like(won)
    return fit(Pairs(won, none, none))


def distances(rng, unlike, voters, tie_break):
    """(the true distance in Elo points, {handling: its distance over the true one})."""
    first = rng.integers(0, MODELS, PAIRS)
    second = (first + rng.integers(1, MODELS, PAIRS)) % MODELS
    chance = 1 / (1 + np.exp(STRENGTH[second] - STRENGTH[first] + rng.normal(0, unlike, PAIRS)))
    drawn = rng.random((PAIRS, tie_break)) < DRAWS
    score = np.where(drawn, 0.5, rng.random((PAIRS, tie_break)) < chance[:, None])
    size = np.where((score[:, :voters] == score[:, :1]).all(axis=1), voters, tie_break)
    every = np.cumsum(score, axis=1)[np.arange(PAIRS), size - 1]
    handled = {
        "as served": (every, size.astype(float)),
        "reweighted": (score[:, :voters].sum(axis=1), np.full(PAIRS, float(voters))),
        "1 / votes": (every / size, np.ones(PAIRS)),
    }
    truth = rated(first, second, (1 - DRAWS) * chance + DRAWS / 2, np.ones(PAIRS))
    return SCALE * np.ptp(truth), {
        name: float(np.ptp(rated(first, second, *part)) / np.ptp(truth)) for name, part in handled.items()
    }


def main():
    print(describe())
    rng, rows, off = np.random.default_rng(1), [], 0.0
    for unlike in (0.0, 0.7, 1.5, 3.0):
        for voters, tie_break in ((2, 3), (2, 5), (3, 5)):
            truth, found = distances(rng, unlike, voters, tie_break)
            off = max(off, abs(found["reweighted"] - 1))
            rows.append([f"{unlike:g}", voters, tie_break, f"{truth:.0f}", *(f"{part:.3f}" for part in found.values())])
    print(table(["unlike", "voters", "tie_break", "distance, Elo", "as served", "reweighted", "1 / votes"], rows))
    if off > MOST_OFF:
        sys.exit(f"reweighted, a distance is {off:.1%} off")


if __name__ == "__main__":
    main()
