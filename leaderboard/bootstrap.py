"""Owns the bootstrap of Bradley-Terry ratings, with which sandwich intervals are audited.

Resampling a table of counts is the same as resampling independent votes; votes that share a prompt or a voter, or that
carry weights, are resampled as they are. All resamples are fitted at once.
"""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.ratings import UNBEATEN, WINLESS, core, fisher, fit
from leaderboard.tally import Pairs
from leaderboard.votes import OUTCOMES

TOLERANCE = 1e-8  # log odds: the largest last step of any rating, 2e-6 points
BLOCK = 50  # resamples that are fitted at once
MOST_LISTED = 20_000_000  # votes that are listed one by one to be drawn from
QUICK_STEPS, NEWTON_STEPS = 8, 40


@dataclass(frozen=True)
class Resamples:
    """`ratings` float64 [S, R] in log odds less the anchor's mean: inf for a model that won, -inf for one that lost all
    its battles in a resample, NaN where a resample ties it to nothing. `unbounded` of the S resamples hold such."""

    ratings: np.ndarray
    unbounded: int

    def bounds(self):
        """95% percentile bounds (lower, upper), each [R]; infinite where that many resamples are."""
        low = np.sort(np.where(np.isnan(self.ratings), -math.inf, self.ratings), axis=0)
        high = np.sort(np.where(np.isnan(self.ratings), math.inf, self.ratings), axis=0)
        last = len(self.ratings) - 1
        return low[math.floor(0.025 * last)], high[math.ceil(0.975 * last)]


@dataclass(frozen=True)
class _Met:
    """The pairs (first < second) of R models that met, M of them, and `sign` [M, R]: +1 at the first, -1 at the
    second. Resamples of them are `won`, `lost` and `drawn`, seen from the first, each [S, M]."""

    first: np.ndarray
    second: np.ndarray
    sign: np.ndarray

    @classmethod
    def of(cls, pairs):
        first, second = np.nonzero(np.triu(pairs.battles, 1))
        sign = np.zeros((len(first), len(pairs.wins)))
        sign[np.arange(len(first)), first], sign[np.arange(len(first)), second] = 1.0, -1.0
        return cls(first, second, sign)

    def outcomes(self, pairs):
        """Won, lost, drawn, each [M]."""
        at, back = (self.first, self.second), (self.second, self.first)
        return pairs.wins[at], pairs.wins[back], pairs.draws[at]

    def pairs(self, won, lost, drawn):
        """Pairs from one resample."""
        count = self.sign.shape[1]
        wins, draws = np.zeros((count, count)), np.zeros((count, count))
        wins[self.first, self.second], wins[self.second, self.first] = won, lost
        draws[self.first, self.second] = draws[self.second, self.first] = drawn
        return Pairs(wins, draws, np.zeros((count, count)))


def of_table(pairs, strength, anchor, rng, draws=1000):
    """Resamples of the table of one strongly connected set: `draws` times as many independent votes as it holds,
    drawn from its own cells (multinomial). `strength` [R] is its fit."""
    met = _Met.of(pairs)
    cells = np.stack(met.outcomes(pairs))
    sizes = [min(BLOCK, draws - start) for start in range(0, draws, BLOCK)]
    draw = multinomial(cells.ravel().astype(np.int64), rng)
    blocks = (draw(size).reshape(size, *cells.shape).transpose(1, 0, 2) for size in sizes)
    return _fit_all(met, blocks, pairs, strength, anchor)


def multinomial(cells, rng):
    """A function of S: S resamples of as many votes as `cells` int64 [M] hold, float64 [S, M], at half the cost of
    rng.multinomial.

    Independent Poisson counts are multinomial given their total. They are drawn for a total that falls short of the
    votes in all but 2% of cases, the votes that are missing are drawn one by one, and the 2% are drawn anew: what comes
    out is exactly multinomial.
    """
    votes = int(cells.sum())
    chance, rate = cells / votes, cells * max(0.0, 1 - 2 / math.sqrt(votes))
    one_by_one = votes <= MOST_LISTED
    cell_of = np.repeat(np.arange(len(cells), dtype=np.int32), cells) if one_by_one else None

    def draw(size):
        if not one_by_one:
            return rng.multinomial(votes, chance, size).astype(float)
        drawn = rng.poisson(rate, (size, len(cells)))
        missing = votes - drawn.sum(axis=1)
        for at in np.flatnonzero(missing < 0):
            drawn[at] = rng.multinomial(votes, chance)
        missing = np.maximum(missing, 0)
        found = cell_of[rng.integers(0, votes, int(missing.sum()))] + np.repeat(np.arange(size) * len(cells), missing)
        return (drawn.ravel() + np.bincount(found, minlength=drawn.size)).reshape(drawn.shape).astype(float)

    return draw


