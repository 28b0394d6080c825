"""What each voter was shown of the tasks with a known answer, and which of them they have done.

Read from the ledger once for a voter who comes, and then as it grows: a voter with thousands of such tasks is asked for no
longer than a new one.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from arena.gold_tasks import ANY
from arena.ledger import Ledger
from arena.records import feedback_id
from arena.tables import GOLD

REMEMBERED = 2000  # voters


@dataclass(slots=True)
class _Known:
    tasks: dict[str, str] = field(default_factory=dict)  # battle -> its task, here or as its vote tells
    shown: Counter[str] = field(default_factory=Counter)  # the same by task
    votes: dict[str, str] = field(default_factory=dict)  # vote -> battle, in the order of the votes
    waiting: set[str] = field(default_factory=set)  # votes whose task is answered with feedback that is still to come
    done: dict[str, int] | None = None  # battle -> its place, from 1; None: to be counted
    battle: int = 0  # the last rows that were taken in
    vote: int = 0
    settled: int = 0  # battles that were made before this (milliseconds) have the feedback that they will have

    def add(self, battle_id: str, task: str) -> None:
        if (before := self.tasks.get(battle_id)) != task:
            if before is not None:
                self.shown[before] -= 1
            self.tasks[battle_id] = task
            self.shown[task] += 1


class GoldRecord:
    """Safe to share between threads."""

    def __init__(self, ledger: Ledger):
        self._ledger, self._lock = ledger, threading.RLock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._voters: dict[str, str] = {}  # of the votes that are remembered
        self._awaited: dict[str, tuple[str, str]] = {}  # feedback -> (voter, vote)
        self._at: tuple[int, int] | None = None  # the last exclusion and feedback that were looked at

    def shown(self, voter: str) -> Counter[str]:
        """How often each task was shown to this voter, here or, before a disk was lost, as the dataset tells."""
        with self._lock:
            return Counter(self._of(voter).shown)

    def done(self, voter: str) -> dict[str, int]:
        """The battles of this voter whose task is answered, and put right where it was wrong; each with its place among
        them, from 1. Votes that were taken back are left out."""
        with self._lock:
            known = self._of(voter)
            if known.done is None:
                ended = (battle for vote, battle in known.votes.items() if vote not in known.waiting)
                known.done = {battle: place for place, battle in enumerate(ended, 1)}
            return known.done

    def settled(self, voter: str) -> int:
        with self._lock:
            return self._of(voter).settled

    def settle(self, voter: str, before: int) -> None:
        """No battle of this voter from `before` (milliseconds) lacks feedback that it will have."""
        with self._lock:
            self._of(voter).settled = before

    def _of(self, voter: str) -> _Known:
        self._look()
        known = self._known.pop(voter, None) or _Known()
        self._known[voter] = known
        if len(self._known) > REMEMBERED:
            self._forget(next(iter(self._known)))
        for row in self._ledger.all("SELECT seq, battle_id, gold FROM battles INDEXED BY gold_battles WHERE voter = ? AND "
                                    "gold IS NOT NULL AND seq > ? ORDER BY seq", voter, known.battle):  # fmt: skip
            known.add(row["battle_id"], row["gold"])
            known.battle = row["seq"]
        for row in self._ledger.all(f"SELECT seq, battle_id, vote_id, extra FROM votes INDEXED BY gold_votes WHERE voter = ? "
                                    f"AND seq > ? AND {GOLD} AND vote_id NOT IN (SELECT vote_id FROM exclusions) ORDER BY seq",
                                    voter, known.vote):  # fmt: skip
            known.vote = row["seq"]
            self._take(known, voter, row["battle_id"], row["vote_id"], json.loads(row["extra"]))
        return known

    def _take(self, known: _Known, voter: str, battle_id: str, vote_id: str, extra: dict) -> None:
        known.add(battle_id, extra.get("gold_task", ""))
        known.votes[vote_id], known.done, self._voters[vote_id] = battle_id, None, voter
        if extra["gold"] == ANY:
            ids = [feedback_id(vote_id, side) for side in ("a", "b")]
            rows = self._ledger.all(f"SELECT extra FROM feedback WHERE feedback_id IN (?, ?) AND {GOLD}", *ids)
            if not any(map(_tells, rows)):
                known.waiting.add(vote_id)
                self._awaited.update(dict.fromkeys(ids, (voter, vote_id)))

    def _look(self) -> None:
        """What came since that changes what is known: votes taken back or erased, and feedback that was awaited."""
        if self._at is None:
            self._at = tuple(self._ledger.one("SELECT (SELECT COALESCE(MAX(seq), 0) FROM exclusions), "
                                              "(SELECT COALESCE(MAX(seq), 0) FROM feedback)"))  # fmt: skip
        excluded, given = self._at
        for row in self._ledger.all("SELECT seq, vote_id FROM exclusions WHERE seq > ? ORDER BY seq", excluded):
            excluded = row["seq"]
            if voter := self._voters.get(row["vote_id"]):
                self._forget(voter)
        for row in self._ledger.all(f"SELECT seq, feedback_id, extra FROM feedback WHERE seq > ? AND {GOLD} ORDER BY seq",
                                    given):  # fmt: skip
            given = row["seq"]
            if row["feedback_id"] in self._awaited and _tells(row):
                voter, vote = self._awaited[row["feedback_id"]]
                self._await_no_more(vote)
                known = self._known[voter]
                known.waiting.discard(vote)
                known.done = None
        self._at = excluded, given

    def _forget(self, voter: str) -> None:
        """Read anew when the voter comes again."""
        known = self._known.pop(voter)
        for vote in known.votes:
            self._voters.pop(vote, None)
        for vote in known.waiting:
            self._await_no_more(vote)

    def _await_no_more(self, vote: str) -> None:
        for side in ("a", "b"):
            del self._awaited[feedback_id(vote, side)]


def _tells(row) -> bool:
    """Whether feedback was the answer to its task, rather than beside it."""
    return isinstance(json.loads(row["extra"])["gold"], dict)
