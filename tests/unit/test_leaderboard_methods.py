"""Every rating method held to the truth: closed forms, brute force, other people's code, invariances, odd votes."""

import importlib
import math
from dataclasses import replace

import evalica
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from sklearn.linear_model import LogisticRegression

from leaderboard import errors
from leaderboard.board import build
from leaderboard.methods import concordance, views
from leaderboard.ratings import METHODS, RATED, SCALE, SCALES, UNSETTLED, anchored, fit
from leaderboard.ratings.bar import fit_bar, mirrored
from leaderboard.ratings.base import feasible
from leaderboard.ratings.davidson import chances, fit_ties, has_maximum
from leaderboard.sandwich import covariance, table_meat
from leaderboard.sheets.methods import methods as sheet
from leaderboard.study import Study
from leaderboard.tally import Pairs, tally
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

ORDERLESS = [name for name in METHODS if name != "elo"]
OUTCOMES = ("model_a", "model_b", "both_good", "both_bad")
SWAPPED = {"model_a": "model_b", "model_b": "model_a"}
NAMES = st.sampled_from("abcde")
VOTES = st.lists(st.tuples(NAMES, NAMES, st.sampled_from(OUTCOMES)), max_size=30)


def pairs_of(votes):
    return Pairs.of(tally(votes).total())


def rate(rows, method):
    """The Ratings and {model: points above the rated models' plain mean}."""
    votes = votes_from_rows(rows)
    found = METHODS[method](votes, pairs_of(votes))
    middle = found.rating[found.rated].mean() if len(found.rated) else 0.0
    return found, {name: found.rating[at] - middle for at, name in enumerate(votes.models)}


def regression(design, target, weight):
    """Coefficients of scikit-learn's logistic regression, no penalty and no intercept."""
    model = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=200)
    return model.fit(design, target, sample_weight=weight).coef_[0]


def unit(count, *signed):
    vector = np.zeros(count)
    for at, sign in signed:
        vector[at] += sign
    return vector


# -- closed forms -------------------------------------------------------------------------------------------------


def test_davidsons_nu_of_two_equal_models():
    found, points = rate(battles("x", "y", 30, 30, both_good=25, both_bad=15), "davidson")
    assert points["x"] == pytest.approx(0, abs=1e-8)
    assert math.exp(found.more["tie"]) == pytest.approx(2 * 40 / 60, rel=1e-9)  # P(draw) = nu / (2 + nu) = 0.4


@pytest.mark.parametrize(("wins", "losses", "draws"), [(30, 10, 7), (9, 2, 40), (1, 1, 1)])
def test_davidson_of_two_models_fits_the_three_shares_exactly(wins, losses, draws):
    found, points = rate(battles("x", "y", wins, losses, both_good=draws), "davidson")
    assert points["x"] - points["y"] == pytest.approx(400 * math.log10(wins / losses), abs=1e-6)
    assert math.exp(found.more["tie"]) == pytest.approx(draws / math.sqrt(wins * losses), rel=1e-8)


def test_the_bar_between_two_models():
    """Choices say how far apart they are, draws how far they are above the bar together."""
    found, _ = rate(battles("x", "y", 30, 10, both_good=24, both_bad=6), "bar")
    x, y = found.rating
    assert x - y == pytest.approx(400 * math.log10(3), abs=1e-6)
    assert x + y == pytest.approx(400 * math.log10(4), abs=1e-6)
    assert found.more == {"bar": 0.0}


def test_an_average_win_rate_by_hand():
    rows = battles("x", "y", 30, 10) + battles("x", "z", 1, 3) + battles("y", "z", 1, 0, both_bad=1)
    found, _ = rate(rows, "win-rate")
    shares = np.array([(0.75 + 0.25) / 2, (0.25 + 0.75) / 2, (0.75 + 0.25) / 2])
    assert found.rating == pytest.approx(400 * np.log10(shares / (1 - shares)), abs=1e-9)


def test_a_schedule_of_weak_opponents_does_not_flatter():
    fair = battles("x", "y", 10, 10) + battles("x", "weak", 18, 2) + battles("y", "weak", 18, 2)
    busy = fair + battles("x", "weak", 900, 100)
    before, after = rate(fair, "win-rate")[1], rate(busy, "win-rate")[1]
    assert after == pytest.approx(before, abs=1e-9)
    rows = {line.model: line.win_rate for line in build(votes_from_rows(busy)).standings}
    assert rows["x"] > rows["y"] + 0.1


