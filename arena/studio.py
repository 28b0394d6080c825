"""The one generation queue: live requests first, then whatever the bank lacks.

One thread makes all images, so that models never compete for a device. A live request is a `LiveJob`: whoever
waits follows its events. Failures are never a loss for a model: the job says what to try instead, and a model
that fails rests for a while.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arena.backends.base import Backend, Cancelled, Generated, Progress, Request
from arena.errors import ArenaError, GenerationCancelled, GenerationError, NoBattle
from arena.records import new_id

log = logging.getLogger(__name__)
REST_SECONDS = (30.0, 600.0)  # first and longest rest of a failing model
_FOLLOW_SECONDS = 0.2  # at most so often is a follower told of progress
_KEEP_SECONDS = 300.0  # how long a finished job waits for somebody to ask for it


@dataclass(eq=False)
class LiveJob:
    """A visitor's request on its way. `work(make, progress, cancelled)` makes the images and returns the event's
    payload; it runs in the caller's context, since ZeroGPU finds the visitor's quota there."""

    voter: str
    work: Callable[[Progress, Cancelled], dict[str, Any]]
    ticket: str = field(default_factory=new_id)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    phase: str = "queued"  # queued, drawing, done, error
    progress: float = 0.0
    payload: dict[str, Any] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)
    started: float = 0.0
    finished: float = 0.0


class Studio:
    """`backends` by name; `fill()` makes one missing image of the bank and says whether there was one."""

    def __init__(self, backends: Mapping[str, Backend], *, fill: Callable[[Studio], bool] | None = None,
                 live_queue: int = 20, clock: Callable[[], float] = time.monotonic):  # fmt: skip
        self.backends = backends
        self.fill = fill
        self.live_queue = live_queue
        self.clock = clock
        self.live_seconds = 3.0  # moving average of a live job's time, for the forecast
        self._queue: deque[LiveJob] = deque()
        self._jobs: dict[str, LiveJob] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._current: LiveJob | None = None
        self._rests: dict[str, tuple[float, float]] = {}  # model -> (until, how long)
        self._thread = threading.Thread(target=self._run, name="studio", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 5) -> None:
        """Cancel what waits and what runs, then give the models' memory back."""
        self._stopping.set()
        with self._changed:
            for job in self._jobs.values():
                job.cancelled.set()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if not self._thread.is_alive():
            for backend in self.backends.values():
                backend.close()

    def wake(self) -> None:
        """Say that the bank may lack something again."""
        with self._changed:
            self._changed.notify_all()

    # -- live requests -----------------------------------------------------------------------------------

    def submit(self, job: LiveJob) -> str:
        """Queue a job; returns its ticket. Raises NoBattle when too many wait or the studio is stopping."""
        with self._changed:
            if self._stopping.is_set():
                raise NoBattle("The arena is restarting. Please try again in a moment.")
            if len(self._queue) >= self.live_queue:
                raise NoBattle("Many people are drawing right now. Please vote on a ready battle, then try again.")
            kept = self.clock() - _KEEP_SECONDS
            self._jobs = {t: j for t, j in self._jobs.items() if not j.finished or j.finished > kept}
            self._queue.append(job)
            self._jobs[job.ticket] = job
            self._changed.notify_all()
        return job.ticket

    def cancel(self, ticket: str, voter: str) -> None:
        with self._changed:
            job = self._jobs.get(ticket)
            if job and job.voter == voter:
                job.cancelled.set()
                if job in self._queue:
                    self._queue.remove(job)
                    self._finish(job, "error", {"code": "cancelled", "message": "Cancelled."})

    def follow(self, ticket: str, voter: str) -> Iterator[dict[str, Any]]:
        """Events of a job until it is done; the last one is "done" or "error". An unknown ticket, or somebody
        else's, gives one error event."""
        job = self._jobs.get(ticket)
        if job is None or job.voter != voter:
            yield {"phase": "error", "code": "unknown_ticket", "message": "This request is not known here any more."}
            return
        last = None
        while True:
            with self._changed:
                event = self._event(job)
                if event == last:
                    self._changed.wait(_FOLLOW_SECONDS)
                    event = self._event(job)
            if event != last:
                yield event
                last = event
            if event["phase"] in ("done", "error"):  # what was told, not what has happened since
                self._jobs.pop(ticket, None)
                return
            time.sleep(_FOLLOW_SECONDS / 4)  # progress comes with every step; a browser needs less

    def waiting(self) -> int:
        return len(self._queue) + (self._current is not None)

    def busy(self) -> bool:
        """Whether work on the bank should give way."""
        return self._stopping.is_set() or self.waiting() > 0

    def _event(self, job: LiveJob) -> dict[str, Any]:
        base = {"phase": job.phase, "ticket": job.ticket}
        if job.phase == "queued":
            ahead = self._queue.index(job) if job in self._queue else 0
            running = self._current is not None and self._current is not job
            return {**base, "position": ahead + running, "eta": round(self.live_seconds * (ahead + 1 + running), 1)}
        if job.phase == "drawing":
            elapsed = self.clock() - job.started
            total = elapsed / job.progress if job.progress > 0.1 else max(self.live_seconds, elapsed)
            return {**base, "progress": round(job.progress, 2), "eta": round(max(0.0, total - elapsed), 1)}
        return {**base, **job.payload}

    # -- making images -----------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], progress: Progress, cancelled: Cancelled) -> list[Generated]:
        """Pictures in the order of `requests`, each from its model's backend; one call a backend. Called from
        the studio's own thread, or where nothing else generates (the command line)."""
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(request.model.backend, []).append(i)
        made: dict[int, Generated] = {}
        for name, indices in groups.items():
            done, share = len(made) / len(requests), len(indices) / len(requests)
            pictures = self.backends[name].generate(
                [requests[i] for i in indices],
                progress=lambda p, done=done, share=share: progress(done + share * p), cancelled=cancelled)  # fmt: skip
            made.update(zip(indices, pictures, strict=True))
        progress(1.0)
        return [made[i] for i in range(len(requests))]

    def rest(self, model: str) -> None:
        """The model failed: leave it out for a while, longer at every failure in a row."""
        long = min(REST_SECONDS[1], 2 * self._rests[model][1] if model in self._rests else REST_SECONDS[0])
        self._rests[model] = (self.clock() + long, long)

    def recovered(self, model: str) -> None:
        self._rests.pop(model, None)

    def resting(self) -> set[str]:
        now = self.clock()
        return {model for model, (until, _) in self._rests.items() if until > now}

    # -- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                job = self._queue.popleft() if self._queue else None
                self._current = job
                if job:
                    job.phase, job.started = "drawing", self.clock()
                    self._changed.notify_all()
            if job:
                self._serve(job)
            elif not self._fill_one():
                with self._changed:
                    if not self._queue and not self._stopping.is_set():
                        self._changed.wait(1.0)

    def _serve(self, job: LiveJob) -> None:
        def progress(share: float) -> None:
            job.progress = max(job.progress, min(1.0, share))

        def cancelled() -> bool:
            return job.cancelled.is_set() or self._stopping.is_set()

        try:
            payload = job.context.run(job.work, progress, cancelled)
            phase = "done"
            self.live_seconds += 0.3 * (self.clock() - job.started - self.live_seconds)
        except GenerationCancelled:
            phase, payload = "error", {"code": "cancelled", "message": "Cancelled."}
        except ArenaError as error:
            log.warning("a live battle failed: %s", error)
            phase, payload = "error", {"code": error.code, "message": "The models could not draw this just now. "
                                       "Nothing was counted; please try again, or vote on a ready battle."}  # fmt: skip
        except Exception:
            log.exception("a live battle failed")
            phase, payload = "error", {"code": "internal", "message": "Something went wrong here; nothing was counted."}
        with self._changed:
            self._current = None
            self._finish(job, phase, payload)

    def _finish(self, job: LiveJob, phase: str, payload: dict[str, Any]) -> None:
        job.payload, job.phase, job.finished = payload, phase, self.clock()
        self._changed.notify_all()

    def _fill_one(self) -> bool:
        if self.fill is None:
            return False
        try:
            return self.fill(self)
        except GenerationCancelled:
            return False
        except GenerationError as error:
            log.warning("the bank could not be filled: %s", error)
        except Exception:
            log.exception("the bank could not be filled")
            self._stopping.wait(5.0)  # a fault of ours must not spin
        return True
