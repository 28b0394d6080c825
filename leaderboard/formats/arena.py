"""Owns our own format, which is also the plain one: a row a vote, with the columns model_a, model_b and winner."""

from leaderboard.formats.base import Converted

NAME = "arena"
ABOUT = "our own data set, and any plain file: model_a, model_b, winner; all else is optional"
COVARIATES = ("brightness", "contrast", "saturation", "sharpness", "resolution", "file")  # see leaderboard.covariates
MEASURED = tuple(f"{name}_{side}" for name in COVARIATES for side in "ab")
PROBABILITY = "pair_probability"  # the one column that few ask for: Parquet files are read for it then
NEEDS = frozenset({"model_a", "model_b", "winner"})
COLUMNS = NEEDS | {
    *("vote_id", "prompt_id", "prompt", "category", "sub_category", "complexity", "voter", "voter_name", "mode"),
    *("image_a", "image_b", "pair_id", "signed_in", "gold", "created_at", "extra", PROBABILITY),
    *MEASURED,
}


def matches(names):
    """True where the three columns are there and no LMArena time stands in place of ours."""
    return set(names) >= NEEDS and ("tstamp" not in names or "created_at" in names)


def convert(columns):
    """The columns as they are; `leaderboard.votes` checks them."""
    return Converted({name: column for name, column in columns.items() if name in COLUMNS})
