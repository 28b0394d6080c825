"""Voters: what each cast, how often they agree with the others, and that nobody is named who did not agree to it."""

import json

import numpy as np
import pytest

from leaderboard.agreement import ballots
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.voters import NOT_NAMED, voters
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import row, simulated


def vote(pair, winner, voter, **more):
    return row("x", "y", winner, image_a=f"{pair}-x", image_b=f"{pair}-y", voter=voter, **more)


def voters_of(rows):
    votes = votes_from_rows(rows)
    return voters(votes, ballots(votes))


def test_a_voters_row_counts_what_they_cast():
    rows = [vote(1, "model_a", "u"), vote(2, "both_good", "u"), vote(3, "both_bad", "u"), vote(4, "model_b", "u"),
            vote(1, "model_a", "v")]  # fmt: skip
    first, second = voters_of(rows).all_rows(ids=True)
    assert (first["voter"], first["votes"], first["share"]) == ("u", 4, 0.8) and second["voter"] == "v"
    assert first["left_share"] == first["both_good_share"] == first["both_bad_share"] == 0.25
    assert first["left_lower"] < 0.25 < first["left_upper"]
    assert (first["compared"], first["agreement"]) == (1, 1.0) and first["agreement_lower"] < 0.5
    assert "voter" not in voters_of(rows).all_rows()[0]


def test_agreement_leaves_the_voters_own_vote_out():
    rows = [vote(1, "model_a", "u"), vote(1, "model_a", "v"), vote(1, "model_b", "w"), vote(1, "both_bad", "x"),
            vote(2, "model_b", "u"), vote(2, "model_b", "v"), vote(3, "model_a", "u")]  # fmt: skip
    found = {line["voter"]: line for line in voters_of(rows).all_rows(ids=True)}
    assert found["u"]["agreement"] == pytest.approx((1 / 3 + 1) / 2) and found["u"]["compared"] == 2
    assert found["w"]["agreement"] == 0.0 and found["x"]["compared"] == 1


def test_agreement_of_one_voter_by_asking_everybody_else():
    votes = votes_from_rows(simulated(votes=800, prompts=4, voters=20, seed=9))
    found = voters(votes, ballots(votes))
    first = {}
    for at in range(len(votes)):
        pair = (votes.prompt_id.codes[at], *sorted((votes.model_a[at], votes.model_b[at])))
        outcome = (int(votes.winner[at]), votes.model_a[at] < votes.model_b[at])
        first.setdefault((pair, votes.voter.names[votes.voter.codes[at]]), outcome)

    def same(one, other):
        (one, one_order), (other, other_order) = one, other
        return one == other if one_order == other_order or one > 1 else {one, other} == {0, 1}

    for voter, line in zip(found.ids, found.all_rows(), strict=True):
        shares = []
        for (pair, who), outcome in first.items():
            others = [o for (p, w), o in first.items() if p == pair and w != voter]
            if who == voter and others:
                shares.append(np.mean([same(outcome, other) for other in others]))
        assert line["compared"] == len(shares) and line["agreement"] == pytest.approx(np.mean(shares))


def test_the_one_with_most_votes_stands_first():
    found = voters_of([vote(1, "model_a", "b"), vote(1, "model_a", "a"), vote(2, "model_a", "b")])
    assert found.ids == ("b", "a") and len(found) == 2


def test_gold_answers_are_there_even_of_a_voter_with_no_other_vote():
    rows = [vote(1, "model_a", "u"), vote(2, "model_a", "u", gold="model_a"), vote(3, "model_a", "v", gold="both_bad"),
            vote(4, "model_b", "v", gold="model_b")]  # fmt: skip
    found = {line["voter"]: line for line in voters_of(rows).all_rows(ids=True)}
    assert (found["u"]["gold_right"], found["u"]["gold_asked"], found["u"]["votes"]) == (1, 1, 1)
    assert (found["v"]["gold_right"], found["v"]["gold_asked"], found["v"]["votes"]) == (1, 2, 0)
    assert found["v"]["left_share"] is None and found["v"]["share"] == 0.0


# -- who is named -------------------------------------------------------------------------------------------------

NAMED = {"signed_in": True, "voter_name": "ann"}


def names(rows):
    return [line["name"] for line in SHEETS["voters"](Study(votes_from_rows(rows))).rows]


def test_only_who_signed_in_and_agreed_is_named_and_the_others_are_one_line():
    rows = [vote(1, "model_a", "u", **NAMED), vote(1, "model_a", "v", signed_in=True), vote(1, "model_a", "w"),
            vote(2, "model_a", "x", voter_name="mallory"), vote(2, "model_b", None)]  # fmt: skip
    sheet = SHEETS["voters"](Study(votes_from_rows(rows)))
    named, rest = sheet.rows
    assert named["name"] == "ann" and named["votes"] == 1
    assert rest["name"] == NOT_NAMED and rest["votes"] == 4
    assert any("3 voters are not named" in note for note in sheet.notes)
    assert any("1 vote has no voter" in note for note in sheet.notes)
    shown = json.dumps(sheet.to_json()) + sheet.to_csv() + sheet.to_text()
    assert "mallory" not in shown and "ann" in shown


def test_who_takes_the_consent_back_is_not_named_any_more():
    before = [vote(n, "model_a", "u", created_at=n, **NAMED) for n in range(3)]
    after = vote(9, "model_a", "u", created_at=9, signed_in=True)
    assert names(before) == ["ann"] and names([*before, after]) == [NOT_NAMED]
    again = vote(10, "model_a", "u", created_at=10, **NAMED)
    assert names([*before, after, again]) == ["ann"]


def test_a_consent_in_extra_is_read():
    extra = json.dumps({"voter_name": "ann"})
    assert names([vote(1, "model_a", "u", signed_in=True, extra=extra)]) == ["ann"]
    assert names([vote(1, "model_a", "u", signed_in=False, extra=extra)]) == [NOT_NAMED]


def test_no_sheet_shows_a_voters_id():
    votes = votes_from_rows(simulated(votes=300, voters=12))
    study = Study(votes)
    shown = "".join(json.dumps(sheet(study).to_json()) for name, sheet in SHEETS.items() if name in
                    ("agreement", "overlap", "voters"))  # fmt: skip
    assert not any(f'"{name}"' in shown for name in votes.voter.names)


def test_votes_without_any_voter_are_one_line():
    sheet = SHEETS["voters"](Study(votes_from_rows([row("x", "y", "model_a"), row("x", "y", "tie")])))
    (line,) = sheet.rows
    assert line["votes"] == 2 and line["share"] == 1.0 and line["agreement"] is None and line["left_share"] is None


def test_no_votes_give_an_empty_table():
    assert SHEETS["voters"](Study(votes_from_rows([]))).rows == ()
