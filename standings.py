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
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from leaderboard.feedback import feedback_from_rows
from leaderboard.gains import gains_of
from leaderboard.live import LiveBoard
from leaderboard.pictures import KNOWN, Picture, Pictures
from leaderboard.rich import Rich
from leaderboard.sources import OPTIONAL, REQUIRED
from leaderboard.ticker import Ticker

if TYPE_CHECKING:
    from arena.bank import Bank
    from arena.config import ArenaConfig
    from arena.ledger import Ledger
    from leaderboard.board import Leaderboard
    from leaderboard.study import Study

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds that a reader of the page waits for images to be measured
TICKED = ("vote_id", "model_a", "model_b", "winner", "mode", "extra")  # what the ticker needs of a vote
GAINS_SECONDS = 20.0  # between two computations of what the next votes are worth
JUDGED = ("vote_id", "battle_id", "voter", "mode", "model_a", "model_b", "winner", "image_a", "image_b", "extra",
          "prompt_id", "category", "sub_category", "complexity")  # what feedback needs of its vote  # fmt: skip
GLANCE = 0.5  # seconds that a reader waits for feedback to be read again
IDLE = 9.0  # times as long as reading took, nothing is read again: a tenth of a core at most
AT_ONCE = 50_000  # votes that are taken in together
VOTED = (*REQUIRED, *OPTIONAL)  # what the board reads of a vote

Change = dict[str, dict[str, float]]


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
        at = (self._ledger.last("feedback"), exclusions)
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
        self._live, self._elo = LiveBoard(), Ticker()
        # (last vote, last exclusion) that each has taken in. The board does so when it is looked at, so that a
        # vote waits for the ticker only.
        self._board_at, self._board_lock = (0, 0), threading.Lock()
        self._heard: Heard | None = None
        self._elo_at, self._elo_lock = (0, 0), threading.Lock()
        self._behind = False  # the ticker counts in the background
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
        if self._tick():
            self._count_on()

    def board(self) -> Leaderboard:
        """The Leaderboard of every vote that is on disk now; computed only where one came in."""
        return self.study().board

    def study(self) -> Study:
        """The Study of all votes and feedback that are on disk now; the same one until more came in."""
        with self._board_lock:
            for votes, exclusions, ends in self._since(self._board_at, VOTED):
                if len(votes["vote_id"]):
                    self._live.take(votes)  # what it can't take stays to be refused aloud at every look
                self._live.exclude(exclusions)
                self._board_at = ends
            if self._heard is not None:
                self._heard.look(ends[1])
        return self._live.study()

    def ticker(self, vote: dict[str, Any] | None) -> Change | None:
        """What this vote, which is in the ledger, did to the Elo of both models; None where that is not known, as while
        many votes are counted: nobody waits for that. Without a vote it takes in all that came from elsewhere."""
        if vote is None:
            self._catch_up()
            return None
        if self._behind:
            return None
        try:
            if self._tick():
                self._count_on()
        except Exception:  # the vote is on disk: nothing here may make it look refused
            log.exception("the ticker could not take in a vote")
        return self._elo.change(vote["vote_id"])

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

    def _tick(self) -> bool:
        """Count what came since, AT_ONCE votes at most; whether more is left."""
        with self._elo_lock:
            self._behind = False
            if self._ledger is None:
                return False
            votes, exclusions, self._elo_at = next(self._since(self._elo_at, TICKED))
            more = len(votes["vote_id"]) == AT_ONCE
            # A vote on a task with a known answer is no result.
            cells = (column if isinstance(column, list) else column.to_pylist() for column in map(votes.get, TICKED))
            rows = [row[:4] for row in zip(*cells, strict=True) if row[4] == "anonymous" and '"gold":' not in row[5]]
            self._elo.exclude(exclusions)
            if rows:
                self._elo.add(*map(list, zip(*rows, strict=True)))
            self._elo.count(AT_ONCE)
            self._behind = more or self._elo.behind > 0
            return self._behind

    def _catch_up(self) -> None:
        try:
            while self._tick():
                pass
        except Exception:
            log.exception("the ticker could not take in votes")

    def _count_on(self) -> None:
        threading.Thread(target=self._catch_up, name="ticker", daemon=True).start()

    def _since(self, at: tuple[int, int], columns: Collection[str]
               ) -> Iterator[tuple[dict[str, Any], list[dict], tuple[int, int]]]:  # fmt: skip
        """(columns of votes, exclusions) of the ledger after the two places `at`, some at a time, each with the places to
        go on from. An exclusion may come before its vote."""
        while self._ledger is not None:
            exclusions = self._ledger.exclusions_after(at[1])
            places, votes = self._ledger.vote_columns(at[0], columns, AT_ONCE)
            at = (places[-1] if places else at[0], exclusions[-1][0] if exclusions else at[1])
            yield votes, [row for _, row in exclusions], at
            if len(places) < AT_ONCE:
                return
