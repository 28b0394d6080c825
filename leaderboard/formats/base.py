"""Owns what the formats share: what a conversion gives back, and columns mapped, taken apart and refused alike."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from leaderboard import errors
from leaderboard.columns import EMPTY, Coded, encode, plural, some


@dataclass(frozen=True)
class Converted:
    """`columns` by the names of the published `votes` table, one row a vote; `left_out` counts by reason the rows
    of the source that are no votes; `notes` are sentences for the reader of the standings."""

    columns: dict
    left_out: dict = field(default_factory=dict)
    notes: tuple = ()


DRAWS_ARE_TIES = (
    "This source records ties without saying whether both images were good or both bad. They are shown as both good, "
    "so its acceptability says nothing."
)


def outcomes(column, title, meaning):
    """A column of a source's own outcomes -> Coded in ours. `meaning` maps theirs to ours.

    Raises MissingValue for empty cells and UnknownOutcome for a value that `meaning` lacks.
    """
    coded = encode(column)
    if empty := int(np.sum(coded.codes == EMPTY)):
        raise errors.MissingValue(f"column {title}: {plural(empty, 'row is', 'rows are')} empty")
    bad = Counter(
        {name: int(np.sum(coded.codes == code)) for code, name in enumerate(coded.names) if name not in meaning}
    )
    if bad := +bad:
        raise errors.UnknownOutcome(
            f"column {title}: {plural(bad.total(), 'row holds', 'rows hold')} a value that names no outcome: "
            f"{some(bad)}; known are {', '.join(meaning)}"
        )
    return coded.renamed(meaning.get)


def renamed(columns, names, rows=None):
    """Those of `columns` that are in `names` (theirs -> ours), under our names; only `rows`, where they are given."""
    found = {ours: columns[theirs] for theirs, ours in names.items() if theirs in columns}
    return found if rows is None else {name: taken(column, rows) for name, column in found.items()}


def taken(column, rows):
    """Some rows of a column (a mask or row numbers, which may repeat), of whatever kind the column is."""
    if isinstance(column, Coded):
        return column.take(rows)
    if isinstance(column, list):
        rows = np.arange(len(column))[rows]
        return [column[row] for row in rows.tolist()]
    import pyarrow as pa

    return column.take(pa.array(np.arange(len(column))[rows]))


def cells(column):
    """A column of any kind as a list of Python values."""
    return column if isinstance(column, list) else column.to_pylist()


def flat(columns):
    """Nested columns taken apart: {"images": structs} -> {"images.prompt": ..., ...}; lists stay what they are."""
    found = {}
    for name, column in columns.items():
        parts = _parts(column)
        found |= flat({f"{name}.{part}": inner for part, inner in parts.items()}) if parts else {name: column}
    return found


def _parts(column):
    if isinstance(column, Coded):
        return {}
    if isinstance(column, list):
        keys = dict.fromkeys(key for cell in column if isinstance(cell, dict) for key in cell)
        return {key: [cell.get(key) if isinstance(cell, dict) else None for cell in column] for key in keys}
    import pyarrow as pa

    if not pa.types.is_struct(column.type):
        return {}
    names = [column.type.field(at).name for at in range(column.type.num_fields)]
    return dict(zip(names, column.flatten(), strict=True))


def needed(form, names):
    """Raises MissingColumn where `names` lack a column that the format can't do without."""
    lacking = sorted(form.NEEDS - set(names))
    if lacking:
        raise errors.MissingColumn(
            f"format {form.NAME}: {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing "
            f"(of the columns read, it has: {', '.join(sorted(names)) or 'none'})"
        )
