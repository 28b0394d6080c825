"""Owns the methods side by side: what each says of the same votes, on its own scale."""

from dataclasses import dataclass

import numpy as np

from leaderboard.clusters import AUTO, chosen
from leaderboard.ratings import METHODS, SCALE, SCALES, anchored
from leaderboard.sandwich import half_width, inverse
from leaderboard.standings import VOTE_FLOOR
from leaderboard.tally import Pairs, tally, weighing


@dataclass(frozen=True)
class View:
    """What `method` says of K `models`: `rating` float64 [K] in Elo points (the established models' mean at 1000, NaN
    where there is none) and `place` int [K], 1 for the highest of them, 0 without a rating. `scale` says what its
    points are. `draw`: Davidson's chance of a draw between two equal models. `bar`: (points, lower, upper), where the
    method has placed one. Both None otherwise. `remark` is for the reader, empty where there is nothing to say.
    """

    method: str
    models: tuple
    rating: np.ndarray
    place: np.ndarray
    scale: str
    draw: float | None
    bar: tuple | None
    remark: str


def views(votes, clusters=AUTO):
    """{method: View} of checked votes, with their weights where they have any. Raises NotConverged."""
    plain = Pairs.of(tally(votes).total())
    pairs = plain if votes.weight is None else Pairs.of(tally(votes, weighted=True).total())
    return {name: _view(name, votes, pairs, plain, clusters) for name in METHODS}


def _view(method, votes, pairs, plain, clusters):
    found = METHODS[method](votes, pairs)
    enough = (plain.battles.sum(axis=1) >= VOTE_FLOOR) & np.isfinite(found.rating)
    rating, anchor = anchored(found, enough, weighing(votes, plain, pairs))
    place = np.zeros(len(rating), np.int64)
    rated = rating[found.rated]
    place[found.rated] = 1 + (rated[None, :] > rated[:, None] + 1e-6).sum(axis=1)
    draw = bar = None
    if "tie" in found.more:
        nu = float(np.exp(found.more["tie"]))
        draw = nu / (2.0 + nu)
    if "bar" in found.more:
        mean = anchor / anchor.sum()
        influence = -mean @ inverse(found.estimate)
        half = SCALE * half_width(votes, pairs, found.estimate, found.rated, influence, chosen(votes, clusters))
        middle = SCALE * found.more["bar"] + float(np.nanmax(rating) - np.nanmax(found.rating))
        bar = (middle, middle - half, middle + half)
    return View(method, votes.models, rating, place, SCALES[method], draw, bar, found.remark)


def concordance(first, second):
    """Kendall's (1938) tau-a of two Views over the models that both rate: 1 for the same order, -1 for the reverse;
    None of fewer than two."""
    both = (first.place > 0) & (second.place > 0)
    count = int(both.sum())
    if count < 2:
        return None
    a, b = first.place[both], second.place[both]
    signs = np.sign(a[:, None] - a[None, :]) * np.sign(b[:, None] - b[None, :])
    return float(signs.sum() / (count * (count - 1)))
