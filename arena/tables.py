"""The ledger's tables: the SQL that makes them, and how their rows become records.

Published tables have the columns of `arena.records.TABLES`. Their column `from_hub` is 1 in rows that came from the
dataset (see `arena.intake`), which are never published again. Battles, shards, what was read of the dataset, and the
voters who agreed to be named are the ledger's own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from arena.records import OPTIONAL, TABLES, Feedback, Image, Point, Prompt, Vote, dumps

SCHEMA_VERSION = 4  # raised with every change of a table
_NAMED_VOTERS = "CREATE TABLE named_voters (voter TEXT PRIMARY KEY)"
_FROM_HUB = "from_hub INTEGER NOT NULL DEFAULT 0"
_VOTES_OF_A_PAIR = "CREATE INDEX votes_of_a_pair ON votes (image_a, image_b)"
_EXCLUDED_ONCE = "CREATE UNIQUE INDEX excluded_once ON exclusions (vote_id, reason, created_at)"
# Shards of the dataset whose rows are all here, and pictures of the dataset that the bank has yet to fetch: each is
# in a row group of the shard at `path`.
_READ_SHARDS = "CREATE TABLE read_shards (path TEXT PRIMARY KEY)"
_AWAITED = "CREATE TABLE awaited (image_id TEXT PRIMARY KEY, path TEXT NOT NULL, row_group INTEGER NOT NULL)"
_VERSION_3 = ("votes", "images", "prompts", "exclusions")  # the published tables of that version
# 1 while the names of a battle's models are held back from its voter, who has voted.
_HELD = "held INTEGER NOT NULL DEFAULT 0"
# Of a battle that is a task with a known answer (`arena.gold`): which task, the first answer as JSON, and how many
# answers there were.
_GOLD = ("gold TEXT", "gold_first TEXT", "gold_tries INTEGER NOT NULL DEFAULT 0")
# 1 once a battle has its vote from here. It only keeps such battles out of an index: whether there is a vote, `votes` says.
_VOTED = "voted INTEGER NOT NULL DEFAULT 0"
# Whoever follows the battles by their numbers must not miss one whose number was that of an erased one.
_BATTLES = ("seq INTEGER PRIMARY KEY AUTOINCREMENT, battle_id TEXT NOT NULL UNIQUE, voter TEXT NOT NULL, "
            "prompt_id TEXT NOT NULL, image_a TEXT NOT NULL, image_b TEXT NOT NULL, mode TEXT NOT NULL, "
            "served_from TEXT NOT NULL, pair_probability REAL NOT NULL, created_at INTEGER NOT NULL, "
            f"token_a TEXT NOT NULL, token_b TEXT NOT NULL, voided TEXT, {', '.join((_HELD, *_GOLD, _VOTED))}")  # fmt: skip
_OLD_BATTLES = ("battle_id, voter, prompt_id, image_a, image_b, mode, served_from, pair_probability, created_at, token_a, "
                "token_b, voided")  # fmt: skip
# The conditions of these are repeated by the queries that go by them.
_INDEXES = (
    "CREATE INDEX battles_of_a_voter ON battles (voter)",
    "CREATE UNIQUE INDEX battle_by_token_a ON battles (token_a)",
    "CREATE UNIQUE INDEX battle_by_token_b ON battles (token_b)",
    "CREATE INDEX open_battles ON battles (voter, created_at) WHERE voted = 0 AND voided IS NULL",
    "CREATE INDEX gold_battles ON battles (voter) WHERE gold IS NOT NULL",
    """CREATE INDEX gold_feedback ON battles (voter, created_at) WHERE instr(gold_first, '"given":') > 0""",
    "CREATE INDEX last_votes ON votes (voter, created_at)",
    "CREATE INDEX private_images ON images (created_at) WHERE private = 1",
    'CREATE INDEX shards_of_a_table ON shards ("table", last_seq)',
    "CREATE INDEX pending_shards ON shards (rows) WHERE published_at IS NULL",
)
# Of rows of votes and feedback: whether they answer such a task, which is no result.
GOLD, NOT_GOLD = "instr(extra, '\"gold\":') > 0", "instr(extra, '\"gold\":') = 0"
_GOLD_VOTES = f"CREATE INDEX gold_votes ON votes (voter) WHERE {GOLD}"


def _own_rows(table: str) -> str:
    """With it, what is to be published is found at once among any number of rows from the dataset."""
    return f"CREATE INDEX own_{table} ON {table} (seq) WHERE from_hub = 0"


# What makes a ledger of an earlier version one of the next.
_UPGRADES = {
    1: (_NAMED_VOTERS,),
    2: (
        *(f"ALTER TABLE {table} ADD COLUMN {_FROM_HUB}" for table in _VERSION_3),
        *map(_own_rows, _VERSION_3),
        "DELETE FROM exclusions WHERE seq NOT IN (SELECT MIN(seq) FROM exclusions GROUP BY vote_id, reason, created_at)",
        "DROP INDEX exclusions_of_a_vote",
        _EXCLUDED_ONCE,
        _READ_SHARDS,
        _AWAITED,
    ),
    3: (
        "CREATE TABLE feedback (seq INTEGER PRIMARY KEY AUTOINCREMENT, feedback_id TEXT NOT NULL, created_at INTEGER "
        "NOT NULL, battle_id TEXT NOT NULL, image_id TEXT NOT NULL, prompt_id TEXT NOT NULL, prompt TEXT NOT NULL, "
        "model TEXT NOT NULL, voter TEXT NOT NULL, style INTEGER, coherence INTEGER, alignment INTEGER, "
        "misaligned_words TEXT, coherence_points TEXT, alignment_points TEXT, extra TEXT NOT NULL, "
        f"{_FROM_HUB}, UNIQUE (feedback_id))",
        _own_rows("feedback"),
        "ALTER TABLE battles RENAME TO old_battles",
        f"CREATE TABLE battles ({_BATTLES})",
        f"INSERT INTO battles ({_OLD_BATTLES}, voted) SELECT {_OLD_BATTLES}, EXISTS (SELECT 1 FROM votes v WHERE "
        "v.battle_id = b.battle_id) FROM old_battles b ORDER BY rowid",
        "DROP TABLE old_battles",
        _VOTES_OF_A_PAIR,
        _GOLD_VOTES,
        *_INDEXES,
    ),
}
_SQL_TYPES = {"string": "TEXT", "json": "TEXT", "timestamp": "INTEGER", "int64": "INTEGER", "int8": "INTEGER",
              "bool": "INTEGER", "float32": "REAL", "float64": "REAL", "list<int32>": "TEXT",
              "list<point>": "TEXT"}  # fmt: skip
LISTS = ("list<int32>", "list<point>")  # kept as JSON
KEYS = {"votes": "vote_id", "images": "image_id", "feedback": "feedback_id", "prompts": "prompt_id"}
PRIVATE = ("images", "prompts")  # tables with rows that are never published, in their column `private`
# Columns of images that are the prompt's are not stored twice; they are joined when a row is published.
FROM_PROMPT = ("prompt", "category", "sub_category", "complexity")


def kept_columns(table: str) -> dict[str, str]:
    """The columns of a published table that the ledger stores, with their types."""
    return {c: t for c, t in TABLES[table].items()
            if t != "image" and not (table == "images" and c in FROM_PROMPT)}  # fmt: skip


def statements() -> Iterator[str]:
    """The SQL that makes a new ledger."""
    for table in TABLES:
        body = ", ".join(f"{c} {_SQL_TYPES[t]}{'' if c in OPTIONAL else ' NOT NULL'}"
                         for c, t in kept_columns(table).items())  # fmt: skip
        private = ", private INTEGER NOT NULL" if table in PRIVATE else ""
        unique = f", UNIQUE ({KEYS[table]})" if table in KEYS else ""
        yield f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, {body}{private}, {_FROM_HUB}{unique})"
        yield _own_rows(table)
    yield "CREATE UNIQUE INDEX one_vote_a_battle ON votes (battle_id)"
    yield "CREATE INDEX votes_of_a_voter ON votes (voter, seq)"
    yield _VOTES_OF_A_PAIR
    yield _EXCLUDED_ONCE
    yield "CREATE INDEX images_of_a_prompt ON images (prompt_id)"
    yield f"CREATE TABLE battles ({_BATTLES})"
    yield ("CREATE TABLE shards (path TEXT PRIMARY KEY, \"table\" TEXT NOT NULL, first_seq INTEGER NOT NULL, "
           "last_seq INTEGER NOT NULL, rows INTEGER NOT NULL, sha256 TEXT NOT NULL, sealed_at INTEGER NOT NULL, "
           "published_at INTEGER)")  # fmt: skip
    yield from (_NAMED_VOTERS, _READ_SHARDS, _AWAITED, _GOLD_VOTES, *_INDEXES)
    yield f"PRAGMA user_version = {SCHEMA_VERSION}"


def upgrades(version: int) -> Iterator[str]:
    """The SQL that makes a ledger of this `version` one of ours; none where it is, or where it cannot be."""
    if version in _UPGRADES:
        for step in range(version, SCHEMA_VERSION):
            yield from _UPGRADES[step]
        yield f"PRAGMA user_version = {SCHEMA_VERSION}"


def public(table: str) -> str:
    return " WHERE private = 0" if table in PRIVATE else ""


def to_prompt(row: sqlite3.Row) -> Prompt:
    return Prompt(**{k: row[k] for k in Prompt.__slots__})


def to_image(row: sqlite3.Row) -> Image:
    return Image(**{k: bool(row[k]) if k == "private" else row[k] for k in Image.__slots__})


def to_vote(row: sqlite3.Row) -> Vote:
    return Vote(**{k: bool(row[k]) if k == "signed_in" else row[k] for k in Vote.__slots__})


def to_feedback(row: sqlite3.Row | dict[str, Any]) -> Feedback:
    """Raises ValueError or TypeError for values that no feedback can have."""
    values = {k: row[k] for k in Feedback.__slots__}
    if (words := values["misaligned_words"]) is not None:
        values["misaligned_words"] = tuple(json.loads(words))
    for places in ("coherence_points", "alignment_points"):
        if (points := values[places]) is not None:
            values[places] = tuple(Point(**point) for point in json.loads(points))
    return Feedback(**values)


def feedback_values(row: dict[str, Any]) -> dict[str, Any]:
    """A published row of `feedback` as the ledger keeps it."""
    return {c: dumps(list(v)) if TABLES["feedback"][c] in LISTS and v is not None else v for c, v in row.items()}
