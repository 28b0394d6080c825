"""How long a vote takes to be acknowledged while shards are published, beside the same load with nothing to publish.

The server is `python app.py` in a process of its own, the Hub is the test Hub in another, the voters are a third: an
open loop, so a slow answer does not slow down the voters after it. Votes come at --rate a second, each followed by a
request for the next battle. "publishing" commits every second, so a commit is under way most of the time; "pictures"
does so while two pictures of --size pixels a side come to the bank every second besides, as a studio would draw them,
which are by far the largest part of what is published. The Hub and who draws stand for other machines, so they yield the
processors to server and voters. Milliseconds from the request to the whole answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml
from _app import ROOT, App
from _machine import describe, table
from serving import Visitor

sys.path.insert(0, str(ROOT))

DATASET = "tester/arena"
MODELS, PROMPTS, VISITORS = 4, 200, 60
WARM_UP = 5.0  # seconds of votes that are not counted: threads, connections and caches are made meanwhile
YIELDING = 10  # how nice the other machines are
NEEDED = 50.0  # milliseconds, at the 99th percentile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="measured in each row")
    parser.add_argument("--rate", type=float, default=100.0, help="votes a second")
    parser.add_argument("--size", type=int, default=1024, help="of the pictures that are published")
    options = parser.parse_args()
    print(describe("huggingface_hub", "pyarrow"))
    hub = multiprocessing.get_context("spawn").Process(target=serve_hub, args=(pipe := multiprocessing.Pipe())[1:])
    hub.start()
    os.environ |= {"HF_ENDPOINT": pipe[0].recv(), "HF_TOKEN": "hf_local_writer", "HF_HUB_DISABLE_XET": "1"}
    rows = []
    try:
        for name in ("nothing to publish", "publishing", "publishing pictures"):
            with tempfile.TemporaryDirectory() as place:
                rows.append([name, *measure(Path(place), name, options)])
    finally:
        hub.terminate()
        hub.join()
    print(f"{options.rate:g} votes a second for {options.seconds:g} s; milliseconds")
    print(table(["", "votes", "vote p50", "vote p95", "vote p99", "vote max", "next p99", "not 200", "commits",
                 "rows published"], rows))  # fmt: skip
    worst = max(row[4] for row in rows[1:])
    print(f"p99 of a vote while a publish is under way: {worst:.1f} ms ({NEEDED:g} are promised)")


def serve_hub(tell) -> None:
    from tests.hub.local_hub import LocalHub

    os.nice(YIELDING)
    with LocalHub() as hub:
        tell.send(hub.url)
        threading.Event().wait()


def measure(folder: Path, name: str, options) -> list[object]:
    config = prepare(folder, DATASET if "publishing" in name else None)
    drawn = pictures(options.size, int(2 * (options.seconds + WARM_UP))) if "pictures" in name else []
    with App(folder, config) as app:
        app.cookie()
        took, failed = asyncio.run(load(app, options, folder / "data", drawn))
        status = asyncio.run(health(app))["hub"]
        commits = made_in(folder / "data") if "publishing" in name else 0
    votes = took["vote"]
    return [len(votes), *(share(votes, part) for part in (50, 95, 99)), max(votes), share(took["next"], 99), failed,
            commits, status["published_rows"]]  # fmt: skip


def prepare(folder: Path, dataset: str | None) -> Path:
    """An arena of fake models without limits, its bank filled and, like every ledger in use, grown."""
    from arena.build import build_arena

    models = [{"id": f"fake-{k}", "name": f"Fake {k}", "organisation": "Benchmarks", "family": f"fake {k}",
               "licence": "none", "backend": "fake", "source": "fake", "settings": {"width": 256, "height": 256}}
              for k in range(MODELS)]  # fmt: skip
    config = folder / "arena.yaml"
    raw = {"models": models, "bank": {"display_px": 256}, "limits": {"votes_per_minute": 1e6},
           "categories": [{"name": "All", "prompts": [{"prompt": f"prompt number {k}"} for k in range(PROMPTS)]}]}  # fmt: skip
    config.write_text(yaml.safe_dump(raw))
    arena = build_arena(config, folder / "data")
    while arena.refill(arena.studio):
        pass
    arena.studio.close()
    arena.ledger.close()
    config.write_text(yaml.safe_dump({**raw, "hub": {"dataset": dataset, "every_seconds": 1}}))
    return config


def pictures(size: int, count: int) -> list:
    """Photographs compress about this well."""
    from PIL import Image

    rng = random.Random(5)
    small = [Image.frombytes("RGB", (size // 2, size // 2), rng.randbytes(3 * (size // 2) ** 2)) for _ in range(count)]
    return [picture.resize((size, size)) for picture in small]


def draw(data: Path, drawn: list, until: float) -> None:
    """Two pictures a second come to the bank; from this process, so that only publishing them is measured."""
    from arena.bank import Bank
    from arena.ledger import Ledger
    from arena.records import Image

    os.nice(YIELDING)
    bank, ledger = Bank(data / "bank", display_px=256), Ledger(data / "ledger.sqlite")
    like = ledger.banked_images()[0]
    for picture in drawn:
        if time.monotonic() > until:
            break
        begun = time.monotonic()
        image_id, _ = bank.add(picture)
        ledger.add_image(Image(image_id, like.prompt_id, "drawn", "", 1, *picture.size, "{}", 1.0, "cpu", ledger.now(),
                               "none"))  # fmt: skip
        time.sleep(max(0.0, begun + 0.5 - time.monotonic()))
    ledger.close()


async def load(app: App, options, data: Path, drawn: list) -> tuple[dict[str, list[float]], int]:
    took: dict[str, list[float]] = {"vote": [], "next": []}
    failed = 0
    visitors = [Visitor(app.port, f"10.7.0.{k + 1}") for k in range(VISITORS)]
    free: asyncio.Queue = asyncio.Queue()
    rng = random.Random(1)
    for visitor in visitors:
        await visitor.get("/")
        _, found = await visitor.post("/arena/next", {})
        free.put_nowait((visitor, found["battle"]["battle_id"]))
    start = time.monotonic()
    begin, end = start + WARM_UP, start + WARM_UP + options.seconds
    artist = multiprocessing.get_context("fork").Process(target=draw, args=(data, drawn, end)) if drawn else None
    if artist:
        artist.start()

    async def one(due: float) -> None:
        nonlocal failed
        visitor, battle = await free.get()
        status, _ = await visitor.post(
            "/arena/vote", {"battle_id": battle, "winner": rng.choice(["model_a", "model_b"])}
        )
        voted = time.monotonic()
        second, found = await visitor.post("/arena/next", {})
        if begin <= due < end:
            took["vote"].append(1000 * (voted - due))
            took["next"].append(1000 * (time.monotonic() - voted))
            failed += (status != 200) + (second != 200)
        if second == 200 and found["battle"]:
            free.put_nowait((visitor, found["battle"]["battle_id"]))

    running, due = [], start
    while due < end:
        due += rng.expovariate(options.rate)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        running.append(asyncio.create_task(one(due)))
    await asyncio.wait_for(asyncio.gather(*running), 60)
    for visitor in visitors:
        visitor.close()
    if artist:
        artist.join()
    return took, failed


def made_in(data: Path) -> int:
    """Commits that the Hub has taken, as the ledger knows them."""
    from arena.ledger import Ledger

    ledger = Ledger(data / "ledger.sqlite")
    try:
        return ledger.one("SELECT COUNT(DISTINCT published_at) AS n FROM shards")["n"]
    finally:
        ledger.close()


def share(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def health(app: App) -> dict:
    visitor = Visitor(app.port, "10.8.0.1")
    await visitor.get("/")
    _, body = await visitor.get("/health")
    visitor.close()
    return body if isinstance(body, dict) else json.loads(body)


if __name__ == "__main__":
    main()