# -- brute force and other people's code --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_davidson_is_the_maximum_that_a_blind_search_finds(seed):
    votes = votes_from_rows(simulated(150, models=4, seed=seed, draws=0.35))
    pairs = pairs_of(votes)

    def loss(point):
        strength = np.exp(np.append(point[:3], -point[:3].sum()))
        nu, total = math.exp(point[3]), 0.0
        for i in range(4):
            for j in range(4):
                if i != j:
                    both = strength[i] + strength[j] + nu * math.sqrt(strength[i] * strength[j])
                    total -= pairs.wins[i, j] * math.log(strength[i] / both)
                    total -= pairs.draws[i, j] / 2 * math.log(nu * math.sqrt(strength[i] * strength[j]) / both)
        return total

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-7}).x
    strength, log_nu = fit_ties(pairs)
    assert strength[:3] == pytest.approx(best[:3], abs=1e-5) and log_nu == pytest.approx(best[3], abs=1e-5)
    assert loss(np.append(strength[:3], log_nu)) <= loss(best) + 1e-9


def test_the_chances_of_davidson_add_up():
    win, draw = chances(np.array([0.3, -2.0, 40.0]), -1.3)
    assert win + win.T + draw == pytest.approx(np.ones((3, 3)))


@pytest.mark.parametrize("seed", range(3))
def test_bradley_terry_and_the_bar_agree_with_logistic_regression(seed):
    votes = votes_from_rows(simulated(600, models=5, seed=seed, draws=0.3))
    pairs, count = pairs_of(votes), 5
    design, weight = [], []
    for i in range(count):
        for j in range(count):
            design.append(unit(count, (i, 1), (j, -1)))
            weight.append(pairs.score[i, j])
    signed = np.array([1, -1] * len(design))
    design, weight = np.repeat(design, 2, axis=0) * signed[:, None], np.repeat(weight, 2) / 2
    theirs = regression(np.delete(design, 0, axis=1), signed, weight)
    ours = fit(pairs)
    assert ours[1:] - ours[0] == pytest.approx(theirs, abs=1e-6)

    design, weight = [], []
    for i in range(count):
        for j in range(count):
            for counts, other, sign in ((pairs.wins, -1, 1), (pairs.both_good / 2, 1, 1), (pairs.both_bad / 2, 1, -1)):
                design.append(sign * unit(count, (i, 1), (j, other)))
                weight.append(counts[i, j])
    signed = np.array([1, -1] * len(design))
    design, weight = np.repeat(design, 2, axis=0) * signed[:, None], np.repeat(weight, 2) / 2
    assert fit_bar(pairs) == pytest.approx(regression(design, signed, weight), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_average_win_rate_is_evalicas(seed):
    rows = simulated(400, models=6, seed=seed)
    winners = {"model_a": evalica.Winner.X, "model_b": evalica.Winner.Y}
    theirs = evalica.average_win_rate(
        [cell["model_a"] for cell in rows],
        [cell["model_b"] for cell in rows],
        [winners.get(cell["winner"], evalica.Winner.Draw) for cell in rows],
    ).scores
    found, _ = rate(rows, "win-rate")
    ours = 1 / (1 + 10 ** (-found.rating / 400))
    assert ours == pytest.approx([theirs[name] for name in found.models], abs=1e-12)


def test_a_fit_from_an_earlier_answer_is_the_same_fit():
    pairs = pairs_of(votes_from_rows(simulated(500)))
    assert fit(pairs, start=np.array([3.0, 1.0, -2.0, 5.0, 0.0, 1.0])) == pytest.approx(fit(pairs), abs=1e-9)


# -- when a maximum exists ----------------------------------------------------------------------------------------


def has_finite_maximum(better, count):
    """Whether log-linear terms have one maximum up to a common shift of the first `count` parameters.

    `better` lists vectors v with a vote whose likelihood grows with v . x. By linear programming, with no thought of
    graphs: no direction helps one vote and hurts none, and none but the shift leaves all as they are.
    """
    better = np.array(better)
    best = linprog(-better.sum(axis=0), A_ub=-better, b_ub=np.zeros(len(better)), bounds=(-1, 1), method="highs")
    free = better.shape[1] - np.linalg.matrix_rank(better)
    shift = np.zeros(better.shape[1])
    shift[:count] = 1.0
    return -best.fun < 1e-7 and free == int(not (better @ shift).any())


def directions(votes, method):
    """The vectors of has_finite_maximum for each vote, over strengths and, for Davidson, log nu."""
    count, found = len(votes.models), []
    for a, b, outcome in zip(votes.model_a, votes.model_b, votes.winner, strict=True):
        first, second = unit(count, (a, 0.5), (b, -0.5)), unit(count, (a, -0.5), (b, 0.5))
        if method == "bar":
            both = unit(count, (a, 1), (b, 1))
            found.append((first, second, both, -both)[outcome])
        elif method == "davidson":
            chosen = [np.append(first, 0), np.append(second, 0), np.append(0 * first, 1)]
            mine = min(int(outcome), 2)
            found += [chosen[mine] - other for at, other in enumerate(chosen) if at != mine]
        else:
            found += [first] * int(outcome != 1) + [second] * int(outcome != 0)
    return found


def inside(votes, rated):
    """The votes among these models alone, models numbered anew."""
    place = np.full(len(votes.models), -1)
    place[rated] = np.arange(len(rated))
    part = votes.where((place[votes.model_a] >= 0) & (place[votes.model_b] >= 0))
    names = tuple(votes.models[at] for at in rated)
    return replace(part, models=names, model_a=place[part.model_a], model_b=place[part.model_b])


@settings(max_examples=120, deadline=None)
@given(VOTES, st.sampled_from(["bradley-terry", "davidson", "bar"]))
def test_who_is_rated_has_a_finite_maximum_and_nobody_is_left_out_of_one(votes, method):
    votes = votes_from_rows([row(a, b, winner) for a, b, winner in votes])
    found = METHODS[method](votes, pairs_of(votes))
    full = found.more or method == "bradley-terry"  # without draws, or without a bar, another likelihood is fitted
    if len(found.rated) and full:
        assert has_finite_maximum(directions(inside(votes, found.rated), method), len(found.rated))
    if pairs_of(votes).draws.any() and has_finite_maximum(directions(votes, method), len(votes.models)):
        assert len(found.rated) == len(votes.models) and full
    assert np.isfinite(found.rating[found.rated]).all()
    assert [state == RATED for state in found.status] == np.isfinite(found.rating).tolist()


def test_the_smallest_votes_that_davidson_can_and_cannot_settle():
    one_each, beaten_once = battles("x", "y", 1, 1, 1), battles("x", "y", 1, 0, 1)
    assert rate(one_each, "davidson")[0].status == (RATED, RATED)
    found = rate(beaten_once, "davidson")[0]
    assert found.status == (UNSETTLED, UNSETTLED) and "too many draws" in found.remark
    cycle = battles("x", "y", 1) + battles("y", "z", 1) + battles("z", "x", both_bad=1)
    assert rate(cycle, "davidson")[0].status == (RATED,) * 3
    assert has_maximum(pairs_of(votes_from_rows(cycle)))


def test_a_maximum_out_of_reach_is_no_crash(monkeypatch):
    def gives_up(pairs):
        raise errors.NotConverged("Davidson: no convergence")

    monkeypatch.setattr(importlib.import_module("leaderboard.ratings.davidson"), "fit_ties", gives_up)
    board = build(votes_from_rows(simulated(200)), "davidson")
    assert all(line.rating is None and line.preliminary for line in board.standings)
    assert any("Davidson's model has no finite ratings here" in text for text in board.notes)


@pytest.mark.parametrize(("wins", "draws"), [(3, 1_000_000), (8, 10)])
def test_davidson_on_a_circle_with_one_more_win_than_draws(wins, draws):
    """As near to having no maximum as can be: the wins around the circle outnumber the drawn pairs by one."""
    count = 2 * wins - 1
    won, drawn = np.zeros((count, count)), np.zeros((count, count))
    for at in range(count):
        after = (at + 1) % count
        if at < wins:
            won[at, after] = 1
        else:
            drawn[at, after] = drawn[after, at] = draws
    pairs = Pairs(won, drawn, np.zeros_like(won))
    strength, log_nu = fit_ties(pairs)
    win, draw = chances(strength, log_nu)
    assert ((won - pairs.battles * win) + (drawn - pairs.battles * draw) / 2).sum(axis=1) == pytest.approx(0, abs=1e-2)
    assert (pairs.battles * draw).sum() == pytest.approx(drawn.sum(), rel=1e-6)


def test_bounds_around_a_cycle():
    no = np.inf
    assert feasible(np.array([[no, 1.0], [-1.0, no]])) and not feasible(np.array([[no, 1.0], [-2.0, no]]))
    assert not feasible(np.array([[no, -1.0, no], [no, no, -1.0], [1.0, no, no]]))
    assert feasible(np.empty((0, 0)))


# -- odd votes ----------------------------------------------------------------------------------------------------


def test_without_draws_davidson_and_the_bar_are_bradley_terry():
    rows = simulated(300, draws=0.0)
    plain = rate(rows, "bradley-terry")[1]
    for method in ("davidson", "bar"):
        found, points = rate(rows, method)
        assert points == pytest.approx(plain, abs=1e-7) and found.remark and not found.more


def test_a_source_with_one_kind_of_draw_has_no_bar():
    rows = [cell | {"winner": "tie"} if "both" in cell["winner"] else cell for cell in simulated(400)]
    found, points = rate(rows, "bar")
    chosen = rate([cell for cell in rows if cell["winner"] != "tie"], "bradley-terry")[1]
    assert points == pytest.approx(chosen, abs=1e-7) and "no draw was called both bad" in found.remark
    assert any("There is no bar" in note for note in build(votes_from_rows(rows), "bar").notes)


def test_the_bar_turned_upside_down():
    """Good for bad and winner for loser: every model is as far below the bar as it was above."""
    turn = {"model_a": "model_b", "model_b": "model_a", "both_good": "both_bad", "both_bad": "both_good"}
    rows = simulated(400)
    upright, turned = rate(rows, "bar")[0], rate([cell | {"winner": turn[cell["winner"]]} for cell in rows], "bar")[0]
    assert turned.rating == pytest.approx(-upright.rating, abs=1e-6)


def test_more_that_is_called_good_lifts_the_models_above_the_bar():
    rows = simulated(400)
    better = [cell | {"winner": "both_good"} if cell["winner"] == "both_bad" and n % 2 else cell
              for n, cell in enumerate(rows)]  # fmt: skip
    bars = [views(votes_from_rows(part))["bar"].bar for part in (rows, better)]
    assert bars[1][0] < bars[0][0] - 50 and all(low < middle < high for middle, low, high in bars)


def test_mirror_images_hold_every_vote_twice():
    pairs = pairs_of(votes_from_rows(battles("x", "y", 3, 2, 5, 7)))
    assert mirrored(pairs).battles.sum() / 2 == 2 * 17


@pytest.mark.parametrize("method", ORDERLESS)
@pytest.mark.parametrize(("wins", "losses"), [(0, 5), (5, 0)])
def test_a_model_that_lost_or_won_everything_moves_nobody(method, wins, losses):
    rows = simulated(400)
    before, after = rate(rows, method)[1], rate(rows + battles("new", "m2", wins, losses), method)[1]
    assert math.isnan(after.pop("new"))
    assert after == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [
    [],
    [row("x", "x", "model_a")],
    battles("x", "y", 1),
    battles("x", "y", both_good=4),
    battles("x", "y", both_good=2, both_bad=2),
    battles("x", "y", 3, 0, 2),
    battles("x", "y", 1) + battles("y", "z", 1) + battles("z", "x", 1),
    battles("x", "y", 5, 5) + battles("p", "q", 5, 5),
    battles("x", "y", 5, 5, 1, 1) + battles("p", "q", 6, 5, 1, 1) + battles("x", "p", 1),
    [cell for n in range(12) for cell in battles(f"m{n:02d}", f"m{n + 1:02d}", 500, 1, 1, 1)],
])  # fmt: skip
def test_odd_votes_give_a_board_without_nan(method, rows):
    board = build(votes_from_rows(rows), method)
    for line in board.standings:
        numbers = [line.rating, line.rating_lower, line.rating_upper, line.elo]
        assert all(number is None or math.isfinite(number) for number in numbers)
    text = str(board.to_json())
    assert "nan" not in text and "inf" not in text.replace("information", "")


