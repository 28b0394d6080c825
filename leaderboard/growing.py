"""Owns columns that grow: rows are appended, and what was handed out before stays as it was."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from leaderboard.arrow import EMPTY, recoded
from leaderboard.columns import Coded


class Numbers:
    """A numpy column to which rows are appended; a cell that is not given is `empty`."""

    def __init__(self, dtype, empty):
        self._cells, self._rows, self._empty = np.empty(64, dtype), 0, empty

    def extend(self, rows, values=None):
        """Append `rows` cells: `values` [rows], or empty ones."""
        if self._rows + rows > len(self._cells):
            larger = np.empty(max(2 * len(self._cells), self._rows + rows), self._cells.dtype)
            larger[: self._rows] = self._cells[: self._rows]
            self._cells = larger
        self._cells[self._rows : self._rows + rows] = self._empty if values is None else values
        self._rows += rows

    def now(self):
        """The column as it is now: a view of cells that are never written again."""
        return self._cells[: self._rows]


class Known(Sequence):
    """The first `count` texts of a list that grows, and where each stands, as a sequence."""

    def __init__(self, names, place):
        self._names, self._place, self._count = names, place, len(names)

    def __len__(self):
        return self._count

    def __getitem__(self, at):
        if isinstance(at, slice):
            return tuple(self._names[place] for place in range(*at.indices(self._count)))
        return self._names[range(self._count)[at]]

    def __iter__(self):
        return islice(self._names, self._count)

    def places(self, wanted):
        """int32 [count]: where each text stands in the list `wanted`, EMPTY where it does not."""
        found = np.full(self._count, EMPTY, np.int32)
        for at, name in enumerate(wanted):
            if (place := self._place.get(name, self._count)) < self._count:
                found[place] = at
        return found


class Texts:
    """A text column to which rows are appended."""

    def __init__(self):
        self._codes, self._names, self._place = Numbers(np.int32, EMPTY), [], {}

    def codes_of(self, names):
        """int32 [len(names)]: our codes of these texts, EMPTY for one that is new."""
        return np.fromiter((self._place.get(name, EMPTY) for name in names), np.int32, len(names))

    def extend(self, rows, column=None):
        """Append `rows` cells: a Coded's, or empty ones."""
        if column is None:
            return self._codes.extend(rows)
        names = list(column.names)
        new = [name for name in names if name not in self._place] if self._names else names
        self._place.update(zip(new, range(len(self._names), len(self._names) + len(new)), strict=True))
        self._names.extend(new)
        self._codes.extend(rows, recoded(column.codes, self.codes_of(names)))

    def now(self):
        """The column as it is now, Coded."""
        return Coded(self._codes.now(), Known(self._names, self._place))
