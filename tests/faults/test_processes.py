"""A few combinations of the fault suite, as real processes; `make soak` plays all of them (see soak.py)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.scenarios import ENDS, FAULTS, Scenario, play, scenarios

SELECTION = [
    Scenario("crash: landed", "reset after the commit", 14),
    Scenario("disk full", "429, retry after 1 s", 16),
    Scenario("two processes", "hang, then done", 17),
    Scenario("restart with overlap", ".gitignore", 19),
]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_or_doubled_and_everything_loads(every_app, tmp_path):
    """Side by side, as most of the time is waiting."""

    said: list[int] = []

    def one(numbered: tuple[int, Scenario]) -> str:
        k, scenario = numbered
        try:
            counts = play(scenario, every_app, tmp_path / str(k))
        except Exception as error:
            return f"{scenario}: {type(error).__name__}: {error}"
        said.append(counts["feedback"])
        return "" if counts["acknowledged"] and counts["commits"] else f"{scenario}: nothing was tried, {counts}"

    with ThreadPoolExecutor(len(SELECTION)) as pool:
        failed = [said for said in pool.map(one, enumerate(SELECTION)) if said]
    assert not failed, "\n".join(failed)
    assert sum(said), "nobody gave feedback"


def test_the_combinations_are_drawn_from_the_seed_and_are_complete():
    drawn = scenarios(5)
    first = [next(drawn) for _ in range(len(ENDS) * len(FAULTS))]
    assert len({(s.end, s.fault) for s in first}) == len(ENDS) * len(FAULTS) >= 50
    again = scenarios(5)
    assert first == [next(again) for _ in first]
    assert len({s.fault for s in first[: len(FAULTS)]}) == len(FAULTS)
