"""Owns the results of Open Image Preferences: one row a pair of images, with a list of responses, one a voter.

Columns as published in data-is-better-together/open-image-preferences-v1-results (an Argilla export): id, images
{image_1, image_2, prompt}, model_1, model_2, evolution, category, sub_category, preference.responses and the lists
beside it, preference.responses.users and preference.responses.status. Each response becomes one vote. The models are
`dev` and `sd` there; the full names are those that the project's own script for the binarised version gives them.
"""

import json
from collections import Counter

import numpy as np

from leaderboard import errors
from leaderboard.columns import encode
from leaderboard.formats.base import Converted, cells, outcomes, renamed

NAME = "open-image-preferences"
ABOUT = "results of Open Image Preferences, raw responses: model_1, model_2, preference.responses"
RESPONSES = "preference.responses"
USERS = ("preference.responses.users", "preference.users")
STATUS = ("preference.responses.status", "preference.status")
NEEDS = frozenset({"model_1", "model_2", RESPONSES})
RENAMED = {"id": "pair_id", "images.prompt": "prompt", "images.image_1": "image_a", "images.image_2": "image_b",
           "category": "category", "sub_category": "sub_category"}  # fmt: skip
COLUMNS = NEEDS | {"evolution", *RENAMED, *USERS, *STATUS}
OUTCOMES = {"image_1": "model_a", "image_2": "model_b", "both_good": "both_good", "both_bad": "both_bad"}
COMPLEXITY = {"quality": "complex"}
MODELS = {"dev": "black-forest-labs/FLUX.1-dev", "sd": "stabilityai/stable-diffusion-3.5-large"}
SUBMITTED = "submitted"


def matches(names):
    """True where both models and the responses are there."""
    return set(names) >= NEEDS


def full_name(name):
    """A model's short name in this data set -> its repository; any other name stays."""
    return MODELS.get(name, name)


def complexity(column):
    """The column evolution (`quality` or `simplified`) -> complexity (`complex` or `simplified`)."""
    return encode(column).renamed(lambda name: COMPLEXITY.get(name, name))


def convert(columns):
    """One row a response that was submitted; pairs without one, drafts and discarded responses are counted."""
    answers = _lists(columns, RESPONSES)
    users = _beside(columns, USERS, answers)
    status = _beside(columns, STATUS, answers)
    left_out, pairs, given, voters = Counter(), [], [], []
    for pair, found in enumerate(answers):
        if not found:
            left_out["no_response"] += 1
        for at, answer in enumerate(found or ()):
            state = status[pair][at] if status and status[pair] else SUBMITTED
            if state != SUBMITTED:
                left_out[f"response:{state}"] += 1
                continue
            pairs.append(pair)
            given.append(answer)
            voters.append(users[pair][at] if users and users[pair] else None)
    rows = np.array(pairs, np.int64)
    out = renamed(columns, RENAMED, rows)
    for side, model in (("model_a", "model_1"), ("model_b", "model_2")):
        out[side] = encode(columns[model]).take(rows).renamed(full_name)
    if "evolution" in columns:
        out["complexity"] = complexity(columns["evolution"]).take(rows)
    out["winner"] = outcomes(given, RESPONSES, OUTCOMES)
    if users:
        out["voter"] = voters
    return Converted(out, dict(left_out))


def _lists(columns, name):
    """A column of lists (or of JSON texts of lists, as a CSV file holds them) -> a list of lists or None."""
    found = []
    for cell in cells(columns[name]):
        if isinstance(cell, str):
            try:
                cell = json.loads(cell) if cell.strip() else None
            except json.JSONDecodeError:
                pass
        if cell is not None and not isinstance(cell, list):
            raise errors.BadVotes(f"column {name}: holds {str(cell)[:40]!r}, which is no list of responses")
        found.append(cell)
    return found


def _beside(columns, names, answers):
    """The first of these columns that is there, as lists as long as those of the answers; None without any."""
    name = next((name for name in names if name in columns), None)
    if name is None:
        return None
    lists = _lists(columns, name)
    uneven = sum(1 for one, other in zip(lists, answers, strict=True) if one and len(one) != len(other or ()))
    if uneven:
        raise errors.BadVotes(f"column {name}: in {uneven} rows it is not as long as {RESPONSES}")
    return lists
