"""The one generation queue: live requests first, then whatever the bank lacks.

One thread makes all images, so that models never compete for a device. A live request is a `LiveJob`: whoever
waits follows its events. What is drawn is shown at a release time (`arena.pace`), and until then nothing that anybody
can ask for tells that it is there; the bank is filled meanwhile. Failures are never a loss for a model: the job says
what to try instead, and a model that fails rests for a while.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from arena.backends.base import Backend, Cancelled, Generated, Progress, Request
from arena.errors import ArenaError, GenerationCancelled, GenerationError, NoBattle
from arena.jobs import LiveJob
from arena.pace import Pace

if TYPE_CHECKING:
    from arena.config import ModelSettings

log = logging.getLogger(__name__)
REST_SECONDS = (30.0, 600.0)  # first and longest rest of a failing model
BEAT = 15.0  # seconds after which a follower is told the same again, to know that the line is alive
_KEEP_SECONDS = 300.0  # how long a finished job waits for somebody to ask for it
_CANCELLED = {"code": "cancelled", "message": "Cancelled."}
_FAILED = "The models could not draw this just now. Nothing was counted; please try again, or vote on a ready battle."
_INTERNAL = {"code": "internal", "message": "Something went wrong here; nothing was counted."}


class Studio:
    """`backends` by name; `fill()` makes a missing image of the bank, or a few, and says whether there was one. `clock`
    is in seconds."""

    def __init__(self, backends: Mapping[str, Backend], *, fill: Callable[[Studio], bool] | None = None,
                 live_queue: int = 20, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic):  # fmt: skip
        self.backends = backends
        self.fill = fill
        self.live_queue = live_queue
        self.pace = pace or Pace({})
        self.clock = clock
        self._queue: deque[LiveJob] = deque()
        self._jobs: dict[str, LiveJob] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._current: LiveJob | None = None  # from its turn until it is shown
        self._rests: dict[str, tuple[float, float]] = {}  # model -> (until, how long)
        self._thread = threading.Thread(target=self._run, name="studio", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 5) -> None:
        """Cancel what waits and what is being drawn, show what is drawn, then give the models' memory back."""
        self._stopping.set()
        with self._changed:
            for job in self._jobs.values():
                if job.drawn is None:
                    job.cancelled.set()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._show_due(at_once=True)
        with self._changed:
            for job in self._jobs.values():
                if job.phase in ("queued", "drawing"):
                    self._finish(job, "error", _CANCELLED)
            self._changed.notify_all()
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
            if len(self._queue) + (self._current is not None and not self._current.begun) >= self.live_queue:
                raise NoBattle("Many people are drawing right now. Please vote on a ready battle, then try again.")
            job.queued = self.clock()
            kept = job.queued - _KEEP_SECONDS
            self._jobs = {t: j for t, j in self._jobs.items() if not j.finished or j.finished > kept}
            self._queue.append(job)
            self._jobs[job.ticket] = job
            self._advance()
            self._changed.notify_all()
        return job.ticket

    def cancel(self, ticket: str, voter: str) -> None:
        """Give a job up; its follower is told at once. Of one that is shown already, nothing changes."""
        drawn = None
        with self._changed:
            job = self._jobs.get(ticket)
            if job is None or job.voter != voter or job.phase in ("done", "error"):
                return
            job.cancelled.set()
            drawn, job.drawn = job.drawn, None
            if job in self._queue:
                self._queue.remove(job)
            elif drawn or not job.begun:
                self._current = None
            self._finish(job, "error", _CANCELLED)
            self._advance()
        if drawn:
            drawn.drop()

    def follow(self, ticket: str, voter: str) -> Iterator[dict[str, Any]]:
        """Events of a job until it is done; the last one is "done" or "error". An unknown ticket, or somebody
        else's, gives one error event."""
        job = self._jobs.get(ticket)
        if job is None or job.voter != voter:
            yield {"phase": "error", "code": "unknown_ticket", "message": "This request is not known here any more."}
            return
        last, told = None, 0.0
        while True:
            self._show_due()
            with self._changed:
                event, look = self.event(job), job.next_look(self.clock())
            if event != last or self.clock() - told > BEAT:
                yield event
                last, told = event, self.clock()
            if event["phase"] in ("done", "error"):  # what was told, not what has happened since
                self._jobs.pop(ticket, None)
                return
            with self._changed:
                if self.event(job) == last:
                    self._changed.wait(max(0.0, look - self.clock()))

    def event(self, job: LiveJob) -> dict[str, Any]:
        """What the job's visitor may know now. `position` is how many are before them; `eta` is in whole seconds.
        Both, and `progress`, follow from when each job's turn came and from the pace of all pairs, so that they are
        the same whichever models are drawing."""
        base = {"phase": job.phase, "ticket": job.ticket}
        with self._changed:
            now = self.clock()
            if job.phase == "queued":
                ahead = self._queue.index(job) if job in self._queue else 0
                # By the plan of who is drawing: a newer one comes when they are done, which is not shown yet.
                plan = self._current.plan if self._current else self.pace.plan()
                wait = (self._current.remaining(now) if self._current else 0.0) + (ahead + 1) * plan.mean
                return {**base, "position": ahead + (self._current is not None), "eta": math.ceil(wait)}
            if job.phase == "drawing":
                eta = math.ceil(job.remaining(now) - 1e-6)
                return {**base, "progress": job.progress(now), "eta": eta}
            return {**base, **job.payload}

    def waiting(self) -> int:
        return len(self._queue) + (self._current is not None)

    def busy(self) -> bool:
        """Whether work on the bank should give way."""
        current = self._current
        return self._stopping.is_set() or (current is not None and not current.begun)

    def drawing(self) -> bool:
        """Whether somebody is being drawn for, or what was drawn is not shown yet."""
        return self._current is not None

    # -- making images -----------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], progress: Progress, cancelled: Cancelled) -> list[Generated]:
        """Pictures in the order of `requests`, each from its model's backend; one call a backend. Called from
        the studio's own thread, or where nothing else generates (the command line)."""
        began = self.clock()
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(request.model.backend, []).append(i)
        made: dict[int, Generated] = {}
        for name, indices in groups.items():
            done, share = len(made) / len(requests), len(indices) / len(requests)
            try:
                pictures = self.backends[name].generate(
                    [requests[i] for i in indices],
                    progress=lambda p, done=done, share=share: progress(done + share * p), cancelled=cancelled)  # fmt: skip
            except GenerationError as error:
                error.made = {**made, **{indices[k]: picture for k, picture in error.made.items()}}
                raise
            made.update(zip(indices, pictures, strict=True))
        progress(1.0)
        found = [made[i] for i in range(len(requests))]
        models = [request.model.id for request in requests]
        if len(set(models)) == len(models):  # several of one model share a call: none says what a live one takes
            self.pace.observe(models, [g.seconds for g in found], self.clock() - began)
        return found

    def takes(self, model: ModelSettings) -> int:
        """How many images of this model are best asked for at once."""
        return self.backends[model.backend].takes(model)

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
            if not self.step():
                with self._changed:
                    if not self.busy():
                        due = self._current.due if self._current else math.inf
                        self._changed.wait(min(1.0, max(0.0, due - self.clock())))

    def step(self) -> bool:
        """Do what comes next: show what is due, draw for who waits, or make images for the bank. False when there
        was nothing to do."""
        self._show_due()
        with self._changed:
            job = self._current if self._current and not self._current.begun else None
            if job:
                job.begun = True
        if job is None:
            return self._fill_one()
        self._draw(job)
        return True

    def _advance(self) -> None:
        """Whose turn it is. The clock of a job begins here, not when the thread comes to it: how long the thread took
        to drop something else would tell what that was."""
        if self._current is None and self._queue and not self._stopping.is_set():
            job = self._current = self._queue.popleft()
            job.phase, job.started, job.plan = "drawing", self.clock(), self.pace.plan()
        self._changed.notify_all()

    def _draw(self, job: LiveJob) -> None:
        def cancelled() -> bool:
            return job.cancelled.is_set() or self._stopping.is_set()

        drawn, payload = None, _INTERNAL
        try:
            if cancelled():
                raise GenerationCancelled("The request was withdrawn.")
            drawn = job.context.run(job.work, cancelled)
        except GenerationCancelled:
            payload = _CANCELLED
        except ArenaError as error:
            log.warning("a live battle failed: %s", error)
            said = f"{error} Nothing was counted." if getattr(error, "any_model", False) else _FAILED
            payload = {"code": error.code, "message": said}
        except Exception:
            log.exception("a live battle failed")
        with self._changed:
            if drawn and not job.cancelled.is_set():  # nobody is woken: that would be told from outside
                job.drawn = drawn
                job.due = job.started + job.plan.shown_at(self.clock() - job.started, drawn.models)
                return
            self._current = None
            if job.phase == "drawing":
                self._finish(job, "error", payload)
            self._advance()
        if drawn:
            drawn.drop()

    def _show_due(self, *, at_once: bool = False) -> None:
        """Show what is drawn, if its time has come."""
        with self._changed:
            job = self._current
            if job is None or job.drawn is None or not (at_once or job.due <= self.clock()):
                return
            drawn, job.drawn = job.drawn, None
        try:
            phase, payload = "done", drawn.show()
        except Exception:
            log.exception("a live battle failed")
            phase, payload = "error", _INTERNAL
        with self._changed:
            if job.phase == "drawing":
                self._finish(job, phase, payload)
            self._current = None
            self._advance()

    def _finish(self, job: LiveJob, phase: str, payload: dict[str, Any]) -> None:
        job.payload, job.phase, job.finished = payload, phase, self.clock()

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
