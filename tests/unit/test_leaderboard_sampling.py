"""Sampling: weights by hand and by scikit-learn, coverage where the model is wrong, what is refused, and when it is read."""

import csv
import io
import json
import math
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from leaderboard import errors
from leaderboard.board import build
from leaderboard.commands import main
from leaderboard.live import LiveBoard
from leaderboard.parquet import Shards
from leaderboard.ratings import SCALE, fit
from leaderboard.sampling import MOST, drawn, moved, sampled, weighed
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.tally import Pairs
from leaderboard.votes import from_arrow, read_votes, votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

# -- by hand ------------------------------------------------------------------------------------------------------


def test_weights_are_one_over_the_probability_with_the_mean_one():
    """1/p is 2, 2, 4, 4 with the mean 3; (sum of w)^2 / sum of w^2 = 16 / (40 / 9)."""
    rows = [row("x", "y", "model_a", pair_probability=p) for p in (0.5, 0.5, 0.25, 0.25)]
    found = drawn(votes_from_rows(rows))
    assert found.weight == pytest.approx([2 / 3, 2 / 3, 4 / 3, 4 / 3])
    assert found.effective == pytest.approx(3.6)
    assert (found.known, found.lowest, found.highest, found.clipped, found.alike) == (4, 0.25, 0.5, 0, True)


def test_three_wins_of_likely_pairs_are_as_much_as_one_loss_of_an_unlikely_one():
    """x won three battles of p = 1/2 and lost one of p = 1/6: 3 x 2 against 1 x 6."""
    rows = [*battles("x", "y", wins=3, pair_probability=1 / 2), row("x", "y", "model_b", pair_probability=1 / 6)]
    votes = votes_from_rows(rows)
    served, found = (build(votes, sampling=sampling).standings for sampling in ("as-served", "reweighted"))
    assert served[0].rating - served[1].rating == pytest.approx(400 * math.log10(3))
    assert [line.rating for line in found] == pytest.approx([1000, 1000])
    assert [line.win_rate for line in found] == pytest.approx([0.5, 0.5])
    x = next(line for line in found if line.model == "x")
    assert (x.votes, x.wins, x.losses) == (4, 3, 1), "what is counted stays a count"


def test_a_rare_pair_weighs_at_most_ten_times_the_mean_and_a_vote_without_a_probability_weighs_one():
    rows = [*battles("x", "y", wins=98, pair_probability=0.5), row("x", "y", "model_b", pair_probability=1e-6),
            row("x", "y", "model_b", pair_probability=None)]  # fmt: skip
    found = drawn(votes_from_rows(rows))
    assert found.clipped == 1 and found.known == 99 and found.weight[99] == 1.0
    assert found.weight[:99].mean() == pytest.approx(1.0)
    mean = (98 * 2 + 1e6) / 99  # the clipped vote stands at MOST where the others stand at 2 / mean
    assert found.weight[98] / found.weight[0] == pytest.approx(MOST * mean / 2)
    notes = SHEETS["sampling"](Study(votes_from_rows(rows))).notes
    assert any("1 vote has no pair_probability" in note for note in notes)
    assert any("clipped at 10 times the mean: 1 vote (1.0%)" in note for note in notes)


def test_where_pairs_are_drawn_alike_both_boards_are_one():
    votes = votes_from_rows([vote | {"pair_probability": 1 / 15} for vote in simulated()])
    found = sampled(votes)
    assert found.served.rows == found.reweighted.rows and moved(found) == ({}, [])
    assert all(change.points == 0.0 and change.p == 1.0 for change in found.changes.values())
    sheet = SHEETS["sampling"](Study(votes))
    assert sheet.rows[0]["effective"] == sheet.rows[0]["votes"] and "drawn alike" in sheet.notes[0]


# -- a peer -------------------------------------------------------------------------------------------------------


