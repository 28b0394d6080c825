"""What went wrong in a backend, said twice: to the visitor without a name, to the maintainer in full.

An error's text may reach a visitor whose battle is still blind, so it never says which model failed. What the
maintainer needs (the model, the cause, what to do) is a note on the error: tracebacks print it, `reason` reads
it back, and it is logged here where it arises.
"""

from __future__ import annotations

import logging

from arena.errors import BackendUnavailable, GenerationError, ImageRejected

log = logging.getLogger(__name__)

UNAVAILABLE = "One of the models cannot make images right now."
REJECTED = "One of the models gave no usable image for this prompt."


def unavailable(model_id: str, detail: str, message: str = UNAVAILABLE) -> BackendUnavailable:
    """The error to raise when a model cannot be had or run."""
    return _noted(BackendUnavailable(message), model_id, detail)


def rejected(model_id: str, detail: str) -> ImageRejected:
    """The error to raise when a model answered with an image that must not be shown."""
    return _noted(ImageRejected(REJECTED), model_id, detail)


def _noted(error: GenerationError, model_id: str, detail: str):
    error.add_note(f"{model_id}: {detail}")
    log.warning("%s: %s", model_id, detail)
    return error


def reason(error: BaseException) -> str:
    """What to tell the maintainer: the notes of an error of this package, or its text where it has none."""
    return "\n".join(getattr(error, "__notes__", ())) or str(error)


def explain(error: BaseException, source: str) -> str:
    """One line for the maintainer about an error of torch, diffusers, transformers or the Hub's client."""
    import httpx
    import torch
    from huggingface_hub import errors as hub

    chain = list(_causes(error))
    # The libraries wrap the Hub's errors in OSErrors that say less, so the whole chain is searched.
    rows = (
        (torch.OutOfMemoryError, "out of memory; disable a model, or lower `memory_gb` so that fewer stay loaded"),
        (hub.GatedRepoError, f"{source} is gated: accept its licence at https://huggingface.co/{source} "
                             "and set HF_TOKEN to a token of that account"),
        (hub.RevisionNotFoundError, f"{source} has no such revision"),
        (hub.RepositoryNotFoundError, f"there is no {source} on the Hub, or HF_TOKEN may not read it"),
        (hub.LocalEntryNotFoundError, f"{source} is not in the local cache and the Hub cannot be reached"),
        (hub.OfflineModeIsEnabled, f"{source} is not in the local cache and HF_HUB_OFFLINE forbids fetching it"),
        (hub.EntryNotFoundError, f"{source} lacks a file that the pipeline needs"),
        (httpx.TransportError, f"the Hub cannot be reached to fetch {source}"),
    )  # fmt: skip
    for kind, text in rows:
        if any(isinstance(e, kind) for e in chain):
            return f"{text} ({_line(error)})"
    return _line(error)


def _causes(error: BaseException | None):
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _line(error: BaseException) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:300]}" if first else type(error).__name__
