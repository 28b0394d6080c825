"""Means of feedback and their intervals, words, agreement: known answers, libraries' answers, coverage by simulation."""

import math
from collections import defaultdict
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from scipy.stats import t as student_t

from leaderboard import errors, rich
from leaderboard.feedback import feedback_from_rows, read_feedback
from leaderboard.rich import Rich
from leaderboard.rich.alpha import ordinal_alpha
from leaderboard.rich.scores import clustered, of_images
from leaderboard.rich.words import normal
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_feedback import expected_rating, world, write
from tests.leaderboard_rows import row as vote_row

DSG = Path(__file__).parents[3] / "shared" / "data" / "dsg" / "tifa160-likert-anns.csv"
MADE = world(seed=3)
RICH = Rich(feedback_from_rows(MADE.feedback, MADE.votes, MADE.exclusions, MADE.prompts), votes_from_rows(MADE.votes))


def said(image, voter, model="m", **more):
    return {"image_id": image, "model": model, "voter": voter, "prompt_id": f"prompt of {image}"} | more


# -- scores -------------------------------------------------------------------------------------------------------


def test_known_means_of_models_and_images():
    rows = [said("i", "u", style=1, coherence=5), said("i", "v", style=4), said("j", "u", style=3, coherence=4),
            said("k", "u", model="n", style=5)]  # fmt: skip
    found = Rich(feedback_from_rows(rows))
    best, other = found.models()
    assert (best.model, other.model) == ("n", "m"), "best overall first"
    assert other.scores["style"].mean == pytest.approx((1 + 4 + 3) / 3) and other.scores["style"].ratings == 3
    assert other.scores["coherence"].mean == 4.5 and other.scores["alignment"].mean is None
    assert other.scores["overall"].mean == pytest.approx((3 + 4 + 3.5) / 3), "the mean of what a voter rated"
    assert (other.feedback, other.images, other.voters) == (3, 2, 2)
    assert found.image("i").scores["style"].mean == 2.5 and found.image("i").scores["coherence"].mean == 5
    assert best.others["style"] == other.scores["style"].mean and best.others["alignment"] is None


def test_a_voter_who_rates_an_image_twice_counts_once_on_it():
    rows = [said("i", "u", style=1), said("i", "u", style=2), said("i", "v", style=4)]
    found = Rich(feedback_from_rows(rows))
    assert found.image("i").scores["style"].mean == found.models()[0].scores["style"].mean == (1.5 + 4) / 2
    assert found.image("i").scores["style"].ratings == 3 and found.image("i").scores["style"].voters == 2


def test_normalised_scores_run_from_the_worst_image_to_the_best():
    rows = [said("i", "u", style=2), said("j", "u", style=3, model="n"), said("k", "u", style=5, model="n")]
    found = Rich(feedback_from_rows(rows))
    assert found.norms["style"] == (2.0, 5.0) and found.norms["coherence"] == (None, None)
    norms = [found.image(image).scores["style"].normalised for image in "ijk"]
    assert norms == pytest.approx([0, 1 / 3, 1])
    assert found.model("n").scores.scores["style"].normalised == pytest.approx((4 - 2) / 3)
    assert Rich(feedback_from_rows(rows[:1])).image("i").scores["style"].normalised is None, "nothing spans"


def test_means_that_differ_by_rounding_alone_span_nothing():
    """0.1 + 0.2 is not 0.3: images whose voters say the same have one mean, and no worst or best."""
    same = [said(image, f"u{at}", style=3, coherence=2, alignment=5) for image in "ij" for at in range(7)]
    same += [said("k", "u0", style=3, coherence=2, alignment=5, battle_id=f"b{at}") for at in range(3)]
    found = Rich(feedback_from_rows(same), trust={"u0": 0.3, "u1": 0.7})
    for image in "ijk":
        assert all(score.normalised is None for score in found.image(image).scores.values())


ASKED_STYLE, ASKED_COHERENCE = ('{"asked":["style"]}', '{"asked":["coherence"]}')


