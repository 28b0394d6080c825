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
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from arena.backends.base import Cancelled, Generated, Progress, Request
from arena.backends.diffusers_backend import DiffusersBackend, Told, key_of
from arena.backends.loans import BUSY, Loans, refused
from arena.backends.problems import unavailable
from arena.errors import BackendTimeout, GenerationCancelled, GenerationError

if TYPE_CHECKING:
    from arena.backends.loading import Loaded
    from arena.config import ModelSettings

QUEUE = 90.0  # seconds until a GPU is there, at most: the queue gives up after 60
POLL = 0.1  # seconds between two looks at a worker's progress

# Shared with the workers, which are forked later: the number of the last withdrawn call, and progress.
_fork = multiprocessing.get_context("fork") if hasattr(os, "fork") else multiprocessing
_withdrawn = _fork.Value("q", 0)
_progress = _fork.Value("d", 0.0)

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
        self.loans = Loans()
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
        late = time.monotonic() + QUEUE + 2 * self.loans.seconds(requests)
        pool = ThreadPoolExecutor(1, thread_name_prefix="zerogpu")
        try:
            future = pool.submit(contextvars.copy_context().run, _borrow, list(requests), self._calls)
            while not wait([future], timeout=POLL).done:
                # A worker stops at its next step; a place in the queue for a GPU is given up only when it is
                # reached, which nobody waits for.
                if cancelled():
                    _withdrawn.value = self._calls
                    raise GenerationCancelled("The request was withdrawn.")
                if time.monotonic() > late:
                    _withdrawn.value = self._calls
                    error = unavailable(
                        "ZeroGPU", "neither a GPU nor an answer in time", kind=BackendTimeout, message=BUSY
                    )
                    error.model, error.any_model = None, True
                    raise error
                told(min(_progress.value, 0.99))
            results, spent = future.result()
        finally:
            pool.shutdown(wait=False)
        self.loans.learn(requests, [made.seconds for made in results], spent)
        told(1.0)
        return results

    def takes(self, model: ModelSettings) -> int:
        return self.loans.holds(model) if self._on_space else super().takes(model)


class _Worker(DiffusersBackend):
    """In the forked process: takes over what the parent had loaded by then, and reads the rest itself."""

    def _fetched(self, model: ModelSettings) -> Loaded:
        key = key_of(model)
        inherited = _parent.shelf.take(key) if _parent is not None and key not in self.shelf else None
        if inherited is None:
            return super()._fetched(model)

        def move() -> Loaded:
            inherited.pipeline.to(self.device)
            return inherited

        return self.shelf.get(
            key, lambda here: sum(size for part, size in inherited.sizes.items() if part not in here), move
        )


def _draw(requests: list[Request], call: int, config_dir: Path, memory_gb: float | None,
          hf_token: str | None) -> tuple[list[Generated], float] | GenerationError:  # fmt: skip
    """Runs in the worker; the pictures, and the seconds from its start. An error is returned, not raised: `spaces`
    would keep nothing but its class's name."""
    import torch

    began = time.monotonic()
    global _worker
    if _worker is None:
        torch.set_num_threads(1)  # the parent's pool of threads did not survive the fork; using it would hang
        _worker = _Worker(config_dir, memory_gb, hf_token)

    def tell(fraction: float) -> None:
        _progress.value = fraction

    try:
        made = _worker.generate(requests, progress=tell, cancelled=lambda: _withdrawn.value >= call)
    except GenerationError as error:
        return error
    return made, time.monotonic() - began


def _duration(requests: list[Request], *_rest) -> int:
    return _parent.loans.seconds(requests)


@functools.cache
def gpu_task():
    """`_draw` as a function that borrows a GPU. Decorated once, for all models."""
    import spaces

    return spaces.GPU(duration=_duration)(_draw)


def _borrow(requests: list[Request], call: int) -> tuple[list[Generated], float]:
    """Run the task; whatever goes wrong on the way to the GPU becomes an error that a visitor can read."""
    here = _parent
    try:
        results = gpu_task()(requests, call, here._config_dir, here._memory_gb, here._token)
    except Exception as error:  # gr.Error for what spaces foresees, RuntimeError and httpx's for what it does not
        raise refused(error, requests, here.loans) from error
    if isinstance(results, GenerationError):
        raise results
    return results
