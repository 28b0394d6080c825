"""Where the arena's votes meet the leaderboard; nothing else knows both.

`Standings` follows the ledger. Whenever somebody asks it takes in the votes and exclusions that came since: for the
board, and for the ticker, an online Elo whose change goes with every reveal. For active sampling it says which pairs the
ratings want votes on. `Gallery` hands the leaderboard the images of the bank.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderboard.feedback import feedback_from_rows
from leaderboard.gains import gains_of
from leaderboard.live import LiveBoard
from leaderboard.pictures import KNOWN, Picture, Pictures
from leaderboard.ratings import CENTRE, ELO_K
from leaderboard.rich import Rich

if TYPE_CHECKING:
    from arena.bank import Bank
    from arena.config import ArenaConfig
    from arena.ledger import Ledger
    from leaderboard.board import Leaderboard
    from leaderboard.study import Study

log = logging.getLogger(__name__)

SCORES = {"model_a": 1.0, "model_b": 0.0, "both_good": 0.5, "both_bad": 0.5}
PATIENCE = 5.0  # seconds that a reader of the page waits for images to be measured
TICKED = ("vote_id", "model_a", "model_b", "winner", "mode", "extra")  # what the ticker needs of a vote
GAINS_SECONDS = 20.0  # between two computations of what the next votes are worth
JUDGED = ("vote_id", "battle_id", "voter", "mode", "model_a", "model_b", "winner", "image_a", "image_b", "extra",
          "prompt_id", "category", "sub_category", "complexity")  # what feedback needs of its vote  # fmt: skip
GLANCE = 0.5  # seconds that a reader waits for feedback to be read again
IDLE = 9.0  # times as long as reading took, nothing is read again: a tenth of a core at most
AT_ONCE = 20_000  # votes that are taken in together: a million as dicts would need gigabytes
REMEMBERED = 1000  # changes kept for reveals that are still under way

Change = dict[str, dict[str, float]]


@dataclass(slots=True)
class Counted:
    """A vote of the ticker; `gain` is what model_a got from it, 0.0 while it is excluded."""

    model_a: str
    model_b: str
    score: float
    gain: float = 0.0
    excluded: bool = False


class Elo:
    """The ticker's ratings: exactly the board's online Elo, kept up to date vote by vote."""

    def __init__(self) -> None:
        self.ratings: dict[str, float] = {}
        self._votes: list[Counted] = []
        self._place: dict[str, int] = {}
        self._early: dict[str, bool] = {}

    def take(self, vote_id: str, model_a: str, model_b: str, winner: str) -> Change:
        before = {side: self.ratings.get(model, CENTRE) for side, model in (("a", model_a), ("b", model_b))}
        self._place[vote_id] = len(self._votes)
        self._votes.append(Counted(model_a, model_b, SCORES[winner], excluded=self._early.pop(vote_id, False)))
        self._play(len(self._votes) - 1)
        return {"a": {"before": before["a"], "after": self.ratings[model_a]},
                "b": {"before": before["b"], "after": self.ratings[model_b]}}  # fmt: skip

    def exclude(self, rows: Iterable[dict[str, Any]]) -> None:
        """Go back to before the first of these votes and count again without them, or with those that are
        "restored". A vote is taken back soon after it was cast, so there is seldom much to count again. Another
        replica's exclusion may come before its vote: it is kept for then."""
        first = len(self._votes)
        for row in rows:
            place, excluded = self._place.get(row["vote_id"]), row["reason"] != "restored"
            if place is None:
                self._early[row["vote_id"]] = excluded
            elif self._votes[place].excluded != excluded:
                self._votes[place].excluded = excluded
                first = min(first, place)
        for vote in reversed(self._votes[first:]):
            self._move(vote, -vote.gain)
        for again in range(first, len(self._votes)):
            self._play(again)

    def _play(self, place: int) -> None:
        vote = self._votes[place]
        a, b = self.ratings.get(vote.model_a, CENTRE), self.ratings.get(vote.model_b, CENTRE)
        vote.gain = 0.0 if vote.excluded else ELO_K * (vote.score - 1 / (1 + 10 ** ((b - a) / 400)))
        self._move(vote, vote.gain)

    def _move(self, vote: Counted, gain: float) -> None:
        self.ratings[vote.model_a] = self.ratings.get(vote.model_a, CENTRE) + gain
        self.ratings[vote.model_b] = self.ratings.get(vote.model_b, CENTRE) - gain


