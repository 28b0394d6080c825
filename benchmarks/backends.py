"""What our diffusers backend costs over a bare call of the same pipeline, what a batch gains, and what a swap takes.

`--sizes sdxl-small,flux-small` (the default) builds small pipelines of these families with random weights, whose calls
take a processor one to two seconds; `sdxl,flux` those of the published sizes, which want a CUDA GPU and 41 GB of disk;
`tiny` runs two of the demonstration models of arena.yaml. All go the same way through the backend.

Calls of the bare pipeline and of the backend take turns, in pairs whose order alternates, with the same prompt, seed and
arguments, and their pictures must be equal. The ratio is the median of the pairs' own ratios, so that what slows both of a
pair is in neither; on a processor it is of the process's own time, which waits for nobody, on a GPU of the wall's. Its
interval (95%, bootstrap over pairs) decides: a machine too noisy for 2% is told so. Noise or not, "its own" is all that the
backend itself does for an image, before, after and at every step of the call, in the process's own time.
"""

from __future__ import annotations

import argparse
import functools
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import _one_thread  # noqa: F401 (before torch)
from _machine import describe, table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from arena.backends import Request  # noqa: E402
from arena.backends.diffusers_backend import DiffusersBackend  # noqa: E402
from arena.config import ModelSettings, load_config  # noqa: E402

