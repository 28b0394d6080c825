"""What it brings to ask for several images at once, what it costs who comes meanwhile, and how often weights are read.

The first table fills a bank from a local server that takes as long for an image as `--answer` says; the second lets a
visitor come at a random moment while the app refills with a diffusers model in batches, and times how long the batch
takes to stop (`--sizes` as in backends.py: the demonstration models by default, `sdxl,flux` on a GPU). The third counts,
without drawing anything, the reads of weights for each order in which a bank could be filled.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import _one_thread  # noqa: F401 (before torch)
from _machine import describe, table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402

from arena.backends import Request  # noqa: E402
from arena.build import build_arena  # noqa: E402
from arena.errors import GenerationCancelled  # noqa: E402
from arena.fill import TURN, fill, in_turns  # noqa: E402
from arena.records import Prompt  # noqa: E402
from arena.wanted import AT_ONCE, Wanted  # noqa: E402
from tests.image_server import ImageServer  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answer", type=float, default=0.2, help="seconds that the server takes for an image")
    parser.add_argument("--images", type=int, default=48, help="images that it is asked for in each fill")
    parser.add_argument("--sizes", default="tiny", help="tiny, or some of sdxl,flux")
    parser.add_argument("--visits", type=int, default=30, help="of a visitor, for each size of batch")
    options = parser.parse_args()
    print(describe("torch", "diffusers"), "\n")
    over_http(options.answer, options.images)
    waiting(options.sizes.split(","), options.visits)
    reads(2000, 8)


def over_http(answer: float, images: int) -> None:
    print(f"\nfill over HTTP: {images} images of a server that takes {answer:g} s for one")
    lines, first = [], 0.0
    for in_flight in (1, 4, 16):
        with ImageServer() as server, tempfile.TemporaryDirectory() as folder:
            row = {"id": "remote", "name": "R", "organisation": "-", "family": "r", "licence": "-", "backend": "http",
                   "source": f"{server.url}/slow/{answer:g}", "in_flight": in_flight}  # fmt: skip
            prompts = [{"prompt": f"thing {k}"} for k in range(images)]
            config = Path(folder) / "arena.yaml"
            config.write_text(yaml.safe_dump({"models": [row, {**row, "id": "other", "family": "o"}],
                                              "categories": [{"name": "Things", "prompts": prompts}]}))  # fmt: skip
            arena = build_arena(config, Path(folder) / "data")
            begun = time.perf_counter()
            assert fill(arena, arena.stock.lacking(models=["remote"]), out=io.StringIO()) == 0
            took = time.perf_counter() - begun
            arena.close()
        first = first or took
        lines.append([in_flight, images / took, f"{first / took:.2f}"])
    print(table(["in_flight", "images a second", "gain"], lines))


def waiting(sizes: list[str], visits: int) -> None:
    from backends import rows

    from arena.backends.diffusers_backend import DiffusersBackend

    rng = random.Random(1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        models, home = rows(sizes, Path(folder))
        backend, lines = DiffusersBackend(home), []
        for model in models:
            for n in (1, 2, AT_ONCE):
                row = model.model_copy(update={"batch": n})
                requests = [Request(row, "a red heart on a white background", seed) for seed in range(n)]
                whole = [_seconds(backend, requests) for _ in range(3)][-1]
                waits = [one for _ in range(visits) if (one := _until_stopped(backend, requests, rng.random() * whole))]
                lines.append([model.id, n, whole * 1000, statistics.fmean(waits) * 1000,
                              sorted(waits)[int(0.95 * len(waits))] * 1000, f"{statistics.fmean(waits) / whole:.2f}"])  # fmt: skip
        print(f"\na visitor comes while the app refills ({backend.device})")
        backend.close()
    head = ["model", "images in a call", "call ms", "until it stops, mean ms", "p95 ms", "share of the call"]
    print(table(head, lines))


def _seconds(backend, requests: Sequence[Request], cancelled=lambda: False) -> float:
    begun = time.perf_counter()
    backend.generate(requests, progress=lambda share: None, cancelled=cancelled)
    return time.perf_counter() - begun


def _until_stopped(backend, requests: Sequence[Request], after: float) -> float | None:
    """Seconds from `after` the call's begin until the call ended, if it was not over by then."""
    come, at = threading.Event(), [0.0]

    def visit() -> None:
        at[0] = time.perf_counter()
        come.set()

    timer = threading.Timer(after, visit)
    timer.start()
    try:
        _seconds(backend, requests, come.is_set)
    except GenerationCancelled:
        return time.perf_counter() - at[0]
    finally:
        timer.cancel()
    return time.perf_counter() - at[0] if come.is_set() else None  # it was at its last step


def reads(prompts: int, models: int) -> None:
    wanted = [Wanted(Prompt.make(f"thing {p}"), f"model {m}", 0) for p in range(prompts) for m in range(models)]
    orders = {
        "prompt by prompt": wanted,
        f"turns of {TURN} prompts, models always in one order": sorted(
            wanted, key=lambda w: (int(w.prompt.prompt[6:]) // TURN, w.model)
        ),
        "growing turns, models back and forth (fill)": in_turns(wanted),
    }
    print(f"\nreads of weights for {prompts:,} prompts with each of {models} models")
    rooms = (1, 3, models)
    print(table(["order", *(f"room for {room}" for room in rooms)],
                [[name, *(_reads((w.model for w in order), room) for room in rooms)] for name, order in orders.items()]))  # fmt: skip


def _reads(order: Iterable[str], room: int) -> int:
    """With the `room` models in memory that were used last."""
    resident: list[str] = []
    count = 0
    for model in order:
        count += model not in resident
        resident = [*(m for m in resident if m != model), model][-room:]
    return count


if __name__ == "__main__":
    main()
