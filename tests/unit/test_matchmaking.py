"""Battles are drawn with the probability that they declare, and never twice for one voter."""

import random
from collections import Counter
from itertools import combinations

import pytest

from arena.matchmaking import Shelf, draw_models
from arena.records import Image, Prompt, new_id

MODELS = ("m1", "m2", "m3", "m4")


def stocked(prompts=3, models=MODELS, categories=("Anime", "Painting")):
    shelf, rows = Shelf(MODELS), []
    for category in categories:
        for i in range(prompts):
            prompt = Prompt.make(f"{category} {i}", category=category)
            shelf.add(prompt, [image(prompt, m) for m in models])
            rows.append(prompt)
    return shelf, rows


def image(prompt, model, private=False):
    return Image(new_id(), prompt.prompt_id, model, "", 1, 64, 64, "{}", 0.1, "CPU", 1, "mit", private)


def chi_squared(counts, expected):
    return sum((n - expected) ** 2 / expected for n in counts)


def test_pairs_and_sides_come_as_often_as_declared():
    shelf, _ = stocked()
    rng = random.Random(5)
    draws = [shelf.draw(rng, ()) for _ in range(6000)]
    assert {d.probability for d in draws} == {1 / 6}
    pairs = Counter(frozenset((d.image_a.model, d.image_b.model)) for d in draws)
    assert set(pairs) == {frozenset(p) for p in combinations(MODELS, 2)}
    assert chi_squared(pairs.values(), 1000) < 20.5  # 99.9th percentile of 5 degrees of freedom
    sides = Counter(d.image_a.model for d in draws)
    assert chi_squared(sides.values(), 1500) < 16.3  # 3 degrees of freedom


def test_categories_are_balanced_whatever_their_size():
    shelf, _ = stocked(prompts=2, categories=("Anime",))
    for i in range(40):
        prompt = Prompt.make(f"big {i}", category="Painting")
        shelf.add(prompt, [image(prompt, m) for m in MODELS])
    rng = random.Random(5)
    drawn = Counter(shelf.draw(rng, ()).prompt.category for _ in range(2000))
    assert chi_squared(drawn.values(), 1000) < 10.8


def test_a_voter_sees_every_prompt_once_before_any_twice_and_no_pair_twice():
    shelf, rows = stocked(prompts=2)
    rng, seen = random.Random(1), []
    while (draw := shelf.draw(rng, seen)) is not None:
        seen.append((draw.prompt.prompt_id, draw.image_a.image_id, draw.image_b.image_id))
    assert len({prompt for prompt, *_ in seen[: len(rows)]}) == len(rows)
    assert len(seen) == len({frozenset(pair) for _, *pair in seen}) == len(rows) * 6


def test_the_category_asked_for_is_the_category_served():
    shelf, _ = stocked()
    assert {shelf.draw(random.Random(i), (), "Painting").prompt.category for i in range(20)} == {"Painting"}
    assert shelf.draw(random.Random(1), (), "Nothing here") is None


def test_a_prompt_with_one_image_is_not_served():
    shelf, prompt = Shelf(MODELS), Prompt.make("alone", category="Anime")
    shelf.add(prompt, [image(prompt, "m1")])
    assert shelf.draw(random.Random(1), ()) is None and shelf.sizes() == {}
    shelf.add(prompt, [image(prompt, "m2")])
    assert shelf.draw(random.Random(1), ()).probability == 1.0


def test_private_images_and_retired_models_are_not_served():
    shelf, prompt = Shelf(MODELS), Prompt.make("x", category="Anime")
    shelf.add(prompt, [image(prompt, "m1"), image(prompt, "gone"), image(prompt, "m2", private=True)])
    assert shelf.draw(random.Random(1), ()) is None


def test_live_pairs_are_uniform_and_avoid_failing_models():
    rng = random.Random(2)
    draws = [draw_models(rng, MODELS) for _ in range(6000)]
    assert {p for _, p in draws} == {1 / 6}
    assert chi_squared(Counter(frozenset(pair) for pair, _ in draws).values(), 1000) < 20.5
    pair, probability = draw_models(rng, MODELS, avoid={"m1", "m2"})
    assert set(pair) == {"m3", "m4"} and probability == 1
    pair, probability = draw_models(rng, MODELS, avoid=set(MODELS))
    assert probability == pytest.approx(1 / 6), "where all fail, all are tried again"
