"""Every end and every fault of the fault suite once, as real processes; `make soak` plays all pairs (see soak.py)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from tests.faults.scenarios import ENDS, FAULTS, Scenario, play, scenarios

SEED = 5
# Every end of the app and every fault of the Hub once.
SELECTION = list(islice(scenarios(SEED), max(len(ENDS), len(FAULTS))))
AT_ONCE = 5  # played side by side, as most of the time is waiting


@pytest.mark.slow
@pytest.mark.timeout(550)
def test_nothing_is_lost_or_doubled_and_everything_loads(every_app, tmp_path):
    said: list[int] = []

    def one(numbered: tuple[int, Scenario]) -> str:
        k, scenario = numbered
        try:
            counts = play(scenario, every_app, tmp_path / str(k))
        except Exception as error:
            return f"{scenario}: {type(error).__name__}: {error}"
        said.append(counts["feedback"])
        return "" if counts["acknowledged"] and counts["commits"] else f"{scenario}: nothing was tried, {counts}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failed = [said for said in pool.map(one, enumerate(SELECTION)) if said]
    assert not failed, "\n".join(failed)
    assert sum(said), "nobody gave feedback"


def test_the_combinations_are_drawn_from_the_seed_and_are_complete():
    drawn = scenarios(SEED)
    first = [next(drawn) for _ in range(len(ENDS) * len(FAULTS))]
    assert len({(s.end, s.fault) for s in first}) == len(ENDS) * len(FAULTS) >= 50
    again = scenarios(SEED)
    assert first == [next(again) for _ in first]
    assert {s.end for s in SELECTION} == set(ENDS) and {s.fault for s in SELECTION} == set(FAULTS)
