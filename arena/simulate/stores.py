"""Simulated image banks: which prompts can be shown, how often an image was used, and what is to be made."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence


class Store:
    """One image a prompt and model, each gone after `uses` battles (None: never) and then wanted again. Begins with
    `prompts` filled prompts; a visitor's own prompt joins with the images that it has."""

    def __init__(self, models: Sequence[str], pairs: Collection[tuple[str, str]], prompts: int, uses: int | None,
                 rng: random.Random):  # fmt: skip
        self.models, self.pairs, self.uses, self.rng = list(models), list(pairs), uses, rng
        self._left: list[dict[str, float]] = []  # prompt -> model -> battles that its image is still good for
        self._wanted: deque[tuple[str, int]] = deque()
        for _ in range(prompts):
            self.add({model: _full(uses) for model in models})

    def add(self, images: Mapping[str, float] | Collection[str]) -> None:
        """A new prompt. What it lacks is wanted."""
        prompt = len(self._left)
        self._left.append(dict(images) if isinstance(images, Mapping) else dict.fromkeys(images, _full(self.uses)))
        lacking = [model for model in self.models if model not in self._left[prompt]]
        self.rng.shuffle(lacking)
        self._wanted += [(model, prompt) for model in lacking]

    def draw(self, seen: set[int]) -> tuple[int, str, str] | None:
        """A prompt that is not in `seen`, and two of its models, each pair equally likely; None when nothing is
        left. The images are used once more."""
        if not self._left:
            return None
        looks = [self.rng.randrange(len(self._left)) for _ in range(8)]
        found = next((p for p in looks if p not in seen and self._pairs_of(p)), None)
        if found is None:
            rest = [p for p in range(len(self._left)) if p not in seen and self._pairs_of(p)]
            if not rest:
                return None
            found = self.rng.choice(rest)
        a, b = self.rng.choice(self._pairs_of(found))
        for model in (a, b):
            self._left[found][model] -= 1
            if self._left[found][model] <= 0:
                del self._left[found][model]
                self._wanted.append((model, found))
        return found, a, b

    def _pairs_of(self, prompt: int) -> list[tuple[str, str]]:
        row = self._left[prompt]
        return self.pairs if len(row) == len(self.models) else [(a, b) for a, b in self.pairs if a in row and b in row]

    def next_wanted(self) -> tuple[str, int] | None:
        """(model, prompt) of what is to be made next: in the order in which it came to be wanted."""
        return self._wanted.popleft() if self._wanted else None

    def want(self, model: str, prompt: int) -> None:
        """Back on the list: its making was broken off."""
        self._wanted.appendleft((model, prompt))

    def put(self, model: str, prompt: int) -> None:
        self._left[prompt][model] = _full(self.uses)


def _full(uses: int | None) -> float:
    return float("inf") if uses is None else uses
