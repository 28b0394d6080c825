"""How many votes uniform and active sampling need to intervals of one width, whether the ratings stay unbiased, and what
a draw costs.

The draws are those of `arena.matchmaking`, the gains and the ratings those of `leaderboard`; voters are simulated, with
scores that follow Bradley-Terry exactly unless it is said otherwise. `paper` is Chatbot Arena's rule as it is printed, for
the win rate of each pair, mixed with uniform draws as ours is. The script fails where active sampling needs more votes
than uniform (beyond noise), where its mean error is not within what its standard error allows, where its intervals hold
less than 93% of the truths, or where a median draw takes a millisecond or more.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _machine import describe, table
from scipy.stats import f as fisher

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from coverage import votes_of  # noqa: E402

from arena.config import OverlapSettings  # noqa: E402
from arena.ledger import Ledger  # noqa: E402
from arena.matchmaking import Overlap, Pairing, Shelf  # noqa: E402
from arena.records import Battle, Image, Prompt, new_id  # noqa: E402
from arena.served import SeenBy  # noqa: E402
from leaderboard.gains import gains  # noqa: E402
from leaderboard.intervals import sandwich  # noqa: E402
from leaderboard.ratings import SCALE, bradley_terry, fit  # noqa: E402
from leaderboard.tally import Pairs  # noqa: E402

FLOOR = 0.25  # the default of arena.yaml
STEP = 50  # votes between two looks at the ratings
TARGET = 20.0  # Elo points of the largest standard error at which a simulated arena stops
COVERAGE = 0.93
MILLISECOND = 1000.0  # microseconds


class World:
    """K models and what comes of a battle: `share` [K, K] is the expected score of the row against the column."""

    def __init__(self, strength: np.ndarray, twist: float = 0.0, seed: int = 0):
        count = len(strength)
        noise = np.triu(np.random.default_rng(seed).normal(0, 1, (count, count)), 1)
        gap = strength[:, None] - strength + twist * (noise - noise.T)  # `twist`: some models suit others ill
        self.models = [f"m{at:02d}" for at in range(count)]
        self.strength, self.share = strength, 1 / (1 + np.exp(-gap))
        drawn = 0.4 * np.minimum(self.share, 1 - self.share)
        cells = np.stack([self.share - drawn / 2, 1 - self.share - drawn / 2, drawn / 2, drawn / 2], axis=2)
        self.upper = np.triu_indices(count, 1)
        self._cells = cells[self.upper]

    def limit(self) -> np.ndarray:
        """The ratings (log odds, mean zero) that infinitely many votes on uniform pairs would give."""
        none = np.zeros_like(self.share)
        return fit(Pairs(self.share * (1 - np.eye(len(self.share))), none, none))

    def vote(self, rng: np.random.Generator, probabilities: np.ndarray, number: int) -> np.ndarray:
        """Counts [pairs, 4] of so many votes on pairs that are drawn with these probabilities."""
        return rng.multinomial(rng.multinomial(number, probabilities), self._cells)


class Arena:
    """A simulated arena: its counts [K, K, 4], and the same with each vote weighed by 1 / probability."""

    def __init__(self, world: World, rule: str, start: np.ndarray | None = None):
        self.world, self.known = world, None
        count = len(world.models)
        self.counts = np.zeros((count, count, 4)) if start is None else start.copy()
        self.weighed = np.zeros((count, count, 4))
        self.pairing = Pairing({m: m for m in world.models}, floor=FLOOR,
                               gains=None if rule == "uniform" else lambda: self.known)  # fmt: skip
        self.rule, self.votes = rule, 0

    def go_on(self, rng: np.random.Generator, number: int = STEP) -> None:
        """Look at the ratings, then draw and vote."""
        upper = self.world.upper
        if self.rule != "uniform":
            worth = gains(Pairs.of(self.counts)) if self.rule == "active" else printed(Pairs.of(self.counts))
            names = self.world.models
            self.known = {(names[a], names[b]): worth[a, b] for a, b in zip(*upper, strict=True)}
        probabilities = np.array(self.pairing.offers(self.world.models, mixed=False).probabilities)
        votes = self.world.vote(rng, probabilities / probabilities.sum(), number)
        self.counts[upper] += votes
        self.weighed[upper] += votes / probabilities[:, None]
        self.votes += number

    def ratings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(ratings in log odds less their mean, lower and upper ends in Elo points), each [K]; all models are rated."""
        pairs = Pairs.of(self.counts)
        votes = votes_of(len(self.counts))
        rated = bradley_terry(votes, pairs)
        anchor = np.ones(len(self.counts))
        if len(rated.rated) < len(self.counts):
            nothing = np.full(len(self.counts), np.nan)
            return nothing, nothing, nothing
        spread = sandwich(votes, pairs, rated, anchor, np.random.default_rng(0), "none")
        mean = rated.rating.mean()
        return (rated.rating - mean) / SCALE, spread.lower - mean, spread.upper - mean


