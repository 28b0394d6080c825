"""Owns time: the standings as they stood at any moment, and each model's rating from moment to moment.

A moment's standings are those of all votes cast until then, made by the same functions as the board and anchored in
the same way, so that the last moment is the board itself. A vote without a time counts together with the vote before
it, where `leaderboard.votes` put it; where no vote has a time there is no history.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard.clusters import AUTO, capped
from leaderboard.columns import NO_TIME, iso
from leaderboard.standings import table
from leaderboard.tally import Pairs, count

POINTS = 30
DEPEND_ON_ORDER = ("elo",)  # their intervals replay every vote many times: too much to do at every moment
MINUTE, DAY = 60_000, 86_400_000
STEPS = (MINUTE, 10 * MINUTE, 60 * MINUTE, 360 * MINUTE, DAY, 7 * DAY, 28 * DAY, 91 * DAY, 364 * DAY)
MONDAY = 4 * DAY  # 1970 began on a Thursday


@dataclass(frozen=True)
class History:
    """`moments` T int milliseconds since 1970 UTC, each the end of a period of `step` ms but for the last, which is
    the last vote's; `tables` T of standings.Table; `untimed` votes had no time of their own."""

    moments: tuple
    tables: tuple
    step: int
    untimed: int
    method: str

    def dates(self):
        """T of ISO 8601: days, or moments in UTC where the periods are shorter than a day."""
        return tuple(iso(moment)[:10] if self.step >= DAY else iso(moment)[:19] + "Z" for moment in self.moments)

    def of(self, model):
        """One model's [(moment, Standing)], from its first vote on."""
        found = zip(self.moments, self.tables, strict=True)
        return [(moment, row) for moment, ranked in found for row in ranked.rows if row.model == model]


def times(votes):
    """When each vote counts from, int64 [n] and ascending: its own time, or that of the vote before it."""
    if not len(votes):
        return np.empty(0, np.int64)
    return np.maximum.accumulate(votes.created_at)  # NO_TIME is below every moment


def until(votes, moment):
    """The votes that were cast at `moment` (milliseconds since 1970 UTC) or before."""
    return votes.where(slice(0, int(np.searchsorted(times(votes), moment, "right"))))


def at(votes, moment, method="bradley-terry", seed=0, clusters=AUTO, voter_cap=None):
    """The standings.Table at `moment`; the rest is as for board.build."""
    past = until(votes, moment)
    return _table(
        past, count(past.model_a, past.model_b, past.winner, len(past.models))[0], method, seed, clusters, voter_cap
    )


def moments_of(votes, most=POINTS):
    """([moment], step): the ends of at most `most` periods, of minutes, hours, days or weeks (which end on Sunday).

    The shortest of STEPS is taken that needs no more; twice the longest, and so on, where that is still too short.
    """
    timed = votes.created_at[votes.created_at != NO_TIME]
    if not len(timed):
        return [], STEPS[0]
    first, last = int(timed.min()), int(timed.max())
    steps = [*STEPS, *(STEPS[-1] << doubled for doubled in range(1, 20))]
    for step in steps:
        start = MONDAY if step % (7 * DAY) == 0 else 0
        periods = (last - start) // step - (first - start) // step + 1
        if periods <= most:
            break
    end = ((first - start) // step + 1) * step + start - 1
    return [*range(end, last, step), last], step


def history(votes, method="bradley-terry", seed=0, moments=None, clusters=AUTO, voter_cap=None):
    """The History of votes at these `moments` (ascending milliseconds), or at those of moments_of.

    Counted in one pass: period by period, then added up. A method that depends on the order of votes gives way to
    Bradley-Terry.
    """
    method = "bradley-terry" if method in DEPEND_ON_ORDER else method
    chosen, step = (list(moments), MINUTE) if moments is not None else moments_of(votes)
    when, models = times(votes), len(votes.models)
    ends = np.searchsorted(when, np.array(chosen, np.int64), "right")
    tables, counts, start = [], np.zeros((models, models, 4), np.int64), 0
    for end in ends.tolist():
        if end == start and tables:
            tables.append(tables[-1])
            continue
        new = votes.where(slice(start, end))
        counts = counts + count(new.model_a, new.model_b, new.winner, models)[0]
        tables.append(_table(votes.where(slice(0, end)), counts, method, seed, clusters, voter_cap))
        start = end
    untimed = int((votes.created_at == NO_TIME).sum())
    return History(tuple(chosen), tuple(tables), step, untimed, method)


def _table(votes, counts, method, seed, clusters, voter_cap):
    votes = capped(votes, voter_cap)
    return table(votes, Pairs.of(counts), method, np.random.default_rng(seed), clusters=clusters)
