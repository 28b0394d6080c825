"""The store of record: one SQLite file with prompts, images, battles, votes, exclusions and sealed shards.

What a method that writes has returned from is on disk (WAL, synchronous FULL, one transaction a call). Rules
that must hold under any race are held here by the database itself: one vote a battle, a vote only from the
voter to whom the battle was served, a withdrawal only of a voter's last vote. Rows are never rewritten; the
tables' columns are those of `arena.records.TABLES`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arena import columns
from arena.database import Database
from arena.errors import AlreadyVoted, BattleExpired, LedgerError, NothingToWithdraw, UnknownBattle
from arena.records import TABLES, Battle, Image, Prompt, Shard, Vote
from arena.remembered import PairRecords, RowCounts
from arena.tables import (
    FROM_PROMPT,
    LISTS,
    NOT_GOLD,
    PRIVATE,
    SCHEMA_VERSION,
    statements,
    to_image,
    to_prompt,
    to_vote,
    upgrades,
)


class Ledger(Database):
    """Opens (or makes) the ledger at `path`. Safe to share between threads. `clock` gives seconds since 1970.
    Raises LedgerError when the file cannot be used."""

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time, alone: bool = False):
        super().__init__(path, alone=alone)
        self.clock, self._counts, self._pairs = clock, RowCounts(self), PairRecords(self)
        try:
            with self.transaction() as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                for statement in statements() if version == 0 else upgrades(version):
                    db.execute(statement)
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: cannot be used as a ledger ({error})") from error
        if not 0 <= version <= SCHEMA_VERSION:
            raise LedgerError(f"{self.path}: written by another version (schema {version}, ours is {SCHEMA_VERSION})")

    def now(self) -> int:
        """The present, in milliseconds."""
        return int(self.clock() * 1000)

    # -- prompts and images ------------------------------------------------------------------------------

    def add_prompts(self, prompts: Iterable[Prompt], *, private: bool = False) -> None:
        """Prompts that are there already are left as they are."""
        with self.transaction() as db:
            for prompt in prompts:
                self._insert(db, "prompts", {**asdict(prompt), "private": private}, "OR IGNORE")

    def add_image(self, image: Image) -> None:
        with self.transaction() as db:
            self._insert(db, "images", asdict(image), "OR IGNORE")

    def add_images(self, images: Iterable[Image]) -> list[Image]:
        """Keep those whose generation (prompt, model and seed) is not on record yet, in one commit; which they were."""
        kept = []
        with self.transaction() as db:
            for image in images:
                if self.generation(image.prompt_id, image.model, image.seed):
                    continue
                if self._insert(db, "images", asdict(image), "OR IGNORE"):
                    kept.append(image)
        return kept

    def prompt(self, prompt_id: str) -> Prompt | None:
        row = self.one("SELECT * FROM prompts WHERE prompt_id = ?", prompt_id)
        return to_prompt(row) if row else None

    def prompts(self, *, source: str | None = None) -> list[Prompt]:
        """Public prompts, oldest first."""
        sql = "SELECT * FROM prompts WHERE private = 0" + (" AND prompt_source = ?" if source else "") + " ORDER BY seq"
        return [to_prompt(row) for row in self.all(sql, *([source] if source else []))]

    def image(self, image_id: str) -> Image | None:
        row = self.one("SELECT * FROM images WHERE image_id = ?", image_id)
        return to_image(row) if row else None

    def generation(self, prompt_id: str, model: str, seed: int) -> Image | None:
        """The image that this model made of this prompt with this seed."""
        row = self.one("SELECT * FROM images WHERE prompt_id = ? AND model = ? AND seed = ?", prompt_id, model, seed)
        return to_image(row) if row else None

    def banked_images(self, after: int = 0) -> list[Image]:
        """Every image after the one with this number (seq) that may be served to anybody, oldest first."""
        return [
            to_image(row) for row in self.all("SELECT * FROM images WHERE private = 0 AND seq > ? ORDER BY seq", after)
        ]

    def private_images(self, before: int, since: int = 0) -> list[str]:
        """Ids of visitors' private images that were made from `since` to just before `before` (milliseconds)."""
        rows = self.all(f"SELECT image_id FROM images WHERE private = 1 AND {NOT_GOLD} AND created_at >= ? AND "
                        "created_at < ?", since, before)  # fmt: skip
        return [row["image_id"] for row in rows]

    # -- battles -----------------------------------------------------------------------------------------

    def add_battle(self, battle: Battle, *, gold: str | None = None) -> None:
        """`gold` is the task with a known answer that it is (`arena.gold`)."""
        with self.transaction() as db:
            self._insert(db, "battles", {
                "battle_id": battle.battle_id, "voter": battle.voter, "prompt_id": battle.prompt.prompt_id,
                "image_a": battle.image_a.image_id, "image_b": battle.image_b.image_id, "mode": battle.mode,
                "served_from": battle.served_from, "pair_probability": battle.pair_probability,
                "created_at": battle.created_at, "token_a": battle.token_a, "token_b": battle.token_b,
                "gold": gold,
            })  # fmt: skip

    def battle(self, battle_id: str) -> Battle | None:
        row = self.one("SELECT * FROM battles WHERE battle_id = ?", battle_id)
        return self._battle(row) if row else None

    def open_battles(self, voter: str, since: int) -> list[Battle]:
        """The voter's battles that are neither voted nor voided nor older than `since`, oldest first: what a
        reload or a restart goes on with."""
        rows = self.all("SELECT * FROM battles b WHERE voter = ? AND created_at >= ? AND voted = 0 AND voided IS NULL "
                         "AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.battle_id = b.battle_id) "
                         "ORDER BY created_at, seq", voter, since)  # fmt: skip
        return [self._battle(row) for row in rows]

    def images_of_token(self, token: str) -> tuple[str, str] | None:
        """The image that is served under this token, and the other one of its battle."""
        row = self.one("SELECT image_a AS image, image_b AS other FROM battles WHERE token_a = ? UNION ALL "
                        "SELECT image_b, image_a FROM battles WHERE token_b = ?", token, token)  # fmt: skip
        return (row["image"], row["other"]) if row else None

    def void_battle(self, battle_id: str, reason: str) -> None:
        """Nobody can vote on it any more, and nothing counts for or against its models."""
        with self.transaction() as db:
            db.execute("UPDATE battles SET voided = ? WHERE battle_id = ? AND voided IS NULL", (reason, battle_id))

    # -- votes -------------------------------------------------------------------------------------------

    def cast_vote(self, battle_id: str, voter: str, make: Callable[[Battle], Vote], *, not_before: int,
                  hold: bool = False) -> Vote:  # fmt: skip
        """Write the vote that `make(battle)` returns, if this voter may still cast it; on disk when this
        returns, and with it whether the names are held back. Raises UnknownBattle, AlreadyVoted or BattleExpired, and then nothing changed."""
        with self.transaction() as db:
            known = (battle_id, voter)  # of a vote from the dataset the battle is not here, and the vote still stands
            if db.execute("SELECT 1 FROM votes WHERE battle_id = ? AND voter = ?", known).fetchone():
                raise AlreadyVoted("You have already voted on this battle.")
            row = db.execute("SELECT * FROM battles WHERE battle_id = ? AND voter = ?", known).fetchone()
            if row is None:
                raise UnknownBattle("This battle is not known here, or was served to somebody else.")
            if row["voided"] or row["created_at"] < not_before:
                raise BattleExpired("This battle has expired. Here is a fresh one.")
            vote = make(self._battle(row))
            self._insert(db, "votes", asdict(vote))
            db.execute("UPDATE battles SET voted = 1, held = ? WHERE battle_id = ?", (hold, battle_id))
        return vote

    def exclude(self, vote_id: str, reason: str) -> None:
        with self.transaction() as db:
            self._exclude(db, vote_id, reason)

    def withdraw(self, battle_id: str, voter: str) -> Vote:
        """Exclude the voter's vote on `battle_id` as withdrawn, if it is the last one that they cast and it
        still stands. Raises NothingToWithdraw otherwise."""
        with self.transaction() as db:
            vote = self.last_vote(voter)
            if vote is None or vote.battle_id != battle_id:
                raise NothingToWithdraw("Only your last vote can be taken back.")
            if self.is_excluded(vote.vote_id):
                raise NothingToWithdraw("This vote is taken back already.")
            self._exclude(db, vote.vote_id, "withdrawn")
        return vote

    def last_vote(self, voter: str) -> Vote | None:
        row = self.one("SELECT * FROM votes WHERE voter = ? ORDER BY created_at DESC, seq DESC LIMIT 1", voter)
        return to_vote(row) if row else None

    def is_excluded(self, vote_id: str) -> bool:
        """Whether any exclusion was ever added, lifted or not."""
        return self.one("SELECT 1 FROM exclusions WHERE vote_id = ?", vote_id) is not None

    def unveil(self, battle_id: str) -> None:
        """Remember that the voter is told the names of this battle's models."""
        with self.transaction() as db:
            db.execute("UPDATE battles SET held = 0 WHERE battle_id = ?", (battle_id,))

    def vote_of(self, battle_id: str) -> Vote | None:
        row = self.one("SELECT * FROM votes WHERE battle_id = ?", battle_id)
        return to_vote(row) if row else None

    def votes_after(self, seq: int, columns: Collection[str] | None = None, limit: int = -1
                    ) -> list[tuple[int, dict[str, Any]]]:  # fmt: skip
        """(seq, published row) of votes after `seq`, in the order in which they came here, `limit` of them at most; all
        `columns` by default."""
        return self._published("votes", seq, limit, columns=columns)

    def vote_columns(self, after: int, names: Collection[str], limit: int) -> tuple[list[int], dict[str, Any]]:
        """The numbers (seq) of at most `limit` votes after `after`, and columns of them, as `arena.columns` has it."""
        return columns.read(self, "votes", after, list(names), limit)

    def votes_with_feedback(self, columns: Collection[str]) -> list[dict[str, Any]]:
        """Those votes on whose battles feedback was given."""
        where = "t.battle_id IN (SELECT battle_id FROM feedback) AND "
        return [row for _, row in self._published("votes", 0, -1, where, columns)]

    def feedback_after(self, seq: int) -> list[tuple[int, dict[str, Any]]]:
        """(seq, published row) of feedback after `seq`, in the order in which it came here."""
        return self._published("feedback", seq, -1)

    def exclusions_after(self, seq: int) -> list[tuple[int, dict[str, Any]]]:
        return self._published("exclusions", seq, -1)

    def images_after(self, seq: int) -> list[tuple[int, dict[str, Any]]]:
        """(seq, published row without its bytes) of images after `seq` that may be shown to anybody."""
        return self._published("images", seq, -1)

    def pair_record(self, image_a: str, image_b: str) -> dict[str, int]:
        """Standing votes on this pair of images, whichever side each was on: {"a": , "b": , "both_good": ,
        "both_bad": }, where a is `image_a`."""
        return self._pairs.of(image_a, image_b)

    # -- who is named ------------------------------------------------------------------------------------

    def is_named(self, voter: str) -> bool:
        """Whether this voter agreed that their name goes with their votes."""
        return self.one("SELECT 1 FROM named_voters WHERE voter = ?", voter) is not None

    def set_named(self, voter: str, agreed: bool) -> None:
        """Keep, or forget, that this voter agreed. Only the hash is kept here; a name is written with a vote."""
        with self.transaction() as db:
            if agreed:
                self._insert(db, "named_voters", {"voter": voter}, "OR IGNORE")
            else:
                db.execute("DELETE FROM named_voters WHERE voter = ?", (voter,))

    # -- publishing --------------------------------------------------------------------------------------

    def unsealed(self, table: str, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """(seq, published row) of rows that no shard holds yet, ascending; images come without their bytes. What
        is private never comes, and neither does what the dataset has already (`arena.intake`)."""
        return self._published(table, self.sealed_to(table), limit, "t.from_hub = 0 AND ")

    def sealed_to(self, table: str) -> int:
        """The last row (seq) that a shard of `table` holds; 0 where there is none."""
        return self.one('SELECT COALESCE(MAX(last_seq), 0) AS seq FROM shards WHERE "table" = ?', table)["seq"]

    def unpublished(self) -> int:
        """Rows that the Hub does not have yet, as far as we know: unsealed, or in a pending shard."""
        unsealed = " + ".join(
            f"(SELECT COUNT(*) FROM {table} WHERE {'private = 0 AND ' * (table in PRIVATE)}from_hub = 0 AND seq > "
            f"(SELECT COALESCE(MAX(last_seq), 0) FROM shards WHERE \"table\" = '{table}'))"
            for table in TABLES
        )
        pending = "(SELECT COALESCE(SUM(rows), 0) FROM shards WHERE published_at IS NULL)"
        return self.one(f"SELECT {unsealed} + {pending} AS n")["n"]

    def record_shard(self, shard: Shard) -> None:
        with self.transaction() as db:
            self._insert(db, "shards", asdict(shard))

    def pending_shards(self) -> list[Shard]:
        """Sealed shards that the Hub does not have yet, oldest first."""
        rows = self.all("SELECT * FROM shards WHERE published_at IS NULL ORDER BY rowid")
        return [Shard(**{k: row[k] for k in Shard.__slots__}) for row in rows]

    def mark_published(self, paths: Sequence[str], now: int) -> None:
        with self.transaction() as db:
            db.executemany("UPDATE shards SET published_at = ? WHERE path = ?", [(now, path) for path in paths])

    def rows_of(self, shard: Shard) -> list[tuple[int, dict[str, Any]]]:
        """(seq, published row) of the rows that a shard was sealed from, as far as they are still here."""
        rows = self._published(shard.table, shard.first_seq - 1, shard.rows, "t.from_hub = 0 AND ")
        return [(seq, row) for seq, row in rows if seq <= shard.last_seq]

    def replace_shard(self, shard: Shard, fresh: Sequence[Shard]) -> None:
        """The rows of `shard` are in `fresh` shards instead."""
        with self.transaction() as db:
            db.execute("DELETE FROM shards WHERE path = ?", (shard.path,))
            for one in fresh:
                self._insert(db, "shards", asdict(one))

    def published_before(self, folder: str, before: int) -> list[str]:
        """Paths of the shards under `folder`, a path in the dataset, that have been on the Hub since before `before`
        (milliseconds)."""
        sql = "SELECT path FROM shards WHERE path GLOB ? AND published_at < ?"
        return [row["path"] for row in self.all(sql, f"{folder}/*", before)]

    def last(self, table: str) -> int:
        """The number (seq) of the newest row of a published table; 0 where there is none."""
        return self.one(f"SELECT COALESCE(MAX(seq), 0) AS seq FROM {table}")["seq"]

    def counts(self) -> dict[str, int]:
        """Rows of each published table (what is private left out)."""
        return self._counts.now()

    # -- inside ------------------------------------------------------------------------------------------

    def _published(self, table: str, after: int, limit: int, where: str = "",
                   columns: Collection[str] | None = None) -> list[tuple[int, dict[str, Any]]]:  # fmt: skip
        columns = [c for c, t in TABLES[table].items() if t != "image" and (columns is None or c in columns)]
        if table == "images":
            chosen = ", ".join(f"p.{c}" if c in FROM_PROMPT else f"t.{c}" for c in columns)
            source = "images t JOIN prompts p USING (prompt_id) WHERE t.private = 0 AND"
        else:
            chosen = ", ".join(f"t.{c}" for c in columns)
            source = f"{table} t WHERE " + ("t.private = 0 AND" if table in PRIVATE else "")
        rows = self.all(f"SELECT t.seq, {chosen} FROM {source} {where}t.seq > ? ORDER BY t.seq LIMIT ?", after, limit)
        opened = [(c, bool if TABLES[table][c] == "bool" else json.loads) for c in columns
                  if TABLES[table][c] in ("bool", *LISTS)]  # fmt: skip
        return [(row[0], {**dict(zip(columns, tuple(row)[1:], strict=True)),
                          **{c: open_(row[c]) for c, open_ in opened if row[c] is not None}})
                for row in rows]  # fmt: skip

    def _exclude(self, db: sqlite3.Connection, vote_id: str, reason: str) -> None:
        row = {"vote_id": vote_id, "reason": reason, "created_at": self.now(), "extra": "{}"}
        self._insert(db, "exclusions", row, "OR IGNORE")

    def _battle(self, row: sqlite3.Row) -> Battle:
        prompt, a, b = self.prompt(row["prompt_id"]), self.image(row["image_a"]), self.image(row["image_b"])
        if prompt is None or a is None or b is None:
            raise LedgerError(f"battle {row['battle_id']} points at a prompt or image that is not there")
        return Battle(row["battle_id"], row["voter"], prompt, a, b, row["mode"], row["served_from"],
                      row["pair_probability"], row["created_at"], row["token_a"], row["token_b"])  # fmt: skip

    def _insert(self, db: sqlite3.Connection, table: str, row: dict[str, Any], conflict: str = "") -> int:
        if table == "images":
            row = {k: v for k, v in row.items() if k not in FROM_PROMPT}
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        return db.execute(f"INSERT {conflict} INTO {table} ({names}) VALUES ({marks})", tuple(row.values())).rowcount
