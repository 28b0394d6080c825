"""What was served to whom, and how often an image was voted on: read from the ledger, and remembered between draws.

Both only read what came since they last looked. Votes that came from the dataset count like those that were cast here.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from arena.ledger import Ledger
from arena.matchmaking import Seen
from arena.tables import NOT_GOLD

REMEMBERED = 2000  # voters


@dataclass(slots=True)
class _Known:
    seen: Seen = field(default_factory=Seen)
    battle: int = 0  # the last rows that were taken in
    vote: int = 0


class SeenBy:
    """What each voter was shown, battles that were skipped or never answered included. For one thread at a time."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def of(self, voter: str) -> Seen:
        """Everything until now; it grows with the next call."""
        known = self._known.pop(voter, None) or _Known()
        self._known[voter] = known
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        columns = "prompt_id, image_a, image_b"
        battles = self._ledger.all(f"SELECT seq, {columns} FROM battles INDEXED BY battles_of_a_voter "
                                   "WHERE voter = ? AND seq > ?", voter, known.battle)  # fmt: skip
        votes = self._ledger.all(f"SELECT seq, {columns} FROM votes INDEXED BY votes_of_a_voter "
                                 "WHERE voter = ? AND seq > ?", voter, known.vote)  # fmt: skip
        for _, *row in map(tuple, (*battles, *votes)):
            known.seen.add(*row)
        known.battle = max((row[0] for row in battles), default=known.battle)
        known.vote = max((row[0] for row in votes), default=known.vote)
        return known.seen


class Uses:
    """How many votes each image has, those that do not count included: they were looked at all the same."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger
        self._of: Counter[str] = Counter()
        self._at = 0  # the last vote that was taken in

    def __getitem__(self, image_id: str) -> int:
        return self._of[image_id]

    def follow(self) -> dict[str, str]:
        """Take in the votes that came since; image_id -> prompt_id of each image that was in one."""
        used: dict[str, str] = {}
        for seq, *row in map(tuple, self._ledger.all(
            f"SELECT seq, prompt_id, image_a, image_b FROM votes WHERE seq > ? AND {NOT_GOLD} ORDER BY seq", self._at
        )):  # fmt: skip
            self._at = seq
            prompt_id, *images = row
            self._of.update(images)
            used |= dict.fromkeys(images, prompt_id)
        return used
