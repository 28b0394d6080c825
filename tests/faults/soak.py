"""The fault suite at length: every pair of an end of the app and a fault of the Hub, then more drawn from the seed.

    SOAK_MINUTES=30 SOAK_SEED=7 python -m tests.faults.soak      # or: make soak

Prints a line a scenario as it ends, then a table of counts; the exit status is 1 if any of them failed. What a
failed scenario left behind is kept, in a folder that is named. `--only TEXT` plays those whose name holds it.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from tests.faults.apps import Apps, prepare
from tests.faults.scenarios import ENDS, FAULTS, Scenario, play, scenarios

COLUMNS = ("acknowledged", "withdrawn", "feedback", "in the dataset", "commits", "lost", "twice")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=3, help="scenarios that are played side by side")
    options = parser.parse_args()
    minutes, seed = float(os.environ.get("SOAK_MINUTES", "30")), int(os.environ.get("SOAK_SEED", "1"))
    logging.disable(logging.WARNING)
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    folder = Path(tempfile.mkdtemp(prefix="image-arena-soak-"))
    print(f"seed {seed}, {minutes:g} minutes at most, {len(ENDS)} ends x {len(FAULTS)} faults")
    apps = Apps(prepare(folder / "prepared"))
    totals: dict[str, Counter] = defaultdict(Counter)
    failed, begun = [], time.monotonic()

    def one(numbered: tuple[int, Scenario]) -> None:
        k, scenario = numbered
        started, place, result = time.monotonic(), folder / str(k), "ok"
        if started - begun > 60 * minutes:
            return
        try:
            counts = Counter(play(scenario, apps, place), played=1)
            shutil.rmtree(place)
        except Exception as error:
            counts, result = Counter(played=1, failed=1), f"FAILED, see {place}: {error}"
            failed.append(scenario)
            (place / "traceback").write_text(traceback.format_exc())
        totals[scenario.end] += counts
        print(f"{k:4} {time.monotonic() - started:5.1f} s  {scenario}: {result}", flush=True)

    chosen = enumerate((s for s in scenarios(seed) if options.only in str(s)), 1)
    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            while time.monotonic() - begun < 60 * minutes:
                more = list(islice(chosen, len(ENDS) if options.count is None else options.count))
                list(pool.map(one, more))
                if options.count is not None:
                    break
    finally:
        apps.close()
    print(f"\n{'end of the app':28}{'played':>8}{'failed':>8}" + "".join(f"{name:>16}" for name in COLUMNS))
    for end, row in [*totals.items(), ("all", sum(totals.values(), Counter()))]:
        print(f"{end:28}{row['played']:8}{row['failed']:8}" + "".join(f"{row[name]:16}" for name in COLUMNS))
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes; failed: {', '.join(map(str, failed)) or 'none'}")
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
