"""Trust: nobody loses weight without a record, attackers do, and the board under it stands beside the plain one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import errors
from leaderboard.agreement import ballots, shares_of_others
from leaderboard.board import build
from leaderboard.gold import FLOOR, GUESSING, gold_weights
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.trust import agreement_weights, trust, trusted
from leaderboard.votes import votes_from_rows
from tests.leaderboard_crowd import crowd
from tests.leaderboard_rows import row, simulated


def worst(rows, truth):
    """The largest error of a rating, the mean put aside."""
    rating = np.array([line.rating for line in sorted(rows, key=lambda line: line.model)])
    return float(np.abs(rating - rating.mean() - truth).max())


@pytest.fixture(scope="module")
def boards():
    """{share of adversaries: (votes, the ratings from the same battles where all are honest)}"""
    found = {}
    for share in (0.0, 0.3):
        rows, _ = crowd(np.random.default_rng(3), adversarial=share, gold=5)
        honest, _ = crowd(np.random.default_rng(3))
        rating = {line.model: line.rating for line in build(votes_from_rows(honest)).standings}
        truth = np.array([rating[model] for model in sorted(rating)])
        found[share] = votes_from_rows(rows), truth - truth.mean()
    return found


# -- one voter's weight -------------------------------------------------------------------------------------------


def answered(voter, right, asked, task="own"):
    """Gold answers of a voter, to tasks of their own."""
    return [(voter, f"{task} {voter} {at}", at < right) for at in range(asked)]


def test_gold_weights_follow_their_formula():
    """Tasks that nobody else answered are as easy as expected, and the weight is that of the smoothed share."""
    records = [(0, 0), (9, 10), (5, 5), (0, 1), (1, 4), (0, 50)]
    answers = [answer for at, record in enumerate(records) for answer in answered(f"u{at}", *record)]
    weight = gold_weights(answers, [f"u{at}" for at in range(len(records))])
    assert weight[0] == weight[2] == 1.0 and weight[1] == pytest.approx((11.7 / 13 - 0.25) / 0.65)
    assert weight[3] == pytest.approx((2.7 / 4 - 0.25) / 0.65) and weight[4] < weight[3] and weight[5] == FLOOR


def test_a_wrong_answer_costs_as_much_as_the_task_is_easy():
    """By hand: 20 others, of whom all get the easy task right, half the hard one, and none the one marked wrongly."""
    others = [(f"o{at}", task, good) for at in range(20) for task, good in
              (("easy", True), ("hard", at % 2 == 0), ("mistaken", False))]  # fmt: skip
    cost = {}
    for task, right in (("easy", 20), ("hard", 10), ("mistaken", 0)):
        weight = gold_weights([*others, ("u", task, False)], ["u"] + [f"o{at}" for at in range(20)])[0]
        p = (right + 2.7) / 23
        d = max(0, p - GUESSING) / 0.65
        assert weight == pytest.approx((1.95 - d * GUESSING) / (1.95 + d * (p - GUESSING)))
        cost[task] = 1 - weight
    assert cost["easy"] > 2 * cost["hard"] > 0 and cost["mistaken"] == 0


def test_nobody_says_how_easy_a_task_is_by_their_own_answer():
    alone = gold_weights([("u", "t", False)] * 3, ["u"])
    assert alone == gold_weights([("u", f"t{at}", False) for at in range(3)], ["u"])


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 8), st.integers(0, 8))
def test_a_right_answer_never_lowers_a_weight_and_a_wrong_one_never_raises_it(right, wrong, others_right, others_wrong):
    others = [(f"o{at}", "more", at < others_right) for at in range(others_right + others_wrong)]
    answers = [*others, *answered("u", right, right + wrong)]
    now, better, worse = (gold_weights(answers + more, ["u", *(name for name, _, _ in others)])[0]
                          for more in ([], [("u", "more", True)], [("u", "more", False)]))  # fmt: skip
    assert FLOOR <= worse <= now <= better <= 1


def test_agreement_lowers_a_weight_only_where_the_record_shows_less_than_usual():
    alike, compared = np.array([60.0, 55, 30, 1, 0]), np.array([100, 100, 100, 3, 0])
    weight = agreement_weights(alike, compared, 0.3, np.ones(5))
    assert weight[0] == weight[1] == weight[3] == weight[4] == 1.0 and FLOOR <= weight[2] < 0.7


def test_where_nobody_agrees_beyond_chance_agreement_says_nothing():
    assert agreement_weights([10.0, 0.0], [40, 40], 0.3, np.ones(2)).tolist() == [1.0, 1.0]
    assert agreement_weights([0.0], [0], None, np.ones(1)).tolist() == [1.0]


def test_a_voter_without_a_record_weighs_one():
    votes = votes_from_rows([row("x", "y", "model_a", voter="u"), row("x", "y", "model_b", voter=None)])
    found = trust(votes, agreement=True)
    assert found.weight.tolist() == [1.0] and found.of_votes(votes).tolist() == [1.0, 1.0]


def test_agreement_is_used_only_where_it_is_asked_for():
    votes = votes_from_rows(crowd(np.random.default_rng(1), adversarial=0.3, votes=2000, voters=40)[0])
    assert (trust(votes).weight == 1).all(), "there are no gold tasks"
    asked = trust(votes, agreement=True)
    assert (asked.weight < 1).any() and (asked.by_gold == 1).all()
    assert (trust(votes, gold=False).weight == 1).all()


def test_weighted_shares_of_others_leave_the_voter_out():
    votes = votes_from_rows(simulated(votes=400, prompts=3, voters=15))
    found = ballots(votes)
    weight = np.random.default_rng(0).uniform(0.1, 1, len(found.row))
    shares = shares_of_others(found, weight)
    for at in range(len(found.row)):
        others = (found.pair == found.pair[at]) & (np.arange(len(found.row)) != at)
        if others.any():
            same = found.outcome[others] == found.outcome[at]
            assert shares[at] == pytest.approx(np.average(same, weights=weight[others]))
        else:
            assert np.isnan(shares[at])


# -- the board ----------------------------------------------------------------------------------------------------


def test_with_adversaries_the_weighted_board_is_closer_to_the_honest_one(boards):
    votes, honest = boards[0.3]
    plain = worst(trusted(votes, "bradley-terry").plain.rows, honest)
    gold = worst(trusted(votes, "bradley-terry").weighted.rows, honest)
    agreement = worst(trusted(votes, "bradley-terry", gold=False, agreement=True).weighted.rows, honest)
    both = worst(trusted(votes, "bradley-terry", agreement=True).weighted.rows, honest)
    print(f"largest error in points: plain {plain:.0f}, gold {gold:.0f}, agreement {agreement:.0f}, both {both:.0f}")
    assert plain > 60 and gold < 0.5 * plain and agreement < 0.8 * plain and both < 0.35 * plain


def test_where_nobody_attacks_hardly_anything_changes(boards):
    votes, honest = boards[0.0]
    found = trusted(votes, "bradley-terry", agreement=True)
    plain, both = worst(found.plain.rows, honest), worst(found.weighted.rows, honest)
    print(
        f"largest error in points: plain {plain:.1f}, both {both:.1f}; {np.mean(found.trust.weight < 1):.0%} weigh less"
    )
    assert plain < 0.01 and both < 3
    assert (found.trust.by_agreement < 0.7).mean() < 0.03


def test_people_of_another_taste_keep_their_weight():
    rows, kind = crowd(np.random.default_rng(5), other_taste=0.3)
    found = trusted(votes_from_rows(rows), "bradley-terry", agreement=True)
    weight = dict(zip(found.trust.voters.ids, found.trust.weight.tolist(), strict=True))
    others = [value for voter, value in weight.items() if kind[voter] == "other taste"]
    change = [abs(line["change"]) for line in SHEETS["trusted"](Study(votes_from_rows(rows))).rows]
    print(f"mean weight of another taste {np.mean(others):.2f}; largest change {max(change):.1f} points")
    assert np.mean(others) > 0.95 and max(change) < 8


def test_adversaries_and_careless_voters_lose_weight_and_honest_ones_keep_it():
    rows, kind = crowd(np.random.default_rng(8), adversarial=0.2, careless=0.2, voters=30, votes=9000, heavy=False)
    found = trust(votes_from_rows(rows), agreement=True)
    weight = {name: [] for name in set(kind.values())}
    for voter, value in zip(found.voters.ids, found.weight.tolist(), strict=True):
        weight[kind[voter]].append(value)
    assert max(weight["adversarial"]) == FLOOR and max(weight["careless"]) < 0.7 and min(weight["honest"]) > 0.9


def test_without_any_reason_both_boards_are_the_main_board():
    votes = votes_from_rows(simulated(votes=400))
    found, main = trusted(votes, "bradley-terry"), build(votes)
    assert found.plain.rows == found.weighted.rows == main.standings


def test_the_plain_side_is_the_main_board_with_its_clusters_and_its_cap():
    votes = votes_from_rows(simulated(votes=900, voters=8))
    how = {"clusters": "prompt", "voter_cap": 50}
    found, main = trusted(votes, "bradley-terry", **how), build(votes, **how)
    assert found.plain.rows == found.weighted.rows == main.standings != build(votes).standings
    sheet = SHEETS["trusted"](Study(votes, **how))
    assert [line["rating"] for line in sheet.rows] == [line.rating for line in main.standings]
    with pytest.raises(errors.UnknownChoice):
        trusted(votes, "bradley-terry", clusters="moon")


def test_counts_stay_counts_of_votes(boards):
    found = trusted(boards[0.3][0], "bradley-terry", agreement=True)
    counts = [{line.model: (line.votes, line.wins, line.both_bad) for line in side.rows} for side in
              (found.plain, found.weighted)]  # fmt: skip
    assert counts[0] == counts[1]


def test_weights_that_the_votes_carry_already_are_kept_on_both_sides():
    votes = votes_from_rows(simulated(votes=400))
    weight = np.where(np.arange(len(votes)) % 2, 1.0, 0.25)
    found = trusted(replace(votes, weight=weight), "bradley-terry")
    assert found.plain.rows == found.weighted.rows and found.plain.rows != build(votes).standings


def test_the_sheet_shows_both_boards_and_what_the_weights_rest_on(boards):
    sheet = SHEETS["trusted"](Study(boards[0.3][0]))
    assert [line["rank"] for line in sheet.rows] == sorted(line["rank"] for line in sheet.rows)
    for line in sheet.rows:
        assert line["trusted_lower"] < line["trusted"] < line["trusted_upper"]
        assert line["change"] == pytest.approx(line["trusted"] - line["rating"])
    assert any(note.startswith("Gold tasks: of 150 voters") for note in sheet.notes)
    assert any(note.startswith("Agreement: of ") for note in sheet.notes)
    sheet.to_json()


def test_the_sheet_of_votes_that_say_little():
    for rows in ([], [row("x", "y", "model_a")], [row("x", "y", "model_a", voter="u"), row("z", "w", "tie")]):
        sheet = SHEETS["trusted"](Study(votes_from_rows(rows)))
        assert "Gold tasks: none in these votes." in sheet.notes
        sheet.to_json()


def test_online_elo_takes_no_weights_so_bradley_terry_is_compared(boards):
    found = trusted(boards[0.3][0], "elo", agreement=True)
    assert found.method == "bradley-terry" and found.plain.rows != found.weighted.rows