def uneven(votes=4000, models=5, twist=0.0, seed=1, draws=0.0, even=False):
    """(rows of votes whose pairs were drawn with unlike probabilities, the ratings [K] in log odds that all pairs alike
    would give); `twist` is how far pairs stray from Bradley-Terry."""
    world, rng = np.random.default_rng(5), np.random.default_rng(seed)
    noise = np.triu(world.normal(0, 1, (models, models)), 1)
    strength = np.linspace(-0.6, 0.6, models)
    share = 1 / (1 + np.exp(strength[None] - strength[:, None] - twist * (noise - noise.T)))
    one, other = np.triu_indices(models, 1)
    chance = world.dirichlet(np.full(len(one), 0.7)) * 0.75 + 0.25 / len(one)
    chance = np.full(len(one), 1 / len(one)) if even else chance
    pair = rng.choice(len(one), votes, p=chance)
    turned, drawn_ = rng.random(votes) < 0.5, rng.random(votes) < draws
    a, b = np.where(turned, other[pair], one[pair]), np.where(turned, one[pair], other[pair])
    won = rng.random(votes) < share[a, b]
    names = [f"m{at}" for at in range(models)]
    rows = [row(names[i], names[j], "both_good" if d else "model_a" if w else "model_b", pair_probability=p, vote_id=f"v{at}")
            for at, (i, j, w, d, p) in enumerate(zip(a.tolist(), b.tolist(), won.tolist(), drawn_.tolist(),
                                                     chance[pair].tolist(), strict=True))]  # fmt: skip
    none = np.zeros_like(share)
    return rows, fit(Pairs(share * (1 - np.eye(models)), none, none))


def test_ratings_are_those_of_scikit_learns_weighted_regression():
    """A draw is half a vote for each side."""
    rows, _ = uneven(draws=0.2, twist=0.6)
    votes = votes_from_rows(rows)
    place = {model: at for at, model in enumerate(votes.models)}
    weight = 1.0 / np.array([vote["pair_probability"] for vote in rows])
    design = np.zeros((len(rows), len(place)))
    design[np.arange(len(rows)), [place[vote["model_a"]] for vote in rows]] = 1.0
    design[np.arange(len(rows)), [place[vote["model_b"]] for vote in rows]] = -1.0
    score = np.array([{"model_a": 1.0, "model_b": 0.0}.get(vote["winner"], 0.5) for vote in rows])
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000)
    regression.fit(np.vstack([design, design]), np.repeat([1, 0], len(votes)),
                   np.concatenate([weight * score, weight * (1 - score)]))  # fmt: skip
    expected = SCALE * (regression.coef_[0] - regression.coef_[0].mean())
    found = {line.model: line.rating for line in build(votes, sampling="reweighted").standings}
    rating = np.array([found[model] for model in votes.models])
    assert rating - rating.mean() == pytest.approx(expected, abs=0.05)
    plain = {line.model: line.rating for line in build(votes).standings}
    assert max(abs(plain[model] - found[model]) for model in found) > 10


def test_intervals_are_the_sandwich_of_the_weighted_scores():
    """By matrices: B (sum of w^2 r^2 x x') B with B the inverse of the sum of w p (1 - p) x x'."""
    rows, _ = uneven(votes=1500, models=4, twist=0.5)
    votes = votes_from_rows(rows)
    board = {line.model: line for line in build(votes, sampling="reweighted").standings}
    weight = drawn(votes).weight
    design = np.zeros((len(votes), 4))
    design[np.arange(len(votes)), votes.model_a], design[np.arange(len(votes)), votes.model_b] = 1.0, -1.0
    strength = np.array([board[model].rating for model in votes.models]) / SCALE
    expected = 1 / (1 + np.exp(-design @ strength))
    score = np.array([1.0, 0.0, 0.5, 0.5])[votes.winner]
    bread = np.linalg.pinv((design * (weight * expected * (1 - expected))[:, None]).T @ design)
    moved_by = (design * (weight * (score - expected))[:, None]) @ bread
    anchor = np.array([board[model].votes for model in votes.models], float)
    moved_by = moved_by - (moved_by @ anchor / anchor.sum())[:, None]
    half = 1.959964 * SCALE * np.sqrt((moved_by**2).sum(axis=0))
    for at, model in enumerate(votes.models):
        assert board[model].rating_upper - board[model].rating == pytest.approx(half[at], rel=1e-3)


# -- what it is for -----------------------------------------------------------------------------------------------


