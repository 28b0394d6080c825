"""What may be served, and the battle that a voter gets of it: category, prompt, pair of models, sides.

Categories are drawn uniformly, then prompts within the category, then pairs as `arena.matchmaking.pairs` has it, then
sides. A voter gets prompts that they have not seen; when none is left, further images of those that they have. No image
is shown to anybody twice.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable

from arena.matchmaking.draws import Draw, Seen, on_sides
from arena.matchmaking.overlap import Overlap
from arena.matchmaking.pairs import Pair, Pairing
from arena.records import Image, Prompt

_LOOKS = 8  # random looks at a category before it is searched through


class _Bag:
    """A set that is drawn from at random."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self._place: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item: str) -> None:
        if item not in self._place:
            self._place[item] = len(self.items)
            self.items.append(item)

    def discard(self, item: str) -> None:
        place, last = self._place.pop(item, None), len(self.items) - 1
        if place is not None:
            self.items[place] = self.items[last]
            if place != last:
                self._place[self.items[place]] = place
            self.items.pop()


class Shelf:
    """For every prompt one image a model. With an `overlap`, pairs that are under way come first. Safe to share between
    threads."""

    def __init__(self, pairing: Pairing, overlap: Overlap | None = None):
        self.pairing, self.overlap = pairing, overlap
        self.models = frozenset(pairing.families)
        self._images: dict[str, dict[str, Image]] = {}  # of a prompt, by model, in the order of the models' ids
        self._prompts: dict[str, Prompt] = {}
        self._by_category: dict[str, _Bag] = {}  # prompts with two images at least
        self._dry: dict[str, dict[str, Image]] = {}  # the images of a prompt of which no pair is left to begin
        self._lock = threading.RLock()

    def add(self, prompt: Prompt, images: Iterable[Image]) -> None:
        """A later image of the same prompt and model takes the place of the earlier; images of models that are
        no longer contenders are not served, and neither are private ones."""
        with self._lock:
            row = self._images.get(prompt.prompt_id, {})
            fresh = {i.model: i for i in images if i.model in self.models and not i.private}
            if fresh:
                self._prompts[prompt.prompt_id] = prompt
                self._set(prompt.prompt_id, dict(sorted({**row, **fresh}.items())))

    def remove(self, prompt_id: str, image_id: str) -> bool:
        """Serve this image no more; whether it was served until now."""
        with self._lock:
            row = self._images.get(prompt_id, {})
            left = {model: image for model, image in row.items() if image.image_id != image_id}
            if len(left) < len(row):
                self._set(prompt_id, left)
            return len(left) < len(row)

    def has(self, prompt_id: str, model: str) -> bool:
        return model in self._images.get(prompt_id, ())

    def prompt(self, prompt_id: str) -> Prompt | None:
        return self._prompts.get(prompt_id)

    def sizes(self) -> dict[str, int]:
        """Prompts with a pair to show, a category."""
        with self._lock:
            return {category: len(bag) for category, bag in self._by_category.items() if len(bag)}

    def draw(self, rng: random.Random, seen: Seen, category: str | None = None) -> Draw | None:
        """A battle for a voter who was shown `seen`, or None when nothing is left for them."""
        with self._lock:
            if self.overlap:
                self.overlap.follow()
            categories = [category] if category is not None else list(self._by_category)
            rng.shuffle(categories)
            for again in (False, True):
                for name in categories:
                    draw = self.overlap.draw(rng, seen, name, again) if self.overlap else None
                    draw = draw or self._draw_in(rng, seen, name, again)
                    if draw:
                        return draw
        return None

    def pairs(self) -> tuple[int, int] | None:
        """(complete, begun) pairs of images, where pairs go to several voters."""
        if self.overlap is None:
            return None
        with self._lock:
            return self.overlap.pairs()

    def release(self, battle_id: str) -> None:
        """This battle was skipped, or can't be shown: its pair is free for others."""
        if self.overlap:
            with self._lock:
                self._dry.pop(self.overlap.release(battle_id), None)

    def look_again(self) -> None:
        """Pictures came, or prompts: what is under way and could not be served may be servable now."""
        if self.overlap:
            with self._lock:
                self.overlap.follow()
                self.overlap.look_again()

    def follow(self) -> None:
        """Votes came. A draw would notice by itself; but should they be many, no voter is to wait for that."""
        if self.overlap:
            with self._lock:
                self.overlap.follow()

    def renew(self) -> None:
        """Where votes were erased, count pairs anew; draws go on meanwhile."""
        self.follow()
        if self.overlap and self.overlap.outdated:
            fresh = self.overlap.again()
            with self._lock:
                self.overlap = fresh
                self._dry.clear()

    def _draw_in(self, rng: random.Random, seen: Seen, category: str, again: bool) -> Draw | None:
        """Of a prompt that is new to the voter, or, `again`, of one that they know."""
        bag = self._by_category.get(category)
        if not bag:
            return None
        for _ in range(_LOOKS):
            prompt_id = rng.choice(bag.items)
            if (prompt_id in seen.prompts) == again and (draw := self._draw_of(rng, seen, prompt_id)):
                return draw
        left = [p for p in bag.items if (p in seen.prompts) == again]
        while left:
            at = rng.randrange(len(left))
            if draw := self._draw_of(rng, seen, left[at]):
                return draw
            left[at] = left[-1]
            left.pop()
        return None

    def _draw_of(self, rng: random.Random, seen: Seen, prompt_id: str) -> Draw | None:
        row = self._images[prompt_id]
        fresh = {image.image_id: model for model, image in row.items() if image.image_id not in seen.images}
        models = sorted(fresh.values())  # of two that made the very same picture, one
        if len(models) < 2:
            return None
        begun = self._begun(prompt_id, row) if self.overlap else ()
        if begun is None:
            return None
        offers = self.pairing.offers(models, mixed=self.pairing.mixed(row), without=begun)
        if offers is None:
            return None
        pair, probability = offers.draw(rng)
        return Draw(self._prompts[prompt_id], *on_sides(rng, *(row[model] for model in pair)), probability)

    def _begun(self, prompt_id: str, row: dict[str, Image]) -> set[Pair] | None:
        """The pairs that were drawn before; None where those are all that there are."""
        if self._dry.get(prompt_id) is row:
            return None
        begun = self.overlap.begun(prompt_id, row)
        if begun and self.pairing.offers(list(row), mixed=self.pairing.mixed(row), without=begun) is None:
            self._dry[prompt_id] = row
            return None
        return begun

    def _set(self, prompt_id: str, row: dict[str, Image]) -> None:
        self._images[prompt_id] = row
        bag = self._by_category.setdefault(self._prompts[prompt_id].category, _Bag())
        if len({image.image_id for image in row.values()}) > 1:
            bag.add(prompt_id)
        else:
            bag.discard(prompt_id)
