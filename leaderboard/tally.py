"""Owns counting: votes -> how often each pair of models met, group by group, with which outcome.

With G groups (of a category, say) and K models a tally is one int64 array [G, K, K, 4]: at [g, i, j, o] how
many battles of group g showed model i as side a and j as side b and ended in OUTCOMES[o]. Everything but
Elo (which needs the order) and clustered intervals (which need prompts) is computed from it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leaderboard import errors
from leaderboard.votes import A_WINS, B_WINS, BOTH_BAD, BOTH_GOOD, GROUPINGS, OUTCOMES

UNGROUPED = "(none)"
BLOCK = 131_072  # votes counted at a time: their places in the table stay in the processor's cache


def count(model_a, model_b, winner, models, group=None, groups=1, weight=None):
    """Codes -> counts int64 [groups, models, models, 4], in one pass with a fixed buffer beside the result.

    `model_a`, `model_b` [n] are integers below `models`, `winner` [n] indexes OUTCOMES and `group` [n] (None: all in
    one) is below `groups`; any integer type will do. With `weight` [n] it adds up weights instead: float64. Raises
    ValueError for a code that is out of range, for it would be counted as something else.
    """
    columns = ((group, groups), (model_a, models), (model_b, models), (winner, len(OUTCOMES)))
    columns = [(np.asarray(codes), most) for codes, most in columns if codes is not None]
    rows, size = len(columns[-1][0]), groups * models * models * len(OUTCOMES)
    block = max(BLOCK, size // 2)
    counts = np.zeros(size, np.int64 if weight is None else np.float64)
    places = np.empty(min(block, rows), np.int32 if size < 2**31 else np.int64)
    for start in range(0, rows, block):
        part = slice(start, start + block)
        place = places[: min(block, rows - start)]
        for at, (codes, most) in enumerate(columns):
            if _highest(codes[part]) >= most:
                raise ValueError(f"a code is out of range: of {most}, the codes are 0 to {most - 1}")
            if at:
                place *= most
                np.add(place, codes[part], out=place, casting="unsafe")
            else:
                place[:] = codes[part]
        counts += np.bincount(place, None if weight is None else weight[part], size)
    return counts.reshape(groups, models, models, len(OUTCOMES))


def _highest(codes):
    """The largest code, a negative one taken as huge: one look at the bits."""
    return codes.view(f"u{codes.dtype.itemsize}").max() if codes.dtype.kind == "i" else codes.max()


@dataclass(frozen=True)
class Tally:
    """`counts` int64 [G, K, K, 4] over `groups` (G names) and `models` (K names)."""

    groups: tuple
    models: tuple
    counts: np.ndarray

    def total(self):
        """All groups together: int64 [K, K, 4]."""
        return self.counts.sum(axis=0)

    def add(self, other):
        """The tally of both, over the union of their groups and models."""
        groups = tuple(sorted(set(self.groups) | set(other.groups)))
        models = tuple(sorted(set(self.models) | set(other.models)))
        counts = np.zeros((len(groups), len(models), len(models), len(OUTCOMES)), np.int64)
        for part in (self, other):
            at_group = [groups.index(name) for name in part.groups]
            at_model = [models.index(name) for name in part.models]
            counts[np.ix_(at_group, at_model, at_model)] += part.counts
        return Tally(groups, models, counts)


def group_of(votes, by):
    """(names, codes): the groups of a grouping and each vote's group; a vote without one is in '(none)'.

    Raises UnknownChoice for a name that is not in GROUPINGS.
    """
    if by not in GROUPINGS:
        raise errors.UnknownChoice(f"can't group by {by!r}; known are {', '.join(GROUPINGS)}")
    column = getattr(votes, by)
    if (column.codes >= 0).all():
        return column.names, column.codes
    names = (*column.names, UNGROUPED)
    return names, np.where(column.codes >= 0, column.codes, len(names) - 1)


def tally(votes, by="category", weighted=False):
    """Count votes in one pass over their codes; `weighted` adds up their weights instead (float64)."""
    names, group = group_of(votes, by)
    weight = votes.weight if weighted else None
    counts = count(votes.model_a, votes.model_b, votes.winner, len(votes.models), group, len(names), weight)
    return Tally(tuple(names), votes.models, counts)


def weighing(votes, plain, weighted):
    """Of two Pairs of votes, those whose battles weigh the models' common mean: the weighted ones, but where votes are
    weighed for how they were drawn; both boards then have one zero, and a model's rating moves for its own votes."""
    return plain if votes.reweighted else weighted


@dataclass(frozen=True)
class Pairs:
    """One group's counts without sides, each float64 [K, K]: at [i, j] what i did against j. `counts` [K, K, 4] are
    the same by side and outcome, None where they were never known."""

    wins: np.ndarray
    both_good: np.ndarray
    both_bad: np.ndarray
    counts: np.ndarray | None = None

    @classmethod
    def of(cls, counts):
        """From int64 [K, K, 4]."""
        turned = counts.transpose(1, 0, 2)
        both = counts + turned
        return cls(counts[..., A_WINS] + turned[..., B_WINS], both[..., BOTH_GOOD], both[..., BOTH_BAD], counts)

    @cached_property
    def draws(self):
        """Draws of either kind, symmetric."""
        return self.both_good + self.both_bad

    @cached_property
    def battles(self):
        """Meetings, symmetric."""
        return self.wins + self.wins.T + self.draws

    @cached_property
    def score(self):
        """Wins and half the draws of i against j."""
        return self.wins + 0.5 * self.draws

    def only(self, models):
        """The same among these models alone (indices)."""
        if len(models) == len(self.wins) and (np.diff(models) > 0).all():
            return self
        at = np.ix_(models, models)
        counts = None if self.counts is None else self.counts[at]
        return Pairs(self.wins[at], self.both_good[at], self.both_bad[at], counts)
