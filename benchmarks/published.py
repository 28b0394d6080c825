"""How long a reader who has nothing cached waits for the leaderboard of a published dataset, before and after
compaction, and how long the compaction takes.

The dataset lies on the test Hub of `tests/hub`, in this process; the reader is `python -m leaderboard user/name` in a
process of its own with an empty cache, which fetches through huggingface_hub as anybody's does. Seconds include the
start of Python and the fit; requests are all that the Hub saw. On the real Hub every request costs more than here.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _app import ROOT
from _machine import describe, table

sys.path.insert(0, str(ROOT))

DATASET, MODELS = "tester/arena", 20
NEEDED_SECONDS, NEEDED_REQUESTS = 5.0, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=500, help="of votes, before compaction")
    parser.add_argument("--rounds", type=int, default=3, help="cold reads of each; the best one counts")
    options = parser.parse_args()
    print(describe("huggingface_hub", "pyarrow"))
    os.environ["HF_HUB_DISABLE_XET"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from arena.compact import Compactor
    from arena.hub import Hub, HubTarget
    from tests.hub.local_hub import LocalHub

    with LocalHub() as hub, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = Hub(HubTarget(DATASET, token=hub.token, endpoint=hub.url)).files
        publish(hub, options.votes, options.shards)
        rows = [["before", options.shards, *cold_read(hub, folder, options.rounds)]]
        before = len(hub.requests)
        compactor = Compactor(files, folder / "dataset", replica="benchmark", squash=False, clock=time.time,
                              may_commit=lambda: True)  # fmt: skip
        begun = time.perf_counter()
        report = compactor.compact()
        took = time.perf_counter() - begun
        rows.append(["after", report.shards_after, *cold_read(hub, folder, options.rounds)])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"a cold read of {options.votes:,} votes of {MODELS} models; best of {options.rounds}")
    print(table(["compaction", "shards", "seconds", "requests"], rows))
    print(f"the compaction: {took:.1f} s, {len(hub.requests) - before - rows[1][3] * options.rounds} requests, "
          f"{report.commits} commit; most memory of this process, the Hub with all its files included: {memory:.0f} MB")  # fmt: skip
    _, _, seconds, requests = rows[1]
    met = seconds <= NEEDED_SECONDS and requests <= NEEDED_REQUESTS
    print(f"{'met' if met else 'MISSED'}: at most {NEEDED_SECONDS:g} s and {NEEDED_REQUESTS} requests after compaction")


def publish(hub, votes: int, shards: int) -> None:
    """A commit of simulated votes in so many shards of finished days."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from huggingface_hub import CommitOperationAdd, HfApi

    from arena.shards import described_schema

    rng = random.Random(0)
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(DATASET, repo_type="dataset")
    schema, each, operations = described_schema("votes"), votes // shards, []
    for shard in range(shards):
        start = 1_756_684_800_000 + shard * 3_600_000  # an hour each, from 2025-09-01
        picks = [rng.sample(range(MODELS), 2) for _ in range(each)]
        columns = {
            **{name: [""] * each for name in schema.names},
            "vote_id": [f"{rng.getrandbits(128):032x}" for _ in picks],
            "battle_id": [f"{rng.getrandbits(128):032x}" for _ in picks],
            "created_at": [start + k for k in range(each)],
            "prompt": [f"a picture of thing number {rng.randrange(500)}, in the style of no painter" for _ in picks],
            "category": [f"category {rng.randrange(8)}" for _ in picks],
            "model_a": [f"model-{a}" for a, _ in picks], "model_b": [f"model-{b}" for _, b in picks],
            "winner": [_outcome(rng, a, b) for a, b in picks],
            "voter": [f"{rng.randrange(5000):032x}" for _ in picks],
            "mode": ["anonymous"] * each, "signed_in": [False] * each, "pair_probability": [0.1] * each,
            "seconds_to_vote": [5.0] * each, "extra": ["{}"] * each,
        }  # fmt: skip
        out = io.BytesIO()
        pq.write_table(pa.table(columns, schema=schema), out, compression="zstd")
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(start / 1000))
        path = f"data/votes/{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}/{stamp}-bench-{shard * each + 1}-{(shard + 1) * each}"
        operations.append(CommitOperationAdd(f"{path}-{shard:08x}.parquet", out.getvalue()))
    api.create_commit(DATASET, operations, commit_message="Add votes", repo_type="dataset")


def _outcome(rng: random.Random, a: int, b: int) -> str:
    if rng.random() < 0.2:
        return rng.choice(("both_good", "both_bad"))
    return "model_a" if rng.random() < 1 / (1 + 10 ** ((b - a) / 20)) else "model_b"


def cold_read(hub, folder: Path, rounds: int) -> tuple[float, int]:
    """(seconds, requests) of the quickest read with an empty cache."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as home:
            before, begun = len(hub.requests), time.perf_counter()
            run = subprocess.run([sys.executable, "-m", "leaderboard", DATASET, "--format", "json"], cwd=ROOT,
                                 env=hub.environment(Path(home)), capture_output=True, text=True, check=True)  # fmt: skip
            found.append((time.perf_counter() - begun, len(hub.requests) - before))
            json.loads(run.stdout)
    return min(found)


if __name__ == "__main__":
    main()
