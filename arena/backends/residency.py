"""Which pipelines stay in memory: those used last, within a budget of bytes. Parts that they share count once."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena.backends.loading import Loaded

GB = 1_000_000_000
RESERVE = 3 * GB  # activations, the CUDA context and whatever else runs beside the weights


class Shelf:
    """Loaded pipelines by key, least recently used first. Not thread-safe: a backend is called from one thread."""

    def __init__(self, budget: int, release: Callable[[], None] = lambda: None):
        self.budget = budget
        self._release = release  # gives the allocator's cached blocks back to the device
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._loaded

    @property
    def keys(self) -> list[str]:
        return list(self._loaded)

    @property
    def bytes(self) -> int:
        """What is taken, every part counted once."""
        return sum({part: size for one in self._loaded.values() for part, size in one.sizes.items()}.values())

    def find(self, part: str) -> Any | None:
        """A part that some pipeline here has."""
        return next((one.parts[part] for one in self._loaded.values() if part in one.parts), None)

    def get(self, key: str, adds: Callable[[Collection[str]], int], load: Callable[[], Loaded]) -> Loaded:
        """The pipeline of `key`. Where it must be loaded, room is made first for what it `adds` (bytes) to the parts
        that stay."""
        if key not in self._loaded:
            self._make_room(adds)
            self._loaded[key] = load()
        self._loaded.move_to_end(key)
        self._make_room(lambda _: 0, keep=key)  # it may have turned out larger than expected
        return self._loaded[key]

    def take(self, key: str) -> Loaded | None:
        """Remove and return a pipeline."""
        return self._loaded.pop(key, None)

    def keep_only(self, key: str) -> bool:
        """Give up all other pipelines; whether there were any."""
        others = [other for other in self._loaded if other != key]
        for other in others:
            del self._loaded[other]
        self.free()
        return bool(others)

    def clear(self) -> None:
        self._loaded.clear()
        self.free()

    def free(self) -> None:
        """Give back what nobody refers to any more."""
        gc.collect()  # pipelines hold reference cycles; without this the memory stays taken until some later pass
        self._release()

    def _make_room(self, adds: Callable[[Collection[str]], int], keep: str | None = None) -> None:
        evicted = False
        while self.bytes + adds({part for one in self._loaded.values() for part in one.sizes}) > self.budget:
            key = next((key for key in self._loaded if key != keep), None)
            if key is None:
                break
            del self._loaded[key]
            evicted = True
        if evicted:
            self.free()


def budget_bytes(memory_gb: float | None, device: str) -> int:
    """The bytes that weights may take: what the configuration says, or what is free now less a reserve."""
    if memory_gb is not None:
        return int(memory_gb * GB)
    free = free_bytes(device)
    return max(free - RESERVE, free // 2)  # a small machine still gets half of what it has


def free_bytes(device: str) -> int:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.mem_get_info()[0]
    if device == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return free_memory()


def free_memory() -> int:
    """Main memory that is free, within the container's limit where there is one."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # macOS says no more
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return max(0, min(free, limit - used))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return free


def free_for_pictures(device: str) -> int:
    """Bytes that a call may take for activations: free on the device, or held in torch's cache for later use."""
    import torch

    cached = torch.cuda.memory_reserved() - torch.cuda.memory_allocated() if device.startswith("cuda") else 0
    return free_bytes(device) + cached
