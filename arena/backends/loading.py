"""From a row of arena.yaml to a loaded diffusers pipeline: where its files are, which components come from
elsewhere, and what exactly was loaded."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.backends.parts import bytes_in_memory, digest, module_bytes, part_key, weight_files

if TYPE_CHECKING:
    from arena.config import ComponentSource, ModelSettings

INDEX = "model_index.json"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# While a model is built, diffusers and transformers patch torch itself: two builds at once disturb each other.
LOAD_LOCK = threading.Lock()
# What the hash of a local folder covers: all that decides a picture, not its readme.
_HASHED = {".safetensors", ".bin", ".pt", ".json", ".txt", ".model"}


class WrongRow(Exception):
    """The row cannot be loaded as it is written; the text says why."""


class NoSource(WrongRow):
    """What the row names as its source is nowhere."""


@dataclass(slots=True)
class Loaded:
    pipeline: Any
    revision: str  # the Hub's commit, or "sha256:" and the start of the hash of a local folder
    components: dict[str, str]  # component -> where it came from and at which commit, for those taken from elsewhere
    dtype: str
    parts: dict[str, Any] = field(default_factory=dict)  # part key -> component; see `parts`
    sizes: dict[str, int] = field(default_factory=dict)  # part key -> bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read for a model. Its files are on this machine already."""

    model: ModelSettings
    folder: Path
    commit: str | None
    index: dict[str, Any]
    cls: type
    dtype: str
    keys: dict[str, str]  # component -> part key
    sizes: dict[str, int]  # part key -> bytes once it is read

    def bytes(self, present: Collection[str] = ()) -> int:
        """What reading it adds where the parts `present` are in memory."""
        return sum(size for key, size in self.sizes.items() if key not in present)


def local_folder(source: str, config_dir: Path) -> Path | None:
    """The folder that `source` names, relative to arena.yaml; None where there is none."""
    folder = config_dir / Path(source).expanduser()
    return folder if folder.is_dir() else None


def pipeline_class(index: dict[str, Any], wanted: str | None) -> type:
    """The class that a model_index.json names, when diffusers has it and it is the one that the row expects."""
    import diffusers

    name = index.get("_class_name")
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (isinstance(cls, type) and issubclass(cls, diffusers.DiffusionPipeline)):
        raise WrongRow(f"{INDEX} names {name}, which diffusers {diffusers.__version__} does not have")
    if wanted and name != wanted:
        raise WrongRow(f"pipeline.pipeline_class is {wanted}, but {INDEX} names {name}")
    return cls


def plan(model: ModelSettings, *, config_dir: Path, token: str | None, dtype: str) -> Plan:
    """Find the files of a model, fetching them from the Hub where they are neither local nor cached."""
    import diffusers

    how = model.pipeline
    folder, commit = local_folder(model.source, config_dir), None
    if folder is None:
        folder, commit = _snapshot(model.source, INDEX, model.revision, token)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    cls = pipeline_class(index, how.pipeline_class)
    if commit is not None:
        # Components that are replaced are not downloaded.
        folder = Path(diffusers.DiffusionPipeline.download(
            model.source, revision=commit, variant=how.variant, token=token, **dict.fromkeys(how.components)
        ))  # fmt: skip
    keys, sizes = {}, {}
    for name, value in index.items():
        own = isinstance(value, list) and len(value) == 2 and value[1] and name not in how.components
        if own and (files := weight_files(folder / name, how.variant)):
            keys[name] = part_key(value[1], folder / name / "config.json", files, dtype)
            sizes[keys[name]] = bytes_in_memory(files, dtype)
    return Plan(model, folder, commit, index, cls, dtype, keys, sizes)


def load(planned: Plan, *, config_dir: Path, token: str | None, device: str,
         find: Callable[[str], Any | None] = lambda key: None) -> Loaded:  # fmt: skip
    """Read the weights. `find` gives a part that is in memory already, by its key."""
    with LOAD_LOCK:
        return _load(planned, config_dir, token, device, find)


def _load(planned: Plan, config_dir: Path, token: str | None, device: str,
          find: Callable[[str], Any | None]) -> Loaded:  # fmt: skip
    import diffusers
    import torch
    import transformers

    # Both libraries draw a bar for every component, and warn of what works and nobody can change (no torchvision, a
    # small autoencoder where a large one is usual). The Hub's own download bars stay, and errors are ours to tell.
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()

    how, torch_dtype, folder = planned.model.pipeline, getattr(torch, planned.dtype), planned.folder
    # A component that the folder says is absent must be passed as None where the class requires it.
    given: dict[str, Any] = {name: None for name, value in planned.index.items()
                             if isinstance(value, list) and value and value[0] is None}  # fmt: skip
    keys, origins = dict(planned.keys), dict[str, str]()
    for name, key in planned.keys.items():
        if (part := find(key)) is not None:
            given[name] = part
    for name, where in how.components.items():
        kind = component_class(planned.cls, planned.index, name)
        keys[name], read, origins[name] = _component(kind, name, where, folder, config_dir, token, planned.dtype)
        part = find(keys[name])
        given[name] = read() if part is None else part
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        folder, dtype=torch_dtype, variant=how.variant, local_files_only=True, **given
    )
    if how.scheduler:
        kind = scheduler_class(how.scheduler, type(pipeline.scheduler))
        changes = {key: value for key, value in how.scheduler.items() if key != "class"}
        pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **changes)
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    modules = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    parts = {keys.get(name, f"{id(part)}"): part for name, part in modules.items()}
    return Loaded(pipeline, planned.commit or folder_hash(folder), origins, planned.dtype, parts,
                  {key: module_bytes(part) for key, part in parts.items()})  # fmt: skip


