"""The command `check`: whether arena.yaml is sound, and with `--generate` whether every model makes an image."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from arena.backends import Backend, Request, make_backend, reason
from arena.backends.footprint import Footprint
from arena.config import ArenaConfig, ModelSettings, load_config
from arena.errors import ConfigError, GenerationError

HEAD = ("model", "result", "cold s", "warm s", "added MB", "of", "size", "hardware")
LOADS = ("diffusers", "zerogpu")  # backends that download weights
PROMPT = "a red circle on a blue background"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one model. `cold` is the whole first call, in seconds, with loading; `warm` the drawing alone of a
    second image. `added` is the peak of memory over both, in bytes, of the `where` of Footprint."""

    model: str
    failure: GenerationError | None = None
    cold: float | None = None
    warm: float | None = None
    added: int = 0
    where: str = ""
    size: str = ""
    hardware: str = ""

    def cells(self) -> list[str]:
        """A row under HEAD."""
        numbers = [f"{value:.2f}" if value is not None else "-" for value in (self.cold, self.warm)]
        result = "ok" if self.failure is None else type(self.failure).__name__
        return [self.model, result, *numbers, f"{self.added / 1e6:,.0f}", self.where, self.size or "-", self.hardware]


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("check", help="validate arena.yaml and its models")
    parser.add_argument("--generate", action="store_true",
                        help="also make images with every model: one cold and one warm, over HTTP one alone")  # fmt: skip
    parser.add_argument("--model", action="append", metavar="ID", help="only this model; can be given several times")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """0 where all is well, 1 where a model made no image, 2 where the file is wrong."""
    config, name = load_config(arguments.config), arguments.config.name
    models, token = chosen(config, arguments.model), os.environ.get("HF_TOKEN")

    def make(model: ModelSettings) -> Backend:
        return make_backend(model.backend, config_dir=arguments.config.resolve().parent, memory_gb=config.memory_gb,
                            hf_token=token)  # fmt: skip

    backends = {model.backend: make(model) for model in models}
    wrong = [f"{name}: models.{m.id}: {problem}" for m in models for problem in backends[m.backend].check(m)]
    for line in wrong:
        print(line, file=sys.stderr)
    prompts = sum(len(row.texts()) for c in config.categories for row in c.prompts)
    where = f"votes go to {config.hub.dataset}" if config.hub.dataset else "votes stay local (no hub.dataset)"
    print(f"{name}: {len(models)} models, {len(config.categories)} categories, {prompts} prompts; {where}")
    if gated := [m.id for m in models if m.gated and m.backend in LOADS and not token]:
        print(f"{name}: the Hub gives out {', '.join(gated)} only to who accepted the licence: set HF_TOKEN",
              file=sys.stderr)  # fmt: skip
    if wrong:
        return 2
    return (
        generate(models, make, config.look.examples[0] if config.look.examples else PROMPT) if arguments.generate else 0
    )


def chosen(config: ArenaConfig, names: list[str] | None) -> list[ModelSettings]:
    """The models that are meant; those that are named, also where they are not enabled. Raises ConfigError."""
    known = {model.id: model for model in config.models}
    for name in names or ():
        if name not in known:
            raise ConfigError(f'--model: unknown "{name}"; one of {", ".join(known)}')
    return [known[name] for name in dict.fromkeys(names)] if names else config.contenders


def generate(models: list[ModelSettings], make: Callable[[ModelSettings], Backend], prompt: str) -> int:
    """Try every model with nothing else loaded, and print a row for each as it is done, then what failed."""
    widths = [max(len(m.id) for m in models), 16, 7, 7, 8, 7, 11, 0]

    def show(cells) -> None:
        aligned = [cell.ljust(w) if i in (0, 1, 5, 7) else cell.rjust(w)
                   for i, (cell, w) in enumerate(zip(cells, widths, strict=True))]  # fmt: skip
        print("  ".join(aligned).rstrip(), flush=True)

    show(HEAD)
    tried = []
    for model in models:
        tried.append(attempt(model, make(model), prompt))
        show(tried[-1].cells())
    for one in tried:
        if one.failure is not None:
            print(reason(one.failure), file=sys.stderr)
    return 1 if any(one.failure is not None for one in tried) else 0


def attempt(model: ModelSettings, backend: Backend, prompt: str) -> Tried:
    """Make an image, and a second one where it costs nothing but time; the backend is closed afterwards."""

    def draw(seed: int):
        return backend.generate([Request(model, prompt, seed)], progress=lambda share: None, cancelled=lambda: False)[0]

    failure = made = cold = warm = None
    begun = time.monotonic()
    with Footprint(getattr(backend, "device", None)) as memory:
        try:
            made = draw(0)
            cold = time.monotonic() - begun
            warm = draw(1).seconds if model.backend != "http" else None
        except GenerationError as error:
            failure = error
    backend.close()
    size, hardware = (f"{made.picture.width}x{made.picture.height}", made.hardware) if made else ("", "")
    return Tried(model.id, failure, cold, warm, memory.added, memory.where, size, hardware)
