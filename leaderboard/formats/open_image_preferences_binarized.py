"""Owns the binarised version of Open Image Preferences: every row is a win of `chosen_model` over `rejected_model`.

Its makers reduced the responses on each pair to one verdict and left the rest out, so nothing is known of ties, of
voters, or of which image stood left. The pictures (chosen, rejected) are never read.
"""

from leaderboard.columns import encode
from leaderboard.formats.base import Converted, renamed
from leaderboard.formats.open_image_preferences import complexity, full_name

NAME = "open-image-preferences-binarized"
ABOUT = "its binarised version, ties dropped by its makers: chosen_model, rejected_model"
NEEDS = frozenset({"chosen_model", "rejected_model"})
RENAMED = {"id": "pair_id", "prompt": "prompt", "category": "category", "sub_category": "sub_category"}
COLUMNS = NEEDS | {"evolution", *RENAMED}
NOTES = (
    "This source is binarised: pairs without a clear winner were dropped before it was published, so wins are "
    "exaggerated and acceptability says nothing; the raw responses are the better source.",
    "The chosen image is always side a here, so nothing can be said of position bias.",
)


def matches(names):
    """True where a chosen and a rejected model are there."""
    return set(names) >= NEEDS


def convert(columns):
    """One row a pair, won by the chosen model."""
    out = renamed(columns, RENAMED)
    out["model_a"] = encode(columns["chosen_model"]).renamed(full_name)
    out["model_b"] = encode(columns["rejected_model"]).renamed(full_name)
    out["winner"] = ["model_a"] * len(out["model_a"])
    if "evolution" in columns:
        out["complexity"] = complexity(columns["evolution"])
    return Converted(out, notes=NOTES)
