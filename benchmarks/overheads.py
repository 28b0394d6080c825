"""What it costs to have a picture made elsewhere: the way there and back, without the drawing.

Every way hands over the same finished PNG at once, in turns, so that all meet the same other load: a call in this process,
a spawned worker by a pipe, the example server over HTTP (asked by a client that keeps its connection, and by the
arena's own backend, which decodes what it gets), a Ray actor and, where it is installed, Ray Serve. For comparison: what
is done with every picture wherever it was made. Then `fill --ray` on two raylets of this machine with a backend that
draws at once: what is left is the overhead of an image, and the driver's memory must not grow with their number.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from _app import ROOT
from _machine import describe, table

sys.path.insert(0, str(ROOT))

SIDES = (256, 1024)
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # quiet, on the loopback


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="calls of each way and size")
    parser.add_argument("--images", type=int, default=2000, help="for fill --ray; 0 leaves it out")
    options = parser.parse_args()
    print(describe("ray", "starlette", "uvicorn", "huggingface_hub"))
    for side in SIDES:
        ways(side, options.rounds)
    if options.images:
        filled(options.images)


# -- ways ------------------------------------------------------------------------------------------------------------


def picture(side: int) -> Any:
    """As a photograph is: soft forms with some grain."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(7)
    soft = Image.fromarray(rng.integers(0, 256, (side // 32, side // 32, 3), dtype=np.uint8))
    grain = rng.normal(0, 4, (side, side, 3))
    pixels = np.asarray(soft.resize((side, side), Image.Resampling.BICUBIC), dtype=float) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def png(side: int) -> bytes:
    out = io.BytesIO()
    picture(side).save(out, "PNG", compress_level=3)
    return out.getvalue()


def ways(side: int, rounds: int) -> None:
    from arena.bank import Bank, encode

    data, drawn = png(side), picture(side)
    with ExitStack() as open_, tempfile.TemporaryDirectory() as folder:
        bank, made = Bank(folder, display_px=768), encode(drawn, 768)

        def store() -> None:
            bank.store(made)
            bank.remove(made.image_id)

        calls: dict[str, Callable[[], Any]] = {"a call in this process": lambda: data}
        calls["a spawned worker, by a pipe"] = open_.enter_context(worker(side))
        url = open_.enter_context(http_server(side))
        calls["examples/server.py, connection kept"] = open_.enter_context(kept_client(url))
        calls["the same by the arena's http backend"] = http_backend(url)
        calls["a Ray actor"] = actor = open_.enter_context(ray_actor(side))
        if serve := open_.enter_context(ray_serve(side)):
            calls["Ray Serve, connection kept"] = serve
        calls["for comparison: PNG and WebP of a picture"] = lambda: encode(drawn, 768)
        calls["for comparison: both files into the bank"] = store
        times: dict[str, list[float]] = {name: [] for name in calls}
        assert actor() == data
        for call in calls.values():
            call(), call()
        for _ in range(rounds):
            for name, call in calls.items():
                begun = time.perf_counter()
                call()
                times[name].append(1000 * (time.perf_counter() - begun))
    print(f"\n{side} x {side} pixels, a PNG of {len(data) / 1000:.0f} kB, {rounds} rounds; milliseconds")
    rows = [[name, *(f"{statistics.quantiles(found, n=20)[k]:.2f}" for k in (9, 18)), f"{min(found):.2f}"]
            for name, found in times.items()]  # fmt: skip
    print(table(["way", "p50", "p95", "least"], rows))


@contextmanager
def worker(side: int) -> Iterator[Callable[[], bytes]]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=answers, args=(there, side), daemon=True)
    process.start()

    def call() -> bytes:
        here.send("a prompt")
        return here.recv()

    yield call
    here.send(None)
    process.join(10)


def answers(pipe: Any, side: int) -> None:
    data = png(side)
    while pipe.recv() is not None:
        pipe.send(data)


@contextmanager
def http_server(side: int) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_http, args=(there, side), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{here.recv()}/"
    process.terminate()
    process.join(10)


def serve_http(pipe: Any, side: int) -> None:
    """The example's application with a painter that has everything drawn already."""
    import uvicorn

    from examples.server import Painter, make_app

    data = png(side)

    class Instant(Painter):
        def _draw(self, jobs: list[Any]) -> list[bytes]:
            return [data] * len(jobs)

    class Anything:
        def __call__(self, prompt=None, num_inference_steps=1):
            raise AssertionError("nothing is drawn here")

    running = uvicorn.Server(uvicorn.Config(make_app(Instant(Anything, name="instant")), port=0, log_level="error"))

    def tell() -> None:
        while not running.started:
            time.sleep(0.01)
        pipe.send(running.servers[0].sockets[0].getsockname()[1])

    threading.Thread(target=tell, daemon=True).start()
    running.run()


@contextmanager
def kept_client(url: str) -> Iterator[Callable[[], bytes]]:
    import httpx

    with httpx.Client() as client:
        while client.get(url + "health").status_code != 200:
            time.sleep(0.01)
        yield lambda: client.post(url, json={"inputs": "a prompt"}).raise_for_status().content


def http_backend(url: str) -> Callable[[], Any]:
    from arena.backends import make_backend
    from arena.backends.base import Request
    from arena.config import ModelSettings

    row = ModelSettings(id="m", name="M", organisation="o", family="f", licence="none", backend="http", source=url,
                        settings={"num_inference_steps": 1})  # fmt: skip
    backend, request = make_backend("http", config_dir=ROOT), Request(row, "a prompt", 7)
    return lambda: backend.generate([request], progress=lambda share: None, cancelled=lambda: False)[0].picture


@contextmanager
def ray_actor(side: int) -> Iterator[Callable[[], bytes]]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200_000_000, logging_level="error",
             log_to_driver=False)  # fmt: skip

    class Actor:
        def __init__(self, data: bytes):
            self.data = data

        def draw(self, prompt: str) -> bytes:
            return self.data

    actor = ray.remote(Actor).remote(png(side))
    yield lambda: ray.get(actor.draw.remote("a prompt"))
    ray.shutdown()


@contextmanager
def ray_serve(side: int) -> Iterator[Callable[[], bytes] | None]:
    """On the Ray of `ray_actor`. None where Ray Serve is not installed."""
    try:
        from ray import serve
    except ImportError:
        yield None
        return
    import httpx
    from starlette.responses import Response

    class Ready:
        def __init__(self, data: bytes):
            self.data = data

        async def __call__(self, request: Any) -> Response:
            await request.body()
            return Response(self.data, media_type="image/png")

    serve.start(http_options={"host": "127.0.0.1", "port": 8799}, logging_config={"log_level": "ERROR"})
    serve.run(serve.deployment(Ready, max_ongoing_requests=8).bind(png(side)))
    with httpx.Client() as client:
        yield lambda: client.post("http://127.0.0.1:8799/", json={"inputs": "a prompt"}).raise_for_status().content
    serve.shutdown()


# -- fill --ray ------------------------------------------------------------------------------------------------------


def filled(images: int, side: int = 256, models: int = 4) -> None:
    from ray.cluster_utils import Cluster

    from arena.build import build_arena
    from arena.ray_fill import RayFill

    common = {"num_cpus": 1, "object_store_memory": 200_000_000, "node_ip_address": "127.0.0.1",
              "include_dashboard": False}  # fmt: skip
    cluster = Cluster(initialize_head=True, head_node_args=common)
    cluster.add_node(**common)
    try:
        with tempfile.TemporaryDirectory() as name:
            config = prepare(Path(name), images // models, side, models)
            arena = build_arena(config, Path(name) / "data")
            wanted, asked = arena.stock.lacking(), time.perf_counter()
            filling, made, marks, busy = (
                RayFill(cluster.address, arena.stock, config.parent),
                0,
                [],
                time.process_time(),
            )
            for block in filling.fill(wanted):
                made += len(block.images)
                if not marks or made >= len(wanted) * len(marks) / 10:
                    marks.append((made, time.perf_counter() - asked, resident_mb()))
            busy = time.process_time() - busy
            filling.close()
            arena.close()
    finally:
        cluster.shutdown()
    (first, start, _), (last, end, _) = marks[0], marks[-1]
    each = 1000 * (end - start) / (last - first)
    print(f"\nfill --ray: {last} images of {side} x {side} pixels on two raylets of this machine, drawn at once")
    print(table(["images", "seconds", "driver's memory, MB"],
                [[str(n), seconds, memory] for n, seconds, memory in marks]))  # fmt: skip
    print(f"{start:.1f} s until the first block, then {each:.1f} ms an image, of which {1000 * busy / last:.1f} ms are the "
          f"driver's processor; 100,000 images at that pace: {each * 100 / 3600:.1f} h")  # fmt: skip


def prepare(folder: Path, prompts: int, side: int, models: int) -> Path:
    rows = [{"id": f"fake-{k}", "name": f"Fake {k}", "organisation": "Benchmarks", "family": "fake", "licence": "none",
             "backend": "fake", "source": "fake", "settings": {"width": side, "height": side}}
            for k in range(models)]  # fmt: skip
    path = folder / "arena.yaml"
    path.write_text(yaml.safe_dump({
        "models": rows,
        "categories": [{"name": "All", "prompts": [{"prompt": f"benchmark prompt number {k}"} for k in range(prompts)]}],
    }))  # fmt: skip
    return path


def resident_mb() -> float:
    """The driver's own memory; what it shares with Ray's object store is the store's, which has a size of its own."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main()