class Gallery:
    """The arena's images as a shelf of `leaderboard.pictures`: those that may be shown to anybody, as they are made."""

    def __init__(self, ledger: Ledger, bank: Bank) -> None:
        self._ledger, self._bank = ledger, bank
        self._found: dict[str, Picture] = {}
        self._at, self._lock = 0, threading.Lock()

    def all(self) -> list[Picture]:
        with self._lock:
            for seq, row in self._ledger.images_after(self._at):
                self._found[row["image_id"]] = Picture(**{name: row[name] for name in KNOWN})
                self._at = seq
            return list(self._found.values())

    def find(self, image_id: str) -> Picture | None:
        if image_id not in self._found:
            self.all()
        return self._found.get(image_id)

    def read(self, image_id: str) -> bytes | None:
        if self.find(image_id) is None:
            return None
        try:
            return self._bank.read(image_id)
        except FileNotFoundError:
            return None


class Heard:
    """What the ledger's feedback says, read again in the background when more came: a reader waits for the first time
    only, and sees what was heard last until the next is worked out. Then `renewed()` is called."""

    def __init__(self, ledger: Ledger, live: LiveBoard, pictures: Pictures | None) -> None:
        self._ledger, self._live, self._pictures = ledger, live, pictures
        self._rich: Rich | None = None
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._at, self._wanted = (0, 0), False  # the last feedback and exclusion that were seen; whether to read again
        self._next = -math.inf  # when that may be

    def rich(self) -> Rich:
        """What was heard last."""
        with self._lock:
            if self._rich is None:
                self._rich = self._read()
            return self._rich

    def look(self, exclusions: int) -> None:
        """Read again where feedback came, or where an exclusion may have taken some back; for GLANCE seconds a caller
        waits for it, so that a small arena shows feedback at once."""
        given = self._ledger.feedback_after(self._at[0])
        at = (given[-1][0] if given else self._at[0], exclusions)
        if at != self._at:
            self._at, self._wanted = at, at[0] > 0
        due = self._wanted and time.monotonic() >= self._next
        if due and self._reading.acquire(blocking=False):  # let go by the thread
            self._wanted = False
            thread = threading.Thread(target=self._renew, name="feedback", daemon=True)
            thread.start()
            thread.join(GLANCE)

    def _renew(self) -> None:
        begun = time.monotonic()
        try:
            rich = self._read()
            rich.models(), rich.groups, rich.missed_words  # whoever looks finds the slow parts done
            self._rich = rich
        except Exception:  # whoever asks next reads it themselves, and is told
            log.exception("feedback could not be read")
            self._rich = None
        finally:
            self._live.renew()
            now = time.monotonic()
            self._next = now + IDLE * (now - begun)
            self._reading.release()

    def _read(self) -> Rich:
        votes = self._ledger.votes_with_feedback(JUDGED)
        exclusions = (row for _, row in self._ledger.exclusions_after(0))
        rows = (row for _, row in self._ledger.feedback_after(0))
        feedback = feedback_from_rows(rows, votes, exclusions, source="ledger")
        return Rich(feedback, self._live.study().votes, pictures=self._pictures)


