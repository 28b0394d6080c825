"""Owns reading: a source's name -> its raw `votes` and `exclusions` tables, unchecked (votes.py checks them).

A source is a .parquet, .csv or .jsonl file; a folder, either of Parquet files or laid out as the published
data set (`data/votes/**/*.parquet`, `data/exclusions/**/*.parquet`); a ledger (.sqlite), opened read-only;
or the id of a data set on the Hub (`user/name`, optionally `user/name@revision`). To read another kind of
file, add a function and its row in READERS.
"""

import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from leaderboard import errors
from leaderboard.formats import foreign_columns

REQUIRED = ("model_a", "model_b", "winner")
TEXT = (
    *("vote_id", "prompt_id", "prompt", "category", "sub_category", "complexity", "voter", "voter_name", "mode"),
    *("image_a", "image_b", "pair_id", "signed_in", "gold"),
)
OPTIONAL = ("created_at", *TEXT, "extra")
EXCLUSION_COLUMNS = ("vote_id", "reason", "created_at")
HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")


@dataclass(frozen=True)
class Raw:
    """A source as read: a name to show, the columns of its two tables by name, and the Hub's commit.

    A column is a list or a pyarrow ChunkedArray (see leaderboard.columns); all of a table have one length.
    """

    name: str
    votes: dict
    exclusions: dict | None = None
    revision: str | None = None


def open_source(source):
    """Read a source, whatever it is, into a Raw. Raises errors.SourceError and its kinds."""
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return _folder(path, str(source))
        if path.is_file():
            if path.suffix.lower() not in READERS:
                raise errors.UnknownFileType(
                    f"{source}: can't read {path.suffix or 'a file without an ending'};"
                    f" known are {', '.join(READERS)}, a folder, or user/name on the Hub"
                )
            return READERS[path.suffix.lower()](path, str(source))
    except OSError as error:
        raise errors.Unreadable(f"{source}: {_one_line(error)}") from error
    if (found := HUB_ID.fullmatch(str(source))) and path.suffix.lower() not in READERS:
        return _hub(str(source), *found.groups())
    raise errors.SourceNotFound(f"{source}: no such file or folder")


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _wanted():
    return set(REQUIRED) | set(OPTIONAL) | foreign_columns()


def _parquet_columns(files, wanted):
    """Read and join Parquet files, keeping the wanted columns that they have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for file in files:
        try:
            with pq.ParquetFile(file) as parquet:
                names = [name for name in parquet.schema_arrow.names if name in wanted]
                tables.append(parquet.read(columns=names))
        except (pa.ArrowException, OSError) as error:
            raise errors.Unreadable(f"{file}: not a readable Parquet file ({_one_line(error)})") from error
    try:
        return _by_name(pa.concat_tables(tables, promote_options="permissive"))
    except pa.ArrowException as error:
        raise errors.Unreadable(f"{files[0].parent}: its Parquet files disagree ({_one_line(error)})") from error


def _by_name(table):
    return {name: table[name] for name in table.column_names}


def _parquet(path, name):
    return Raw(name, _parquet_columns([path], _wanted()))


def _csv(path, name):
    import pyarrow as pa
    import pyarrow.csv as pcsv

    text = {column: pa.string() for column in _wanted()}
    try:
        table = pcsv.read_csv(path, convert_options=pcsv.ConvertOptions(column_types=text))
        return Raw(name, _by_name(table.select([column for column in table.column_names if column in text])))
    except (pa.ArrowException, KeyError) as error:
        raise errors.Unreadable(f"{name}: not a readable CSV file ({_one_line(error)})") from error


def _jsonl(path, name):
    rows = []
    with open(path, encoding="utf-8-sig") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(json.loads(line))
                    if not isinstance(rows[-1], dict):
                        raise errors.Unreadable(f"{name}: line {number} is not a JSON object")
        except UnicodeDecodeError as error:
            raise errors.Unreadable(f"{name}: not UTF-8 text") from error
        except json.JSONDecodeError as error:
            raise errors.Unreadable(f"{name}: line {number} is not JSON ({error.msg})") from error
    if not rows:
        raise errors.Unreadable(f"{name}: this file holds no rows")
    found = set().union(*rows) & _wanted()
    return Raw(name, {column: [row.get(column) for row in rows] for column in sorted(found)})


def _sqlite(path, name):
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=10)
    try:
        votes = _sqlite_columns(connection, "votes", _wanted())
        exclusions = _sqlite_columns(connection, "exclusions", set(EXCLUSION_COLUMNS))
    except sqlite3.DatabaseError as error:
        raise errors.Unreadable(f"{name}: not a readable SQLite ledger ({_one_line(error)})") from error
    finally:
        connection.close()
    if votes is None:
        raise errors.Unreadable(f"{name}: this SQLite file has no table `votes`")
    return Raw(name, votes, exclusions)


def _sqlite_columns(connection, table, wanted):
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    if not names:
        return None
    names = [name for name in names if name in wanted]
    rows = connection.execute(f"SELECT {', '.join(names) or 'NULL'} FROM {table}").fetchall()
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _folder(folder, name):
    for base in (folder / "data", folder):
        files = sorted((base / "votes").rglob("*.parquet"))
        if files:
            moderation = sorted((base / "exclusions").rglob("*.parquet"))
            exclusions = _parquet_columns(moderation, set(EXCLUSION_COLUMNS)) if moderation else None
            return Raw(name, _parquet_columns(files, _wanted()), exclusions)
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise errors.SourceNotFound(f"{name}: this folder holds no .parquet file")
    return Raw(name, _parquet_columns(files, _wanted()))


def _hub(name, repo, revision):
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    quiet = are_progress_bars_disabled()
    disable_progress_bars()  # standard error is for the one line that says what is wrong
    try:
        folder = Path(
            snapshot_download(
                repo, repo_type="dataset", revision=revision, allow_patterns=["data/votes/**", "data/exclusions/**"]
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise errors.SourceNotFound(f"{name}: neither a file here nor a data set that the Hub shows us") from error
    except Exception as error:  # the Hub's client raises its transport's own kinds too
        raise errors.HubError(f"{name}: the Hub did not answer as hoped ({_one_line(error)[:200]})") from error
    finally:
        if not quiet:
            enable_progress_bars()
    if not (folder / "data" / "votes").is_dir():
        raise errors.SourceNotFound(f"{name}: this data set has no data/votes/**/*.parquet")
    raw = _folder(folder, name)
    return Raw(name, raw.votes, raw.exclusions, folder.name)


READERS = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".sqlite": _sqlite,
    ".sqlite3": _sqlite,
    ".db": _sqlite,
}
