"""Draw a scene of the little world: the pictures that the embedded models learn from.

Everything is drawn at twice the size and averaged down, so that edges are smooth. A picture depends on
its scene alone: there is no chance in it.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from arena.embedded.world import SCENERY, STYLE_GROUND, Scene, Thing

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

SIZE = 128
PIXELS = 32  # the grid of the pixel style
PALETTE: dict[str, Colour] = {
    "red": (220, 40, 40),
    "orange": (245, 135, 30),
    "yellow": (250, 215, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "purple": (135, 50, 180),
    "pink": (250, 135, 185),
    "cyan": (50, 205, 225),
    "brown": (125, 75, 35),
    "black": (20, 20, 20),
    "white": (248, 248, 248),
    "gray": (140, 140, 140),
}
GROUNDS: dict[str, Colour] = {"paper": (250, 247, 236), "dark": (14, 12, 30)}

# Centre and radius of each slot, as shares of the picture; they lie on the latent grid.
SLOTS: dict[tuple[str, str], tuple[float, float, float]] = {
    ("centre", ""): (0.5, 0.5, 0.34),
    ("centre", "small"): (0.5, 0.5, 0.2),
    ("centre", "big"): (0.5, 0.5, 0.44),
    ("left", ""): (0.25, 0.5, 0.22),
    ("right", ""): (0.75, 0.5, 0.22),
    ("top", ""): (0.5, 0.25, 0.22),
    ("bottom", ""): (0.5, 0.75, 0.22),
}


def _ray(angle: float, radius: float) -> tuple[float, float]:
    return radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))


def _disc(x: float, y: float, rx: float, ry: float = 0.0) -> Points:
    ry = ry or rx
    return [(x + rx * math.cos(2 * math.pi * k / 40), y + ry * math.sin(2 * math.pi * k / 40)) for k in range(40)]


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _heart() -> Points:
    turns = [2 * math.pi * k / 40 for k in range(40)]
    rise = [13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) for t in turns]
    return [(16 * math.sin(t) ** 3 / 17, -r / 17 - 0.05) for t, r in zip(turns, rise, strict=True)]


_STAR = [_ray(-90 + 36 * k, 0.45 if k % 2 else 1.0) for k in range(10)]
_CROSS = [
    (-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3),
    (0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3),
]  # fmt: skip

# Each thing is a pile of polygons with a paint: its colour, darker, lighter, or a fixed one;
# "ground" cuts a hole. The colour itself always covers most of the thing.
PARTS: dict[str, list[tuple[Points, str]]] = {
    "circle": [(_disc(0, 0, 0.95), "own")],
    "square": [(_box(-0.86, -0.86, 0.86, 0.86), "own")],
    "triangle": [([(0, -0.95), (0.98, 0.82), (-0.98, 0.82)], "own")],
    "star": [(_STAR, "own")],
    "heart": [(_heart(), "own")],
    "diamond": [([(0, -1), (0.64, 0), (0, 1), (-0.64, 0)], "own")],
    "ring": [(_disc(0, 0, 0.95), "own"), (_disc(0, 0, 0.5), "ground")],
    "cross": [(_CROSS, "own")],
    "house": [
        (_box(-0.72, -0.15, 0.72, 0.95), "own"),
        ([(-0.98, -0.1), (0, -0.95), (0.98, -0.1)], "dark"),
        (_box(-0.2, 0.35, 0.2, 0.95), "dark"),
    ],
    "tree": [
        (_box(-0.16, 0.3, 0.16, 0.98), "brown"),
        (_disc(-0.4, 0.08, 0.46), "own"),
        (_disc(0.4, 0.08, 0.46), "own"),
        (_disc(0, -0.4, 0.54), "own"),
    ],
    "flower": [(_disc(*_ray(60 * k, 0.58), 0.38), "own") for k in range(6)] + [(_disc(0, 0, 0.34), "yellow")],
    "fish": [
        ([(0.3, 0), (0.98, -0.55), (0.98, 0.55)], "dark"),
        (_disc(-0.2, 0, 0.78, 0.52), "own"),
        (_disc(-0.6, -0.12, 0.11), "eye"),
    ],
    "cat": [
        ([(-0.85, -0.95), (-0.8, 0.1), (-0.1, -0.45)], "own"),
        ([(0.85, -0.95), (0.8, 0.1), (0.1, -0.45)], "own"),
        (_disc(0, 0.15, 0.88, 0.75), "own"),
        (_disc(-0.36, 0.02, 0.15, 0.2), "eye"),
        (_disc(0.36, 0.02, 0.15, 0.2), "eye"),
        ([(-0.13, 0.34), (0.13, 0.34), (0, 0.5)], "dark"),
    ],
    "boat": [
        (_box(-0.06, -0.95, 0.06, 0.45), "brown"),
        ([(-0.95, 0.4), (0.95, 0.4), (0.6, 0.95), (-0.6, 0.95)], "dark"),
        ([(0.1, -0.9), (0.1, 0.28), (0.9, 0.28)], "own"),
        ([(-0.1, -0.75), (-0.1, 0.28), (-0.8, 0.28)], "own"),
    ],
}


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """The first colour with a share of the second in it."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def _paint(part: str, own: Colour) -> Colour:
    bright = sum(own)
    if part == "dark":
        return mix(own, (0, 0, 0), 0.4) if bright > 150 else (85, 85, 85)
    if part == "eye":
        return (20, 20, 20) if bright > 300 else (248, 248, 248)
    if part == "brown":
        return PALETTE["brown"] if own != PALETTE["brown"] else (80, 45, 15)
    if part == "yellow":
        return PALETTE["yellow"] if own != PALETTE["yellow"] else PALETTE["brown"]
    return own


