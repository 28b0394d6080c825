"""Components that several models have in common: known by what is in their files, kept in memory once, counted once.

T5-XXL, CLIP and the autoencoders come with many models, under various names in various repositories. Two components
are the same part where their class, settings, weights and type in memory are.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

WEIGHTS = {".safetensors", ".bin", ".pt"}
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|fp8|non_ema|ema)[.-]")
_FLOATS = {"F64", "F32", "F16", "BF16"}
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def weight_files(folder: Path, variant: str | None) -> list[Path]:
    """The files of a component's folder that are read: of the variant where it has them, .safetensors where there
    are any."""
    files = sorted(path for path in folder.glob("*") if path.suffix in WEIGHTS)
    marked = [path for path in files if variant and re.search(rf"\.{re.escape(variant)}[.-]", path.name)]
    files = marked or [path for path in files if not _VARIANT.search(path.name)] or files
    return [path for path in files if path.suffix == ".safetensors"] or files


def part_key(kind: type | str, config: Path, weights: list[Path], dtype: str) -> str:
    """What a component is, as a hash: the same for equal components wherever they lie."""
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        settings = {}
    # Where it was copied from, and by which version of a library, makes no other part of it.
    said = {key: value for key, value in settings.items()
            if not key.startswith("_") and key not in ("transformers_version", "torch_dtype", "dtype")}  # fmt: skip
    name = kind if isinstance(kind, str) else kind.__name__
    what = [name, said, sorted(digest(path) for path in weights), dtype]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes. The Hub's cache has large files under that very name."""
    real = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", real.name):
        return real.name
    status = real.stat()
    return _digest(str(real), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _digest(path: str, _size: int, _changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_in_memory(weights: list[Path], dtype: str) -> int:
    """What weights will take once they are read as `dtype`, from the heads of their files."""
    total = 0
    for path in weights:
        if path.suffix != ".safetensors":
            total += path.stat().st_size
            continue
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in head.items():
            if name != "__metadata__":
                begin, end = tensor["data_offsets"]
                floats = tensor["dtype"] in _FLOATS
                total += math.prod(tensor["shape"]) * _BYTES[dtype] if floats else end - begin
    return total


def module_bytes(module: Any) -> int:
    """The bytes of a component's parameters and buffers; tied tensors are counted once; 0 for a tokenizer."""
    import torch

    if not isinstance(module, torch.nn.Module):
        return 0
    return sum({t.data_ptr(): t.nbytes for t in (*module.parameters(), *module.buffers())}.values())
