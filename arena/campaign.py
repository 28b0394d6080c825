"""A campaign: feedback that is collected on purpose. What each voter is asked, whether they owe an answer, how far it is.

Which pair a voter gets next is matchmaking's (`Overlap`); known answers are `arena.gold`'s. Everything that is told here
follows from the ledger, read as it grows, so that asking costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.bank import MEDIA_TYPE, shown_picture
from arena.campaign_config import CampaignSettings, FeedbackSettings
from arena.config import ArenaConfig
from arena.errors import BadFeedback, ConfigError, TaskFirst, UnknownBattle
from arena.ledger import Ledger
from arena.records import dumps, feedback_id

SIDES = ("a", "b")
RANKED = 20  # voters of the ranking that are told
AT_ONCE = 20_000  # votes that are read together
LOOKED_AT = 20  # of a voter's last votes, whether they owe feedback
EXAMPLE_PATH = "/arena/guide/"
EXAMPLE_PX = 512  # the side of the box that a guideline's example is shown in
DAY = 86_400_000


class CampaignDesk:
    """`config.campaign`, whose pictures lie under `folder`; an arena without one asks everybody the same, and nobody owes
    anything. `pairs()` gives (complete, begun) pairs of images, or None. Raises ConfigError for what is no picture."""

    def __init__(self, config: ArenaConfig, ledger: Ledger, folder: Path,
                 pairs: Callable[[], tuple[int, int] | None] = lambda: None):  # fmt: skip
        self.settings: CampaignSettings | None = config.campaign
        self._config, self._ledger, self._pairs = config, ledger, pairs
        self._groups = [(share, config.feedback if asks is None else config.feedback.only(asks))
                        for share, asks in (config.campaign.groups() if config.campaign else [(1.0, None)])]  # fmt: skip
        self._pictures = [_picture(place, folder / path) for place, path in self._examples()]
        self._counts = Counts(ledger, config.campaign)

    # -- what is asked -------------------------------------------------------------------------------------

    def asked(self, voter: str) -> FeedbackSettings:
        """What this voter is asked after a vote: always the same, by a hash of voter and campaign."""
        if self.settings is None or len(self._groups) == 1:
            return self._groups[0][1]
        digest = hashlib.sha256(f"{self.settings.title}\x1f{voter}".encode()).digest()
        place = int.from_bytes(digest[:8]) / 2**64 * sum(share for share, _ in self._groups)
        for share, asked in self._groups:
            place -= share
            if place < 0:
                return asked
        return self._groups[-1][1]

    def asks(self, voter: str) -> list[str]:
        return self.asked(voter).asks()

    @property
    def required(self) -> bool:
        return self.settings is not None and self.settings.feedback == "required"

    def check(self, said: dict[str, Any], asked: FeedbackSettings, placed: Iterable[str] = ()) -> None:
        """Where feedback is required, every question is to be answered, and of the criteria `placed` where: nowhere is
        an answer. Raises BadFeedback, which names the key."""
        if not self.required:
            return
        for name in asked.criteria:
            if said[name] is None:
                raise BadFeedback(f"{'errors' if name == 'coherence' else name}: is to be answered here.")
        if asked.words and said["misaligned_words"] is None:
            raise BadFeedback("misaligned_words: mark the words that it misses, or say that there are no mistakes.")
        for name in placed:
            if said[f"{name}_points"] is None:
                raise BadFeedback(f"{name}_points: is to be answered here; [] where there is nothing to mark.")

    def extra(self, asked: FeedbackSettings) -> dict[str, Any]:
        """What a row of feedback says of it: null in a column that is not among `asked` was not asked for."""
        return {"asked": asked.asks()} if self.settings else {}

    # -- who owes what -------------------------------------------------------------------------------------

    def owed(self, voter: str) -> dict[str, Any] | None:
        """{"battle_id", "winner", "sides"} of the oldest battle of the bank that this voter voted on and whose feedback is
        still to come, for the sides that lack it; None where nothing is owed."""
        if not (self.required and self.asked(voter).enabled):
            return None
        oldest = self._ledger.now() - int(self._config.limits.battle_hours * 3_600_000)
        rows = self._ledger.all(
            "SELECT v.vote_id, v.battle_id, v.winner FROM votes v JOIN battles b USING (battle_id) WHERE v.voter = ? AND "
            "v.created_at >= ? AND v.served_from = 'bank' AND NOT EXISTS (SELECT 1 FROM exclusions e WHERE e.vote_id = "
            "v.vote_id) ORDER BY v.created_at DESC, v.seq DESC LIMIT ?", voter, oldest, LOOKED_AT)  # fmt: skip
        for row in reversed(rows):
            ids = {side: feedback_id(row["vote_id"], side) for side in SIDES}
            given = {found["feedback_id"] for found in self._ledger.all(
                "SELECT feedback_id FROM feedback WHERE feedback_id IN (?, ?)", *ids.values())}  # fmt: skip
            if sides := [side for side in SIDES if ids[side] not in given]:
                return {"battle_id": row["battle_id"], "winner": row["winner"], "sides": sides}
        return None

    def may_go_on(self, voter: str, battle_id: str | None = None) -> None:
        """Raises TaskFirst while the voter owes feedback on a battle, or, with one given, on another than this."""
        owed = self.owed(voter)
        if owed and owed["battle_id"] != battle_id:
            raise TaskFirst("First say what you think of the two images before this battle.")

    # -- what is told --------------------------------------------------------------------------------------

    def meta(self) -> dict[str, Any] | None:
        """What is the same for everybody: title and guidelines, with the addresses of their pictures."""
        if self.settings is None:
            return None
        at = iter(range(len(self._pictures)))
        guidelines = [
            {"title": row.title, "text": row.text, "examples": [
                {"text": example.text, **{name: f"{EXAMPLE_PATH}{next(at)}" if getattr(example, name) else None
                                          for name in ("good", "bad")}} for example in row.examples]}
            for row in self.settings.guidelines
        ]  # fmt: skip
        version = hashlib.sha256(dumps(guidelines).encode()).hexdigest()[:12]  # who read others is shown them again
        return {"title": self.settings.title, "guidelines": guidelines, "version": version, "required": self.required,
                "target": self.settings.target, "ranking": self.settings.ranking}  # fmt: skip

    def progress(self, voter: str) -> dict[str, Any] | None:
        """How far this voter and the campaign are, and what the voter is asked; None where there is no campaign."""
        if self.settings is None:
            return None
        counts, pairs = self._counts.follow(), self._pairs()
        named = {row["voter"] for row in self._ledger.all("SELECT voter FROM named_voters")}
        told = {
            "you": {"answers": counts.of[voter], "today": counts.today[voter]},
            "campaign": {"answers": counts.answers, "target": self.settings.target, "voters": counts.voters(),
                         "pairs": {"complete": pairs[0], "begun": pairs[1]} if pairs else None},
            "asked": self.asked(voter).model_dump(),
        }  # fmt: skip
        if self.settings.ranking:
            told["ranking"] = counts.ranking(voter, named)
        return told

    def example(self, place: int) -> tuple[bytes, str]:
        """(bytes, media type) of a guideline's picture. Raises UnknownBattle."""
        if not 0 <= place < len(self._pictures):
            raise UnknownBattle("There is no such picture.")
        return self._pictures[place], MEDIA_TYPE

    def _examples(self) -> list[tuple[str, str]]:
        return [(f"campaign.guidelines[{k}].examples[{m}].{name}", getattr(example, name))
                for k, row in enumerate(self.settings.guidelines if self.settings else ())
                for m, example in enumerate(row.examples) for name in ("good", "bad") if getattr(example, name)]  # fmt: skip


