"""What is wrong with a model's row, as far as can be said without reading weights or asking the network."""

from __future__ import annotations

import difflib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.backends.loading import (
    HUB_ID,
    INDEX,
    WrongRow,
    component_class,
    local_folder,
    pipeline_class,
    scheduler_class,
)

if TYPE_CHECKING:
    from arena.config import ModelSettings

# Arguments of a pipeline's call that belong to the backend, not to a row.
RESERVED = frozenset({
    "self", "kwargs", "prompt", "generator", "latents", "image", "num_images_per_prompt", "output_type", "return_dict",
    "callback", "callback_steps", "callback_on_step_end", "callback_on_step_end_tensor_inputs",
})  # fmt: skip
# What a row must state where the class has it: a distilled checkpoint with its class's defaults is another model.
STATED = ("num_inference_steps", "guidance_scale", "height", "width")


def check_model(model: ModelSettings, config_dir: Path) -> list[str]:
    """One line a mistake, each beginning with the key where it is; empty when nothing is wrong."""
    try:
        folder, index = _index(model, config_dir)
        cls = _named_class(model.pipeline.pipeline_class) if index is None else pipeline_class(
            index, model.pipeline.pipeline_class)  # fmt: skip
    except WrongRow as error:
        return [str(error)]
    found: list[str] = []
    if cls is not None:
        found += _settings(model, cls) + _components(model, cls, index or {}, config_dir)
        found += _scheduler(model, index or {})
    if folder is not None and index is not None:
        found += _folder(model, folder, index)
    return found


def _index(model: ModelSettings, config_dir: Path) -> tuple[Path | None, dict[str, Any] | None]:
    """The folder and its model_index.json: local, or left in the Hub's cache by an earlier run; else nothing."""
    from huggingface_hub import try_to_load_from_cache

    folder = local_folder(model.source, config_dir)
    if folder is None:
        if not HUB_ID.fullmatch(model.source):
            raise WrongRow(f"source: there is no folder {model.source} beside arena.yaml, "
                           "and it is no Hub repository id")  # fmt: skip
        cached = try_to_load_from_cache(model.source, INDEX, revision=model.revision)
        return None, json.loads(Path(cached).read_text(encoding="utf-8")) if isinstance(cached, str) else None
    if model.revision:
        raise WrongRow("revision: belongs to a Hub repository; a local folder's revision is the hash of its files")
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WrongRow(f"source: {model.source} holds no {INDEX}, so it is no diffusers folder") from None
    except ValueError as error:
        raise WrongRow(f"source: {model.source}/{INDEX} is not JSON ({error})") from None
    return folder, index


def _named_class(name: str | None) -> type | None:
    return pipeline_class({"_class_name": name}, name) if name else None


def _settings(model: ModelSettings, cls: type) -> list[str]:
    parameters = inspect.signature(cls.__call__).parameters
    allowed = [name for name in parameters if name not in RESERVED]
    found = []
    for key in model.settings:
        if key in RESERVED:
            found.append(f"settings.{key}: the backend sets this itself")
        elif key not in parameters:
            near = difflib.get_close_matches(key, allowed, 1)
            found.append(f"settings.{key}: not an argument of {cls.__name__}"
                         + (f"; did you mean {near[0]}?" if near else ""))  # fmt: skip
    for key in STATED:
        if key in parameters and key not in model.settings:
            if key == "guidance_scale" and parameters[key].default is None:
                continue  # a class for models that were not distilled for it (Qwen-Image) has it switched off
            found.append(f"settings.{key}: must be stated; the default of {cls.__name__} may not fit this checkpoint")
    return found


def _components(model: ModelSettings, cls: type, index: dict[str, Any], config_dir: Path) -> list[str]:
    found = []
    for name, where in model.pipeline.components.items():
        try:
            component_class(cls, index, name)
        except WrongRow as error:
            found.append(str(error))
        local = local_folder(where.source, config_dir)
        if local is None and not HUB_ID.fullmatch(where.source):
            found.append(f"pipeline.components.{name}.source: neither a folder beside arena.yaml nor a Hub id")
        if local is not None and where.file and not (local / (where.subfolder or "") / where.file).is_file():
            found.append(f"pipeline.components.{name}.file: there is no {where.file} in {where.source}")
    return found


def _scheduler(model: ModelSettings, index: dict[str, Any]) -> list[str]:
    import diffusers

    try:
        own = getattr(diffusers, (index.get("scheduler") or [None, ""])[1] or "", None)
        scheduler = scheduler_class(model.pipeline.scheduler, own)
    except WrongRow as error:
        return [str(error)]
    if scheduler is None or "scheduler" in model.pipeline.components:
        return []
    known = inspect.signature(scheduler.__init__).parameters
    return [f"pipeline.scheduler.{key}: not an argument of {scheduler.__name__}"
            for key in model.pipeline.scheduler if key != "class" and key not in known]  # fmt: skip


def _folder(model: ModelSettings, folder: Path, index: dict[str, Any]) -> list[str]:
    """Whether a local folder holds what its model_index.json lists."""
    listed = {name: value for name, value in index.items()
              if isinstance(value, list) and len(value) == 2 and value[1] is not None
              and name not in model.pipeline.components}  # fmt: skip
    found = [f"source: {model.source} lacks its component {name}" for name in listed if not (folder / name).is_dir()]
    variant = model.pipeline.variant
    if variant and not any(folder.glob(f"*/*.{variant}*.safetensors")):
        found.append(f"pipeline.variant: {model.source} has no files of the variant {variant}")
    return found
