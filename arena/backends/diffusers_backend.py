"""Images from diffusers pipelines on this machine, exactly with the arguments that a row states."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arena.backends import loading
from arena.backends.base import Cancelled, Generated, Progress, Request
from arena.backends.calling import call
from arena.backends.checks import check_model
from arena.backends.problems import kind_of, line, out_of_memory, unavailable
from arena.backends.residency import GB, Shelf, budget_bytes, free_for_pictures
from arena.backends.telling import Told
from arena.errors import BadSettings, GenerationCancelled, GenerationError, ModelMissing, OutOfMemory

if TYPE_CHECKING:
    from arena.config import ModelSettings

# Classes whose pictures depend on the other prompts of a batch beyond rounding, as test_gpu_roster.py finds them.
ALONE = frozenset({"HiDreamImagePipeline"})
LARGEST_BATCH = 8  # on a GPU, where neither the row nor the memory says less
PICTURE_BYTES = 4 * GB  # of activations for each megapixel, until it was measured: an SDXL autoencoder in float32


class DiffusersBackend:
    """Loads what is asked for, keeps what fits, and draws requests of one model together where the device gains by
    it. Nothing is loaded, and torch is not imported, before the first request."""

    def __init__(self, config_dir: Path, memory_gb: float | None = None, hf_token: str | None = None,
                 device: str | None = None):  # fmt: skip
        self._config_dir, self._memory_gb, self._token = Path(config_dir), memory_gb, hf_token
        self._device = device
        self._shelf: Shelf | None = None
        self._most: dict[str, int] = {}  # pipeline key -> largest batch since one was too large
        self._picture_bytes: dict[str, float] = {}  # model -> measured memory of one picture while it is drawn

    def generate(self, requests: Sequence[Request], *, progress: Progress, cancelled: Cancelled) -> list[Generated]:
        import torch

        told, results = Told(progress), dict[int, Generated]()

        def heard(begun: float, share: float) -> Callable[[float], None]:
            def step(fraction: float) -> None:
                if cancelled():
                    raise GenerationCancelled("The request was withdrawn.")
                told(begun + share * fraction)

            return step

        try:
            with torch.inference_mode():
                for places in alike(requests):
                    heard(len(results) / len(requests), 0.0)(0.0)
                    model = requests[places[0]].model
                    # No name is kept for the pipeline here: it would live on while the next model is read.
                    for some in chunks(places, self.batch(model, self.loaded(model))):
                        step = heard(len(results) / len(requests), len(some) / len(requests))
                        step(0.0)
                        made = self._draw([requests[i] for i in some], step)
                        results.update(zip(some, made, strict=True))
        except GenerationError as error:
            error.made = results
            raise
        told(1.0)
        return [results[i] for i in range(len(requests))]

    def takes(self, model: ModelSettings) -> int:
        if self._shelf is not None and key_of(model) in self._shelf:
            return self.batch(model, self._fetched(model))
        if model.pipeline.pipeline_class in ALONE:
            return 1
        usual = LARGEST_BATCH if self.device.startswith("cuda") else 1
        return min(self._most.get(key_of(model), 64), model.batch or usual)

    def check(self, model: ModelSettings) -> list[str]:
        return check_model(model, self._config_dir)

    def close(self) -> None:
        if self._shelf is not None:
            self._shelf.clear()
            self._shelf = None

    @property
    def device(self) -> str:
        if self._device is None:
            import torch

            self._device = ("cuda" if torch.cuda.is_available() else
                            "mps" if torch.backends.mps.is_available() else "cpu")  # fmt: skip
        return self._device

    @property
    def shelf(self) -> Shelf:
        if self._shelf is None:
            self._shelf = Shelf(budget_bytes(self._memory_gb, self.device), self._release)
        return self._shelf

    def loaded(self, model: ModelSettings) -> loading.Loaded:
        """The model's pipeline, read now if it is not in memory."""
        if (model.memory_gb or 0) * GB > self.shelf.budget:
            raise unavailable(model.id, f"needs {model.memory_gb} GB, but models may take "
                                        f"{self.shelf.budget / GB:.1f} GB here", kind=OutOfMemory)  # fmt: skip
        try:
            return self._fetched(model)
        except GenerationError:
            raise
        except Exception as error:  # whatever three libraries raise, the model cannot be had
            if not out_of_memory(error) or not self.shelf.keys:
                raise self._unloadable(model, error) from error
        self.shelf.clear()  # now that the error, which held half of it, is gone
        try:
            return self._fetched(model)
        except Exception as error:
            raise self._unloadable(model, error) from error

    def batch(self, model: ModelSettings, loaded: loading.Loaded) -> int:
        """How many images of the model go into one call: what its row says, else what memory holds on CUDA, else
        one, since other devices gain nothing by more. Never more than went well after a batch was too large."""
        most = self._most.get(key_of(model), 64)
        if type(loaded.pipeline).__name__ in ALONE:
            return 1
        if model.batch is not None:
            return min(most, model.batch)
        if not self.device.startswith("cuda"):
            return 1
        pixels = (model.settings.get("width") or 1024) * (model.settings.get("height") or 1024)
        guess = max((model.memory_gb or 0) * GB - sum(loaded.sizes.values()), PICTURE_BYTES * pixels / 1_000_000)
        fits = int(free_for_pictures(self.device) / self._picture_bytes.get(model.id, guess))
        return max(1, min(most, LARGEST_BATCH, fits))

    def dtype(self, wanted: str | None) -> str:
        """The type of the weights in memory. A CPU has no half-precision kernels worth the name: float16 there
        means float32, whatever is on disk."""
        import torch

        if self.device == "cpu":
            return wanted if wanted == "bfloat16" else "float32"
        if wanted is None and self.device == "cuda":
            return "bfloat16" if torch.cuda.get_device_capability()[0] >= 8 else "float16"
        return wanted or "float32"

    def _fetched(self, model: ModelSettings) -> loading.Loaded:
        key = key_of(model)
        if key in self.shelf:
            return self.shelf.get(key, lambda _: 0, lambda: None)
        planned = loading.plan(model, config_dir=self._config_dir, token=self._token,
                               dtype=self.dtype(model.pipeline.dtype))  # fmt: skip
        if planned.bytes() > self.shelf.budget:
            raise unavailable(model.id, f"its weights take {planned.bytes() / GB:.1f} GB, but models may take "
                                        f"{self.shelf.budget / GB:.1f} GB here", kind=OutOfMemory)  # fmt: skip
        return self.shelf.get(key, planned.bytes, lambda: loading.load(
            planned, config_dir=self._config_dir, token=self._token, device=self.device, find=self.shelf.find))  # fmt: skip

    def _unloadable(self, model: ModelSettings, error: Exception) -> GenerationError:
        kind, said = kind_of(error, model.source)
        if isinstance(error, loading.WrongRow):
            kind, said = (ModelMissing if isinstance(error, loading.NoSource) else BadSettings), str(error)
        return unavailable(model.id, f"cannot be loaded: {said}", kind=kind)

    def _draw(self, requests: list[Request], step: Callable[[float], None]) -> list[Generated]:
        """One call; where memory ends, calls of half as many, then with nothing else loaded, then an error."""
        model = requests[0].model
        loaded = self.loaded(model)
        vae = getattr(loaded.pipeline, "vae", None)
        dtype = getattr(vae, "dtype", None)
        try:
            with self._measured(model, len(requests)):
                return call(loaded, requests, step, device=self.device, hardware=self._hardware())
        except GenerationError:
            raise
        except Exception as error:  # bad arguments, a device's failure: the model cannot be run
            if not out_of_memory(error):
                kind, said = kind_of(error, model.source, calling=True)
                raise unavailable(model.id, f"failed while making an image: {said}", kind=kind) from error
            told = line(error)
        finally:
            if dtype is not None and vae.dtype != dtype:
                vae.to(dtype=dtype)  # SDXL decodes in float32 and, where that fails, leaves it so
        self.shelf.free()  # now that the error, which held the call's tensors, is gone
        key, half = key_of(model), len(requests) // 2
        if half:
            self._most[key] = half
            return [made for some in chunks(requests, half) for made in self._draw(some, step)]
        if self.shelf.keep_only(key):
            return self._draw(requests, step)
        del loaded, vae
        self.shelf.clear()
        raise unavailable(model.id, f"out of memory while making one image with nothing else loaded ({told})",
                          kind=OutOfMemory)  # fmt: skip

    def _measured(self, model: ModelSettings, n: int):
        return Measured(self._picture_bytes, model.id, n, self.device)

    def _hardware(self) -> str:
        import torch

        if self.device.startswith("cuda"):
            return torch.cuda.get_device_name()
        return "Apple GPU" if self.device == "mps" else f"CPU ({torch.get_num_threads()} threads)"

    def _release(self) -> None:
        import torch

        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        elif self.device == "mps":
            torch.mps.empty_cache()


