"""Owns fragility: how few votes would have to be missing for first place, or any model's place, to change.

What is removed is the worst case, not a random loss: the votes that hold the order up. The numbers are found and
confirmed by leaderboard.removal: so many votes suffice, fewer are not ruled out. All of it is Bradley-Terry with draws
as half wins, whatever method a board shows.
"""

from dataclasses import dataclass, field

import numpy as np

from leaderboard.ratings import core
from leaderboard.removal import Search

RIVALS = 3  # how many models above and below are looked at, nearest first
NEARLY = 1.2  # a pair is searched where first order asks for at most so many times the best answer's votes


@dataclass(frozen=True)
class Removed:
    """`votes` of one kind: `model` beat `against`, or, where `draw`, the two drew."""

    votes: int
    model: str
    against: str
    draw: bool

    def words(self):
        """'3 votes in which x beat y' or '1 draw between x and y'."""
        if self.draw:
            return f"{self.votes:,} {'draw' if self.votes == 1 else 'draws'} between {self.model} and {self.against}"
        return f"{self.votes:,} {'vote' if self.votes == 1 else 'votes'} in which {self.model} beat {self.against}"


@dataclass(frozen=True)
class Change:
    """Without `votes` votes, a `share` of all, `model` would stand above `over`, which is above it now.

    `removed` says which votes, most first; `unbounded` whether the likelihood has no maximum without them (`model` is
    unbeaten, say), so that the order turns by connectivity and not by two finite ratings.
    """

    votes: int
    share: float
    model: str
    over: str
    removed: tuple
    unbounded: bool = False

    def words(self, most=2):
        """The votes to remove in words: the `most` largest cells, then how many others."""
        parts = [cell.words() for cell in self.removed[:most]]
        if rest := sum(cell.votes for cell in self.removed[most:]):
            parts.append(f"{rest:,} {'other' if rest == 1 else 'others'}")
        return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


@dataclass(frozen=True)
class Place:
    """One model's `place` (1 is first, by rating) among the contenders, and the cheapest Change found that lets it
    overtake a model above it (`rise`) or be overtaken by one below it (`fall`); None where none was found."""

    place: int
    rise: Change | None
    fall: Change | None


@dataclass(frozen=True)
class Fragility:
    """`first` is the cheapest Change found of who is first, `places` {model: Place}, best first."""

    first: Change | None = None
    places: dict = field(default_factory=dict)


def fragility(pairs, models, contenders=None, weighted=None):
    """The Fragility of a Bradley-Terry order.

    `pairs` is a tally.Pairs of K models, `models` their names; `contenders` bool [K] says who takes a place (all rated
    ones where it is None or names fewer than two); the others' votes still count in every fit. `weighted` are the
    Pairs that are rated where votes carry weights; a vote of a cell then weighs the cell's mean.
    """
    ranked = _ranked(pairs, models, contenders, weighted)
    if ranked is None:
        return Fragility()
    places, order = {}, ranked.order
    for at, model in enumerate(order):
        rise = ranked.cheapest([(upper, model) for upper in order[:at]])
        fall = ranked.cheapest([(model, lower) for lower in order[at + 1 :]])
        places[ranked.names[model]] = Place(at + 1, rise, fall)
    return Fragility(places[ranked.names[order[0]]].fall, places)


def first_place(pairs, models, contenders=None, weighted=None):
    """Only `Fragility.first`, in a fraction of the time."""
    ranked = _ranked(pairs, models, contenders, weighted)
    return None if ranked is None else ranked.cheapest([(ranked.order[0], lower) for lower in ranked.order[1:]])


def _ranked(pairs, models, contenders, weighted):
    """The _Ranked core, or None where fewer than two models are in it."""
    members, _ = core(pairs)
    if len(members) < 2:
        return None
    search = Search(pairs.only(members), None if weighted is None else weighted.only(members))
    order = np.argsort(-search.strength, kind="stable")
    if contenders is not None and contenders[members].sum() > 1:
        order = order[contenders[members][order]]
    return _Ranked(search, tuple(models[member] for member in members), order.tolist(), float(pairs.battles.sum() / 2))


class _Ranked:
    """A Search with its models' names, the contenders' numbers in `order`, best first, and the `total` of votes."""

    def __init__(self, search, names, order, total):
        self.search, self.names, self.order, self.total = search, names, order, total
        self.known = {}

    def cheapest(self, turns):
        """The Change of fewest votes among (upper, lower) pairs: the nearest by first order, then by exact search."""
        nearest = sorted(turns, key=lambda turn: self.search.distance[turn])[:RIVALS]
        expected = {turn: self.search.expected(*turn) for turn in nearest}
        best = None
        for turn in sorted(nearest, key=expected.get):
            if best is None or expected[turn] <= NEARLY * best.votes:
                new = self.change(*turn)
                if new is not None and (best is None or new.votes < best.votes):
                    best = new
        return best

    def change(self, upper, lower):
        """The cheapest Change found that puts `lower` above `upper`, or None."""
        if (upper, lower) not in self.known:
            found = self.search.overtake(upper, lower)
            self.known[upper, lower] = None if found is None else self._named(*found, upper, lower)
        return self.known[upper, lower]

    def _named(self, removed, unbounded, upper, lower):
        search, votes = self.search, int(removed.sum())
        cells = sorted(removed.nonzero()[0], key=lambda cell: (-removed[cell], cell))
        parts = [(self.names[search.first[cell]], self.names[search.second[cell]]) for cell in cells]
        draws = search.score[cells] == 0.5
        kinds = zip(removed[cells].tolist(), parts, draws.tolist(), strict=True)
        parts = tuple(Removed(int(count), *names, draw) for count, names, draw in kinds)
        return Change(votes, votes / self.total, self.names[lower], self.names[upper], parts, unbounded)
