"""How much memory some work adds at its peak: on the GPU where there is one, else to this process."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from pathlib import Path

EVERY = 0.02  # seconds between two looks, where a system keeps no peak of its own


class Footprint:
    """Use as a context manager around the work; `added` is then in bytes, and `where` says of which memory.

    `device` is "cuda", "mps", or anything else for the resident memory of this process, which libraries that are
    imported meanwhile are part of.
    """

    def __init__(self, device: str | None):
        self._device = device or ""
        self.where = "GPU" if self._device.startswith(("cuda", "mps")) else "process"
        self.added, self._kept = 0, False

    def __enter__(self) -> Footprint:
        gc.collect()
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        else:
            give_back()
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # Linux's own peak begins anew
                self._kept = True
        self._before = self._most = self._now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._most = max(self._most, self._now(peak=True))
        self.added = self._most - self._before

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            self._most = max(self._most, self._now())

    def _now(self, peak: bool = False) -> int:
        if self._device.startswith("cuda"):
            import torch

            return torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
        if self._device == "mps":
            import torch

            return torch.mps.driver_allocated_memory()
        return resident(peak and self._kept)


def resident(peak: bool = False) -> int:
    """Bytes of main memory that this process holds now, or the most that it held since its peak began anew; on
    systems without /proc, the most that it ever held."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kind = "VmHWM:" if peak else "VmRSS:"
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))
    except (OSError, StopIteration):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def give_back() -> None:
    """Let the C library return what it keeps of freed memory, so that the next model does not seem to need none."""
    if sys.platform.startswith("linux"):
        import ctypes

        with contextlib.suppress(OSError, AttributeError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)
