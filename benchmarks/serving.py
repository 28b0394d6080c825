"""How long a vote takes to be acknowledged, and a next battle to come, at 1, 20 and 100 visitors at once.

The server is `python app.py` in a process of its own, as it is deployed, with fake models and a bank that is
already filled: this measures guard, routes, SQLite (every vote is on disk before it is acknowledged) and pictures,
not generation. Server CPU a battle is everything of it: vote, next, both pictures. The clients are a closed loop here: a visitor gets both pictures, looks for a short time
(exponential, --think seconds on average, far quicker than people), votes, and asks for the next battle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import yaml
from _app import ROOT, App
from _machine import describe, table

sys.path.insert(0, str(ROOT))

MODELS, PROMPTS = 4, 240
WARM_UP = 2.0  # seconds at the start of each level that are not counted
KINDS = ("vote", "next", "picture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="measured at each level")
    parser.add_argument("--think", type=float, default=1.0, help="mean seconds between battle and vote")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 20, 100])
    options = parser.parse_args()
    print(describe("gradio", "starlette", "uvicorn"))
    print(f"closed loop, think time {options.think:g} s on average, {options.seconds:g} s a level; milliseconds")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = prepare(folder)
        with App(folder, config) as app:
            app.cookie()
            rows = [asyncio.run(level(app, n, options.seconds, options.think)) for n in options.clients]
    names = [f"{kind} {part}" for kind in KINDS for part in ("p50", "p95")]
    print(table(["clients", "votes/s", *names, "server CPU a battle", "not 200"], rows))


def prepare(folder: Path) -> Path:
    """An arena.yaml of fake models with no limit that a quick client would meet, and its bank, filled."""
    from arena.build import build_arena

    models = [{"id": f"fake-{k}", "name": f"Fake {k}", "organisation": "Benchmarks", "family": "fake", "licence": "none",
               "backend": "fake", "source": "fake", "settings": {"width": 512, "height": 512}}
              for k in range(MODELS)]  # fmt: skip
    prompts = [{"prompt": f"benchmark prompt number {k}"} for k in range(PROMPTS)]
    config = folder / "arena.yaml"
    config.write_text(yaml.safe_dump({
        "models": models, "categories": [{"name": "Benchmark", "prompts": prompts}],
        "bank": {"display_px": 512}, "limits": {"votes_per_minute": 100_000},
    }))  # fmt: skip
    arena = build_arena(config, folder / "data")
    while arena.fill_one(arena.studio):
        pass
    arena.close()
    return config


async def level(app: App, clients: int, seconds: float, think: float) -> list[object]:
    """One row of the table."""
    took: dict[str, list[float]] = defaultdict(list)
    failed: list[int] = []
    battles = 0
    cpu = app.cpu_seconds()
    begin = time.monotonic() + WARM_UP
    end = begin + seconds

    async def visit(k: int) -> None:
        nonlocal battles
        rng = random.Random(k)
        # The server trusts what a proxy on the same machine says: each visitor comes from an address of its own.
        visitor = Visitor(app.port, f"10.{clients % 256}.{k // 256}.{k % 256}")
        await visitor.arrive()
        await asyncio.sleep(rng.random() * think)
        battle = await timed("next", visitor.post("/arena/next", {}))
        while battle and battle["battle"] and time.monotonic() < end:
            battle, battles = battle["battle"], battles + 1
            for side in ("image_a", "image_b"):
                await timed("picture", visitor.get(battle[side]))
            await asyncio.sleep(rng.expovariate(1 / think) if think else 0)
            vote = {"battle_id": battle["battle_id"], "winner": rng.choice(("model_a", "model_b")), "seconds": think}
            await timed("vote", visitor.post("/arena/vote", vote))
            battle = await timed("next", visitor.post("/arena/next", {}))
        visitor.close()

    async def timed(kind: str, call):
        started = time.monotonic()
        status, body = await call
        if begin <= started < end:
            took[kind].append(1000 * (time.monotonic() - started))
            if status != 200:
                failed.append(status)
        return body if status == 200 else None

    await asyncio.gather(*(visit(k) for k in range(clients)))
    figures = [share(took[kind], part) for kind in KINDS for part in (50, 95)]
    cpu_each = 1000 * (app.cpu_seconds() - cpu) / max(1, battles)
    return [clients, len(took["vote"]) / seconds, *figures, cpu_each, len(failed)]


def share(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else float("nan")


class Visitor:
    """HTTP/1.1 over one connection that is kept: so little work that the clients do not measure themselves."""

    def __init__(self, port: int, address: str):
        self.port, self.address, self.cookie = port, address, ""

    async def arrive(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        status, _ = await self.get("/")
        assert status == 200 and self.cookie, f"the page came with {status}, and no cookie"

    async def get(self, path: str):
        return await self._exchange("GET", path, b"")

    async def post(self, path: str, body: dict):
        return await self._exchange("POST", path, json.dumps(body).encode())

    def close(self) -> None:
        self.writer.close()

    async def _exchange(self, method: str, path: str, body: bytes):
        head = (f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-forwarded-for: {self.address}\r\n"
                f"cookie: {self.cookie}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n")  # fmt: skip
        self.writer.write(head.encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if "set-cookie" in headers:
            self.cookie = headers["set-cookie"].split(";")[0]
        data = await self.reader.readexactly(int(headers["content-length"]))
        status = int(lines[0].split()[1])
        return status, json.loads(data) if headers.get("content-type") == "application/json" else data


if __name__ == "__main__":
    main()
