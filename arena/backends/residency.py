"""Which pipelines stay in memory: those used last, within a budget of bytes."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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

    def get(self, key: str, expected: int, load: Callable[[], Loaded]) -> Loaded:
        """The pipeline of `key`. Where it must be loaded, room for `expected` bytes is made first."""
        if key not in self._loaded:
            self._make_room(expected)
            self._loaded[key] = load()
        self._loaded.move_to_end(key)
        self._make_room(0, keep=key)  # it may have turned out larger than expected
        return self._loaded[key]

    def take(self, key: str) -> Loaded | None:
        """Remove and return a pipeline."""
        return self._loaded.pop(key, None)

    def clear(self) -> None:
        self._loaded.clear()
        self._free()

    def _make_room(self, wanted: int, keep: str | None = None) -> None:
        evicted = False
        while sum(one.bytes for one in self._loaded.values()) + wanted > self.budget:
            key = next((key for key in self._loaded if key != keep), None)
            if key is None:
                break
            del self._loaded[key]
            evicted = True
        if evicted:
            self._free()

    def _free(self) -> None:
        gc.collect()  # pipelines hold reference cycles; without this the memory stays taken until some later pass
        self._release()


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


def weight_bytes(components) -> int:
    """The bytes of all parameters and buffers; tensors shared between components are counted once."""
    import torch

    seen: dict[int, int] = {}
    for component in components:
        if isinstance(component, torch.nn.Module):
            for tensor in (*component.parameters(), *component.buffers()):
                seen[tensor.data_ptr()] = max(tensor.nbytes, seen.get(tensor.data_ptr(), 0))
    return sum(seen.values())
