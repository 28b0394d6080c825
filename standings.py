"""Where the arena's votes meet the leaderboard; nothing else knows both.

`Standings` follows the ledger: whenever somebody asks, it takes in the votes and exclusions that came since, for
the board and for the ticker, an online Elo whose change goes with every reveal.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from leaderboard.live import LiveBoard
from leaderboard.ratings import CENTRE, ELO_K

if TYPE_CHECKING:
    from arena.config import ArenaConfig
    from arena.ledger import Ledger
    from leaderboard.board import Leaderboard

log = logging.getLogger(__name__)

SCORES = {"model_a": 1.0, "model_b": 0.0, "both_good": 0.5, "both_bad": 0.5}
REMEMBERED = 1000  # changes kept for reveals that are still under way

Change = dict[str, dict[str, float]]


class Elo:
    """The ticker's ratings. Taking a vote out gives its points back, which is what counting all others again in
    their order would give, but for a small part of a point."""

    def __init__(self) -> None:
        self.ratings: dict[str, float] = {}
        self._gains: dict[str, tuple[str, str, float]] = {}  # vote -> (model_a, model_b, what a gained)
        self._out: set[str] = set()

    def take(self, vote_id: str, model_a: str, model_b: str, winner: str) -> Change:
        before = {side: self.ratings.get(model, CENTRE) for side, model in (("a", model_a), ("b", model_b))}
        expected = 1 / (1 + 10 ** ((before["b"] - before["a"]) / 400))
        gain = ELO_K * (SCORES[winner] - expected)
        self._gains[vote_id] = (model_a, model_b, gain)
        self._move(model_a, model_b, gain)
        return {"a": {"before": before["a"], "after": before["a"] + gain},
                "b": {"before": before["b"], "after": before["b"] - gain}}  # fmt: skip

    def exclude(self, vote_id: str, reason: str) -> None:
        """The latest row about a vote decides; "restored" puts it back."""
        if vote_id not in self._gains or (vote_id in self._out) == (reason != "restored"):
            return
        model_a, model_b, gain = self._gains[vote_id]
        if reason == "restored":
            self._out.remove(vote_id)
        else:
            self._out.add(vote_id)
            gain = -gain
        self._move(model_a, model_b, gain)

    def _move(self, model_a: str, model_b: str, gain: float) -> None:
        self.ratings[model_a] = self.ratings.get(model_a, CENTRE) + gain
        self.ratings[model_b] = self.ratings.get(model_b, CENTRE) - gain


class Standings:
    """Made before the arena, since the arena wants its `ticker`; `follow` then gives it the arena's ledger."""

    def __init__(self) -> None:
        self._elo = Elo()
        self._changes: deque[tuple[str, Change]] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._live = LiveBoard()
        self._votes_seen = self._exclusions_seen = 0

    def follow(self, ledger: Ledger, config: ArenaConfig) -> None:
        """Begin with all that the ledger holds."""
        known = {m.id: {"name": m.name, "organisation": m.organisation, "licence": m.licence, "demo": m.demo}
                 for m in config.models}  # fmt: skip
        self._live = LiveBoard(models=known)
        self._ledger = ledger
        self.refresh()

    def board(self) -> Leaderboard:
        """The Leaderboard of every vote that is on disk now; computed only where one came in."""
        self.refresh()
        return self._live.board()

    def ticker(self, vote: dict[str, Any]) -> Change | None:
        """What this vote, which is in the ledger, did to the Elo of both models; None where that is not known."""
        try:
            self.refresh()
        except Exception:  # the vote is on disk: nothing here may make it look refused
            log.exception("the standings could not take in a vote")
        with self._lock:
            return next((change for vote_id, change in reversed(self._changes) if vote_id == vote["vote_id"]), None)

    def refresh(self) -> None:
        """Take in what the ledger has that we have not."""
        with self._lock:
            if self._ledger is None:
                return
            votes = self._ledger.votes_after(self._votes_seen)
            if votes:
                self._live.add(row for _, row in votes)
                self._votes_seen = votes[-1][0]
            for _, row in votes:
                if row["mode"] == "anonymous":
                    change = self._elo.take(row["vote_id"], row["model_a"], row["model_b"], row["winner"])
                    self._changes.append((row["vote_id"], change))
            exclusions = self._ledger.exclusions_after(self._exclusions_seen)
            if exclusions:
                self._live.exclude(row for _, row in exclusions)
                self._exclusions_seen = exclusions[-1][0]
            for _, row in exclusions:
                self._elo.exclude(row["vote_id"], row["reason"])
