"""Owns the battles behind a number: a selection of votes -> the rows that a reader looks through.

A voter is never among them. A vote without its prompt is one that was kept private: its pictures are not shown either.
"""

import numpy as np

from leaderboard import errors
from leaderboard.columns import EMPTY, NO_TIME, iso
from leaderboard.votes import A_WINS, B_WINS, BOTH_GOOD, GROUPINGS, OUTCOMES

PAGE = 20  # battles a look
KEYS = ("model_a", "model_b", "image", *GROUPINGS, "winner")


def matching(votes, selection):
    """Rows [m] of `votes` that a selection means, newest first.

    `selection` is a dict with any of KEYS. One model means all its battles, two mean those between them on whichever
    sides, an image those that it was in; `winner` is read as if the selection's model_a, or its image, had been on side
    a. Raises errors.UnknownChoice for a key
    that is none of KEYS and a winner that is no outcome; a name that nothing has simply matches nothing.
    """
    for key in selection:
        if key not in KEYS:
            raise errors.UnknownChoice(f"battles can't be chosen by {key!r}; known are {', '.join(KEYS)}")
    found = np.ones(len(votes), bool)
    swapped = np.zeros(len(votes), bool)
    first, second = (_place(votes.models, selection.get(side)) for side in ("model_a", "model_b"))
    if first is None and second is not None:
        first, second = second, None
    if first is not None:
        found &= (votes.model_a == first) | (votes.model_b == first)
        swapped = votes.model_b == first
    if second is not None:
        found &= (votes.model_a == second) | (votes.model_b == second)
    if selection.get("image") is not None:
        left, right = (part.codes == _place(part.names, selection["image"]) for part in (votes.image_a, votes.image_b))
        found &= left | right
        swapped = right if first is None else swapped
    for name in GROUPINGS:
        if selection.get(name) is not None:
            column = getattr(votes, name)
            found &= column.codes == _place(column.names, selection[name])
    if selection.get("winner") is not None:
        if selection["winner"] not in OUTCOMES:
            raise errors.UnknownChoice(f"{selection['winner']!r} is no outcome; known are {', '.join(OUTCOMES)}")
        turned = np.array([B_WINS, A_WINS, *range(BOTH_GOOD, len(OUTCOMES))], np.int8)
        seen = np.where(swapped, turned[votes.winner], votes.winner)
        found &= seen == OUTCOMES.index(selection["winner"])
    return np.flatnonzero(found)[::-1]


def _place(names, name):
    """None for no name; a number that no row holds for a name that is not there."""
    if name is None:
        return None
    return names.index(name) if name in names else EMPTY - 1


def battles(study, selection, start=0):
    """{"total": how many match, "start", "rows": up to PAGE of them}, newest first; a row is

    {"prompt", "group", "when", "outcome": in words, "won": "a", "b" or None,
     "a" and "b": {"model": id, "image": id or None}}, with the selection's model_a, or its image, on side a.
    """
    votes = study.votes
    rows = matching(votes, selection)
    start = max(0, min(int(start), len(rows)))
    chosen = selection.get("model_a") or selection.get("model_b")
    return {
        "total": len(rows),
        "start": start,
        "rows": [_row(study, int(row), chosen, selection.get("image")) for row in rows[start : start + PAGE]],
    }


def _row(study, row, chosen, image=None):
    votes, outcome = study.votes, int(study.votes.winner[row])
    sides = [(votes.models[votes.model_a[row]], votes.image_a), (votes.models[votes.model_b[row]], votes.image_b)]
    won = {A_WINS: 0, B_WINS: 1}.get(outcome)
    words = "both good" if outcome == BOTH_GOOD else "both bad"
    if won is not None:
        words = f"{study.name(sides[won][0])} is better"
    if sides[1][0] == chosen or (chosen is None and image is not None and _cell(votes.image_b, row) == image):
        sides, won = sides[::-1], None if won is None else 1 - won
    prompt = _cell(votes.prompt, row)
    place = [_cell(getattr(votes, name), row) for name in GROUPINGS]
    when = votes.created_at[row]
    return {
        "prompt": prompt,
        "group": " · ".join(cell for cell in place if cell),
        "when": None if when == NO_TIME else iso(when),
        "outcome": words,
        "won": None if won is None else "ab"[won],
    } | {
        side: {"model": model, "image": _cell(images, row) if prompt else None}
        for side, (model, images) in zip("ab", sides, strict=True)
    }


def _cell(column, row):
    code = column.codes[row]
    return column.names[code] if code >= 0 else None
