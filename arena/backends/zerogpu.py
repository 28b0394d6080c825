"""The same pipelines on a ZeroGPU Space, where a GPU is lent for seconds at a time and counted per visitor.

This process never has a GPU. It keeps the pipelines in main memory; each call asks for a GPU, on which `spaces`
forks a worker that inherits them, moves those it needs to the GPU and keeps them there while it lives. All
models go through one decorated function, since every such function would have a worker, and a GPU's memory, of
its own; and all images of a call through one loan, since every loan starts at the end of a queue.

The visitor's quota is found in the calling context (see `LiveJob.context`). Off-Space this is the diffusers
backend.
"""

from __future__ import annotations

import contextvars
import functools
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from arena.backends.base import Cancelled, Generated, Progress, Request
from arena.backends.diffusers_backend import DiffusersBackend, Told
from arena.backends.problems import unavailable
from arena.errors import GenerationCancelled, GenerationError

if TYPE_CHECKING:
    from arena.backends.loading import Loaded
    from arena.config import ModelSettings

# What a visitor reads for each title that `spaces` gives its errors; other titles read like the last one.
MESSAGES = {
    "ZeroGPU quota exceeded": "The GPU time for new images is used up for now. Ready battles cost none.",
    "ZeroGPU illegal duration": "Your remaining GPU time is too short for two new images. Ready battles cost none.",
    "ZeroGPU queue timeout": "All GPUs are busy. Please vote on a ready battle, then try again.",
    "ZeroGPU client error": "No GPU is free right now. Please vote on a ready battle, then try again.",
}
LONGEST = 120  # seconds that are asked for at most; asking for more is refused or waits longer
POLL = 0.1  # seconds between two looks at a worker's progress

# Shared with the workers, which are forked later: the number of the last withdrawn call, and progress.
_fork = multiprocessing.get_context("fork") if hasattr(os, "fork") else multiprocessing
_withdrawn = _fork.Value("q", 0)
_progress = _fork.Value("d", 0.0)

_seconds: dict[str, float] = {}  # model -> how long its last image took, for the next loan's length
_parent: ZeroGPUBackend | None = None  # in a worker: what it inherited
_worker: _Worker | None = None  # in a worker: its own backend


def on_space() -> bool:
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


class ZeroGPUBackend(DiffusersBackend):
    def __init__(self, config_dir: Path, memory_gb: float | None = None, hf_token: str | None = None):
        global _parent
        self._on_space = on_space()
        super().__init__(config_dir, memory_gb, hf_token, device="cpu" if self._on_space else None)
        self._calls = 0
        if self._on_space:
            _parent = self
            gpu_task()  # `spaces` looks for decorated functions when the app is launched

    def dtype(self, wanted: str | None) -> str:
        return (wanted or "bfloat16") if self._on_space else super().dtype(wanted)

    def generate(self, requests: Sequence[Request], *, progress: Progress, cancelled: Cancelled) -> list[Generated]:
        if not self._on_space:
            return super().generate(requests, progress=progress, cancelled=cancelled)
        told = Told(progress)
        told(0.0)
        # Reading weights is not for borrowed seconds.
        for model in {request.model.id: request.model for request in requests}.values():
            if cancelled():
                raise GenerationCancelled("The request was withdrawn.")
            self.loaded(model)
        self._calls += 1
        _progress.value = 0.0
        pool = ThreadPoolExecutor(1, thread_name_prefix="zerogpu")
        try:
            future = pool.submit(contextvars.copy_context().run, _borrow, list(requests), self._calls)
            while not wait([future], timeout=POLL).done:
                if cancelled():
                    # A worker stops at its next step; a place in the queue for a GPU is given up only when it
                    # is reached, which nobody waits for.
                    _withdrawn.value = self._calls
                    raise GenerationCancelled("The request was withdrawn.")
                told(min(_progress.value, 0.99))
            results = future.result()
        finally:
            pool.shutdown(wait=False)
        _seconds.update((r.model.id, made.seconds) for r, made in zip(requests, results, strict=True))
        told(1.0)
        return results


class _Worker(DiffusersBackend):
    """In the forked process: takes over what the parent had loaded by then, and reads the rest itself."""

    def _load(self, model: ModelSettings, key: str) -> Loaded:
        inherited = _parent._shelf.take(key) if _parent is not None and _parent._shelf is not None else None
        if inherited is None:
            return super()._load(model, key)
        inherited.pipeline.to(self.device)
        return inherited


def _draw(requests: list[Request], call: int, config_dir: Path, memory_gb: float | None,
          hf_token: str | None) -> list[Generated] | GenerationError:  # fmt: skip
    """Runs in the worker. An error is returned, not raised: `spaces` would keep nothing but its class's name."""
    import torch

    global _worker
    if _worker is None:
        torch.set_num_threads(1)  # the parent's pool of threads did not survive the fork; using it would hang
        _worker = _Worker(config_dir, memory_gb, hf_token)

    def tell(fraction: float) -> None:
        _progress.value = fraction

    try:
        return _worker.generate(requests, progress=tell, cancelled=lambda: _withdrawn.value >= call)
    except GenerationError as error:
        return error


def _duration(requests: list[Request], *_rest) -> int:
    """Seconds to ask for: moving the weights, then each image as long as its model last took."""
    total = 5.0
    for model in {request.model.id: request.model for request in requests}.values():
        total += (model.memory_gb or 4) / 2  # GB a second, from main memory
    for request in requests:
        steps = request.model.settings.get("num_inference_steps") or 20
        total += 1.3 * _seconds.get(request.model.id, 2 + 0.4 * steps)
    return min(LONGEST, round(total))


@functools.cache
def gpu_task():
    """`_draw` as a function that borrows a GPU. Decorated once, for all models."""
    import spaces

    return spaces.GPU(duration=_duration)(_draw)


def _borrow(requests: list[Request], call: int) -> list[Generated]:
    """Run the task; whatever goes wrong on the way to the GPU becomes an error that a visitor can read."""
    models = ", ".join(sorted({request.model.id for request in requests}))
    here = _parent
    try:
        results = gpu_task()(requests, call, here._config_dir, here._memory_gb, here._token)
    except Exception as error:  # gr.Error for what spaces foresees, RuntimeError for what it does not
        if "Connection closed by visitor" in str(error):
            raise GenerationCancelled("The request was withdrawn.") from error
        title = getattr(error, "title", None) or type(error).__name__
        detail = getattr(error, "message", error)
        raise unavailable(models, f"{title}: {detail}", message=MESSAGES.get(title, MESSAGES["ZeroGPU client error"])
                          ) from error  # fmt: skip
    if isinstance(results, GenerationError):
        raise results
    return results