def held(sampling, runs=100):
    """(per model: the share of runs whose interval holds the ratings of pairs drawn alike, the mean error)."""
    found, error = [], []
    for run in range(runs):
        rows, target = uneven(votes=1500, twist=0.9, seed=[20, run])
        lines = sorted(build(votes_from_rows(rows), sampling=sampling).standings, key=lambda line: line.model)
        size = np.array([line.votes for line in lines], float)
        truth = 1000 + SCALE * (target - target @ size / size.sum())
        found.append(
            [line.rating_lower <= value <= line.rating_upper for line, value in zip(lines, truth, strict=True)]
        )
        error.append([line.rating - value for line, value in zip(lines, truth, strict=True)])
    return np.mean(found, axis=0), np.mean(error, axis=0)


def test_where_some_models_suit_others_ill_only_the_weighted_intervals_hold_what_pairs_drawn_alike_would_give():
    covered, error = held("reweighted")
    assert covered.mean() > 0.92 and covered.min() > 0.87 and np.abs(error).max() < 4
    covered, error = held("as-served")
    assert covered.min() < 0.4 and np.abs(error).max() > 20


def test_where_the_model_holds_a_change_is_seldom_called_more_than_chance():
    runs = 100
    seen = [bool(moved(sampled(votes_from_rows(uneven(votes=800, seed=[30, run])[0])))[1]) for run in range(runs)]
    assert np.mean(seen) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_change_is_as_uncertain_as_its_interval_says():
    """The deviation between runs is what the intervals of the changes say."""
    points, width = [], []
    for run in range(100):
        found = sampled(votes_from_rows(uneven(votes=800, twist=0.6, seed=[40, run])[0]))
        points.append([found.changes[model].points for model in sorted(found.changes)])
        width.append([found.changes[model].upper - found.changes[model].lower for model in sorted(found.changes)])
    deviation = np.std(points, axis=0, ddof=1)
    assert np.mean(width, axis=0) / (2 * 1.96) == pytest.approx(deviation, rel=0.25)


def test_votes_on_few_prompts_are_taken_together_in_a_change_too():
    """Every vote once more, on the same prompt and by the same voter, is no news."""
    rows, _ = uneven(votes=1000, twist=0.4)
    rows = [vote | {"prompt_id": f"p{at}"} for at, vote in enumerate(rows)]
    twice = rows + [vote | {"vote_id": vote["vote_id"] + "-again"} for vote in rows]
    one, other = sampled(votes_from_rows(rows)).changes, sampled(votes_from_rows(twice)).changes
    for model, change in one.items():
        assert other[model].points == pytest.approx(change.points, abs=1e-6)
        assert other[model].upper - other[model].lower == pytest.approx(change.upper - change.lower, rel=0.02)
    voters = [vote | {"voter": f"u{at}"} for at, vote in enumerate(rows)]
    both = sampled(votes_from_rows(voters + [v | {"vote_id": v["vote_id"] + "-again"} for v in voters])).changes
    assert both["m0"].upper - both["m0"].lower == pytest.approx(one["m0"].upper - one["m0"].lower, rel=0.02)


def test_a_newcomer_whose_votes_weigh_much_gets_no_narrower_interval_than_they_are_worth():
    """Twelve votes that weigh five times the others are twelve votes, not sixty."""
    plain = simulated(votes=600, models=4, draws=0.0)
    new = battles("new", "m1", wins=6, losses=6)
    heavy = [vote | {"pair_probability": 0.5} for vote in plain] + [vote | {"pair_probability": 0.1} for vote in new]
    width = []
    for rows, sampling in ((plain + new, "as-served"), (heavy, "reweighted")):
        line = next(line for line in build(votes_from_rows(rows), sampling=sampling, clusters="none").standings
                    if line.model == "new")  # fmt: skip
        width.append(line.rating_upper - line.rating_lower)
    assert width[1] == pytest.approx(width[0], rel=0.15)
    unbeaten = [vote | {"winner": "model_a"} for vote in new]
    bounds = []
    for rows, sampling in ((plain + unbeaten, "as-served"),
                           (heavy[: len(plain)] + [v | {"pair_probability": 0.1} for v in unbeaten], "reweighted")):  # fmt: skip
        notes = build(votes_from_rows(rows), sampling=sampling).notes
        bounds.append(next(int(note.split("at least ")[1].split(")")[0]) for note in notes if "at least" in note))
    assert bounds[1] == pytest.approx(bounds[0], abs=10)


