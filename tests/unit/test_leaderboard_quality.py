"""The data's quality: known shares and counts, and a warning where its stated threshold is passed."""

import csv
from pathlib import Path

import pytest

from leaderboard.quality import UNKNOWN
from leaderboard.sheets.honesty import quality as sheet
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import START, battles, row, simulated

CROWD = Path(__file__).parents[3] / "shared" / "data" / "llmfao" / "crowd-comparisons.csv"


def measured(rows, exclusions=()):
    return {part.name: part for part in Study(votes_from_rows(rows, exclusions)).quality}


def test_what_is_left_out_is_listed_by_reason_largest_first():
    rows = [*battles("x", "y", 5, 3), *[row("x", "y", "tie", mode="named")] * 3, row("x", "x", "tie")]
    found = measured(rows)
    assert found["Votes that count"].value == "8 of 12" and found["Votes that count"].warning
    assert [name for name in found if name.startswith("Left out")] == ["Left out: mode:named", "Left out: self_battle"]
    assert found["Left out: mode:named"].value == "3 (25.0%)" and found["Left out: mode:named"].why
    excluded = measured([*simulated(60)], [{"vote_id": "v000001", "reason": "bot"}])
    assert excluded["Left out: excluded:bot"].value == "1 (1.7%)" and not excluded["Votes that count"].warning


def test_draws_and_sides():
    found = measured(battles("x", "y", 60, 10, both_good=10, both_bad=20))
    assert found["Draws"].value == "30 (30.0%)" and found["Both bad"].value == "20 (20.0%)"
    assert not found["Both bad"].warning
    side = found["Side a's share of decisive votes"]
    assert side.value.startswith("85.7% (95% interval 75.7%") and side.warning
    assert measured(battles("x", "y", 5, 4, both_bad=4))["Both bad"].warning
    assert "Side a's share of decisive votes" not in measured(battles("x", "y", both_good=3))


def test_a_voter_who_casts_half_of_the_votes_is_a_warning():
    rows = battles("x", "y", 50, 50, voter="busy") + [row("x", "y", "model_a", voter=f"u{at}") for at in range(100)]
    found = measured(rows)
    assert (
        found["Votes per voter"].value == "median 1, largest 100 (50.0%), 101 voters"
        and found["Votes per voter"].warning
    )
    assert found["Effective number of voters"].value == f"{200**2 / (100**2 + 100):.1f}"
    assert found["Effective number of voters"].warning
    assert found["Share of the top 1% of voters"].value == "50.0% (1 voter)"
    assert "Votes per prompt" not in found and found["Votes without a prompt"].warning


def test_a_second_vote_on_the_same_pair_of_images_is_counted():
    first = [row("x", "y", "model_a", voter=f"u{at}", image_a="i", image_b="j") for at in range(4)]
    again = [row("y", "x", "model_a", voter="u1", image_a="j", image_b="i")]
    assert measured(first + again)["Second votes of a voter on a pair"].value == "1 (20.0%)"
    assert not measured(first)["Second votes of a voter on a pair"].warning


def test_connectivity():
    rows = battles("a", "b", 20, 20) + battles("c", "d", 20, 15) + battles("a", "e", 3)
    found = measured(rows)
    assert found["Connected groups of models"].value == "2" and found["Connected groups of models"].warning
    assert found["Pairs of models that met"].value == "3 of 10" and found["Pairs of models that met"].warning
    assert found["Least-met pair"].value == "a and e: 3 votes"
    assert found["Established models"].value == "4 of 5" and found["Established models"].warning
    assert found["Models without a finite rating"].value == "1 winless, 2 tied to no other"
    whole = measured(simulated(900))
    assert whole["Connected groups of models"].value == "1" and whole["Models without a finite rating"].value == "none"


def test_what_is_not_known_of_votes_is_counted():
    rows = simulated(100)
    for cell in rows[:10]:
        cell["voter"] = cell["created_at"] = None
    found = measured(rows)
    assert found["Votes without a voter"].value == found["Votes without a time"].value == "10 (10.0%)"
    assert found["Votes without a voter"].warning and not found["Votes without a prompt"].warning
    assert sum(name.startswith("Votes without") for name in found) == len(UNKNOWN)


def test_time():
    day = 86_400_000
    rows = [row("x", "y", "tie", created_at=START + day * at // 10) for at in range(41)]
    assert measured(rows)["Time"].value == "2026-09-21 to 2026-09-25, 10 votes a day"
    assert "Time" not in measured(battles("x", "y", 2, 2))


def test_no_votes_and_the_sheet():
    assert list(measured([])) == ["Votes that count"] and not measured([])["Votes that count"].warning
    shown = sheet(Study(votes_from_rows(simulated(300))))
    assert "yes" in shown.to_text() and shown.to_csv().count("\n") == 1 + len(shown.rows)
    assert all(cell["why"].endswith(".") for cell in shown.rows)


def test_real_voters():
    if not CROWD.is_file():
        pytest.skip("the crowd comparisons of llmfao are not beside this checkout (shared/data/llmfao)")
    words = {"left": "model_a", "right": "model_b", "tie": "tie"}
    with open(CROWD, encoding="utf-8") as file:
        rows = [row(cell["left"], cell["right"], words[cell["winner"]], prompt_id=cell["prompt"], voter=cell["worker"])
                for cell in csv.DictReader(file)]  # fmt: skip
    found = measured(rows)
    assert found["Votes that count"].value == "8,931 of 8,931" and "124 voters" in found["Votes per voter"].value
    assert not found["Votes per voter"].warning and found["Votes without a time"].warning
