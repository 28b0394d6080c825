"""What a draw is made of: what a voter was shown, and the battle that comes of it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from arena.records import Image, Prompt


@dataclass(frozen=True, slots=True)
class Draw:
    """A battle to be: images on their sides, and the probability of this pair of models given the prompt and what
    could be served of it."""

    prompt: Prompt
    image_a: Image
    image_b: Image
    probability: float


@dataclass(slots=True)
class Seen:
    """What a voter was shown: ids."""

    prompts: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, battles: Iterable[tuple[str, str, str]]) -> Seen:
        """From (prompt_id, image_id, image_id) of each."""
        seen = cls()
        for battle in battles:
            seen.add(*battle)
        return seen

    def add(self, prompt_id: str, *image_ids: str) -> None:
        self.prompts.add(prompt_id)
        self.images.update(image_ids)


def on_sides(rng: random.Random, one: Image, other: Image) -> tuple[Image, Image]:
    """(a, b): either order is as likely."""
    return (one, other) if rng.random() < 0.5 else (other, one)
