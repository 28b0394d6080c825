"""Owns the single cells of feedback: ratings, marked words, points, painted areas and `extra`, from whatever form they
are written in to arrays; what can't be read is refused with its column."""

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np

from leaderboard import errors
from leaderboard.columns import floats, plural, some
from leaderboard.formats.base import cells


@dataclass(frozen=True)
class Given:
    """What n rows gave of one kind, m things in all: `asked` bool [n]; thing i belongs to row `row[i]` (int64 [m]) and
    is `value[i]`: the index of a word (int64 [m]), or a point's x and y (float64 [m, 2], 0 to 1 from the top left)."""

    asked: np.ndarray
    row: np.ndarray
    value: np.ndarray

    def where(self, rows):
        """Of these rows alone, int64 ascending."""
        place = np.full(len(self.asked), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.row] >= 0
        return Given(self.asked[rows], place[self.row[kept]], self.value[kept])


def ratings(column, name, rows):
    """float64 [n]; refuses what is no whole number from 1 to 5."""
    if column is None:
        return np.full(rows, np.nan)
    found = floats(column, name)
    wrong = ~np.isnan(found) & ~np.isin(found, (1, 2, 3, 4, 5))
    if wrong.any():
        bad = Counter(f"{value:g}" for value in found[wrong].tolist())
        raise errors.BadFeedback(
            f"column {name}: {plural(bad.total(), 'row holds', 'rows hold')} a value that is no rating: {some(bad)}; "
            "ratings are whole numbers from 1 to 5"
        )
    return found


def objects(column, rows):
    """The JSON objects of the column `extra`, {} where it is empty."""
    if column is None:
        return [{}] * rows
    found = []
    for cell in cells(column):
        try:
            value = json.loads(cell) if isinstance(cell, str) and cell else cell or {}
        except json.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise errors.BadFeedback(f"column extra: {str(cell)[:40]!r} is not a JSON object")
        found.append(value)
    return found


def given(column, name, kept, read, width=0):
    """A column of lists (or of JSON text) -> Given of the rows `kept`; None and '' say that nobody was asked."""
    listed = [None] * len(kept)
    if column is not None:
        every = cells(column)
        listed = [every[at] for at in kept.tolist()]
    asked, row, values = np.zeros(len(kept), bool), [], []
    for at, cell in enumerate(listed):
        try:
            cell = json.loads(cell) if isinstance(cell, str) and cell else cell
            if cell is None or isinstance(cell, str):
                continue
            found = [read(value) for value in cell]
        except (ValueError, TypeError, KeyError):
            raise errors.BadFeedback(f"column {name}: can't read {str(listed[at])[:60]!r}") from None
        asked[at] = True
        row += [at] * len(found)
        values += found
    shape = (-1, width) if width else -1
    kind = np.float64 if width else np.int64
    return Given(asked, np.array(row, np.int64), np.array(values, kind).reshape(shape))


def word(value):
    if isinstance(value, bool) or int(value) != value or value < 0:
        raise ValueError
    return int(value)


def point(value):
    x, y = (value["x"], value["y"]) if isinstance(value, dict) else value
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError
    return float(x), float(y)


def inside(words, prompts):
    """Refuse a word's index beyond the prompt's words; a prompt that was kept private is not known."""
    for row, index in zip(words.row.tolist(), words.value.tolist(), strict=True):
        if prompts[row] and index >= len(prompts[row].split()):
            raise errors.BadFeedback(
                f"column misaligned_words: word {index} of a prompt of {len(prompts[row].split())} words: "
                f"{prompts[row][:60]!r}"
            )


def painted(extra, name):
    """{row: bool [h, w]} from run lengths over the rows of the grid, which begin with the count of zeros."""
    found = {}
    for row, cell in enumerate(extra):
        if cell.get(name) is None:
            continue
        try:
            (height, width), counts = cell[name]["size"], [int(count) for count in cell[name]["counts"]]
            painted = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
            if min(counts, default=0) < 0 or not 0 < height * width <= 1 << 20 or len(painted) != height * width:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise errors.BadFeedback(f"column extra: {name} is no run-length mask: {str(cell[name])[:60]!r}") from None
        found[row] = painted.reshape(height, width)
    return found
