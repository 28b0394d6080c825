"""Owns the table of foreign vote formats: one module each, recognised by its columns.

A format is a module with `NAME`, `COLUMNS` (the columns that it reads), `matches(columns) -> bool` and
`convert(columns) -> columns` (raw columns by name, to the names of the published `votes` table). To add one,
write the module and add it to FORMATS.
"""

from leaderboard.formats import lmarena

FORMATS = (lmarena,)


def foreign_columns():
    """The columns that any foreign format reads, as a set of names."""
    return set().union(*(form.COLUMNS for form in FORMATS))


def to_votes_columns(columns):
    """Raw columns by name -> the same by the names of the published `votes` table.

    The first format that recognises the columns converts them; what none recognises is returned as it is.
    """
    for form in FORMATS:
        if form.matches(columns):
            return form.convert(columns)
    return columns
