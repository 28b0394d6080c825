"""Owns Bradley-Terry: the strengths under which the votes are most likely, a draw counting half a win for each.

P(i beats j) = 1 / (1 + exp(s_j - s_i)) with log strengths s (Bradley & Terry 1952; Zermelo 1929). Half a win for a
draw makes it a quasi-likelihood: its estimates are consistent for the expected score, its inverse information is not
their variance, so the intervals are sandwiches.
"""

import numpy as np

from leaderboard.ratings.base import SCALE, SCORES, Estimate, Ratings, core, grounded, laplacian, maximise


def fisher(pairs, strength):
    """Expected scores p [K, K] (0.5 on the diagonal) and the Fisher information [K, K] at these log strengths."""
    expected = 1.0 / (1.0 + np.exp(np.clip(strength[None, :] - strength[:, None], -700, 700)))
    return expected, laplacian(pairs.battles * expected * (1.0 - expected))


def fit(pairs, start=None, tolerance=1e-12, most_steps=100):
    """Log strengths [K], mean zero, that maximise the Bradley-Terry likelihood with a draw as half a win each.

    From the log strengths `start` [K], or from the log odds of each model's scores against all others; the caller guarantees one strongly connected set.
    Converged when the largest gradient is below `tolerance` of a model's battles. Raises NotConverged.
    """
    score, battles = pairs.score, pairs.battles
    met = battles.sum(axis=1)
    start = np.log(score.sum(axis=1) / score.sum(axis=0)) if start is None else start
    strength = start - start.mean()

    def likelihood(strength):
        gap = strength[None, :] - strength[:, None]
        return -float((score * (np.maximum(gap, 0.0) + np.log(1.0 + np.exp(-np.abs(gap))))).sum())

    def derivatives(strength):
        expected, information = fisher(pairs, strength)
        return (score - battles * expected).sum(axis=1), grounded(information, len(met))

    strength = maximise(likelihood, derivatives, strength, met, "Bradley-Terry", tolerance, most_steps)
    return strength - strength.mean()


def estimate(pairs, strength):
    """The Estimate of a fit of these pairs."""
    expected, information = fisher(pairs, strength)
    residual = SCORES - expected[:, :, None]
    return Estimate(information, residual, -residual, np.zeros((*residual.shape, 0)))


def bradley_terry(votes, pairs):
    """Maximum likelihood over the core; whatever is not in it has no rating and moves nobody else's number."""
    members, status = core(pairs)
    rating = np.full(len(votes.models), np.nan)
    if not len(members):
        return Ratings("bradley-terry", votes.models, rating, status)
    inner = pairs.only(members)
    strength = fit(inner)
    rating[members] = SCALE * strength
    return Ratings("bradley-terry", votes.models, rating, status, estimate(inner, strength))
