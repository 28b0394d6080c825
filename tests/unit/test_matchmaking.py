"""Battles are drawn with the probability that they declare, and nobody is shown an image twice."""

import random
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import pytest
from scipy.stats import chi2

from arena.matchmaking import Pairing, Seen, Shelf, draw_models
from arena.records import Image, Prompt, new_id

MODELS = ("m1", "m2", "m3", "m4")
FAMILIES = {"m1": "unet", "m2": "unet", "m3": "flow", "m4": "flow"}
GAINS = {pair: 1.0 + k**2 for k, pair in enumerate(combinations(MODELS, 2))}
NOTHING = Seen()


def pairing(families=None, gains=None, **settings):
    return Pairing(families or {m: m for m in MODELS}, gains=(lambda: gains) if gains else None, **settings)


def stocked(prompts=3, models=MODELS, categories=("Anime", "Painting"), rule=None):
    shelf, rows = Shelf(rule or pairing()), []
    for category in categories:
        for i in range(prompts):
            prompt = Prompt.make(f"{category} {i}", category=category)
            shelf.add(prompt, [image(prompt, m) for m in models])
            rows.append(prompt)
    return shelf, rows


def image(prompt, model, private=False):
    return Image(new_id(), prompt.prompt_id, model, "", 1, 64, 64, "{}", 0.1, "CPU", 1, "mit", private)


def fits(counts, expected):
    """Pearson's chi-squared test, at a thousandth: whether `counts` are draws of `expected` counts."""
    assert set(counts) <= set(expected)
    statistic = sum((counts[key] - n) ** 2 / n for key, n in expected.items())
    return statistic < chi2.ppf(0.999, max(1, len(expected) - 1))


def pair_of(draw):
    return tuple(sorted((draw.image_a.model, draw.image_b.model)))


@dataclass
class Case:
    """A bank, a rule and a voter."""

    rule: Pairing
    lacking: int = 0  # of 4 images a prompt, at random
    seen: int = 0  # battles that the voter had before


