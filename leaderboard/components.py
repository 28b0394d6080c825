"""Owns what can be said of models that the rating leaves out: ratings within each further group whose members all
scored against one another. They compare the members of that group, and nothing else."""

from dataclasses import dataclass, replace

import numpy as np

from leaderboard.intervals import sandwich
from leaderboard.ratings import METHODS, core


@dataclass(frozen=True)
class Component:
    """`models`, best first, with `rating`, `lower` and `upper` (tuples of Elo points) less their own mean, weighted by
    battles; and the number of `battles` among them."""

    models: tuple
    rating: tuple
    lower: tuple
    upper: tuple
    battles: int


def components(votes, pairs, ratings, rng):
    """The groups of two or more models among those that `ratings` leaves out, largest first, each rated by
    Bradley-Terry on its own battles. Within a group votes are taken for independent."""
    if len(ratings.rated) == len(ratings.models):
        return ()
    left = np.setdiff1d(np.flatnonzero(pairs.battles.any(axis=1)), ratings.rated)
    found = []
    while len(left) > 1:
        members = left[core(pairs.only(left))[0]]
        if not len(members):
            break
        found.append(_rate(votes, pairs, members, rng))
        left = np.setdiff1d(left, members)
    return tuple(found)


def _rate(votes, pairs, members, rng):
    place = np.full(len(votes.models), -1, np.int32)
    place[members] = np.arange(len(members))
    alone = votes.where((place[votes.model_a] >= 0) & (place[votes.model_b] >= 0))
    names = tuple(votes.models[model] for model in members)
    alone = replace(alone, models=names, model_a=place[alone.model_a], model_b=place[alone.model_b])
    pairs = pairs.only(members)
    ratings = METHODS["bradley-terry"](alone, pairs)
    anchor = pairs.battles.sum(axis=1)
    spread = sandwich(alone, pairs, ratings, anchor, rng, "none")
    mean = float(ratings.rating @ anchor / anchor.sum())
    order = sorted(range(len(names)), key=lambda at: (-ratings.rating[at], names[at]))
    return Component(
        tuple(names[at] for at in order),
        *(tuple(float(points[at] - mean) for at in order) for points in (ratings.rating, spread.lower, spread.upper)),
        len(alone),
    )