# -- notes --------------------------------------------------------------------------------------------------------


def about(board):
    return [note for note in board.notes if "pair_probability" in note]


def test_the_board_says_that_pairs_were_not_drawn_alike_and_what_the_weights_would_change():
    rows, _ = uneven(twist=0.6)
    (note,) = about(build(votes_from_rows(rows)))
    assert "not drawn alike" in note and "more than chance explains" in note and "rank" in note
    rows, _ = uneven(votes=800)
    (note,) = about(build(votes_from_rows(rows)))
    assert "no rating moves by more than chance explains" in note
    (note,) = about(build(votes_from_rows(rows), sampling="reweighted"))
    assert "Every vote weighs 1 / pair_probability" in note and "of equal weight" in note


def test_draws_alike_from_what_was_left_to_show_are_no_uneven_draws():
    rows = [vote | {"pair_probability": 1 / (1 + at % 7)} for at, vote in enumerate(simulated(votes=300))]
    study = Study(votes_from_rows(rows))
    assert not about(study.board)
    assert any("1 / a whole number" in note for note in SHEETS["sampling"](study).notes)


# -- what is refused, and when it is read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ([0.5, 0.0, -0.1, 1.5], "3 rows hold"),
        ([0.5, float("nan"), None, 1.0], "1 row holds"),
        (["0.5", "nan", "", "1"], "1 row holds"),
        (["0.5", "often", "1", "1"], "1 row holds a value that is no number: 'often'"),
    ],
)
def test_what_is_no_probability_is_refused_aloud_where_it_is_needed(cells, shown, tmp_path):
    rows = [
        row("x", "y", winner, pair_probability=cell)
        for winner, cell in zip(("model_a", "model_b") * 2, cells, strict=True)
    ]
    table = pa.table(
        {name: [vote[name] for vote in rows] for name in ("model_a", "model_b", "winner", "pair_probability")}
    )
    pq.write_table(table, tmp_path / "votes.parquet")
    for votes in (votes_from_rows(rows), from_arrow(table), read_votes(tmp_path / "votes.parquet")):
        assert [line.model for line in build(votes).standings] == ["x", "y"], "as served, nothing depends on it"
        assert any("How pairs were drawn is not known" in note and shown in note for note in build(votes).notes)
        for ask in (lambda v: build(v, sampling="reweighted"), lambda v: SHEETS["sampling"](Study(v))):
            with pytest.raises(errors.BadNumber, match=f"pair_probability: {shown}"):
                ask(votes)


def test_a_parquet_file_is_read_for_it_only_where_it_is_asked_for(tmp_path, monkeypatch):
    rows, _ = uneven(votes=500)
    names = ("model_a", "model_b", "winner", "vote_id", "pair_probability")
    table = pa.table({name: [vote[name] for vote in rows] for name in names})
    folder = tmp_path / "data" / "votes"
    folder.mkdir(parents=True)
    pq.write_table(table[:200], folder / "a.parquet")
    pq.write_table(table[200:], folder / "b.parquet")
    read, columns = [], Shards.columns
    monkeypatch.setattr(Shards, "columns", lambda self, wanted: read.append(set(wanted)) or columns(self, wanted))
    votes = read_votes(tmp_path)
    board = build(votes)
    assert board.standings and board.pairs and not any("pair_probability" in wanted for wanted in read)
    assert (
        build(votes, sampling="reweighted").standings == build(votes_from_rows(rows), sampling="reweighted").standings
    )
    assert read[-1] == {"pair_probability"} and len(read) == 2, "once"
    pq.write_table(table[200:300], folder / "b.parquet")
    later = read_votes(tmp_path)
    pq.write_table(table[200:], folder / "b.parquet")
    with pytest.raises(errors.Unreadable):
        later.pair_probability()


