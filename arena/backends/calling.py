"""One call of a pipeline for one or more requests of a model: its arguments, its noise, and what came of it."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from arena.backends.base import Generated, Request
from arena.backends.checks import RESERVED
from arena.backends.problems import blocked, unavailable
from arena.errors import BadSettings

if TYPE_CHECKING:
    from arena.backends.loading import Loaded
    from arena.config import ModelSettings


def call(loaded: Loaded, requests: Sequence[Request], step: Callable[[float], None], *, device: str,
         hardware: str) -> list[Generated]:  # fmt: skip
    """A picture a request; all are of one model. `step` hears how far it is, from 0 to 1, and may raise to end it.

    Every picture has the noise of its own seed, from a generator on the CPU: it is the same noise on every kind of
    device and in every batch. The seconds of a picture are its equal share of the call, whose length and number of
    pictures are in `settings["batch"]` where there was more than one.
    """
    import torch

    model, pipeline, n = requests[0].model, loaded.pipeline, len(requests)
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
    noise = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
    texts, given = [request.prompt for request in requests], dict(model.settings)
    if n > 1:  # where there is a list of prompts, some classes want a list of negative ones too
        given |= {key: [value] * n for key, value in given.items()
                  if key.startswith(("negative_prompt", "prompt_")) and isinstance(value, str)}  # fmt: skip
    began = time.perf_counter()
    output = pipeline(prompt=texts if n > 1 else texts[0], generator=noise if n > 1 else noise[0], **given, **hook)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise blocked(model.id, "its own safety checker blocked the image")
    scheduler = pipeline.scheduler
    settings = {
        "pipeline": type(pipeline).__name__, "arguments": arguments, "dtype": loaded.dtype, "device": device,
        "scheduler": {"class": type(scheduler).__name__, **plain(dict(scheduler.config))},
        "components": loaded.components, "versions": versions(),
        **({"batch": {"images": n, "seconds": round(seconds, 4)}} if n > 1 else {}),
    }  # fmt: skip
    return [Generated(picture.convert("RGB"), seconds / n, settings, loaded.revision, hardware)
            for picture in output.images]  # fmt: skip


def call_arguments(model: ModelSettings, cls: type) -> dict[str, Any]:
    """Every argument of the call as it is recorded: the row's, and for the rest the class's own. Refuses what
    the class does not name, which some classes would swallow in silence."""
    parameters = inspect.signature(cls.__call__).parameters
    unknown = [key for key in model.settings if key not in parameters or key in RESERVED]
    if unknown:
        raise unavailable(model.id, f"settings.{unknown[0]} is not an argument that {cls.__name__} takes from a row",
                          kind=BadSettings)  # fmt: skip
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
