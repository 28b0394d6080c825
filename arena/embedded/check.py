"""Judge by program whether a picture shows what its caption says: background, place, shape and colour.

The background is the one whose rim is nearest to the picture's. What differs from the background is the
thing's mask. Its centroid gives the place. The shape is the one of all shapes, drawn in the same slot and
style, whose mask overlaps most when both are scaled to one box; the colour is the one of all colours
that, put into the scene, comes nearest to the picture inside the mask.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from arena.embedded.draw import SIZE, SLOTS, draw, draw_background
from arena.embedded.world import BACKGROUNDS, COLOURS, SHAPES, STYLE_GROUND, Scene, Thing, random_scene

RIM = 4  # pixels at the border where never a thing stands
VISIBLE = 45.0  # distance in RGB from the background
LEAST_PIXELS = 40
LEAST_OVERLAP = 0.6  # under this it is no shape at all
NEAR = 0.12  # of the picture's side, between a centroid and its slot
BOX = 32
# They differ by less than a model's noise.
ALIKE = {"paper": "white", "dark": "black"}


@dataclass(frozen=True)
class Verdict:
    """What is right, one entry a thing."""

    background: bool
    colour: tuple[bool, ...]
    shape: tuple[bool, ...]
    place: tuple[bool, ...]

    @property
    def everything(self) -> bool:
        return self.background and all(self.colour) and all(self.shape) and all(self.place)


def test_scenes(count: int = 240, seed: int = 2026) -> list[Scene]:
    """Held-out scenes, the first half with one thing and the second with two."""
    rng = random.Random(seed)
    return [random_scene(rng, test=True, things=1 if k < count // 2 else 2) for k in range(count)]


def _array(picture: Image.Image) -> np.ndarray:
    picture = picture.convert("RGB")
    if picture.size != (SIZE, SIZE):
        picture = picture.resize((SIZE, SIZE), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


@functools.cache
def _rim() -> np.ndarray:
    rim = np.ones((SIZE, SIZE), bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    return rim


@functools.cache
def _background(name: str) -> np.ndarray:
    return _array(draw_background(name))


def find_background(pixels: np.ndarray) -> str:
    names = (*BACKGROUNDS, *STYLE_GROUND.values())
    return min(names, key=lambda n: float(np.abs(pixels[_rim()] - _background(n)[_rim()]).mean()))


def _mask(pixels: np.ndarray, background: str) -> np.ndarray:
    ground = _background(background)
    if ground.std((0, 1)).max() < 1:  # a plain one: as the picture has it
        ground = np.median(pixels[_rim()], 0)
    return np.sqrt(((pixels - ground) ** 2).sum(-1)) > VISIBLE


def _bodies(mask: np.ndarray) -> np.ndarray:
    """The mask without specks: connected bodies of at least a fifth of the largest one's size."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    bodies: list[list[tuple[int, int]]] = []
    while left:
        body, edge = [], [left.pop()]
        while edge:
            y, x = edge.pop()
            body.append((y, x))
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    edge.append(near)
        bodies.append(body)
    kept = np.zeros_like(mask)
    largest = max(map(len, bodies), default=0)
    for body in bodies:
        if 5 * len(body) >= largest:
            kept[tuple(zip(*body, strict=True))] = True
    return kept


