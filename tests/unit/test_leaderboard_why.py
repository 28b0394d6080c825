"""What the pages are told of feedback: numbers of a data set whose truth is known, and what must never be among them."""

import json
from base64 import b64decode
from collections import defaultdict

import numpy as np
import pytest

from leaderboard import pictures as pictures_module
from leaderboard.feedback import feedback_from_rows
from leaderboard.live import LiveBoard
from leaderboard.page import Pages
from leaderboard.page.image import CELLS, FEW_CELLS, MOST
from leaderboard.page.why import OFTEN, telling
from leaderboard.pictures import open_pictures
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_feedback import world, write
from tests.leaderboard_rows import row

MADE = world(seed=4, votes=500, models=4)
NASTY = '<img src=x onerror="alert(1)">{{6*7}}'


def study_of(made, **options):
    feedback = feedback_from_rows(made.feedback, made.votes, made.exclusions, made.prompts)
    return Study(votes_from_rows(made.votes, made.exclusions), feedback=feedback, **options)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of(MADE, pictures=open_pictures(write(MADE, tmp_path_factory.mktemp("why"))))


@pytest.fixture
def ask(study):
    pages = Pages(lambda: study)
    return lambda **question: json.loads(pages.answer(question))


def cards_of(ask):
    return ask(ask="part", part="why/cards")["blocks"][0]


def counted(made):
    """The rows of feedback on votes that count."""
    gone = {row["vote_id"] for row in made.exclusions} | {v["vote_id"] for v in made.votes if v["mode"] != "anonymous"}
    battles = {vote["battle_id"] for vote in made.votes if vote["vote_id"] not in gone}
    return [row for row in made.feedback if row["battle_id"] in battles]


def mean_of(rows, criterion):
    """The mean of ratings in which a voter counts once on an image."""
    each = defaultdict(list)
    for one in rows:
        each[one["image_id"], one["voter"]].append(one[criterion])
    return float(np.mean([np.mean(ratings) for ratings in each.values()]))


# -- models -------------------------------------------------------------------------------------------------------


def test_a_card_of_every_model_has_the_numbers_of_its_rows(ask):
    block, rows = cards_of(ask), counted(MADE)
    assert [card["model"] for card in block["cards"]] == ["m3", "m2", "m1", "m0"], "the best first"
    assert [entry["key"] for entry in block["criteria"]] == ["overall", "style", "coherence", "alignment"]
    for card in block["cards"]:
        own = [one for one in rows if one["model"] == card["model"]]
        assert card["feedback"] == len(own) and card["voters"] == len({one["voter"] for one in own})
        for criterion in ("style", "coherence", "alignment"):
            score = card["scores"][criterion]
            assert score["value"] == pytest.approx(mean_of(own, criterion), abs=1e-6)
            assert score["shown"] == f"{score['value']:.2f}" and score["lower"] < score["value"] < score["upper"]
            others = mean_of([one for one in rows if one["model"] != card["model"]], criterion)
            assert card["others"][criterion]["value"] == pytest.approx(others, abs=1e-6)
        groups = {name: [one for one in own if prompt_of(one)["category"] == name] for name in categories()}
        assert card["weakest"]["group"] == min(
            groups, key=lambda name: sum(mean_of(groups[name], c) for c in ("style", "coherence", "alignment"))
        )


def prompt_of(one):
    return next(prompt for prompt in MADE.prompts if prompt["prompt_id"] == one["prompt_id"])


def categories():
    return sorted({prompt["category"] for prompt in MADE.prompts})


def test_a_card_opens_with_its_worst_images(ask, study):
    for card in cards_of(ask)["cards"]:
        ranked = study.rich.ranked_images(card["model"])
        assert [one["image"] for one in card["worst"]] == list(ranked[:4])
        assert {one["model"] for one in card["worst"]} == {card["model"]} and all(
            one["prompt"] for one in card["worst"]
        )


