"""The board, the live board that follows the votes, and a measurement on real voters."""

import csv
import random
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard import errors
from leaderboard.board import build
from leaderboard.live import LiveBoard
from leaderboard.votes import check, read_votes, votes_from_rows
from tests.leaderboard_rows import START, battles, row, simulated
from tests.unit.test_leaderboard_votes import EXCLUSIONS, same, write_ledger

CROWD = Path(__file__).parents[3] / "shared" / "data" / "llmfao" / "crowd-comparisons.csv"


def test_notes_say_what_a_reader_must_know():
    rows = [*simulated(400), row("m0", "m1", "tie", mode="named"), *battles("new", "m0", 3, 2)]
    notes = " ".join(build(votes_from_rows(rows, [{"vote_id": "gone", "reason": "bot"}])).notes)
    for words in ("Left out: 1 vote of 406 (mode:named 1).", "1 exclusion names a vote that this source does not hold",
                  "counts as half a win", "Preliminary, with fewer than 30 votes: new.", "no sign of position bias",
                  "The votes are on 60 prompts.", "Intervals take the votes on one prompt", "Holm", "5 votes have no category"):  # fmt: skip
        assert words in notes


def test_a_lean_to_one_side_raises_an_alarm():
    rows = battles("x", "y", 90, 20) + battles("y", "x", 90, 20)
    notes = build(votes_from_rows(rows)).notes
    assert any(note.startswith("Position bias: Side a won 81.8% of 220 decisive votes") for note in notes)
    assert any("voters lean to side a" in note for note in notes)


def test_pairs_are_wins_and_half_the_draws_with_their_interval():
    board = build(votes_from_rows(battles("x", "y", 6, 2, both_good=1, both_bad=1) + battles("y", "z", 1, 1)))
    pair = next(pair for pair in board.pairs if {pair.model_a, pair.model_b} == {"x", "y"})
    assert (pair.model_a, pair.votes, pair.win_rate_a) == ("x", 10, 0.7)
    assert 0 < pair.lower < 0.7 < pair.upper < 1
    assert {(pair.model_a, pair.model_b) for pair in board.pairs} == {("x", "y"), ("y", "z")} or len(board.pairs) == 2


def test_rates_of_a_row():
    line = next(line for line in build(votes_from_rows(battles("x", "y", 3, 2, 4, 1))).standings if line.model == "x")
    assert (line.wins, line.losses, line.both_good, line.both_bad, line.votes) == (3, 2, 4, 1, 10)
    assert line.win_rate == pytest.approx(0.55) and line.acceptability == pytest.approx(0.9)


def test_a_category_stands_alone():
    """A category's standings are those of a source that holds its votes only."""
    rows = simulated(600)
    whole = build(votes_from_rows(rows))
    alone = build(votes_from_rows([cell for cell in rows if cell["category"] == "category 1"]))
    for a, b in zip(whole.groups["category 1"].standings, alone.standings, strict=True):
        assert a.model == b.model and a.rating == pytest.approx(b.rating, abs=1e-9) and a.elo == b.elo


def test_names_are_for_showing_and_ids_for_the_contract():
    board = build(votes_from_rows(battles("x", "y", 2, 1)), models={"x": {"name": "Model X"}, "y": {}})
    assert board.name("x") == "Model X" and board.name("y") == "y"
    assert {line["model"] for line in board.to_json()["standings"]} == {"x", "y"}


def test_unknown_methods_and_groupings_are_refused():
    votes = votes_from_rows(battles("x", "y", 2, 1))
    with pytest.raises(errors.UnknownChoice, match="no method is called 'glicko'; known are bradley-terry, elo"):
        build(votes, "glicko")
    with pytest.raises(errors.UnknownChoice, match="can't group by 'mood'"):
        build(votes, by="mood")


# -- live ---------------------------------------------------------------------------------------------------------


def test_a_live_board_equals_one_that_read_everything_at_once(tmp_path):
    rows = simulated(300)
    live = LiveBoard()
    assert live.board().standings == ()
    for at in range(0, 300, 40):
        live.add(rows[at : at + 40])
        live.board()
    live.exclude(EXCLUSIONS)
    path = write_ledger(tmp_path / "ledger.sqlite", rows, EXCLUSIONS)
    assert live.board().to_json() == build(read_votes(path)).to_json()
    started = LiveBoard.read(path)
    assert started.board().to_json() == live.board().to_json()
    started.exclude([{"vote_id": "v000003", "reason": "restored", "created_at": EXCLUSIONS[0]["created_at"] + 9}])
    assert started.board().source.counted == 300


def test_a_live_board_computes_only_when_something_changed():
    live = LiveBoard(simulated(50), models={"m0": {"name": "M"}})
    first, version = live.board(), live.version
    assert live.board() is first and live.version == version
    live.add([])
    live.exclude([])
    assert live.board() is first
    live.add([row("m0", "m1", "tie")])
    assert live.version > version and live.board().source.votes == 51 and live.board().name("m0") == "M"


def test_a_live_board_refuses_bad_rows_whole_and_lives_on():
    live = LiveBoard(simulated(50))
    known = simulated(50)[7]
    other = "model_b" if known["winner"] == "model_a" else "model_a"
    for bad, kind in ((row("m0", "m1", "draw"), errors.UnknownOutcome), (row("", "m1", "tie"), errors.MissingValue),
                      (known | {"winner": other}, errors.ConflictingVotes)):  # fmt: skip
        with pytest.raises(kind):
            live.add([row("m0", "m1", "tie"), bad])
    assert live.board().source.votes == 50
    live.add([known])
    assert live.board().source.left_out == {"duplicate": 1}


