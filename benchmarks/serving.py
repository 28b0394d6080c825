"""How long a first battle, a vote and a next battle take, at 1, 50, 200 and 500 visitors at once.

The server is `python app.py` in a process of its own, as it is deployed, with fake models and a bank that is
already filled: this measures guard, routes, SQLite (every vote is on disk before it is acknowledged) and pictures,
not generation. A visitor opens the page, gets a battle and both pictures ("first battle" is all of that), looks at
them (exponential, --think seconds on average), votes, gets the next battle with its pictures ("next battle"), and
leaves after some --battles; then somebody new comes in their place. Beside them, newcomers come twice a second, get
their first battle and leave, so that there are enough first battles to count. Visitors share the machine with the server, so
what they need of it is told beside what the server needs: the server's CPU a battle is everything of it, pages too.
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
KINDS = ("first battle", "vote", "next battle", "picture")
# At 500 visitors and 50 votes a second: what is measured, its percentile, and at most so many milliseconds.
GATES = (("first battle", 95, 1000.0), ("vote", 95, 60.0), ("vote", 99, 250.0))
GATE_CLIENTS, GATE_RATE = 500, 50.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="measured at each level")
    parser.add_argument("--think", type=float, default=9.5, help="mean seconds between battle and vote")
    parser.add_argument("--battles", type=int, default=12, help="mean battles of one visitor")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 50, 200, 500])
    options = parser.parse_args()
    print(describe("gradio", "starlette", "uvicorn"))
    print(f"think time {options.think:g} s on average, {options.battles} battles a visitor, {options.seconds:g} s a level; "
          "milliseconds")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = prepare(folder)
        with App(folder, config) as app:
            app.cookie()
            levels = {n: asyncio.run(Level(app, n, options).measure()) for n in options.clients}
    rows = [[n, level.rate, kind, len(level.took[kind]), *(level.share(kind, p) for p in (50, 95, 99))]
            for n, level in levels.items() for kind in KINDS]  # fmt: skip
    print(table(["visitors", "votes/s", "what", "times", "p50", "p95", "p99"], rows))
    print(table(["visitors", "server CPU ms a battle", "visitors' CPU ms a battle", "not 200"],
                [[n, level.server_cpu, level.own_cpu, level.failed] for n, level in levels.items()]))  # fmt: skip
    if GATE_CLIENTS in levels:
        print(gates(levels[GATE_CLIENTS]))


def gates(level: Level) -> str:
    rows: list[list[object]] = [["votes a second", level.rate, f"at least {0.95 * GATE_RATE:g}",
                                 verdict(level.rate >= 0.95 * GATE_RATE)]]  # fmt: skip
    for kind, percent, most in GATES:
        found = level.share(kind, percent)
        rows.append([f"{kind} p{percent}, ms", found, f"at most {most:g}", verdict(found <= most)])
    rows.append(["answers that were not 200", level.failed, "0", verdict(not level.failed)])
    return table([f"at {level.clients} visitors", "measured", "wanted", ""], rows)


def verdict(holds: bool) -> str:
    return "PASS" if holds else "MISSED"


def prepare(folder: Path) -> Path:
    """An arena.yaml of fake models with no limit that a quick client would meet, and its bank, filled."""
    from arena.build import build_arena

    models = [{"id": f"fake-{k}", "name": f"Fake {k}", "organisation": "Benchmarks", "family": f"fake {k}",
               "licence": "none", "backend": "fake", "source": "fake", "settings": {"width": 512, "height": 512}}
              for k in range(MODELS)]  # fmt: skip
    prompts = [{"prompt": f"benchmark prompt number {k}"} for k in range(PROMPTS)]
    config = folder / "arena.yaml"
    config.write_text(yaml.safe_dump({
        "models": models, "categories": [{"name": "Benchmark", "prompts": prompts}],
        "bank": {"display_px": 512}, "limits": {"votes_per_minute": 100_000},
    }))  # fmt: skip
    arena = build_arena(config, folder / "data")
    while arena.refill(arena.studio):
        pass
    arena.close()
    return config


class Level:
    """So many visitors at once, and what they met. They come over one think time; then the measured part begins."""

    def __init__(self, app: App, clients: int, options: argparse.Namespace):
        self.app, self.clients, self.options = app, clients, options
        self.took: dict[str, list[float]] = defaultdict(list)
        self.failed = self.people = 0
        self.rate = self.server_cpu = self.own_cpu = float("nan")

    async def measure(self) -> Level:
        self.begin = time.monotonic() + 2 + self.options.think
        self.end = self.begin + self.options.seconds
        places = [asyncio.create_task(self.place(k)) for k in range(self.clients)]
        places.append(asyncio.create_task(self.newcomers()))
        await asyncio.sleep(self.begin - time.monotonic())
        server, own = self.app.cpu_seconds(), time.process_time()
        await asyncio.sleep(self.options.seconds)
        server, own = self.app.cpu_seconds() - server, time.process_time() - own
        await asyncio.gather(*places)
        votes = len(self.took["vote"])
        self.rate = votes / self.options.seconds
        self.server_cpu, self.own_cpu = 1000 * server / max(1, votes), 1000 * own / max(1, votes)
        return self

    def share(self, kind: str, percent: int) -> float:
        values = self.took[kind]
        return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else float("nan")

    async def place(self, k: int) -> None:
        """One visitor after the other."""
        rng = random.Random(f"{self.clients}/{k}")
        await asyncio.sleep(rng.random() * self.options.think)
        while time.monotonic() < self.end:
            await self.visit(self.newcomer(), rng)

    async def newcomers(self) -> None:
        await asyncio.sleep(self.begin - time.monotonic())
        while time.monotonic() < self.end:
            started, visitor = time.monotonic(), self.newcomer()
            await self.timed("first battle", self.first(visitor))
            visitor.close()
            await asyncio.sleep(max(0, started + 0.5 - time.monotonic()))

    def newcomer(self) -> Visitor:
        """The server trusts what a proxy on the same machine says: each visitor comes from an address of its own."""
        self.people += 1
        return Visitor(self.app.port, f"10.{self.people >> 16 & 255}.{self.people >> 8 & 255}.{self.people & 255}")

    async def visit(self, visitor: Visitor, rng: random.Random) -> None:
        think, left = self.options.think, 1 + round(rng.expovariate(1 / max(1, self.options.battles - 1)))
        battle = await self.timed("first battle", self.first(visitor))
        while battle and left and time.monotonic() < self.end:
            await asyncio.sleep(min(rng.expovariate(1 / think) if think else 0, max(0, self.end - time.monotonic())))
            if time.monotonic() >= self.end:
                break
            vote = {"battle_id": battle["battle_id"], "winner": rng.choice(("model_a", "model_b")), "seconds": think}
            await self.timed("vote", visitor.post("/arena/vote", vote))
            left -= 1
            battle = await self.timed("next battle", self.battle(visitor))
        visitor.close()

    async def first(self, visitor: Visitor):
        status, _ = await visitor.get("/")
        return await self.battle(visitor) if status == 200 else (status, None)

    async def battle(self, visitor: Visitor):
        status, answer = await visitor.post("/arena/next", {})
        if status != 200 or not answer["battle"]:
            return status, None
        for side in ("image_a", "image_b"):
            await self.timed("picture", visitor.get(answer["battle"][side]))
        return status, answer["battle"]

    async def timed(self, kind: str, call):
        started = time.monotonic()
        status, body = await call
        if self.begin <= started < self.end:
            self.took[kind].append(1000 * (time.monotonic() - started))
            self.failed += status != 200
        return body if status == 200 else None


class Visitor:
    """HTTP/1.1 over one connection, opened anew where the server has closed it meanwhile, as a browser does: so little
    work that the visitors do not measure themselves."""

    def __init__(self, port: int, address: str):
        self.port, self.address, self.cookie = port, address, ""
        self.reader, self.writer = None, None

    async def get(self, path: str):
        return await self._exchange("GET", path, b"")

    async def post(self, path: str, body: dict):
        return await self._exchange("POST", path, json.dumps(body).encode())

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    async def _exchange(self, method: str, path: str, body: bytes):
        if self.reader is None or self.reader.at_eof() or self.writer.is_closing():
            self.close()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
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
