"""Simplified against complex prompts: known differences are found, absent ones are not, by a test that keeps its level."""

import math

import numpy as np
import pytest

from leaderboard.complexity import complexity
from leaderboard.sheets.honesty import complexity as sheet
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated


def crowd(rng, votes=400, models=4, reverse=0.0, prompts=100, luck=0.3, bad=(0.1, 0.1)):
    """Simulated votes on banked prompts that favour some models; `reverse` turns the order round on complex ones."""
    strength = np.linspace(-0.6, 0.6, models)
    strength = [strength, strength * (1 - 2 * reverse)]
    favour = rng.normal(0, luck, (prompts, models))
    rows = []
    for _ in range(votes):
        prompt = int(rng.integers(prompts))
        kind = prompt % 2
        a, b = rng.choice(models, 2, replace=False)
        gap = strength[kind][a] - strength[kind][b] + favour[prompt, a] - favour[prompt, b]
        winner = "model_a" if rng.random() < 1 / (1 + math.exp(-gap)) else "model_b"
        winner = "both_bad" if rng.random() < bad[kind] else winner
        rows.append(row(f"m{a}", f"m{b}", winner, complexity=("simplified", "complex")[kind], prompt_id=f"p{prompt}"))
    return votes_from_rows(rows)


def test_two_models_differ_by_their_odds():
    rows = battles("x", "y", 60, 30, complexity="simplified") + battles("x", "y", 45, 45, complexity="complex")
    found = complexity(votes_from_rows(rows))
    assert found.votes == (90, 90) and [part.model for part in found.models] == ["x", "y"]
    x, y = found.models
    assert x.simple - y.simple == pytest.approx(400 * math.log10(2)) and x.detailed == pytest.approx(y.detailed)
    assert x.difference == pytest.approx(-200 * math.log10(2)) and y.difference == pytest.approx(-x.difference)
    assert x.upper - x.difference == pytest.approx(x.difference - x.lower)
    error = 200 / math.log(10) * math.sqrt(1 / 20 + 4 / 90)  # half a difference of log odds
    assert x.difference - x.lower == pytest.approx(1.959964 * error, rel=1e-6)


def test_an_order_that_turns_round_is_found():
    found = complexity(crowd(np.random.default_rng(1), 1500, reverse=1.0, bad=(0.05, 0.25)))
    verdict = {part.model: part.verdict for part in found.models}
    assert verdict["m0"] == "better with complex prompts" and verdict["m3"] == "better with simplified prompts"
    assert found.correlation == pytest.approx(-1.0) and found.p < 0.001
    assert found.both_bad[1] > 0.2 > 0.1 > found.both_bad[0] and found.both_bad_p < 0.001


def test_where_nothing_differs_hardly_any_board_shows_a_difference():
    """At most 5% of boards should; 60 boards with prompts' luck, of which 7 or more would come in 3% of runs."""
    rng = np.random.default_rng(2)
    boards = [complexity(crowd(rng, 300)) for _ in range(60)]
    assert sum(board.p < 0.05 for board in boards) <= 6
    assert sum(board.both_bad_p < 0.05 for board in boards) <= 7
    covered = np.mean([part.lower <= 0 <= part.upper for board in boards for part in board.models])
    assert covered >= 0.92


def test_a_newcomer_on_one_kind_of_prompts_moves_nobody():
    rows = simulated(900, models=4)
    before = complexity(votes_from_rows(rows))
    after = complexity(votes_from_rows([*rows, *battles("new", "m0", 8, 4, complexity="complex")]))
    assert [part.model for part in after.models] == [part.model for part in before.models]
    for old, new in zip(before.models, after.models, strict=True):
        assert new.simple == pytest.approx(old.simple, abs=1.0) and new.detailed == pytest.approx(old.detailed, abs=1.0)


def test_what_can_not_be_compared_is_said():
    assert complexity(votes_from_rows(battles("x", "y", 5, 5))) is None
    assert complexity(votes_from_rows(battles("x", "y", 5, 5, complexity="complex"))) is None
    assert "not on both kinds" in sheet(Study(votes_from_rows(battles("x", "y", 5, 5)))).notes[0]
    few = battles("x", "y", 5, 5, complexity="complex") + battles("x", "y", 5, 5, complexity="simplified")
    found = complexity(votes_from_rows(few))
    assert found.models == () and found.p is None and found.correlation is None and found.both_bad_p == 1.0
    assert "Fewer than two models" in " ".join(sheet(Study(votes_from_rows(few))).notes)


def test_the_sheet_is_for_reading():
    shown = sheet(Study(crowd(np.random.default_rng(1), 1500, reverse=1.0, bad=(0.05, 0.25))))
    text = shown.to_text()
    for words in ("better with complex prompts", "models differ between the two", "rank correlation (Spearman) is -1.00",
                  "more often on complex ones (p < 0.001)"):  # fmt: skip
        assert words in text
    assert shown.to_csv().count("\n") == 1 + len(shown.rows) == 5
