"""Owns the Sheet: one table with its explanations, the same for the command line, the page and the downloads.

A column says what it means in its own words once; the page shows them on hover or tap, `--explain` prints them.
"""

import csv
import io
from dataclasses import dataclass

from leaderboard import errors


@dataclass(frozen=True)
class Column:
    """`key` names it in JSON and CSV, `title` heads it for a person, `explain` says what is estimated and from what.

    `kind` is a row of KINDS and says how a value is shown; None stands for what is not known.
    """

    key: str
    title: str
    explain: str
    kind: str = "text"


@dataclass(frozen=True)
class Sheet:
    """`rows` are dicts of plain values, a key a column. A row may also hold `battles`, which is no column: a dict with
    any of model_a, model_b, category, sub_category, complexity and winner, which says which battles are behind it."""

    name: str
    title: str
    caption: str
    columns: tuple
    rows: tuple
    notes: tuple = ()

    def to_json(self):
        """Plain dicts and lists; floats rounded to 6 decimals."""
        return {
            "title": self.title,
            "caption": self.caption,
            "columns": {column.key: column.explain for column in self.columns},
            "rows": [{column.key: plain(row.get(column.key)) for column in self.columns} for row in self.rows],
            "notes": list(self.notes),
        }

    def to_csv(self):
        """A header of keys and a line a row; an empty cell for None."""
        out = io.StringIO()
        writer = csv.DictWriter(out, [column.key for column in self.columns], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.to_json()["rows"])
        return out.getvalue()

    def to_text(self):
        """Aligned text for a terminal: title, caption, the table, the notes."""
        head = [column.title for column in self.columns]
        lines = [[shown(row.get(column.key), column.kind) for column in self.columns] for row in self.rows]
        widths = [max(len(line[at]) for line in [head, *lines]) for at in range(len(head))]
        left = [column.kind in ("text", "flag") for column in self.columns]
        drawn = [
            "  ".join(
                cell.ljust(width) if to_left else cell.rjust(width)
                for cell, width, to_left in zip(line, widths, left, strict=True)
            ).rstrip()
            for line in [head, *lines]
        ]
        return "\n".join([self.title, self.caption, "", *drawn, *[f"- {note}" for note in self.notes]]) + "\n"


def plain(value):
    """A value as JSON takes it: floats rounded to 6 decimals, numpy's numbers as Python's. Refuses NaN and inf."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("a sheet holds None for what is not known, never NaN or inf")
        return round(value, 6) + 0.0
    return value


def _p_value(value):
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


KINDS = {
    "text": str,
    "count": "{:,}".format,
    "points": "{:.0f}".format,
    "signed": lambda value: f"{round(value) + 0:+d}",
    "share": "{:.1%}".format,
    "small share": "{:.2%}".format,
    "number": "{:.2f}".format,
    "p": _p_value,
    "time": lambda value: value[:16].replace("T", " "),
    "flag": lambda value: "yes" if value else "",
}


def shown(value, kind):
    """A cell for a person; a dash for what is not known."""
    if value is None:
        return "–"
    if kind not in KINDS:
        raise errors.UnknownChoice(f"no kind of column is called {kind!r}; known are {', '.join(KINDS)}")
    return KINDS[kind](value)
