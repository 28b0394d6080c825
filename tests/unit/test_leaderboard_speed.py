"""Quality against cost: medians on one hardware, honest intervals of them, and who is outdone by nobody."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.pictures import Picture, Pictures
from leaderboard.sheets.speed import speed as sheet
from leaderboard.speed import median, pareto
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, simulated


@dataclass
class Shelf:
    pictures: list

    def all(self):
        return self.pictures


def shelf(*rows):
    """(model, seconds, hardware, how many) as Pictures."""
    return Pictures(lambda: Shelf([Picture(f"{at}-{number}", model, seconds=seconds, hardware=hardware)
                           for at, (model, seconds, hardware, count) in enumerate(rows) for number in range(count)]))  # fmt: skip


def study(pictures=None, models=None):
    return Study(votes_from_rows(simulated(votes=600, models=3)), pictures=pictures, models=models)


def test_seconds_are_those_of_the_hardware_with_most_images():
    pictures = shelf(("m0", 1.0, "H200", 9), ("m0", 3.0, "H200", 9), ("m1", 0.5, "T4", 12), ("m1", 0.2, "H200", 3),
                     ("m2", 8.0, "T4", 2), ("gone", 0.1, "cpu", 500), ("m2", None, "T4", 4), ("m2", 1.0, "", 1))  # fmt: skip
    found = study(pictures).speed
    rows = {row.model: row for row in found.rows}
    assert found.hardware == "H200" and found.others == {"T4": 14} and found.untimed == 5
    assert (rows["m0"].seconds, rows["m0"].seconds_lower, rows["m0"].seconds_upper, rows["m0"].images) == (2, 1, 3, 18)
    assert (rows["m1"].seconds, rows["m1"].seconds_lower) == (0.2, None), "too few for an interval"
    assert rows["m2"].seconds is None and rows["m2"].images == 0 and rows["m2"].pareto_seconds is None


def test_the_best_for_its_cost():
    rows = {row.model: row for row in study(
        shelf(("m0", 1.0, "cpu", 6), ("m1", 5.0, "cpu", 6), ("m2", 3.0, "cpu", 6)),
        {"m0": {"memory_gb": 4, "parameters_b": 1.0}, "m1": {"memory_gb": 3.5}, "m2": {"memory_gb": float("nan")}},
    ).speed.rows}  # fmt: skip
    assert rows["m2"].rating > rows["m1"].rating > rows["m0"].rating
    assert [rows[name].pareto_seconds for name in ("m0", "m1", "m2")] == [True, False, True]
    assert [rows[name].pareto_memory for name in ("m0", "m1", "m2")] == [False, True, None]
    assert (rows["m0"].parameters_b, rows["m1"].parameters_b, rows["m2"].memory_gb) == (1.0, None, None)


@given(st.lists(st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(1, 5)), max_size=12))
def test_pareto_by_definition(points):
    flags = pareto(points)
    assert len(flags) == len(points)
    for (rating, cost), flag in zip(points, flags, strict=True):
        if rating is None or cost is None:
            assert flag is None
            continue
        outdone = any(r is not None and c is not None and r >= rating and c <= cost and (r, c) != (rating, cost)
                      for r, c in points)  # fmt: skip
        assert flag == (not outdone)
    known = [point for point in points if None not in point]
    assert any(flags) == bool(known), "the best rated of the cheapest is never outdone"


def test_the_medians_interval_by_the_table():
    """Order statistics for the median from Conover's and others' tables: n = 6: 1st and 6th, 10: 2 and 9, 20: 6 and 15,
    100: 40 and 61."""
    for count, first in ((6, 1), (10, 2), (20, 6), (100, 40)):
        assert median(range(1, count + 1)) == ((count + 1) / 2, first, count + 1 - first)
    assert median([3.0]) == (3.0, None, None) and median([]) == (None, None, None)
    middle, lower, upper = median(range(1, 10_001))
    assert 4_901 <= lower <= 4_903 and 5_098 <= upper <= 5_100 and middle == 5000.5


@pytest.mark.parametrize("count", [8, 41, 1500])
def test_the_medians_interval_covers(count):
    rng = np.random.default_rng(count)
    held = 0
    for _ in range(400):
        _, lower, upper = median(rng.lognormal(size=count).tolist())
        held += lower <= 1.0 <= upper
    assert held >= 0.93 * 400


def test_the_sheet_lists_everybody_and_says_what_is_missing():
    table = sheet(study())
    assert [row["model"] for row in table.rows] == ["m2", "m1", "m0"]
    assert {column.key for column in table.columns} == set(table.rows[0])
    assert table.notes == ("No image says how long it took, so there are no seconds.",)
    table.to_json()
    pictures = shelf(("m0", 1.0, "H200", 9), ("m1", 0.5, "T4", 3), ("m1", None, "T4", 1))
    notes = sheet(study(pictures)).notes
    assert notes == ("Images made on other hardware do not count here: T4 3.",
                     "1 image does not say how long it took, or where.")  # fmt: skip
    assert sheet(Study(votes_from_rows([]))).rows == ()
    unrated = Study(votes_from_rows(battles("x", "y", wins=3)), pictures=shelf(("x", 1.0, "cpu", 6)))
    assert all(row["pareto_seconds"] is None for row in sheet(unrated).rows)
