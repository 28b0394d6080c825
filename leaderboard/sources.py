"""Owns reading: a source's name -> its raw `votes` and `exclusions` tables, unchecked (votes.py checks them).

A source is a .parquet, .csv, .tsv, .jsonl or .json file; several Parquet files by a pattern such as
'data/train-*.parquet'; a folder, either of Parquet files or laid out as the published data set
(`data/votes/**/*.parquet`, `data/exclusions/**/*.parquet`); a ledger (.sqlite), opened read-only; or the id of a data
set on the Hub (`user/name`, `user/name@revision`, `user/name:data/train`). Its columns are those of any format of
leaderboard.formats. To read another kind of file, add a function and its row in READERS.
"""

import csv
import glob
import json
import re
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from urllib.parse import quote

from leaderboard import errors, remote
from leaderboard.columns import chances
from leaderboard.formats import FORMATS, arena, convert, interesting, recognise
from leaderboard.parquet import Shards

REQUIRED = ("model_a", "model_b", "winner")
TEXT = (
    *("vote_id", "prompt_id", "prompt", "category", "sub_category", "complexity", "voter", "voter_name", "mode"),
    *("image_a", "image_b", "pair_id", "signed_in", "gold"),
)
OPTIONAL = ("created_at", *TEXT, "extra", arena.PROBABILITY)
EXCLUSION_COLUMNS = ("vote_id", "reason", "created_at")
HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?(?::(\S+))?")
SPLIT = re.compile(r"(.+)-\d{5}-of-\d{5}(-[0-9a-f]+)?\.parquet")  # as the `datasets` library names its shards


@dataclass(frozen=True)
class Raw:
    """A source as read: a name to show, the columns of its two tables by name, and the Hub's commit.

    `votes` has the names of the published table, whatever the format was; `left_out` counts by reason the rows that
    its format knows to be no votes, and `notes` says what a reader must know of it. A column is a list, a pyarrow
    ChunkedArray or Coded (see leaderboard.columns); all of a table have one length. `pair_probability` may be a function
    that gives the column.
    """

    name: str
    votes: dict
    exclusions: dict | None = None
    revision: str | None = None
    left_out: dict = field(default_factory=dict)
    notes: tuple = ()

    def probability(self, rows, order=None):
        """What Votes.pair_probability is, for `rows` rows of which `order` says which count and in which order."""
        if arena.PROBABILITY not in self.votes:
            return None
        name, column = self.name, self.votes[arena.PROBABILITY]

        @cache
        def read():  # it must not keep the other columns in memory
            with saying(name):
                found = chances(column() if callable(column) else column, arena.PROBABILITY)
            if len(found) != rows:
                raise errors.Unreadable(f"{name}: its files have changed since they were read")
            return found if order is None else found[order]

        return read


def raw_of(name, columns, exclusions=None, revision=None, source_format=None):
    """Columns of any format -> Raw. Raises errors.BadVotes, AmbiguousFormat and UnknownChoice."""
    found = convert(columns, source_format)
    return Raw(name, found.columns, exclusions, revision, found.left_out, found.notes)


def columns_of(rows, names):
    """Mappings -> {name: list of cells} for those names that any row has (all of them where there is no row)."""
    rows = list(rows)
    return {name: [row.get(name) for row in rows] for name in names if not rows or any(name in row for row in rows)}


@contextmanager
def saying(name):
    """What is wrong with a source's votes, led by the source's name."""
    try:
        yield
    except (errors.BadVotes, errors.AmbiguousFormat) as error:
        raise type(error)(f"{name}: {error}") from None


def open_source(source, source_format=None):
    """Read a source, whatever it is, into a Raw; `source_format` names its format where its columns can't.

    Raises errors.SourceError and errors.BadVotes with their kinds, and UnknownChoice for a format that is in no table.
    """
    if source_format is not None and source_format not in FORMATS:
        recognise((), source_format)  # refused before anything is read
    with saying(source):
        return _open(Path(source).expanduser(), str(source), source_format)


def _open(path, name, source_format):
    try:
        if path.is_dir():
            return _folder(path, name, source_format)
        if path.is_file():
            if path.suffix.lower() not in READERS:
                raise errors.UnknownFileType(
                    f"{name}: can't read {path.suffix or 'a file without an ending'};"
                    f" known are {', '.join(READERS)}, a folder, or user/name on the Hub"
                )
            return READERS[path.suffix.lower()](path, name, source_format)
        if found := sorted(file for file in glob.glob(str(path), recursive=True) if file.endswith(".parquet")):
            return _shards(name, [Path(file) for file in found], source_format)
    except OSError as error:
        raise errors.Unreadable(f"{name}: {_one_line(error)}") from error
    if (found := HUB_ID.fullmatch(name)) and Path(found[1]).suffix.lower() not in READERS:
        return _hub(name, *found.groups(), source_format)
    raise errors.SourceNotFound(f"{name}: no such file or folder")


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _shards(name, files, source_format, exclusions=None):
    """Parquet files of one table -> Raw, of whatever format."""
    shards = Shards(files)
    names = shards.names()
    wanted = recognise(names, source_format).COLUMNS
    raw = raw_of(name, shards.columns(wanted - {arena.PROBABILITY}), exclusions, source_format=source_format)
    if arena.PROBABILITY in wanted & names:
        raw.votes[arena.PROBABILITY] = lambda: shards.columns({arena.PROBABILITY})[arena.PROBABILITY]
    return raw


def _parquet(path, name, source_format):
    return _shards(name, [path], source_format)


