"""Images from diffusers pipelines on this machine: one at a time, exactly with the arguments that a row states."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.backends import loading
from arena.backends.base import Cancelled, Generated, Progress, Request
from arena.backends.checks import RESERVED, check_model
from arena.backends.problems import explain, rejected, unavailable
from arena.backends.residency import GB, Shelf, budget_bytes
from arena.errors import GenerationCancelled, GenerationError

if TYPE_CHECKING:
    from arena.config import ModelSettings

# Progress moves in tenths: finer steps would count a model's steps aloud, and with them give it away.
GRAIN = 10


class DiffusersBackend:
    """Loads what is asked for, keeps what fits, and runs requests one by one.

    One by one because a batch changes the pictures (other kernels, other roundings), and an image must not
    depend on what was made beside it. Nothing is loaded, and torch is not imported, before the first request.
    """

    def __init__(self, config_dir: Path, memory_gb: float | None = None, hf_token: str | None = None,
                 device: str | None = None):  # fmt: skip
        self._config_dir, self._memory_gb, self._token = Path(config_dir), memory_gb, hf_token
        self._device = device
        self._shelf: Shelf | None = None

    def generate(self, requests: Sequence[Request], *, progress: Progress, cancelled: Cancelled) -> list[Generated]:
        import torch

        told = Told(progress)
        results: dict[int, Generated] = {}
        with torch.inference_mode():
            for done, i in enumerate(working_order(requests)):
                share = 1 / len(requests)

                def step(fraction: float, begun: float = done * share, share: float = share) -> None:
                    if cancelled():
                        raise GenerationCancelled("The request was withdrawn.")
                    told(begun + share * fraction)

                step(0.0)
                results[i] = self._one(requests[i], step)
        told(1.0)
        return [results[i] for i in range(len(requests))]

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

    def loaded(self, model: ModelSettings) -> loading.Loaded:
        """The model's pipeline, read now if it is not in memory."""
        if self._shelf is None:
            self._shelf = Shelf(budget_bytes(self._memory_gb, self.device), self._release)
        expected = int((model.memory_gb or 0) * GB)
        if expected > self._shelf.budget:
            raise unavailable(model.id, f"needs {model.memory_gb} GB, but models may take "
                                        f"{self._shelf.budget / GB:.1f} GB here")  # fmt: skip
        # Rows that differ in the call's arguments alone share one pipeline.
        key = json.dumps([model.source, model.revision, model.pipeline.model_dump()], sort_keys=True)
        try:
            return self._shelf.get(key, expected, lambda: self._load(model, key))
        except loading.WrongRow as error:
            raise unavailable(model.id, str(error)) from error
        except Exception as error:  # whatever three libraries raise, the model cannot be had
            self._after(error)
            raise unavailable(model.id, f"cannot be loaded: {explain(error, model.source)}") from error

    def dtype(self, wanted: str | None) -> str:
        """The type of the weights in memory. A CPU has no half-precision kernels worth the name: float16 there
        means float32, whatever is on disk."""
        import torch

        if self.device == "cpu":
            return wanted if wanted == "bfloat16" else "float32"
        if wanted is None and self.device == "cuda":
            return "bfloat16" if torch.cuda.get_device_capability()[0] >= 8 else "float16"
        return wanted or "float32"

    def _load(self, model: ModelSettings, key: str) -> loading.Loaded:
        return loading.load(model, config_dir=self._config_dir, token=self._token, device=self.device,
                            dtype=self.dtype(model.pipeline.dtype))  # fmt: skip

    def _one(self, request: Request, step: Callable[[float], None]) -> Generated:
        import torch

        model = request.model
        loaded = self.loaded(model)
        pipeline = loaded.pipeline
        step(0.0)
        arguments = call_arguments(model, type(pipeline))
        steps = model.settings.get("num_inference_steps") or 1

        def at_step_end(pipe, i, _timestep, tensors):
            step(min(1.0, (i + 1) / (getattr(pipe, "num_timesteps", None) or steps)))
            return tensors

        def at_step(i, _timestep, _latents):  # the older form, which PixArt still has
            step(min(1.0, (i + 1) / steps))

        accepted = inspect.signature(type(pipeline).__call__).parameters
        hook = ({"callback_on_step_end": at_step_end} if "callback_on_step_end" in accepted else
                {"callback": at_step, "callback_steps": 1} if "callback" in accepted else {})  # fmt: skip
        generator = torch.Generator("cpu").manual_seed(request.seed)  # the same noise on every kind of device
        began = time.perf_counter()
        try:
            output = pipeline(prompt=request.prompt, generator=generator, **model.settings, **hook)
        except GenerationError:
            raise
        except Exception as error:  # bad arguments, a device's failure: the model cannot be run
            self._after(error)
            raise unavailable(model.id, f"failed while making an image: {explain(error, model.source)}") from error
        seconds = time.perf_counter() - began
        if any(getattr(output, "nsfw_content_detected", None) or ()):
            raise rejected(model.id, "its own safety checker blocked the image")
        scheduler = pipeline.scheduler
        settings = {
            "pipeline": type(pipeline).__name__, "arguments": arguments, "dtype": loaded.dtype, "device": self.device,
            "scheduler": {"class": type(scheduler).__name__, **plain(dict(scheduler.config))},
            "components": loaded.components, "versions": versions(),
        }  # fmt: skip
        return Generated(output.images[0].convert("RGB"), seconds, settings, loaded.revision, self._hardware())

    def _hardware(self) -> str:
        import torch

        if self.device.startswith("cuda"):
            return torch.cuda.get_device_name()
        return "Apple GPU" if self.device == "mps" else f"CPU ({torch.get_num_threads()} threads)"

    def _after(self, error: Exception) -> None:
        """After running out of memory, start again from an empty shelf."""
        import torch

        if isinstance(error, torch.OutOfMemoryError) and self._shelf is not None:
            self._shelf.clear()

    def _release(self) -> None:
        import torch

        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        elif self.device == "mps":
            torch.mps.empty_cache()


