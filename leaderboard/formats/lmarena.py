"""Owns the battle files of LMArena (Chatbot Arena): model_a, model_b, winner, and its own names for the rest.

`tstamp` is seconds since 1970 as a float, `anony` says whether the models were hidden, `judge` is the voter
and `question_id` names the battle. The outcomes `tie` and `tie (bothbad)` are read by `leaderboard.votes`.
"""

from leaderboard.columns import encode
from leaderboard.formats.base import Converted, cells, renamed

NAME = "lmarena"
ABOUT = "battles of LMArena (Chatbot Arena): model_a, model_b, winner, tstamp; judge, anony, question_id"
NEEDS = frozenset({"model_a", "model_b", "winner", "tstamp"})
RENAMED = {"model_a": "model_a", "model_b": "model_b", "winner": "winner", "question_id": "vote_id", "judge": "voter"}
KEPT = ("prompt", "category", "mode")
COLUMNS = NEEDS | {"anony", *RENAMED, *KEPT}


def matches(names):
    """True where the columns are those of an LMArena file and not already ours."""
    return set(names) >= NEEDS and "created_at" not in names


def convert(columns):
    """tstamp to created_at (ms), judge to voter, anony to mode."""
    out = renamed(columns, RENAMED | {name: name for name in KEPT})
    out["created_at"] = [_milliseconds(cell) for cell in cells(columns["tstamp"])]
    if "anony" in columns and "mode" not in columns:
        out["mode"] = encode(columns["anony"]).renamed(
            lambda name: {"true": "anonymous", "false": "named"}.get(name.lower())
        )
    return Converted(out)


def _milliseconds(cell):
    try:
        return None if cell is None or cell == "" else round(float(cell) * 1000)
    except ValueError:
        return cell  # text that is no number: the check of created_at names it
