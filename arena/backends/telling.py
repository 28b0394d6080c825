"""Progress as a listener hears it."""

from __future__ import annotations

from arena.backends.base import Progress

# Progress moves in tenths: finer steps would count a model's steps aloud, and with them give it away.
GRAIN = 10


class Told:
    """Progress as a listener hears it: rising, from 0 to 1, in coarse steps."""

    def __init__(self, listener: Progress):
        self._listener, self._last = listener, -1.0

    def __call__(self, fraction: float) -> None:
        coarse = int(fraction * GRAIN + 1e-6) / GRAIN
        if coarse > self._last:
            self._last = coarse
            self._listener(coarse)
