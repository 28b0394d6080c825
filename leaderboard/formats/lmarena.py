"""Owns the battle files of LMArena (Chatbot Arena): model_a, model_b, winner, and its own names for the rest.

`tstamp` is seconds since 1970 as a float, `anony` says whether the models were hidden, `judge` is the voter
and `question_id` names the battle. The outcomes `tie` and `tie (bothbad)` are read by `leaderboard.votes`.
"""

NAME = "lmarena"
COLUMNS = frozenset({"model_a", "model_b", "winner", "tstamp", "anony", "judge", "question_id"})
RENAMED = {"question_id": "vote_id", "judge": "voter"}


def matches(columns):
    """True where the columns are those of an LMArena file and not already ours."""
    return {"model_a", "model_b", "winner", "tstamp"} <= set(columns) and "created_at" not in columns


def convert(columns):
    """Raw columns by LMArena's names -> by ours: tstamp to created_at (ms), judge to voter, anony to mode."""
    out = {RENAMED.get(name, name): cells for name, cells in columns.items() if name not in ("tstamp", "anony")}
    out["created_at"] = [_milliseconds(cell) for cell in _cells(columns["tstamp"])]
    if "anony" in columns and "mode" not in columns:
        out["mode"] = [_mode(cell) for cell in _cells(columns["anony"])]
    return out


def _cells(column):
    return column if isinstance(column, list) else column.to_pylist()


def _milliseconds(cell):
    try:
        return None if cell is None or cell == "" else round(float(cell) * 1000)
    except ValueError:
        return cell  # text that is no number: the check of created_at names it


def _mode(cell):
    return {"true": "anonymous", "false": "named"}.get(str(cell).lower())