def _half(thing: Thing) -> tuple[slice, slice]:
    low, high, whole = slice(0, SIZE // 2), slice(SIZE // 2, SIZE), slice(0, SIZE)
    return {"left": (whole, low), "right": (whole, high), "top": (low, whole), "bottom": (high, whole)}[thing.place]


def _only(mask: np.ndarray, thing: Thing, alone: bool) -> np.ndarray:
    """The part of the mask that can belong to the thing: all of it, or its half of the picture."""
    if alone:
        return _bodies(mask)
    part = np.zeros_like(mask)
    part[_half(thing)] = mask[_half(thing)]
    return _bodies(part)


def _boxed(mask: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The mask scaled to one box, and its width over its height."""
    rows, columns = np.nonzero(mask)
    if len(rows) < LEAST_PIXELS:
        return None
    # Percentiles, so that a few stray pixels do not stretch the box.
    (top, bottom), (left, right) = (np.percentile(v, (0.5, 99.5)).astype(int) for v in (rows, columns))
    cut = Image.fromarray(mask[top : bottom + 1, left : right + 1].astype(np.uint8) * 255)
    box = np.asarray(cut.resize((BOX, BOX), Image.Resampling.BILINEAR), np.float32) / 255
    return box, (right + 1 - left) / (bottom + 1 - top)


@functools.lru_cache(4096)
def _alone(thing: Thing, background: str, style: str) -> np.ndarray:
    return _array(draw(Scene((thing,), background, style)))


@functools.lru_cache(4096)
def _template(thing: Thing, background: str, style: str) -> tuple[np.ndarray, float] | None:
    return _boxed(_bodies(_mask(_alone(thing, background, style), background)))


def find_shape(mask: np.ndarray, thing: Thing, scene: Scene) -> str | None:
    """The shape that the mask shows, among all drawn as this thing would be."""
    seen = _boxed(mask)
    if seen is None:
        return None
    best, best_score = None, 0.0
    for shape in SHAPES:
        template = _template(replace(thing, shape=shape), scene.background, scene.style)
        if template is None:
            continue
        overlap = np.minimum(seen[0], template[0]).sum() / np.maximum(seen[0], template[0]).sum()
        score = overlap - 0.25 * abs(np.log(seen[1] / template[1]))
        if overlap >= LEAST_OVERLAP and score > best_score:
            best, best_score = shape, score
    return best


def find_colour(pixels: np.ndarray, mask: np.ndarray, thing: Thing, scene: Scene) -> str | None:
    """The colour that the thing has, among all that this thing could be drawn in."""
    inner = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    inner = np.pad(inner, 1)
    drawn = _mask(_alone(thing, scene.background, scene.style), scene.background)
    where = inner & drawn if (inner & drawn).sum() >= LEAST_PIXELS else inner
    if where.sum() < LEAST_PIXELS // 2:
        return None

    def distance(colour: str) -> float:
        other = _alone(replace(thing, colour=colour), scene.background, scene.style)
        return float(np.abs(pixels[where] - other[where]).mean())

    return min(COLOURS, key=distance)


def judge(picture: Image.Image, scene: Scene) -> Verdict:
    """Compare a picture with the scene that its caption describes."""
    pixels = _array(picture)
    found = find_background(pixels)
    mask = _mask(pixels, found)
    colour, shape, place = [], [], []
    for thing in scene.things:
        part = _only(mask, thing, alone=len(scene.things) == 1)
        rows, columns = np.nonzero(part)
        x, y, _ = SLOTS[thing.place, thing.size]
        seen = len(rows) >= LEAST_PIXELS
        place.append(seen and abs(columns.mean() / SIZE - x) < NEAR and abs(rows.mean() / SIZE - y) < NEAR)
        shape.append(find_shape(part, thing, scene) == thing.shape)
        colour.append(find_colour(pixels, part, thing, scene) == thing.colour)
    right = ALIKE.get(found, found) == ALIKE.get(scene.background, scene.background)
    return Verdict(right, tuple(colour), tuple(shape), tuple(bool(p) for p in place))


def score(verdicts: Iterable[Verdict]) -> dict[str, float]:
    """Shares that are right: of things for colour, shape and place, of pictures for the rest."""
    verdicts = list(verdicts)
    table = {
        name: float(np.mean([right for v in verdicts for right in getattr(v, name)]))
        for name in ("colour", "shape", "place")
    }
    table["background"] = float(np.mean([v.background for v in verdicts]))
    table["everything"] = float(np.mean([v.everything for v in verdicts]))
    return table
