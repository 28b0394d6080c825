"""Which prompt, which pair of models and which side: drawn with a probability that is known and recorded.

Categories are drawn uniformly, then prompts within the category, then pairs of the prompt's images, then sides.
A voter gets prompts that they have not seen; when none is left, pairs that they have not seen.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from arena.records import Image, Prompt

_TRIES = 8  # random looks at a category before it is searched through


@dataclass(frozen=True, slots=True)
class Draw:
    """A battle to be: images on their sides, and the probability of this pair of models given the prompt."""

    prompt: Prompt
    image_a: Image
    image_b: Image
    probability: float


class Shelf:
    """What may be served: for every prompt one image a model. Safe to share between threads."""

    def __init__(self, models: Collection[str]):
        self.models = frozenset(models)
        self._images: dict[str, dict[str, Image]] = {}
        self._prompts: dict[str, Prompt] = {}
        self._by_category: dict[str, list[str]] = {}  # prompts with a pair to show
        self._lock = threading.Lock()

    def add(self, prompt: Prompt, images: Iterable[Image]) -> None:
        """A later image of the same prompt and model takes the place of the earlier; images of models that are
        no longer contenders are not served."""
        with self._lock:
            for image in images:
                if image.model not in self.models or image.private:
                    continue
                self._prompts[prompt.prompt_id] = prompt
                row = self._images.setdefault(prompt.prompt_id, {})
                row[image.model] = image
                if len(row) == 2 and prompt.prompt_id not in self._by_category.setdefault(prompt.category, []):
                    self._by_category[prompt.category].append(prompt.prompt_id)

    def has(self, prompt_id: str, model: str) -> bool:
        return model in self._images.get(prompt_id, ())

    def sizes(self) -> dict[str, int]:
        """Prompts with a pair to show, a category."""
        with self._lock:
            return {category: len(prompts) for category, prompts in self._by_category.items()}

    def draw(self, rng: random.Random, seen: Collection[tuple[str, str, str]],
             category: str | None = None) -> Draw | None:  # fmt: skip
        """A battle for a voter who has been served `seen` (prompt, image, image), or None when nothing is left."""
        seen_prompts = {prompt for prompt, _, _ in seen}
        seen_pairs = {frozenset(pair) for _, *pair in seen}
        with self._lock:
            categories = [category] if category is not None else list(self._by_category)
            rng.shuffle(categories)
            for fresh in (True, False):
                for name in categories:
                    prompts = self._by_category.get(name, [])
                    draw = self._draw_in(rng, prompts, seen_prompts if fresh else (), seen_pairs)
                    if draw:
                        return draw
        return None

    def _draw_in(self, rng, prompts: list[str], avoid: Collection[str], seen_pairs) -> Draw | None:
        if not prompts:
            return None
        looks = [rng.choice(prompts) for _ in range(_TRIES)]
        for prompt_id in itertools.chain(looks, rng.sample(prompts, len(prompts))):
            if prompt_id in avoid:
                continue
            images = sorted(self._images[prompt_id].values(), key=lambda image: image.model)
            pairs = [pair for pair in itertools.combinations(images, 2)
                     if frozenset((pair[0].image_id, pair[1].image_id)) not in seen_pairs
                     and pair[0].image_id != pair[1].image_id]  # fmt: skip
            if pairs:
                sides = list(rng.choice(pairs))
                rng.shuffle(sides)
                return Draw(self._prompts[prompt_id], *sides, probability=1 / len(pairs))
        return None


def draw_models(rng: random.Random, models: Collection[str],
                avoid: Collection[str] = ()) -> tuple[tuple[str, str], float]:  # fmt: skip
    """Two models for a live battle in the order of their sides, and the probability of the unordered pair.
    Models in `avoid` (failing just now) are used only where fewer than two others are left."""
    pool = sorted(set(models) - set(avoid))
    if len(pool) < 2:
        pool = sorted(models)
    a, b = rng.sample(pool, 2)
    return (a, b), 2 / (len(pool) * (len(pool) - 1))
