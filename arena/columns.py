"""Many rows of a published table by their columns: what the leaderboard reads of a million votes.

SQLite joins the texts of a column into one, which Arrow takes apart again, so that Python makes no text of its own for
every cell. A few rows are read as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arena.database import Database
from arena.records import OPTIONAL, TABLES

if TYPE_CHECKING:
    import pyarrow as pa

FEW = 500  # rows that are quicker as they are
_BETWEEN = 0x1F  # between two texts: ASCII's unit separator, which no text of ours holds


def read(db: Database, table: str, after: int, names: Sequence[str], limit: int
         ) -> tuple[list[int], dict[str, list | pa.ChunkedArray]]:  # fmt: skip
    """The numbers (seq) of at most `limit` rows after `after`, ascending, and those of the columns `names` that the table
    has: lists, or text as Arrow's arrays where there are many rows."""
    names = [name for name in names if name in TABLES[table]]
    places, found = _lists(db, table, after, names, min(limit, FEW))
    if len(places) < FEW or limit == FEW:
        return places, found
    return _joined(db, table, after, names, limit) or _lists(db, table, after, names, limit)


def _lists(db: Database, table: str, after: int, names: Sequence[str], limit: int):
    columns = ", ".join(("seq", *names))
    rows = db.tuples(f"SELECT {columns} FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
    places, *cells = map(list, zip(*rows, strict=True)) if rows else ([] for _ in ("seq", *names))
    return places, dict(zip(names, cells, strict=True))


def _joined(db: Database, table: str, after: int, names: Sequence[str], limit: int):
    """None where a text holds what stands between two, or rows were erased meanwhile."""
    texts = ["seq", *(n for n in names if TABLES[table][n] in ("string", "json") and n not in OPTIONAL)]
    joined = ", ".join(f"CAST(group_concat({name}, char({_BETWEEN})) AS BLOB)" for name in texts)
    [cells] = db.tuples(f"SELECT {joined} FROM (SELECT {', '.join(texts)} FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?)",
                        after, limit)  # fmt: skip
    places, others = _lists(db, table, after, [name for name in names if name not in texts], limit)
    if cells[0] != b"\x1f".join(b"%d" % place for place in places):
        return None
    found = {name: _apart(cell, len(places)) for name, cell in zip(texts[1:], cells[1:], strict=True)}
    if None in found.values():
        return None
    return places, {name: found[name] if name in found else others[name] for name in names}


def _apart(joined: bytes, rows: int) -> pa.ChunkedArray | None:
    import numpy as np
    import pyarrow as pa

    data = np.frombuffer(joined, np.uint8)
    ends = np.append(np.flatnonzero(data == _BETWEEN), len(data))
    if len(ends) != rows:
        return None
    offsets = np.append(0, ends - np.arange(rows)).astype(np.int32)  # in the data without what stands between
    data = data[data != _BETWEEN]
    return pa.chunked_array([pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data))])
