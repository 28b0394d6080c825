"""The little world: its words, its captions, its pictures, and a checker that knows right from wrong."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageFilter

from arena.embedded import world
from arena.embedded.check import find_background, judge, score
from arena.embedded.check import test_scenes as held_out_scenes
from arena.embedded.draw import SIZE, SLOTS, draw
from arena.embedded.pictures import load_scenes, make_pictures
from arena.embedded.world import Scene, Thing, caption, held_out, random_scene, shows, understands


def some_scenes(count: int = 200, **kind) -> list[Scene]:
    rng = random.Random(11)
    return [random_scene(rng, **kind) for _ in range(count)]


def test_a_seed_settles_scenes_captions_and_pictures(tmp_path):
    assert some_scenes() == some_scenes()
    assert world.sample_captions(20, seed=4) == world.sample_captions(20, seed=4) != world.sample_captions(20, seed=5)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        make_pictures(folder, 10, workers=1)  # rounded up to one chunk
    assert (first / "pictures.npy").read_bytes() == (second / "pictures.npy").read_bytes()
    scenes = load_scenes(first)
    drawn = np.load(first / "pictures.npy", mmap_mode="r")
    assert len(scenes) == len(drawn) and (np.asarray(draw(scenes[3])) == drawn[3]).all()


def test_training_never_meets_a_held_out_combination():
    for scene in some_scenes():
        assert not any(held_out(thing, scene.background) for thing in scene.things)
    for scene in held_out_scenes():
        assert all(held_out(thing, scene.background) for thing in scene.things)


def test_the_held_out_captions_are_fixed_and_many():
    scenes = held_out_scenes()
    assert scenes == held_out_scenes() and len(scenes) >= 200
    assert [len(scene.things) for scene in scenes] == [1] * 120 + [2] * 120
    assert {scene.style for scene in scenes} == set(world.STYLES)


def test_a_full_caption_names_all_that_is_in_the_scene():
    for scene in some_scenes():
        words = world.split_words(caption(scene))
        for thing in scene.things:
            assert {thing.colour, thing.shape} <= set(words)
        if scene.background in world.COLOURS:
            assert scene.background in words
        assert ("pixel" in words) == (scene.style == "pixel") and ("neon" in words) == (scene.style == "neon")


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        (Scene((Thing("star", "red"),), "blue"), "a red star on a blue background"),
        (Scene((Thing("cat", "orange", "left"),), "white"), "an orange cat on the left on a white background"),
        (Scene((Thing("boat", "white", size="big"),), "sea"), "a big white boat at sea"),
        (Scene((Thing("ring", "red", "top"), Thing("tree", "blue", "bottom")), "dark", "neon"),
         "a neon sign of a red ring above a blue tree"),
    ],
)  # fmt: skip
def test_captions(scene, said):
    assert caption(scene) == said


def test_every_caption_and_example_is_understood():
    rng = random.Random(2)
    for text in [*world.sample_captions(300), *world.EXAMPLES, *(caption(s, rng) for s in some_scenes())]:
        assert understands(text) == (True, []), text


def test_unknown_words_are_named():
    assert understands("A red dragon, and a majestic red star!") == (False, ["dragon", "majestic", "!"])
    assert understands("red on blue") == (False, [])  # nothing to draw
    assert understands("A RED Star.") == (True, [])


def test_nothing_is_drawn_in_a_colour_that_would_not_show():
    for scene in some_scenes():
        assert all(shows(thing.colour, scene.background) for thing in scene.things)


def test_the_checker_accepts_the_true_pictures():
    scenes = held_out_scenes()
    share = score(judge(draw(scene), scene) for scene in scenes[100:140])
    assert min(share.values()) >= 0.95
    blurred = score(judge(draw(s).filter(ImageFilter.GaussianBlur(1.2)), s) for s in scenes[100:140:3])
    assert min(blurred.values()) >= 0.9


@pytest.mark.parametrize("size", [SIZE, 2 * SIZE])
def test_the_checker_tells_each_mistake_apart(size):
    true = Scene((Thing("star", "red", "left"), Thing("house", "blue", "right")), "yellow")
    star, house = true.things

    def verdict(*things: Thing, background: str = "yellow"):
        return judge(draw(Scene(things, background), size), true)

    assert verdict(star, house).everything
    assert verdict(replace(star, colour="green"), house).colour == (False, True)
    assert verdict(star, replace(house, shape="heart")).shape == (True, False)
    assert not verdict(star, house, background="white").background
    assert verdict(replace(house, place="left"), replace(star, place="right")).colour == (False, False)
    moved = judge(draw(Scene((replace(star, place="right"),), "yellow")), Scene((star,), "yellow"))
    assert moved.colour == moved.shape == (True,) and moved.place == (False,) and not moved.everything


def test_the_checker_sees_nothing_in_an_empty_picture():
    scene = Scene((Thing("ring", "red"),), "white")
    empty = judge(draw(Scene((), "white")), scene)
    assert empty.background and (empty.colour, empty.shape, empty.place) == ((False,), (False,), (False,))


@pytest.mark.parametrize("name", world.BACKGROUNDS)
def test_backgrounds_differ_and_slots_keep_off_the_rim(name):
    colour = next(c for c in world.COLOURS if shows(c, name))
    for place, size in SLOTS:
        scene = Scene((Thing("square", colour, place, size),), name)
        assert find_background(np.asarray(draw(scene), np.float32)) == name
