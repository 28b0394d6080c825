"""Faults that tests put between the real clients and the local test Hub.

hub.faults.add(r"POST .*/commit/", status=503, times=2)   answer without doing the work
hub.faults.add(r"POST .*/commit/", after=500)             do the work, then answer with an error
hub.faults.add(r"PUT /lfs/", reset=True)                  close the connection without an answer
hub.faults.add(r"PUT /lfs/", midway=True)                 take half of the body, then close the connection
hub.faults.add(r"POST .*/commit/", after="reset")         do the work, then close the connection
hub.faults.add(r"GET ", hang=30)                          keep the client waiting, then close
hub.faults.add(r"POST .*/commit/", hang=30, late=True)    keep the client waiting, do the work, then close
hub.faults.add(r"GET ", delay=0.2, times=-1)              be slow, for ever
hub.faults.add(r"POST .*/commit/", call=process.kill)     call this, then go on (called_after: after the work)

What hangs is let go by `clear`. What is no fault of one request is in `LocalHub`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Fault:
    match: str  # searched in "METHOD /path?query"
    times: int = 1  # negative: for ever
    status: int = 0
    message: str = "a fault of the test"
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    midway: bool = False
    hang: float = 0
    late: bool = False
    delay: float = 0
    after: int | Literal["reset", ""] = ""
    call: Callable[[], object] | None = None
    called_after: Callable[[], object] | None = None
    gone: threading.Event = field(default_factory=threading.Event)  # set when the fault is cleared


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, match: str, **what) -> Fault:
        fault = Fault(match, **what)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            for fault in self._faults:
                fault.gone.set()
            self._faults.clear()

    def take(self, request: str) -> Fault | None:
        """The first fault that is left for this request; it is used up by one."""
        with self._lock:
            for fault in self._faults:
                if fault.times and re.search(fault.match, request):
                    fault.times -= 1
                    return fault
        return None
