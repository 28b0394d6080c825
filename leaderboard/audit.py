"""Owns the audit of intervals: the bootstrap beside the intervals that the board shows."""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.bootstrap import of_clusters, of_table
from leaderboard.clusters import AUTO, capped, check_known, codes_of
from leaderboard.ratings import CENTRE, METHODS, SCALE, anchor_weights
from leaderboard.sandwich import Z95
from leaderboard.standings import VOTE_FLOOR, Table, table
from leaderboard.tally import Pairs, tally, weighing

DIFFERS = 0.2  # widths that differ by more are pointed out
AUDITED = "bradley-terry"


@dataclass(frozen=True)
class Checked:
    """A model's bootstrap interval in Elo points, None where it has no end; the `ratio` of its width to that of the
    interval shown, and whether they differ by more than 20%."""

    lower: float | None
    upper: float | None
    ratio: float | None
    differs: bool


@dataclass(frozen=True)
class Audit:
    """The standings `table` of all votes and, for each rated model, what the bootstrap says of it (`checked`, empty
    for a method that has no bootstrap). `unbounded` of the `draws` resamples held a model without a finite rating."""

    table: Table
    checked: dict
    draws: int
    unbounded: int


def audit(votes, method=AUDITED, seed=0, clusters=AUTO, voter_cap=None):
    """Compute the standings of checked Votes and check each interval by resampling.

    Independent votes are resampled as a table, 1,000 times; votes that the intervals take together are drawn together,
    200 times (their bounds are then known to some 5-10%). For prompts and voters at once variances are combined as the
    intervals combine them: by prompt + by voter - by both (Cameron, Gelbach & Miller 2011). Raises
    errors.UnknownChoice.
    """
    check_known(votes, clusters, voter_cap)
    votes = capped(votes, voter_cap)
    pairs = Pairs.of(tally(votes).total())
    whole = table(votes, pairs, method, np.random.default_rng(seed), clusters=clusters)
    if method != AUDITED or not whole.kinds:
        return Audit(whole, {}, 0, 0)
    weighted = pairs if votes.weight is None else Pairs.of(tally(votes, weighted=True).total())
    ratings = METHODS[method](votes, weighted)
    rated = ratings.rated
    inner = weighted.only(rated)
    battles = np.zeros(len(votes.models))
    battles[rated] = weighing(votes, pairs, weighted).only(rated).battles.sum(axis=1)
    anchor = anchor_weights(ratings, pairs.battles.sum(axis=1) >= VOTE_FLOOR, battles)
    strength = ratings.rating[rated] / SCALE
    rng = np.random.default_rng([seed, 1])

    def by(codes):
        return of_clusters(votes, rated, inner, strength, anchor, codes, rng)

    if whole.clustered:
        parts = [by(codes_of(votes, (way,))) for way in whole.clustered]
    else:
        parts = [of_table(inner, strength, anchor, rng) if votes.weight is None else by(np.full(len(votes), -1))]
    lower, upper = parts[0].bounds()
    if len(parts) == 2:
        parts.append(by(codes_of(votes, whole.clustered)))
        half = _two_ways(*parts)
        centre = strength - strength @ anchor / anchor.sum()
        lower, upper = centre - half, centre + half
    shown = {row.model: row for row in whole.rows}
    checked = {
        votes.models[model]: _compare(
            shown[votes.models[model]], CENTRE + SCALE * lower[at], CENTRE + SCALE * upper[at]
        )
        for at, model in enumerate(rated)
    }
    return Audit(whole, checked, len(parts[0].ratings), sum(part.unbounded for part in parts))


def _two_ways(*parts):
    """Half widths [R] from the variances by prompt, by voter and by both; the larger of the first two where that is
    below zero, infinite where a resample is."""
    with np.errstate(invalid="ignore"):
        first, second, both = (part.ratings.var(axis=0) for part in parts)
        variance = first + second - both
        variance = np.where(variance > 0, variance, np.maximum(first, second))
    return Z95 * np.sqrt(np.where(np.isfinite(variance), variance, math.inf))


def _compare(row, lower, upper):
    width, shown = float(upper - lower), row.rating_upper - row.rating_lower
    ratio = width / shown if math.isfinite(width) and shown > 0 else None
    return Checked(
        float(lower) if math.isfinite(lower) else None,
        float(upper) if math.isfinite(upper) else None,
        ratio,
        not math.isfinite(width) or (ratio is not None and not 1 - DIFFERS <= ratio <= 1 + DIFFERS),
    )
