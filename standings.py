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
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderboard.feedback import feedback_from_rows
from leaderboard.gains import gains_of
from leaderboard.live import LiveBoard
from leaderboard.pictures import KNOWN, Picture, Pictures
from leaderboard.ratings import CENTRE, ELO_K

if TYPE_CHECKING:
    from arena.bank import Bank
    from arena.config import ArenaConfig
    from arena.ledger import Ledger
    from leaderboard.board import Leaderboard
    from leaderboard.feedback import Feedback
    from leaderboard.study import Study

log = logging.getLogger(__name__)

SCORES = {"model_a": 1.0, "model_b": 0.0, "both_good": 0.5, "both_bad": 0.5}
PATIENCE = 5.0  # seconds that a reader of the page waits for images to be measured
TICKED = ("vote_id", "model_a", "model_b", "winner", "mode", "extra")  # what the ticker needs of a vote
GAINS_SECONDS = 20.0  # between two computations of what the next votes are worth
JUDGED = ("vote_id", "battle_id", "voter", "mode", "model_a", "model_b", "winner", "image_a", "image_b", "extra",
          "prompt_id", "category", "sub_category", "complexity")  # what feedback needs of its vote  # fmt: skip
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


def _feedback(ledger: Ledger) -> Feedback:
    """All feedback that is on disk now, with the votes that it goes with."""
    votes = (row for _, row in ledger.votes_after(0, JUDGED))
    exclusions = (row for _, row in ledger.exclusions_after(0))
    return feedback_from_rows((row for _, row in ledger.feedback_after(0)), votes, exclusions, source="ledger")


class Standings:
    """Made before the arena, since the arena wants its `ticker`; `follow` then gives it the arena's ledger."""

    def __init__(self) -> None:
        self._ledger: Ledger | None = None
        self._live, self._elo = LiveBoard(), Elo()
        self._changes: deque[tuple[str, Change]] = deque(maxlen=REMEMBERED)
        # (last vote, last exclusion) that each has taken in. The board does so when it is looked at, so that a
        # vote waits for the ticker only.
        self._board_at, self._board_lock, self._feedback_at = (0, 0), threading.Lock(), 0
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
        self._live = LiveBoard(models=known, pictures=pictures, feedback=lambda: _feedback(ledger))
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
            votes, exclusions, ends = self._since(self._board_at)
            self._live.add(votes)  # what it can't take stays to be refused aloud at every look
            self._live.exclude(exclusions)
            self._board_at = ends
            if self._ledger is not None and (given := self._ledger.feedback_after(self._feedback_at)):
                self._feedback_at = given[-1][0]
                self._live.renew()
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
        votes, exclusions, self._elo_at = self._since(self._elo_at, TICKED)
        for row in votes:
            if row["mode"] == "anonymous" and '"gold":' not in row["extra"]:  # a known answer is no result
                change = self._elo.take(row["vote_id"], row["model_a"], row["model_b"], row["winner"])
                self._changes.append((row["vote_id"], change))
        self._elo.exclude(exclusions)

    def _since(self, at: tuple[int, int], columns: Collection[str] | None = None
               ) -> tuple[list[dict], list[dict], tuple[int, int]]:  # fmt: skip
        """(votes, exclusions) of the ledger after the two places `at`, and the places to go on from."""
        if self._ledger is None:
            return [], [], at
        # In this order: an exclusion's vote is always taken in before it.
        exclusions = self._ledger.exclusions_after(at[1])
        votes = self._ledger.votes_after(at[0], columns)
        ends = (votes[-1][0] if votes else at[0], exclusions[-1][0] if exclusions else at[1])
        return [row for _, row in votes], [row for _, row in exclusions], ends
