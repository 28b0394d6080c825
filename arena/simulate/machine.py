"""Simulated time, and one simulated GPU: what it holds, what it is doing, and who waits for it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from arena.costs import Cost


class Events:
    """Calls in the order of their times, in seconds; calls at one time come in the order in which they were asked
    for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, time: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time, next(self._count), call))

    def run(self, until: float = math.inf) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, call = heapq.heappop(self._heap)
            call()


@dataclass(eq=False)
class Job:
    """An image of each of `models()`, which is asked when the work begins; then `done(seconds it took)` is called."""

    models: Callable[[], tuple[str, ...]]
    done: Callable[[float], None]
    filling: bool = False
    lost: Callable[[], None] = lambda: None  # the bank's job was broken off
    begun: float = math.nan
    generating: float = math.nan  # when the first image that needs no load begins; loads are never broken off
    ended: bool = False


@dataclass
class Machine:
    """Live jobs one after the other, in order; where none waits, what `refill()` returns. A job of the bank gives way
    to a live one as soon as nothing is being loaded, and its work is lost, as in `arena.studio`.

    `hold(seconds, models)` is how long after its beginning a live job that took so long keeps the next one waiting
    (see `arena.pace`).
    """

    events: Events
    costs: Mapping[str, Cost]
    memory_gb: float
    load_gb_s: float
    refill: Callable[[], Job | None] = lambda: None
    hold: Callable[[float, tuple[str, ...]], float] = lambda seconds, models: seconds
    images: int = 0
    generating_s: float = 0.0
    loading_s: float = 0.0
    loaded: OrderedDict[str, float] = field(default_factory=OrderedDict)  # model -> GB, least recently used first
    _queue: deque[Job] = field(default_factory=deque)
    _current: Job | None = None
    _held: bool = False  # a live job is over but not shown yet

    def submit(self, job: Job) -> None:
        self._queue.append(job)
        self._live_first()
        self.turn()

    def withdraw(self, job: Job) -> None:
        """Give up a job that has not begun."""
        if job in self._queue:
            self._queue.remove(job)

    def turn(self) -> None:
        """Begin what comes next, if nothing is being done."""
        if self._current is not None:
            return
        if self._queue and not self._held:
            self._begin(self._queue.popleft())
        elif job := self.refill():
            self._begin(job)

    def _live_first(self) -> None:
        """A live job may begin: the bank's gives way, unless a model is just being loaded for it."""
        now, job = self.events.now, self._current
        if self._queue and not self._held and job is not None and job.filling and now >= job.generating:
            self.generating_s += now - job.generating  # for nothing
            self.loading_s += job.generating - job.begun
            job.ended, self._current = True, None
            job.lost()

    def _begin(self, job: Job) -> None:
        self._current, now = job, self.events.now
        job.begun = now
        models = job.models()
        load = sum(self._load(model) for model in models)
        draw = sum(self.costs[model].seconds for model in models)
        job.generating = now + load
        if job.filling and load:  # who came meanwhile goes before the bank
            self.events.at(now + load, lambda: (None if job.ended else self._live_first(), self.turn()))
        self.events.at(now + load + draw, lambda: self._finish(job, load, draw, models))

    def _finish(self, job: Job, load: float, draw: float, models: tuple[str, ...]) -> None:
        if job.ended:
            return
        job.ended, self._current = True, None
        self.loading_s += load
        self.generating_s += draw
        self.images += len(models)
        if job.filling:
            job.done(load + draw)
        else:
            self._held = True
            shown = job.begun + max(load + draw, self.hold(load + draw, models))
            self.events.at(shown, lambda: self._release(job, load + draw))
        self.turn()

    def _release(self, job: Job, took: float) -> None:
        self._held = False
        job.done(took)
        self._live_first()
        self.turn()

    def _load(self, model: str) -> float:
        """Seconds until the model is in memory; those used longest ago make room."""
        if model in self.loaded:
            self.loaded.move_to_end(model)
            return 0.0
        wanted = self.costs[model].memory_gb
        while self.loaded and sum(self.loaded.values()) + wanted > self.memory_gb:
            self.loaded.popitem(last=False)
        self.loaded[model] = wanted
        return wanted / self.load_gb_s
