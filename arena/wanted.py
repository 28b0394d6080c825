"""What the bank lacks: the key of a generation, the list from which missing images are made, and the turns that models
take at it while nobody waits for an image.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from arena.records import Prompt

Slot = tuple[str, str]  # (prompt_id, model): the place of one image on the shelf
TURN = 32  # images of one model in a row, at most, and how many prompts ahead of the others a model may be
READY = 8  # prompts that can be served, for each image of a turn
AT_ONCE = 4  # images in a call while nobody waits: who comes is drawn for after a step, or a decoding, of so many


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


class Turns:
    """What the app makes next of `wanted`. Models take turns, since a model that must be read anew for each image costs
    more than the image. The more prompts can be served already, the longer a turn: the first prompts of an empty bank get
    their pairs first.

    A call is for one image of a model at first, then for twice as many each time, up to what its backend takes well; for
    half as many after a live request made it stop: what is half done then is lost."""

    def __init__(self, wanted: WantList, models: int):
        self._wanted, self._near = wanted, TURN * models
        self._most: dict[str, int] = {}  # model -> images in its next call
        self._model, self._left = "", 0  # whose turn it is, and images left of it

    def next(self, lacks: Callable[[Prompt, str], bool], resting: Collection[str], servable: Callable[[], int],
             takes: Callable[[str], int]) -> list[tuple[Prompt, str]]:  # fmt: skip
        """Images of the model whose turn it is, off the list; `servable()` is how many prompts can be served, and
        `takes(model)` how many images its backend takes at once."""
        found = None
        if self._left > 0:
            found = self._wanted.take(lacks, resting, model=self._model, within=self._near)
        if found is None:
            found = self._wanted.take(lacks, resting)
            if found is None:
                return []
            self._model, self._left = found[1], min(TURN, servable() // READY)
        some = [found]
        most = min(AT_ONCE, self._most.get(self._model, 1), takes(self._model))
        while len(some) < most and (more := self._wanted.take(lacks, resting, model=self._model, within=self._near)):
            some.append(more)
        return some

    def ended(self, images: int) -> None:
        """So many of the last call were made, or failed."""
        self._left -= images

    def went_well(self, model: str, images: int) -> None:
        self._most[model] = max(self._most.get(model, 1), 2 * images)

    def cut_short(self, model: str, images: int) -> None:
        """Somebody came while so many were under way."""
        self._most[model] = max(1, images // 2)

    def failed(self, model: str) -> None:
        self._most.pop(model, None)