def printed(pairs: Pairs) -> np.ndarray:
    """sqrt(S / n) - sqrt(S / (n + 1)) of each pair's own win rate, one even vote added so that n is never 0."""
    n, score = pairs.battles + 1.0, pairs.score + 0.5
    spread = score / n * (1 - score / n)
    return np.sqrt(spread / n) - np.sqrt(spread / (n + 1))


def widest(arena: Arena) -> float:
    """The largest standard error, Elo points."""
    _, lower, upper = arena.ratings()
    return float(np.max(upper - lower)) / 3.92 if np.isfinite(lower).all() else math.inf


def votes_needed(world: World, rule: str, runs: int, start: np.ndarray | None = None) -> list[int]:
    found = []
    for run in range(runs):
        rng, arena = np.random.default_rng([7, run]), Arena(world, rule, start)
        while True:
            for _ in range(max(1, arena.votes // (20 * STEP))):  # looked at more seldom as it grows
                arena.go_on(rng)
            if widest(arena) <= TARGET:
                break
        found.append(arena.votes)
    return found


def newcomer(world: World, place: int, each: float) -> np.ndarray:
    """Counts in which every pair but those of the model at `place` has met `each` times, as expected."""
    counts = np.zeros((len(world.models),) * 2 + (4,))
    counts[world.upper] = each * world._cells
    counts[place] = counts[:, place] = 0
    return counts


def how_many(runs: int) -> bool:
    print(f"\nvotes until every standard error is at most {TARGET:g} Elo points, mean of {runs} runs; floor {FLOOR:g}")
    rows, good = [], True
    for count, far in ((4, 0.6), (12, 0.6), (12, 1.5), (20, 0.6), (20, 1.5), (50, 0.6)):
        rows.append(_needed(f"{count} models, all new", World(np.linspace(-far, far, count)), far, runs, None))
    for count, far in ((5, 0.6), (20, 0.6), (20, 1.5), (50, 0.6)):
        world = World(np.linspace(-far, far, count))
        start = newcomer(world, count // 2, 4000 / (count - 2))
        rows.append(_needed(f"one new among {count}", world, far, runs, start))
    good = all(row[-1] != "FAIL" for row in rows)
    print(table(["arena", "spread, Elo", "uniform", "paper", "active", "uniform/active", ""], rows))
    return good


def _needed(name, world, far, runs, start) -> list:
    found = {rule: votes_needed(world, rule, runs, start) for rule in ("uniform", "paper", "active")}
    mean = {rule: statistics.fmean(values) for rule, values in found.items()}
    noise = 3 * sum(np.var(found[rule]) / runs for rule in ("uniform", "active")) ** 0.5 + 2 * STEP
    return [name, f"{2 * far * SCALE:.0f}", *(f"{mean[rule]:.0f}" for rule in found),
            f"{mean['uniform'] / mean['active']:.2f}",
            "PASS" if mean["active"] <= mean["uniform"] + noise else "FAIL"]  # fmt: skip


def unbiased(runs: int, votes: int = 3000, models: int = 12) -> bool:
    """Mean errors over many runs. Where scores follow Bradley-Terry, the likelihood of the votes does not know how their
    pairs were drawn, as long as that depended on earlier votes alone: the estimates need no weights. Where they don't,
    ratings are an average over opponents, and who met whom decides which; 1 / pair_probability brings back that of
    uniform pairs."""
    print(
        f"\nmean errors in Elo points after {votes} votes on {models} models, {runs} runs; z is in its standard errors"
    )
    rows = []
    for name, twist, checked in (("Bradley-Terry holds", 0.0, ("uniform", "active")),
                                 ("some suit others ill", 0.5, ("uniform", "active, weighed"))):  # fmt: skip
        world = World(np.linspace(-1.5, 1.5, models), twist, seed=3)
        true = world.limit()
        errors: dict[str, list[np.ndarray]] = {"uniform": [], "active": [], "active, weighed": []}
        held: dict[str, list[float]] = {"uniform": [], "active": []}
        for rule in ("uniform", "active"):
            for run in range(runs):
                arena, rng = Arena(world, rule), np.random.default_rng([11, run])
                while arena.votes < votes:
                    arena.go_on(rng)
                rating, lower, upper = arena.ratings()
                errors[rule].append(SCALE * (rating - true))
                held[rule].append(np.mean((lower <= SCALE * true) & (SCALE * true <= upper)))
                if rule == "active":
                    weighed = Pairs.of(arena.weighed)
                    errors["active, weighed"].append(SCALE * (fit(weighed) - true))
        for rule, found in errors.items():
            found = np.array(found)
            bias, error = found.mean(axis=0), found.std(axis=0, ddof=1) / math.sqrt(runs)
            # Hotelling's test that all means are nought; the errors add up to nought, so the last one tells nothing.
            free, mean = models - 1, bias[:-1]
            squared = float(mean @ np.linalg.solve(np.cov(found[:, :-1].T) / runs, mean))
            chance = float(fisher.sf(squared * (runs - free) / (free * (runs - 1)), free, runs - free))
            covered = np.mean(held[rule]) if rule in held else math.nan
            good = rule not in checked or (chance > 0.001 and (math.isnan(covered) or twist or covered >= COVERAGE))
            rows.append([name, rule, f"{np.abs(bias).max():.2f}", f"{error.max():.2f}", f"{np.abs(bias / error).max():.1f}",
                         f"{chance:.3f}", f"{found.std(axis=0, ddof=1).mean():.1f}",
                         "" if math.isnan(covered) else f"{100 * covered:.1f}",
                         ("PASS" if good else "FAIL") if rule in checked else ""])  # fmt: skip
    print(table(["votes", "sampling", "largest bias", "its error", "largest z", "p, all together", "deviation",
                 "held by 95%", ""], rows))  # fmt: skip
    return all(row[-1] != "FAIL" for row in rows)


def costs(draws: int) -> bool:
    """One draw with everything around it but the ledger's write: what the voter has seen is read from the ledger."""
    print(f"\na draw, microseconds, median and 99th percentile of {draws}")
    rows, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        for at, (models, prompts, seen, sampling, overlap) in enumerate((
            (4, 240, 0, "uniform", False), (4, 240, 200, "uniform", False), (16, 2000, 1000, "uniform", False),
            (16, 2000, 1000, "active", False), (50, 2000, 1000, "active", False), (16, 10000, 8000, "active", False),
            (16, 2000, 1000, "uniform", True))):  # fmt: skip
            draw = _prepared(Path(folder) / f"{at}.sqlite", models, prompts, seen, sampling, overlap)
            draw()
            took = []
            for _ in range(draws):
                started = time.perf_counter()
                found = draw()
                took.append(1e6 * (time.perf_counter() - started))
                assert found is not None
            median, late = statistics.median(took), statistics.quantiles(took, n=100)[-1]
            good &= median < MILLISECOND
            rows.append([models, prompts, seen, sampling, "2 voters" if overlap else "", f"{median:.0f}", f"{late:.0f}",
                         "PASS" if median < MILLISECOND else "FAIL"])  # fmt: skip
    print(table(["models", "prompts", "battles of the voter", "sampling", "overlap", "median", "p99", ""], rows))
    return good


def _prepared(path: Path, models: int, prompts: int, seen: int, sampling: str, overlap: bool) -> Callable[[], object]:
    """A full shelf, a ledger in which the voter had `seen` battles, and the draw of the next one."""
    rng, ledger = random.Random(1), Ledger(path)
    names = [f"m{k:02d}" for k in range(models)]
    worth = {(a, b): rng.random() for a in names for b in names if a < b}
    pairing = Pairing({name: f"family {at % 8}" for at, name in enumerate(names)},
                      gains=(lambda: worth) if sampling == "active" else None)  # fmt: skip
    rows = [Prompt.make(f"prompt {k}", category=f"category {k % 12}", now=1) for k in range(prompts)]
    ledger.add_prompts(rows)
    images: dict[str, Image] = {}
    known = {p.prompt_id: p for p in rows}
    under_way = (
        Overlap(OverlapSettings(), ledger, lambda p, a, b: (known[p], images[a], images[b])) if overlap else None
    )
    shelf = Shelf(pairing, under_way)
    for prompt in rows:
        made = [Image(new_id(), prompt.prompt_id, m, "", 1, 1024, 1024, "{}", 1.0, "CPU", 1, "mit") for m in names]
        images.update((image.image_id, image) for image in made)
        shelf.add(prompt, made)
    seen_by = SeenBy(ledger)
    with ledger.transaction() as db:  # in one piece: the disk is not what is measured
        for k in range(seen):
            draw = shelf._draw_in(rng, seen_by.of("nobody"), f"category {k % 12}", False)
            battle = Battle(new_id(), "ann" if k % 2 or not overlap else f"voter {k}", draw.prompt, draw.image_a,
                            draw.image_b, "anonymous", "bank", draw.probability, ledger.now())  # fmt: skip
            db.execute("INSERT INTO battles (battle_id, voter, prompt_id, image_a, image_b, mode, served_from, "
                       "pair_probability, created_at, token_a, token_b) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       (battle.battle_id, battle.voter, battle.prompt.prompt_id, battle.image_a.image_id,
                        battle.image_b.image_id, battle.mode, battle.served_from, battle.pair_probability,
                        battle.created_at, battle.token_a, battle.token_b))  # fmt: skip
    return lambda: shelf.draw(rng, seen_by.of("ann"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="simulated arenas for each number of votes")
    parser.add_argument("--bias-runs", type=int, default=300, help="simulated arenas for the mean errors")
    parser.add_argument("--draws", type=int, default=2000)
    options = parser.parse_args()
    print(describe("numpy"))
    good = [how_many(options.runs), unbiased(options.bias_runs), costs(options.draws)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
