"""Owns the average win rate: a model's share against each rated opponent that it met, averaged over opponents.

Every opponent counts the same however often it was met, so that a schedule full of weak ones does not flatter; but a
model that met strong opponents only still looks weak, which Bradley-Terry repairs. On the Elo scale as log odds.
"""

import numpy as np

from leaderboard.ratings.base import SCALE, SCORES, Estimate, Ratings, core


def average_share(pairs):
    """The mean over the opponents that a model met of its share against each, draws half: float64 [K], all of
    whom met somebody."""
    met = pairs.battles > 0
    share = np.divide(pairs.score, pairs.battles, out=np.zeros(met.shape), where=met)
    return share.sum(axis=1) / met.sum(axis=1)


def win_rate(votes, pairs):
    """The log odds of the average share, over the core, within which no share is 0 or 1.

    Its scores take a vote's opponent as drawn at random among those met: sum over opponents of (score - share) /
    (votes against it x opponents met), times the model's battles, so that without draws the information is the
    binomial one.
    """
    members, status = core(pairs)
    rating = np.full(len(votes.models), np.nan)
    if not len(members):
        return Ratings("win-rate", votes.models, rating, status)
    inner = pairs.only(members)
    share, met, battles = average_share(inner), inner.battles > 0, inner.battles.sum(axis=1)
    rating[members] = SCALE * np.log(share / (1.0 - share))
    weight = np.divide((battles / met.sum(axis=1))[:, None], inner.battles, out=np.zeros(met.shape), where=met)
    score_a = weight[:, :, None] * (SCORES - share[:, None, None])
    score_b = weight.T[:, :, None] * (1.0 - SCORES - share[None, :, None])
    found = Estimate(np.diag(battles * share * (1.0 - share)), score_a, score_b, np.zeros((*score_a.shape, 0)))
    return Ratings("win-rate", votes.models, rating, status, found)