class Told:
    """Progress as a listener hears it: rising, from 0 to 1, in coarse steps."""

    def __init__(self, listener: Progress):
        self._listener, self._last = listener, -1.0

    def __call__(self, fraction: float) -> None:
        coarse = int(fraction * GRAIN + 1e-6) / GRAIN
        if coarse > self._last:
            self._last = coarse
            self._listener(coarse)


def working_order(requests: Sequence[Request]) -> list[int]:
    """Requests of one model together, models in an order drawn from the seeds: were it the order of the sides,
    a progress bar that moves fast at first would say on which side the quick model is."""
    salt = "/".join(str(request.seed) for request in requests)
    rank = {m: hashlib.sha256(f"{salt}/{m}".encode()).digest() for m in {r.model.id for r in requests}}
    return sorted(range(len(requests)), key=lambda i: (rank[requests[i].model.id], i))


def call_arguments(model: ModelSettings, cls: type) -> dict[str, Any]:
    """Every argument of the call as it is recorded: the row's, and for the rest the class's own. Refuses what
    the class does not name, which some classes would swallow in silence."""
    parameters = inspect.signature(cls.__call__).parameters
    unknown = [key for key in model.settings if key not in parameters or key in RESERVED]
    if unknown:
        raise unavailable(model.id, f"settings.{unknown[0]} is not an argument that {cls.__name__} takes from a row")
    defaults = {name: p.default for name, p in parameters.items()
                if p.default is not inspect.Parameter.empty and name not in RESERVED}  # fmt: skip
    return plain({**defaults, **model.settings})


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same as plain JSON values; private keys and what is no plain value are left out."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        try:
            if not key.startswith("_"):
                kept[key] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return kept


def versions() -> dict[str, str]:
    import diffusers
    import torch
    import transformers

    return {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
