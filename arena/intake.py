"""Rows that come from the dataset into the ledger: of a disk that is gone, or of another replica.

They are kept with `from_hub` = 1, so that they are never published again. Rows that are here already are left as
they are, whatever shard they come in, so the same shard, or one into which several were made, changes nothing. A
shard counts as read with its last rows, in one transaction: whatever is cut short is read again and does no harm.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arena.ledger import Ledger
from arena.records import OPTIONAL, POINT_DIGITS, WINNERS, arrow_schema, dumps, feedback_id
from arena.tables import KEYS, LISTS, PRIVATE, kept_columns, to_feedback

if TYPE_CHECKING:
    import pyarrow as pa

CACHE_KB = (
    32_000  # of the pages of indexes, which keys at random touch all over; SQLite's usual 2 MB take twice as long
)
Values = tuple[Any, ...]  # of `kept_columns(table)`, in that order

# What an absent value becomes: a column that a row's version did not know yet, or null where we keep none.
_ABSENT = {"string": "", "json": "{}", "bool": False, "float32": 0.0, "float64": 0.0}
# A row without one of these says nothing.
_NEEDED = {
    "votes": ("vote_id", "battle_id", "model_a", "model_b"),
    "images": ("image_id", "prompt_id", "model"),
    "feedback": ("feedback_id", "battle_id", "image_id", "model"),
    "prompts": ("prompt_id", "prompt"),
    "exclusions": ("vote_id", "reason"),
}

# What its voter had erased (`arena.forget`) goes from here too, and does not come back.
_ERASED = "(SELECT vote_id FROM exclusions WHERE reason = 'erased')"
_ERASE = (
    f"DELETE FROM named_voters WHERE voter IN (SELECT voter FROM votes WHERE vote_id IN {_ERASED})",
    f"DELETE FROM battles WHERE battle_id IN (SELECT battle_id FROM votes WHERE vote_id IN {_ERASED})",
    f"DELETE FROM votes WHERE vote_id IN {_ERASED}",
)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A picture of the dataset that the bank does not have yet: in a row group of the shard at `path`."""

    image_id: str
    path: str
    row_group: int
    prompt_id: str = ""
    model: str = ""


def rows_of(table: str, batch: pa.RecordBatch | pa.Table) -> list[Values]:
    """What the ledger keeps of a piece of a shard, whatever other columns it has; rows that say nothing, or hold
    an outcome or a rating that is none of ours, are left out. Raises pyarrow.ArrowException for values of another kind."""
    kinds, names = kept_columns(table), set(batch.schema.names)
    columns = [_values(table, c, kind, batch.column(c)) if c in names else [_absent(c, kind)] * batch.num_rows
               for c, kind in kinds.items()]  # fmt: skip
    places = [list(kinds).index(c) for c in _NEEDED.get(table, ())]
    rows = [row for row in zip(*columns, strict=True) if all(row[place] for place in places)]
    if table == "votes":
        winner = list(kinds).index("winner")
        rows = [row for row in rows if row[winner] in WINNERS]
    if table == "feedback":
        rows = [row for row in rows if _is_sound(dict(zip(kinds, row, strict=True)))]
    return rows


def _is_sound(row: dict[str, Any]) -> bool:
    try:
        to_feedback(row)
    except (ValueError, TypeError):
        return False
    return True


def _absent(name: str, kind: str) -> Any:
    return None if name in OPTIONAL else _ABSENT.get(kind, 0)


def _values(table: str, name: str, kind: str, column: pa.Array | pa.ChunkedArray) -> list[Any]:
    import pyarrow as pa

    if kind in LISTS:
        lists = column.cast(arrow_schema(table).field(name).type).to_pylist()
        return [None if row is None else dumps([_rounded(each) for each in row]) for row in lists]
    types = {"string": pa.string(), "json": pa.string(), "bool": pa.bool_(), "float32": pa.float64(),
             "float64": pa.float64()}  # fmt: skip
    if kind == "timestamp":
        column = column.cast(pa.timestamp("ms", tz="UTC"), safe=False)
    column = column.cast(types.get(kind, pa.int64()))
    return (column if name in OPTIONAL else column.fill_null(_ABSENT.get(kind, 0))).to_pylist()


