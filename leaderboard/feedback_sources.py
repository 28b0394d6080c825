"""Owns reading feedback: a source's name -> its raw `feedback` table, and what stands beside it, unchecked (feedback.py
checks them).

A source is what leaderboard.sources takes: a folder laid out as the published data set or the id of such a data set on
the Hub (`data/feedback/**/*.parquet`), a ledger (.sqlite), or a .parquet, .csv, .tsv, .jsonl or .json file of feedback.
Of votes only the columns are read that say which battles count; images are never read.
"""

import csv
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from leaderboard import errors, remote
from leaderboard.feedback_formats import COLUMNS, recognised
from leaderboard.formats.base import cells
from leaderboard.parquet import Shards
from leaderboard.sources import EXCLUSION_COLUMNS, HUB_ID

OURS = ["data/feedback/**", "data/votes/**", "data/exclusions/**", "data/prompts/**"]
GROUPED = ("category", "sub_category", "complexity")
BATTLES = (
    *("vote_id", "battle_id", "voter", "mode", "model_a", "model_b", "winner", "image_a", "image_b", "gold", "extra"),
    *("prompt_id", *GROUPED),
)
PROMPTS = ("prompt_id", *GROUPED)
BESIDE = {"feedback": COLUMNS, "votes": BATTLES, "exclusions": EXCLUSION_COLUMNS, "prompts": PROMPTS}


@dataclass(frozen=True)
class RawFeedback:
    """Columns by name (lists or pyarrow ChunkedArrays), each None where the source has no such table; `note` is what a
    reader of it must know, `revision` the Hub's commit."""

    name: str
    feedback: dict | None = None
    votes: dict | None = None
    exclusions: dict | None = None
    prompts: dict | None = None
    revision: str | None = None
    note: str = ""


def open_feedback(source):
    """Read a source into a RawFeedback, with `feedback` None where it has none. Raises errors.SourceError."""
    path, name = Path(source).expanduser(), str(source)
    try:
        if path.is_dir():
            return _folder(path, name)
        if path.is_file():
            read = READERS.get(path.suffix.lower())
            return RawFeedback(name) if read is None else read(path, name)
    except OSError as error:
        raise errors.Unreadable(f"{name}: {_one_line(error)}") from error
    if (found := HUB_ID.fullmatch(name)) and not found[3] and Path(found[1]).suffix.lower() not in READERS:
        folder = remote.download(name, found[1], found[2], patterns=OURS)
        return _folder(folder, name, folder.name)
    return RawFeedback(name)


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _made(name, columns, **beside):
    """The RawFeedback of columns in whatever format they are; without feedback where they are no format's."""
    form = recognised(columns)
    if form is None:
        return RawFeedback(name)
    return RawFeedback(name, form.convert(columns), note=form.note, **beside)


def _folder(folder, name, revision=None):
    for base in (folder / "data", folder):
        found = {table: sorted((base / table).rglob("*.parquet")) for table in BESIDE}
        if found["feedback"]:
            tables = {table: Shards(files).columns(BESIDE[table]) for table, files in found.items() if files}
            return RawFeedback(name, **tables, revision=revision)
    return RawFeedback(name)


def _parquet(path, name):
    shards = Shards([path])
    form = recognised(shards.names())
    return RawFeedback(name) if form is None else _made(name, shards.columns(form.reads))


def _separated(path, name):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            line = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter=max(",;\t", key=line.count))
            head = next(rows, [])
            if recognised(head) is None:
                return RawFeedback(name)
            body = [row for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise errors.Unreadable(f"{name}: not a readable CSV file ({_one_line(error)})") from error
    if uneven := sum(len(row) != len(head) for row in body):
        raise errors.Unreadable(f"{name}: {uneven:,} lines do not have the {len(head)} cells of the first one")
    return _made(name, {column: [row[at] or None for row in body] for at, column in enumerate(head)})


def _jsonl(path, name):
    rows = []
    with open(path, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                rows.append(_decoded(line, name, f"line {number} is not JSON"))
    return _of_rows(name, rows)


def _json(path, name):
    return _of_rows(name, _decoded(path.read_text(encoding="utf-8-sig"), name, "not JSON"))


def _decoded(text, name, wrong):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise errors.Unreadable(f"{name}: {wrong} ({error.msg})") from error


def _of_rows(name, rows):
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return RawFeedback(name)
    return _made(
        name, {column: [row.get(column) for row in rows] for column in dict.fromkeys(k for r in rows for k in r)}
    )


def _sqlite(path, name):
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=10)
    try:
        found = {}
        for table, wanted in BESIDE.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] in wanted]
            if names:
                rows = connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
                found[table] = {column: [row[at] for row in rows] for at, column in enumerate(names)}
    except sqlite3.DatabaseError as error:
        raise errors.Unreadable(f"{name}: not a readable SQLite ledger ({_one_line(error)})") from error
    finally:
        connection.close()
    return RawFeedback(name, **found) if "feedback" in found else RawFeedback(name)


def rows_of(columns, names):
    """Columns by name -> an iterator of tuples with the cells of `names`, None where there is no such column."""
    length = len(next(iter(columns.values()))) if columns else 0
    taken = [cells(columns[name]) if name in columns else [None] * length for name in names]
    return zip(*taken, strict=True)


READERS = {
    ".parquet": _parquet,
    ".csv": _separated,
    ".tsv": _separated,
    ".jsonl": _jsonl,
    ".json": _json,
    ".sqlite": _sqlite,
    ".sqlite3": _sqlite,
    ".db": _sqlite,
}
