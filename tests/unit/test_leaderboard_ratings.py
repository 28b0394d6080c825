"""Ratings held to the truth: closed forms, an independent implementation, invariances, and every degenerate case."""

import math
import time

import evalica
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard import errors
from leaderboard.board import build
from leaderboard.intervals import INTERVALS, one_sided_bound, wilson
from leaderboard.ranks import overlap_ranks, simultaneous_ranks
from leaderboard.ratings import APART, METHODS, RATED, UNBEATEN, WINLESS, bradley_terry, core, elo_online, fit
from leaderboard.standings import holm, sign_test, verdicts
from leaderboard.tally import Pairs, tally
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

SWAPPED = {"model_a": "model_b", "model_b": "model_a"}


def pairs_of(votes):
    return Pairs.of(tally(votes).total())


def by_model(rows):
    return {row.model: row for row in rows}


def oracle(rows):
    """The same battles for evalica: two lists of names and one of its winners, draws of either kind alike."""
    winners = {"model_a": evalica.Winner.X, "model_b": evalica.Winner.Y}
    return ([cell["model_a"] for cell in rows], [cell["model_b"] for cell in rows],
            [winners.get(cell["winner"], evalica.Winner.Draw) for cell in rows])  # fmt: skip


# -- closed forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wins", "losses", "draws"), [(30, 10, 0), (7, 3, 10), (1, 1, 0), (999, 1, 0)])
def test_two_models_differ_by_400_log10_of_their_odds(wins, losses, draws):
    board = build(votes_from_rows(battles("x", "y", wins, losses, both_good=draws // 2, both_bad=draws - draws // 2)))
    rating = {line.model: line.rating for line in board.standings}
    first, second = wins + draws / 2, losses + draws / 2
    assert rating["x"] - rating["y"] == pytest.approx(400 * math.log10(first / second), abs=1e-6)
    assert rating["x"] + rating["y"] == pytest.approx(2000, abs=1e-6)  # equal votes: their mean is 1000


def test_a_balanced_round_robin_is_1000_for_all():
    rows = [cell for a in "wxyz" for b in "wxyz" if a < b for cell in battles(a, b, 5, 5, 2, 2)]
    for line in build(votes_from_rows(rows)).standings:
        assert line.rating == pytest.approx(1000, abs=1e-6)
        assert (line.rank, line.rank_lower, line.rank_upper) == (1, 1, 4)


def test_exact_counts_give_back_the_strengths_that_made_them():
    strength = np.array([0.0, 0.4, 0.9, -1.2])
    share = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    wins = 1000 * share * (1 - np.eye(4))
    none = np.zeros((4, 4))
    assert fit(Pairs(wins, none, none)) == pytest.approx(strength - strength.mean(), abs=1e-9)


def test_elo_by_hand():
    votes = votes_from_rows([row("x", "y", "model_a"), row("x", "y", "both_bad")])
    second = 4 * (0.5 - 1 / (1 + 10 ** (-4 / 400)))
    assert elo_online(votes) == pytest.approx([1002 + second, 998 - second], abs=1e-12)


# -- an independent implementation --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_bradley_terry_agrees_with_evalica(seed):
    rows = simulated(800, models=7, seed=seed)
    theirs = evalica.bradley_terry(*oracle(rows), tolerance=1e-13, limit=100_000).scores
    ours = {line.model: line.rating for line in build(votes_from_rows(rows)).standings}
    difference = np.array([ours[name] - 400 * math.log10(theirs[name]) for name in ours])
    assert np.ptp(difference) < 1e-5


@pytest.mark.parametrize("seed", range(5))
def test_elo_is_evalicas_exactly(seed):
    rows = simulated(800, models=7, seed=seed)
    theirs = evalica.elo(*oracle(rows), initial=1000.0, base=10.0, scale=400.0, k=4.0).scores
    votes = votes_from_rows(rows)
    assert elo_online(votes) == pytest.approx([theirs[name] for name in votes.models], abs=1e-9)


# -- invariances --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from("abcde")
VOTES = st.lists(st.tuples(NAMES, NAMES, st.sampled_from(["model_a", "model_b", "both_good", "both_bad"])), max_size=60)


@settings(max_examples=60, deadline=None)
@given(VOTES, st.randoms(use_true_random=False))
def test_order_sides_and_names_do_not_matter(votes, random):
    rows = [row(a, b, winner) for a, b, winner in votes]
    board = build(votes_from_rows(rows)).standings
    shuffled = random.sample(rows, len(rows))
    turned = [row(cell["model_b"], cell["model_a"], SWAPPED.get(cell["winner"], cell["winner"])) for cell in rows]
    named = [cell | {"model_a": "z" + cell["model_a"], "model_b": "z" + cell["model_b"]} for cell in rows]
    for other in (shuffled, turned, named):
        for line in build(votes_from_rows(other)).standings:
            before = by_model(board)[line.model[-1]]
            for name in ("rating", "rating_lower", "rating_upper"):
                mine, theirs = getattr(line, name), getattr(before, name)
                assert mine == theirs or mine == pytest.approx(theirs, abs=1e-5)
            assert line.rank == before.rank and line.votes == before.votes and line.win_rate == before.win_rate


@settings(max_examples=150, deadline=None)
@given(VOTES, st.sampled_from(sorted(METHODS)))
def test_whatever_the_votes_every_number_is_finite_and_in_its_place(votes, method):
    checked = votes_from_rows([row(a, b, winner) for a, b, winner in votes])
    board = build(checked, method)
    count = len(board.standings)
    assert count == len(checked.models)
    for line in board.standings:
        numbers = (line.rating, line.rating_lower, line.rating_upper, line.elo, line.win_rate, line.acceptability)
        assert all(number is None or math.isfinite(number) for number in numbers)
        assert line.wins + line.losses + line.both_good + line.both_bad == line.votes > 0
        assert 1 <= line.rank_lower <= line.rank <= line.rank_upper <= count
        if line.rating is not None:
            assert line.rating_lower <= line.rating <= line.rating_upper
            assert abs(line.rating) < 20_000
        else:
            assert line.preliminary
    rated = [line for line in board.standings if line.rating is not None]
    assert [line.rating for line in rated] == sorted((line.rating for line in rated), reverse=True)
    assert board.standings[: len(rated)] == tuple(rated)


@settings(max_examples=60, deadline=None)
@given(VOTES)
def test_the_rated_models_satisfy_the_likelihood_equations(votes):
    checked = votes_from_rows([row(a, b, winner) for a, b, winner in votes])
    pairs = pairs_of(checked)
    ratings = bradley_terry(checked, pairs)
    inner, rating = pairs.only(ratings.rated), ratings.rating[ratings.rated]
    expected = inner.battles / (1 + 10 ** ((rating[None, :] - rating[:, None]) / 400))
    assert expected.sum(axis=1) == pytest.approx(inner.score.sum(axis=1), abs=1e-6)


def test_another_win_never_lowers_a_rating():
    rows = simulated(400, models=4)
    for loser in ("m0", "m1", "m3"):
        before, after = build(votes_from_rows(rows)), build(votes_from_rows([*rows, row("m2", loser, "model_a")]))
        gain = by_model(after.standings)["m2"].rating - by_model(after.standings)[loser].rating
        assert gain > by_model(before.standings)["m2"].rating - by_model(before.standings)[loser].rating


# -- the silent failures that we do not share ---------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["model_a", "model_b"])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_model_that_lost_or_won_everything_moves_nobody(outcome, count):
    rows = simulated(600)
    newcomer = [row("new", f"m{n % 6}", outcome, category="category 1") for n in range(count)]
    before, after = build(votes_from_rows(rows)), build(votes_from_rows(rows + newcomer))
    added = by_model(after.standings)["new"]
    assert added.rating is None and added.preliminary
    for line in before.standings:
        now = by_model(after.standings)[line.model]
        assert (now.rating, now.rating_lower, now.rating_upper) == pytest.approx(
            (line.rating, line.rating_lower, line.rating_upper), abs=1e-9)  # fmt: skip
        assert (now.rank, now.rank_lower, now.rank_upper) == (line.rank, line.rank_lower, line.rank_upper)
    assert any("new has no finite rating" in note for note in after.notes)
    if outcome == "model_b":
        assert math.isfinite(added.rating_upper) and added.rating_lower is None


def test_the_bound_of_a_loser_is_where_losing_all_has_a_chance_of_one_in_forty():
    rows = battles("x", "y", 20, 20) + battles("new", "x", losses=5)
    line = by_model(build(votes_from_rows(rows)).standings)["new"]
    chance = (1 - 1 / (1 + 10 ** ((1000 - line.rating_upper) / 400))) ** 5
    assert chance == pytest.approx(0.025, abs=1e-6)


def test_groups_that_never_met_are_not_compared():
    rows = simulated(300, models=4) + battles("x", "y", 10, 12)
    board = build(votes_from_rows(rows))
    assert {line.model: line.rating for line in board.standings if line.rating is None} == {"x": None, "y": None}
    assert any("can't be compared; not rated: y, x" in note for note in board.notes)
    elo = by_model(build(votes_from_rows(rows), "elo").standings)
    assert elo["x"].rating is None and elo["m0"].rating is not None


def test_statuses_of_models_around_the_core():
    rows = battles("x", "y", 3, 3) + battles("top", "x", 2) + battles("low", "y", 0, 2) + battles("p", "q", 1, 1)
    rows += battles("middle", "low", 2) + battles("top", "middle", 1)
    votes = votes_from_rows(rows)
    members, status = core(pairs_of(votes))
    found = dict(zip(votes.models, status, strict=True))
    assert [votes.models[m] for m in members] == ["x", "y"]
    assert found == {"x": RATED, "y": RATED, "top": UNBEATEN, "low": WINLESS, "p": APART, "q": APART, "middle": APART}


def test_one_decisive_vote_rates_nobody():
    board = build(votes_from_rows([row("x", "y", "model_a")]))
    assert [(line.model, line.rating, line.rank) for line in board.standings] == [("x", None, 1), ("y", None, 1)]
    assert any("No model has a finite rating yet" in note for note in board.notes)


def test_nothing_but_draws_is_no_certainty():
    board = build(votes_from_rows(battles("x", "y", both_good=10)))
    for line in board.standings:
        assert line.rating == pytest.approx(1000) and line.rating_upper - line.rating_lower > 50


def test_one_prompt_alone_gives_no_narrow_interval():
    alone = build(votes_from_rows(battles("x", "y", 30, 20, prompt_id="p")))
    plain = build(votes_from_rows(battles("x", "y", 30, 20)))
    assert alone.standings == plain.standings
    assert any("Intervals treat votes as independent" in note for note in alone.notes)


def test_a_preliminary_newcomer_does_not_move_the_anchor():
    rows = simulated(600) + battles("new", "m0", 6, 2)
    board = build(votes_from_rows(rows))
    established = [line for line in board.standings if not line.preliminary]
    assert "new" not in [line.model for line in established] and by_model(board.standings)["new"].rating is not None
    mean = sum(line.rating * line.votes for line in established) / sum(line.votes for line in established)
    assert mean == pytest.approx(1000, abs=1e-6)


def test_a_lopsided_chain_converges():
    rows = [cell for n in range(30) for cell in battles(f"m{n:02d}", f"m{n + 1:02d}", 200, 1)]
    line = by_model(build(votes_from_rows(rows)).standings)
    assert line["m00"].rating - line["m30"].rating == pytest.approx(30 * 400 * math.log10(200), rel=1e-6)


def test_a_fit_that_does_not_converge_says_so():
    with pytest.raises(errors.NotConverged):
        fit(Pairs(np.array([[0.0, 9.0], [1.0, 0.0]]), np.zeros((2, 2)), np.zeros((2, 2))), most_steps=1)


# -- intervals and ranks ------------------------------------------------------------------------------------------


def test_every_method_has_an_interval():
    assert METHODS.keys() == INTERVALS.keys()


def test_without_draws_the_interval_of_two_models_is_the_textbook_one():
    wins, losses = 60, 40
    board = build(votes_from_rows(battles("x", "y", wins, losses)))
    half = 1.959964 * 400 / math.log(10) * math.sqrt(1 / wins + 1 / losses) / 2  # each is half of the difference
    for line in board.standings:
        assert line.rating_upper - line.rating == pytest.approx(half, rel=1e-6)


def test_prompts_taken_singly_give_nearly_the_independent_interval():
    rows = simulated(900, models=4)
    single = [cell | {"prompt_id": f"p{n}", "voter": None} for n, cell in enumerate(rows)]
    alone = [{key: cell[key] for key in ("model_a", "model_b", "winner")} for cell in rows]
    for a, b in zip(build(votes_from_rows(single)).standings, build(votes_from_rows(alone)).standings, strict=True):
        assert a.rating_upper - a.rating_lower == pytest.approx(b.rating_upper - b.rating_lower, rel=0.002)


def test_a_vote_without_a_prompt_stands_alone_among_the_clusters():
    rows = [cell | {"prompt_id": f"p{n}"} for n, cell in enumerate(simulated(300, models=3))]
    some = [cell | {"prompt_id": None} if n % 3 else cell for n, cell in enumerate(rows)]
    for a, b in zip(build(votes_from_rows(rows)).standings, build(votes_from_rows(some)).standings, strict=True):
        assert a.rating_upper == pytest.approx(b.rating_upper, abs=1e-9)


def test_votes_repeated_on_the_same_prompts_count_once_in_the_interval():
    rows = [cell | {"prompt_id": f"p{n}", "vote_id": None} for n, cell in enumerate(simulated(400, models=3))]
    once, ten = build(votes_from_rows(rows)).standings, build(votes_from_rows(rows * 10)).standings
    for a, b in zip(once, ten, strict=True):
        assert b.rating_upper - b.rating_lower == pytest.approx(a.rating_upper - a.rating_lower, rel=0.01)


@pytest.mark.parametrize(("draws", "clusters"), [(0.0, False), (0.3, False), (0.2, True)])
def test_intervals_hold_what_they_promise(draws, clusters):
    """200 simulated data sets: about 95% of the intervals hold the truth, and nearly all rank bounds all ranks."""
    strength = np.linspace(-0.5, 0.5, 5)
    target = limit_of(strength, draws)  # what infinitely many such votes would give
    rng = np.random.default_rng(11)
    inside, jointly, count = [], [], 400
    for _ in range(200):
        a = rng.integers(5, size=count)
        b = (a + rng.integers(1, 5, size=count)) % 5
        decisive = np.where(rng.random(count) < 1 / (1 + np.exp(strength[b] - strength[a])), "model_a", "model_b")
        winner = np.where(rng.random(count) < draws, "both_good", decisive)
        rows = [row(f"m{a[n]}", f"m{b[n]}", str(winner[n]), prompt_id=f"p{n}" if clusters else None)
                for n in range(count)]  # fmt: skip
        votes = votes_from_rows(rows * 2 if clusters else rows)  # the second voter on a prompt always agrees
        weights = np.bincount(np.concatenate([a, b]), minlength=5)
        truth = 1000 + 400 / math.log(10) * (target - target @ weights / weights.sum())
        found = by_model(build(votes).standings)
        inside += [found[f"m{k}"].rating_lower <= truth[k] <= found[f"m{k}"].rating_upper for k in range(5)]
        jointly.append(all(found[f"m{k}"].rank_lower <= 5 - k <= found[f"m{k}"].rank_upper for k in range(5)))
    assert 0.925 <= np.mean(inside) <= 0.975
    assert np.mean(jointly) >= 0.95


def limit_of(strength, draws):
    """What Bradley-Terry with half-win draws converges to when a share of battles is drawn at random."""
    share = (1 - draws) / (1 + np.exp(strength[None, :] - strength[:, None])) + draws / 2
    none = np.zeros_like(share)
    return fit(Pairs(share * (1 - np.eye(len(strength))), none, none))


def test_wilson_by_its_textbook_values():
    assert wilson(0, 10) == pytest.approx((0.0, 0.277533), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((0.722467, 1.0), abs=1e-5)
    assert wilson(50, 100) == pytest.approx((0.403832, 0.596168), abs=1e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_ranks_by_overlap():
    lower, upper = np.array([10.0, 8.0, 0.0, np.nan]), np.array([12.0, 11.0, 5.0, np.nan])
    assert overlap_ranks(lower, upper).tolist() == [1, 1, 3, 1]


def test_simultaneous_ranks_tell_apart_what_is_far_apart():
    noise = np.random.default_rng(0).standard_normal((2000, 3))
    lower, upper = simultaneous_ranks(np.array([100.0, 1.0, 0.0]), noise)
    assert lower.tolist() == [1, 2, 2] and upper.tolist() == [1, 3, 3]


def test_one_seed_gives_one_result_and_the_seed_reaches_only_the_draws():
    votes = votes_from_rows(simulated(300))
    first, again, other = build(votes, seed=1), build(votes, seed=1), build(votes, seed=2)
    assert first.to_json() == again.to_json()
    assert [line.rating for line in first.standings] == [line.rating for line in other.standings]
    assert [line.rating_lower for line in first.standings] == [line.rating_lower for line in other.standings]


def test_rated_models_have_no_one_sided_bound():
    votes = votes_from_rows(simulated(100, models=3))
    pairs = pairs_of(votes)
    assert one_sided_bound(0, pairs, bradley_terry(votes, pairs)) is None


# -- verdicts -----------------------------------------------------------------------------------------------------


def test_sign_test_and_holm_by_hand():
    assert sign_test(0, 0) is None and sign_test(5, 5) == 1.0
    assert sign_test(8, 2) == pytest.approx(0.109375)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == [] and verdicts({}) == {}


def test_a_verdict_per_category():
    rows = battles("x", "y", 80, 20, category="clear") + battles("x", "y", 50, 50, category="even")
    rows += battles("x", "y", 9, 1, category="few") + battles("x", "y", 40, category="swept")
    verdict = {name: group.verdict for name, group in build(votes_from_rows(rows)).groups.items()}
    assert verdict == {"clear": "x better", "even": "tie", "few": "too few votes", "swept": "x better"}


def test_many_categories_raise_the_bar():
    rows = battles("x", "y", 63, 42, category="c00")  # p = 0.04 alone
    assert build(votes_from_rows(rows)).groups["c00"].verdict == "x better"
    rows += [cell for n in range(1, 12) for cell in battles("x", "y", 50, 50, category=f"c{n:02d}")]
    assert build(votes_from_rows(rows)).groups["c00"].verdict == "tie"


# -- speed --------------------------------------------------------------------------------------------------------


def test_a_board_of_ten_thousand_votes_takes_moments():
    rows = simulated(10_000, models=12, categories=12, prompts=400)
    start = time.process_time()
    votes = votes_from_rows(rows)
    build(votes)
    assert time.process_time() - start < 0.5  # about 0.04 s on two quiet cores
