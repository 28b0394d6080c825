"""How long a new disk takes to have 100,000 votes again, and in how many requests.

A dataset of so many votes, with their prompts, the rows of their images and some exclusions, lies in the local test
Hub: as one large shard, as it is after a compaction, and as the 1,440 small shards of a day with a commit a minute.
Another process restores it into an empty folder as the app does at its start, the Elo ticker following, while a voter
goes on voting there ten times a second. Pictures follow later and are not in these seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _one_thread  # noqa: F401
from _app import ROOT
from _machine import describe, table

sys.path.insert(0, str(ROOT))

DATASET = "tester/arena"
MODELS, PROMPTS, VOTERS, EXCLUSIONS = 12, 300, 2000, 500
START = 1_790_000_000_000
LIMIT = 10.0  # seconds of a processor that 100,000 votes may take: other work on the machine does not count

CHILD = """
import json, random, sys, threading, time
from pathlib import Path
from arena.bank import Bank
from arena.config import load_config
from arena.ledger import Ledger
from arena.publisher import HubTarget
from arena.records import Battle, Image, Prompt, Vote, new_id
from arena.restore import Restorer
from arena.ui.launch import TURN
from standings import Standings

sys.setswitchinterval(TURN)  # as the server does

folder, dataset, token, endpoint, config = sys.argv[1:]
ledger, bank, standings = Ledger(Path(folder) / "ledger.sqlite"), Bank(Path(folder) / "bank"), Standings()
standings.follow(ledger, load_config(config))
restorer = Restorer(ledger, bank, HubTarget(dataset, token=token, endpoint=endpoint), every_seconds=3600)
restorer.heard = lambda table: standings.ticker(None) if table in ("votes", "exclusions") else None
prompt = Prompt.make("while it restores", category="Own")
ledger.add_prompts([prompt])
pair = [Image(new_id(), prompt.prompt_id, model, "", 1, 8, 8, "{}", 0.1, "cpu", 1, "mit") for model in ("x", "y")]
for image in pair:
    ledger.add_image(image)
waits, done = [], threading.Event()

def vote():
    while not done.wait(0.1):
        battle = Battle(new_id(), "somebody", prompt, *pair, "anonymous", "bank", 1.0, ledger.now())
        ledger.add_battle(battle)
        row = Vote(new_id(), battle.battle_id, ledger.now(), prompt.prompt_id, prompt.prompt, "Own", "", "original",
                   "curated", "x", "y", "model_a", pair[0].image_id, pair[1].image_id, "somebody", False, "anonymous",
                   "bank", 1.0, 1.0, "0")
        begun = time.perf_counter()
        ledger.cast_vote(battle.battle_id, "somebody", lambda battle: row, not_before=0)
        waits.append(time.perf_counter() - begun)
        standings.ticker({"vote_id": row.vote_id})

voter = threading.Thread(target=vote)
voter.start()
begun, work = time.perf_counter(), time.process_time()
report = restorer.read_now(pictures=False)
seconds, work = time.perf_counter() - begun, time.process_time() - work
done.set()
voter.join()
assert ledger.unpublished() == len(waits) + 3, "only what was made here is to be published"
print(json.dumps({"seconds": seconds, "work": work, "rows": report.rows, "waits": sorted(waits)}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, default=100_000)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 1440], help="into how many the votes are cut")
    options = parser.parse_args()
    from tests.hub.local_hub import LocalHub

    print(describe("pyarrow", "huggingface_hub"))
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    rows, slow = [], False
    for shards in options.shards:
        with LocalHub() as hub, tempfile.TemporaryDirectory() as name:
            files = dataset(options.votes, shards)
            upload(hub, files)
            before = len(hub.requests)
            found = restore(hub, Path(name))
            assert found["rows"]["votes"] == options.votes and found["rows"]["exclusions"] == EXCLUSIONS
            waits = found["waits"]
            megabytes = sum(map(len, files.values())) / 1e6
            rows.append([shards, f"{megabytes:.1f}", f"{found['seconds']:.1f}", f"{found['work']:.1f}", len(hub.requests) - before,
                         f"{1000 * waits[len(waits) // 2]:.0f}", f"{1000 * waits[-1]:.0f}"])  # fmt: skip
            slow |= found["work"] > LIMIT * options.votes / 100_000
    print(f"{options.votes:,} votes, {PROMPTS * MODELS:,} rows of images, {PROMPTS} prompts, {EXCLUSIONS} exclusions")
    print(
        table(
            ["shards of votes", "MB", "seconds", "of a CPU", "requests", "a vote meanwhile, p50 ms", "longest ms"], rows
        )
    )
    return int(slow)


