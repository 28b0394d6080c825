"""Owns what the next vote is worth: how much one more vote on each pair of models narrows the intervals of the ratings.

An arena that draws its pairs in proportion to this follows the active sampling of Chatbot Arena (Chiang et al. 2024,
section 5), which draws a pair in proportion to the loss of width, sqrt(S / n) - sqrt(S / (n + 1)), of the interval of
what is estimated. There that is the pair's own win rate, here the ratings of all models, to which a vote on one pair adds
through every other; the loss is exact for the information that a vote on this pair is expected to bring.
"""

import numpy as np

from leaderboard.ratings import fit
from leaderboard.ratings.base import laplacian
from leaderboard.tally import Pairs, tally

PRIOR = 1.0  # drawn votes that every model is given in all, so that everyone has a rating


def gains(pairs):
    """Symmetric float64 [K, K], zero on the diagonal: the sum over models of what one more vote on a pair takes off the
    standard error of its Bradley-Terry rating (log odds, less the mean of all).

    With V the inverse of the information among all models, w the information of one vote and d the pair's difference,
    the vote makes it V - w (V d)(V d)' / (1 + w d' V d) (Sherman & Morrison 1950). Raises NotConverged.
    """
    count = len(pairs.wins)
    if count < 2:
        return np.zeros((count, count))
    even = PRIOR / (count - 1) * (1.0 - np.eye(count))
    known = Pairs(pairs.wins, pairs.both_good + even, pairs.both_bad)
    strength = fit(known, tolerance=1e-9)
    expected = 1.0 / (1.0 + np.exp(np.clip(strength[None, :] - strength[:, None], -700, 700)))
    each = expected * (1.0 - expected)
    # The mean is fixed at zero: the models' common shift, which no vote tells, is filled up and taken out again.
    shift = np.full((count, count), 1.0 / count)
    inverse = np.linalg.inv(laplacian(known.battles * each) + shift) - shift
    deviation = np.sqrt(np.diag(inverse))
    one, other = np.triu_indices(count, 1)
    moved = inverse[:, one] - inverse[:, other]
    weight = each[one, other]
    spread = moved[one, np.arange(len(one))] - moved[other, np.arange(len(one))]
    left = (deviation**2)[:, None] - moved**2 * (weight / (1.0 + weight * spread))
    found = np.zeros((count, count))
    found[one, other] = (deviation[:, None] - np.sqrt(np.maximum(left, 0.0))).sum(axis=0)
    return found + found.T


def gains_of(votes, models):
    """{(model, other model): gain} for all pairs of these `models`, names in order, from checked Votes; those that have
    none yet are worth most. Votes on other models are left out."""
    models = sorted(models)
    counts = np.zeros((len(models), len(models), 4))
    there = [at for at, model in enumerate(models) if model in votes.models]
    if there:
        place = [votes.models.index(models[at]) for at in there]
        counts[np.ix_(there, there)] = tally(votes).total()[np.ix_(place, place)]
    found = gains(Pairs.of(counts))
    return {(models[a], models[b]): float(found[a, b]) for a in range(len(models)) for b in range(a + 1, len(models))}
