"""Owns the comparison of simplified with complex prompts: does the order of models depend on how detailed a prompt is?

Each model is rated from the votes on simplified prompts alone and from those on complex prompts alone, by Bradley-Terry.
A rating says something only against the others', so both are measured from the same mean: that of the models which are
established in both. The two sets of votes are taken for independent of one another; where the same voters cast both,
their shared taste makes the true error of a difference smaller than stated, not larger.
"""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.clusters import AUTO, chosen, codes_of
from leaderboard.ratings import CENTRE, METHODS, SCALE
from leaderboard.sandwich import covariance, student, two_sided
from leaderboard.standings import VOTE_FLOOR, holm
from leaderboard.tally import Pairs, group_of, tally
from leaderboard.votes import BOTH_BAD

SIMPLE, DETAILED = "simplified", "complex"
METHOD = "bradley-terry"
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """One model: its rating on `simple` and on `detailed` prompts in Elo points, both from the common models' mean of
    1000; their `difference` (detailed less simple) with its 95% interval, and the p-value after Holm's correction."""

    model: str
    simple: float
    detailed: float
    difference: float
    lower: float
    upper: float
    p: float

    @property
    def verdict(self):
        """Which prompts it is better with, or that no difference is shown."""
        if self.p >= LEVEL:
            return "no difference shown"
        return f"better with {DETAILED if self.difference > 0 else SIMPLE} prompts"


@dataclass(frozen=True)
class Complexity:
    """`votes` and `both_bad` (shares) of simple and detailed prompts, with `both_bad_p` of their difference.

    `models` are the Differences, best on detailed prompts first; `correlation` is Spearman's between the two orders
    (None below three models). `p` is the smallest of the models' adjusted p-values, and so one of the hypothesis that
    no model differs (None without models). A joint Wald test would say more, but with 40 to 50 clusters of votes and
    ten models it rejects a true hypothesis in 13% of cases.
    """

    votes: tuple
    both_bad: tuple
    both_bad_p: float
    models: tuple
    correlation: float | None
    p: float | None


def complexity(votes, clusters=AUTO):
    """The Complexity of Votes, None where they are not on both kinds of prompts."""
    names, codes = group_of(votes, "complexity")
    if not {SIMPLE, DETAILED} <= set(names):
        return None
    parts = [votes.where(codes == names.index(name)) for name in (SIMPLE, DETAILED)]
    shares = [_share(part, part.winner == BOTH_BAD, clusters) for part in parts]
    error = math.sqrt(sum(variance for _, variance in shares))
    gap = abs(shares[1][0] - shares[0][0])
    models = _differences(parts, clusters)
    return Complexity(
        tuple(len(part) for part in parts),
        tuple(share for share, _ in shares),
        1.0 if not gap else math.erfc(gap / error / math.sqrt(2)) if error else 0.0,
        models,
        _spearman([row.simple for row in models], [row.detailed for row in models]),
        min((row.p for row in models), default=None),
    )


def _share(votes, true, clusters):
    """A share of votes and its variance, with the votes of a cluster taken together; at least 1/n² where all agree."""
    residual, count = true - true.mean(), len(votes)

    def variance(ways):
        codes = codes_of(votes, ways)
        together = np.bincount(codes[codes >= 0], residual[codes >= 0], minlength=1)
        return float((together @ together + residual[codes < 0] @ residual[codes < 0]) / count**2)

    ways = chosen(votes, clusters)
    if not ways:
        found = float(residual @ residual) / count**2
    else:
        found = sum(variance((way,)) for way in ways) - (variance(ways) if len(ways) > 1 else 0.0)
    return float(true.mean()), max(found, 1.0 / count**2)


def _differences(parts, clusters):
    """The Differences of the models that are established in both parts."""
    pairs = [Pairs.of(tally(part).total()) for part in parts]
    weighted = [Pairs.of(tally(part, weighted=True).total()) for part in parts]
    fits = [METHODS[METHOD](part, counts) for part, counts in zip(parts, weighted, strict=True)]
    common = np.flatnonzero(
        np.all([np.isfinite(fit.rating) for fit in fits], axis=0)
        & np.all([counts.battles.sum(axis=1) >= VOTE_FLOOR for counts in pairs], axis=0)
    )
    if len(common) < 2:
        return ()
    weight = np.zeros(len(parts[0].models))
    weight[common] = sum(counts.battles.sum(axis=1) for counts in pairs)[common]
    rating, values, degrees = zip(
        *(_measured(*part, weight, common, clusters) for part in zip(parts, weighted, fits, strict=True)), strict=True
    )
    difference = rating[1] - rating[0]
    variance = values[0] + values[1]
    with np.errstate(divide="ignore"):  # without clusters the degrees of freedom are infinite
        freedom = variance**2 / (values[0] ** 2 / degrees[0] + values[1] ** 2 / degrees[1])  # Welch (1947)
    error = np.sqrt(variance)
    half = student(freedom) * error
    adjusted = holm([two_sided(*cell) for cell in zip(difference / error, freedom, strict=True)])
    found = [
        Difference(
            parts[0].models[model],
            *(float(CENTRE + SCALE * points[at]) for points in rating),
            *(
                float(SCALE * points)
                for points in (difference[at], difference[at] - half[at], difference[at] + half[at])
            ),
            float(adjusted[at]),
        )
        for at, model in enumerate(common)
    ]
    return tuple(sorted(found, key=lambda row: (-row.detailed, row.model)))


def _measured(votes, pairs, ratings, weight, common, clusters):
    """(log strengths [M] from the common mean, their variances [M], degrees of freedom [M])."""
    rated = ratings.rated
    anchor = weight[rated]
    found = covariance(votes, pairs, ratings.estimate, rated, anchor, chosen(votes, clusters))
    at = np.searchsorted(rated, common)
    strength = ratings.rating[rated] / SCALE
    battles = pairs.only(rated).battles.sum(axis=1)
    variance = np.maximum(np.diag(found.values), found.naive / (battles + 1.0))
    return (strength - anchor @ strength / anchor.sum())[at], variance[at], found.degrees[at]


def _spearman(first, second):
    if len(first) < 3:
        return None
    ranks = [np.argsort(np.argsort(points)) for points in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])
