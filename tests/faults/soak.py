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
from itertools import islice
from pathlib import Path

from tests.faults.apps import Apps, prepare
from tests.faults.scenarios import ENDS, FAULTS, Play, scenarios
from tests.hub.local_hub import LocalHub

COLUMNS = ("acknowledged", "withdrawn", "in the dataset", "commits", "lost", "twice")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--count", type=int, default=None)
    options = parser.parse_args()
    minutes, seed = float(os.environ.get("SOAK_MINUTES", "30")), int(os.environ.get("SOAK_SEED", "1"))
    logging.disable(logging.WARNING)
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    folder = Path(tempfile.mkdtemp(prefix="image-arena-soak-"))
    print(f"seed {seed}, {minutes:g} minutes at most, {len(ENDS)} ends x {len(FAULTS)} faults")
    apps = Apps(prepare(folder / "prepared"))
    totals: dict[str, Counter] = defaultdict(Counter)
    failed, begun = [], time.monotonic()
    try:
        chosen = (s for s in scenarios(seed) if options.only in str(s))
        for k, scenario in enumerate(islice(chosen, options.count), 1):
            if time.monotonic() - begun > 60 * minutes:
                break
            started, place = time.monotonic(), folder / str(k)
            place.mkdir()
            result = "ok"
            try:
                with LocalHub() as hub:
                    counts = Play(scenario, apps, place, hub).run()
                totals[scenario.end] += Counter({**counts, "played": 1})
                shutil.rmtree(place)
            except Exception as error:
                failed.append(scenario)
                totals[scenario.end] += Counter(played=1, failed=1)
                result = f"FAILED, see {place}: {error}"
                (place / "traceback").write_text(traceback.format_exc())
            print(f"{k:4} {time.monotonic() - started:5.1f} s  {scenario}: {result}", flush=True)
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
