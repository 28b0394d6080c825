"""Owns single columns: text as integer codes, moments as integer milliseconds.

A raw column is a Python list, a pyarrow ChunkedArray or already Coded. What is in Arrow becomes codes when it is
first looked at, and its names become Python text only where somebody reads them.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import numpy as np

from leaderboard import errors
from leaderboard.arrow import EMPTY, as_text, coded, numbers, recoded
from leaderboard.later import Later

NO_TIME = np.iinfo(np.int64).min
LAST_MOMENT = 32_503_680_000_000  # the year 3000: microseconds by mistake land beyond it


@dataclass(frozen=True)
class Coded:
    """A text column of n rows: `codes` int32 [n] index `names`, all different; EMPTY (-1) stands for an empty cell."""

    codes: np.ndarray = Later()
    names: Sequence = Later()

    def __len__(self):
        return len(self.codes)

    def to_pylist(self):
        """The cells as text, None where empty."""
        names = [*self.names, None]
        return [names[code] for code in self.codes.tolist()]

    def take(self, rows):
        """The same names, with only these rows (a mask, row numbers or a function that gives them)."""
        return Coded(lambda: self.codes[rows() if callable(rows) else rows], lambda: self.names)

    def later(self, make):
        """Another column in place of this one: `make()`, called when it is first read."""
        made = cache(make)
        return Coded(lambda: made().codes, lambda: made().names)

    def present(self):
        """The codes that occur, ascending, int64."""
        if not len(self.names):
            return np.empty(0, np.int64)
        seen = np.zeros(len(self.names) + 1, bool)
        for start in range(0, len(self.codes), 65_536):
            seen[self.codes[start : start + 65_536]] = True  # an empty cell falls on the last place
        return np.flatnonzero(seen[:-1])

    def compact(self):
        """Only the names that occur, in alphabetical order."""
        return self.recode(sorted(self.names[code] for code in self.present()))

    def recode(self, names):
        """The same cells as codes into `names`, which must hold every name that occurs."""
        place = {name: code for code, name in enumerate(names)}
        table = np.array([place.get(name, EMPTY) for name in self.names], np.int32)
        return Coded(recoded(self.codes, table), tuple(names))

    def renamed(self, name_of):
        """The same cells under other names: `name_of(name)` gives the new one, or None for an empty cell."""
        new = [name_of(name) for name in self.names]
        names = {name: code for code, name in enumerate(dict.fromkeys(name for name in new if name))}
        return Coded(recoded(self.codes, np.array([names.get(name, EMPTY) for name in new], np.int32)), tuple(names))

    def places(self, wanted):
        """int32 [len(names)]: where each name stands in the list `wanted`, EMPTY where it does not."""
        if hasattr(self.names, "places"):  # names that know where they stand
            return self.names.places(wanted)
        place = {name: at for at, name in enumerate(wanted)}
        return np.array([place.get(name, EMPTY) for name in self.names], np.int32)

    def ranks(self, codes):
        """int64 [m]: the alphabetical ranks, among themselves, of the names with these codes."""
        if hasattr(self.names, "ranks"):
            return self.names.ranks(codes)
        names = [self.names[code] for code in codes]
        place = {name: rank for rank, name in enumerate(sorted(set(names)))}
        return np.array([place[name] for name in names], np.int64)


def nothing(rows):
    """A column of empty cells, which takes no room."""
    return Coded(np.broadcast_to(np.int32(EMPTY), rows), ())


def encode(column):
    """A list or ChunkedArray -> Coded (a Coded stays). None, NaN and '' are empty; any other cell becomes text.

    A ChunkedArray is encoded when its codes or names are first read.
    """
    if isinstance(column, Coded):
        return column
    if not isinstance(column, list):
        column = as_text(column)
        found = cache(lambda: coded(column))
        return Coded(lambda: found()[0], lambda: found()[1])
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


def milliseconds(column, name="created_at"):
    """Moments -> int64 milliseconds since 1970 UTC, NO_TIME where empty.

    Takes timestamps of any unit, datetimes, ISO 8601 text and whole numbers (already milliseconds); a moment
    without a zone is UTC. An int64 array is what this gives back. Raises BadTime for anything else.
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
    if isinstance(column, np.ndarray):
        return column
    if not isinstance(column, list):
        import pyarrow as pa

        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        if pa.types.is_integer(column.type):
            return numbers(column.cast(pa.int64()).combine_chunks(), np.int64, NO_TIME)
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


def floats(column, name):
    """Numbers (an array stays), or text that names them -> float64 [n], NaN where a cell is empty. Raises BadNumber for anything else."""
    if isinstance(column, np.ndarray):
        return column
    cells = column if isinstance(column, list) else column.to_pylist()
    found, bad = np.full(len(cells), np.nan), Counter()
    for row, cell in enumerate(cells):
        if cell is not None and cell != "":
            try:
                found[row] = float(cell)
            except (TypeError, ValueError):
                bad[str(cell)] += 1
            if math.isinf(found[row]):
                bad[str(cell)] += 1
    if bad:
        rows = plural(bad.total(), "row holds", "rows hold")
        raise errors.BadNumber(f"column {name}: {rows} a value that is no number: {some(bad)}")
    return found


def chances(column, name):
    """Probabilities, as numbers or text -> float64 [n], NaN where a cell is empty (of an array, where it is NaN). Raises
    BadNumber for what is not above 0 and at most 1, NaN among it."""
    if isinstance(column, np.ndarray):
        found, empty = column, np.isnan(column)
    else:
        found, empty = _chances(column, name)
    wrong = ~empty & ~((found > 0.0) & (found <= 1.0))
    if wrong.any():
        bad = Counter(f"{value:g}" for value in found[wrong].tolist())
        rows = plural(bad.total(), "row holds", "rows hold")
        raise errors.BadNumber(f"column {name}: {rows} a value that is no probability above 0 and up to 1: {some(bad)}")
    return found


def _chances(column, name):
    """(float64 [n], bool [n]): numbers, and which cells are empty."""
    if not isinstance(column, list):
        import pyarrow as pa

        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            column = column.cast(pa.float64()).combine_chunks()
            parts = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
            found = np.concatenate([numbers(part, np.float64, math.nan) for part in parts] or [np.empty(0)])
            if not column.null_count:
                return found, np.zeros(len(found), bool)
            return found, np.array(column.is_null().to_pylist(), bool)
        column = column.to_pylist()
    return floats(column, name), np.array([cell is None or cell == "" for cell in column], bool)


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
