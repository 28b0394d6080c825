"""The seam between the studio and whatever makes images: the protocol that every backend keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from arena.config import ModelSettings

Progress = Callable[[float], None]  # 0 to 1 over the whole call; never says which model is at work
Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Request:
    """One image that is wanted. `seed` fits in 63 bits; equal requests give equal pictures on equal hardware."""

    model: ModelSettings
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Generated:
    picture: Picture  # RGB, at the model's own resolution
    seconds: float  # of the pipeline's call alone, loading excluded; in a batch, an equal share of its call
    settings: dict[str, Any]  # every argument of the call, the pipeline's class and the libraries' versions
    model_revision: str  # the commit, or the hash of a local folder's weights
    hardware: str  # for instance "NVIDIA H200" or "CPU (2 threads)"


class Backend(Protocol):
    def generate(self, requests: Sequence[Request], *, progress: Progress, cancelled: Cancelled) -> list[Generated]:
        """One picture a request, in order. Called from one thread at a time. Requests of one model may be drawn
        together; a picture depends on its own request alone, to within rounding.

        Raises a kind of BackendUnavailable when the model cannot be had or run, ImageRejected when it answered with a
        blocked image, GenerationCancelled soon after `cancelled()` turns true; pictures that were finished by then
        may come in the error's `made`.
        """

    def takes(self, model: ModelSettings) -> int:
        """How many images of this model are best asked for in one call, at least 1: more of them would wait for each
        other. Loads nothing; before the model is loaded it is what the row promises."""

    def check(self, model: ModelSettings) -> list[str]:
        """What is wrong with this row as far as can be said without loading weights; empty when all is well."""

    def close(self) -> None:
        """Give memory back; the backend is not used again."""
