"""Owns what exports share: the material that they are made of, and Parquet that `datasets` loads with its features.

Columns are said once, as {name: kind}; a kind is a row of KINDS. The features are written into each file's own
metadata, so that an Image column is one however the file is loaded.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

from leaderboard.pictures import Pictures

ROW_GROUP = 100  # rows with images in a row group: about 100 MB of 1024-pixel pictures at most
SHARD_BYTES = 450 * 2**20  # of images in a file; about what the datasets library writes itself
KINDS = {  # kind: (Arrow type by its name, feature of the datasets library)
    "text": ("string", {"dtype": "string", "_type": "Value"}),
    "moment": (("timestamp", "ms", "UTC"), {"dtype": "timestamp[ms, tz=UTC]", "_type": "Value"}),
    "float": ("float32", {"dtype": "float32", "_type": "Value"}),
    "double": ("float64", {"dtype": "float64", "_type": "Value"}),
    "int": ("int64", {"dtype": "int64", "_type": "Value"}),
    "bool": ("bool_", {"dtype": "bool", "_type": "Value"}),
    "bytes": ("binary", {"dtype": "binary", "_type": "Value"}),
    "image": ("image", {"_type": "Image"}),
    "texts": (("list", "string"), {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}),
    "map": (("list", ("list", "float16")),
            {"feature": {"feature": {"dtype": "float16", "_type": "Value"}, "_type": "List"}, "_type": "List"}),
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """Checked Votes, the Pictures behind them, and how feedback is had: `rich()` gives what leaderboard.rich knows of
    the source, or raises errors.LeaderboardError where it has none. `holdout` in [0, 1) is the share of prompts whose
    rows become the split `validation` in place of `train`."""

    votes: object
    pictures: Pictures
    rich: object = None
    holdout: float = 0.0

    def split(self, prompt):
        """`train` or `validation`, by a hash of the prompt: no prompt is in both, and the answer is always the same."""
        share = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8]) / 2**64
        return "validation" if share < self.holdout else "train"

    @cached_property
    def pairs(self):
        """The votes by pair of images, and why some are in none (see leaderboard.exports.pairs)."""
        from leaderboard.exports.pairs import pairs

        return pairs(self.votes, self.pictures)


@dataclass
class Written:
    """What an export wrote: `splits` {name: rows}; `left_out` {what and why: how many} of the votes or pairs that
    were not; `notes`, sentences that its reader must know."""

    splits: dict = field(default_factory=dict)
    left_out: dict = field(default_factory=dict)
    notes: tuple = ()

    @property
    def rows(self):
        return sum(self.splits.values())

    def leave_out(self, reason, count=1):
        """Count what is not written."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count


def arrow_type(kind):
    """A kind of KINDS, or one of its parts -> the pyarrow type."""
    import pyarrow as pa

    said = KINDS[kind][0] if isinstance(kind, str) and kind in KINDS else kind
    if said == "image":
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    if isinstance(said, tuple) and said[0] == "list":
        return pa.list_(arrow_type(said[1]))
    if isinstance(said, tuple):
        return pa.timestamp(said[1], tz=said[2])
    return getattr(pa, said)()


def schema_of(columns):
    """{name: kind} -> a pyarrow Schema whose metadata names the features to the datasets library."""
    import pyarrow as pa

    features = json.dumps({"info": {"features": {name: KINDS[kind][1] for name, kind in columns.items()}}})
    return pa.schema([(name, arrow_type(kind)) for name, kind in columns.items()], {"huggingface": features})


def write_rows(out, columns, rows, written):
    """Write `rows` of (split, {column: value}) as data/SPLIT-*.parquet under the folder `out`, one row group in memory
    at a time, and count them in `written`. A file's number of shards is known at its end, as the names need it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, folder = schema_of(columns), out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    writers, waiting, sizes, shards = {}, {}, {}, {}
    images = [name for name, kind in columns.items() if kind in ("image", "bytes")]

    def flush(split):
        if not waiting.get(split):
            return
        if split not in writers:
            shards.setdefault(split, []).append(folder / f"{split}-{len(shards.get(split, ())):05d}.unfinished")
            # Pictures are compressed already: a second time costs seconds and saves nothing.
            squeezed = {name: "none" if name.split(".")[0] in images else "snappy" for name in _leaves(schema)}
            writers[split] = pq.ParquetWriter(shards[split][-1], schema, compression=squeezed)
        writers[split].write_table(pa.Table.from_pylist(waiting.pop(split), schema))
        if sizes[split] > SHARD_BYTES:
            writers.pop(split).close()
            sizes[split] = 0

    for split, row in rows:
        waiting.setdefault(split, []).append(row)
        sizes[split] = sizes.get(split, 0) + sum(_size(row[name]) for name in images)
        written.splits[split] = written.splits.get(split, 0) + 1
        if len(waiting[split]) >= ROW_GROUP:
            flush(split)
    for split in list(waiting):
        flush(split)
    for writer in writers.values():
        writer.close()
    for split, files in shards.items():
        for number, file in enumerate(files):
            file.rename(folder / f"{split}-{number:05d}-of-{len(files):05d}.parquet")


def _leaves(schema):
    """The paths of a schema's columns as Parquet counts them."""
    import pyarrow as pa

    found = []
    for column in schema:
        if pa.types.is_struct(column.type):
            found += [f"{column.name}.{part.name}" for part in column.type]
        elif pa.types.is_list(column.type):
            inner = column.type.value_type
            found.append(f"{column.name}.list.element" + (".list.element" if pa.types.is_list(inner) else ""))
        else:
            found.append(column.name)
    return found


def _size(cell):
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return len(data or b"")


def as_image(image_id, data):
    """The cell of an Image column."""
    return {"bytes": data, "path": f"{image_id}{ending(data)}"}


def ending(data):
    """The ending of an image's file, by its first bytes."""
    kinds = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"RIFF", ".webp"), (b"GIF8", ".gif"))
    return next((name for start, name in kinds if data.startswith(start)), ".img")