def _separated(path, name, source_format):
    """Text with a header, separated by commas, semicolons or tabs: by whichever the header has most of."""
    import pyarrow as pa
    import pyarrow.csv as pcsv

    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            line = file.readline()
            delimiter = max(",;\t", key=line.count)
            file.seek(0)
            names = next(csv.reader(file, delimiter=delimiter), [])
        wanted = recognise(names, source_format).COLUMNS if names else ()
        columns = [column for column in names if column in wanted]
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise errors.Unreadable(f"{name}: the column {', '.join(twice)} is there more than once")
        table = pcsv.read_csv(
            path,
            parse_options=pcsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pcsv.ConvertOptions(
                column_types={column: pa.string() for column in columns}, include_columns=columns
            ),
        )
    except UnicodeDecodeError as error:
        raise errors.Unreadable(f"{name}: not UTF-8 text") from error
    except (pa.ArrowException, csv.Error, KeyError) as error:
        raise errors.Unreadable(f"{name}: not a readable CSV file ({_one_line(error)})") from error
    return raw_of(name, {column: table[column] for column in table.column_names}, source_format=source_format)


def _jsonl(path, name, source_format):
    rows, keys = [], interesting()
    with open(path, encoding="utf-8-sig") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise errors.Unreadable(f"{name}: line {number} is not a JSON object")
                    rows.append({key: cell for key, cell in row.items() if key in keys})
        except UnicodeDecodeError as error:
            raise errors.Unreadable(f"{name}: not UTF-8 text") from error
        except json.JSONDecodeError as error:
            raise errors.Unreadable(f"{name}: line {number} is not JSON ({error.msg})") from error
    return _from_rows(name, rows, source_format)


def _json(path, name, source_format):
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise errors.Unreadable(f"{name}: not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise errors.Unreadable(f"{name}: not JSON (line {error.lineno}: {error.msg})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise errors.Unreadable(f"{name}: a .json file of votes is one array of objects, one a row")
    keys = interesting()
    return _from_rows(name, [{key: row[key] for key in row if key in keys} for row in rows], source_format)


def _from_rows(name, rows, source_format):
    if not rows:
        raise errors.Unreadable(f"{name}: this file holds no rows")
    columns = {column: [row.get(column) for row in rows] for column in sorted(set().union(*rows))}
    if "extra" in columns:  # JSON in JSON, or an object of its own
        columns["extra"] = [json.dumps(cell) if isinstance(cell, dict) else cell for cell in columns["extra"]]
    return raw_of(name, columns, source_format=source_format)


def _sqlite(path, name, source_format):
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=10)
    try:
        votes = _sqlite_columns(connection, "votes", arena.COLUMNS)
        exclusions = _sqlite_columns(connection, "exclusions", set(EXCLUSION_COLUMNS))
    except sqlite3.DatabaseError as error:
        raise errors.Unreadable(f"{name}: not a readable SQLite ledger ({_one_line(error)})") from error
    finally:
        connection.close()
    if votes is None:
        raise errors.Unreadable(f"{name}: this SQLite file has no table `votes`")
    return raw_of(name, votes, exclusions, source_format=source_format)


def _sqlite_columns(connection, table, wanted):
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    if not names:
        return None
    names = [name for name in names if name in wanted]
    rows = connection.execute(f"SELECT {', '.join(names) or 'NULL'} FROM {table}").fetchall()
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _folder(folder, name, source_format):
    for base in (folder / "data", folder):
        files = sorted((base / "votes").rglob("*.parquet"))
        if files:
            moderation = sorted((base / "exclusions").rglob("*.parquet"))
            exclusions = Shards(moderation).columns(EXCLUSION_COLUMNS) if moderation else None
            return _shards(name, files, source_format, exclusions)
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise errors.SourceNotFound(f"{name}: this folder holds no .parquet file")
    _one_data_set([file.relative_to(folder).as_posix() for file in files], f"'{name}/PATH*.parquet'")
    return _shards(name, files, source_format)


def _one_data_set(paths, how):
    """Raises AmbiguousFormat where shards as the `datasets` library names them belong to several splits or configs:
    splits may hold the same votes twice, so which are meant is for the reader to say."""
    splits = sorted({found[1] for path in paths if (found := SPLIT.fullmatch(path))})
    if len(splits) > 1:
        more = f" and {len(splits) - 12} others" if len(splits) > 12 else ""
        raise errors.AmbiguousFormat(
            f"it holds {len(splits)} parts that may share votes: {', '.join(splits[:12])}{more}; "
            f"name one (a * stands for anything): {how}"
        )


def _hub(name, repo, revision, part, source_format):
    if not part:
        folder = remote.download(name, repo, revision)
        if (folder / "data" / "votes").is_dir():
            return replace(_folder(folder, name, source_format), revision=folder.name)
        revision = folder.name
    commit, paths = remote.parquet_files(name, repo, revision)
    if part:
        patterns = (part, f"{part}/*", f"{part}-*")
        paths = [path for path in paths if any(fnmatch(path, pattern) for pattern in patterns)]
    if not paths:
        where = f" under {part}" if part else ""
        raise errors.SourceNotFound(
            f"{name}: this data set has no data/votes/**/*.parquet, nor other Parquet files{where}; of a data set of "
            f"CSV or JSON files the Hub may have made some: {repo}@refs/convert/parquet"
        )
    if not part:
        _one_data_set(paths, f"{repo}:PATH")
    with remote.opened(name, repo, commit, paths) as files:
        shards = Shards(files)
        wanted = recognise(shards.names(), source_format).COLUMNS
        size, whole = shards.size(wanted), sum(file.size for file in files)
        remote.refuse_large(name, repo, commit, size)
        if size <= whole / 2:
            return raw_of(name, shards.columns(wanted), None, commit, source_format)
    with remote.opened(name, repo, commit, paths, in_order=True) as files:
        return raw_of(name, Shards(files, shards.footers).columns(wanted), None, commit, source_format)


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