class Standings:
    """Made before the arena, since the arena wants its `ticker`; `follow` then gives it the arena's ledger."""

    def __init__(self) -> None:
        self._ledger: Ledger | None = None
        self._live, self._elo = LiveBoard(), Elo()
        self._changes: deque[tuple[str, Change]] = deque(maxlen=REMEMBERED)
        # (last vote, last exclusion) that each has taken in. The board does so when it is looked at, so that a
        # vote waits for the ticker only.
        self._board_at, self._board_lock = (0, 0), threading.Lock()
        self._heard: Heard | None = None
        self._elo_at, self._elo_lock = (0, 0), threading.Lock()
        self._models: list[str] = []
        self._gains: dict[tuple[str, str], float] | None = None
        self._gains_at, self._gains_lock = -math.inf, threading.Lock()

    def follow(self, ledger: Ledger, config: ArenaConfig, bank: Bank | None = None) -> None:
        """Begin with all that the ledger holds; with the `bank`, the pages can show the images too."""
        known = {m.id: {"name": m.name, "organisation": m.organisation, "family": m.family, "licence": m.licence,
                        "parameters_b": m.parameters_b, "memory_gb": m.memory_gb, "demo": m.demo}
                 for m in config.models}  # fmt: skip
        pictures = Pictures(lambda: Gallery(ledger, bank), PATIENCE) if bank is not None else None
        self._live = LiveBoard(models=known, pictures=pictures, feedback=lambda: self._heard.rich())
        self._heard = Heard(ledger, self._live, pictures)
        self._models = sorted(m.id for m in config.contenders)
        self._ledger = ledger
        with self._elo_lock:
            self._tick()

    def board(self) -> Leaderboard:
        """The Leaderboard of every vote that is on disk now; computed only where one came in."""
        return self.study().board

    def study(self) -> Study:
        """The Study of all votes and feedback that are on disk now; the same one until more came in."""
        with self._board_lock:
            for votes, exclusions, ends in self._since(self._board_at):
                self._live.add(votes)  # what it can't take stays to be refused aloud at every look
                self._live.exclude(exclusions)
                self._board_at = ends
            if self._heard is not None:
                self._heard.look(ends[1])
        return self._live.study()

    def ticker(self, vote: dict[str, Any] | None) -> Change | None:
        """What this vote, which is in the ledger, did to the Elo of both models; None where that is not known.
        Without a vote it takes in what came from elsewhere, so that no voter waits for that."""
        with self._elo_lock:
            try:
                self._tick()
            except Exception:  # the vote is on disk: nothing here may make it look refused
                log.exception("the ticker could not take in a vote")
            if vote is None:
                return None
            return next((change for vote_id, change in reversed(self._changes) if vote_id == vote["vote_id"]), None)

    def gains(self) -> dict[tuple[str, str], float] | None:
        """How much one more vote on each pair of contenders narrows the ratings' intervals, for `arena.matchmaking`; as it
        was found last, at once. It is found again in the background; None until it first was."""
        due = self._ledger is not None and time.monotonic() - self._gains_at > GAINS_SECONDS
        if due and self._gains_lock.acquire(blocking=False):  # let go by the thread
            threading.Thread(target=self._find_gains, name="gains", daemon=True).start()
        return self._gains

    def _find_gains(self) -> None:
        try:
            self._gains = gains_of(self.study().votes, self._models)
        except Exception:  # draws go on by what was known before
            log.exception("what the next votes are worth could not be worked out")
        finally:
            self._gains_at = time.monotonic()
            self._gains_lock.release()

    def _tick(self) -> None:
        for votes, exclusions, ends in self._since(self._elo_at, TICKED):
            self._elo_at = ends
            for row in votes:
                if row["mode"] == "anonymous" and '"gold":' not in row["extra"]:  # a known answer is no result
                    change = self._elo.take(row["vote_id"], row["model_a"], row["model_b"], row["winner"])
                    self._changes.append((row["vote_id"], change))
            self._elo.exclude(exclusions)

    def _since(self, at: tuple[int, int], columns: Collection[str] | None = None
               ) -> Iterator[tuple[list[dict], list[dict], tuple[int, int]]]:  # fmt: skip
        """(votes, exclusions) of the ledger after the two places `at`, some at a time, each with the places to go on
        from. An exclusion may come before its vote."""
        more = self._ledger is not None
        while more:
            exclusions = self._ledger.exclusions_after(at[1])
            votes = self._ledger.votes_after(at[0], columns, AT_ONCE)
            more = len(votes) == AT_ONCE
            at = (votes[-1][0] if votes else at[0], exclusions[-1][0] if exclusions else at[1])
            yield [row for _, row in votes], [row for _, row in exclusions], at