def test_only_words_that_say_something_are_named(study):
    named, harmless = 0, 0
    for model in ("m0", "m1", "m2", "m3"):
        words = telling(study.rich, model)
        assert all(word.share >= OFTEN or word.lower > word.everybody for word in words)
        named += sum(MADE.miss.get((model, word.word), 0.0) >= 0.2 for word in words)
        harmless += sum(MADE.miss.get((model, word.word), 0.0) <= 0.05 for word in words)
    assert named >= 3 and harmless <= named / 3
    assert sum(len(telling(study.rich, model)) for model in ("m0", "m1", "m2", "m3")) < len(study.rich.missed_words) / 2


def test_a_models_page_holds_the_same_numbers_and_its_place(ask, study):
    page, card = ask(ask="model", model="m0"), next(c for c in cards_of(ask)["cards"] if c["model"] == "m0")
    assert page["told"] and page["scores"] == card["scores"]
    line = next(one for one in study.board.standings if one.model == "m0")
    assert (page["standing"]["rank"], page["standing"]["votes"]) == (line.rank, line.votes)
    assert page["standing"]["rating"]["value"] == pytest.approx(line.rating, abs=1e-6)
    worst, best = ({one["image"] for one in page[key]} for key in ("worst", "best"))
    assert len(worst) == len(best) == 12 and not worst & best
    means = [one["score"]["value"] for one in page["all"]["overall"]]
    assert means == sorted(means, reverse=True) and len(means) == 4
    assert [group["group"] for group in page["groups"]] == sorted(
        categories(), key=lambda name: next(g["score"]["value"] for g in page["groups"] if g["group"] == name)
    )

    told = ask(ask="model", model="m0", of="decided")
    assert [one["criterion"] for one in told["boards"]] == ["style", "coherence", "alignment"]
    for one in told["boards"]:
        row = next(row for row in study.rich.boards[one["criterion"]].rows if row.model == "m0")
        assert (one["rank"], one["models"]) == (row.rank, 4) and one["rating"]["value"] == pytest.approx(row.rating)
    assert told["effects"][0]["criterion"] == "coherence", "what the simulated voters go by most"
    assert told["votes"] == study.rich.explained.votes and not told["refused"] and told["apart"] == []


# -- images -------------------------------------------------------------------------------------------------------


def test_an_images_page_counts_words_battles_and_points(ask, study):
    image = study.rich.ranked_images("m0")[0]
    page, rows = ask(ask="image", image=image), [one for one in counted(MADE) if one["image_id"] == image]
    voters = {one["voter"] for one in rows}
    assert (page["feedback"], page["voters"], page["model"]) == (len(rows), len(voters), "m0")
    for index, word in enumerate(page["words"]):
        each = [
            np.mean([index in one["misaligned_words"] for one in rows if one["voter"] == voter]) for voter in voters
        ]
        assert word["share"] == pytest.approx(np.mean(each), abs=1e-6), "a voter counts once"
        assert word["marked"] == sum(index in one["misaligned_words"] for one in rows)
        assert word["percent"] == f"{word['share']:.0%}" and word["asked"] == len(rows)
    assert page["no_mistakes"] == sum(not one["misaligned_words"] for one in rows)
    gone = {one["vote_id"] for one in MADE.exclusions}
    votes = [
        v
        for v in MADE.votes
        if image in (v["image_a"], v["image_b"]) and v["mode"] == "anonymous" and v["vote_id"] not in gone
    ]
    won = sum(v["winner"] == ("model_a" if v["image_a"] == image else "model_b") for v in votes)
    bad = sum(v["winner"] == "both_bad" for v in votes)
    assert (page["record"]["battles"], page["record"]["won"], page["record"]["both_bad"]) == (len(votes), won, bad)
    assert len(page["points"]["coherence"]) == sum(len(one["coherence_points"] or []) for one in rows)
    about = next(one for one in MADE.images if one["image_id"] == image)
    assert {one["image"] for one in page["siblings"]} <= {
        one["image_id"] for one in MADE.images if one["prompt_id"] == about["prompt_id"]
    } - {image}
    assert page["src"].startswith("data:image/webp;base64,") and page["size"] == [48, 32]
    assert dict(page["made"])["hardware"] == "cpu"

    battles = ask(ask="battles", selection={"image": image})
    assert battles["total"] == len(votes) and {one["a"]["image"] for one in battles["rows"]} == {image}
    assert sum(one["won"] == "a" for one in battles["rows"]) <= won