def test_a_live_board_is_fed_from_many_threads():
    rows, live = simulated(400), LiveBoard()

    def feed(part):
        for at in range(0, len(part), 10):
            live.add(part[at : at + 10])
            live.board()

    threads = [threading.Thread(target=feed, args=(rows[at::8],)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert live.board().to_json() == LiveBoard(rows).board().to_json()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.booleans(), st.booleans()), max_size=40),
       st.integers(1, 7))  # fmt: skip
def test_batches_of_any_size_make_the_board_of_all_rows(story, size):
    """Ids repeat and are missing, columns come and go, outcomes have two names, votes are excluded and restored."""
    rows, exclusions = [], []
    for number, (vote_id, outcome, timed, excluded) in enumerate(story):
        cell = row(f"m{vote_id % 3}", f"m{(vote_id + 1) % 3}", ("model_a", "tie")[vote_id % 2], vote_id=f"v{vote_id}")
        if vote_id % 2 and outcome > 1:
            cell["winner"] = "both_good"
        if outcome == 3:
            cell["vote_id"] = (None, "")[number % 2]
        if timed:
            cell |= {"created_at": START - number % 3, "category": f"c{outcome}", "voter": f"u{number % 2}"}
        rows.append(cell)
        if excluded:
            exclusions.append(
                {"vote_id": f"v{vote_id}", "reason": ("bot", "restored")[number % 2], "created_at": number}
            )
    live = LiveBoard()
    for at in range(0, len(rows), size):
        live.add(rows[at : at + size])
        live.board()
    live.exclude(exclusions)
    expected = votes_from_rows(rows, exclusions, source="ledger")
    same(live.study().votes, expected)
    assert live.study().votes.idle_exclusions == expected.idle_exclusions
    assert live.board().to_json() == build(expected).to_json()


def test_a_live_board_checks_the_new_rows_only(monkeypatch):
    checked = []
    monkeypatch.setattr("leaderboard.live.check", lambda raw: checked.append(len(raw.votes["winner"])) or check(raw))
    live = LiveBoard(simulated(200))
    live.add([row("m0", "m1", "tie")])
    assert checked == [200, 1]
    assert isinstance(live.study().votes.model_a, np.ndarray) and checked == [200, 1, 201]


def test_a_live_board_has_the_study_of_its_votes():
    live = LiveBoard(simulated(60), by="complexity", method="elo", seed=3, models={"m0": {"name": "M"}}, pictures="P")
    study = live.study()
    assert study is live.study() and study.board is live.board() and len(study.votes) == 60
    assert (study.by, study.method, study.seed, study.pictures) == ("complexity", "elo", 3, "P") and study.name(
        "m0"
    ) == "M"
    live.exclude([{"vote_id": "v000001", "reason": "bot"}])
    assert live.study() is not study and len(live.study().votes) == 59 and len(study.votes) == 60


def test_a_board_that_was_handed_out_stays_as_it_was():
    live = LiveBoard(simulated(100))
    study = live.study()
    for cell in simulated(900, seed=2)[200:]:
        live.add([cell | {"voter": "another " + cell["vote_id"]}])
    assert (
        len(study.votes) == 100
        and len(study.votes.voter.names) <= 40
        and "another v000300" not in study.votes.voter.names
    )
    assert study.board.source.counted == 100 and live.board().source.counted == 800


def test_measures_of_images_come_along():
    rows = [cell | {"brightness_a": 0.1, "brightness_b": number / 40} for number, cell in enumerate(simulated(40))]
    live = LiveBoard(rows[:20])
    live.add(rows[20:])
    assert np.allclose(live.study().votes.covariates["brightness"], votes_from_rows(rows).covariates["brightness"])
    assert LiveBoard(simulated(40)).study().votes.covariates == {}


# -- real voters --------------------------------------------------------------------------------------------------


def real_rows():
    if not CROWD.is_file():
        pytest.skip("the crowd comparisons of llmfao are not beside this checkout (shared/data/llmfao)")
    words = {"left": "model_a", "right": "model_b", "tie": "tie"}
    with open(CROWD, encoding="utf-8") as file:
        return [row(cell["left"], cell["right"], words[cell["winner"]], prompt_id=cell["prompt"], voter=cell["worker"])
                for cell in csv.DictReader(file)]  # fmt: skip


def test_real_votes_are_rated_as_evalica_rates_them():
    import evalica
    import numpy as np

    rows = real_rows()
    winners = {"model_a": evalica.Winner.X, "model_b": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    board = build(votes_from_rows(rows))
    first, second = [cell["model_a"] for cell in rows], [cell["model_b"] for cell in rows]
    outcomes = [winners[cell["winner"]] for cell in rows]
    theirs = evalica.bradley_terry(first, second, outcomes, tolerance=1e-13, limit=100_000)
    assert board.source.counted == len(rows) == 8931 and all(line.rating is not None for line in board.standings)
    difference = [line.rating - 400 * np.log10(theirs.scores[line.model]) for line in board.standings]
    assert np.ptp(difference) < 1e-4


def test_real_votes_in_halves_agree_within_their_intervals():
    rows = real_rows()
    random.Random(0).shuffle(rows)
    first, second = (build(votes_from_rows(half)) for half in (rows[::2], rows[1::2]))
    other = {line.model: line for line in second.standings}
    apart = [line for line in first.standings if line.rating_lower > other[line.model].rating_upper
             or line.rating_upper < other[line.model].rating_lower]  # fmt: skip
    assert len(apart) <= 0.05 * len(first.standings)
