"""Parquet shards: rows of a published table, sealed into files that never change.

The same rows make the same bytes under the same path, wherever and however often they are sealed. A shard
appears under `data/` only after the ledger has recorded it, so whoever reads the folder never sees a row twice,
whenever the process dies: `seal` writes the file to `.sealing/`, then records it, then moves it into place;
`settle` finishes or discards what a crash left in between.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.errors import PublishError
from arena.layout import shard_path
from arena.records import TABLES, Shard, arrow_schema, content_id

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

Row = dict[str, Any]
ROWS = {"images": 1000}  # rows of a shard at most, else:
ROWS_OTHERWISE = 50_000
IMAGE_BYTES = 64 * 2**20  # a shard of images is closed after this much, which bounds our memory
ROW_GROUP = {"images": 100}  # so that a reader can take a few pictures without the whole file


def features(table: str) -> dict[str, str]:
    """The datasets library's name for the type of every column of a published table; of a list, a name for people."""
    names = {"json": "string", "timestamp": "timestamp[ms, tz=UTC]", "list<point>": "list<{x: float32, y: float32}>"}
    return {column: names.get(kind, kind) for column, kind in TABLES[table].items()}


def list_of(kind: str) -> str | dict[str, str] | None:
    """What a column of this type in TABLES has lists of: a type, or the types of a struct's fields. None for others."""
    return {"list<int32>": "int32", "list<point>": {"x": "float32", "y": "float32"}}.get(kind)


def described_schema(table: str) -> pa.Schema:
    """The Arrow schema of a table's shards, with what the datasets library writes into it too: a shard that is read
    without the dataset's card still shows its images."""

    def value(name: str | dict[str, str]) -> dict:
        if isinstance(name, str):
            return {"_type": "Image"} if name == "image" else {"dtype": name, "_type": "Value"}
        return {field: value(kind) for field, kind in name.items()}

    described = {column: {"feature": value(inside), "_type": "List"} if (inside := list_of(kind)) else value(name)
                 for (column, kind), name in zip(TABLES[table].items(), features(table).values(), strict=True)}  # fmt: skip
    return arrow_schema(table).with_metadata({"huggingface": json.dumps({"info": {"features": described}})})


