"""Owns the question whether further voters were asked because the first two of a pair disagreed.

How many voters a pair has then depends on what they chose: two opinions that a third voter settles count as one third of
agreement rather than none, so the agreement of all voters comes out too high, and alpha with it. The first two voters of
each pair, by time, were chosen by no outcome: theirs is right under any such rule, for a little more noise.

Ratings suffer in the same way: pairs of images that are near even get more votes and draw models together. No weight of
the further votes mends that. Of a pair with the chance p, let the first two votes settle it where they agree: the one
unbiased estimate of p that looks at three votes is the mean of the first two.
"""

import math
from dataclasses import dataclass

import numpy as np

FIRST = 2  # voters of each pair
MOST_ASKED = 20  # voters whom a pair may have before their outcomes decide
SURE = 0.001


@dataclass(frozen=True)
class TieBreak:
    """Of the pairs with `voters` voters or more: on how many the first of them agreed (`agreed`) and on how many not
    (`differed`), how many of each have a further voter, and the one-sided p-value (Fisher's exact test) of as many more where
    they differed."""

    agreed: int
    agreed_more: int
    differed: int
    differed_more: int
    p: float
    voters: int = FIRST

    @property
    def found(self):
        """Whether further voters went to pairs because their first ones disagreed."""
        return self.p < SURE


def tie_break(every, first, voters=FIRST):
    """The TieBreak of pairs, from the counts [P, 4] of all their voters and of the first `voters`, in the same order."""
    several = first.sum(axis=1) >= voters
    agreed = first[several].max(axis=1, initial=0) == voters
    more = every[several].sum(axis=1) > voters
    cells = [int(np.sum(part)) for part in (agreed, agreed & more, ~agreed, ~agreed & more)]
    return TieBreak(*cells, _more_often(*cells), voters)


def asked_anyway(pair, outcome):
    """How many voters each pair had whatever they chose, where those who came after them were asked because these
    disagreed; None where nobody was. `pair` and `outcome` int64 [m] are of ballots, oldest first.

    The smallest number from two on of which TieBreak says so: with three voters and two more where they disagree, a third
    comes whatever the first two chose, a fourth does not.
    """
    if not len(pair):
        return None
    order = np.argsort(pair, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(pair[order]) != 0]))
    size = np.diff(np.append(starts, len(order)))
    place = np.arange(len(order)) - np.repeat(starts, size)
    other = outcome[order] != np.repeat(outcome[order][starts], size)
    parted = np.minimum.reduceat(np.where(other, place, len(order)), starts)  # where the first one is who disagrees
    for voters in range(FIRST, min(MOST_ASKED, int(size.max()) - 1) + 1):
        several, agreed, more = size >= voters, parted >= voters, size > voters
        cells = [int(np.sum(several & part)) for part in (agreed, agreed & more, ~agreed, ~agreed & more)]
        if cells[3] * cells[0] > cells[1] * cells[2] and TieBreak(*cells, _more_often(*cells)).found:
            return voters
    return None


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