_VOTES = "v.mode = 'anonymous' AND v.served_from = 'bank' AND v.created_at >= ?"
_SAID = ("SELECT v.vote_id, v.voter, v.created_at, v.extra, COUNT(*) AS sides FROM feedback f JOIN votes v USING (battle_id) "
         f"WHERE f.seq > ? AND f.seq <= ? AND v.seq <= ? AND {_VOTES} GROUP BY v.vote_id")  # fmt: skip


class Counts:
    """The campaign's answers, read from the ledger as they come. An answer is an anonymous vote on a battle of the bank
    that stands, and, where feedback is required, has it for both images. Of a voter, tasks with a known answer count too:
    they are work, and a count that stood still would give them away. Of the campaign they do not."""

    def __init__(self, ledger: Ledger, settings: CampaignSettings | None):
        self._ledger, self._lock = ledger, threading.Lock()
        since = settings.since if settings else None
        self._since = int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp() * 1000) if since else 0
        self._required = settings is not None and settings.feedback == "required"
        self._begin()

    def follow(self) -> Counts:
        """Take in what came since; returns itself."""
        with self._lock:
            exclusions = self._ledger.exclusions_after(self._excluded)
            # Of a vote that is erased nobody knows any more whose it was.
            if any(row["reason"] == "erased" for _, row in exclusions):
                self._begin()
                exclusions = self._ledger.exclusions_after(0)
            if (today := self._ledger.now() // DAY) != self._day:
                self.today.clear()
                self._day = today
            while rows := self._ledger.all(
                "SELECT seq, vote_id, voter, created_at, extra FROM votes v WHERE seq > ? AND "
                f"{_VOTES} ORDER BY seq LIMIT ?", self._voted, self._since, AT_ONCE
            ):  # fmt: skip
                for row in rows:
                    # Another replica's exclusion, or feedback, may come before its vote.
                    if row["vote_id"] not in self._out and self._is_whole(row["vote_id"]):
                        self._count(row, 1)
                self._voted = rows[-1]["seq"]
            self._follow_feedback()
            for seq, exclusion in exclusions:
                self._exclude(exclusion)
                self._excluded = seq
        return self

    def _follow_feedback(self) -> None:
        """Votes that have what is required of them now, and had not until here."""
        end = self._ledger.one("SELECT MAX(seq) AS seq FROM feedback")["seq"] or 0 if self._required else 0
        while self._said < end:
            to = min(end, self._said + AT_ONCE)
            for row in self._ledger.all(_SAID, self._said, to, self._voted, self._since):
                lacked = len(SIDES) - row["sides"]  # mostly none: both came together
                if row["vote_id"] not in self._out and (not lacked or self._sides(row["vote_id"]) == lacked):
                    self._count(row, 1)
            self._said = to

    def _is_whole(self, vote_id: str) -> bool:
        """Whether a vote has what is required of it, by what has been taken in."""
        return not self._required or self._sides(vote_id) == len(SIDES)

    def _sides(self, vote_id: str) -> int:
        """For how many images of a vote there is feedback, by what has been taken in."""
        if self._said == 0:
            return 0
        ids = [feedback_id(vote_id, side) for side in SIDES]
        sql = "SELECT COUNT(*) AS n FROM feedback WHERE feedback_id IN (?, ?) AND seq <= ?"
        return self._ledger.one(sql, *ids, self._said)["n"]

    def voters(self) -> int:
        """How many have an answer that stands."""
        with self._lock:
            return sum(n > 0 for n in self.of.values())

    def ranking(self, voter: str, named: set[str]) -> dict[str, Any]:
        """The voters with most answers among those who agreed to be named, this one always where they did, and how many
        others there are. Equal answers have equal places."""
        with self._lock:
            listed = [
                (n, self._names[who], who)
                for who, n in self.of.items()
                if n > 0 and who in named and who in self._names
            ]
            everybody = sum(n > 0 for n in self.of.values())
        listed.sort(key=lambda row: (-row[0], row[1]))
        rows = [{"place": 1 + sum(other > n for other, _, _ in listed), "name": name, "answers": n, "you": who == voter}
                for at, (n, name, who) in enumerate(listed) if at < RANKED or who == voter]  # fmt: skip
        return {"named": rows, "others": everybody - len(rows)}

    def _begin(self) -> None:
        self.answers, self.of, self.today = 0, Counter(), Counter()
        self._names: dict[str, str] = {}
        self._voted = self._said = self._excluded = 0  # the last vote, feedback and exclusion that were taken in
        self._day, self._out = self._ledger.now() // DAY, set()

    def _count(self, row, sign: int) -> None:
        self.of[row["voter"]] += sign
        self.today[row["voter"]] += sign * (row["created_at"] // DAY == self._day)
        self.answers += 0 if '"gold":' in row["extra"] else sign
        if '"voter_name":' in row["extra"]:
            self._names[row["voter"]] = str(json.loads(row["extra"])["voter_name"])

    def _exclude(self, exclusion: dict[str, Any]) -> None:
        vote_id, out = exclusion["vote_id"], exclusion["reason"] != "restored"
        if (vote_id in self._out) != out and exclusion["reason"] != "erased":
            row = self._ledger.one("SELECT voter, created_at, extra FROM votes v WHERE vote_id = ? AND seq <= ? AND "
                                   f"{_VOTES}", vote_id, self._voted, self._since)  # fmt: skip
            (self._out.add if out else self._out.discard)(vote_id)
            if row and self._is_whole(vote_id):
                self._count(row, -1 if out else 1)


def _picture(place: str, path: Path) -> bytes:
    try:
        return shown_picture(path.read_bytes(), EXAMPLE_PX)
    except Exception as error:  # Pillow raises many kinds for what is no picture
        raise ConfigError(f"{place}: {path.name}: is no picture that can be shown ({error})") from None