# -- invariances --------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(VOTES, st.sampled_from(ORDERLESS), st.randoms(use_true_random=False))
def test_order_sides_names_and_weights_do_not_matter(votes, method, random):
    rows = [row(a, b, winner) for a, b, winner in votes]
    points = rate(rows, method)[1]
    shuffled = random.sample(rows, len(rows))
    turned = [row(cell["model_b"], cell["model_a"], SWAPPED.get(cell["winner"], cell["winner"])) for cell in rows]
    for other in (shuffled, turned):
        assert rate(other, method)[1] == pytest.approx(points, abs=1e-5, nan_ok=True)
    named = [cell | {"model_a": "z" + cell["model_a"], "model_b": "z" + cell["model_b"]} for cell in rows]
    again = {name[1:]: value for name, value in rate(named, method)[1].items()}
    assert again == pytest.approx(points, abs=1e-5, nan_ok=True)

    once = votes_from_rows(rows)
    times = np.array([1 + n % 3 for n in range(len(once))], float)
    heavy = replace(once, weight=times)
    weighed = METHODS[method](heavy, Pairs.of(tally(heavy, weighted=True).total())).rating
    copied = once.where(np.repeat(np.arange(len(once)), times.astype(int)))
    assert weighed == pytest.approx(METHODS[method](copied, pairs_of(copied)).rating, abs=1e-6, nan_ok=True)


