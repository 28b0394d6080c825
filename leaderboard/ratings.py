"""Owns the table of rating methods, METHODS: name -> a function of (votes, pairs) that returns Ratings.

Ratings are on the Elo scale: 400 points are odds of 10 to 1. To add a method, write the function and its row
here, and its interval's row in intervals.INTERVALS; the command line, the page and the contract tests read
the tables.
"""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard import errors

SCALE = 400.0 / math.log(10.0)  # Elo points of one unit of log odds
CENTRE = 1000.0
ELO_K = 4.0  # LMArena's parameters: K 4, base 10, scale 400, start 1000
SCORES = np.array([1.0, 0.0, 0.5, 0.5])  # of side a, by OUTCOMES
RATED, UNBEATEN, WINLESS, APART = "rated", "unbeaten", "winless", "apart"


@dataclass(frozen=True)
class Estimate:
    """A fit as its intervals want it: R rated models (in the order of `Ratings.rated`) and E further parameters.

    `information` float64 [R + E, R + E] is minus the derivative of the summed scores at the solution (singular along
    the models' common shift, where only differences are identified). One vote of rated models a and b with outcome w
    has the score `score_a[a, b, w]` for the model on side a, `score_b[a, b, w]` for the one on side b (each float64
    [R, R, 4]) and `score_more[a, b, w]` (float64 [R, R, 4, E]) for the further parameters. All in log odds.
    """

    information: np.ndarray
    score_a: np.ndarray
    score_b: np.ndarray
    score_more: np.ndarray


@dataclass(frozen=True)
class Ratings:
    """What a method says of K models: `rating` float64 [K] in Elo points, NaN where it has none, and `status`,
    K of: RATED; UNBEATEN or WINLESS (the likelihood has no maximum: nothing rated ever scored against it, or it
    never scored against anything rated); APART (no chain of battles ties it to what is rated). `estimate` is for
    the sandwich intervals; None for a method that depends on the order of votes.
    """

    method: str
    models: tuple
    rating: np.ndarray
    status: tuple
    estimate: Estimate | None = None

    @property
    def rated(self):
        """Indices of the models with a finite rating, int64."""
        return np.flatnonzero(np.isfinite(self.rating))


def reachable(edges):
    """Boolean [K, K] -> its reflexive transitive closure (Warshall, one outer product a model)."""
    reach = edges.astype(bool) | np.eye(len(edges), dtype=bool)
    for k in range(len(reach)):
        reach |= np.outer(reach[:, k], reach[k])
    return reach


def core(pairs):
    """The models whose Bradley-Terry ratings are finite and comparable, and the status of all K.

    The maximum of the likelihood exists exactly within a set whose members can all be reached from one another
    along 'scored against' (Ford 1957). The largest such set is the core, more battles and then the first name
    deciding between equals; a set of one is no core, for there is nothing to compare it with.
    """
    score = pairs.score > 0
    reach = reachable(score)
    component = np.argmax(reach & reach.T, axis=1) if len(score) else np.empty(0, np.int64)
    battles = pairs.battles

    def size(label):
        members = np.flatnonzero(component == label)
        return len(members), battles[np.ix_(members, members)].sum(), -label

    best = max((int(label) for label in np.unique(component)), key=size, default=-1)
    members = np.flatnonzero(component == best)
    if len(members) < 2:
        members = members[:0]
    status = [APART] * len(score)
    for model in range(len(score)):
        if len(members) and component[model] == best:
            status[model] = RATED
        elif len(members) and reach[model, members[0]]:
            status[model] = UNBEATEN
        elif len(members) and reach[members[0], model]:
            status[model] = WINLESS
    if not len(members):
        for model in range(len(score)):
            if battles[model].any() and not (score[:, model].any() and score[model].any()):
                status[model] = UNBEATEN if score[model].any() else WINLESS
    return members, tuple(status)


