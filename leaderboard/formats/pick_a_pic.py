"""Owns Pick-a-Pic (yuvalkirstain/pickapic_v1 and _v2, with or without images): one row a pair of images.

`label_0` and `label_1` are 1 for the preferred image, 0 for the other, 0.5 each for a tie; rows whose `has_label` is
false were never judged. The pictures (jpg_0, jpg_1) are never read.
"""

from collections import Counter

import numpy as np

from leaderboard import errors
from leaderboard.columns import encode, plural, some
from leaderboard.formats.base import DRAWS_ARE_TIES, Converted, renamed

NAME = "pick-a-pic"
ABOUT = "Pick-a-Pic v1 and v2: model_0, model_1, label_0, label_1 (0.5 is a tie), has_label"
NEEDS = frozenset({"model_0", "model_1", "label_0", "label_1"})
RENAMED = {"model_0": "model_a", "model_1": "model_b", "caption": "prompt", "user_id": "voter",
           "image_0_uid": "image_a", "image_1_uid": "image_b", "created_at": "created_at"}  # fmt: skip
COLUMNS = NEEDS | {"has_label", *RENAMED}
OUTCOMES = {(1.0, 0.0): "model_a", (0.0, 1.0): "model_b", (0.5, 0.5): "both_good"}
FALSE = {"false", "0", "0.0"}


def matches(names):
    """True where both models and both labels are there."""
    return set(names) >= NEEDS


def convert(columns):
    """One row a labelled pair; unlabelled ones, and an image against itself, are counted as left out."""
    first, second = encode(columns["label_0"]), encode(columns["label_1"])
    labelled = (first.codes >= 0) & (second.codes >= 0)
    if "has_label" in columns:
        has_label = encode(columns["has_label"])
        labelled &= ~np.array([*(name.lower() in FALSE for name in has_label.names), False])[has_label.codes]
    same = np.zeros(len(first), bool)
    if {"image_0_uid", "image_1_uid"} <= set(columns):
        images = [encode(columns[name]) for name in ("image_0_uid", "image_1_uid")]
        place = {name: code for code, name in enumerate(images[0].names)}
        second_image = np.array([*(place.get(name, -2) for name in images[1].names), -2])[images[1].codes]
        same = labelled & (images[0].codes == second_image)
    rows = np.flatnonzero(labelled & ~same)
    out = renamed(columns, RENAMED, rows)
    out["winner"] = _winners(first.take(rows), second.take(rows))
    left_out = {"no_label": int(np.sum(~labelled)), "same_image": int(np.sum(same))}
    ties = (DRAWS_ARE_TIES,) if "both_good" in out["winner"] else ()
    return Converted(out, {why: count for why, count in left_out.items() if count}, ties)


def _winners(first, second):
    width = len(second.names)
    kinds, inverse = np.unique(first.codes * width + second.codes, return_inverse=True)
    found, bad = [], Counter()
    for at, kind in enumerate(kinds.tolist()):
        texts = first.names[kind // width], second.names[kind % width]
        found.append(OUTCOMES.get(tuple(map(_number, texts))))
        if found[-1] is None:
            bad[" and ".join(texts)] = int(np.sum(inverse == at))
    if bad:
        raise errors.UnknownOutcome(
            f"columns label_0 and label_1: {plural(bad.total(), 'row holds', 'rows hold')} labels that name no "
            f"outcome: {some(bad)}; known are 1 and 0, 0 and 1, 0.5 and 0.5"
        )
    return [found[at] for at in inverse.tolist()]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text