PROMPT = "a red heart on a white background"
MOST_OVERHEAD = 1.02
FEWEST = 20  # pairs, of which an interval can be drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", default="sdxl-small,flux-small", help="tiny, or some of sdxl-small,flux-small,sdxl,flux"
    )
    parser.add_argument("--rounds", type=int, default=40, help="pairs of calls")
    parser.add_argument("--batches", default="1,2,4,8", help="sizes of batches")
    options = parser.parse_args()
    print(describe("torch", "diffusers"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        models, home = rows(options.sizes.split(","), Path(folder))
        backend = DiffusersBackend(home)
        print(f"device: {backend.device} {torch.cuda.get_device_name() if backend.device == 'cuda' else ''}\n")
        overhead(backend, models, options.rounds)
        batching(backend, models, [int(n) for n in options.batches.split(",")], options.rounds)
        backend.close()
        swaps(home, models, options.rounds)


def rows(sizes: list[str], folder: Path) -> tuple[list[ModelSettings], Path]:
    """The models to measure, and where their sources are."""
    if sizes == ["tiny"]:
        known = {model.id: model for model in load_config(ROOT / "arena.yaml").models}
        return [known["tiny-unet"], known["tiny-flow"]], ROOT
    from _sized import save

    device, found = "cuda" if torch.cuda.is_available() else "cpu", []
    for size in sizes:
        row = save(size, folder / size, device)
        found.append(ModelSettings(id=size, name=size, organisation="-", family=size, licence="-", **row))
        gc.collect()
    return found, folder


def draw(backend: DiffusersBackend, model: ModelSettings, n: int = 1) -> list:
    requests = [Request(model, PROMPT, seed) for seed in range(n)]
    return backend.generate(requests, progress=lambda share: None, cancelled=lambda: False)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall, and of the processor."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def overhead(backend: DiffusersBackend, models: list[ModelSettings], rounds: int) -> None:
    lines, most = [], 0.0
    for model in models:
        pipeline = backend.loaded(model).pipeline

        def bare(model=model, pipeline=pipeline):
            with torch.inference_mode():
                noise = torch.Generator("cpu").manual_seed(0)
                return pipeline(prompt=PROMPT, generator=noise, **model.settings).images[0]

        own: list[float] = []

        def ours(model=model, pipeline=pipeline, own=own):
            with not_ours(type(pipeline)) as spent:
                began = time.process_time()
                picture = draw(backend, model)[0].picture
                own.append(1000 * (time.process_time() - began - sum(spent)))
            return picture

        same = np.array_equal(np.asarray(bare()), np.asarray(ours()))  # and both are warm now
        assert same, "the backend draws another picture"
        own.clear()
        took: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
        for turn in range(rounds):
            for name, work in sorted({"bare": bare, "ours": ours}.items(), reverse=bool(turn % 2)):
                took[name].append(timed(work))
        column = 0 if backend.device == "cuda" else 1
        medians = {
            name: [1000 * statistics.median(pair[i] for pair in pairs) for i in (0, 1)] for name, pairs in took.items()
        }
        ratios = np.array([b[column] / a[column] for a, b in zip(took["bare"], took["ours"], strict=True)])
        ratio, (low, high) = float(np.median(ratios)), interval(ratios)
        verdict = "PASS" if high <= MOST_OVERHEAD else "FAIL" if low > MOST_OVERHEAD else "undecided"
        beside = statistics.median(own)
        most = max(most, beside / medians["bare"][1])
        lines.append([model.id, *medians["bare"], *medians["ours"], f"{ratio:.4f}", f"{low:.4f} to {high:.4f}",
                      f"{beside:.2f}", f"{100 * beside / medians['bare'][1]:.2f}%", rounds, verdict if rounds >= FEWEST else "too few"])  # fmt: skip
    print(f"one image: a bare call of the pipeline, and our backend; at most {MOST_OVERHEAD} is wanted")
    head = ["model", "bare, wall ms", "CPU ms", "ours, wall ms", "CPU ms", "ours / bare", "95%", "its own, ms", "share",
            "pairs", ""]  # fmt: skip
    print(table(head, lines))
    allowed = MOST_OVERHEAD - 1
    print(
        f"its own, at most {allowed:.0%} of the call: {'PASS' if most <= allowed else 'FAIL'} ({most:.2%})\n",
        flush=True,
    )


@contextmanager
def not_ours(cls: type) -> Iterator[list[float]]:
    """While open, the processor's seconds that calls of pipelines of this class take are noted, less those of what the
    backend is told at every step."""
    call, spent = cls.__call__, []

    @functools.wraps(call)  # the backend looks at its arguments
    def noted(*args, callback_on_step_end, **kwargs):
        told = 0.0

        def tell(*of):
            nonlocal told
            began = time.process_time()
            answer = callback_on_step_end(*of)
            told += time.process_time() - began
            return answer

        began = time.process_time()
        output = call(*args, callback_on_step_end=tell, **kwargs)
        spent.append(time.process_time() - began - told)
        return output

    cls.__call__ = noted
    try:
        yield spent
    finally:
        cls.__call__ = call


def interval(values: np.ndarray, times: int = 10_000) -> tuple[float, float]:
    """The middle 95% of the medians of samples drawn from `values` with replacement."""
    drawn = np.random.default_rng(0).choice(values, (times, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def batching(backend: DiffusersBackend, models: list[ModelSettings], sizes: list[int], rounds: int) -> None:
    lines = []
    for model in models:
        variants = {n: model.model_copy(update={"batch": n}) for n in sizes}
        took: dict[int, list[float]] = {n: [] for n in sizes}
        column = 0 if backend.device == "cuda" else 1
        for n in sizes:
            draw(backend, variants[n], n)
        for turn in range(max(3, rounds // 8)):
            for n in sorted(sizes, reverse=bool(turn % 2)):
                took[n].append(timed(lambda n=n, row=variants[n]: draw(backend, row, n))[column] / n)
        first = statistics.median(took[sizes[0]])
        lines += [
            [model.id, n, 1000 * statistics.median(took[n]), f"{first / statistics.median(took[n]):.2f}"] for n in sizes
        ]
    print(f"batches: {'wall' if backend.device == 'cuda' else 'CPU'} time for each image")
    print(table(["model", "images in a call", "ms an image", "gain"], lines) + "\n")


def swaps(home: Path, models: list[ModelSettings], rounds: int) -> None:
    """Two models in turn, with room for one and with room for both."""
    models = [model.model_copy(update={"memory_gb": None}) for model in models]  # their weights alone count here
    first, second = models[0], models[-1] if len(models) > 1 else models[0].model_copy(
        update={"id": "again", "pipeline": models[0].pipeline.model_copy(update={"dtype": "float32"})})  # fmt: skip
    lines = []
    for what, budget in (("room for one", None), ("room for both", 1000.0)):
        backend = DiffusersBackend(home, memory_gb=budget or 1000.0)
        sizes = [sum(backend.loaded(model).sizes.values()) / 1e9 for model in (first, second)]
        if budget is None:
            backend.shelf.budget = int(max(sizes) * 1.01e9)
        times: dict[str, list[float]] = {first.id: [], second.id: []}
        for _ in range(max(3, rounds // 8)):
            for model in (first, second):
                times[model.id].append(timed(lambda model=model, backend=backend: backend.loaded(model))[0])
        lines += [[what, model.id, f"{size:.3f}", 1000 * statistics.median(times[model.id]), 1000 * max(times[model.id])]
                  for model, size in zip((first, second), sizes, strict=True)]  # fmt: skip
        backend.close()
    print("swaps: until the other model's pipeline is there (its files are in the system's cache)")
    print(table(["budget", "model", "GB", "median ms", "longest ms"], lines))


if __name__ == "__main__":
    main()
