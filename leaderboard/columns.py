"""Owns single columns: text as integer codes, moments as integer milliseconds.

A raw column is a Python list or a pyarrow ChunkedArray. pyarrow's own way to numpy imports pandas (half a
second), so codes are taken from its buffers.
"""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from leaderboard import errors

EMPTY = -1
NO_TIME = np.iinfo(np.int64).min
LAST_MOMENT = 32_503_680_000_000  # the year 3000: microseconds by mistake land beyond it


@dataclass(frozen=True)
class Coded:
    """A text column of n rows: `codes` int32 [n] index `names`; EMPTY (-1) stands for an empty cell."""

    codes: np.ndarray
    names: tuple

    def __len__(self):
        return len(self.codes)

    def to_pylist(self):
        """The cells as text, None where empty."""
        names = [*self.names, None]
        return [names[code] for code in self.codes.tolist()]

    def take(self, rows):
        """The same names, with only these rows (a mask or row numbers)."""
        return Coded(self.codes[rows], self.names)

    def compact(self):
        """Only the names that occur, in alphabetical order."""
        present = np.unique(self.codes[self.codes >= 0])
        names = sorted(self.names[code] for code in present)
        return self.recode(names)

    def recode(self, names):
        """The same cells as codes into `names`, which must hold every name that occurs."""
        place = {name: code for code, name in enumerate(names)}
        table = np.array([place.get(name, EMPTY) for name in self.names] + [EMPTY], np.int32)
        return Coded(table[self.codes], tuple(names))

    def renamed(self, name_of):
        """The same cells under other names: `name_of(name)` gives the new one, or None for an empty cell."""
        new = [name_of(name) for name in self.names]
        names = {name: code for code, name in enumerate(dict.fromkeys(name for name in new if name))}
        table = np.array([names.get(name, EMPTY) for name in new] + [EMPTY], np.int32)
        return Coded(table[self.codes], tuple(names))


def nothing(rows):
    """A column of empty cells."""
    return Coded(np.full(rows, EMPTY, np.int32), ())


def encode(column):
    """A list or ChunkedArray -> Coded (a Coded stays). None, NaN and '' are empty; any other cell becomes text."""
    if isinstance(column, Coded):
        return column
    if not isinstance(column, list):
        return _encode_arrow(column)
    try:
        cells = dict.fromkeys(column)
    except TypeError:  # a cell that can't be hashed, such as a list out of JSON
        column = [None if cell is None else str(cell) for cell in column]
        cells = dict.fromkeys(column)
    names = {}
    for cell in cells:
        empty = cell is None or cell == "" or cell != cell
        cells[cell] = EMPTY if empty else names.setdefault(str(cell), len(names))
    return Coded(np.fromiter(map(cells.__getitem__, column), np.int32, len(column)), tuple(names))


def _encode_arrow(column):
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    texts = array.dictionary.to_pylist()
    codes = _numbers(array.indices.cast(pa.int32()), np.int32, EMPTY)
    names = {}
    table = [EMPTY if text is None or text == "" else names.setdefault(str(text), len(names)) for text in texts]
    return Coded(np.array([*table, EMPTY], np.int32)[codes], tuple(names))


def _numbers(array, dtype, empty):
    """A pyarrow Array of fixed-width numbers -> numpy, with `empty` in its null cells."""
    import pyarrow as pa

    if not len(array):
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]
    if not array.null_count:
        return values
    null = array.is_null().cast(pa.uint8())
    mask = np.frombuffer(null.buffers()[1], np.uint8)[null.offset : null.offset + len(null)].astype(bool)
    return np.where(mask, empty, values).astype(dtype)


def milliseconds(column, name="created_at"):
    """Moments -> int64 milliseconds since 1970 UTC, NO_TIME where empty.

    Takes timestamps of any unit, datetimes, ISO 8601 text and whole numbers (already milliseconds); a moment
    without a zone is UTC. Raises BadTime for anything else.
    """
    bad = Counter()
    moments = _moments(column, bad)
    for moment in moments[(np.abs(moments) > LAST_MOMENT) & (moments != NO_TIME)].tolist():
        bad[str(moment)] += 1
    if bad:
        raise errors.BadTime(
            f"column {name}: {plural(bad.total(), 'row holds', 'rows hold')} a value that names no "
            f"moment: {some(bad)}; known are ISO 8601 text and milliseconds since 1970"
        )
    return moments


def _moments(column, bad):
    if not isinstance(column, list):
        import pyarrow as pa

        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        if pa.types.is_integer(column.type):
            return _numbers(column.cast(pa.int64()).combine_chunks(), np.int64, NO_TIME)
        column = column.to_pylist()
    if set(map(type, column)) == {int}:
        try:
            return np.array(column, np.int64)
        except OverflowError:
            pass
    return np.array([_moment(cell, bad) for cell in column], np.int64)


def _moment(cell, bad):
    try:
        if cell is None or cell == "" or cell != cell:
            return NO_TIME
        if isinstance(cell, bool):
            raise ValueError
        if isinstance(cell, int):
            return np.int64(cell)
        if isinstance(cell, float):
            return np.int64(round(cell)) if math.isfinite(cell) else NO_TIME
        if isinstance(cell, str):
            if cell.strip().lstrip("-").isdecimal():
                return np.int64(int(cell))
            cell = datetime.fromisoformat(cell.strip())
        if cell.tzinfo is None:
            cell = cell.replace(tzinfo=UTC)
        return np.int64(round(cell.timestamp() * 1000))
    except (ValueError, TypeError, AttributeError, OverflowError):
        bad[str(cell)] += 1
        return NO_TIME


def iso(moment):
    """Milliseconds since 1970 -> ISO 8601 text in UTC, such as 2026-11-21T09:30:00.000Z."""
    text = datetime.fromtimestamp(int(moment) / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def plural(count, one, many):
    """'1 row' or '2 rows'."""
    return f"{count:,} {one if count == 1 else many}"


def some(values, most=5):
    """A Counter of bad values -> "'draw' (2 rows), 'x' (1 row) and 3 others", cut to what one line bears."""
    shown = [f"{value[:40]!r} ({plural(rows, 'row', 'rows')})" for value, rows in values.most_common(most)]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {plural(more, 'other', 'others')}" if more else "")
