"""What an image costs here, a model: gigabytes, and seconds that were measured or, before that, estimated.

Measured is what the ledger holds of this machine's own images. An estimate counts the network's work and divides by
what the device does in a second; whoever shows one says that it is one.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena.errors import ConfigError

if TYPE_CHECKING:
    from arena.config import ModelSettings
    from arena.ledger import Ledger

TFLOPS = 400.0  # what a large current GPU reaches in bfloat16, some 40% of what its maker promises
PATCHES = 4096  # a latent of 128 x 128 in patches of 2 x 2: what a network sees of 1024 x 1024 pixels
BESIDES = 0.3  # seconds for reading the prompt and decoding the picture
LAST = 200  # of a model's images so many of the newest are looked at
_ONE_PASS = {"FluxPipeline"}  # guidance is an input of the network there, not a second pass


@dataclass(frozen=True, slots=True)
class Cost:
    """One image of one model: `seconds` of the pipeline's call with the weights in memory, loading excluded."""

    model: str
    family: str
    memory_gb: float
    seconds: float
    measured: bool


def estimate(model: ModelSettings, tflops: float = TFLOPS) -> float | None:
    """Seconds for one image: two operations a parameter and patch, in every step and pass of guidance. None where
    the row does not say `parameters_b`. Right within a factor of two for the rows of arena.gpu.yaml."""
    if model.parameters_b is None:
        return None
    settings = model.settings
    guidance = settings.get("true_cfg_scale", settings.get("guidance_scale", 1.0))
    passes = 2 if guidance > 1 and model.pipeline.pipeline_class not in _ONE_PASS else 1
    pixels = settings.get("width", 1024) * settings.get("height", 1024) / 1024**2
    work = 2 * model.parameters_b * 1e9 * PATCHES * pixels * passes * settings.get("num_inference_steps", 1)
    return BESIDES + work / (tflops * 1e12)


def costs(models: Sequence[ModelSettings], measured: Mapping[str, float], *, tflops: float = TFLOPS) -> list[Cost]:
    """In the order of `models`. Raises ConfigError where a row says too little to go by."""
    found = []
    for model in models:
        seconds = measured.get(model.id, estimate(model, tflops))
        if seconds is None or model.memory_gb is None:
            lacking = "parameters_b" if seconds is None else "memory_gb"
            raise ConfigError(f"models.{model.id}: {lacking} is missing, and nothing was measured in its place")
        found.append(Cost(model.id, model.family, model.memory_gb, seconds, model.id in measured))
    return found


def measured_seconds(ledger: Ledger) -> dict[str, float]:
    """The median seconds of each model's newest images, as far as they were made here and on the hardware of the
    newest of them: what came from the dataset was made elsewhere. An image of a batch has but a share of a call's time:
    it counts only where its model has none that were made alone."""
    last = ledger.one("SELECT hardware FROM images WHERE from_hub = 0 ORDER BY seq DESC LIMIT 1")
    if last is None:
        return {}
    alone: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    rows = ledger.all("SELECT model, seconds, json_extract(settings, '$.batch.images') AS n FROM images "
                      "WHERE from_hub = 0 AND hardware = ? ORDER BY seq DESC LIMIT ?",
                      last["hardware"], 100 * LAST)  # fmt: skip
    for model, took, n in rows:
        if len(known := (shares if n else alone).setdefault(model, [])) < LAST:
            known.append(took)
    return {model: statistics.median(known) for model, known in {**shares, **alone}.items()}