def of_clusters(votes, rated, pairs, strength, anchor, codes, rng, draws=200):
    """Resamples of votes among the models `rated`, those with one of `codes` [n] (clusters.codes_of) drawn together:
    each cluster, and each vote that stands alone, weighs Poisson(1) in a resample (Hanley & MacGibbon 2006)."""
    count = len(rated)
    place = np.full(len(votes.models), -1)
    place[rated] = np.arange(count)
    side_a, side_b = place[votes.model_a], place[votes.model_b]
    inside = np.flatnonzero((side_a >= 0) & (side_b >= 0))
    shape = (count, count, len(OUTCOMES))
    cell = np.ravel_multi_index((side_a[inside], side_b[inside], votes.winner[inside]), shape)
    weight = None if votes.weight is None else votes.weight[inside]
    codes = codes[inside]
    clusters, alone = int(codes.max(initial=-1)) + 1, codes < 0
    lone = np.bincount(cell[alone], minlength=math.prod(shape))
    if weight is None:  # as many Poisson(1) add up to one Poisson of their number
        cell, codes = cell[~alone], codes[~alone]
    met, found = _Met.of(pairs), []
    for _ in range(draws):
        times = rng.poisson(1.0, clusters + 1)[codes].astype(float)
        if weight is not None:
            times[alone] = rng.poisson(1.0, int(alone.sum()))
            times *= weight
        counts = np.bincount(cell, times, math.prod(shape))
        if weight is None:
            counts += rng.poisson(lone)
        found.append(met.outcomes(Pairs.of(counts.reshape(shape))))
    blocks = (np.stack(found[start : start + BLOCK], axis=1) for start in range(0, draws, BLOCK))
    return _fit_all(met, blocks, pairs, strength, anchor)


def _fit_all(met, blocks, pairs, strength, anchor):
    """Fit every resample; `blocks` yields (won, lost, drawn) of as many as stay in the processor's cache."""
    _, information = fisher(pairs, strength)
    influence = met.sign @ np.linalg.pinv(information, hermitian=True)
    fitted = [_fit_block(met, *block, influence, strength, anchor) for block in blocks]
    return Resamples(np.concatenate([ratings for ratings, _ in fitted]), sum(unbounded for _, unbounded in fitted))


def _fit_block(met, won, lost, drawn, influence, strength, anchor):
    """Steps with the full sample's information first, which barely differs where votes are many; Newton's method for
    those that are not there yet; and one by one those whose likelihood has no maximum. The ratings, and how many of
    the resamples hold a model without a finite one."""
    battles, score = won + lost + drawn, won + 0.5 * drawn
    ratings = np.tile(strength, (len(won), 1))
    left = np.arange(len(won))
    step = np.zeros_like(ratings)
    for _ in range(QUICK_STEPS):
        step = (score[left] - battles[left] * _expected(met, ratings[left])) @ influence
        ratings[left] += np.clip(step, -1.0, 1.0)
        left = left[np.abs(step).max(axis=1) > TOLERANCE]
        if not len(left):
            break
    bounded = np.ones(len(won), bool)
    if len(left):
        bounded[left] = [len(core(met.pairs(won[s], lost[s], drawn[s]))[0]) == len(strength) for s in left]
        _newton(met, battles, score, ratings, left[bounded[left]], strength)
    ratings -= (ratings @ anchor / anchor.sum())[:, None]
    for s in np.flatnonzero(~bounded):
        ratings[s] = _partly(met.pairs(won[s], lost[s], drawn[s]), anchor)
    return ratings, int((~bounded).sum())


def _expected(met, ratings):
    found = ratings[:, met.second]
    found -= ratings[:, met.first]
    np.exp(np.minimum(found, 700, out=found), out=found)
    found += 1.0
    return np.reciprocal(found, out=found)


def _newton(met, battles, score, ratings, left, strength):
    """Newton's method, in place, on the resamples `left`, in batches; the rare rest by ratings.fit."""
    size = len(strength)
    ratings[left] = strength
    for _ in range(NEWTON_STEPS):
        if not len(left):
            return
        for batch in np.array_split(left, math.ceil(len(left) / 256)):
            expected = _expected(met, ratings[batch])
            gradient = (score[batch] - battles[batch] * expected) @ met.sign
            curve = battles[batch] * expected * (1.0 - expected)
            information = np.zeros((len(batch), size, size))
            information[:, met.first, met.second] = information[:, met.second, met.first] = -curve
            information[:, np.arange(size), np.arange(size)] = curve @ np.abs(met.sign)
            information += (curve.sum(axis=1) / size**2)[:, None, None]
            step = np.linalg.solve(information, gradient[..., None])[..., 0]
            ratings[batch] += np.clip(step, -1.0, 1.0)
            left = np.setdiff1d(left, batch[np.abs(step).max(axis=1) <= TOLERANCE], assume_unique=True)
    for s in left:
        ratings[s] = fit(met.pairs(score[s], battles[s] - score[s], np.zeros(len(met.first))))


def _partly(pairs, anchor):
    """The ratings of one resample whose likelihood has no maximum, less the anchor's mean over those that have one."""
    members, status = core(pairs)
    value = {UNBEATEN: math.inf, WINLESS: -math.inf}
    ratings = np.array([value.get(word, math.nan) for word in status])
    if len(members):
        weight = anchor[members] if anchor[members].sum() > 0 else np.ones(len(members))
        strength = fit(pairs.only(members))
        ratings[members] = strength - strength @ weight / weight.sum()
    return ratings
