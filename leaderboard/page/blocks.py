"""Owns how a sheet and a figure travel to the page: plain JSON, in which every cell knows its number and its words."""

import json
import re

from leaderboard.sheet import plain, shown

MOST_ROWS = 1000  # rows that travel; the download has all
MODEL_KEYS = ("model", "model_a", "model_b")
ENDS = ("lower", "upper")
# Columns that the page shows only when a reader asks for all of them.
MORE = {
    "standings": {"wins", "losses", "both_good", "both_bad", "preliminary"},
    "categories": {"verdict", "elo", "wins", "losses", "both_good", "both_bad", "preliminary"},
}
WIDE = {"elo", "acceptability"}  # and those that a phone leaves out until then


def sheet_block(study, sheet):
    """A Sheet for the page. `columns` have the ends of an interval merged into what they belong to; a row of `rows`
    has a cell a column: text, or [number, shown, interval in words, lower, upper]; `models` are each row's ids, and
    `battles` each row's selection or None."""
    columns = _columns(sheet)
    rows = sheet.rows[:MOST_ROWS]
    return {
        "kind": "sheet",
        "name": sheet.name,
        "title": sheet.title,
        "caption": sheet.caption if sheet.name != "standings" else "",  # the page's head says what they are
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "explain": column.explain,
                "kind": column.kind,
                "model": column.key in MODEL_KEYS,
                "more": column.key in MORE.get(sheet.name, ()),
                "wide": column.key in WIDE,
                "ends": [end.explain for end in ends],
            }
            for column, ends in columns
        ],
        "rows": [[_cell(study, row, column, ends) for column, ends in columns] for row in rows],
        "models": [[row[key] for key in MODEL_KEYS if row.get(key)] for row in rows],
        "battles": [row.get("battles") for row in rows],
        "total": len(sheet.rows),
        "notes": [named(study, note) for note in sheet.notes]
        if sheet.name != "standings"
        else [],  # the head has those
    }


def _columns(sheet):
    """[(column, its interval's two columns or ())]: `x_lower` and `x_upper` belong to `x`; a bare `lower` and `upper`
    to the column before them."""
    known = {column.key: column for column in sheet.columns}
    found, taken = [], set()
    for column in sheet.columns:
        ends = tuple(known[f"{column.key}_{end}"] for end in ENDS if f"{column.key}_{end}" in known)
        if len(ends) == 2:
            taken |= {end.key for end in ends}
        found.append([column, ends if len(ends) == 2 else ()])
    if all(end in known for end in ENDS):
        before = [entry for entry in found if sheet.columns.index(entry[0]) < sheet.columns.index(known["lower"])]
        if before and not before[-1][1] and before[-1][0].kind not in ("text", "flag"):
            before[-1][1] = tuple(known[end] for end in ENDS)
            taken |= set(ENDS)
    return [(column, ends) for column, ends in found if column.key not in taken]


def _cell(study, row, column, ends):
    value = plain(row.get(column.key))
    if column.key in MODEL_KEYS:
        return value
    if column.kind == "text":
        return None if value is None else str(value) if column.key == study.by else named(study, str(value))
    low, high = (plain(row.get(end.key)) for end in ends) if ends else (None, None)
    cell = [value, shown(value, column.kind), interval(low, high, ends[0].kind) if ends else "", low, high]
    while cell and cell[-1] in (None, "") and len(cell) > 2:
        cell.pop()
    return cell


def interval(low, high, kind):
    """The ends of an interval in words: '980–1012', '-3 to +5', 'at most 940', or '' where nothing is known."""
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"at most {shown(high, kind)}" if low is None else f"at least {shown(low, kind)}"
    low, high = shown(low, kind), shown(high, kind)
    if low == high and kind == "count":
        return low
    return f"{low} to {high}" if low[0] in "+-" or high[0] in "+-" else f"{low}–{high}"


def named(study, sentence):
    """The same words with each model's id as its name; an id inside of a longer word is none."""
    other = {model: study.name(model) for model in study.votes.models if study.name(model) != model}
    if not any(model in sentence for model in other):
        return sentence
    ids = "|".join(re.escape(model) for model in sorted(other, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])({ids})(?![\w-]|\.\w)", lambda found: other[found[1]], sentence)


def figure_block(study, name, view, sheet):
    """A figure for the page: plotly's own JSON, with its heading and how to read it."""
    return {
        "kind": "figure",
        "name": name,
        "title": view.title,
        "caption": view.caption,
        "figure": json.loads(view.draw(study, sheet).to_json()),
    }
