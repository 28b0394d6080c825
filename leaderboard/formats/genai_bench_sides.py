"""Owns GenAI-Bench's votes without model names: the two sides of the screen stand for the models.

Nothing but position bias can be learnt from it, so it is never recognised by its columns: it has to be asked for.
"""

from leaderboard.formats.base import Converted, renamed
from leaderboard.formats.genai_bench import VOTES, winner_of

NAME = "genai-bench-sides"
ABOUT = "the same without model names, left against right: position bias alone; only when named"
NEEDS = frozenset()
RENAMED = {"prompt": "prompt"}
COLUMNS = frozenset({*VOTES, *RENAMED})
NOTES = (
    "The two models here are the two sides of the screen: this source names no models, so the standings say how much "
    "voters lean to a side, and nothing else.",
)


def matches(names):
    """Never: who wants this has to say so."""
    return False


def convert(columns):
    """One row a vote, `left` against `right`."""
    winner = winner_of(columns)
    sides = {"model_a": ["left"] * len(winner), "model_b": ["right"] * len(winner)}
    return Converted(renamed(columns, RENAMED) | sides | {"winner": winner}, notes=NOTES)
