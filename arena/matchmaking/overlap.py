"""Overlap: several voters for each pair of images, so that their agreement can be measured.

A pair that was drawn goes to `voters` voters, and where their outcomes are not all the same on to `tie_break` voters,
as the annotators of Open Image Preferences got it; then it is served no more. Pairs that lack fewest votes come first,
the longest waiting among them. A battle is a lease: while it is young and has no vote, its place is taken; later it goes
to somebody else. A vote that comes after that still counts, so a pair can have one more than it needs.

All of it follows from the ledger's battles, votes and exclusions, so a restart changes nothing, and votes that came from
the dataset count; replicas that share a dataset each have leases of their own. The probability of such a battle is that with which its pair was drawn the first time: the voters who
come after the first do not draw.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from arena.config import OverlapSettings
from arena.ledger import Ledger
from arena.matchmaking.draws import Draw, Seen, on_sides
from arena.matchmaking.pairs import Pair
from arena.records import Image, Prompt
from arena.tables import NOT_GOLD

Key = tuple[str, str]  # the ids of two images, in order

# (prompt_id, image_id, image_id) -> what is to be served; None where it can't be, now or ever.
Servable = Callable[[str, str, str], tuple[Prompt, Image, Image] | None]


@dataclass(slots=True, eq=False)
class _Begun:
    """A pair of images that was drawn."""

    key: Key
    prompt_id: str
    category: str
    probability: float
    verdicts: dict[str, str] = field(default_factory=dict)  # vote -> image that won, or which kind of draw
    leases: dict[str, int] = field(default_factory=dict)  # battle -> until when (milliseconds)
    place: tuple[str, int] | None = None  # where it waits, None where it does not


class Overlap:
    """Which pairs have been begun, and which of them wait for voters. For one thread at a time."""

    def __init__(self, settings: OverlapSettings, ledger: Ledger, servable: Servable):
        self.settings, self._ledger, self._servable = settings, ledger, servable
        self._lease = int(settings.lease_minutes * 60_000)
        self._of_prompt: dict[str, dict[Key, _Begun]] = {}
        self._waiting: dict[tuple[str, int], dict[Key, _Begun]] = {}  # by category and votes lacked, oldest first
        self._aside: list[_Begun] = []  # that can't be served now
        self._votes: dict[str, tuple[_Begun, str]] = {}
        self._excluded: set[str] = set()
        self._leases: dict[str, _Begun] = {}
        self._at = (0, 0, 0)  # the last battle, vote and exclusion that were taken in

    def follow(self) -> None:
        """Take in the battles, votes and exclusions that came since."""
        battle, vote, exclusion = self._at
        rows = self._ledger.all(
            "SELECT b.rowid AS at, b.*, p.category FROM battles b JOIN prompts p USING (prompt_id) "
            "WHERE b.rowid > ? AND b.voided IS NULL AND b.mode = 'anonymous' AND p.private = 0 AND b.gold IS NULL "
            "ORDER BY b.rowid",
            battle)  # fmt: skip
        for row in rows:
            battle = row["at"]
            begun = self._begun(row)
            begun.leases[row["battle_id"]] = row["created_at"] + self._lease
            self._leases[row["battle_id"]] = begun
            self._place(begun)
        rows = self._ledger.all(
            "SELECT seq, vote_id, battle_id, prompt_id, category, image_a, image_b, winner, pair_probability FROM votes "
            f"WHERE seq > ? AND mode = 'anonymous' AND prompt != '' AND {NOT_GOLD} ORDER BY seq", vote)  # fmt: skip
        for row in rows:  # a private prompt is not in its vote
            vote = row["seq"]
            begun = self._begun(row)
            self._end_lease(row["battle_id"])
            verdict = {"model_a": row["image_a"], "model_b": row["image_b"]}.get(row["winner"], row["winner"])
            self._votes[row["vote_id"]] = begun, verdict
            self._count(row["vote_id"])
        for row in self._ledger.all(
            "SELECT seq, vote_id, reason FROM exclusions WHERE seq > ? ORDER BY seq", exclusion
        ):
            exclusion = row["seq"]
            (self._excluded.discard if row["reason"] == "restored" else self._excluded.add)(row["vote_id"])
            self._count(row["vote_id"])
        self._at = battle, vote, exclusion

    def draw(self, rng: random.Random, seen: Seen, category: str, again: bool) -> Draw | None:
        """The pair of this category that wants a voter most, of a prompt that is new to this one, or, `again`, of one
        that they know; None where no pair waits for them."""
        now = self._ledger.now()
        for short in range(1, (self.settings.tie_break or self.settings.voters) + 1):
            gone = []
            try:
                for begun in self._waiting.get((category, short), {}).values():
                    if (begun.prompt_id in seen.prompts) != again or not seen.images.isdisjoint(begun.key):
                        continue
                    if sum(until > now for until in begun.leases.values()) >= short:
                        continue
                    if found := self._servable(begun.prompt_id, *begun.key):
                        prompt, one, other = found
                        return Draw(prompt, *on_sides(rng, one, other), begun.probability)
                    gone.append(begun)
            finally:
                for begun in gone:
                    self._leave(begun)
                self._aside += gone
        return None

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
        begun = [pair for pairs in self._of_prompt.values() for pair in pairs.values()]
        waiting = {id(pair) for pair in self._aside}
        return sum(pair.place is None and id(pair) not in waiting for pair in begun), len(begun)

    def release(self, battle_id: str) -> None:
        """This battle will get no vote. A pair that nobody else has or had is as if it had never been drawn."""
        self.follow()
        begun = self._end_lease(battle_id)
        if begun and not begun.verdicts and not begun.leases:
            self._leave(begun)
            del self._of_prompt[begun.prompt_id][begun.key]

    def look_again(self) -> None:
        """What could not be served may be servable now."""
        for begun in self._aside:
            self._place(begun)
        self._aside.clear()

    def _begun(self, row) -> _Begun:
        key = tuple(sorted((row["image_a"], row["image_b"])))
        pairs = self._of_prompt.setdefault(row["prompt_id"], {})
        if key not in pairs:
            pairs[key] = _Begun(key, row["prompt_id"], row["category"], row["pair_probability"])
        return pairs[key]

    def _end_lease(self, battle_id: str) -> _Begun | None:
        begun = self._leases.pop(battle_id, None)
        if begun:
            begun.leases.pop(battle_id, None)
        return begun

    def _count(self, vote_id: str) -> None:
        if vote_id in self._votes:
            begun, verdict = self._votes[vote_id]
            if vote_id in self._excluded:
                begun.verdicts.pop(vote_id, None)
            else:
                begun.verdicts[vote_id] = verdict
            self._place(begun)

    def _place(self, begun: _Begun) -> None:
        """Let it wait where it belongs."""
        votes, wanted = len(begun.verdicts), self.settings.voters
        if votes >= wanted:
            agreed = len(set(begun.verdicts.values())) == 1
            wanted = votes if agreed else self.settings.tie_break or votes
        place = (begun.category, wanted - votes) if wanted > votes else None
        if place != begun.place:
            self._leave(begun)
            if place:
                self._waiting.setdefault(place, {})[begun.key] = begun
                begun.place = place

    def _leave(self, begun: _Begun) -> None:
        if begun.place:
            del self._waiting[begun.place][begun.key]
            begun.place = None