def test_who_was_asked_what_does_not_decide_which_image_is_worse():
    """Coherence is rated two points lower. Image i was seen by those who were asked for it, j by the others: overall they
    are as good as each other. Where all were asked the same, or the rows do not say, overall is the plain mean."""
    rows = [said("i", f"u{at}", coherence=2, extra=ASKED_COHERENCE) for at in range(6)]
    rows += [said("j", f"v{at}", style=4, extra=ASKED_STYLE, model="n") for at in range(6)]
    found = Rich(feedback_from_rows(rows))
    assert found.image("i").scores["overall"].mean == found.image("j").scores["overall"].mean == 3.0
    assert any(
        "asked for different criteria" in note
        for note in SHEETS["scores"](Study(votes_from_rows([]), feedback=found)).notes
    )
    plain = Rich(feedback_from_rows([row | {"extra": None} for row in rows]))
    assert (plain.image("i").scores["overall"].mean, plain.image("j").scores["overall"].mean) == (2.0, 4.0)
    both = [said("k", "w", style=5, coherence=1, extra='{"asked":["style","coherence"]}')]
    with_both = Rich(feedback_from_rows([*rows, *both]))
    assert with_both.image("k").scores["overall"].mean == pytest.approx(3 + ((5 - 29 / 7) + (1 - 13 / 7)) / 2)
    high = [said("l", "z", coherence=5, extra=ASKED_COHERENCE)]
    assert Rich(feedback_from_rows([*rows, *high])).image("l").scores["overall"].mean == 5.0, "within the scale"


def test_one_who_is_not_known_is_one_voter_of_their_battle():
    rows = [{"image_id": image, "model": "m", "style": rating, "prompt_id": "p", "battle_id": battle}
            for image, rating, battle in (("i", 1, "b"), ("j", 2, "b"), ("i", 3, "c"), ("j", 4, None), ("i", 5, None))]  # fmt: skip
    found = Rich(feedback_from_rows(rows))
    assert found.models()[0].voters == 4 and found.image("i").voters == 3


def test_trust_weighs_voters_and_comes_from_gold_tasks():
    rows = [
        said("i", "good", style=5),
        said("i", "bad", style=1),
        said("j", "good", style=4),
        said("j", "bad", style=2),
    ]
    votes = [vote_row("m", "n", "model_b", voter="bad", gold="model_a") for _ in range(20)]
    votes += [vote_row("m", "n", "model_a", voter="good", gold="model_a") for _ in range(20)]
    found = Rich(feedback_from_rows(rows), votes_from_rows(votes))
    weight = found.trust["bad"]
    assert weight < 0.2 < found.trust["good"]
    score = found.models()[0].scores["style"]
    assert score.mean == 3.0
    assert score.trusted == pytest.approx((9 * found.trust["good"] + 3 * weight) / (2 * (found.trust["good"] + weight)))
    by_hand = Rich(feedback_from_rows(rows), trust={"bad": 0.0})
    assert by_hand.models()[0].scores["style"].trusted == 4.5 and by_hand.image("i").scores["style"].trusted == 5.0


def test_the_truth_of_a_simulated_world_lies_in_most_intervals():
    hits, misses = 0, []
    for seed in range(5):
        made = world(seed=seed, votes=400)
        for part in Rich(feedback_from_rows(made.feedback)).models():
            for name in ("style", "coherence"):
                score, truth = part.scores[name], made.score[part.model, name]
                inside = score.lower <= truth <= score.upper
                hits += inside
                misses += [] if inside else [(part.model, name, truth, score)]
    assert hits >= 34, misses  # of 40


def crossed(rng, voters, images, each, heavy=False, models=3):
    """Ratings of 3 models by voters with a leniency on images with their luck, and what infinitely many would say."""
    activity = rng.lognormal(0, 1 if heavy else 0, voters)
    who = rng.choice(voters, each * models, p=activity / activity.sum())
    image = rng.integers(0, images, each * models)
    model = np.repeat(np.arange(models), each)
    quality = np.linspace(2.5, 4.2, models)
    leniency, luck = rng.normal(0, 0.4, voters), rng.normal(0, 0.5, (models, images))
    latent = quality[model] + leniency[who] + luck[model, image] + rng.normal(0, 0.6, len(who))
    values = np.clip(np.rint(latent), 1, 5)
    return values, model, who, image, np.array([expected_rating(mean) for mean in quality])