def test_a_weight_moves_elo_so_many_times_as_far():
    votes = votes_from_rows([row("x", "y", "model_a")])
    heavy = replace(votes, weight=np.array([2.5]))
    assert METHODS["elo"](heavy, pairs_of(votes)).rating == pytest.approx([1005, 995])


# -- what the intervals are given ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ORDERLESS)
def test_scores_add_up_to_nothing_and_their_squares_to_the_intervals(method):
    """At the solution the scores cancel; over repeated data sets the standard errors are the deviations seen."""
    rng = np.random.default_rng(5)
    strength, rounds, count = np.linspace(-0.6, 0.8, 5), 120, 500
    seen, said = [], []
    anchor = np.ones(5)
    for _ in range(rounds):
        a = rng.integers(5, size=count)
        b = (a + rng.integers(1, 5, size=count)) % 5
        chances = np.exp(np.column_stack([strength[a], strength[b], strength[a] + strength[b], 0 * a]))
        chances = (chances / chances.sum(axis=1, keepdims=True)).cumsum(axis=1)
        winner = (rng.random(count)[:, None] > chances).sum(axis=1).clip(max=3)
        votes = votes_from_rows([row(f"m{a[n]}", f"m{b[n]}", OUTCOMES[winner[n]]) for n in range(count)])
        counts = tally(votes).total()
        found = METHODS[method](votes, Pairs.of(counts))
        estimate = found.estimate
        total = np.einsum("abw,abw->a", counts, estimate.score_a) + np.einsum("abw,abw->b", counts, estimate.score_b)
        assert np.abs(total).max() < 1e-6
        assert np.abs(np.einsum("abw,abwe->e", counts, estimate.score_more)).max(initial=0) < 1e-6
        assert estimate.information == pytest.approx(estimate.information.T)
        said.append(np.diag(covariance(votes, Pairs.of(counts), estimate, found.rated, anchor).values))
        seen.append((found.rating - found.rating.mean()) / SCALE)
    assert np.sqrt(np.mean(said)) == pytest.approx(np.std(seen, axis=0, ddof=1).mean(), rel=0.1)
    assert table_meat(estimate, counts).shape == estimate.information.shape


