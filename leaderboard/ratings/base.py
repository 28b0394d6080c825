"""Owns what all methods share: Ratings and Estimate, who can be rated at all, and Newton's method."""

import math
from dataclasses import dataclass, field

import numpy as np

from leaderboard import errors
from leaderboard.later import Later

SCALE = 400.0 / math.log(10.0)  # Elo points of one unit of log odds
CENTRE = 1000.0
SCORES = np.array([1.0, 0.0, 0.5, 0.5])  # of side a, by OUTCOMES
AT_LEAST = 1e-8  # of a model's battles: the gradient that a fit must reach, whatever rounding does
RATED, UNBEATEN, WINLESS, APART, UNSETTLED = "rated", "unbeaten", "winless", "apart", "unsettled"


@dataclass(frozen=True)
class Estimate:
    """A fit as its intervals want it: R rated models (in the order of `Ratings.rated`) and E further parameters.

    `information` float64 [R + E, R + E] is minus the derivative of the summed scores at the solution. It is singular
    along the models' common shift where only differences are identified; 'win-rate', and 'bar' where it has placed
    its bar, have a zero of their own and a regular matrix. A pseudo-inverse serves both. One vote of rated models a
    and b with outcome w has the score `score_a[a, b, w]` for the model on side a, `score_b[a, b, w]` for the one on
    side b (each float64 [R, R, 4]) and `score_more[a, b, w]` (float64 [R, R, 4, E]) for the further parameters. All
    in log odds.
    """

    information: np.ndarray
    score_a: np.ndarray
    score_b: np.ndarray
    score_more: np.ndarray


@dataclass(frozen=True)
class Ratings:
    """What a method says of K models: `rating` float64 [K] in Elo points, NaN where it has none, and `status`,
    K of: RATED; UNBEATEN or WINLESS (the likelihood has no maximum: nothing rated ever scored against it, or it
    never scored against anything rated); APART (no chain of battles ties it to what is rated); UNSETTLED (connected,
    but this method's likelihood has no maximum on these votes). `estimate` is for the sandwich intervals; None for a
    method that depends on the order of votes. `more` holds what else was estimated, by name, in log odds on the
    scale of `rating` / SCALE; `remark` is a sentence for the reader, empty where there is nothing to say.
    """

    method: str
    models: tuple
    rating: np.ndarray
    status: tuple
    estimate: Estimate | None = Later(None)
    more: dict = field(default_factory=dict)
    remark: str = ""

    @property
    def rated(self):
        """Indices of the models with a finite rating, int64."""
        return np.flatnonzero(np.isfinite(self.rating))


def reachable(edges):
    """Boolean [K, K] -> its reflexive transitive closure, by squaring: every step doubles the length of the paths."""
    reach = edges.astype(bool) | np.eye(len(edges), dtype=bool)
    while True:
        further = reach.astype(np.float32) @ reach.astype(np.float32) > 0
        if (further == reach).all():
            return reach
        reach = further


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


def feasible(bound):
    """Whether some u has u[j] - u[i] <= bound[i, j] for all i, j (float64 [K, K], inf where nothing is asked).

    It has unless the bounds around a cycle sum to less than nothing: Bellman (1958) and Ford's shortest paths.
    The bounds are small whole numbers, so that the sums are exact.
    """
    if (bound + bound.T < 0).any():
        return False
    least = np.zeros(len(bound))
    for _ in range(len(bound) + 1):
        tighter = np.minimum(least, (least[:, None] + bound).min(axis=0, initial=np.inf))
        if (tighter == least).all():
            return True
        least = tighter
    return False


def maximise(likelihood, derivatives, start, battles, what, tolerance=1e-12, most_steps=100):
    """The point float64 [P] where a concave log likelihood is largest, by Newton's method with step halving.

    `likelihood(point)` is a float; `derivatives(point)` its gradient [P] and a positive definite minus Hessian
    [P, P]. Converged when no entry of the gradient exceeds `tolerance` of its entry in `battles` [P], the votes
    that bear on it, or when it is below AT_LEAST of them and no longer halves: Newton's method would square it, so
    this is what rounding leaves. Raises NotConverged, naming `what`.
    """
    point, value, before = start, likelihood(start), math.inf
    for _ in range(most_steps):
        gradient, information = derivatives(point)
        left = np.abs(gradient / battles).max()
        if left < tolerance or before / 2.0 < left < AT_LEAST:
            return point
        before = left
        step = np.linalg.solve(information, gradient)
        step *= min(1.0, 5.0 / np.abs(step).max())
        while (new := likelihood(point + step)) < value - 1e-12 * abs(value):
            step /= 2.0
        point, value = point + step, new
    raise errors.NotConverged(f"{what}: no convergence in {most_steps} steps on {len(start)} parameters")


def grounded(information, models):
    """The same matrix made regular where the first `models` parameters may shift together: with a gradient that
    sums to nothing over them, Newton's step is unchanged but for that shift."""
    if not models:
        return information
    regular = information.copy()
    regular[:models, :models] += information[:models, :models].trace() / models**2
    return regular


def laplacian(weight):
    """Information [K, K] of differences, from the weight [K, K] of each pair of models, symmetric, 0 for itself."""
    return np.diag(weight.sum(axis=1)) - weight


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


def anchored(ratings, established, pairs):
    """Ratings float64 [K] with the anchor's weighted mean at 1000 (NaN where there is none), and its weights [R].

    `established` bool [K]; `pairs` are the counts behind the ratings.
    """
    rated = ratings.rated
    battles = np.zeros(len(ratings.rating))
    battles[rated] = pairs.only(rated).battles.sum(axis=1)
    weights = anchor_weights(ratings, established, battles)
    if not len(rated):
        return ratings.rating.copy(), weights
    return ratings.rating + (CENTRE - float(ratings.rating[rated] @ weights / weights.sum())), weights
