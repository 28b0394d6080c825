"""The side effect: closed forms, logistic regression, what can't be told, and the alarm."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.linear_model import LogisticRegression

from leaderboard.board import build
from leaderboard.position import note, position
from leaderboard.ratings import METHODS, SCALE, SCORES
from leaderboard.sheets.methods import position as sheet
from leaderboard.study import Study
from leaderboard.tally import Pairs, tally
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

SWAPPED = {"model_a": "model_b", "model_b": "model_a"}
NAMES = st.sampled_from("abcd")
VOTES = st.lists(st.tuples(NAMES, NAMES, st.sampled_from(["model_a", "model_b", "both_good", "both_bad"])), max_size=25)


def leaning(votes=6000, gamma=0.3, left=0.9, models=8, seed=0, **more):
    """Rows of voters who favour side a by gamma, and a model m3 that stands there with the chance `left`."""
    rng = np.random.default_rng(seed)
    strength, rows = np.linspace(-0.6, 0.6, models), []
    for _ in range(votes):
        a, b = rng.choice(models, 2, replace=False)
        if 3 in (a, b):
            a, b = (3, a + b - 3) if rng.random() < left else (a + b - 3, 3)
        winner = "model_a" if rng.random() < 1 / (1 + math.exp(strength[b] - strength[a] - gamma)) else "model_b"
        rows.append(row(f"m{a}", f"m{b}", winner, **{key: value(rng) for key, value in more.items()}))
    return rows, SCALE * (strength - strength.mean()) + 1000


def turned(rows):
    """The same battles with the sides swapped."""
    return [
        cell
        | {
            "model_a": cell["model_b"],
            "model_b": cell["model_a"],
            "winner": SWAPPED.get(cell["winner"], cell["winner"]),
        }
        for cell in rows
    ]


# -- closed forms and other people's code -------------------------------------------------------------------------


def test_equal_models_on_both_sides_alike_give_the_odds_of_the_side():
    found = position(votes_from_rows(battles("x", "y", 60, 20) + battles("y", "x", 60, 20)))
    assert found.effect == pytest.approx(400 * math.log10(3), abs=1e-6)
    assert found.fitted == pytest.approx([1000, 1000], abs=1e-6) and found.share_a == 0.75
    half = 1.959964 * SCALE * math.sqrt(1 / 60 + 1 / 20) / math.sqrt(2)  # of a log odds, twice the votes
    assert found.upper - found.effect == pytest.approx(half, rel=1e-6)
    assert found.effect - found.lower == pytest.approx(half, rel=1e-6)


def test_two_models_are_told_apart_from_the_side():
    """x wins p of its battles on the left and y wins q of its own: gamma is the mean of their log odds."""
    found = position(votes_from_rows(battles("x", "y", 30, 10) + battles("y", "x", 40, 20, both_good=20)))
    first, second = math.log(3), math.log((40 + 10) / (20 + 10))
    assert found.effect == pytest.approx(SCALE * (first + second) / 2, abs=1e-6)
    assert found.fitted[0] - found.fitted[1] == pytest.approx(SCALE * (first - second) / 2, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_logistic_regression(seed):
    votes = votes_from_rows([*simulated(500, models=5, seed=seed), *leaning(500, models=5, seed=seed)[0]])
    score, count = SCORES[votes.winner], len(votes.models)
    design = np.zeros((len(votes), count))
    design[np.arange(len(votes)), votes.model_a] = 1
    design[np.arange(len(votes)), votes.model_b] -= 1
    design = np.column_stack([design[:, 1:], np.ones(len(votes))])
    model = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=200)
    target = np.repeat([1, 0], len(votes))
    theirs = model.fit(np.vstack([design, design]), target, np.concatenate([score, 1 - score])).coef_[0]
    found = position(votes)
    assert found.effect == pytest.approx(SCALE * theirs[-1], abs=1e-5)
    assert found.fitted[1:] - found.fitted[0] == pytest.approx(SCALE * theirs[:-1], abs=1e-5)


def test_without_it_is_the_board():
    votes = votes_from_rows([*simulated(500), *battles("new", "m1", 3, 2)])
    found = position(votes)
    board = {line.model: line.rating for line in build(votes).standings}
    assert dict(zip(found.models, found.without, strict=True)) == pytest.approx(board, abs=1e-9)


# -- invariances --------------------------------------------------------------------------------------------------


def test_swapping_the_sides_turns_the_effect_and_leaves_the_ratings():
    rows = [*leaning(1500)[0], *simulated(300)]
    here, there = position(votes_from_rows(rows)), position(votes_from_rows(turned(rows)))
    assert there.effect == pytest.approx(-here.effect, abs=1e-6)
    assert (there.lower, there.upper) == pytest.approx((-here.upper, -here.lower), abs=1e-6)
    assert there.fitted == pytest.approx(here.fitted, abs=1e-6) and there.left == pytest.approx(1 - here.left)
    assert there.alarm == here.alarm


def test_a_model_that_won_everything_moves_nothing():
    rows = leaning(1500)[0]
    before, after = position(votes_from_rows(rows)), position(votes_from_rows([*rows, *battles("new", "m3", 5)]))
    assert after.effect == pytest.approx(before.effect, abs=1e-6)
    assert after.fitted[:8] == pytest.approx(before.fitted, abs=1e-6) and math.isnan(after.fitted[8])


def test_a_weight_is_so_many_votes():
    votes = votes_from_rows(leaning(800)[0])
    times = np.array([1 + n % 3 for n in range(len(votes))], float)
    copied = votes.where(np.repeat(np.arange(len(votes)), times.astype(int)))
    weighed, copies = position(replace(votes, weight=times)), position(copied)
    assert weighed.effect == pytest.approx(copies.effect, abs=1e-6)
    assert weighed.upper - weighed.lower > copies.upper - copies.lower  # three votes of one voter are not three voters


# -- what can't be told -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "words", "alarm"), [
    ([], "no vote counts yet", False),
    (battles("x", "y", 4), "no two models scored", False),
    (battles("x", "y", 30, 30, 5), "kept to one side each", False),
    (battles("x", "y", 90, 20), "kept to one side each", True),
    (battles("x", "y", 9) + battles("y", "x", 9), "follow side a too closely", True),
    (battles("x", "y", losses=9) + battles("y", "x", losses=9), "follow side b too closely", True),
    (battles("x", "y", 1) + battles("y", "x", 1), "follow side a too closely", False),
    (battles("x", "y", 9, 9) + battles("y", "z", 9, 9) + battles("w", "z", 9, 9), "kept to one side each", False),
])  # fmt: skip
def test_what_is_not_known_is_said(rows, words, alarm):
    found = position(votes_from_rows(rows))
    assert found.effect is None and found.lower is None and found.upper is None and words in found.unknown
    assert found.alarm == alarm and np.isnan(found.fitted).all()
    text = note(found)
    assert (words in text) == bool(found.decisive) and text.startswith("Position alarm") == alarm


def test_nothing_but_draws_is_no_certainty():
    found = position(votes_from_rows(battles("x", "y", both_good=5) + battles("y", "x", both_bad=5)))
    assert found.effect == pytest.approx(0, abs=1e-9) and found.upper > 20 and not found.alarm
    assert note(found) == ""


@settings(max_examples=150, deadline=None)
@given(VOTES)
def test_an_effect_is_given_exactly_where_the_likelihood_has_one_maximum(votes):
    """Against linear programming: no direction of (strengths, gamma) helps one vote of the core and hurts none."""
    votes = votes_from_rows([row(a, b, winner) for a, b, winner in votes])
    found = position(votes)
    rated = METHODS["bradley-terry"](votes, Pairs.of(tally(votes).total())).rated
    better = []
    for a, b, outcome in zip(votes.model_a, votes.model_b, votes.winner, strict=True):
        if a in rated and b in rated:
            vector = np.zeros(len(votes.models) + 1)
            vector[a], vector[b], vector[-1] = 1, -1, 1
            better += [vector] * int(outcome != 1) + [-vector] * int(outcome != 0)
    if not better:
        assert found.effect is None
        return
    better = np.array(better)
    best = linprog(-better.sum(axis=0), A_ub=-better, b_ub=np.zeros(len(better)), bounds=(-1, 1), method="highs")
    assert (found.effect is not None) == (-best.fun < 1e-7 and np.linalg.matrix_rank(better) == len(rated))
    if found.effect is not None:
        assert found.lower <= found.effect <= found.upper
        assert all(math.isfinite(number) for number in (found.effect, found.lower, found.upper, found.by))
    assert "nan" not in note(found) and "inf" not in note(found)


# -- the alarm ----------------------------------------------------------------------------------------------------


def test_a_model_kept_on_the_left_is_repaired_and_the_alarm_rings():
    plain, fitted, effect = [], [], []
    for seed in range(1, 7):
        rows, truth = leaning(seed=seed)
        found = position(votes_from_rows(rows))
        plain.append(found.without - found.without.mean() - truth + 1000)
        fitted.append(found.fitted - found.fitted.mean() - truth + 1000)
        effect.append(found.effect)
    assert np.mean(plain, axis=0)[3] > 25 and np.abs(np.mean(fitted, axis=0)).max() < 10
    assert np.mean(effect) == pytest.approx(SCALE * 0.3, abs=6)
    assert found.alarm and found.moved == "m3" and found.by < -25
    assert found.left[3] == pytest.approx(0.9, abs=0.02)
    text = note(found)
    assert text.startswith("Position alarm: Side a won") and "lean to side a" in text and "moves m3 by -" in text


def test_sides_at_random_give_no_alarm_but_are_shown():
    found = position(votes_from_rows(leaning(left=0.5)[0]))
    assert found.lower > 0 and not found.alarm and abs(found.by) < 5
    assert note(found).startswith("Position bias: Side a won")
    assert any(text == note(found) for text in build(votes_from_rows(leaning(left=0.5)[0])).notes)


def test_a_model_kept_on_the_left_by_voters_who_do_not_lean_gives_no_alarm():
    found = position(votes_from_rows(leaning(gamma=0.0, left=0.9)[0]))
    assert found.lower < 0 < found.upper and not found.alarm and "no sign of position bias" in note(found)


def test_voters_who_always_click_one_side_widen_the_interval():
    """Half of 80 voters lean far to one side, the others as far to the other: their votes share that."""
    rng = np.random.default_rng(4)
    rows = []
    for voter in range(80):
        gamma = 1.5 if voter % 2 else -1.5
        for _ in range(20):
            a, b = rng.choice(4, 2, replace=False)
            winner = "model_a" if rng.random() < 1 / (1 + math.exp(-gamma)) else "model_b"
            rows.append(row(f"m{a}", f"m{b}", winner, voter=f"u{voter}"))
    votes = votes_from_rows(rows)
    together, alone = position(votes), position(votes, clusters="none")
    assert together.effect == pytest.approx(alone.effect)
    assert together.upper - together.lower > 2 * (alone.upper - alone.lower)


def test_the_interval_holds_what_it_promises():
    hits = []
    for seed in range(120):
        found = position(votes_from_rows(leaning(300, gamma=0.2, models=4, seed=seed)[0]))
        hits.append(found.lower <= SCALE * 0.2 <= found.upper)
    assert 0.89 <= np.mean(hits) <= 0.99


# -- the sheet ----------------------------------------------------------------------------------------------------


def test_the_sheet_of_position():
    study = Study(votes_from_rows([*leaning(1500)[0], *battles("new", "m3", 5)]))
    shown = sheet(study)
    rows = {line["model"]: line for line in shown.rows}
    assert rows["new"]["rating"] is None and rows["new"]["share_left"] == 1.0 and rows["new"]["change"] is None
    for name, line in rows.items():
        if name != "new":
            assert line["change"] == pytest.approx(line["rating_position"] - line["rating"])
    assert shown.notes == (note(study.position),)
    shown.to_json(), shown.to_csv(), shown.to_text()


def test_a_sheet_of_no_votes():
    assert sheet(Study(votes_from_rows([]))).rows == ()
