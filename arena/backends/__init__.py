"""Where images come from: the table of backends. Importing this imports none of them.

To add one, write a file with a class that keeps `arena.backends.base.Backend`, give it a row here and its name
in `arena.config.Backend`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from arena.backends.base import Backend, Generated, Request
from arena.backends.problems import reason

__all__ = ["BACKENDS", "Backend", "Generated", "Request", "make_backend", "reason"]


def _diffusers(config_dir: Path, memory_gb: float | None, hf_token: str | None) -> Backend:
    from arena.backends.diffusers_backend import DiffusersBackend

    return DiffusersBackend(config_dir, memory_gb, hf_token)


def _zerogpu(config_dir: Path, memory_gb: float | None, hf_token: str | None) -> Backend:
    from arena.backends.zerogpu import ZeroGPUBackend

    return ZeroGPUBackend(config_dir, memory_gb, hf_token)


def _http(config_dir: Path, memory_gb: float | None, hf_token: str | None) -> Backend:
    from arena.backends.http import HttpBackend

    return HttpBackend(hf_token)


def _fake(config_dir: Path, memory_gb: float | None, hf_token: str | None) -> Backend:
    from arena.backends.fake import FakeBackend

    return FakeBackend()


Factory = Callable[[Path, float | None, str | None], Backend]
BACKENDS: dict[str, Factory] = {"diffusers": _diffusers, "zerogpu": _zerogpu, "http": _http, "fake": _fake}


def make_backend(name: str, *, config_dir: Path, memory_gb: float | None = None,
                 hf_token: str | None = None) -> Backend:  # fmt: skip
    """The backend of that name. Cheap: weights are read at the first request."""
    return BACKENDS[name](config_dir, memory_gb, hf_token)
