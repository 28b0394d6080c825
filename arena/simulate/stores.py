"""Simulated image banks: which prompts can be shown, how often an image was used, and what is to be made."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from arena.records import Prompt
from arena.wanted import AT_ONCE, Turns, WantList


class Store:
    """One image a prompt and model, each gone after `uses` battles (None: never) and then wanted again. Begins with
    `prompts` filled prompts; a visitor's own prompt joins with the images that it has. What is made next, and how many
    images at once, is the app's own rule."""

    def __init__(self, models: Sequence[str], pairs: Collection[tuple[str, str]], prompts: int, uses: int | None,
                 rng: random.Random):  # fmt: skip
        self.models, self.pairs, self.uses, self.rng = list(models), list(pairs), uses, rng
        self._left: list[dict[str, float]] = []  # prompt -> model -> battles that its image is still good for
        self._prompts: list[Prompt] = []
        self._wanted = WantList()
        self._turns = Turns(self._wanted, len(models))
        for _ in range(prompts):
            self.add({model: _full(uses) for model in models})

    def add(self, images: Mapping[str, float] | Collection[str]) -> None:
        """A new prompt. What it lacks is wanted."""
        prompt = len(self._left)
        self._left.append(dict(images) if isinstance(images, Mapping) else dict.fromkeys(images, _full(self.uses)))
        self._prompts.append(Prompt(str(prompt), "", "", "", "original", "voter", "", 0))
        lacking = [model for model in self.models if model not in self._left[prompt]]
        self.rng.shuffle(lacking)
        for model in lacking:
            self._wanted.put(self._prompts[prompt], model)

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
                self._wanted.put(self._prompts[found], model)
        return found, a, b

    def _pairs_of(self, prompt: int) -> list[tuple[str, str]]:
        row = self._left[prompt]
        return self.pairs if len(row) == len(self.models) else [(a, b) for a, b in self.pairs if a in row and b in row]

    def next_wanted(self) -> list[tuple[str, int]]:
        """(model, prompt) of the images that are made next, in one call of one model."""
        some = self._turns.next(self._lacks, (), self._servable, lambda model: AT_ONCE)
        return [(model, int(prompt.prompt_id)) for prompt, model in some]

    def lose(self, some: Sequence[tuple[str, int]]) -> None:
        """They are wanted first again: their making was broken off."""
        for model, prompt in reversed(some):
            self._wanted.put(self._prompts[prompt], model, first=True)
        self._turns.cut_short(some[0][0], len(some))

    def put(self, some: Sequence[tuple[str, int]]) -> None:
        """They are made."""
        for model, prompt in some:
            self._left[prompt][model] = _full(self.uses)
        self._turns.ended(len(some))
        self._turns.went_well(some[0][0], len(some))

    def _lacks(self, prompt: Prompt, model: str) -> bool:
        return model not in self._left[int(prompt.prompt_id)]

    def _servable(self) -> int:
        """Prompts of which there are two images."""
        return sum(len(row) > 1 for row in self._left)


def _full(uses: int | None) -> float:
    return float("inf") if uses is None else uses
