"""Times functions side by side: their calls alternate, so that a busy machine slows all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Took:
    """Medians in milliseconds over `rounds` calls: on the wall, and of the processor."""

    wall: float
    cpu: float
    rounds: int


def side_by_side(functions: dict[str, Callable[[], object]], seconds: float = 6.0, most: int = 15) -> dict[str, Took]:
    """Each function once to warm up, then rounds of all of them until `seconds` are over (at least 3, where they take
    under two seconds each). A slow function is timed once and not again while the others go on."""
    wall: dict[str, list[float]] = {name: [] for name in functions}
    cpu: dict[str, list[float]] = {name: [] for name in functions}

    def once(name: str) -> None:
        gc.collect()
        started, started_cpu = time.perf_counter(), time.process_time()
        functions[name]()
        wall[name].append(1000 * (time.perf_counter() - started))
        cpu[name].append(1000 * (time.process_time() - started_cpu))

    slow = set()
    for name in functions:
        once(name)
        if wall[name][0] > 2000:
            slow.add(name)
        else:
            wall[name].clear(), cpu[name].clear()
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < most and (rounds < 3 or time.perf_counter() < end):
        for name in functions:
            if name not in slow:
                once(name)
        rounds += 1
    return {
        name: Took(statistics.median(wall[name]), statistics.median(cpu[name]), len(wall[name])) for name in functions
    }
