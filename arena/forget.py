"""Erasing a voter: from the ledger, from the shards on this disk and from the dataset with its history.

The votes' ids stay behind, as exclusions with the reason `erased`: they name nobody, and by them this ledger and every
replica's drops the votes and never takes them in again (`arena.intake`). They are written with the first step and
every later step looks for all of them, so whatever an interruption left is finished by running it again.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from arena import intake
from arena.bank import Bank
from arena.errors import PublishError
from arena.hub import Hub, HubTarget
from arena.hub_reader import HubReader, RemoteShard
from arena.layout import large_path, manifest_path, read_name
from arena.ledger import Ledger
from arena.records import dumps, feedback_id
from arena.shards import ROWS_OTHERWISE, ShardFolder

if TYPE_CHECKING:
    import pyarrow as pa

    from arena.publisher import Publisher

# Published tables with rows of a voter, and the columns by which those are found.
TELLING = {"votes": ["vote_id", "voter"], "feedback": ["feedback_id", "voter"], "exclusions": ["vote_id", "reason"]}
PASSES = 4  # over the dataset, while other replicas go on committing
_ERASED = "(SELECT vote_id FROM exclusions WHERE reason = 'erased')"
# The voter's own pictures and prompts; those of tasks with a known answer are private too, and nobody's.
_PRIVATE = "private = 1 AND prompt_id IN (SELECT prompt_id FROM battles WHERE voter = ? AND gold IS NULL)"


@dataclass(slots=True)
class Erased:
    """What was erased. Rows of the ledger by table; files are shards that held rows of the voter, and damaged ledgers."""

    rows: dict[str, int] = field(default_factory=dict)
    local_files: int = 0
    dataset: str | None = None
    dataset_rows: int = 0
    dataset_files: int = 0


class Eraser:
    """The ledger must be opened `alone`: nobody may write, or remember, what is being erased. `folder` is the local
    copy of the dataset, `hub` None where there is no other."""

    def __init__(self, ledger: Ledger, bank: Bank, publisher: Publisher, folder: ShardFolder, hub: HubTarget | None):
        self.ledger = ledger
        self._bank, self._publisher, self._folder = bank, publisher, folder
        self._hub = Hub(hub) if hub else None
        self._reader = HubReader(hub) if hub else None

    def voters_named(self, name: str) -> list[str]:
        """Voters whose votes here carry this user name, because they agreed to that."""
        sql = "SELECT DISTINCT voter FROM votes WHERE json_valid(extra) AND json_extract(extra, '$.voter_name') = ?"
        return [row["voter"] for row in self.ledger.all(sql, name)]

    def count(self, voter: str) -> int:
        """Votes of this voter in the ledger."""
        return self.ledger.one("SELECT COUNT(*) AS n FROM votes WHERE voter = ?", voter)["n"]

    def erase(self, voter: str) -> Erased:
        """Raises LedgerError, RestoreError or PublishError; then what was done stays done, and the same again
        finishes the rest."""
        done = Erased(dataset=self._hub.dataset if self._hub else None)
        votes = self._votes_in_dataset(voter)  # before anything is changed: the Hub has to be there
        self._from_ledger(voter, votes, done)
        self._from_disk(voter, done)
        self.ledger.scrub()
        for copy in self.ledger.path.parent.glob(f"{self.ledger.path.name}.damaged-*"):  # see arena.salvage
            copy.unlink()
            done.local_files += 1
        self._publisher.publish_now(images=self._hub is not None)  # the ids go first: with them every replica knows
        if self._hub:
            self._from_dataset(voter, done)
            self._hub.files.squash()
        return done

    # -- the ledger ----------------------------------------------------------------------------------------

    def _from_ledger(self, voter: str, votes: set[str], done: Erased) -> None:
        images = self.ledger.all(f"SELECT image_id FROM images WHERE {_PRIVATE}", voter)
        for row in images:
            self._bank.remove(row["image_id"])
        with self.ledger.transaction() as db:
            votes |= {row["vote_id"] for row in db.execute("SELECT vote_id FROM votes WHERE voter = ?", (voter,))}
            votes -= {row["vote_id"] for row in db.execute(_ERASED[1:-1])}
            now = self.ledger.now()
            db.executemany("INSERT INTO exclusions (vote_id, reason, created_at, extra) VALUES (?, 'erased', ?, '{}')",
                           [(vote, now) for vote in sorted(votes)])  # fmt: skip
            done.rows["feedback"] = intake.erase_feedback(db)
            for table, where, values in (
                ("votes", f"voter = ? OR vote_id IN {_ERASED}", (voter,)),
                ("images", _PRIVATE, (voter,)),
                ("prompts", _PRIVATE, (voter,)),
                ("battles", "voter = ?", (voter,)),
                ("named_voters", "voter = ?", (voter,)),
                ("exclusions", f"reason != 'erased' AND vote_id IN {_ERASED}", ()),
            ):
                done.rows[table] = db.execute(f"DELETE FROM {table} WHERE {where}", values).rowcount

    def _all_erased(self) -> set[str]:
        return {row["vote_id"] for row in self.ledger.all(_ERASED[1:-1])}

    # -- this disk -----------------------------------------------------------------------------------------

    def _from_disk(self, voter: str, done: Erased) -> None:
        """Shards that the Hub has are removed here; those that it does not have are sealed again without the rows."""
        erased, now = self._all_erased(), self.ledger.now()
        with self._folder.alone():
            shutil.rmtree(self._folder.folder / ".compacting", ignore_errors=True)
            pending = {shard.path: shard for shard in self.ledger.pending_shards()}
            self._folder.settle(pending.values())
            for file in sorted((self._folder.folder / "data").glob("*/*/*.parquet")):
                path = file.relative_to(self._folder.folder).as_posix()
                table = path.split("/")[1]
                if table not in TELLING or not self._holds(table, file, voter, erased):
                    continue
                shard = pending.get(path)
                if shard and self._hub and self._hub.has(shard):
                    self.ledger.mark_published([path], now)
                    shard = None
                if shard:
                    rows = self.ledger.rows_of(shard)
                    self._folder.seal_again(shard, [rows] if rows else [], now)
                file.unlink(missing_ok=True)
                done.local_files += 1

    def _holds(self, table: str, file: Path, voter: str, erased: set[str]) -> bool:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(file) as source:
                return bool(_count(_told(table, source.read(TELLING[table]), voter, erased)))
        except pa.ArrowException:  # damaged: nobody can read it, and the ledger has its rows
            return True

    # -- the dataset ---------------------------------------------------------------------------------------

    def _votes_in_dataset(self, voter: str) -> set[str]:
        head = self._reader.head() if self._reader else None
        found: set[str] = set()
        for shard in self._reader.shards(head) if head else ():
            if shard.table == "votes":
                rows = self._columns(shard, head)
                found |= set(rows.filter(_told("votes", rows, voter, set()))["vote_id"].to_pylist())
        return found

    def _columns(self, shard: RemoteShard, head: str) -> pa.Table:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._reader.open(shard, head, TELLING[shard.table])) as file:
            return file.read(TELLING[shard.table])

    def _from_dataset(self, voter: str, done: Erased) -> None:
        """Every shard with rows of the voter is replaced by one without them, in one commit a pass."""
        erased = self._all_erased()
        for _ in range(PASSES):
            head = self._reader.head()
            there = self._reader.shards(head)
            shards = [shard for shard in there if shard.table in TELLING
                      and _count(_told(shard.table, self._columns(shard, head), voter, erased))]  # fmt: skip
            if not shards:
                return
            with tempfile.TemporaryDirectory(dir=self._folder.folder) as scratch:
                added: dict[str, Path | bytes] = {}
                deleted: list[str] = []
                rows = sum(self._rewrite(s, head, voter, erased, Path(scratch), added, deleted) for s in shards)
                left = {shard.path for shard in there}.difference(deleted).union(added)
                added |= self._card({shard.table for shard in there}, left, head)
                if self._hub.files.replace(added, deleted, f"Erase {rows} rows"):
                    done.dataset_rows += rows
                    done.dataset_files += len(shards)
                    self._know(shards, added)
        raise PublishError(f"{self._reader.dataset}: others commit there all the time; run it again")

    def _card(self, tables: set[str], left: set[str], head: str) -> dict[str, bytes]:
        """A card without the tables that have no rows left: one that lists them keeps the dataset from loading."""
        holding = {path.split("/")[1] for path in left if path.startswith("data/")}
        if holding == tables:
            return {}
        with self._hub.files.asking():
            card = self._publisher.hub_card(holding, self._hub.files.text("README.md", head))
        return {"README.md": card.encode()} if card else {}

    def _rewrite(self, shard: RemoteShard, head: str, voter: str, erased: set[str], scratch: Path,
                 added: dict[str, Path | bytes], deleted: list[str]) -> int:  # fmt: skip
        """Add what takes the place of `shard`; how many rows are left out. What it was made from stays known, so that
        a replica that does not know that its push landed does not push the rows again."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        with pq.ParquetFile(pa.BufferReader(self._reader.read(shard, head))) as file:
            rows = file.read()
        gone = _told(shard.table, rows, voter, erased)
        left = rows.filter(pc.invert(gone))
        file = scratch / f"{len(added)}.parquet"
        pq.write_table(left, file, compression="zstd", row_group_size=ROWS_OTHERWISE)
        sha256 = hashlib.sha256(file.read_bytes() if len(left) else shard.path.encode()).hexdigest()
        deleted.append(shard.path)
        name = read_name(shard.path)
        if name is None:  # put there by somebody else's hand
            path = f"{shard.path.removesuffix('.parquet')}-{sha256[:8]}.parquet"
        else:
            path, inside = large_path([name], len(left), sha256), [shard.path]
            if name.large:
                with self._hub.files.asking():
                    inside = self._hub.files.sources(manifest_path(shard.path), head)["shards"]
                deleted.append(manifest_path(shard.path))
            manifest = {"table": shard.table, "rows": len(left), "sources": [shard.path], "shards": sorted(inside)}
            added[manifest_path(path)] = dumps(manifest).encode()
        if len(left):  # an empty shard would keep the dataset from loading
            added[path] = file
        return _count(gone)

    def _know(self, shards: Iterable[RemoteShard], added: Iterable[str]) -> None:
        """The new shards hold nothing new to this ledger, if it knew the old ones."""
        for table in TELLING:
            paths = [shard.path for shard in shards if shard.table == table]
            if paths and not intake.unread(self.ledger, paths):
                intake.take(self.ledger, table, (), ends=[p for p in added if p.startswith(f"data/{table}/")])


def _told(table: str, rows: pa.Table, voter: str, erased: set[str]) -> pa.ChunkedArray:
    """Which rows are to go."""
    import pyarrow as pa
    import pyarrow.compute as pc

    key = TELLING[table][0]
    gone = {feedback_id(vote, side) for vote in erased for side in ("a", "b")} if table == "feedback" else erased
    known = pc.is_in(rows[key], value_set=pa.array(sorted(gone), pa.string()))
    if table != "exclusions":
        return pc.or_(known, pc.fill_null(pc.equal(rows["voter"], voter), False))
    return pc.and_(known, pc.not_equal(rows["reason"], "erased"))


def _count(gone: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return pc.sum(gone).as_py() or 0
