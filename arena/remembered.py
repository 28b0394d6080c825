"""What is asked of the ledger again and again, and remembered in between: how many rows its tables have, and what the votes
on a pair of images came to. Both read only what came since they were last asked, so that a million votes cost no more
than a hundred; what an erasure takes away is counted anew.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict

from arena.database import Database
from arena.records import TABLES
from arena.tables import NOT_GOLD, public

PAIRS = 20_000  # that are remembered


class RowCounts:
    """Rows of each published table, what is private left out."""

    def __init__(self, db: Database):
        self._db, self._lock = db, threading.Lock()
        self._rows: dict[str, int] = {}
        self._at: dict[str, int] = {}  # the last row of each table that is counted; none before the first count

    def now(self) -> dict[str, int]:
        with self._lock:
            found = self._since() if self._at else None
            if found is None or found["erased"]:  # rows are gone, and nobody knows which
                self._rows, self._at = dict.fromkeys(TABLES, 0), {}
                found = self._since()
            for table in TABLES:
                self._rows[table] += found[f"{table}_rows"]
                self._at[table] = max(self._at.get(table, 0), found[f"{table}_end"])
            return dict(self._rows)

    def _since(self):
        """What is after `_at`, in one statement, so that all of it is of one moment; without a bound SQLite counts by the
        smallest index."""
        columns = [f"(SELECT COUNT(*) FROM {table}{public(table) or ' WHERE 1'}{' AND seq > ?' * (table in self._at)}) AS "
                   f"{table}_rows, (SELECT COALESCE(MAX(seq), 0) FROM {table}) AS {table}_end" for table in TABLES]  # fmt: skip
        columns.append("EXISTS (SELECT 1 FROM exclusions WHERE seq > ? AND reason = 'erased') AS erased")
        return self._db.one(f"SELECT {', '.join(columns)}", *self._at.values(), self._at.get("exclusions", 0))


class PairRecords:
    """Standing votes on pairs of images."""

    def __init__(self, db: Database):
        self._db, self._lock = db, threading.Lock()
        self._known: OrderedDict[tuple[str, str], tuple[Counter[str], int]] = OrderedDict()  # and the last vote in it
        self._exclusions: int | None = None  # the last one that was looked at

    def of(self, image_a: str, image_b: str) -> dict[str, int]:
        """{"a": , "b": , "both_good": , "both_bad": }, whichever side each image was on; a is `image_a`."""
        key = (image_a, image_b) if image_a < image_b else (image_b, image_a)
        with self._lock:
            self._forget_excluded()
            counted, last = self._known.pop(key, (Counter(), 0))
            for row in self._votes(key, last):
                won = {"model_a": row["image_a"], "model_b": row["image_b"]}.get(row["winner"], row["winner"])
                counted[won] += row["n"]
                last = max(last, row["last"])
            self._known[key] = counted, last
            if len(self._known) > PAIRS:
                self._known.popitem(last=False)
            return {"a": counted[image_a], "b": counted[image_b], "both_good": counted["both_good"],
                    "both_bad": counted["both_bad"]}  # fmt: skip

    def _votes(self, key: tuple[str, str], after: int):
        # The last exclusion of a vote says whether it stands; `last` is of all of them.
        sql = ("SELECT image_a, image_b, winner, SUM(COALESCE((SELECT e.reason FROM exclusions e WHERE e.vote_id = v.vote_id "
               "ORDER BY e.created_at DESC, e.seq DESC LIMIT 1), 'restored') = 'restored') AS n, MAX(seq) AS last FROM votes v "
               f"WHERE image_a = ? AND image_b = ? AND seq > ? AND {NOT_GOLD} GROUP BY winner")  # fmt: skip
        return [row for pair in (key, key[::-1]) for row in self._db.all(sql, *pair, after)]

    def _forget_excluded(self) -> None:
        """Pairs with votes that were excluded or restored since are counted anew; of an erased one nobody knows which."""
        if self._exclusions is None:
            self._exclusions = self._db.one("SELECT COALESCE(MAX(seq), 0) AS seq FROM exclusions")["seq"]
        for row in self._db.all("SELECT e.seq, e.reason, v.image_a, v.image_b FROM exclusions e LEFT JOIN votes v "
                                "USING (vote_id) WHERE e.seq > ? ORDER BY e.seq", self._exclusions):  # fmt: skip
            self._exclusions = row["seq"]
            if row["image_a"] is not None:
                self._known.pop(tuple(sorted((row["image_a"], row["image_b"]))), None)
            elif row["reason"] == "erased":
                self._known.clear()
