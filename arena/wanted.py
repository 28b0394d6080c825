"""What the bank lacks: the key of a generation, and the list from which missing images are made one after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from arena.records import Prompt

Slot = tuple[str, str]  # (prompt_id, model): the place of one image on the shelf


@dataclass(frozen=True, slots=True)
class Wanted:
    """The key of a generation: equal keys are equal requests, so whoever makes it makes the same picture. `replicate`
    counts from 0 the images that a model makes of one prompt, each with a seed of its own."""

    prompt: Prompt
    model: str
    replicate: int

    @property
    def slot(self) -> Slot:
        return self.prompt.prompt_id, self.model


class WantList:
    """Which images are wanted, each once. Safe to share between threads."""

    def __init__(self) -> None:
        self._list: deque[tuple[Prompt, str]] = deque()  # the first wanted is last
        self._slots: set[Slot] = set()  # the same
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._list)

    def in_order(self) -> list[tuple[Prompt, str]]:
        """(prompt, model), the first wanted first."""
        with self._lock:
            return list(reversed(self._list))

    def clear(self) -> None:
        with self._lock:
            self._list.clear()
            self._slots.clear()

    def put(self, prompt: Prompt, model: str, *, first: bool = False) -> None:
        """Want this image after all others, or before them."""
        with self._lock:
            if (prompt.prompt_id, model) not in self._slots:
                self._slots.add((prompt.prompt_id, model))
                (self._list.append if first else self._list.appendleft)((prompt, model))

    def take(self, lacks: Callable[[Prompt, str], bool], resting: Collection[str], *, model: str | None = None,
             within: int | None = None) -> tuple[Prompt, str] | None:  # fmt: skip
        """Take what is wanted first off the list, and what came meanwhile: of a model that is not `resting`, of this
        `model` where one is named, and among the first `within` places where that is a number. None where there is
        nothing such."""
        only = model
        with self._lock:
            last = 0 if within is None else max(0, len(self._list) - within)
            for at in range(len(self._list) - 1, last - 1, -1):
                prompt, model = self._list[at]
                if only is not None and model != only:
                    continue
                lacking = lacks(prompt, model)
                if not lacking or model not in resting:
                    del self._list[at]
                    self._slots.discard((prompt.prompt_id, model))
                    if lacking:
                        return prompt, model
        return None
