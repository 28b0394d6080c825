"""Owns what is measured on an image beside who made it: COVARIATES, from brightness to the size of its file.

Pixels are measured at one common size, so that resolution is a covariate of its own and not a part of sharpness.
To add a covariate, write its row here, its number in `measure` and its name in formats.arena.COVARIATES.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from leaderboard.pictures import decoded

SIDE = 256  # pixels of the longer side at which pixels are measured
MOST_IMAGES = 5_000  # measured for one study; one of a million pixels takes 5 (JPEG) to 40 ms (PNG)
COVARIATES = {
    "brightness": "the mean luma (ITU-R 601), from 0 black to 1 white",
    "contrast": "the standard deviation of the luma",
    "saturation": "the mean of HSV saturation, from 0 grey to 1 pure",
    "sharpness": "the log of the variance of the luma's Laplacian, at 256 pixels a side",
    "resolution": "the log of the number of pixels",
    "file": "the log of the number of bytes of the stored file",
}


@dataclass(frozen=True)
class Differences:
    """Of n votes: `values` {covariate: float64 [n]}, side a's less side b's, NaN where it is not known; and by reason
    how many votes have none (`without`)."""

    values: dict
    without: dict


def measure(data):
    """Image bytes -> {covariate: float}, or None where they are no image."""
    image = decoded(data, SIDE)
    if image is None:
        return None
    pixels = _pixels_of(data)
    scale = SIDE / max(image.size)
    size = tuple(max(3, round(length * scale)) for length in image.size)
    if size != image.size:
        from PIL import Image

        image = image.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    luma = np.asarray(image.convert("L"), np.float32)
    saturation = np.asarray(image.convert("HSV").getchannel("S"))
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    return {
        "brightness": float(luma.mean()) / 255,
        "contrast": float(luma.std()) / 255,
        "saturation": float(saturation.mean()) / 255,
        "sharpness": math.log1p(float(laplacian.var())),
        "resolution": math.log(pixels),
        "file": math.log(len(data)),
    }


def _pixels_of(data):
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.width * image.height


def measured(pictures, image_id):
    """{covariate: float} of an image, measured once; None where there is no readable image."""
    known = pictures.measured
    if image_id not in known:
        data = pictures.data(image_id)
        if data is None:
            return None  # not remembered: it may come yet
        known[image_id] = measure(data)
    return known[image_id]


def differences(votes, pictures=None, most=MOST_IMAGES, clock=time.monotonic):
    """The Differences of all votes: what the votes file says itself (`votes.covariates`), else what is measured on
    the Pictures, as far as their patience goes: the next look measures more."""
    given = dict(votes.covariates)
    if pictures is None or not len(pictures) or not len(votes):
        if given or not len(votes):
            return Differences(given, {})
        return Differences({}, {"without images": len(votes)})
    sides, names, skipped = _images(votes, pictures, most)
    table = np.full((len(names) + 1, len(COVARIATES)), np.nan)  # the last row is for a vote without an image
    later, end = (
        np.zeros(len(names) + 1, bool),
        clock() + (math.inf if pictures.patience is None else pictures.patience),
    )
    for row, name in enumerate(names):
        if name not in pictures.measured and clock() >= end:
            later[row] = True
        elif (found := measured(pictures, name)) is not None:
            table[row] = [found[covariate] for covariate in COVARIATES]
    gap = table[sides[0]] - table[sides[1]]
    values = {name: gap[:, at] for at, name in enumerate(COVARIATES)} | given
    absent = (sides[0] == len(names)) | (sides[1] == len(names))
    waiting = ~absent & (later[sides[0]] | later[sides[1]])
    unread = ~absent & ~waiting & np.isnan(gap[:, 0])
    without = {
        "without images": int((absent & ~skipped).sum()),
        "with an image that can't be read": int(unread.sum()),
        "with an image that is not measured yet (more are at every later look)": int(waiting.sum()),
        f"with an image beyond the {most:,} with most votes": int(skipped.sum()),
    }
    return Differences(values, {why: count for why, count in without.items() if count})


def _images(votes, pictures, most):
    """(rows of the names for each side [2][n], names [m] in the order in which they are read, mask [n] of votes on an
    image that is there but too many)."""
    order = {picture.image_id: at for at, picture in enumerate(pictures.all())}
    sides, shown = [], {}
    for column in (votes.image_a, votes.image_b):
        present, place = np.unique(column.codes, return_inverse=True)
        found = np.array([order.get(column.names[code], -1) if code >= 0 else -1 for code in present], np.int64)
        sides.append(found[place])
        for at, count in zip(found.tolist(), np.bincount(place, minlength=len(present)).tolist(), strict=True):
            shown[at] = shown.get(at, 0) + count
    shown.pop(-1, None)
    chosen = sorted(sorted(shown, key=lambda at: (-shown[at], at))[:most])
    rows = np.full(len(order) + 1, len(chosen), np.int64)
    rows[chosen] = np.arange(len(chosen))
    places = [rows[side] for side in sides]
    skipped = np.zeros(len(votes), bool)
    for side, place in zip(sides, places, strict=True):
        skipped |= (side >= 0) & (place == len(chosen))
    names = list(order)
    return places, [names[at] for at in chosen], skipped
