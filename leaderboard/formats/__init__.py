"""Owns the table of vote formats, FORMATS: one module each, recognised by its columns or named.

A format is a module with `NAME`, `ABOUT` (one line for `--help`), `NEEDS` (the columns that it can't do without),
`COLUMNS` (all that it reads; `a.b` is field b of a nested column a), `matches(names) -> bool` and
`convert(columns) -> Converted` (its columns by name, to those of the published `votes` table). To add one, write
the module and its row; the contract tests and the command line find it here.
"""

from leaderboard import errors
from leaderboard.formats import (
    arena,
    crowd_comparisons,
    genai_bench,
    genai_bench_sides,
    lmarena,
    open_image_preferences,
    open_image_preferences_binarized,
    pick_a_pic,
    rapidata,
)
from leaderboard.formats.base import Converted, flat, needed

__all__ = ["FORMATS", "Converted", "convert", "interesting", "recognise"]

FORMATS = {
    form.NAME: form
    for form in (
        arena,
        lmarena,
        open_image_preferences,
        open_image_preferences_binarized,
        pick_a_pic,
        genai_bench,
        genai_bench_sides,
        rapidata,
        crowd_comparisons,
    )
}


def recognise(names, source_format=None):
    """The format of a source with these columns (nested ones as `a.b`), or the one that is named.

    Raises UnknownChoice for a name that is in no row, MissingColumn where the format's columns are not there or no
    format's are, AmbiguousFormat where those of several are.
    """
    if source_format is not None:
        if source_format not in FORMATS:
            raise errors.UnknownChoice(f"no format is called {source_format!r}; known are {', '.join(FORMATS)}")
        if not FORMATS[source_format].matches(names):
            needed(FORMATS[source_format], names)
        return FORMATS[source_format]
    found = [form for form in FORMATS.values() if form.matches(names)]
    if len(found) > 1:
        matched = "; ".join(f"{form.NAME} ({', '.join(sorted(form.NEEDS))})" for form in found)
        raise errors.AmbiguousFormat(f"its columns are those of several formats: {matched}; name one, --source-format")
    if not found:
        raise _unknown(names)
    return found[0]


def _unknown(names):
    lacking = [name for name in ("model_a", "model_b", "winner") if name not in names]
    words = f"column {lacking[0]} is" if len(lacking) == 1 else f"columns {', '.join(lacking)} are"
    found = ", ".join(sorted(names)[:40]) or "none"
    return errors.MissingColumn(
        f"{words} missing, and its columns are not those of another format either (it has: {found}); known are "
        f"{', '.join(FORMATS)}"
    )


def interesting():
    """Every column that any format reads, and every nested column that it is in, as a set of names."""
    names = set().union(*(form.COLUMNS for form in FORMATS.values()))
    return {".".join(parts[: at + 1]) for parts in (name.split(".") for name in names) for at in range(len(parts))}


def convert(columns, source_format=None):
    """Raw columns by name -> Converted, by the format that is named or recognised. Raises errors.BadVotes."""
    columns = flat(columns)
    converted = recognise(columns, source_format).convert(columns)
    if "prompt" in converted.columns and "prompt_id" not in converted.columns:
        converted.columns["prompt_id"] = converted.columns["prompt"]  # votes on one prompt belong together
    return converted
