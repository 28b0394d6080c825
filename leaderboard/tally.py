"""Owns counting: votes -> how often each pair of models met, group by group, with which outcome.

With G groups (of a category, say) and K models a tally is one int64 array [G, K, K, 4]: at [g, i, j, o] how
many battles of group g showed model i as side a and j as side b and ended in OUTCOMES[o]. Everything but
Elo (which needs the order) and clustered intervals (which need prompts) is computed from it.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard import errors
from leaderboard.votes import A_WINS, B_WINS, BOTH_BAD, BOTH_GOOD, GROUPINGS, OUTCOMES

UNGROUPED = "(none)"


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
    shape = (len(names), len(votes.models), len(votes.models), len(OUTCOMES))
    if not len(votes):
        return Tally(tuple(names), votes.models, np.zeros(shape, np.int64))
    at = np.ravel_multi_index((group, votes.model_a, votes.model_b, votes.winner), shape)
    weight = votes.weight if weighted else None
    return Tally(tuple(names), votes.models, np.bincount(at, weight, int(np.prod(shape))).reshape(shape))


@dataclass(frozen=True)
class Pairs:
    """One group's counts without sides, each float64 [K, K]: at [i, j] what i did against j."""

    wins: np.ndarray
    both_good: np.ndarray
    both_bad: np.ndarray

    @classmethod
    def of(cls, counts):
        """From int64 [K, K, 4]."""
        turned = counts.transpose(1, 0, 2)
        both = counts + turned
        return cls(counts[..., A_WINS] + turned[..., B_WINS], both[..., BOTH_GOOD], both[..., BOTH_BAD])

    @property
    def draws(self):
        """Draws of either kind, symmetric."""
        return self.both_good + self.both_bad

    @property
    def battles(self):
        """Meetings, symmetric."""
        return self.wins + self.wins.T + self.draws

    @property
    def score(self):
        """Wins and half the draws of i against j."""
        return self.wins + 0.5 * self.draws

    def only(self, models):
        """The same among these models alone (indices)."""
        at = np.ix_(models, models)
        return Pairs(self.wins[at], self.both_good[at], self.both_bad[at])