CASES = {
    "uniform": Case(pairing()),
    "uniform, families": Case(pairing(FAMILIES)),
    "uniform, families, half-filled, seen": Case(pairing(FAMILIES), lacking=1, seen=5),
    "active": Case(pairing(gains=GAINS)),
    "active, families": Case(pairing(FAMILIES, GAINS)),
    "active, half-filled": Case(pairing(gains=GAINS, floor=0.1), lacking=1),
    "active, families, half-filled, seen": Case(pairing(FAMILIES, GAINS), lacking=1, seen=5),
    "active, one family": Case(pairing(dict.fromkeys(MODELS, "one"), GAINS), lacking=1),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_pairs_come_as_often_as_declared(case):
    """Given its prompt, every pair of models was drawn with the probability that its battle declares."""
    rng = random.Random(11)
    shelf = Shelf(case.rule)
    for i in range(4):
        prompt = Prompt.make(f"prompt {i}", category="Anime")
        shelf.add(prompt, [image(prompt, m) for m in rng.sample(MODELS, 4 - rng.randint(0, case.lacking))])
    seen = Seen()
    for _ in range(case.seen):
        draw = shelf.draw(rng, seen)
        seen.add(draw.prompt.prompt_id, draw.image_a.image_id, draw.image_b.image_id)
    draws = [shelf.draw(rng, seen) for _ in range(20_000)]
    declared = {}
    for draw in draws:
        assert declared.setdefault((draw.prompt.prompt_id, pair_of(draw)), draw.probability) == draw.probability
    of_prompt = Counter(draw.prompt.prompt_id for draw in draws)
    for prompt_id, n in of_prompt.items():
        expected = {pair: n * p for (prompt, pair), p in declared.items() if prompt == prompt_id}
        assert sum(expected.values()) == pytest.approx(n), "the declared probabilities of a prompt sum to one"
        assert fits(Counter(pair_of(d) for d in draws if d.prompt.prompt_id == prompt_id), expected)
    assert fits(of_prompt, {prompt: len(draws) / len(of_prompt) for prompt in of_prompt}), "prompts are balanced"
    left = Counter(draw.image_a.model == min(pair_of(draw)) for draw in draws)
    assert fits(left, dict.fromkeys((True, False), len(draws) / 2)), "sides are a fair coin"


def test_the_coin_of_sides_is_fair_for_every_pair_and_prompt():
    shelf, _ = stocked(rule=pairing(gains=GAINS))
    rng = random.Random(4)
    sides = Counter()
    for _ in range(30_000):
        draw = shelf.draw(rng, NOTHING)
        sides[draw.prompt.prompt_id, *pair_of(draw), draw.image_a.model == pair_of(draw)[0]] += 1
    pairs = {key[:-1] for key in sides}
    statistic = sum((sides[*key, True] - sides[*key, False]) ** 2 / (sides[*key, True] + sides[*key, False])
                    for key in pairs)  # fmt: skip
    assert statistic < chi2.ppf(0.999, len(pairs))


def test_active_sampling_prefers_what_the_ratings_want_and_keeps_a_floor():
    rule = pairing(gains={pair: float(pair == ("m1", "m4")) for pair in combinations(MODELS, 2)}, floor=0.3)
    shelf, _ = stocked(rule=rule)
    rng = random.Random(1)
    declared = {pair_of(d): d.probability for d in (shelf.draw(rng, NOTHING) for _ in range(500))}
    assert declared.pop(("m1", "m4")) == pytest.approx(0.3 / 6 + 0.7)
    assert list(declared.values()) == pytest.approx([0.3 / 6] * 5)


def test_a_pair_that_is_new_to_the_ratings_is_wanted_as_much_as_any():
    rule = pairing(gains={("m1", "m2"): 3.0, ("m1", "m3"): 1.0, ("m2", "m3"): 2.0}, floor=0.1)
    offers = rule.offers(MODELS, mixed=False)
    chance = dict(zip(offers.pairs, offers.probabilities, strict=True))
    assert chance["m1", "m4"] == chance["m2", "m4"] == chance["m3", "m4"] == chance["m1", "m2"]
    assert sum(chance.values()) == pytest.approx(1)


@pytest.mark.parametrize("gains", [None, {}, {("m1", "m2"): 0.0}])
def test_without_anything_known_draws_are_uniform(gains):
    rule = Pairing({m: m for m in MODELS}, gains=lambda: gains)
    assert set(rule.offers(MODELS, mixed=False).probabilities) == {1 / 6}


def test_news_of_the_ratings_hold_from_the_next_draw_on():
    news = [None]
    rule = Pairing({m: m for m in MODELS}, gains=lambda: news[-1], floor=0.5)
    assert len(set(rule.offers(MODELS, mixed=False).probabilities)) == 1
    news.append(GAINS)
    assert len(set(rule.offers(MODELS, mixed=False).probabilities)) == 6


def test_models_of_one_family_meet_only_where_a_prompt_has_no_others():
    shelf, _ = stocked(prompts=2, rule=pairing(FAMILIES))
    alone = Prompt.make("alone", category="Alone")
    shelf.add(alone, [image(alone, "m1"), image(alone, "m2")])
    rng = random.Random(1)
    for _ in range(300):
        draw = shelf.draw(rng, NOTHING)
        same = FAMILIES[draw.image_a.model] == FAMILIES[draw.image_b.model]
        assert same == (draw.prompt.category == "Alone")
    shelf.add(alone, [image(alone, "m3")])
    assert {pair_of(shelf.draw(rng, NOTHING, "Alone")) for _ in range(50)} == {("m1", "m3"), ("m2", "m3")}
    same = stocked(rule=pairing(FAMILIES, different_families=False))[0]
    assert {pair_of(same.draw(rng, NOTHING)) for _ in range(200)} == set(combinations(MODELS, 2))


def test_both_images_are_of_one_prompt_and_so_of_one_complexity():
    shelf = Shelf(pairing())
    for complexity in ("simplified", "complex"):
        for i in range(3):
            prompt = Prompt.make(f"idea {i}", category="Anime", complexity=complexity)
            shelf.add(prompt, [image(prompt, m) for m in MODELS])
    rng = random.Random(2)
    for _ in range(200):
        draw = shelf.draw(rng, NOTHING)
        assert draw.image_a.prompt_id == draw.image_b.prompt_id == draw.prompt.prompt_id


def test_categories_are_balanced_whatever_their_size():
    shelf, _ = stocked(prompts=2, categories=("Anime",))
    for i in range(40):
        prompt = Prompt.make(f"big {i}", category="Painting")
        shelf.add(prompt, [image(prompt, m) for m in MODELS])
    rng = random.Random(5)
    drawn = Counter(shelf.draw(rng, NOTHING).prompt.category for _ in range(4000))
    assert fits(drawn, {"Anime": 2000, "Painting": 2000})


@pytest.mark.parametrize("rule", [pairing(), pairing(FAMILIES)], ids=["any", "families"])
def test_a_voter_sees_every_prompt_once_before_any_twice_and_no_image_twice(rule):
    shelf, rows = stocked(prompts=2, rule=rule)
    rng, seen, shown, prompts = random.Random(1), Seen(), [], []
    while (draw := shelf.draw(rng, seen)) is not None:
        images = draw.image_a.image_id, draw.image_b.image_id
        seen.add(draw.prompt.prompt_id, *images)
        shown += images
        prompts.append(draw.prompt.prompt_id)
    assert set(prompts[: len(rows)]) == {p.prompt_id for p in rows}
    assert len(shown) == len(set(shown)) == len(rows) * 4, "four images are two battles"
    assert shelf.draw(rng, NOTHING), "for others there are still all of them"


def test_a_fresh_replicate_brings_a_prompt_back_to_who_has_seen_it():
    shelf, [prompt] = stocked(prompts=1, categories=("Anime",), models=("m1", "m2"))
    rng = random.Random(1)
    first = shelf.draw(rng, NOTHING)
    seen = Seen.of([(prompt.prompt_id, first.image_a.image_id, first.image_b.image_id)])
    assert shelf.draw(rng, seen) is None
    shelf.add(prompt, [image(prompt, "m1")])
    assert shelf.draw(rng, seen) is None, "the other image is still the one that they know"
    shelf.add(prompt, [image(prompt, "m2")])
    assert shelf.draw(rng, seen).prompt == prompt


def test_the_category_asked_for_is_the_category_served():
    shelf, _ = stocked()
    assert {shelf.draw(random.Random(i), NOTHING, "Painting").prompt.category for i in range(20)} == {"Painting"}
    assert shelf.draw(random.Random(1), NOTHING, "Nothing here") is None


def test_a_prompt_with_one_image_is_not_served():
    shelf, prompt = Shelf(pairing()), Prompt.make("alone", category="Anime")
    one, two = image(prompt, "m1"), image(prompt, "m2")
    shelf.add(prompt, [one])
    assert shelf.draw(random.Random(1), NOTHING) is None and shelf.sizes() == {}
    shelf.add(prompt, [two])
    assert shelf.draw(random.Random(1), NOTHING).probability == 1.0 and shelf.sizes() == {"Anime": 1}
    assert shelf.remove(prompt.prompt_id, one.image_id) and not shelf.remove(prompt.prompt_id, one.image_id)
    assert shelf.draw(random.Random(1), NOTHING) is None and shelf.sizes() == {}
    assert not shelf.has(prompt.prompt_id, "m1") and shelf.has(prompt.prompt_id, "m2")


def test_two_models_that_made_the_very_same_picture_do_not_meet():
    shelf, prompt = Shelf(pairing()), Prompt.make("twins", category="Anime")
    one = image(prompt, "m1")
    twin = Image(one.image_id, prompt.prompt_id, "m2", "", 2, 64, 64, "{}", 0.1, "CPU", 1, "mit")
    shelf.add(prompt, [one, twin])
    assert shelf.draw(random.Random(1), NOTHING) is None
    shelf.add(prompt, [image(prompt, "m3")])
    pairs = {pair_of(shelf.draw(random.Random(i), NOTHING)) for i in range(40)}
    assert ("m1", "m2") not in pairs and pairs


def test_private_images_and_retired_models_are_not_served():
    shelf, prompt = Shelf(pairing()), Prompt.make("x", category="Anime")
    shelf.add(prompt, [image(prompt, "m1"), image(prompt, "gone"), image(prompt, "m2", private=True)])
    assert shelf.draw(random.Random(1), NOTHING) is None


def test_live_pairs_follow_the_same_rules_and_avoid_failing_models():
    rng = random.Random(2)
    for rule in (pairing(), pairing(FAMILIES), pairing(FAMILIES, GAINS)):
        draws = [draw_models(rng, rule, MODELS) for _ in range(6000)]
        declared = {tuple(sorted(pair)): p for pair, p in draws}
        assert sum(declared.values()) == pytest.approx(1)
        counts = Counter(tuple(sorted(pair)) for pair, _ in draws)
        assert fits(counts, {pair: 6000 * p for pair, p in declared.items()})
        assert fits(Counter(pair[0] < pair[1] for pair, _ in draws), {True: 3000, False: 3000})
    pair, probability = draw_models(rng, pairing(), MODELS, avoid={"m1", "m2"})
    assert set(pair) == {"m3", "m4"} and probability == 1
    pair, probability = draw_models(rng, pairing(FAMILIES), MODELS, avoid={"m1", "m2"})
    assert set(pair) == {"m3", "m4"}, "of one family, where no other can be had"
    pair, probability = draw_models(rng, pairing(), MODELS, avoid=set(MODELS))
    assert probability == pytest.approx(1 / 6), "where all fail, all are tried again"
