"""Owns online Elo (Elo 1978): one update a vote in order of time, with LMArena's parameters."""

import numpy as np

from leaderboard.ratings.base import APART, CENTRE, RATED, SCORES, Ratings, reachable

ELO_K = 4.0  # LMArena's parameters: K 4, base 10, scale 400, start 1000


def elo_online(votes, k=ELO_K, start=None):
    """The ticker: float64 [K] after one update a vote in order of time, everyone starting at 1000 (or `start` [K]).

    It depends on the order (a standard deviation of 13-15 points over shuffles of one data set). A vote of weight w
    moves w times as far.
    """
    rating = [CENTRE] * len(votes.models) if start is None else list(start)
    step = np.full(len(votes), k) if votes.weight is None else k * votes.weight
    columns = (votes.model_a, votes.model_b, SCORES[votes.winner], step)
    for a, b, score, most in zip(*(column.tolist() for column in columns), strict=True):
        gain = most * (score - 1.0 / (1.0 + 10.0 ** ((rating[b] - rating[a]) / 400.0)))
        rating[a] += gain
        rating[b] -= gain
    return np.array(rating)


def elo(votes, pairs):
    """Online Elo as a rating; models that no chain of battles ties to the largest group have none."""
    joined = reachable(pairs.battles > 0)
    group = joined[np.argmax(joined.sum(axis=1))] if len(joined) else np.empty(0, bool)
    rating = np.where(group, elo_online(votes), np.nan)
    return Ratings("elo", votes.models, rating, tuple(RATED if inside else APART for inside in group))