@pytest.mark.parametrize(("voters", "images", "each", "heavy"), [
    (40, 40, 200, False), (40, 40, 200, True), (10, 15, 60, False), (5, 100, 200, False),
])  # fmt: skip
def test_a_models_interval_holds_the_truth_in_95_of_100_cases(voters, images, each, heavy):
    rng, hits, naive = np.random.default_rng(1), [], []
    for _ in range(200):
        values, model, who, image, truth = crossed(rng, voters, images, each, heavy)
        found = clustered(values, np.ones(len(values)), model, 3, who, image)
        hits.append((found.lower <= truth) & (truth <= found.upper))
        deviation = np.array([values[model == at].std() for at in range(3)]) / math.sqrt(each)
        naive.append(np.abs(found.mean - truth) < 1.96 * deviation)
    assert 0.92 <= np.mean(hits) <= 0.99, np.mean(hits)
    assert np.mean(naive) < 0.85, "ratings taken for independent would be far too sure"


@pytest.mark.parametrize("each", [2, 5, 20])
def test_an_images_interval_holds_the_truth_in_95_of_100_cases(each):
    rng, hits = np.random.default_rng(2), []
    for _ in range(30):
        quality, leniency = rng.uniform(1.5, 4.5, 80), rng.normal(0, 0.4, 50)
        who = np.concatenate([rng.choice(50, each, replace=False) for _ in quality])
        image = np.repeat(np.arange(80), each)
        values = np.clip(np.rint(quality[image] + leniency[who] + rng.normal(0, 0.6, len(who))), 1, 5)
        spread = math.hypot(0.4, 0.6)
        truth = np.array([1 + sum(0.5 * math.erfc((edge - mean) / spread / math.sqrt(2)) for edge in (1.5, 2.5, 3.5, 4.5))
                          for mean in quality])  # fmt: skip
        found = of_images(values, np.ones(len(values)), image, 80, who)
        hits.append((np.maximum(found.lower, 1) <= truth) & (truth <= np.minimum(found.upper, 5)))
    assert 0.93 <= np.mean(hits) <= 0.995, np.mean(hits)


def test_a_models_interval_is_made_of_means_without_each_voter_and_each_prompt():
    """What a cluster pulls the mean is what the mean changes where it is left out; two ways are joined as published."""
    rng = np.random.default_rng(8)
    who, item, values = rng.integers(0, 9, 60), rng.integers(0, 7, 60), rng.integers(1, 6, 60).astype(float)
    weight = rng.uniform(0.2, 1.0, 60)
    whole = np.average(values, weights=weight)

    def moved(codes):
        kept = [codes != code for code in np.unique(codes)]
        return np.array([np.average(values[rest], weights=weight[rest]) - whole for rest in kept])

    parts = [(moved(codes) ** 2).sum() for codes in (who, item, who * 10 + item)]
    fourth = [(moved(codes) ** 4).sum() for codes in (who, item)]
    counts = [len(np.unique(codes)) - 1 for codes in (who, item)]
    degrees = [min(n, 3 * v**2 / f) for n, v, f in zip(counts, parts[:2], fourth, strict=True)]
    variance = max(*parts[:2], parts[0] + parts[1] - parts[2])
    joined = variance**2 / (parts[0] ** 2 / degrees[0] + parts[1] ** 2 / degrees[1])
    half = student_t.ppf(0.975, np.clip(joined, min(degrees), sum(degrees))) * math.sqrt(variance)
    found = clustered(values, weight, np.zeros(60, np.int64), 1, who, item)
    assert found.mean[0] == pytest.approx(whole)
    assert found.upper[0] - whole == pytest.approx(half, rel=1e-3) == pytest.approx(whole - found.lower[0], rel=1e-3)


def test_ratings_that_are_all_equal_prove_no_certainty():
    rows = [said(f"i{at % 4}", f"u{at % 3}", style=5) for at in range(12)] + [
        said(f"j{at % 4}", f"u{at % 3}", style=1 + at % 5, model="n") for at in range(12)
    ]
    score = next(part for part in Rich(feedback_from_rows(rows)).models() if part.model == "m").scores["style"]
    assert score.mean == score.upper == 5.0 and score.lower < 4.9


