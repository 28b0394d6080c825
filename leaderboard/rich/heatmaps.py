"""Owns heatmaps: where voters pointed, or painted, as a grid over the image.

A voter's map is a gaussian of height 1 at each of their points, added up, whose sigma is SIGMA of the image's smaller
side; or, where they painted, 1 inside the area and 0 outside. An image's heatmap is the mean over the voters who were
asked where, whoever placed no point among them, and over those who were not asked because they rated it high: both are
maps of zeros. Who was asked other things, or gave no answer, is not among them. A cell holds the value at its centre.

A gaussian is a product of one along the rows and one along the columns, so the sum over points is one product of
matrices an image, and nothing is approximated.
"""

import numpy as np

SIGMA = 0.05
CELLS = 256


def heatmap(points, weight, shape=(CELLS, CELLS), size=(1, 1)):
    """float32 `shape` (rows, columns): the weighted sum of the gaussians at `points` [m, 2], x and y from 0 to 1 from
    the top left. `weight` [m] of a point is its voter's, over that of all who are in the mean; `size` is the image's
    (width, height), in any unit."""
    return next(heatmaps([points], [weight], shape, [size]))


def heatmaps(points, weights, shape=(CELLS, CELLS), sizes=None):
    """One heatmap after the other, as `heatmap` makes them, from lists of equal length."""
    rows, columns = ((np.arange(count) + 0.5) / count for count in shape)
    sizes = [(1, 1)] * len(points) if sizes is None else sizes
    for spots, weight, (width, height) in zip(points, weights, sizes, strict=True):
        spots = np.asarray(spots, np.float64).reshape(-1, 2)
        sigma = SIGMA * min(width, height)
        down = _bells(rows, spots[:, 1], sigma / height)
        across = _bells(columns, spots[:, 0], sigma / width)
        across *= np.asarray(weight, np.float32)[:, None]
        yield down.T @ across


def _bells(centres, at, sigma):
    """float32 [m, cells]: exp(-((centre - at) / sigma)^2 / 2); the differences are taken in double precision."""
    steps = (centres[None, :] - at[:, None]) * (np.sqrt(0.5) / sigma)
    steps *= steps
    return np.exp(np.negative(steps, out=steps).astype(np.float32))


def painted(mask, shape=(CELLS, CELLS)):
    """float32 `shape`: a painted mask, bool [h, w] over the image's box, at the centres of the cells."""
    rows, columns = (
        np.minimum(((np.arange(count) + 0.5) / count * side).astype(np.int64), side - 1)
        for count, side in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)].astype(np.float32)


def of_rows(feedback, kind, asked, placed, weight, shape=(CELLS, CELLS), size=(1, 1)):
    """float32 `shape`: the mean over the rows `asked` of Feedback, whose points are numbers `placed` of
    `feedback.points[kind]`; `weight` [n] is of all feedback. Zeros where nobody was asked."""
    given, masks = feedback.points[kind], feedback.painted[kind]
    total = float(weight[asked].sum())
    if not total:
        return np.zeros(shape, np.float32)
    drawn = [row for row in asked.tolist() if row in masks]
    placed = placed[~np.isin(given.row[placed], drawn)]  # who painted, said it so
    found = heatmap(given.value[placed], weight[given.row[placed]] / total, shape, size)
    for row in drawn:
        found += np.float32(weight[row] / total) * painted(masks[row], shape)
    return found
