"""Owns uncertainty: 95% intervals of ratings and fractions, ranks, and bounds for models without a rating.

INTERVALS says for each method of ratings.METHODS how joint draws of the rated models are made. All of it takes
a numpy Generator, so that one seed gives one result.
"""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.ratings import CENTRE, ELO_K, SCALE, SCORES, UNBEATEN, WINLESS, fisher

Z95 = 1.959963984540054
DRAWS = 1000
ELO_DRAWS = 200
FEWEST_CLUSTERS = 40  # below this many prompts a clustered covariance is itself too uncertain


@dataclass(frozen=True)
class Spread:
    """Uncertainty of R rated models: `lower`, `upper` [R] in Elo points before anchoring, joint `draws` [S, R],
    and whether votes on one prompt were taken together (`clustered`)."""

    lower: np.ndarray
    upper: np.ndarray
    draws: np.ndarray
    clustered: bool


def wilson(part, whole):
    """95% score interval of a fraction (Wilson 1927); `part` may hold halves. (0, 1) of nothing."""
    if whole <= 0:
        return 0.0, 1.0
    share, z2 = part / whole, Z95 * Z95
    middle = (share + z2 / (2 * whole)) / (1 + z2 / whole)
    half = Z95 / (1 + z2 / whole) * math.sqrt(max(0.0, share * (1 - share) / whole + z2 / (4 * whole * whole)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _scores(votes):
    return SCORES[votes.winner]


def _meat_of_table(pairs, expected):
    """Sum over votes of the squared score, [R, R]: exact where votes are independent."""
    square = pairs.wins * (1 - expected) ** 2 + pairs.wins.T * expected**2 + pairs.draws * (0.5 - expected) ** 2
    return np.diag(square.sum(axis=1)) - square


def _meat_of_clusters(cluster, side_a, side_b, residual, models, block=4096):
    """Sum over clusters of the outer product of their summed scores, [R, R], a block of clusters at a time."""
    order = np.argsort(cluster, kind="stable")
    cluster, side_a, side_b, residual = (part[order] for part in (cluster, side_a, side_b, residual))
    meat, count = np.zeros((models, models)), int(cluster[-1]) + 1
    edges = np.searchsorted(cluster, np.arange(0, count + block, block))
    for start, first, last in zip(range(0, count, block), edges[:-1], edges[1:], strict=False):
        at = (cluster[first:last] - start) * models
        size = min(block, count - start) * models
        total = (
            np.bincount(at + side_a[first:last], residual[first:last], size)
            - np.bincount(at + side_b[first:last], residual[first:last], size)
        ).reshape(-1, models)
        meat += total.T @ total
    return meat * count / (count - 1)


def sandwich(votes, pairs, ratings, weights, rng):
    """Robust (Huber-White) intervals of Bradley-Terry, of each rating less the anchor's weighted mean.

    Half-win draws are under-dispersed, so the inverse Fisher information alone would be 15-18% too wide. Votes
    on one prompt's banked images share its luck: where at least 40 prompts are known the scores are summed by
    prompt first (Liang & Zeger 1986). No variance is taken below 1/(n + 1) of the Fisher
    variance, n being the model's battles: a run of draws shows no residual, but proves no certainty.
    """
    rated = ratings.rated
    inner = pairs.only(rated)
    strength = ratings.rating[rated] / SCALE
    expected, information = fisher(inner, strength)
    bread = np.linalg.pinv(information, hermitian=True)
    place = np.full(len(ratings.models), -1)
    place[rated] = np.arange(len(rated))
    side_a, side_b = place[votes.model_a], place[votes.model_b]
    inside = (side_a >= 0) & (side_b >= 0)
    prompt = votes.prompt_id.codes[inside]
    clustered = len(np.unique(prompt[prompt >= 0])) >= FEWEST_CLUSTERS
    if clustered:
        alone = len(votes.prompt_id.names) + np.arange(len(prompt))  # a vote without a prompt is its own cluster
        _, cluster = np.unique(np.where(prompt >= 0, prompt, alone), return_inverse=True)
        side_a, side_b = side_a[inside], side_b[inside]
        residual = _scores(votes)[inside] - expected[side_a, side_b]
        meat = _meat_of_clusters(cluster, side_a, side_b, residual, len(rated))
    else:
        meat = _meat_of_table(inner, expected)
    less_anchor = np.eye(len(rated)) - weights / weights.sum()
    covariance = less_anchor @ bread @ meat @ bread @ less_anchor.T
    least = np.diag(less_anchor @ bread @ less_anchor.T) / (inner.battles.sum(axis=1) + 1.0)
    covariance[np.diag_indices(len(rated))] += np.maximum(0.0, least - np.diag(covariance))
    covariance *= SCALE**2
    half = Z95 * np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance)
    noise = rng.standard_normal((DRAWS, len(rated))) * np.sqrt(np.maximum(values, 0.0))
    centre = ratings.rating[rated]
    return Spread(centre - half, centre + half, centre + noise @ vectors.T, clustered)


def resampled_elo(votes, pairs, ratings, weights, rng):
    """Percentile intervals of online Elo: every vote weighs Poisson(1) in each of 200 replays, order kept."""
    rating = np.full((len(ratings.models), ELO_DRAWS), CENTRE)
    for a, b, score in zip(votes.model_a.tolist(), votes.model_b.tolist(), _scores(votes).tolist(), strict=True):
        gain = score - 1.0 / (1.0 + 10.0 ** ((rating[b] - rating[a]) / 400.0))
        gain *= ELO_K * rng.poisson(1.0, ELO_DRAWS)
        rating[a] += gain
        rating[b] -= gain
    draws = rating[ratings.rated].T
    draws = draws + ((ratings.rating[ratings.rated] - draws) @ (weights / weights.sum()))[:, None]
    lower, upper = np.quantile(draws, (0.025, 0.975), axis=0)
    centre = ratings.rating[ratings.rated]
    return Spread(np.minimum(lower, centre), np.maximum(upper, centre), draws, False)


INTERVALS = {"bradley-terry": sandwich, "elo": resampled_elo}


def overlap_ranks(lower, upper):
    """1 + the number of models whose lower bound is above this one's upper; NaN bounds put nobody above."""
    return 1 + (lower[None, :] > upper[:, None]).sum(axis=1)


def simultaneous_ranks(rating, draws):
    """Bounds (lower, upper), each int [R], that hold for all ranks at once with 95% confidence.

    A pair is told apart where its difference exceeds c standard errors, c being the 95% point over the joint
    draws of the largest standardised error of any pair (Mogstad, Romano, Shaikh & Wilhelm 2024).
    """
    count = len(rating)
    if count < 2:
        return np.ones(count, np.int64), np.ones(count, np.int64)
    error = np.ascontiguousarray((draws - draws.mean(axis=0)).T)
    covariance = error @ error.T / len(draws)
    variance = np.diag(covariance)
    deviation = np.maximum(np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0.0)), 1e-9)
    largest = np.zeros(len(draws))
    for model in range(count - 1):
        against = np.abs(error[model + 1 :] - error[model]) / deviation[model, model + 1 :, None]
        np.maximum(largest, against.max(axis=0), out=largest)
    critical = np.sort(largest)[math.ceil(0.95 * len(largest)) - 1]
    apart = rating[:, None] - rating > critical * deviation  # [i, j]: i is surely better than j
    return 1 + apart.sum(axis=0), count - apart.sum(axis=1)


def one_sided_bound(model, pairs, ratings):
    """The rating beyond which a run without a win (or a loss) would have a chance under 2.5%, or None.

    Exact for given opponents: it solves product of p^n over the rated opponents = 0.025, whose ratings stay as
    they are. An upper bound for WINLESS, a lower one for UNBEATEN.
    """
    if ratings.status[model] not in (UNBEATEN, WINLESS):
        return None
    rated = ratings.rated
    battles = pairs.battles[model, rated]
    if not battles.sum():
        return None
    sign = 1.0 if ratings.status[model] == UNBEATEN else -1.0
    opponents = ratings.rating[rated] / SCALE

    def chance(strength):
        return -float(battles @ np.logaddexp(0.0, sign * (opponents - strength))) - math.log(0.025)

    low, high = opponents.min() - 50.0, opponents.max() + 50.0
    for _ in range(100):
        middle = (low + high) / 2
        if (chance(middle) > 0) == (sign > 0):
            high = middle
        else:
            low = middle
    return SCALE * (low + high) / 2