def test_probabilities_stay_with_their_votes():
    """Through the order of time, exclusions, left-out votes, groups and parts."""
    rows = [row("x", "y", "model_a", vote_id=f"v{at}", created_at=100 - at, category="ab"[at % 2],
                pair_probability=(at + 1) / 10, mode="named" if at == 3 else "anonymous") for at in range(8)]  # fmt: skip
    votes = votes_from_rows(rows, [{"vote_id": "v5", "reason": "withdrawn"}])
    expected = [0.8, 0.7, 0.5, 0.3, 0.2, 0.1]
    assert votes.pair_probability() == pytest.approx(expected)
    assert votes.where(slice(1, 3)).pair_probability() == pytest.approx(expected[1:3])
    for part, wanted in zip(votes.split(votes.category.codes, 2), ([0.7, 0.5, 0.3, 0.1], [0.8, 0.2]), strict=True):
        assert part.pair_probability() == pytest.approx(wanted)


# -- from the command line and in the arena -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rows, _ = uneven(votes=1200, twist=0.6, draws=0.1)
    path = tmp_path_factory.mktemp("votes") / "votes.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path, rows


def test_command_line(source, capsys):
    path, rows = source
    assert main([str(path), "--sampling", "reweighted", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = build(votes_from_rows(rows), sampling="reweighted").to_json()
    assert found["standings"] == expected["standings"] and found["pairs"] == expected["pairs"]
    assert main([str(path), "--sampling", "reweighted", "--format", "csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(line["rating"]) for line in lines] == [line["rating"] for line in expected["standings"]]
    assert main([str(path), "--show", "sampling", "--format", "json"]) == 0
    sheet = json.loads(capsys.readouterr().out)["sheets"]["sampling"]
    reweighted = {line["model"]: line for line in expected["standings"]}
    for line in sheet["rows"]:
        assert line["reweighted"] == reweighted[line["model"]]["rating"]
        assert line["reweighted_win_rate"] == reweighted[line["model"]]["win_rate"]
        assert line["change"] == pytest.approx(line["reweighted"] - line["rating"], abs=1e-5)
        assert line["change_lower"] <= line["change"] <= line["change_upper"] and line["effective"] <= line["votes"]
    assert main([str(path), "--show", "sampling", "--format", "csv"]) == 0
    assert "reweighted_rank" in capsys.readouterr().out.splitlines()[0]
    assert main([str(path), "--show", "all", "--sampling", "reweighted"]) == 0, "every sheet of weighted votes"
    assert "Every vote weighs 1" not in capsys.readouterr().err


def test_what_can_not_be_had_is_one_clear_line(source, tmp_path, capsys):
    path, rows = source
    bare = tmp_path / "bare.csv"
    bare.write_text("model_a,model_b,winner\nx,y,model_a\ny,x,model_a\n", encoding="utf-8")
    for arguments, words in (
        ([str(bare)], "no vote has a pair_probability"),
        ([str(path), "--method", "elo"], "knows no weights"),
    ):
        assert main([*arguments, "--sampling", "reweighted"]) == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1
    assert main([str(bare), "--show", "sampling"]) == 0
    assert "No vote has a pair_probability" in capsys.readouterr().out
    with pytest.raises(errors.UnknownChoice, match="known are as-served, reweighted"):
        weighed(votes_from_rows(rows), "uniform")
    assert build(votes_from_rows([]), sampling="reweighted").standings == ()


def test_a_ledger_and_a_live_board_say_what_a_file_says(source, tmp_path):
    path, rows = source
    ledger = sqlite3.connect(tmp_path / "ledger.sqlite")
    ledger.execute("CREATE TABLE votes (model_a, model_b, winner, vote_id, mode, pair_probability REAL)")
    ledger.executemany(
        "INSERT INTO votes VALUES (:model_a, :model_b, :winner, :vote_id, :mode, :pair_probability)", rows
    )
    ledger.commit()
    ledger.close()
    live = LiveBoard(rows[:500], sampling="reweighted")
    live.board()
    live.add(rows[500:])
    expected = SHEETS["sampling"](Study(read_votes(path)))
    for study in (Study(read_votes(tmp_path / "ledger.sqlite")), live.study(), LiveBoard.read(path).study()):
        assert SHEETS["sampling"](study) == expected
    assert live.board().standings == build(read_votes(path), sampling="reweighted").standings
    with pytest.raises(errors.BadNumber):
        live.add([row("x", "y", "model_a", vote_id="new", pair_probability=2.0)])
    live.add([row("m0", "m1", "model_a", vote_id="new")])
    assert live.study().sampled.drawn.known == len(rows), "one vote came without"