# -- side by side -------------------------------------------------------------------------------------------------


def test_every_method_says_what_its_points_are():
    assert METHODS.keys() == SCALES.keys()
    assert "not to be compared" in SCALES["davidson"] and "not to be compared" in SCALES["bar"]


def test_the_sheet_of_methods():
    rows = [*simulated(500, draws=0.3), *battles("new", "m0", losses=5)]
    study = Study(votes_from_rows(rows))
    shown = sheet(study)
    for line in shown.rows:
        for method in METHODS:
            assert (line[method] is None) == (line[f"{method}_rank"] is None)
    board = {line.model: line.rating for line in study.board.standings}
    assert {line["model"]: line["bradley-terry"] for line in shown.rows} == pytest.approx(board, abs=1e-6)
    assert sorted(line["bar_rank"] for line in shown.rows if line["bar_rank"]) == [1, 2, 3, 4, 5, 6]
    notes = " ".join(shown.notes)
    for words in ("Davidson: two equal models draw", "The bar is at", "Kendall's tau", "third outcome"):
        assert words in notes
    assert len(shown.to_csv().splitlines()) == 8
    shown.to_json()


def test_a_sheet_of_no_votes():
    assert sheet(Study(votes_from_rows([]))).rows == ()


def test_concordance_by_hand():
    found = views(votes_from_rows(simulated(300, models=4)))
    first = found["bradley-terry"]
    assert concordance(first, first) == 1.0
    assert concordance(first, replace(first, place=5 - first.place)) == -1.0
    assert concordance(first, replace(first, place=np.zeros(4, int))) is None


def test_the_established_models_mean_is_1000_on_every_scale():
    votes = votes_from_rows([*simulated(400), *battles("new", "m0", 4, 3, 1, 1)])
    pairs = pairs_of(votes)
    established = pairs.battles.sum(axis=1) >= 30
    for method in ORDERLESS:
        rating, weights = anchored(METHODS[method](votes, pairs), established, pairs)
        assert weights[votes.models.index("new")] == 0 and rating @ weights / weights.sum() == pytest.approx(1000)