def test_one_of_twenty_looks_like_one_of_twenty():
    """Only who rated it low was asked where: the map is a mean over all who rated, with the gaussian's height."""
    rows = [{"feedback_id": f"f{k}", "image_id": "i", "model": "m", "voter": f"v{k}", "prompt": "a cat", "prompt_id": "p",
             "coherence": 5 if k else 2, "coherence_points": None if k else [{"x": 0.25, "y": 0.75}]} for k in range(20)]  # fmt: skip
    study = Study(votes_from_rows([]), feedback=feedback_from_rows(rows))
    pages = Pages(lambda: study)
    found = json.loads(pages.answer({"ask": "image", "image": "i"}))["maps"]
    assert set(found) == {"coherence"}, "nobody was asked where it does not follow the prompt"
    told = found["coherence"]
    assert (told["asked"], told["voters"], told["where"]) == (1, 20, "bottom left")
    assert told["most"] == pytest.approx(1 / 20, rel=0.1)
    drawn = np.frombuffer(b64decode(told["data"]), np.uint8).reshape(CELLS, CELLS)
    at = (np.arange(CELLS) + 0.5) / CELLS
    wanted = np.exp(-((at[None, :] - 0.25) ** 2 + (at[:, None] - 0.75) ** 2) / 2 / 0.05**2) / 20
    assert np.abs(drawn / 255 - wanted).max() <= 0.5 / 255 + 1e-6


def test_pictures_come_small_a_few_at_a_time_and_trust_is_a_question(ask, study):
    images = list(study.rich.ranked_images())
    found = ask(ask="pictures", images=[*images, "no", 7])["images"]
    assert list(found) == images[:MOST] and all(one["src"] for one in found.values())
    assert {one["maps"]["coherence"]["cells"] for one in found.values() if "coherence" in one["maps"]} == {FEW_CELLS}
    assert ask(ask="pictures", images="all")["images"] == {} == ask(ask="pictures")["images"]
    careless = study_of(world(seed=4, votes=300), models={})
    careless.rich._trust = {"u000": 0.0, "u001": 0.0, "u002": 0.2}
    pages = Pages(lambda: careless)
    image = careless.rich.ranked_images("m0")[0]
    plain, trusted = (json.loads(pages.answer({"ask": "image", "image": image, "trusted": t})) for t in (False, True))
    assert plain["light"] == 3 and plain["scores"] == trusted["scores"] and plain["maps"] != trusted["maps"]


def test_thumbnails_take_no_more_memory_than_they_may(monkeypatch, study):
    images = study.rich.images()
    monkeypatch.setattr(pictures_module, "THUMBNAILS", 2_000)
    shelf = study.pictures._shelf
    few = pictures_module.Pictures(lambda: shelf)
    assert all(few.thumbnail(image) for image in images)
    assert 0 < sum(map(len, few._thumbnails.values())) == few._held <= 2_000


# -- what is not there, or not to be shown --------------------------------------------------------------------------


