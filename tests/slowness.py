"""How busy this machine is: for the few tests that hold a promise in seconds, which is one of a quiet machine."""

from __future__ import annotations

import time

QUIET = 0.25  # seconds that `_work` takes on two quiet cores like those of CI


def slowness() -> float:
    """How many times as long as on a quiet machine things take at this moment; 1 at least."""
    return max(1.0, _took() / QUIET)


def _took() -> float:
    begun = time.monotonic()
    found = 0
    for k in range(4_000_000):
        found ^= k * k
    return time.monotonic() - begun
