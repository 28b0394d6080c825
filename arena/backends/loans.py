"""Loans of a ZeroGPU: for how long to ask, and what it means when there is none.

A loan is asked for in seconds beforehand. A longer one waits longer and needs more of the visitor's quota to be left,
even where it is given back early; one that is too short ends in the middle of an image. So it is asked for what the
same models took last, with a margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arena.backends.base import Request
from arena.backends.problems import line, unavailable
from arena.errors import (
    BackendBusy,
    BackendTimeout,
    BackendUnavailable,
    GenerationCancelled,
    GenerationError,
    QuotaExceeded,
)

if TYPE_CHECKING:
    from arena.config import ModelSettings

LONGEST = 120  # seconds that are asked for at most; asking for more is refused or waits longer
SHORT = 30  # seconds that are lent soon, and to most
MOST = 8  # images of one model in a loan
MARGIN = 1.25  # over what was measured
START = 2.0  # seconds for the worker itself

USED_UP = "The GPU time for new images is used up for now. Ready battles cost none."
TOO_LONG = "Two new images would take more GPU time at once than you may have. Ready battles cost none."
QUEUE = "All GPUs are busy. Please vote on a ready battle, then try again."
BUSY = "No GPU is free right now. Please vote on a ready battle, then try again."
ABORTED = "The GPU was taken back before the images were done. Please vote on a ready battle, then try again."

# Every title that `spaces` gives its errors.
TITLES: dict[str, tuple[type[BackendUnavailable], str]] = {
    "ZeroGPU quota exceeded": (QuotaExceeded, USED_UP),
    "ZeroGPU pending credits exceeded": (QuotaExceeded, USED_UP),
    "ZeroGPU illegal duration": (QuotaExceeded, TOO_LONG),
    "ZeroGPU queue timeout": (BackendBusy, QUEUE),
    "ZeroGPU client error": (BackendBusy, BUSY),
    "ZeroGPU worker error": (BackendUnavailable, ABORTED),
}


class Loans:
    """How long the models took, and so for how long to ask."""

    def __init__(self) -> None:
        self._drawing: dict[str, float] = {}  # model -> seconds of an image
        self._moving: dict[str, float] = {}  # model -> seconds until its weights are on the GPU
        self._patience: dict[str, float] = {}  # model -> factor, after loans that were too short

    def seconds(self, requests: Sequence[Request]) -> int:
        """For how long to ask: moving the weights, then each image, with a margin."""
        total, models = 0.0, {request.model.id: request.model for request in requests}
        for name, model in models.items():
            total += self._moving.get(name, (model.memory_gb or 4) / 2)  # GB a second, from main memory
        for request in requests:
            steps = request.model.settings.get("num_inference_steps") or 20
            total += self._drawing.get(request.model.id, 2 + 0.4 * steps)
        factor = MARGIN * max((self._patience.get(name, 1.0) for name in models), default=1.0)
        return min(LONGEST, max(1, round(START + factor * total)))

    def holds(self, model: ModelSettings) -> int:
        """How many images of this model a short loan is enough for; 1 where not even one is."""
        return max(n for n in range(1, MOST + 1) if n == 1 or self.seconds([Request(model, "", 0)] * n) <= SHORT)

    def learn(self, requests: Sequence[Request], seconds: Sequence[float], spent: float) -> None:
        """`spent` is the whole time in the worker, of which `seconds` went into each image. Moving is kept as the
        longest so far: the next worker may have nothing on its GPU yet."""
        models = {request.model.id for request in requests}
        rest = max(0.0, spent - sum(seconds)) / len(models)
        for name in models:
            longest = max(s for request, s in zip(requests, seconds, strict=True) if request.model.id == name)
            self._drawing[name] = max(longest, 0.7 * self._drawing.get(name, 0.0) + 0.3 * longest)
            self._moving[name] = max(rest, self._moving.get(name, 0.0))
            self._patience.pop(name, None)

    def was_too_short(self, requests: Sequence[Request]) -> None:
        for name in {request.model.id for request in requests}:
            self._patience[name] = min(8.0, 2 * self._patience.get(name, 1.0))


def refused(error: Exception, requests: Sequence[Request], loans: Loans) -> GenerationError:
    """What a failure on the way to the GPU, or of the worker there, is here: the model is never at fault."""
    title, said = getattr(error, "title", None) or type(error).__name__, str(getattr(error, "message", error))
    if "Connection closed by visitor" in said:
        return GenerationCancelled("The request was withdrawn.")
    # What spaces raises else, a RuntimeError or httpx's own, is about the scheduler: it cannot be asked just now.
    kind, message = TITLES.get(title, (BackendBusy, BUSY))
    if "No GPU was available" in said and kind is QuotaExceeded:
        kind, message = TITLES["ZeroGPU queue timeout"]  # titled so where a visitor has no token
    if title == "ZeroGPU worker error" and "aborted" in said:
        kind = BackendTimeout  # or the worker died; a longer loan is asked for in either case
        loans.was_too_short(requests)
    told = line(error) if title == type(error).__name__ else f"{title}: {said}"
    found = unavailable(", ".join(sorted({r.model.id for r in requests})), told, kind=kind, message=message)
    found.model, found.any_model = None, True
    return found