def test_without_feedback_the_pages_say_so():
    study = Study(votes_from_rows([row("x", "y", "model_a", prompt="a cat", image_a="i", image_b="j")]))
    pages = Pages(lambda: study)
    found = json.loads(pages.answer({"ask": "part", "part": "why/cards"}))["blocks"][0]
    assert found["cards"] == [] and found["notes"] == []
    model = json.loads(pages.answer({"ask": "model", "model": "x"}))
    assert not model["told"] and model["standing"]["votes"] == 1
    image = json.loads(pages.answer({"ask": "image", "image": "j"}))
    assert (
        not image["told"]
        and image["prompt"] == "a cat"
        and image["record"] == {"battles": 1, "won": 0, "lost": 1, "both_good": 0, "both_bad": 0}
    )
    assert "maps" not in image and image["src"] is None
    for question in (
        {"ask": "model", "model": "z"},
        {"ask": "image", "image": "z"},
        {"ask": "image"},
        {"ask": "model", "model": 3},
    ):
        assert list(json.loads(pages.answer(question))) == ["error"]


class Shelf:
    """Shows whatever it is asked for."""

    def thumbnail(self, image, side=0):
        return b"RIFF" + image.encode()

    def picture(self, image):
        return None


def test_a_private_image_is_on_no_page():
    rows = [{"feedback_id": f"f{k}", "image_id": image, "model": "m", "voter": f"v{k}", "style": 1, "prompt": prompt, "prompt_id": f"p{prompt}",
             "extra": json.dumps({"private": True} if image == "secret" else {})} for k, (image, prompt) in enumerate([("secret", "private words"), ("open", "a cat"), ("unsaid", None)])]  # fmt: skip
    votes = [row("m", "n", "model_a", prompt="private words", image_a="secret", image_b="other"),
             row("m", "n", "model_a", prompt="", image_a="hidden", image_b="hidden-too")]  # fmt: skip
    study = Study(votes_from_rows(votes), feedback=feedback_from_rows(rows), pictures=Shelf())
    pages = Pages(lambda: study)
    for image in ("secret", "hidden"):
        assert "error" in json.loads(pages.answer({"ask": "image", "image": image})), image
    told = [pages.answer(question) for question in ({"ask": "part", "part": "why/cards"}, {"ask": "model", "model": "m"},
            {"ask": "pictures", "images": ["secret", "hidden", "open"]}, {"ask": "image", "image": "open"})]  # fmt: skip
    assert all("secret" not in text and "private words" not in text for text in told)
    assert list(json.loads(told[2])["images"]) == ["open"]
    assert json.loads(pages.answer({"ask": "image", "image": "unsaid"}))["src"] is None, "no prompt, no picture"


def test_names_and_prompts_travel_as_they_are():
    rows = [{"feedback_id": "f", "image_id": "i", "model": NASTY, "voter": "v", "style": 1, "prompt": NASTY, "prompt_id": "p",
             "misaligned_words": [0]}]  # fmt: skip
    study = Study(votes_from_rows([]), feedback=feedback_from_rows(rows))
    pages = Pages(lambda: study)
    page = json.loads(pages.answer({"ask": "image", "image": "i"}))
    assert page["prompt"] == NASTY and page["name"] == NASTY and page["words"][0]["text"] == "<img"
    assert json.loads(pages.answer({"ask": "model", "model": NASTY}))["worst"][0]["prompt"] == NASTY


# -- downloads and news ---------------------------------------------------------------------------------------------


def test_a_sheet_can_be_had_as_csv_and_as_json(ask, study):
    sheet = SHEETS["scores"](study)
    assert ask(ask="file", name="scores")["text"] == sheet.to_csv()
    found = ask(ask="file", name="scores", form="json")
    assert found["name"] == "scores.json" and json.loads(found["text"]) == json.loads(json.dumps(sheet.to_json()))


def test_new_feedback_without_a_vote_is_news():
    live = LiveBoard([row("x", "y", "model_a")], feedback=lambda: feedback_from_rows([]))
    pages = Pages(live.study)
    stamp = json.loads(pages.answer({"ask": "head"}))["stamp"]
    assert json.loads(pages.answer({"ask": "head", "seen": stamp})) == {"same": True}
    live.renew()
    assert json.loads(pages.answer({"ask": "head", "seen": stamp}))["stamp"] != stamp