def _sky(size: int, stops: list[tuple[float, Colour]]) -> Image.Image:
    """Bands of colour from top to bottom, blended between the stops."""
    places, colours = [s[0] * size for s in stops], np.array([s[1] for s in stops], float)
    rows = np.stack([np.interp(np.arange(size), places, colours[:, k]) for k in range(3)], -1)
    return Image.fromarray(np.repeat(rows[:, None].round().astype(np.uint8), size, 1))


@functools.cache
def _ground(name: str, size: int) -> Image.Image:
    if name not in SCENERY:
        return Image.new("RGB", (size, size), PALETTE.get(name) or GROUNDS[name])
    stops: dict[str, list[tuple[float, Colour]]] = {
        "night": [(0, (18, 20, 66)), (1, (44, 44, 112))],
        "sea": [(0, (120, 190, 245)), (0.55, (150, 210, 250)), (0.56, (30, 110, 190)), (1, (20, 80, 150))],
        "meadow": [(0, (120, 190, 245)), (0.6, (165, 215, 250)), (0.61, (95, 185, 80)), (1, (60, 150, 60))],
        "sunset": [(0, (100, 50, 130)), (0.7, (250, 150, 80)), (0.71, (80, 45, 75)), (1, (60, 35, 65))],
        "snow": [(0, (150, 180, 215)), (0.6, (200, 218, 238)), (0.61, (250, 252, 255)), (1, (225, 235, 248))],
    }
    picture = _sky(size, stops[name])
    pen = ImageDraw.Draw(picture)

    def disc(x: float, y: float, radius: float, colour: Colour) -> None:
        pen.ellipse([size * (x - radius), size * (y - radius), size * (x + radius), size * (y + radius)], fill=colour)

    # Only the corners are decorated: no thing ever stands there.
    if name == "night":
        disc(0.88, 0.12, 0.075, (245, 240, 200))
        disc(0.915, 0.105, 0.06, (22, 24, 71))
        for x, y in ((0.08, 0.1), (0.2, 0.2), (0.1, 0.85), (0.9, 0.88), (0.82, 0.78), (0.22, 0.93)):
            disc(x, y, 0.013, (250, 245, 215))
    elif name in ("sea", "meadow"):
        disc(0.12, 0.12, 0.08, (255, 235, 110))
    elif name == "snow":
        for x, y in ((0.08, 0.1), (0.2, 0.2), (0.9, 0.08), (0.8, 0.2)):
            disc(x, y, 0.02, (252, 252, 255))
    return picture


def _polygons(thing: Thing, size: int) -> list[tuple[Points, str]]:
    x, y, radius = (value * size for value in SLOTS[thing.place, thing.size])
    return [([(x + radius * a, y + radius * b) for a, b in points], part) for points, part in PARTS[thing.shape]]


def _draw_flat(picture: Image.Image, thing: Thing, ground: Image.Image) -> None:
    pen = ImageDraw.Draw(picture)
    for points, part in _polygons(thing, picture.width):
        if part == "ground":
            hole = Image.new("L", picture.size, 0)
            ImageDraw.Draw(hole).polygon(points, fill=255)
            picture.paste(ground, mask=hole)
        else:
            pen.polygon(points, fill=_paint(part, PALETTE[thing.colour]))


def _draw_lines(picture: Image.Image, thing: Thing, style: str, ground: Image.Image) -> None:
    """Outline and neon: a faint filling, so that the thing stays a body, and a strong line."""
    own, size = PALETTE[thing.colour], picture.width
    parts = _polygons(thing, size)
    back = GROUNDS[STYLE_GROUND[style]]
    fill = mix(own, back, 0.6)
    line = mix(own, (255, 255, 255), 0.25) if style == "neon" else mix(own, (0, 0, 0), 0.15)
    width = round(size * (0.026 if style == "neon" else 0.022))
    if style == "neon":
        glow = Image.new("RGB", picture.size)
        for points, _ in parts:
            ImageDraw.Draw(glow).line([*points, *points[:2]], fill=own, width=2 * width, joint="curve")
        small = glow.resize((size // 4, size // 4)).filter(ImageFilter.GaussianBlur(size * 0.008))
        haze = np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC)).astype(int)
        picture.paste(Image.fromarray(np.minimum(255, np.asarray(picture) + haze).astype(np.uint8)))
    for points, part in parts:
        pen = ImageDraw.Draw(picture)
        if part == "ground":
            hole = Image.new("L", picture.size, 0)
            ImageDraw.Draw(hole).polygon(points, fill=255)
            picture.paste(ground, mask=hole)
        else:
            pen.polygon(points, fill=fill)
        pen.line([*points, *points[:2]], fill=line, width=width, joint="curve")


def draw_background(name: str, size: int = SIZE) -> Image.Image:
    """The background alone."""
    return _ground(name, 2 * size).resize((size, size), Image.Resampling.BOX)


def draw(scene: Scene, size: int = SIZE) -> Image.Image:
    """The picture of a scene."""
    large = 6 * PIXELS if scene.style == "pixel" else 2 * size
    ground = _ground(scene.background, large)
    picture = ground.copy()
    for thing in scene.things:
        if scene.style in STYLE_GROUND:
            _draw_lines(picture, thing, scene.style, ground)
        else:
            _draw_flat(picture, thing, ground)
    if scene.style == "pixel":
        coarse = picture.resize((PIXELS, PIXELS), Image.Resampling.BOX)
        return coarse.resize((size, size), Image.Resampling.NEAREST)
    return picture.resize((size, size), Image.Resampling.BOX)