def component_class(cls: type, index: dict[str, Any], name: str) -> type:
    """The class of a component: what model_index.json says, else what the pipeline's constructor asks for."""
    import diffusers
    import transformers

    library, kind = (index.get(name) or [None, None])[:2]
    if kind is not None:
        home = {"diffusers": diffusers, "transformers": transformers}.get(library)
        found = getattr(home or getattr(diffusers.pipelines, str(library), None), kind, None)
    else:
        hint = typing.get_type_hints(cls.__init__).get(name)
        found = next((t for t in (typing.get_args(hint) or (hint,)) if hasattr(t, "from_pretrained")), None)
    if found is None:
        raise WrongRow(f"pipeline.components.{name}: {cls.__name__} has no such component, or its class is unknown")
    # Which of the many tokenizer classes fits is for the tokenizer's own files to say.
    return transformers.AutoTokenizer if "Tokenizer" in found.__name__ else found


def scheduler_class(changes: dict[str, Any], own: type | None) -> type | None:
    """The scheduler that a row's `scheduler` asks for with its key "class"; without it, the folder's own."""
    import diffusers

    if "class" not in changes:
        return own
    found = getattr(diffusers, str(changes["class"]), None)
    if not (isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin)):
        raise WrongRow(f"pipeline.scheduler.class: diffusers {diffusers.__version__} has no {changes['class']}")
    return found


def _component(kind: type, name: str, where: ComponentSource, folder: Path, config_dir: Path, token: str | None,
               dtype: str) -> tuple[str, Callable[[], Any], str]:  # fmt: skip
    """One component from another place: its part key, what reads it, and a line that says where it is from."""
    import torch

    local, torch_dtype = local_folder(where.source, config_dir), getattr(torch, dtype)
    inside = f"{where.subfolder}/" if where.subfolder else ""
    if where.file:
        if local:
            path, origin = local / inside / where.file, f"{where.source}/{inside}{where.file}"
        else:
            root, commit = _snapshot(where.source, inside + where.file, where.revision, token)
            path, origin = root / inside / where.file, f"{where.source}@{commit}/{inside}{where.file}"
        key = part_key(kind, folder / name / "config.json", [path], dtype)
        return key, lambda: _from_file(kind, folder / name, path, torch_dtype), origin
    probe = inside + ("tokenizer_config.json" if kind.__name__ == "AutoTokenizer" else
                      "scheduler_config.json" if "Scheduler" in kind.__name__ else "config.json")  # fmt: skip
    revision, origin = None, f"{where.source}/{inside}".rstrip("/")
    if local is None:
        _, revision = _snapshot(where.source, probe, where.revision, token)
        origin = f"{where.source}@{revision}/{inside}".rstrip("/")
        key = f"{kind.__name__}:{origin}:{dtype}"  # its weights are fetched as they are read
    else:
        key = part_key(kind, local / probe, weight_files(local / inside, None), dtype)
    arguments: dict[str, Any] = {"subfolder": where.subfolder or "", "token": token, "revision": revision or "main"}
    if issubclass(kind, torch.nn.Module):
        arguments["dtype"] = torch_dtype
    return key, lambda: kind.from_pretrained(str(local or where.source), **arguments), origin


def _from_file(kind: type, config: Path, weights: Path, dtype):
    """A diffusers model built from the base folder's configuration and the weights of one safetensors file."""
    import diffusers
    import torch
    from safetensors.torch import load_file

    if not issubclass(kind, diffusers.ModelMixin):
        raise WrongRow(f"pipeline.components: `file` is for diffusers models; {kind.__name__} needs a folder")
    if weights.suffix != ".safetensors":
        raise WrongRow(f"pipeline.components: {weights.name} is not a .safetensors file")
    state, settings = load_file(weights), kind.load_config(config)
    # On the meta device nothing is initialised only to be overwritten. A buffer that is not in the file would
    # stay there without values: such a model is built the slow way.
    with torch.device("meta"):
        module = kind.from_config(settings)
    module.load_state_dict(state, assign=True)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        module = kind.from_config(settings)
        module.load_state_dict(state)
    return module.to(dtype=dtype).eval()


def _snapshot(source: str, file: str, revision: str | None, token: str | None) -> tuple[Path, str]:
    """Fetch one file of a Hub repository; its snapshot's folder and the commit that the revision stands for."""
    from huggingface_hub import hf_hub_download

    if not HUB_ID.fullmatch(source):
        raise NoSource(f"there is no folder {source} beside arena.yaml, and it is no Hub repository id")
    path = Path(hf_hub_download(source, file, revision=revision, token=token))
    root = path.parents[file.count("/")]
    return root, root.name


def folder_hash(folder: Path) -> str:
    """The start of a SHA-256 over the names and bytes of a local folder's weights and settings."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _HASHED and p.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest(path)}\n".encode())
    return f"sha256:{total.hexdigest()[:16]}"
