"""Pictures from a hash instead of a model: what the tests of everything above the backends run on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image as Pillow

from arena.backends.base import Cancelled, Generated, Progress, Request
from arena.errors import GenerationCancelled, GenerationError

if TYPE_CHECKING:
    from arena.config import ModelSettings

STEPS = 4


class FakeBackend:
    """Deterministic pictures of coloured squares from (model id, prompt, seed).

    `seconds` is how long an image takes, and `takes` how many it says to be best asked for at once. `failures` maps a
    model's id to the error that it raises instead, and `problems` to what `check` says of it. `made` lists the finished
    requests, in order.
    """

    def __init__(self, *, seconds: float = 0.0, takes: int = 1,
                 failures: Mapping[str, GenerationError] | None = None,
                 problems: Mapping[str, list[str]] | None = None):  # fmt: skip
        self._seconds, self._takes = seconds, takes
        self._failures, self._problems = dict(failures or {}), dict(problems or {})
        self.made: list[Request] = []
        self.closed = False

    def generate(self, requests: Sequence[Request], *, progress: Progress, cancelled: Cancelled) -> list[Generated]:
        results = []
        progress(0.0)
        for i, request in enumerate(requests):
            for step in range(STEPS):
                if cancelled():
                    raise _with(results, GenerationCancelled("The request was withdrawn."))
                time.sleep(self._seconds / STEPS)
                progress((i * STEPS + step + 1) / (len(requests) * STEPS))
            if request.model.id in self._failures:
                raise _with(results, self._failures[request.model.id])
            results.append(self._picture(request))
            self.made.append(request)
        return results

    def takes(self, model: ModelSettings) -> int:
        return self._takes

    def check(self, model: ModelSettings) -> list[str]:
        return list(self._problems.get(model.id, ()))

    def close(self) -> None:
        self.closed = True

    def _picture(self, request: Request) -> Generated:
        settings = request.model.settings
        size = int(settings.get("width", 64)), int(settings.get("height", 64))
        key = json.dumps([request.model.id, request.prompt, request.seed])
        colours = hashlib.shake_256(key.encode()).digest(3 * 16)
        picture = Pillow.frombytes("RGB", (4, 4), colours).resize(size, Pillow.Resampling.NEAREST)
        return Generated(picture, self._seconds, {"pipeline": "Fake", "arguments": dict(settings)},
                         request.model.revision or "fake", "none (fake)")  # fmt: skip


def _with(results: list[Generated], error: GenerationError) -> GenerationError:
    error.made = dict(enumerate(results))
    return error
