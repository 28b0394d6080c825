"""Owns uncertainty: 95% intervals of ratings and fractions, and bounds for models without a rating.

INTERVALS says for each method of ratings.METHODS how its intervals and joint draws are made. All of it takes a numpy
Generator, so that one seed gives one result.
"""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.clusters import AUTO, chosen
from leaderboard.likelihood import FEW_BATTLES, dispersion, profile
from leaderboard.ratings import CENTRE, ELO_K, METHODS, SCALE, SCORES, UNBEATEN, WINLESS
from leaderboard.sandwich import Z95, covariance, effective, student

DRAWS = 1000
ELO_DRAWS = 200
SANDWICH, LIKELIHOOD, REPLAYS = "sandwich", "likelihood ratio", "replays"


@dataclass(frozen=True)
class Spread:
    """Uncertainty of R rated models: `lower`, `upper` [R] in Elo points before anchoring, joint `draws` [S, R], the
    standard errors `deviation` [R], in which ways votes were taken together (`clustered`, names of clusters.WAYS), how
    each interval was made (`kinds`, R of SANDWICH, LIKELIHOOD or REPLAYS), and the `degrees` [R] of freedom of each
    standard error, inf where votes are independent."""

    lower: np.ndarray
    upper: np.ndarray
    draws: np.ndarray
    deviation: np.ndarray
    clustered: tuple
    kinds: tuple
    degrees: np.ndarray


def wilson(part, whole):
    """95% score interval of a fraction (Wilson 1927); `part` may hold halves. (0, 1) of nothing."""
    if whole <= 0:
        return 0.0, 1.0
    share, z2 = part / whole, Z95 * Z95
    middle = (share + z2 / (2 * whole)) / (1 + z2 / whole)
    half = Z95 / (1 + z2 / whole) * math.sqrt(max(0.0, share * (1 - share) / whole + z2 / (4 * whole * whole)))
    return max(0.0, middle - half), min(1.0, middle + half)


def sandwich(votes, pairs, ratings, anchor, rng, clusters=AUTO):
    """Robust intervals of any method with an Estimate, of each rating less the anchor's weighted mean.

    Half-win draws are under-dispersed, so the inverse Fisher information alone would be 15-18% too wide. Votes on one
    prompt, or by one voter, are taken together as clusters.chosen says, with Student's t for few or uneven clusters.
    No variance is taken below 1/(n + 1) of the naive one, n being the model's battles: a run of draws shows no
    residual, but proves no certainty. Bradley-Terry ratings from fewer than FEW_BATTLES battles get a likelihood-ratio
    interval, which knows that a rating near the edge may be much further out, but not much further in.
    """
    rated = ratings.rated
    ways = chosen(votes, clusters, rated)
    found = covariance(votes, pairs, ratings.estimate, rated, anchor, ways)
    inner = pairs.only(rated)
    battles = inner.battles.sum(axis=1)
    if votes.weight is not None:  # a vote that weighs more proves no more
        battles = np.minimum(battles, effective(votes, inner, rated))
    variance = np.maximum(np.diag(found.values), found.naive / (battles + 1.0))
    values = found.values + np.diag(variance - np.diag(found.values))
    deviation = np.sqrt(variance)
    quantile = np.where(np.isfinite(found.degrees), student(found.degrees), Z95)
    centre = ratings.rating[rated] / SCALE
    lower, upper = centre - quantile * deviation, centre + quantile * deviation
    fixed = found.naive < 1e-12  # a model that is the whole anchor is at 1000 by definition
    few = np.flatnonzero((battles < FEW_BATTLES) & ~fixed & (ratings.method == "bradley-terry"))
    if len(few):
        scale = np.full(len(few), dispersion(ratings.estimate, inner))
        if ways or votes.weight is not None:
            scale = np.maximum(scale, variance[few] / found.naive[few])
        lower[few], upper[few] = profile(inner, centre, anchor, few, scale)
        mean = anchor @ centre / anchor.sum()
        lower[few], upper[few] = np.minimum(lower[few] + mean, centre[few]), np.maximum(upper[few] + mean, centre[few])
    wider = np.where(fixed, 1.0, (upper - lower) / (2.0 * Z95 * np.where(fixed, 1.0, deviation)))
    noise = rng.standard_normal((DRAWS, len(rated))) @ _root(values * np.outer(wider, wider)).T
    kinds = [SANDWICH] * len(rated)
    for model in few:
        kinds[model] = LIKELIHOOD
    return Spread(
        SCALE * lower,
        SCALE * upper,
        SCALE * (centre + noise),
        SCALE * deviation,
        ways,
        tuple(kinds),
        found.degrees,
    )


def _root(covariance):
    """A matrix whose product with its transpose is this covariance, which has a direction without variance (the anchor
    stays): Cholesky's with a trace of noise there, or the eigenvectors where rounding leaves less than none."""
    try:
        return np.linalg.cholesky(covariance + 1e-10 * covariance.trace() * np.eye(len(covariance)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0.0))


def resampled_elo(votes, pairs, ratings, anchor, rng, clusters=AUTO):
    """Percentile intervals of online Elo: every vote weighs Poisson(1) in each of 200 replays, order kept. Votes are
    taken for independent, whatever `clusters` says: the order of time cuts through every cluster."""
    rating = np.full((len(ratings.models), ELO_DRAWS), CENTRE)
    for a, b, score in zip(votes.model_a.tolist(), votes.model_b.tolist(), SCORES[votes.winner].tolist(), strict=True):
        gain = score - 1.0 / (1.0 + 10.0 ** ((rating[b] - rating[a]) / 400.0))
        gain *= ELO_K * rng.poisson(1.0, ELO_DRAWS)
        rating[a] += gain
        rating[b] -= gain
    draws = rating[ratings.rated].T
    draws = draws + ((ratings.rating[ratings.rated] - draws) @ (anchor / anchor.sum()))[:, None]
    lower, upper = np.quantile(draws, (0.025, 0.975), axis=0)
    centre = ratings.rating[ratings.rated]
    kinds = (REPLAYS,) * len(centre)
    return Spread(
        np.minimum(lower, centre),
        np.maximum(upper, centre),
        draws,
        draws.std(axis=0),
        (),
        kinds,
        np.full(len(centre), math.inf),
    )


INTERVALS = dict.fromkeys(METHODS, sandwich) | {"elo": resampled_elo}


def one_sided_bound(model, pairs, ratings):
    """The rating beyond which a run without a win (or a loss) would have a chance under 2.5%, or None.

    Exact for given opponents: it solves product of p^n over the rated opponents = 0.025, whose ratings stay as
    they are. An upper bound for WINLESS, a lower one for UNBEATEN; for Bradley-Terry alone, whose p that is.
    """
    if ratings.method != "bradley-terry" or ratings.status[model] not in (UNBEATEN, WINLESS):
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