class Measured:
    """Around a call on CUDA: notes how much memory a picture took, for the size of later batches."""

    def __init__(self, into: dict[str, float], model_id: str, n: int, device: str):
        self._into, self._model, self._n, self._cuda = into, model_id, n, device.startswith("cuda")

    def __enter__(self) -> None:
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._cuda and kind is None:
            import torch

            took = (torch.cuda.max_memory_allocated() - self._before) / self._n
            self._into[self._model] = max(took, 1.0, self._into.get(self._model, 0.0))


def key_of(model: ModelSettings) -> str:
    """Rows that differ in the call's arguments alone share one pipeline."""
    return json.dumps([model.source, model.revision, model.pipeline.model_dump()], sort_keys=True)


def alike(requests: Sequence[Request]) -> Iterator[list[int]]:
    """Places of requests that one call could serve: those of one row, in working order."""
    for _, places in itertools.groupby(working_order(requests), key=lambda i: requests[i].model.id):
        rest = list(places)
        while rest:  # rows of one id are one row, except where a test or a tool varies it
            same = [i for i in rest if requests[i].model == requests[rest[0]].model]
            yield same
            rest = [i for i in rest if i not in same]


def chunks(items: list, size: int) -> list[list]:
    """`items` in lists of `size`, the last one shorter."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def working_order(requests: Sequence[Request]) -> list[int]:
    """Requests of one model together, models in an order drawn from the seeds: were it the order of the sides,
    a progress bar that moves fast at first would say on which side the quick model is."""
    salt = "/".join(str(request.seed) for request in requests)
    rank = {m: hashlib.sha256(f"{salt}/{m}".encode()).digest() for m in {r.model.id for r in requests}}
    return sorted(range(len(requests)), key=lambda i: (rank[requests[i].model.id], i))
