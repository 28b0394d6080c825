"""The ledger's tables: the SQL that makes them, and how their rows become records.

Published tables have the columns of `arena.records.TABLES`; battles, shards and the voters who agreed to be named
are the ledger's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from arena.records import TABLES, Image, Prompt, Vote

SCHEMA_VERSION = 2  # raised with every change of a table
_NAMED_VOTERS = "CREATE TABLE named_voters (voter TEXT PRIMARY KEY)"
# What makes a ledger of an earlier version one of the next.
UPGRADES = {1: (_NAMED_VOTERS, "PRAGMA user_version = 2")}
_SQL_TYPES = {"string": "TEXT", "json": "TEXT", "timestamp": "INTEGER", "int64": "INTEGER", "int8": "INTEGER",
              "bool": "INTEGER", "float32": "REAL", "float64": "REAL"}  # fmt: skip
_KEYS = {"votes": "vote_id", "images": "image_id", "prompts": "prompt_id"}
# Columns of images that are the prompt's are not stored twice; they are joined when a row is published.
FROM_PROMPT = ("prompt", "category", "sub_category", "complexity")


def statements() -> Iterator[str]:
    """The SQL that makes a new ledger."""
    for table, columns in TABLES.items():
        kept = [(c, t) for c, t in columns.items() if t != "image" and not (table == "images" and c in FROM_PROMPT)]
        body = ", ".join(f"{c} {_SQL_TYPES[t]} NOT NULL" for c, t in kept)
        private = ", private INTEGER NOT NULL" if table in ("images", "prompts") else ""
        unique = f", UNIQUE ({_KEYS[table]})" if table in _KEYS else ""
        yield f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, {body}{private}{unique})"
    yield "CREATE UNIQUE INDEX one_vote_a_battle ON votes (battle_id)"
    yield "CREATE INDEX votes_of_a_voter ON votes (voter, seq)"
    yield "CREATE INDEX exclusions_of_a_vote ON exclusions (vote_id)"
    yield "CREATE INDEX images_of_a_prompt ON images (prompt_id)"
    yield ("CREATE TABLE battles (battle_id TEXT PRIMARY KEY, voter TEXT NOT NULL, prompt_id TEXT NOT NULL, "
           "image_a TEXT NOT NULL, image_b TEXT NOT NULL, mode TEXT NOT NULL, served_from TEXT NOT NULL, "
           "pair_probability REAL NOT NULL, created_at INTEGER NOT NULL, token_a TEXT NOT NULL, "
           "token_b TEXT NOT NULL, voided TEXT)")  # fmt: skip
    yield "CREATE INDEX battles_of_a_voter ON battles (voter, created_at)"
    yield "CREATE UNIQUE INDEX battle_by_token_a ON battles (token_a)"
    yield "CREATE UNIQUE INDEX battle_by_token_b ON battles (token_b)"
    yield ("CREATE TABLE shards (path TEXT PRIMARY KEY, \"table\" TEXT NOT NULL, first_seq INTEGER NOT NULL, "
           "last_seq INTEGER NOT NULL, rows INTEGER NOT NULL, sha256 TEXT NOT NULL, sealed_at INTEGER NOT NULL, "
           "published_at INTEGER)")  # fmt: skip
    yield _NAMED_VOTERS
    yield f"PRAGMA user_version = {SCHEMA_VERSION}"


def public(table: str) -> str:
    return " WHERE private = 0" if table in ("images", "prompts") else ""


def to_prompt(row: sqlite3.Row) -> Prompt:
    return Prompt(**{k: row[k] for k in Prompt.__slots__})


def to_image(row: sqlite3.Row) -> Image:
    return Image(**{k: bool(row[k]) if k == "private" else row[k] for k in Image.__slots__})


def to_vote(row: sqlite3.Row) -> Vote:
    return Vote(**{k: bool(row[k]) if k == "signed_in" else row[k] for k in Vote.__slots__})
