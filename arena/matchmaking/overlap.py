"""Overlap: several voters for each pair of images, so that their agreement can be measured.

A pair that was drawn goes to `voters` voters, and where their outcomes are not all the same on to `tie_break` voters,
as the annotators of Open Image Preferences got it; then it is served no more. Pairs that lack fewest votes come first,
the longest waiting among them. A battle is a lease: while it is young and has no vote, its place is taken; later it goes
to somebody else. A vote that comes after that still counts, so a pair can have one more than it needs.

All of it follows from the ledger's battles, votes and exclusions, so a restart changes nothing, and votes that came from
the dataset count; replicas that share a dataset each have leases of their own. Of a vote that was erased nobody knows any
more what it was: then all is counted anew (`Shelf.renew`). The probability of such a battle is that
with which its pair was drawn the first time: the voters who come after the first do not draw.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from arena.config import OverlapSettings
from arena.ledger import Ledger
from arena.matchmaking.draws import Draw, Seen, on_sides
from arena.matchmaking.pairs import Pair
from arena.records import Image, Prompt
from arena.tables import NOT_GOLD

Key = tuple[str, str]  # the ids of two images, in order

# (prompt_id, image_id, image_id) -> what is to be served; None where it can't be, now or ever.
Servable = Callable[[str, str, str], tuple[Prompt, Image, Image] | None]

_LOOKS = 1000  # pairs that wait alike which are looked at for one voter: who has had so many begins new ones
_ROWS = 20_000  # that are read at a time
_ENDS = (
    "SELECT (SELECT COALESCE(MAX(seq), 0) FROM battles), (SELECT COALESCE(MAX(seq), 0) FROM votes), "
    "(SELECT COALESCE(MAX(seq), 0) FROM exclusions)"
)
# A vote that came after the ends were read is not counted yet: until then its battle is a lease.
_BATTLES = (
    "SELECT b.seq, b.battle_id, b.prompt_id, p.category, b.image_a, b.image_b, b.pair_probability, "
    "b.created_at FROM battles b JOIN prompts p USING (prompt_id) WHERE b.seq > ? AND b.seq <= ? AND b.voided IS NULL "
    "AND b.mode = 'anonymous' AND b.gold IS NULL AND p.private = 0 "
    "AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.battle_id = b.battle_id AND v.seq <= ?) ORDER BY b.seq LIMIT ?"
)
# Of votes: a private prompt is not in its vote.
_COUNT = f"mode = 'anonymous' AND prompt != '' AND {NOT_GOLD}"
_VOTES = (
    "SELECT seq, battle_id, prompt_id, category, image_a, image_b, winner, pair_probability, "
    "EXISTS (SELECT 1 FROM exclusions e WHERE e.vote_id = v.vote_id) AS doubtful "
    f"FROM votes v WHERE seq > ? AND seq <= ? AND {_COUNT} ORDER BY seq LIMIT ?"
)
_EXCLUSIONS = (
    "SELECT e.seq, e.reason, v.prompt_id, v.image_a, v.image_b FROM exclusions e LEFT JOIN votes v USING (vote_id) "
    "WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq LIMIT ?"
)
# The last exclusion of a vote says whether it stands.
_STANDING = (
    f"SELECT image_a, image_b, winner FROM votes v WHERE +seq <= ? AND {_COUNT} "
    "AND ((image_a = ? AND image_b = ?) OR (image_b = ? AND image_a = ?)) AND COALESCE((SELECT e.reason "
    "FROM exclusions e WHERE e.vote_id = v.vote_id ORDER BY e.created_at DESC, e.seq DESC LIMIT 1), 'restored') = 'restored'"
)


@dataclass(slots=True, eq=False)
class _Begun:
    """A pair of images that was drawn."""

    key: Key
    prompt_id: str
    category: str
    probability: float
    votes: int = 0  # that stand
    verdict: str = ""  # what they all say: the image that won, or which kind of draw; "" where they differ
    leases: int = 0
    place: tuple[str, int] | None = None  # where it waits, None where it does not

    def count(self, vote: sqlite3.Row) -> None:
        verdict = {"model_a": vote["image_a"], "model_b": vote["image_b"]}.get(vote["winner"], vote["winner"])
        if self.votes == 0:
            self.verdict = verdict if verdict not in self.key else self.key[self.key.index(verdict)]
        elif verdict != self.verdict:
            self.verdict = ""
        self.votes += 1


class Overlap:
    """Which pairs have been begun, and which of them wait for voters. For one thread at a time."""

    def __init__(self, settings: OverlapSettings, ledger: Ledger, servable: Servable):
        self.settings, self._ledger, self._servable = settings, ledger, servable
        self._lease = int(settings.lease_minutes * 60_000)
        self._of_prompt: dict[str, dict[Key, _Begun]] = {}
        self._waiting: dict[tuple[str, int], dict[Key, _Begun]] = {}  # by category and votes lacked, oldest first
        self._aside: dict[Key, _Begun] = {}  # that can't be served now
        # Of a battle its pair, and until when (milliseconds); oldest first.
        self._leases: dict[str, tuple[_Begun, int]] = {}
        self._texts: dict[str, str] = {}  # ids and categories, each kept once
        self._at = (0, 0, 0)  # the last battle, vote and exclusion that were taken in
        self.outdated = False  # votes that are counted here were erased

    def follow(self) -> None:
        """Take in the battles, votes and exclusions that came since."""
        before, self._at = self._at, tuple(self._ledger.one(_ENDS))
        try:
            self._take_in(before)
        except BaseException:  # some of it may be counted, and some not
            self.outdated = True
            raise

    def _take_in(self, before: tuple[int, int, int]) -> None:
        now = self._ledger.now()
        battles, votes, exclusions = zip(before, self._at, strict=True)
        for row in self._rows(_BATTLES, *battles, votes[1]):
            begun = self._begun(row)
            if (until := row["created_at"] + self._lease) > now:
                begun.leases += 1
                self._leases[row["battle_id"]] = begun, until
            self._place(begun)
        doubtful: dict[Key, _Begun] = {}
        for row in self._rows(_VOTES, *votes):
            begun = self._begun(row)
            self._end_lease(row["battle_id"])
            begun.count(row)
            self._place(begun)
            if row["doubtful"]:
                doubtful[begun.key] = begun
        for row in self._rows(_EXCLUSIONS, *exclusions):
            if row["prompt_id"] is None:  # the vote is erased, or is still to come
                self.outdated |= row["reason"] == "erased" and any(before)
                continue
            key = tuple(sorted((row["image_a"], row["image_b"])))
            if begun := self._of_prompt.get(row["prompt_id"], {}).get(key):
                doubtful[key] = begun
        for begun in doubtful.values():
            self._count_again(begun)
        while self._leases and self._leases[battle := next(iter(self._leases))][1] <= now:
            self._end_lease(battle)

    def draw(self, rng: random.Random, seen: Seen, category: str, again: bool) -> Draw | None:
        """The pair of this category that wants a voter most, of a prompt that is new to this one, or, `again`, of one
        that they know; None where no pair waits for them."""
        for short in range(1, (self.settings.tie_break or self.settings.voters) + 1):
            gone = []
            try:
                for begun in itertools.islice(self._waiting.get((category, short), {}).values(), _LOOKS):
                    if (begun.prompt_id in seen.prompts) != again or not seen.images.isdisjoint(begun.key):
                        continue
                    if begun.leases >= short:
                        continue
                    if found := self._servable(begun.prompt_id, *begun.key):
                        prompt, one, other = found
                        return Draw(prompt, *on_sides(rng, one, other), begun.probability)
                    gone.append(begun)
            finally:
                for begun in gone:
                    self._leave(begun)
                    self._aside[begun.key] = begun
        return None

    def again(self) -> Overlap:
        """The same, counted anew."""
        fresh = Overlap(self.settings, self._ledger, self._servable)
        fresh.follow()
        return fresh

    def begun(self, prompt_id: str, images: Mapping[str, Image]) -> set[Pair]:
        """The pairs of models whose `images` (by model) of this prompt were drawn together before."""
        pairs = self._of_prompt.get(prompt_id)
        if not pairs:
            return set()
        model_of = {image.image_id: model for model, image in images.items()}
        return {tuple(sorted((model_of[one], model_of[other])))
                for one, other in pairs if one in model_of and other in model_of}  # fmt: skip

    def pairs(self) -> tuple[int, int]:
        """How many pairs have all the votes that they want, and how many have been begun."""
        self.follow()
        begun = sum(map(len, self._of_prompt.values()))
        lacking = sum(map(len, self._waiting.values()))
        lacking += sum(pair.place is None and self._lacks(pair) > 0 for pair in self._aside.values())
        return begun - lacking, begun

    def release(self, battle_id: str) -> str | None:
        """This battle will get no vote. A pair that nobody else has or had is as if it had never been drawn: then its
        prompt is returned, of which there is a pair more to begin."""
        self.follow()
        begun = self._end_lease(battle_id)
        if begun and not begun.votes and not begun.leases:
            self._leave(begun)
            self._aside.pop(begun.key, None)
            del self._of_prompt[begun.prompt_id][begun.key]
            return begun.prompt_id
        return None

    def look_again(self) -> None:
        """What could not be served may be servable now."""
        for begun in self._aside.values():
            self._place(begun)
        self._aside.clear()

    def _rows(self, sql: str, after: int, to: int, *more: int) -> Iterator[sqlite3.Row]:
        """What the query gives of the rows `after` one `to` another, some at a time."""
        while after < to and (rows := self._ledger.all(sql, after, to, *more, _ROWS)):
            yield from rows
            after = rows[-1]["seq"]

    def _begun(self, row: sqlite3.Row) -> _Begun:
        pairs = self._of_prompt.get(row["prompt_id"])
        if pairs is None:
            pairs = self._of_prompt[self._once(row["prompt_id"])] = {}
        key = tuple(sorted((row["image_a"], row["image_b"])))
        if key not in pairs:
            key = self._once(key[0]), self._once(key[1])
            prompt_id, category = self._once(row["prompt_id"]), self._once(row["category"])
            pairs[key] = _Begun(key, prompt_id, category, row["pair_probability"])
        return pairs[key]

    def _once(self, text: str) -> str:
        return self._texts.setdefault(text, text)

    def _end_lease(self, battle_id: str) -> _Begun | None:
        begun, _ = self._leases.pop(battle_id, (None, 0))
        if begun:
            begun.leases -= 1
        return begun

    def _count_again(self, begun: _Begun) -> None:
        one, other = begun.key
        begun.votes, begun.verdict = 0, ""
        for vote in self._ledger.all(_STANDING, self._at[1], one, other, one, other):
            begun.count(vote)
        self._place(begun)

    def _lacks(self, begun: _Begun) -> int:
        """How many votes it wants still."""
        wanted = self.settings.voters
        if begun.votes >= wanted:
            wanted = begun.votes if begun.verdict else self.settings.tie_break or begun.votes
        return max(0, wanted - begun.votes)

    def _place(self, begun: _Begun) -> None:
        """Let it wait where it belongs."""
        lacks = self._lacks(begun)
        place = (begun.category, lacks) if lacks else None
        if place != begun.place:
            self._leave(begun)
            if place:
                self._waiting.setdefault(place, {})[begun.key] = begun
                begun.place = place

    def _leave(self, begun: _Begun) -> None:
        if begun.place:
            del self._waiting[begun.place][begun.key]
            begun.place = None