def to_parquet(table: str, rows: Sequence[Row]) -> bytes:
    """One Parquet file with exactly the published columns. Raises PublishError for any other row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = described_schema(table)
    for row in rows:
        if row.keys() != set(schema.names):
            wrong = ", ".join(sorted(row.keys() ^ set(schema.names)))
            raise PublishError(f"{table}: a row does not have the published columns; too many or missing: {wrong}")
    try:
        data = pa.Table.from_pylist(list(rows), schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise PublishError(f"{table}: a row does not fit the published columns ({error})") from error
    out = pa.BufferOutputStream()
    pq.write_table(data, out, row_group_size=ROW_GROUP.get(table, ROWS_OTHERWISE), **written(schema))
    return out.getvalue().to_pybytes()


def written(schema: pa.Schema) -> dict[str, Any]:
    """How Parquet is to write these columns: compressed, but for pictures, which are so already."""
    if "image" not in schema.names:
        return {"compression": "zstd"}
    others = [*(name for name in schema.names if name != "image"), "image.path"]
    return {"compression": {**dict.fromkeys(others, "zstd"), "image.bytes": "none"}, "use_dictionary": others,
            "write_statistics": others}  # fmt: skip


class ShardFolder:
    """The local copy of the published dataset, under `folder`."""

    def __init__(self, folder: Path, *, ledger, replica: str):
        self.folder = folder
        self._ledger = ledger
        self._replica = replica
        self._scratch = folder / ".sealing"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one process at a time seals here: `python -m arena publish` may run beside the app."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w") as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
            except (ImportError, OSError) as error:  # Windows, or a mount without locks
                log.debug("no lock on %s: %s", self.folder, error)
            yield

    def seal(self, table: str, rows: Sequence[tuple[int, Row]], now: int) -> Shard:
        """Durable and recorded in the ledger when this returns."""
        shard = self._stage(table, rows, now)
        self._ledger.record_shard(shard)
        self._place(shard)
        return shard

    def write_again(self, shard: Shard, rows: Sequence[tuple[int, Row]]) -> bool:
        """Write the file of a recorded shard anew, where its `rows` still make the same bytes; whether they did."""
        if not rows or self._stage(shard.table, rows, shard.sealed_at) != shard:
            return False
        self._place(shard)
        return True

    def seal_again(self, shard: Shard, pieces: Iterable[Sequence[tuple[int, Row]]], now: int) -> list[Shard]:
        """Fresh shards of its rows, recorded in the place of a shard whose file is lost for good."""
        self.path(shard).unlink(missing_ok=True)
        fresh = [self._stage(shard.table, rows, now) for rows in pieces]
        self._ledger.replace_shard(shard, fresh)
        for one in fresh:
            self._place(one)
        return fresh

    def prune(self, before: int) -> int:
        """Remove the local copies of shards that have been on the Hub since before `before` (milliseconds since
        1970); how many. The Hub has them, and the ledger and the bank all that is in them."""
        gone = 0
        for day in sorted((self.folder / "data").glob("*/*")):
            old = set(self._ledger.published_before(day.relative_to(self.folder).as_posix(), before))
            for file in day.glob("*.parquet"):
                if file.relative_to(self.folder).as_posix() in old:
                    file.unlink(missing_ok=True)
                    gone += 1
        return gone

    def settle(self, recorded: Iterable[Shard]) -> None:
        """Move shards into place that were `recorded` before a crash, and drop those that were not."""
        left = {path.name: path for path in self._scratch.iterdir()}
        for shard in recorded if left else ():
            if self._staged(shard).name in left:
                del left[self._staged(shard).name]
                self._place(shard)
        for path in left.values():
            path.unlink()

    def intact(self, shard: Shard) -> bool:
        """Whether the file is still what was sealed."""
        try:
            with open(self.path(shard), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == shard.sha256
        except FileNotFoundError:
            return False

    def path(self, shard: Shard) -> Path:
        return self.folder / shard.path

    def tables(self) -> set[str]:
        """Those with at least one shard here."""
        return {table for table in TABLES if any((self.folder / "data" / table).glob("*/*.parquet"))}

    def card(self) -> str | None:
        try:
            return (self.folder / "README.md").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write_card(self, text: str) -> None:
        scratch = self.folder / ".README.md"
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, self.folder / "README.md")

    def _stage(self, table: str, rows: Sequence[tuple[int, Row]], now: int) -> Shard:
        """Write a shard's file where no reader looks, durably."""
        data = to_parquet(table, [row for _, row in rows])
        sha256 = hashlib.sha256(data).hexdigest()
        path = shard_path(table, self._replica, rows[0], rows[-1][0], sha256)
        shard = Shard(path, table, rows[0][0], rows[-1][0], len(rows), sha256, now)
        staged = self._staged(shard)
        with open(staged, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _fsync_folder(staged.parent)
        return shard

    def _staged(self, shard: Shard) -> Path:
        return self._scratch / f"{shard.table}-{shard.sha256}"

    def _place(self, shard: Shard) -> None:
        path = self.path(shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._staged(shard), path)
        for parent in path.parents[: len(Path(shard.path).parents)]:  # up to `folder`: any of them may be new
            _fsync_folder(parent)


def with_images(rows: Iterable[tuple[int, Row]], read: Callable[[str], bytes]) -> Iterator[tuple[int, Row]]:
    """Rows of `images` with their pictures, up to IMAGE_BYTES, at least one. A picture that is gone or damaged is
    published as null rather than leaving its row out: votes name it, and its settings can draw it again."""
    size = 0
    for seq, row in rows:
        image_id = row["image_id"]
        try:
            data = read(image_id)
        except FileNotFoundError:
            data = b""
        if size and size + len(data) > IMAGE_BYTES:
            return
        sound = content_id(data) == image_id
        picture = {"bytes": data, "path": f"{image_id}.png"} if sound else None
        size += len(data)
        yield seq, {**row, "image": picture}


def _fsync_folder(path: Path) -> None:
    """Makes a new name in `path` durable, where folders can be synced at all."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
