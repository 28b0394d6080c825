"""A ledger that came back damaged: a bucket may pass on a file in the middle of a write, and without its journal.

What can still be read of it goes into a new ledger, and the damaged file is kept beside it. What had been published is
to be read from the dataset again: the new ledger knows of no shard but those that are pending, so rows that were
published before are found there and do not go out again (`arena.restore`).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from arena.errors import LedgerError
from arena.ledger import Ledger
from arena.records import TABLES

log = logging.getLogger(__name__)

SKIPPED = 50  # rows that are passed over where one can't be read: about those of a page
LIKE_NEW = ("read_shards", "awaited", "sqlite_sequence")  # tables that reading the dataset fills again


def mended(path: Path, dataset_folder: Path, *, restorable: bool) -> int | None:
    """See to it that the ledger at `path`, which nobody has open, can be used: how many votes were read from a damaged
    one, None where it was sound. `dataset_folder` is the local copy of the dataset. Raises LedgerError where nothing is
    left of it and nothing is `restorable` from a dataset either."""
    if not path.exists() or _is_sound(path):
        return None
    fresh = path.with_name(f"{path.name}.mending")
    for name in (fresh, *_beside(fresh)):
        name.unlink(missing_ok=True)
    ledger = Ledger(fresh, alone=True)
    try:
        with ledger.transaction(bulk=True) as db:
            rows = _copy(path, db)
            published = [row["path"] for row in db.execute("SELECT path FROM shards WHERE published_at IS NOT NULL")]
            if restorable:
                db.execute("DELETE FROM shards WHERE published_at IS NOT NULL")
    finally:
        ledger.close()
    if not restorable and not any(rows.values()):
        fresh.unlink()
        raise LedgerError(f"{path}: damaged, and nothing in it can be read; put a copy of it there, or take it away")
    kept = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000}")
    os.replace(path, kept)
    for name in _beside(path):
        if name.exists():
            os.replace(name, kept.with_name(kept.name + name.name.removeprefix(path.name)))
    os.replace(fresh, path)
    for shard in published if restorable else ():
        (dataset_folder / shard).unlink(missing_ok=True)  # nobody would remember to
    log.error("the ledger was damaged and is kept as %s; read from it: %s%s", kept.name,
              ", ".join(f"{count} {table}" for table, count in rows.items()),
              "; what was published follows from the dataset" if restorable else "")  # fmt: skip
    return rows["votes"]


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm")]


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=1)) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory, where a log was left behind
            return db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.OperationalError as error:
        if "malformed" in str(error):
            return False
        log.debug("%s could not be checked: %s", path.name, error)
        return True  # in use, or not to be opened: whoever opens it says why
    except sqlite3.DatabaseError:
        return False


def _copy(damaged: Path, db: sqlite3.Connection) -> dict[str, int]:
    """Every row that can be read, into the new ledger's tables; how many of each published table."""
    counts = {}
    with closing(sqlite3.connect(f"{damaged.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as source:
        tables = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in [name for name in tables if name not in LIKE_NEW]:
            columns = _columns(db, table, source)
            names = ", ".join(f'"{name}"' for name in columns)
            sql = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"
            for row in _rows(source, table, names) if columns else ():
                try:
                    db.execute(sql, row)
                except sqlite3.IntegrityError as error:  # what is left of a row
                    log.debug("a row of %s is left out: %s", table, error)
    for table in TABLES:
        counts[table] = db.execute(f"SELECT COUNT(*) AS n FROM {table}").fetchone()["n"]
        # Numbers up to that of the last sealed row were given away, whether or not those rows are still here.
        last = db.execute(f"SELECT MAX(COALESCE((SELECT MAX(seq) FROM {table}), 0), COALESCE((SELECT MAX(last_seq) FROM "
                          "shards WHERE \"table\" = ?), 0)) AS seq", (table,)).fetchone()["seq"]  # fmt: skip
        db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))
    return counts


def _columns(db: sqlite3.Connection, table: str, source: sqlite3.Connection) -> list[str]:
    """Those that both have; a damaged ledger may be of an earlier version."""
    try:
        known = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
    except sqlite3.DatabaseError:
        return []
    return [row["name"] for row in db.execute(f"PRAGMA table_info({table})") if row["name"] in known]


def _rows(source: sqlite3.Connection, table: str, names: str) -> Iterator[tuple]:
    """Rows in their order, past those that can't be read."""
    after, end = -1, _last(source, table)
    while after < end:
        try:
            for row in source.execute(f"SELECT rowid, {names} FROM {table} NOT INDEXED WHERE rowid > ? ORDER BY rowid",
                                      (after,)):  # fmt: skip
                after = row[0]
                yield row[1:]
            return
        except sqlite3.DatabaseError as error:
            log.debug("%s cannot be read after row %d: %s", table, after, error)
            after += SKIPPED


def _last(source: sqlite3.Connection, table: str) -> int:
    """Where to stop looking: the number of the last row, as far as that can be known."""
    known = [0]
    for sql in (f"SELECT MAX(rowid) FROM {table}", f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'"):
        try:
            known += [row[0] or 0 for row in source.execute(sql)]
        except sqlite3.DatabaseError:
            continue
    return max(known)
