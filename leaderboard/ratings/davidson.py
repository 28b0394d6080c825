"""Owns Davidson's model (1970), in which a draw is an outcome of its own: more likely between equals.

With strengths p, P(i beats j) : P(draw) : P(j beats i) = p_i : nu sqrt(p_i p_j) : p_j. Both kinds of draw are ties
here. The differences of log strengths are log odds among the votes that choose, a wider scale than with draws as
half wins: a second view, never mixed with the first. A model's wins and half its draws are still all that its
strength depends on, so the two orders agree but for schedules in which draws are spread unevenly.
"""

import numpy as np

from leaderboard import errors
from leaderboard.ratings.base import (
    RATED,
    SCALE,
    SCORES,
    UNSETTLED,
    Estimate,
    Ratings,
    core,
    feasible,
    grounded,
    laplacian,
    maximise,
)
from leaderboard.ratings.bradley_terry import estimate as without_ties
from leaderboard.ratings.bradley_terry import fit

TIED = np.array([0.0, 0.0, 1.0, 1.0])  # by OUTCOMES


def has_maximum(pairs):
    """Whether the likelihood of a strongly connected core has its maximum at a finite point.

    Not, where nu can grow together with the differences for ever: where some u lies at least 2 further up for each
    winner than for its loser, and no further than 2 apart for each two that tied. (One win and one draw between two
    models are the smallest case: the better fit the better the more nu and the difference grow.)
    """
    won, tied = pairs.wins > 0, pairs.draws > 0
    return not feasible(np.where(won, -1.0, np.where(tied, 1.0, np.inf)))


def chances(strength, log_nu):
    """P(i beats j) and P(draw), each [K, K], at these log strengths."""
    half = (strength[:, None] - strength[None, :]) / 2.0
    total = np.logaddexp(np.logaddexp(half, -half), log_nu)
    return np.exp(half - total), np.exp(log_nu - total)


def fit_ties(pairs):
    """Log strengths [K], mean zero, and log nu at the maximum; the caller guarantees that there is one.

    Raises NotConverged.
    """
    models, battles, score = len(pairs.wins), pairs.battles, pairs.score
    ties, decisive = pairs.draws.sum() / 2.0, pairs.wins.sum()

    def likelihood(point):
        win, tie = chances(point[:-1], point[-1])
        return float((pairs.wins * np.log(win) + 0.5 * pairs.draws * np.log(tie)).sum())

    def derivatives(point):
        expected, tie, information = _information(battles, point)
        residual = (score - battles * expected).sum(axis=1)
        return np.append(residual, ties - (battles * tie).sum() / 2.0), grounded(information, models)

    start = np.append(np.zeros(models), np.log(2.0 * ties / decisive))
    size = np.append(battles.sum(axis=1), ties + decisive)
    point = maximise(likelihood, derivatives, start, size, "Davidson")
    return point[:-1] - point[:-1].mean(), float(point[-1])


def _information(battles, point):
    """Expected scores and draws [K, K], and the Fisher information [K + 1, K + 1]."""
    win, tie = chances(point[:-1], point[-1])
    expected = win + tie / 2.0
    both = (battles * tie * (0.5 - expected)).sum(axis=1)
    itself = (battles * tie * (1.0 - tie)).sum() / 2.0
    strengths = laplacian(battles * (win + tie / 4.0 - expected**2))
    return expected, tie, np.block([[strengths, both[:, None]], [both[None, :], np.array([[itself]])]])


def davidson(votes, pairs):
    """Maximum likelihood over the core, with log nu as a further parameter, `tie`.

    Without a draw nu is 0 and this is Bradley-Terry. Where no maximum is finite (`has_maximum`), or it is
    out of reach, nobody is rated.
    """
    members, status = core(pairs)
    rating = np.full(len(votes.models), np.nan)
    if not len(members):
        return Ratings("davidson", votes.models, rating, status)
    inner = pairs.only(members)
    if not inner.draws.any():
        strength = fit(inner)
        rating[members] = SCALE * strength
        remark = "No vote is a draw, so Davidson's model is plain Bradley-Terry here."
        return Ratings("davidson", votes.models, rating, status, without_ties(inner, strength), {}, remark)
    try:
        found = fit_ties(inner) if has_maximum(inner) else None
    except errors.NotConverged:  # the maximum is finite, but hundreds of units of log odds away
        found = None
    if found is None:
        status = tuple(UNSETTLED if state == RATED else state for state in status)
        remark = "Davidson's model has no finite ratings here: too many draws to tell how far models are apart."
        return Ratings("davidson", votes.models, rating, status, None, {}, remark)
    strength, log_nu = found
    rating[members] = SCALE * strength
    expected, tie, information = _information(inner.battles, np.append(strength, log_nu))
    residual = SCORES - expected[:, :, None]
    spread = Estimate(information, residual, -residual, (TIED - tie[:, :, None])[..., None])
    return Ratings("davidson", votes.models, rating, status, spread, {"tie": log_nu})
