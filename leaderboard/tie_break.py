"""Owns the question whether further voters were asked because the first two of a pair disagreed.

How many voters a pair has then depends on what they chose: two opinions that a third voter settles count as one third of
agreement rather than none, so the agreement of all voters comes out too high, and alpha with it. The first two voters of
each pair, by time, were chosen by no outcome: theirs is right under any such rule, for a little more noise.
"""

import math
from dataclasses import dataclass

import numpy as np

FIRST = 2  # voters of each pair
SURE = 0.001


@dataclass(frozen=True)
class TieBreak:
    """Of the pairs with two voters or more: on how many the first two agreed (`agreed`) and on how many not (`differed`),
    how many of each have a further voter, and the one-sided p-value (Fisher's exact test) of as many more where they
    differed."""

    agreed: int
    agreed_more: int
    differed: int
    differed_more: int
    p: float

    @property
    def found(self):
        """Whether further voters went to pairs because their first two voters disagreed."""
        return self.p < SURE


def tie_break(every, first):
    """The TieBreak of pairs, from the counts [P, 4] of all their voters and of the first two, in the same order."""
    several = first.sum(axis=1) >= FIRST
    agreed = first[several].max(axis=1) == FIRST
    more = every[several].sum(axis=1) > FIRST
    cells = [int(np.sum(part)) for part in (agreed, agreed & more, ~agreed, ~agreed & more)]
    return TieBreak(*cells, _more_often(*cells))


def _more_often(agreed, agreed_more, differed, differed_more):
    """The chance that of all that have more at least `differed_more` fall among the `differed`: hypergeometric."""

    def ways(n, k):
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    more, most = agreed_more + differed_more, min(differed, agreed_more + differed_more)
    every = ways(agreed + differed, more)
    logs = [
        ways(differed, k) + ways(agreed, more - k) - every for k in range(differed_more, most + 1) if more - k <= agreed
    ]
    return min(1.0, math.fsum(map(math.exp, logs)))
