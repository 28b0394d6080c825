"""The little world that the embedded models draw: its words, its scenes and how a scene is said.

One to two things on a background, in a style. A caption settles everything that the picture shows
(what is not said has one default), so that a small model can learn to be right. This module is the
only place that lists words; the page, the training and the checker read it. It imports no torch.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass

# Each row: what we call it, then the words that mean it. The first word is the plain one.
SHAPES: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "ball", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "diamond": ("diamond", "rhombus"),
    "ring": ("ring", "donut"),
    "cross": ("cross", "plus"),
    "house": ("house", "home", "cottage"),
    "tree": ("tree",),
    "flower": ("flower", "daisy"),
    "fish": ("fish",),
    "cat": ("cat", "kitten"),
    "boat": ("boat", "ship", "sailboat"),
}
COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink",),
    "cyan": ("cyan", "turquoise"),
    "brown": ("brown",),
    "black": ("black",),
    "white": ("white",),
    "gray": ("gray", "grey"),
}
# No brown background: trunks and masts are brown.
PLAIN_BACKGROUNDS = ("white", "black", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink", "cyan")
SCENERY: dict[str, tuple[str, ...]] = {
    "night": ("in the night sky", "at night", "under the stars"),
    "sea": ("at sea", "on the sea", "over the ocean"),
    "meadow": ("in a meadow", "on the grass", "on a green meadow"),
    "sunset": ("at sunset", "in front of a sunset"),
    "snow": ("in the snow", "in a snowy landscape"),
}
STYLES: dict[str, tuple[str, ...]] = {
    "flat": ("{}", "{}", "{}", "a picture of {}", "an image of {}", "an illustration of {}", "draw {}"),
    "outline": ("an outline drawing of {}", "{} in outline style", "a sketch of {}", "{}, sketch"),
    "neon": ("a neon sign of {}", "{} in neon style", "{}, neon", "neon {}"),
    "pixel": ("pixel art of {}", "{} in pixel art style", "{}, pixel art"),
}
# Outline and neon pictures have a ground of their own.
STYLE_GROUND = {"outline": "paper", "neon": "dark"}
PLACES: dict[str, tuple[str, ...]] = {
    "centre": ("in the middle", "in the centre"),
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "top": ("at the top", "on top"),
    "bottom": ("at the bottom",),
}
SIZES: dict[str, tuple[str, ...]] = {"": ("",), "small": ("small", "little", "tiny"), "big": ("big", "large", "huge")}
# The places of the first and of the second thing named.
RELATIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("left", "right"): ("left of", "to the left of", "and", "next to"),
    ("right", "left"): ("right of", "to the right of"),
    ("top", "bottom"): ("above", "over"),
    ("bottom", "top"): ("below", "under", "beneath"),
}
# Colours that would vanish in a background (a plain one also hides its own colour).
HIDES: dict[str, tuple[str, ...]] = {
    "red": ("orange", "brown", "pink"),
    "orange": ("red", "yellow", "brown"),
    "yellow": ("orange",),
    "gray": ("brown", "pink", "cyan", "green", "purple"),
    "purple": ("blue", "brown"),
    "blue": ("purple",),
    "pink": ("gray", "red"),
    "green": ("gray", "brown"),
    "black": ("brown",),
    "night": ("black", "blue", "purple", "brown"),
    "sea": ("blue", "cyan", "gray", "green"),
    "meadow": ("green", "cyan", "gray", "blue", "white"),
    "sunset": ("orange", "brown", "purple", "red", "gray", "pink", "black"),
    "snow": ("white", "cyan", "gray", "pink"),
    "paper": ("white",),
    "dark": ("black", "brown"),
}
BACKGROUNDS = (*PLAIN_BACKGROUNDS, *SCENERY)
DEFAULT_BACKGROUNDS = ("white", "cyan", "black", "pink")
HELD_OUT_SHARE = 10  # one combination in ten is never trained on

VOCABULARY: dict[str, tuple[str, ...]] = {
    "colours": tuple(COLOURS),
    "shapes": tuple(SHAPES),
    "styles": ("outline drawing", "neon", "pixel art"),
    "backgrounds": (*PLAIN_BACKGROUNDS, "night sky", "sea", "meadow", "sunset", "snow"),
    "places": ("in the middle", "on the left", "on the right", "at the top", "at the bottom"),
    "relations": ("left of", "right of", "above", "below", "and"),
    "sizes": ("small", "big"),
}
EXAMPLES: list[str] = [
    "a red heart on a white background",
    "a yellow star in the night sky",
    "a white boat at sea",
    "an orange cat on a blue background",
    "a pink flower in a meadow",
    "a blue circle left of a red square",
    "a green tree above a brown house",
    "a neon sign of a cyan fish",
    "pixel art of a purple cat on a yellow background",
    "a big black ring on a pink background",
    "an outline drawing of a blue house",
    "a small red triangle on a gray background",
    "a red house in the snow",
    "a white diamond on the right on a black background",
    "a yellow fish below a white boat at sea",
    "a pink star and a green cross",
]


@dataclass(frozen=True)
class Thing:
    shape: str
    colour: str
    place: str = "centre"
    size: str = ""


@dataclass(frozen=True)
class Scene:
    things: tuple[Thing, ...]
    background: str
    style: str = "flat"


def shows(colour: str, background: str) -> bool:
    """Whether a thing of this colour can be seen on the background."""
    return colour != background and colour not in HIDES.get(background, ())


def default_background(things: tuple[Thing, ...], style: str) -> str:
    """The background that a caption means when it names none."""
    if style in STYLE_GROUND:
        return STYLE_GROUND[style]
    return next(b for b in DEFAULT_BACKGROUNDS if all(shows(t.colour, b) for t in things))


def held_out(thing: Thing, background: str) -> bool:
    """Whether this (shape, colour, background) is kept for the test: a fixed tenth of them all."""
    key = f"{thing.shape} {thing.colour} {background}".encode()
    return zlib.crc32(key) % HELD_OUT_SHARE == 0


def random_scene(rng: random.Random, test: bool | None = False, things: int | None = None) -> Scene:
    """Draw a scene: from the training side of the split, the test side, or (None) from both."""
    while True:
        scene = _any_scene(rng, things or rng.choice((1, 2)))
        kept = [held_out(t, scene.background) for t in scene.things]
        if test is None or (all(kept) if test else not any(kept)):
            return scene


def _any_scene(rng: random.Random, count: int) -> Scene:
    style = rng.choices(tuple(STYLES), (70, 10, 10, 10))[0]
    if count == 2:
        slots = [(place, "") for place in rng.choice((("left", "right"), ("top", "bottom")))]
    elif rng.random() < 0.7:
        slots = [("centre", rng.choices(("", "small", "big"), (70, 15, 15))[0])]
    else:
        slots = [(rng.choice(("left", "right", "top", "bottom")), "")]
    ground = STYLE_GROUND.get(style) or rng.choice(BACKGROUNDS)
    colours = [c for c in COLOURS if shows(c, ground)]
    things = tuple(Thing(rng.choice(tuple(SHAPES)), rng.choice(colours), *slot) for slot in slots)
    if style not in STYLE_GROUND and rng.random() < 0.25:
        ground = default_background(things, style)
    return Scene(things, ground, style)


def caption(scene: Scene, rng: random.Random | None = None) -> str:
    """Say a scene in words; plainly and completely without `rng`, in one of many ways with it."""

    def pick(options: tuple[str, ...]) -> str:
        return rng.choice(options) if rng else options[0]

    def chance(share: float) -> bool:
        return rng is not None and rng.random() < share

    def name(thing: Thing) -> str:
        words = [pick(SIZES[thing.size])] if thing.size else []
        if not chance(0.03):  # without a colour, any colour will do
            words.append(COLOURS[thing.colour][0] if chance(0.7) else pick(COLOURS[thing.colour]))
        words.append(SHAPES[thing.shape][0] if chance(0.5) else pick(SHAPES[thing.shape]))
        text = " ".join(words)
        if chance(0.1):
            return text
        return ("an " if text[0] in "aeiou" else "a ") + text

    if len(scene.things) == 2:
        first, second = scene.things[::-1] if chance(0.5) else scene.things
        text = f"{name(first)} {pick(RELATIONS[first.place, second.place])} {name(second)}"
    else:
        text = name(scene.things[0])
        place = scene.things[0].place
        if place != "centre" or chance(0.1):
            text += " " + pick(PLACES[place])
    ground = scene.background
    if ground in SCENERY:
        text += " " + pick(SCENERY[ground])
    elif ground in COLOURS and not (ground == default_background(scene.things, scene.style) and chance(0.6)):
        word = pick(COLOURS[ground])
        article = "an" if word[0] in "aeiou" else "a"
        text += " " + pick((f"on {article} {word} background", f"on {word}", f"with {article} {word} background"))
    return pick(STYLES[scene.style]).format(text)


def split_words(text: str) -> list[str]:
    """The words of a prompt as the models' tokenizer sees them: lower case, punctuation apart."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def _all_words() -> tuple[str, ...]:
    phrases: list[str] = ["a an on with background the in of , .", *COLOURS]
    for table in (SHAPES, COLOURS, SCENERY, STYLES, PLACES, SIZES, RELATIONS):
        phrases += [option.replace("{}", " ") for options in table.values() for option in options]
    return tuple(sorted({word for phrase in phrases for word in split_words(phrase)}))


WORDS: tuple[str, ...] = _all_words()


def understands(prompt: str) -> tuple[bool, list[str]]:
    """Whether the prompt stays within the little world, and its words that the models never met."""
    words = split_words(prompt)
    unknown = [word for word in dict.fromkeys(words) if word not in WORDS]
    shapes = {word for options in SHAPES.values() for word in options}
    return not unknown and any(word in shapes for word in words), unknown


def sample_caption(rng: random.Random) -> str:
    """A caption that the models should be able to draw."""
    return caption(random_scene(rng, test=None), rng)


def sample_captions(count: int, seed: int = 0) -> list[str]:
    """Different captions, always the same ones for a seed."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[sample_caption(rng)] = None
    return list(found)
