"""Owns the table of feedback formats, FEEDBACK_FORMATS: how the columns of a source become those of our `feedback` table.

A format is a row: the columns that it can't do without, all that it reads, and `convert(columns)` to our names. To add
one, write its function and its row.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from leaderboard.formats.base import cells

CRITERIA = ("style", "coherence", "alignment")
TEXT = (
    *("feedback_id", "battle_id", "image_id", "prompt_id", "prompt", "model", "voter"),
    *("category", "sub_category", "complexity"),
)
MARKED = ("misaligned_words", "coherence_points", "alignment_points")
COLUMNS = (*TEXT, "created_at", *CRITERIA, *MARKED, "extra")


@dataclass(frozen=True)
class Format:
    """`needs` are columns that all have to be there, `reads` all that it looks at; `note` is what a reader must know."""

    name: str
    about: str
    needs: frozenset
    reads: frozenset
    convert: Callable
    note: str = ""

    def matches(self, names):
        """True for a source with these columns."""
        return self.needs <= set(names)


def _ours(columns):
    return {name: column for name, column in columns.items() if name in COLUMNS}


def _dsg(columns):
    """A rating of one image per worker; an image is named after its model and item, which is its prompt."""
    model, item = cells(columns["t2i_model"]), cells(columns["item_id"])
    found = {
        "image_id": [f"{made_by}/{name}" for made_by, name in zip(model, item, strict=True)],
        "model": model,
        "prompt_id": item,
        "voter": columns["worker_id"],
        "alignment": columns["answer"],
    }
    if "source_id" in columns:  # coco_54581 is of the part `coco`
        found["category"] = [re.sub(r"_\d+$", "", str(name or "")) for name in cells(columns["source_id"])]
    return found


FEEDBACK_FORMATS = {
    form.name: form
    for form in (
        Format(
            "arena",
            "our own data set, and any plain file: image_id, model and any of style, coherence, alignment (1 to 5)",
            frozenset({"image_id", "model"}),
            frozenset(COLUMNS),
            _ours,
        ),
        Format(
            "dsg",
            "ratings by crowd workers as of DSG: t2i_model, item_id, worker_id, answer (1 to 5); source_id",
            frozenset({"t2i_model", "item_id", "worker_id", "answer"}),
            frozenset({"t2i_model", "item_id", "worker_id", "answer", "source_id"}),
            _dsg,
            "This source asks for one rating alone, how well the image follows its prompt: shown as alignment.",
        ),
    )
}
RATED = frozenset({*CRITERIA, *MARKED})  # our own format is feedback only with one of these; images have none


def recognised(names):
    """The Format of a source with these columns, or None where they are no feedback."""
    for form in FEEDBACK_FORMATS.values():
        if form.matches(names) and (form.name != "arena" or RATED & set(names)):
            return form
    return None