@pytest.mark.parametrize("rows", [
    [said("i", "u", style=3)],
    [said("i", "u", style=3), said("j", "u", style=4)],
    [said("i", "u", style=3), said("i", "v", style=4)],
])  # fmt: skip
def test_no_interval_is_given_from_one_voter_or_one_prompt(rows):
    score = Rich(feedback_from_rows(rows)).models()[0].scores["style"]
    assert score.mean is not None and score.lower is None and score.upper is None


@settings(max_examples=40, deadline=None)
@given_by(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 5)), min_size=1))
def test_whatever_was_said_means_lie_within_intervals_within_the_scale(ratings):
    rows = [said(f"i{i}", f"u{u}", model=f"m{i % 2}", style=r, coherence=6 - r, category=f"c{i % 3}")
            for i, u, r in ratings]  # fmt: skip
    found = Rich(feedback_from_rows(rows))
    scores = [part.scores for part in (*found.models(), *found.groups, *map(found.image, found.images()))]
    for score in (score for part in scores for score in part.values() if score.mean is not None):
        assert 1 <= score.mean <= 5 and (score.normalised is None or -1e-9 <= score.normalised <= 1 + 1e-9)
        assert score.lower is None or 1 <= score.lower <= score.mean + 1e-9 <= score.upper + 2e-9 <= 5 + 3e-9
        assert score.trusted == pytest.approx(score.mean)


def test_weakest_groups_come_first_and_worst_images_too():
    weak = {model: RICH.model(model).groups[0].group for model in ("m0", "m1", "m2", "m3")}
    assert sum(weak[f"m{at}"] == f"category {at % 3}" for at in range(4)) >= 3, weak
    page = RICH.model("m1", images=5)
    assert len(page.worst) == len(page.best) == 5 and not {i.image_id for i in page.worst} & {
        i.image_id for i in page.best
    }
    overall = [image.scores["overall"].mean for image in (*page.worst, *page.best[::-1])]
    assert overall == sorted(overall) or np.corrcoef(np.arange(10), overall)[0, 1] > 0.9
    assert {image.model for image in page.worst} == {"m1"} and set(RICH.ranked_images()) == set(RICH.images())


def test_one_harsh_rating_does_not_make_an_image_the_worst():
    rows = [said("once", "u0", style=1)] + [said("often", f"u{at}", style=1 + at % 2) for at in range(20)]
    rows += [said(f"fine {at}", f"u{at % 7}", style=4) for at in range(40)]
    assert Rich(feedback_from_rows(rows)).ranked_images()[0] == "often"


@pytest.mark.parametrize("ask", [lambda r: r.model("nobody"), lambda r: r.image("none"), lambda r: r.words("none"),
                                 lambda r: r.heatmap(r.images()[0], "style")])  # fmt: skip
def test_what_is_not_known_is_refused_by_its_name(ask):
    with pytest.raises(errors.UnknownChoice):
        ask(RICH)


# -- words --------------------------------------------------------------------------------------------------------


def test_words_of_an_image_are_counted_by_voter():
    prompt = "A red cat, sleeping"
    rows = [said("i", "u", prompt=prompt, misaligned_words=[1, 2]), said("i", "v", prompt=prompt, misaligned_words=[1]),
            said("i", "w", prompt=prompt, misaligned_words=[]), said("i", "x", prompt=prompt, style=2)]  # fmt: skip
    found = Rich(feedback_from_rows(rows), trust={"u": 0.5})
    a, red, cat, sleeping = found.words("i")
    assert [word.text for word in (a, red, cat, sleeping)] == prompt.split()
    assert [word.asked for word in (a, red, cat, sleeping)] == [3] * 4, "who was not asked says nothing"
    assert (red.marked, red.share, cat.marked, sleeping.share) == (2, pytest.approx(2 / 3), 1, 0.0)
    assert (a.weighted, red.weighted, cat.weighted) == (0.0, 1.5, 0.5)
    assert red.trusted == pytest.approx(1.5 / 2.5) and cat.trusted == pytest.approx(0.5 / 2.5)
    assert 0 < red.lower < red.share < red.upper < 1
    assert found.image("i").no_mistakes == 1 and found.image("i").asked_words == 3


