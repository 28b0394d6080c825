"""Owns the sandwich: the robust (Huber-White) covariance of ratings, from a fit's scores and the votes that share them.

With B the inverse of the information and u the score of a cluster of votes, the covariance is the sum over clusters of
B u u' B (Liang & Zeger 1986). It holds for any method that hands over a ratings.Estimate.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from leaderboard.clusters import codes_of
from leaderboard.tally import Pairs
from leaderboard.votes import OUTCOMES

Z95 = 1.959963984540054
MOST_CELLS = 8_000_000  # sums by cluster and model that are held at once: 64 MB
FEWEST_DEGREES = 3.0
LARGEST_SHARE = 0.5  # beyond it leaving a cluster out says nothing any more


@dataclass(frozen=True)
class Covariance:
    """Of R ratings, each less the anchor's weighted mean, in log odds: `values` [R, R]; `naive` [R], the variances
    that the inverse information alone would give; `degrees` [R] of freedom of each variance (inf for many clusters)."""

    values: np.ndarray
    naive: np.ndarray
    degrees: np.ndarray


def covariance(votes, pairs, estimate, rated, anchor, ways=()):
    """The Covariance of the models `rated` (indices), whose `anchor` weights [R] say what mean is held fixed.

    `pairs` hold the (weighted) counts of the same `votes` among all K models; `ways` come from clusters.chosen. With
    two ways it is V(prompt) + V(voter) - V(both), made positive semidefinite (Cameron, Gelbach & Miller 2011).
    """
    less_anchor = _influence(estimate, anchor)
    naive = less_anchor @ estimate.information
    naive = np.einsum("ij,ij->i", naive, less_anchor)
    if not ways:
        squares = sided(pairs.only(rated)) if votes.weight is None else _squared(votes, rated)
        meat = table_meat(estimate, squares)
        return Covariance(less_anchor @ meat @ less_anchor.T, naive, np.full(len(rated), math.inf))
    cells = _Cells.of(votes, estimate, rated)
    parts = [cells.spread(codes_of(votes, (way,)), less_anchor) for way in ways]
    values, degrees = parts[0]
    if len(parts) == 2:
        both, _ = cells.spread(codes_of(votes, ways), less_anchor)
        values = _semidefinite(parts[0][0] + parts[1][0] - both)
        degrees = np.minimum(parts[0][1], parts[1][1])
    return Covariance(values, naive, degrees)


def half_width(votes, pairs, estimate, rated, influence, ways=()):
    """Half the 95% interval of one number, which a unit of each parameter's score moves by `influence` [P]: a row of
    `inverse`, or a weighted sum of rows. In log odds; made as `covariance` and its intervals are, but in one sum a
    cluster, so that it costs little. Not below what 1/(n + 1) of the naive variance gives, n being all votes."""
    moved = _moved(estimate, influence)
    inner = pairs.only(rated)
    squares = sided(inner) if votes.weight is None else _squared(votes, rated)
    least = influence @ estimate.information @ influence / (inner.battles.sum() / 2.0 + 1.0)
    variance, degrees = (squares * moved * moved).sum(), math.inf
    if ways:
        cells = _Cells.of(votes, estimate, rated)
        parts = [cells.spread_of(codes_of(votes, (way,)), moved) for way in ways]
        variance, degrees = max(part[0] for part in parts), min(part[1] for part in parts)
        if len(parts) == 2:
            variance = max(variance, parts[0][0] + parts[1][0] - cells.spread_of(codes_of(votes, ways), moved)[0])
    quantile = float(student(degrees)) if math.isfinite(degrees) else Z95
    return quantile * math.sqrt(max(variance, least))


def inverse(estimate):
    """The inverse of the information [P, P]. Where it is singular along the models' common shift, which differences
    do not depend on, one of its generalised inverses: that with the mean of the models held at 0."""
    information, count = estimate.information, len(estimate.score_a)
    shift = np.zeros(len(information))
    shift[:count] = 1.0
    size = np.trace(information)
    if np.abs(information @ shift).max(initial=0.0) < 1e-9 * size:
        information = information + np.outer(shift, shift) * (size / max(count, 1) ** 2)
    try:
        return np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(information, hermitian=True)


def _influence(estimate, anchor):
    """[R, P]: what a unit of each parameter's score moves each rating less the anchor's mean."""
    every = inverse(estimate)[: len(anchor)]
    return every - anchor @ every / anchor.sum()


def sided(pairs):
    """Counts [R, R, 4] by side; where sides were never known, every model stands on side a in what it won."""
    if pairs.counts is not None:
        return pairs.counts
    return np.stack([pairs.wins, np.zeros_like(pairs.wins), np.triu(pairs.both_good), np.triu(pairs.both_bad)], axis=2)


def table_meat(estimate, counts):
    """Sum over votes of the outer product of their scores, [P, P], from counts [R, R, 4] of (squared weights of)
    votes: exact where votes are independent."""
    a, b, more = estimate.score_a, estimate.score_b, estimate.score_more
    models, size = len(a), len(estimate.information)
    meat = np.zeros((size, size))
    cross = (counts * a * b).sum(axis=2)
    meat[:models, :models] = cross + cross.T
    meat[np.diag_indices(models)] += (counts * a * a).sum(axis=(1, 2)) + (counts * b * b).sum(axis=(0, 2))
    if size > models:
        mixed = np.einsum("abw,abwe->ae", counts * a, more) + np.einsum("abw,abwe->be", counts * b, more)
        meat[:models, models:], meat[models:, :models] = mixed, mixed.T
        meat[models:, models:] = np.einsum("abw,abwe,abwf->ef", counts, more, more)
    return meat


def of_change(votes, weight, plain, weighed, rated, anchors, ways=()):
    """Variances [R] of what weights `weight` [n] change in each rating less the anchor's mean, from the Estimates of
    the same models without and with them and the two anchors' weights [R].

    A vote with weight w moves the difference by w B' u' - B u: the variance of that of Hausman (1978), for estimates
    neither of which need be efficient, so that it is never below zero. Votes are taken together by `ways`.
    """
    cells = _Cells.of(votes, plain, rated)
    weight = weight if cells.inside is None else weight[cells.inside]
    own = np.ones(len(cells.cell)) if cells.weight is None else cells.weight
    codes = [codes_of(votes, part) for part in (*((way,) for way in ways), *([ways] if len(ways) > 1 else []))]
    codes = [code if cells.inside is None else code[cells.inside] for code in codes]
    found = np.zeros(len(rated))
    before, after = (_influence(estimate, anchor) for estimate, anchor in zip((plain, weighed), anchors, strict=True))
    for at in range(len(rated)):
        moved = own * (
            weight * _moved(weighed, after[at]).ravel()[cells.cell] - _moved(plain, before[at]).ravel()[cells.cell]
        )
        parts = [float((np.bincount(code[code >= 0], moved[code >= 0]) ** 2).sum() + (moved[code < 0] ** 2).sum())
                 for code in codes] or [float((moved**2).sum())]  # fmt: skip
        found[at] = max(parts[:2] + ([parts[0] + parts[1] - parts[2]] if len(parts) > 2 else []))
    return found


def _moved(estimate, influence):
    """[R, R, 4]: how far a vote of each cell moves one number, which a unit of each score moves by `influence` [P]."""
    first, more = influence[: len(estimate.score_a)], influence[len(estimate.score_a) :]
    moved = first[:, None, None] * estimate.score_a + first[None, :, None] * estimate.score_b
    return moved + estimate.score_more @ more


@dataclass(frozen=True)
class _Cells:
    """Votes among R rated models as cells (a * R + b) * 4 + outcome; `inside` masks them among all, None for all."""

    estimate: object
    side_a: np.ndarray
    side_b: np.ndarray
    cell: np.ndarray
    weight: np.ndarray | None
    inside: np.ndarray | None

    @classmethod
    def of(cls, votes, estimate, rated):
        count = len(rated)
        side_a, side_b, winner, inside = votes.model_a, votes.model_b, votes.winner, None
        weight = None if votes.weight is None or (votes.weight == 1.0).all() else votes.weight
        if count < len(votes.models):
            place = np.full(len(votes.models), -1, np.int32)
            place[rated] = np.arange(count)
            side_a, side_b = place[side_a], place[side_b]
            inside = (side_a >= 0) & (side_b >= 0)
            side_a, side_b, winner = side_a[inside], side_b[inside], winner[inside]
            weight = None if weight is None else weight[inside]
        cell = (side_a.astype(np.int32) * np.int32(count) + side_b) * np.int32(len(OUTCOMES)) + winner
        return cls(estimate, side_a, side_b, cell, weight, inside)

    def spread(self, codes, influence):
        """(covariance [R, R], degrees of freedom [R]) with the votes of one code taken together, -1 standing alone.

        A cluster with the share h of the votes pulls the fit towards itself, so that its residuals are too small: its
        score is divided by 1 - h, which leaves the cluster out (CR3 of Bell & McCaffrey 2002, where every cluster
        meets the same pairs). Degrees of freedom come from the clusters' own fourth moments (after Pan & Wall 2002):
        3 (sum z^2)^2 / sum z^4. In benchmarks/coverage.py this holds with a voter who cast a tenth of all votes.
        """
        codes = codes if self.inside is None else codes[self.inside]
        alone = codes < 0
        values = np.zeros((len(influence), len(influence)))
        if alone.any():
            values += influence @ table_meat(self.estimate, self._squares(alone)) @ influence.T
        fourth = np.zeros(len(influence))
        together = None if not alone.any() else np.flatnonzero(~alone)
        for summed, share in self._sums(codes, together):
            moved = (summed @ influence.T) / (1.0 - share)[:, None]
            values += moved.T @ moved
            square = moved * moved
            fourth += np.einsum("ij,ij->j", square, square)
        degrees = 3.0 * np.diag(values) ** 2 / np.maximum(fourth, 1e-300)
        return values, np.maximum(degrees, FEWEST_DEGREES)

    def spread_of(self, codes, moved):
        """(variance, degrees of freedom) of one number that a vote of each cell moves by `moved` [R, R, 4]."""
        codes = codes if self.inside is None else codes[self.inside]
        weight = np.ones(len(codes)) if self.weight is None else self.weight
        value, known = moved.ravel()[self.cell] * weight, codes >= 0
        summed = np.bincount(codes[known], value[known])
        share = np.bincount(codes[known], weight[known]) / max(weight.sum(), 1e-300)
        square = (summed / (1.0 - np.minimum(share, LARGEST_SHARE))) ** 2
        own = np.minimum(weight[~known] / max(weight.sum(), 1e-300), LARGEST_SHARE)
        variance = float(square.sum() + ((value[~known] / (1.0 - own)) ** 2).sum())
        return variance, max(3.0 * variance**2 / max(float((square**2).sum()), 1e-300), FEWEST_DEGREES)

    def _squares(self, rows):
        """Counts [R, R, 4] of the squared weights of votes that are their own clusters."""
        count = len(self.estimate.score_a)
        if self.weight is None:
            own, weight = min(1.0 / len(self.cell), LARGEST_SHARE), None
        else:
            own, weight = 0.0, self.weight[rows]
            weight = (weight / (1.0 - np.minimum(weight / self.weight.sum(), LARGEST_SHARE))) ** 2
        cells = np.bincount(self.cell[rows], weight, count * count * len(OUTCOMES)) / (1.0 - own) ** 2
        return cells.reshape(count, count, len(OUTCOMES))

    def _sums(self, codes, rows):
        """Blocks of (scores summed by cluster [g, P], each cluster's share of all votes' weight [g])."""
        if len(codes) == 0 or (rows is not None and len(rows) == 0):
            return
        size = len(self.estimate.information)
        count = int(codes.max()) + 1
        block = max(1, MOST_CELLS // size)
        if count > block:
            order = np.argsort(codes, kind="stable") if rows is None else rows[np.argsort(codes[rows], kind="stable")]
            edges = np.searchsorted(codes[order], np.arange(0, count + block, block))
            blocks = [order[first:last] for first, last in pairwise(edges)]
        else:
            blocks = [rows]
        total = len(self.cell) if self.weight is None else self.weight.sum()
        for at, rows in enumerate(blocks):
            pick = slice(None) if rows is None else rows
            code = codes[pick] - at * block
            held = min(block, count - at * block)
            weight = None if self.weight is None else self.weight[pick]
            share = np.bincount(code, weight, held) / total
            yield self._summed(code, pick, held), np.minimum(share, LARGEST_SHARE)

    def _summed(self, code, pick, held):
        estimate, cell = self.estimate, self.cell[pick]
        models, size = len(estimate.score_a), len(estimate.information)
        start = code * models

        def by_cluster(at, scores, width):
            score = scores.ravel()[cell]
            if self.weight is not None:
                score = score * self.weight[pick]
            return np.bincount(at, score, held * width).reshape(held, width)

        summed = by_cluster(start + self.side_a[pick], estimate.score_a, models)
        summed += by_cluster(start + self.side_b[pick], estimate.score_b, models)
        if size == models:
            return summed
        further = [by_cluster(code, np.ascontiguousarray(estimate.score_more[..., e]), 1) for e in range(size - models)]
        return np.hstack([summed, *further])


def effective(votes, pairs, rated):
    """How many votes of equal weight the battles of each of the models `rated` are worth, [R]: Kish's (1965)
    (sum of weights)^2 / sum of their squares. `pairs` are the weighted counts among these models."""
    squares = _squared(votes, rated)
    return pairs.battles.sum(axis=1) ** 2 / np.maximum(squares.sum(axis=(1, 2)) + squares.sum(axis=(0, 2)), 1e-300)


def _squared(votes, rated):
    """Counts [R, R, 4] of the squared weights of votes among the rated models."""
    shape = (len(votes.models), len(votes.models), len(OUTCOMES))
    at = np.ravel_multi_index((votes.model_a, votes.model_b, votes.winner), shape)
    return Pairs.of(np.bincount(at, votes.weight**2, math.prod(shape)).reshape(shape)).only(rated).counts


def _semidefinite(matrix):
    """The nearest positive semidefinite matrix: negative eigenvalues become zero."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    return matrix if values[0] >= 0 else (vectors * np.maximum(values, 0.0)) @ vectors.T


def student(degrees):
    """97.5% points of Student's t (Abramowitz & Stegun 1964, 26.7.5): within 1% from 3 degrees of freedom on."""
    z, inverse = Z95, 1.0 / np.asarray(degrees, float)
    return z + inverse * (
        (z**3 + z) / 4
        + inverse
        * (
            (5 * z**5 + 16 * z**3 + 3 * z) / 96
            + inverse
            * (
                (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
                + inverse * (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
            )
        )
    )


def two_sided(ratio, degrees):
    """p-value of Student's t, by a normal deviate (Wallace 1959): within 0.002 from 3 degrees of freedom on."""
    if math.isfinite(degrees):
        shrunk = math.sqrt(degrees * math.log1p(ratio * ratio / degrees))
        ratio = (8 * degrees + 1) / (8 * degrees + 3) * shrunk
    return math.erfc(abs(ratio) / math.sqrt(2))