def _rounded(value: Any) -> Any:
    """A point as it was before float32."""
    if not isinstance(value, dict):
        return value
    return {k: None if v is None else round(v, POINT_DIGITS) for k, v in value.items()}


def unread(ledger: Ledger, paths: Iterable[str]) -> set[str]:
    """Those of the dataset's shards that neither were sealed here nor have been read."""
    known = ledger.all("SELECT path FROM shards UNION ALL SELECT path FROM read_shards")
    return set(paths) - {row["path"] for row in known}


def has_read(ledger: Ledger) -> bool:
    """Whether any shard was sealed here, or has been read."""
    return ledger.one("SELECT EXISTS (SELECT 1 FROM shards UNION ALL SELECT 1 FROM read_shards) AS n")["n"] == 1


def take(ledger: Ledger, table: str, rows: Sequence[Values], *, ends: Iterable[str] = (),
         pictures: Iterable[Awaited] = ()) -> int:  # fmt: skip
    """Keep rows of the dataset, and the `pictures` that are to be fetched for them; how many were new. `ends` are
    the shards that are read to their end with them."""
    names = [*kept_columns(table), *(["private"] if table in PRIVATE else []), "from_hub"]
    fixed = (0, 1) if table in PRIVATE else (1,)
    marks = ", ".join("?" * len(names))
    # What we have too, and have not sealed, is done: a prompt or image that we made as others did, or any row that was
    # published before this disk fell back to an earlier state.
    theirs, key = "from_hub = 1", KEYS.get(table, "vote_id, reason, created_at")
    if table == "feedback":  # given twice, here and elsewhere, before this was read: what the dataset has stands
        theirs = ", ".join(f"{name} = excluded.{name}" for name in names)
    unsealed = f"{'private = 0 AND ' * (table in PRIVATE)}from_hub = 0 AND seq > ?"
    sql = (f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) "
           f"ON CONFLICT ({key}) DO UPDATE SET {theirs} WHERE {unsealed} ON CONFLICT DO NOTHING")  # fmt: skip
    with ledger.transaction(bulk=True) as db:
        db.execute(f"PRAGMA cache_size = {-CACHE_KB}")
        sealed = ledger.sealed_to(table)
        last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        before = last["seq"] if last else 0
        db.executemany(sql, [(*row, *fixed, sealed) for row in rows])
        if table in ("exclusions", "feedback"):
            erase_feedback(db)
        if table in ("votes", "exclusions"):
            for statement in _ERASE:
                db.execute(statement)
        places = [(p.image_id, p.path, p.row_group) for p in pictures]
        db.executemany("INSERT OR REPLACE INTO awaited (image_id, path, row_group) VALUES (?, ?, ?)", places)
        db.executemany("INSERT OR IGNORE INTO read_shards (path) VALUES (?)", [(path,) for path in ends])
        return db.execute(f"SELECT COUNT(*) AS n FROM {table} WHERE seq > ?", (before,)).fetchone()["n"]


def erase_feedback(db: sqlite3.Connection) -> int:
    """Delete what was given with votes that are erased, or being erased now; how much there was."""
    erased = [row["vote_id"] for row in db.execute(_ERASED[1:-1])]
    if not erased or db.execute("SELECT 1 FROM feedback LIMIT 1").fetchone() is None:
        return 0
    return db.executemany("DELETE FROM feedback WHERE feedback_id = ?",
                          [(feedback_id(vote, side),) for vote in erased for side in ("a", "b")]).rowcount  # fmt: skip


def awaited(ledger: Ledger) -> list[Awaited]:
    """Pictures that are still to be fetched, those made last first."""
    rows = ledger.all("SELECT image_id, path, row_group, prompt_id, model FROM awaited JOIN images USING (image_id) "
                      "WHERE private = 0 ORDER BY created_at DESC, seq DESC")  # fmt: skip
    return [Awaited(*row) for row in rows]


def count_awaited(ledger: Ledger) -> int:
    return ledger.one("SELECT COUNT(*) AS n FROM awaited")["n"]


def forget_awaited(ledger: Ledger, image_ids: Iterable[str]) -> None:
    """These have come, or never will."""
    with ledger.transaction() as db:
        db.executemany("DELETE FROM awaited WHERE image_id = ?", [(image_id,) for image_id in image_ids])
