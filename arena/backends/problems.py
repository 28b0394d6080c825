"""What went wrong in a backend, said twice: to the visitor without a name, to the maintainer in full.

An error's text may reach a visitor whose battle is still blind, so it never says which model failed. What the
maintainer needs (the model, the cause, what to do) is a note on the error: tracebacks print it, `reason` reads
it back, and it is logged here where it arises. Which class an error has is decided by `kind_of`, by its cause.
"""

from __future__ import annotations

import logging
from typing import TypeVar

from arena.errors import (
    BackendTimeout,
    BackendUnavailable,
    BadSettings,
    BlockedContent,
    GatedModel,
    GenerationError,
    ModelMissing,
    OutOfMemory,
    Unreachable,
)

log = logging.getLogger(__name__)

UNAVAILABLE = "One of the models cannot make images right now."
REJECTED = "One of the models gave no usable image for this prompt."
E = TypeVar("E", bound=GenerationError)
# How torch says that a device is full where it raises no class of its own for it (a CPU, Apple's GPUs).
_FULL = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory", "not enough memory: you tried to")


def unavailable(model_id: str, detail: str, *, kind: type[BackendUnavailable] = BackendUnavailable,
                message: str = UNAVAILABLE) -> BackendUnavailable:  # fmt: skip
    """The error to raise when a model cannot be had or run; what its kind advises is part of the note."""
    return _noted(kind(message), model_id, f"{detail}; {kind.advice}" if kind.advice else detail)


def blocked(model_id: str, detail: str) -> BlockedContent:
    """The error to raise when a model answered with an image that must not be shown, or refused the prompt."""
    return _noted(BlockedContent(REJECTED), model_id, detail)


def _noted(error: E, model_id: str, detail: str) -> E:
    error.model = model_id
    error.add_note(f"{model_id}: {detail}")
    log.warning("%s: %s", model_id, detail)
    return error


def reason(error: BaseException) -> str:
    """What to tell the maintainer: the notes of an error of this package, or its text where it has none."""
    return "\n".join(getattr(error, "__notes__", ())) or str(error)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether a device, or this machine, had no memory left for what was asked."""
    import torch

    return any(isinstance(e, torch.OutOfMemoryError | MemoryError)
               or (isinstance(e, RuntimeError) and any(words in str(e) for words in _FULL))
               for e in causes(error))  # fmt: skip


def kind_of(error: BaseException, source: str, *, calling: bool = False) -> tuple[type[BackendUnavailable], str]:
    """The class for an error of torch, diffusers, transformers or the Hub's client, and a line on what it is.
    `calling` says that the pipeline was there and was called: then a TypeError is about the row's settings."""
    import httpx2
    from huggingface_hub import errors as hub

    if out_of_memory(error):
        return OutOfMemory, f"out of memory ({line(error)})"
    chain = list(causes(error))
    # The libraries wrap the Hub's errors in OSErrors that say less, so the whole chain is searched.
    rows = (
        (hub.GatedRepoError, GatedModel, f"{source} is gated: https://huggingface.co/{source}"),
        (hub.RevisionNotFoundError, ModelMissing, f"{source} has no such revision"),
        (hub.RepositoryNotFoundError, ModelMissing, f"there is no {source} on the Hub, or HF_TOKEN may not read it"),
        (hub.LocalEntryNotFoundError, Unreachable, f"{source} is not in the local cache and the Hub cannot be reached"),
        (hub.OfflineModeIsEnabled, ModelMissing, f"{source} is not in the local cache and HF_HUB_OFFLINE forbids "
                                                 "fetching it"),
        (hub.EntryNotFoundError, ModelMissing, f"{source} lacks a file that the pipeline needs"),
        (httpx2.TimeoutException, BackendTimeout, f"the Hub took too long to send {source}"),
        (httpx2.TransportError, Unreachable, f"the Hub cannot be reached to fetch {source}"),
    )  # fmt: skip
    for cls, kind, text in rows:
        if any(isinstance(e, cls) for e in chain):
            return kind, f"{text} ({line(error)})"
    if isinstance(error, FileNotFoundError) or (isinstance(error, OSError) and error.errno is None):
        return ModelMissing, line(error)  # how diffusers and transformers say that a file is not there
    if calling and isinstance(error, TypeError | ValueError):
        return BadSettings, line(error)
    return BackendUnavailable, line(error)


def causes(error: BaseException | None):
    """The error, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def line(error: BaseException) -> str:
    """An error's class and the first line of its text."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:300]}" if first else type(error).__name__