def fisher(pairs, strength):
    """Expected scores p [K, K] (0.5 on the diagonal) and the Fisher information [K, K] at these log strengths."""
    expected = 1.0 / (1.0 + np.exp(np.clip(strength[None, :] - strength[:, None], -700, 700)))
    weight = pairs.battles * expected * (1.0 - expected)
    return expected, np.diag(weight.sum(axis=1)) - weight


def _log_likelihood(score, strength):
    return -float((score * np.logaddexp(0.0, strength[None, :] - strength[:, None])).sum())


def fit(pairs, start=None, tolerance=1e-10, most_steps=100):
    """Log strengths [K], mean zero, that maximise the Bradley-Terry likelihood with a draw as half a win each.

    Newton's method with step halving on the K x K system, from the log strengths `start` [K] where they are given;
    the caller guarantees one strongly connected set. Converged when the largest gradient is below `tolerance` of a
    model's battles. Raises NotConverged.
    """
    score, battles = pairs.score, pairs.battles.sum(axis=1)
    strength = np.zeros(len(battles)) if start is None else start - start.mean()
    value = _log_likelihood(score, strength)
    for _ in range(most_steps):
        expected, information = fisher(pairs, strength)
        gradient = (score - pairs.battles * expected).sum(axis=1)
        if np.abs(gradient / battles).max() < tolerance:
            return strength - strength.mean()
        step = np.linalg.solve(information + information.trace() / len(battles) ** 2, gradient)
        step *= min(1.0, 5.0 / np.abs(step).max())
        while (new := _log_likelihood(score, strength + step)) < value - 1e-12 * abs(value):
            step /= 2.0
        strength, value = strength + step, new
    raise errors.NotConverged(f"Bradley-Terry: no convergence in {most_steps} steps on {len(battles)} models")


def bradley_terry(votes, pairs):
    """Maximum likelihood over the core; whatever is not in it has no rating and moves nobody else's number."""
    members, status = core(pairs)
    rating = np.full(len(votes.models), np.nan)
    if not len(members):
        return Ratings("bradley-terry", votes.models, rating, status)
    inner = pairs.only(members)
    strength = fit(inner)
    rating[members] = SCALE * strength
    return Ratings("bradley-terry", votes.models, rating, status, _estimate(inner, strength))


def _estimate(pairs, strength):
    expected, information = fisher(pairs, strength)
    residual = SCORES - expected[:, :, None]
    return Estimate(information, residual, -residual, np.zeros((*residual.shape, 0)))


def elo_online(votes, k=ELO_K, start=None):
    """The ticker: float64 [K] after one update a vote in order of time, everyone starting at 1000 (or `start` [K]).

    It depends on the order (a standard deviation of 13-15 points over shuffles of one data set).
    """
    rating = [CENTRE] * len(votes.models) if start is None else list(start)
    battles = zip(votes.model_a.tolist(), votes.model_b.tolist(), SCORES[votes.winner].tolist(), strict=True)
    for a, b, score in battles:
        gain = k * (score - 1.0 / (1.0 + 10.0 ** ((rating[b] - rating[a]) / 400.0)))
        rating[a] += gain
        rating[b] -= gain
    return np.array(rating)


def elo(votes, pairs):
    """Online Elo as a rating; models that no chain of battles ties to the largest group have none."""
    joined = reachable(pairs.battles > 0)
    group = joined[np.argmax(joined.sum(axis=1))] if len(joined) else np.empty(0, bool)
    rating = np.where(group, elo_online(votes), np.nan)
    return Ratings("elo", votes.models, rating, tuple(RATED if inside else APART for inside in group))


METHODS = {"bradley-terry": bradley_terry, "elo": elo}


def anchor_weights(ratings, established, battles):
    """Weights [R] over the rated models whose weighted mean is put at 1000: the battles of the established ones,
    or of all rated, where none is.

    `established` bool [K]; `battles` [K] among rated models only, so that a model without a rating moves nobody,
    not even through the anchor.
    """
    rated = ratings.rated
    chosen = established[rated] if established[rated].any() else np.ones(len(rated), bool)
    weights = np.where(chosen, battles[rated], 0.0)
    return weights if weights.sum() > 0 else chosen.astype(float)
