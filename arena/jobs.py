"""A visitor's request on its way: its phases, and what its visitor may know of it at which moment.

Both follow from when its turn came, the release times and the clock, and from nothing that the models do (`arena.pace`).
"""

from __future__ import annotations

import contextvars
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from arena.backends.base import Cancelled
from arena.pace import Plan
from arena.records import new_id

TICK = 0.2  # seconds between two looks at a job's progress, counted from its beginning
_CLOSE = 1e-6  # seconds that are none


@dataclass(frozen=True, slots=True)
class Drawn:
    """Pictures by `models` that nobody knows of yet. `show()` makes their battle and returns the event's payload;
    `drop()` forgets them."""

    models: tuple[str, ...]
    show: Callable[[], dict[str, Any]]
    drop: Callable[[], None] = lambda: None


@dataclass(eq=False)
class LiveJob:
    """`work(cancelled)` makes the images; it runs in the caller's context, since ZeroGPU finds the visitor's quota
    there. Times are of the studio's clock, in seconds."""

    voter: str
    work: Callable[[Cancelled], Drawn]
    ticket: str = field(default_factory=new_id)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    phase: str = "queued"  # queued, drawing, done, error
    payload: dict[str, Any] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)
    plan: Plan | None = None  # from when it is drawing
    begun: bool = False  # by the thread, which may be a little later
    drawn: Drawn | None = None
    due: float = math.inf
    queued: float = 0.0
    started: float = 0.0
    finished: float = 0.0

    def progress(self, now: float) -> float:
        return round(self.plan.progress(self._ticks(now)), 2)

    def remaining(self, now: float) -> float:
        """The seconds that a battle which is not shown yet is expected to take, whichever pair it is of."""
        return self.plan.remaining(self._ticks(now))

    def next_look(self, now: float) -> float:
        """When a follower looks again if nothing is said before: at moments that depend on nothing but the job's
        beginning and the release times, or else the moment of an event would tell when something hidden happened."""
        began = self.started if self.phase == "drawing" else self.queued
        tick = began + (math.floor((now - began) / TICK + _CLOSE) + 1) * TICK
        return min(tick, began + self.plan.next_time(now - began + _CLOSE)) if self.phase == "drawing" else tick

    def _ticks(self, now: float) -> float:
        return math.floor((now - self.started) / TICK + _CLOSE) * TICK
