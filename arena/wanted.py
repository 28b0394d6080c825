"""What the bank lacks: the key of a generation, and the list from which missing images are made one after the other."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
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
        self._list: OrderedDict[Slot, Prompt] = OrderedDict()  # the first wanted is first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._list)

    def in_order(self) -> list[tuple[Prompt, str]]:
        """(prompt, model), the first wanted first."""
        with self._lock:
            return [(prompt, model) for (_, model), prompt in self._list.items()]

    def clear(self) -> None:
        with self._lock:
            self._list.clear()

    def put(self, prompt: Prompt, model: str, *, first: bool = False) -> None:
        """Want this image after all others, or before them."""
        slot = prompt.prompt_id, model
        with self._lock:
            if slot not in self._list:
                self._list[slot] = prompt
                if first:
                    self._list.move_to_end(slot, last=False)

    def drop(self, slot: Slot) -> None:
        """It is there: want it no more."""
        with self._lock:
            self._list.pop(slot, None)

    def take(self, lacks: Callable[[Prompt, str], bool], resting: Collection[str], *, model: str | None = None,
             within: int | None = None) -> tuple[Prompt, str] | None:  # fmt: skip
        """Take what is wanted first off the list, and what came meanwhile: of a model that is not `resting`, of this
        `model` where one is named, and among the first `within` places where that is a number. None where there is
        nothing such."""
        only, gone, found = model, [], None
        with self._lock:
            for (prompt_id, model), prompt in itertools.islice(self._list.items(), within):
                if only is not None and model != only:
                    continue
                lacking = lacks(prompt, model)
                if not lacking or model not in resting:
                    gone.append((prompt_id, model))
                    if lacking:
                        found = prompt, model
                        break
            for slot in gone:
                del self._list[slot]
        return found