def dataset(votes: int, shards: int) -> dict[str, bytes]:
    """The shards of such an arena, by path."""
    from arena.records import WINNERS, Prompt, arrow_schema
    from arena.shards import to_parquet

    rng = random.Random(1)
    prompts = [Prompt.make(f"prompt number {k} of the benchmark", category=f"Category {k % 10}", now=START)
               for k in range(PROMPTS)]  # fmt: skip
    same = {"sub_category": "", "complexity": "original", "extra": "{}"}
    images = [{"image_id": f"{rng.getrandbits(128):032x}", "image": {"bytes": rng.randbytes(2000), "path": "x.png"},
               "prompt_id": p.prompt_id, "prompt": p.prompt, "category": p.category, "model": f"model-{m}",
               "model_revision": "r", "seed": m, "width": 512, "height": 512, "settings": '{"steps":4}', "seconds": 1.0,
               "hardware": "cpu", "created_at": START, "licence": "mit", **same}
              for p in prompts for m in range(MODELS)]  # fmt: skip
    rows = []
    for k in range(votes):
        p, (a, b) = rng.randrange(PROMPTS), rng.sample(range(MODELS), 2)
        prompt = prompts[p]
        rows.append({"vote_id": f"{rng.getrandbits(128):032x}", "battle_id": f"{rng.getrandbits(128):032x}",
                     "created_at": START + 600 * k, "prompt_id": prompt.prompt_id, "prompt": prompt.prompt,
                     "category": prompt.category, "prompt_source": "curated", "model_a": f"model-{a}",
                     "model_b": f"model-{b}", "winner": rng.choice(WINNERS), "voter": f"{rng.randrange(VOTERS):032x}",
                     "image_a": images[p * MODELS + a]["image_id"], "image_b": images[p * MODELS + b]["image_id"],
                     "signed_in": False, "mode": "anonymous", "served_from": "bank", "pair_probability": 1 / 66,
                     "seconds_to_vote": 5.0, "arena_version": "0", **same})  # fmt: skip
    gone = [{"vote_id": row["vote_id"], "reason": "withdrawn", "created_at": row["created_at"] + 1, "extra": "{}"}
            for row in rng.sample(rows, EXCLUSIONS)]  # fmt: skip
    plain = [{name: getattr(p, name) for name in arrow_schema("prompts").names} for p in prompts]
    size = -(-votes // shards)
    parts = {f"data/votes/2026-09-21/{k:07}.parquet": to_parquet("votes", rows[k : k + size])
             for k in range(0, votes, size)}  # fmt: skip
    return {**parts, "data/images/2026-09-21/all.parquet": to_parquet("images", images),
            "data/prompts/2026-09-21/all.parquet": to_parquet("prompts", plain),
            "data/exclusions/2026-09-21/all.parquet": to_parquet("exclusions", gone)}  # fmt: skip


def upload(hub, files: dict[str, bytes]) -> None:
    """Straight into the Hub: the way there is not measured."""
    import hashlib

    hub.store.create(DATASET, private=False, author="tester")
    added = {}
    for path, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        hub.store.add_large(sha256, data)
        added[path] = hub.store.large(sha256, path)
    hub.store.commit(hub.store.repo(DATASET), "main", added, [], "all", "tester", None)


def restore(hub, folder: Path) -> dict:
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), DATASET, hub.token, hub.url, str(ROOT / "arena.yaml")],
        cwd=ROOT, env=hub.environment(folder / "home", OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT)),
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


if __name__ == "__main__":
    begun = time.perf_counter()
    code = main()
    print(f"({time.perf_counter() - begun:.0f} s in all)")
    sys.exit(code)
