"""Controlled standings: they agree with logistic regression, repair what a taste for brightness did, and refuse what
the votes can't tell apart."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from leaderboard.controls import POSITION, controlled
from leaderboard.ratings import SCALE
from leaderboard.sheets.controls import controlled as models_sheet
from leaderboard.sheets.controls import controls as effects_sheet
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

STRENGTH = {"plain": 0.0, "bright": 0.0, "strong": 0.8}
LIGHT = {"plain": 0.4, "bright": 0.7, "strong": 0.4}


def tasteful(votes=4000, taste=6.0, seed=1, side=0.0, prompts=80):
    """Voters who like bright images: `bright` is no better than `plain`, only brighter."""
    rng = np.random.default_rng(seed)
    names, rows = list(STRENGTH), []
    for number in range(votes):
        a, b = (names[at] for at in rng.choice(3, 2, replace=False))
        light = {model: LIGHT[model] + 0.15 * rng.standard_normal() for model in (a, b)}
        odds = STRENGTH[a] - STRENGTH[b] + taste * (light[a] - light[b]) + side
        winner = "model_a" if rng.random() < 1 / (1 + np.exp(-odds)) else "model_b"
        winner = "both_good" if rng.random() < 0.1 else winner
        rows.append(row(a, b, winner, brightness_a=light[a], brightness_b=light[b], sharpness_a=rng.random(),
                        sharpness_b=rng.random(), vote_id=f"v{number}", prompt_id=f"p{number % prompts}"))  # fmt: skip
    return rows


def by_model(found):
    return {one.model: one for one in found.rows}


def by_name(found):
    return {one.covariate: one for one in found.effects}


def test_it_repairs_what_a_taste_for_bright_images_did():
    found = controlled(votes_from_rows(tasteful(side=0.4)))
    models, effects = by_model(found), by_name(found)
    assert models["bright"].rating - models["plain"].rating > 150, "plain flatters the bright one"
    gap = models["bright"].controlled - models["plain"].controlled
    assert abs(gap) < 45 and models["bright"].change < -60
    true = 0.9 * 0.8 * SCALE  # draws shrink all log odds a little
    assert models["strong"].controlled - models["plain"].controlled == pytest.approx(true, abs=50)
    assert models["strong"].controlled_rank == 1 and found.rows[0].model == "strong"
    assert all(one.controlled_lower < one.controlled < one.controlled_upper for one in found.rows)
    assert (
        effects["brightness"].p < 1e-6
        and effects["brightness"].lower > 0
        and found.effects[0].covariate == "brightness"
    )
    assert effects["sharpness"].lower < 0 < effects["sharpness"].upper and effects["sharpness"].p > 0.01
    assert effects[POSITION].lower > 0 and effects[POSITION].effect == pytest.approx(0.4 * 0.9 * SCALE, abs=25)
    assert found.votes == 4000 and found.refused == {} and found.without == {} and found.ways == ("prompt",)


def test_the_plain_rating_is_the_boards():
    study = Study(votes_from_rows(tasteful(votes=500, seed=9, side=0.5)))
    board = {one.model: one for one in study.board.standings}
    for one in study.controlled.rows:
        assert one.rating == pytest.approx(board[one.model].rating, abs=1e-6) and one.votes == board[one.model].votes


def test_it_is_unpenalised_logistic_regression():
    votes = votes_from_rows(tasteful(votes=800, seed=2, side=0.2))
    found = controlled(votes)
    spread = {name: values.std() for name, values in votes.covariates.items()}
    columns = [values / spread[name] for name, values in votes.covariates.items()]
    design = np.zeros((len(votes), 3))
    design[np.arange(len(votes)), votes.model_a] = 1
    design[np.arange(len(votes)), votes.model_b] = -1
    x = np.column_stack([design[:, :2], *columns])
    score = np.array([1.0, 0.0, 0.5, 0.5])[votes.winner]
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=500, solver="newton-cholesky").fit(
        np.vstack([x, x]), np.repeat([1, 0], len(votes)), np.concatenate([score, 1 - score])
    )
    coefficients = dict(zip(["bright", "plain", *votes.covariates], fitted.coef_[0] * SCALE, strict=True))
    models, effects = by_model(found), by_name(found)
    for name in votes.covariates:
        assert effects[name].effect == pytest.approx(coefficients[name], abs=1e-5)
    assert effects[POSITION].effect == pytest.approx(fitted.intercept_[0] * SCALE, abs=1e-5)
    for name in ("bright", "plain"):
        gap = models[name].controlled - models["strong"].controlled
        assert gap == pytest.approx(coefficients[name], abs=1e-5)


def test_its_intervals_are_the_textbooks_sandwich():
    """By brute force: one row of scores a vote, summed by prompt and by voter."""
    rows = tasteful(votes=600, seed=3, prompts=60)
    rng = np.random.default_rng(0)
    for one in rows:
        one["voter"] = f"u{int(rng.integers(50))}"
    votes = votes_from_rows(rows)
    found = controlled(votes)
    assert found.ways == ("prompt", "voter")
    names = ["position", "brightness", "sharpness"]
    z = np.zeros((len(votes), 6))
    z[np.arange(len(votes)), votes.model_a] += 1
    z[np.arange(len(votes)), votes.model_b] -= 1
    z[:, 3] = 1
    for at, name in enumerate(names[1:], 4):
        z[:, at] = votes.covariates[name] / votes.covariates[name].std()
    effects = by_name(found)
    models = by_model(found)
    beta = np.array([models[m].controlled / SCALE for m in votes.models] + [effects[n].effect / SCALE for n in names])
    p = 1 / (1 + np.exp(-z @ beta))
    u = z * (np.array([1.0, 0.0, 0.5, 0.5])[votes.winner] - p)[:, None]
    assert np.abs(u.sum(axis=0)).max() < 1e-5
    bread = np.linalg.pinv(z.T @ (z * (p * (1 - p))[:, None]), rcond=1e-10)

    def meat(keys):
        groups = {}
        for key, score in zip(keys, u, strict=True):
            groups[key] = groups.get(key, 0) + score
        return sum(np.outer(s, s) for s in groups.values()) * len(groups) / (len(groups) - 1)

    prompt, voter = votes.prompt_id.codes.tolist(), votes.voter.codes.tolist()
    values = bread @ (meat(prompt) + meat(voter) - meat(zip(prompt, voter, strict=True))) @ bread.T
    for at, name in enumerate(names, 3):
        half = 1.959963984540054 * SCALE * np.sqrt(values[at, at])
        assert effects[name].upper - effects[name].effect == pytest.approx(half, rel=1e-6)


def test_intervals_of_the_effects_cover():
    """The truth is 0 for sharpness: 95% intervals should miss it seldom."""
    missed = 0
    for seed in range(60):
        one = by_name(controlled(votes_from_rows(tasteful(votes=300, seed=100 + seed, prompts=10_000))))["sharpness"]
        missed += not one.lower <= 0 <= one.upper
    assert missed <= 9


def test_swapping_the_sides_changes_nothing_but_the_position():
    votes = votes_from_rows(tasteful(votes=500, seed=4))
    turned = replace(
        votes,
        model_a=votes.model_b,
        model_b=votes.model_a,
        winner=np.array([1, 0, 2, 3], np.int8)[votes.winner],
        covariates={name: -values for name, values in votes.covariates.items()},
    )
    one, other = controlled(votes), controlled(turned)
    for first, second in zip(one.rows, other.rows, strict=True):
        assert first.controlled == pytest.approx(second.controlled, abs=1e-6)
        assert first.controlled_upper == pytest.approx(second.controlled_upper, abs=1e-6)
    ours, theirs = by_name(one), by_name(other)
    assert ours["brightness"].effect == pytest.approx(theirs["brightness"].effect, abs=1e-6)
    assert ours[POSITION].effect == pytest.approx(-theirs[POSITION].effect, abs=1e-6)


def test_a_weight_counts_as_that_many_votes():
    rows = [one | {"vote_id": f"v{at:03}"} for at, one in enumerate(tasteful(votes=300, seed=5))]
    votes = votes_from_rows(rows)
    again = [one | {"vote_id": f"again {one['vote_id']}"} for one in rows[:100]]
    weighted = replace(votes, weight=np.where(np.arange(300) < 100, 2.0, 1.0))
    one, other = controlled(weighted), controlled(votes_from_rows(rows + again))
    for first, second in zip(one.rows, other.rows, strict=True):
        assert first.controlled == pytest.approx(second.controlled, abs=1e-5)


# -- what can't be told apart -------------------------------------------------------------------------------------


def test_what_the_votes_can_not_tell_apart_is_left_out_with_its_reason():
    rows = tasteful(votes=400, seed=6)
    rng = np.random.default_rng(6)
    for one in rows:
        one |= {f"file_{side}": 3 * one[f"brightness_{side}"] + 1 for side in "ab"}
        one |= {f"resolution_{side}": len(one[f"model_{side}"]) for side in "ab"}
        one |= {f"contrast_{side}": 0.5 for side in "ab"}
        one |= {f"saturation_{side}": rng.random() for side in "ab"}
    found = controlled(votes_from_rows(rows))
    assert set(by_name(found)) == {POSITION, "brightness", "sharpness", "saturation"}
    assert "follows from the models and" in found.refused["file"] and "brightness" in found.refused["file"]
    assert "which models meet" in found.refused["resolution"]
    assert "same in both images" in found.refused["contrast"]
    without = [{k: v for k, v in one.items() if not k.startswith(("file", "resolution", "contrast"))} for one in rows]
    same = controlled(votes_from_rows(without))
    for first, second in zip(found.rows, same.rows, strict=True):
        assert first.controlled == pytest.approx(second.controlled, abs=1e-6)


def test_a_covariate_that_decides_every_vote_is_left_out():
    rng = np.random.default_rng(7)
    rows = []
    for one in simulated(votes=300, models=3, draws=0.0):
        wins = one["winner"] == "model_a"
        rows.append(one | {"brightness_a": wins * 0.5 + rng.random() * 0.4, "brightness_b": (not wins) * 0.5 + rng.random() * 0.4,
                           "sharpness_a": rng.random(), "sharpness_b": rng.random()})  # fmt: skip
    found = controlled(votes_from_rows(rows))
    assert "decides the votes alone" in found.refused["brightness"]
    assert set(by_name(found)) == {POSITION, "sharpness"} and len(found.rows) == 3


def test_always_side_a_is_left_out_too():
    rows = [one | {"sharpness_a": i % 3, "sharpness_b": i % 5} for i, one in enumerate(
        battles("x", "y", wins=20) + battles("y", "x", wins=20))]  # fmt: skip
    found = controlled(votes_from_rows(rows))
    assert "decides the votes alone" in found.refused[POSITION] and set(by_name(found)) == {"sharpness"}
    assert len(found.rows) == 2


def test_few_votes_bear_few_covariates():
    found = controlled(votes_from_rows(tasteful(votes=45, seed=10)))
    assert set(by_name(found)) == {POSITION, "brightness"} and "10 votes are needed" in found.refused["sharpness"]


def test_votes_without_covariates_are_counted_and_said():
    rows = tasteful(votes=300, seed=8)
    for one in rows[:40]:
        one["brightness_b"] = None
    rows += battles("never", "plain", losses=5, brightness_a=1, brightness_b=0.5, sharpness_a=1, sharpness_b=0)
    found = controlled(votes_from_rows(rows))
    assert found.without == {"without a number for every covariate": 40, "with a model without a finite rating": 5}
    assert found.votes == 260 and by_model(found)["never"].controlled is None and found.rows[-1].model == "never"


@pytest.mark.parametrize("rows", [[], battles("x", "y", wins=3), battles("x", "y", wins=3, losses=2),
                                  battles("x", "y", wins=3, losses=2, brightness_a=None, brightness_b=1)])  # fmt: skip
def test_without_anything_to_control_for_there_are_no_rows(rows):
    study = Study(votes_from_rows(rows))
    assert models_sheet(study).rows == () and study.controlled.without == {}
    assert any("No covariate of the images" in note for note in models_sheet(study).notes) == bool(rows)


def test_the_position_is_estimated_without_any_image():
    study = Study(votes_from_rows(battles("x", "y", wins=60, losses=20) + battles("y", "x", wins=60, losses=20)))
    position = by_name(study.controlled)[POSITION]
    assert position.effect == pytest.approx(SCALE * np.log(3)) and position.lower > 0 and models_sheet(study).rows == ()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)),
                max_size=40))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_no_small_set_of_votes_gives_nan_or_inf(drawn):
    rows = [row(f"m{a}", f"m{b}", ("model_a", "model_b", "tie", "both_bad")[w], brightness_a=x, brightness_b=1,
                sharpness_a=y, sharpness_b=x) for a, b, w, x, y in drawn if a != b]  # fmt: skip
    study = Study(votes_from_rows(rows))
    for sheet in (models_sheet(study), effects_sheet(study)):
        sheet.to_json()  # refuses NaN and inf


def test_the_sheets_say_what_they_mean():
    study = Study(votes_from_rows(tasteful(votes=300)))
    table, effects = models_sheet(study), effects_sheet(study)
    assert {column.key for column in table.columns} == {
        *("model", "votes", "rating", "controlled", "controlled_lower", "controlled_upper", "change", "rank"),
        "controlled_rank",
    }
    assert {c.key for c in effects.columns} == {"covariate", "effect", "lower", "upper", "p", "votes"}
    assert "takes a part of its quality away" in table.caption
    assert table.rows[0]["battles"] == {"model_a": table.rows[0]["model"]}
    assert "together" in table.notes[-1]
