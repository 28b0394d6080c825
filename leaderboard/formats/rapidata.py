"""Owns Rapidata's pair counts: a row a pair of images, with how many people preferred each.

Each count becomes that many votes. Who voted is not published; the images (image1, image2) are never read.
"""

from collections import Counter

import numpy as np

from leaderboard import errors
from leaderboard.columns import encode, plural, some
from leaderboard.formats.base import Converted, renamed

NAME = "rapidata"
ABOUT = "pair counts of Rapidata: model1, model2, votes_image1, votes_image2"
NEEDS = frozenset({"model1", "model2", "votes_image1", "votes_image2"})
RENAMED = {"model1": "model_a", "model2": "model_b", "prompt": "prompt", "image1_path": "image_a",
           "image2_path": "image_b", "category": "category", "sub_category": "sub_category"}  # fmt: skip
COLUMNS = NEEDS | set(RENAMED)
NOTES = (
    "This source holds counts: each was read as that many votes, without voters or times. Draws were not offered.",
)


def matches(names):
    """True where both models and both counts are there."""
    return set(names) >= NEEDS


def convert(columns):
    """One row a vote, those for the first image of a pair before those for the second; pair_id is the row's number."""
    first, second = _counts(columns, "votes_image1"), _counts(columns, "votes_image2")
    pairs = np.arange(len(first))
    rows = np.repeat(np.concatenate([pairs, pairs]), np.concatenate([first, second]))
    wins = np.repeat(["model_a", "model_b"], [int(first.sum()), int(second.sum())])
    order = np.argsort(rows, kind="stable")
    out = renamed(columns, RENAMED, rows[order])
    out |= {"winner": wins[order].tolist(), "pair_id": [f"pair {row}" for row in rows[order].tolist()]}
    return Converted(out, notes=NOTES)


def _counts(columns, name):
    """Whole numbers of votes, int64 [n]. Raises BadVotes for anything else."""
    coded = encode(columns[name])
    numbers, bad = [], Counter()
    for code, text in enumerate(coded.names):
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not (0 <= number < 1e9 and number == int(number)):
            bad[text] = int(np.sum(coded.codes == code))
            number = 0
        numbers.append(int(number))
    if empty := int(np.sum(coded.codes < 0)):
        raise errors.MissingValue(f"column {name}: {plural(empty, 'row is', 'rows are')} empty")
    if bad := +bad:
        raise errors.BadVotes(
            f"column {name}: {plural(bad.total(), 'row holds', 'rows hold')} no number of votes: {some(bad)}"
        )
    return np.array([*numbers, 0], np.int64)[coded.codes]