def test_a_word_that_a_prompt_has_twice_is_one_answer():
    rows = [said("i", f"u{at}", prompt="a cat on a Cat", misaligned_words=[1] if at % 2 else [1, 4] if at == 0 else [4] if at < 5 else [])
            for at in range(12)]  # fmt: skip
    (cat,) = [word for word in Rich(feedback_from_rows(rows)).missed_words if word.word == "cat"]
    assert (cat.answers, cat.marked) == (12, 9) and cat.share == pytest.approx(9 / 12)


@pytest.mark.parametrize(("word", "wanted"), [("Cat,", "cat"), ("\"neon\"", "neon"), ("—", ""), ("it's", "it's"),
                                              ("(3D)", "3d"), ("Straße.", "strasse"), ("16:9", "16:9")])  # fmt: skip
def test_over_prompts_a_word_is_without_case_and_marks(word, wanted):
    assert normal(word) == wanted


def test_the_words_that_a_model_misses_most_are_found():
    made = world(seed=5, votes=900, prompts=40)
    missed = Rich(feedback_from_rows(made.feedback)).missed_words
    for word in missed:
        assert 0 <= word.lower <= word.share + 1e-12 <= word.upper + 2e-12 <= 1 + 3e-12
        assert word.answers >= 10 and word.marked <= word.answers
    known = [word for word in missed if (word.model, word.word) in made.miss]
    often = {(word.model, word.word) for word in known if made.miss[word.model, word.word] > 0.5}
    assert {(word.model, word.word) for word in known[: len(often) // 2]} <= often
    wholes = {word.word: word.everybody for word in missed}
    for name in wholes:
        of_all = [word for word in missed if word.word == name]
        mean = sum(word.share * word.answers for word in of_all) / sum(word.answers for word in of_all)
        assert wholes[name] == pytest.approx(mean, abs=0.06)


def test_a_words_interval_holds_the_truth_in_95_of_100_cases():
    """The same word in every prompt: some images miss it, voters differ in what they see."""
    rng, hits, chance = np.random.default_rng(0), [], {"cat": 0.4, "red": 0.15, "dog": 0.7}
    for _ in range(120):
        seen, wrong = np.clip(rng.normal(0.8, 0.1, 30), 0, 1), np.clip(rng.normal(0.05, 0.02, 30), 0, 1)
        rows = []
        for image in range(12):
            misses = [rng.random() < part for part in chance.values()]
            for voter in rng.choice(30, 8, replace=False):
                marks = [at for at in range(3) if rng.random() < (seen if misses[at] else wrong)[voter]]
                rows.append(said(f"i{image}", f"u{voter}", prompt="cat red dog", misaligned_words=marks))
        for word in Rich(feedback_from_rows(rows)).missed_words:
            truth = 0.8 * chance[word.word] + 0.05 * (1 - chance[word.word])
            hits.append(word.lower <= truth <= word.upper)
    assert 0.92 <= np.mean(hits) <= 0.99, np.mean(hits)


def test_a_words_interval_is_honest_from_two_images():
    """By luck two images look alike; then ten voters of each would seem twenty. It held the truth in 84 of 100 cases."""
    rng, hits, chance = np.random.default_rng(1), [], {"cat": 0.4, "red": 0.15, "dog": 0.7}
    for _ in range(120):
        rows = []
        for image in range(2):
            misses = [rng.random() < part for part in chance.values()]
            for voter in rng.choice(20, 10, replace=False):
                marks = [at for at in range(3) if rng.random() < (0.8 if misses[at] else 0.05)]
                rows.append(said(f"i{image}", f"u{voter}", prompt="cat red dog", misaligned_words=marks))
        for word in Rich(feedback_from_rows(rows)).missed_words:
            hits.append(word.lower <= 0.8 * chance[word.word] + 0.05 * (1 - chance[word.word]) <= word.upper)
    assert np.mean(hits) > 0.87, np.mean(hits)


# -- agreement ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given_by(st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=12))
def test_alpha_is_the_librarys(counts):
    counts = np.array(counts)
    several = counts[counts.sum(axis=1) >= 2]
    found = ordinal_alpha(counts)
    if (several.sum(axis=0) > 0).sum() < 2:
        assert found is None
    else:
        wanted = krippendorff.alpha(value_counts=several, level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
        assert found == pytest.approx(wanted, abs=1e-9)


def test_agreement_of_simulated_raters_falls_with_those_who_guess():
    alpha = [Rich(feedback_from_rows(world(seed=2, careless=careless).feedback)).agreement[0] for careless in (0, 20)]
    assert alpha[0].lower > alpha[1].upper and alpha[0].criterion == "style" and alpha[0].voters == 40
    assert alpha[0].lower < alpha[0].alpha < alpha[0].upper


# -- the sheets, and real ratings ---------------------------------------------------------------------------------


def test_every_sheet_of_feedback_is_made_of_the_same_numbers(tmp_path):
    made = world(votes=300)
    study = Study(votes_from_rows(made.votes, made.exclusions), feedback=lambda: read_feedback(write(made, tmp_path)))
    assert study.rich is study.rich
    scores = {row["model"]: row for row in SHEETS["scores"](study).rows}
    of_source = {part.model: part for part in rich.of(tmp_path).models()}
    for model, row in scores.items():
        assert row["coherence"] == of_source[model].scores["coherence"].mean
        assert row["coherence_lower"] == of_source[model].scores["coherence"].lower
    assert any("excluded:withdrawn" in note for note in SHEETS["scores"](study).notes)
    images = SHEETS["images"](study).rows
    assert len(images) == len(study.rich.images()) and images[0]["image"] == study.rich.ranked_images()[0]
    assert [row["model"] for row in SHEETS["weaknesses"](study).rows] == [part.model for part in study.rich.groups]
    for name in ("words", "criteria", "explained", "raters", "weighted"):
        assert SHEETS[name](study).rows, name


def test_means_norms_and_heat_are_those_of_plain_sums():
    """Every number again from the published rows: a mean over voters of each one's own mean, weighed by trust or not."""
    trust = {f"u{at:03d}": 0.1 + 0.02 * at for at in range(40)}
    rich = Rich(feedback_from_rows(MADE.feedback, MADE.votes, MADE.exclusions, MADE.prompts), trust=trust)
    gone = {row["vote_id"] for row in MADE.exclusions} | {v["vote_id"] for v in MADE.votes if v["mode"] != "anonymous"}
    counted = {vote["battle_id"] for vote in MADE.votes if vote["vote_id"] not in gone}
    rows = [row for row in MADE.feedback if row["battle_id"] in counted]
    said_by = defaultdict(list)
    for one in rows:
        said_by[one["model"], one["image_id"], one["voter"]].append(one)
    for name in ("style", "coherence", "alignment"):
        cells = {key: np.mean([one[name] for one in said]) for key, said in said_by.items()}
        images = defaultdict(list)
        for (_, image, voter), mean in cells.items():
            images[image].append((mean, trust[voter]))
        low, high = (end(np.mean([mean for mean, _ in part]) for part in images.values()) for end in (min, max))
        for image, part in images.items():
            score, (means, weights) = rich.image(image).scores[name], zip(*part, strict=True)
            assert score.mean == pytest.approx(np.mean(means)) and score.trusted == pytest.approx(
                np.average(means, weights=weights)
            )
            assert score.normalised == pytest.approx((np.mean(means) - low) / (high - low), abs=1e-9)
        for model in rich.models():
            means, weights = zip(
                *((mean, trust[voter]) for (made_by, _, voter), mean in cells.items() if made_by == model.model),
                strict=True,
            )
            assert model.scores[name].mean == pytest.approx(np.mean(means))
            assert model.scores[name].trusted == pytest.approx(np.average(means, weights=weights))
    image, at = rich.ranked_images()[0], (np.arange(48) + 0.5) / 48
    for trusted in (False, True):
        heat, total = np.zeros((48, 48)), 0.0
        for (_, of, voter), said in said_by.items():
            weight = (trust[voter] if trusted else 1.0) * (of == image)
            total += weight
            for point in (point for one in said for point in one["coherence_points"] or () if weight):
                squared = (at[None, :] - point["x"]) ** 2 + (at[:, None] - point["y"]) ** 2
                heat += weight / len(said) * np.exp(-squared / 2 / 0.05**2)
        found = rich.heatmap(image, "coherence", 48, trusted)
        assert heat.max() / total > 0.3 and np.abs(found - heat / total).max() < 1e-6, "who rated high counts as a zero"


def spoiled(what):
    """The rows of MADE with more that does not count; how many rows of feedback those are."""
    votes, feedback, exclusions = list(MADE.votes), list(MADE.feedback), list(MADE.exclusions)
    again = [vote | {"vote_id": f"x{vote['vote_id']}", "battle_id": f"x{vote['battle_id']}", "winner": "both_bad"}
             for vote in MADE.votes[20:120]]  # fmt: skip
    said = [row | {"battle_id": f"x{row['battle_id']}", "feedback_id": f"x{row['feedback_id']}", "style": 1, "coherence": 1,
                   "misaligned_words": [0, 1], "coherence_points": [{"x": 0.1, "y": 0.1}]}
            for row in MADE.feedback if row["battle_id"] in {vote["battle_id"] for vote in MADE.votes[20:120]}]  # fmt: skip
    if what == "gold":
        votes += [vote | {"extra": '{"gold":"any","gold_task":"t"}'} for vote in again]
        feedback += [row | {"extra": '{"gold":{"task":"t","right":false}}'} for row in said[::2]]
        feedback += [row | {"extra": '{"gold":true}'} for row in said[1::2]]
    elif what == "withdrawn":
        votes, feedback = votes + again, feedback + said
        exclusions += [{"vote_id": vote["vote_id"], "reason": "withdrawn", "created_at": 0} for vote in again]
    elif what == "named":
        votes, feedback = votes + [vote | {"mode": "named"} for vote in again], feedback + said
    elif what == "duplicate":
        votes, feedback = votes + MADE.votes[20:120], feedback + (said := MADE.feedback[50:200])
    elif what == "no_vote":
        feedback += said
    elif what == "another_voter":
        votes, feedback = (
            votes,
            feedback
            + (
                said := [
                    row | {"feedback_id": f"x{at}", "voter": "somebody"} for at, row in enumerate(MADE.feedback[50:200])
                ]
            ),
        )
    return votes, feedback, exclusions, len(said)


@pytest.mark.parametrize("what", ["gold", "withdrawn", "named", "duplicate", "no_vote", "another_voter"])
def test_what_does_not_count_changes_no_number(what):
    votes, feedback, exclusions, more = spoiled(what)
    studies = [Study(votes_from_rows(v, e), feedback=feedback_from_rows(f, v, e, MADE.prompts))
               for v, f, e in ((MADE.votes, MADE.feedback, MADE.exclusions), (votes, feedback, exclusions))]  # fmt: skip
    plain, other = studies
    assert more > 100 and other.rich.feedback.total == plain.rich.feedback.total + more
    assert sum(other.rich.feedback.left_out.values()) == sum(plain.rich.feedback.left_out.values()) + more
    for name in ("scores", "weaknesses", "words", "criteria", "explained", "raters", "images"):
        assert SHEETS[name](other).rows == SHEETS[name](plain).rows, name
    image = plain.rich.ranked_images()[0]
    assert np.array_equal(plain.rich.heatmap(image, "coherence", 32), other.rich.heatmap(image, "coherence", 32))
    assert bool(other.rich.trust) == (what == "gold"), "only answers to known tasks say whom to trust"


def test_real_ratings_agree_as_published():
    """800 images of 5 models, rated by 5 workers (DSG): the ordinal alpha and the order of the models are known."""
    if not DSG.is_file():
        pytest.skip("the ratings of DSG are not beside this checkout (shared/data/dsg)")
    found = rich.of(DSG)
    assert len(found) == 3995 and len(found.images()) == 800 and not found.feedback.left_out
    (agreement,) = found.agreement
    assert (agreement.criterion, agreement.voters) == ("alignment", 5)
    assert agreement.alpha == pytest.approx(0.685, abs=5e-4) and agreement.lower < 0.685 < agreement.upper
    models = found.models()
    assert [part.model for part in models] == ["sd2dot1", "sd1dot5", "mini-dalle", "sd1dot1", "vq-diffusion"]
    assert [round(part.scores["alignment"].mean, 2) for part in models] == [4.15, 3.99, 3.84, 3.74, 3.61]
    assert found.norms["alignment"] == (1.0, 5.0) and found.model("mini-dalle").groups[0].group == "paintskill"
