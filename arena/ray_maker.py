"""What runs on the machines of a cluster: an actor with one backend, which makes pictures and writes nothing down.

Whatever goes wrong with a picture is said in its row. What an actor dies of it cannot say: that blocks are begun and
not finished is counted by one more actor, beside the driver.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.backends import make_backend, reason
from arena.backends.base import Generated, Request
from arena.bank import Bank, encode
from arena.errors import GenerationError, ImageRejected
from arena.records import dumps

if TYPE_CHECKING:
    import pyarrow as pa

    from arena.config import ModelSettings

log = logging.getLogger(__name__)
GIVE_UP = 3  # failures in a row after which an actor asks a model no more


class Tally:
    """Whether a block may be begun (again): not where it was begun `most` times and not once finished, since it kills
    who draws it. Blocks go by the number of their first row."""

    def __init__(self, most: int):
        self._most, self._begun = most, Counter[int]()

    def begin(self, block: int) -> bool:
        self._begun[block] += 1
        return self._begun[block] <= self._most

    def end(self, block: int) -> None:
        del self._begun[block]


class Maker:
    """An actor of the pool: one backend, whose weights are read at the first request; called with blocks of rows
    (at, model, prompt, seed)."""

    def __init__(self, models: Mapping[str, ModelSettings], backend: str, config_dir: str, memory_gb: float | None,
                 hf_token: str | None, tokens: Mapping[str, str], display_px: int, folder: str | None,
                 tally: Tally):  # fmt: skip
        os.environ.update(tokens)
        self.models, self.display_px = models, display_px
        self.backend = make_backend(backend, config_dir=Path(config_dir), memory_gb=memory_gb, hf_token=hf_token)
        self.bank = Bank(folder, display_px=display_px) if folder else None
        self.tally = tally
        self.failed: dict[str, int] = {}  # model -> failures in a row

    def __call__(self, block: pa.Table) -> pa.Table:
        import pyarrow as pa

        asked, made = block.to_pylist(), list[dict[str, Any]]()
        first = asked[0]["at"]
        if self.tally.begin(first):
            for model, rows in itertools.groupby(asked, key=lambda row: row["model"]):
                made += self._group(model, list(rows))
        else:
            made = [{"at": row["at"], "seed": row["seed"], "rejected": False, "died": True} for row in asked]
        self.tally.end(first)
        return pa.Table.from_pylist(made, schema=made_schema())

    def _group(self, model: str, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Rows of one model, in one call if that goes well; else one by one, so that only those fail that must."""
        requests = [Request(self.models[model], row["prompt"], row["seed"]) for row in rows]
        try:
            pictures: list[Generated | None] = [*self._generate(requests)]
        except GenerationError:
            pictures = [None] * len(rows)
        for row, request, picture in zip(rows, requests, pictures, strict=True):
            told = {"at": row["at"], "seed": row["seed"], "rejected": False, "died": False}
            yield told | self._finished(request, picture)

    def _finished(self, request: Request, picture: Generated | None) -> dict[str, Any]:
        model = request.model.id
        if self.failed.get(model, 0) >= GIVE_UP:
            return {"error": f"not asked any more after {GIVE_UP} failures in a row"}
        try:
            made = picture or self._generate([request])[0]
            files = encode(made.picture, self.display_px)
            if self.bank is not None:
                self.bank.store(files)
        except ImageRejected as error:
            return {"error": reason(error), "rejected": True}
        except GenerationError as error:
            self.failed[model] = self.failed.get(model, 0) + 1
            return {"error": reason(error)}
        self.failed.pop(model, None)
        width, height = made.picture.size
        sent = {} if self.bank is not None else {"data": files.data, "shown": files.shown}
        return {**sent, "image_id": files.image_id, "width": width, "height": height, "hardware": made.hardware,
                "model_revision": made.model_revision, "settings": dumps(made.settings),
                "seconds": round(made.seconds, 4)}  # fmt: skip

    def _generate(self, requests: Sequence[Request]) -> list[Generated]:
        """Raises GenerationError, and nothing else: what fails otherwise would end the block."""
        try:
            return self.backend.generate(requests, progress=lambda share: None, cancelled=lambda: False)
        except GenerationError:
            raise
        except Exception as error:
            log.exception("images of %s could not be made", requests[0].model.id)  # goes into the actor's log
            raise GenerationError(f"{type(error).__name__}: {first_line(error)}") from error


def made_schema() -> pa.Schema:
    """The columns of a finished block. A row has `died` (it, or another of its block, kills actors), an `error`, or the
    rest, and with a shared bank never any bytes."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema({"at": number, "seed": number, "rejected": pa.bool_(), "died": pa.bool_(), "error": text,
                      "image_id": text, "data": pa.binary(), "shown": pa.binary(), "width": number, "height": number,
                      "model_revision": text, "settings": text, "seconds": pa.float64(), "hardware": text})  # fmt: skip


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
