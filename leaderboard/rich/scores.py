"""Owns mean ratings with intervals: of models over voters and images, and of single images over voters.

A voter who rated one image in several battles counts once on it, with the mean of their ratings. Weights multiply: they
change the means and the intervals alike.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard.sandwich import student

PRIOR_DEGREES = 4.0  # what the variance of other images counts beside an image's own
LOWEST, HIGHEST = 1.0, 5.0


@dataclass(frozen=True)
class Means:
    """Of G groups, each float64 [G]: the weighted `mean` and its 95% interval, NaN where there is none; int64 [G]:
    the `ratings` behind it, and how many `voters` gave them to how many `images`."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    ratings: np.ndarray
    voters: np.ndarray
    images: np.ndarray


def clustered(values, weight, group, groups, voter, item):
    """Means of `values` [n] by `group` [n], for voters and items (images, or their prompts) like these.

    Ratings by one voter share a leniency, those of one item its luck: the variance is V(voter) + V(item) - V(both)
    (Cameron, Gelbach & Miller 2011), not below either. A cluster with the share h of a group's weight pulls the mean
    towards itself, so its score is divided by 1 - h, which leaves it out (CR3 of Bell & McCaffrey 2002). Student's t
    has the clusters' degrees of freedom, fewer where a few dominate (after Pan & Wall 2002), joined after Satterthwaite
    (1946). Equal ratings prove no certainty: the variance stays above 1/(n + 1) of what n independent ratings with
    the variance of all would leave. There is no interval where one voter gave all ratings, or to one item alone.
    """
    total = np.bincount(group, weight, groups)
    safe = np.where(total > 0, total, 1.0)
    mean = _bounded(np.where(total > 0, np.bincount(group, weight * values, groups) / safe, np.nan), values)
    residual = values - mean[group]
    score = weight * residual / safe[group]
    parts = [_spread(score, weight / safe[group], group, groups, codes) for codes in (voter, item)]
    both = _spread(score, weight / safe[group], group, groups, pairs(voter, item))[0]
    (first, first_degrees, voters), (second, second_degrees, items) = parts
    variance = np.maximum(np.maximum(first, second), first + second - both)
    size = total**2 / np.maximum(np.bincount(group, weight**2, groups), 1e-300)
    everywhere = float(weight @ residual**2 / max(weight.sum(), 1e-300))
    variance = np.maximum(variance, everywhere / np.where(total > 0, size * (size + 1.0), 1.0))
    parted = first**2 / first_degrees + second**2 / second_degrees
    joined = np.where(parted > 0, variance**2 / np.where(parted > 0, parted, 1.0), np.inf)
    degrees = np.clip(joined, np.minimum(first_degrees, second_degrees), first_degrees + second_degrees)
    half = np.where((voters > 1) & (items > 1), student(degrees) * np.sqrt(variance), np.nan)
    return Means(mean, mean - half, mean + half, np.bincount(group, minlength=groups), voters, items)


def of_images(values, weight, image, images, voter):
    """Means of `values` [n] by `image` [n], each for voters like these.

    An image has few voters, so its variance between them is moderated by that of all images, as if that came from
    PRIOR_DEGREES more degrees of freedom, which Student's t has too (Smyth 2004). An image with one voter has an
    interval, if any image has two.
    """
    cell, place = np.unique(pairs(image, voter), return_inverse=True)
    owner = np.empty(len(cell), np.int64)
    owner[place] = image
    share = np.bincount(place, weight)
    one = np.bincount(place, weight * values) / np.where(share > 0, share, 1.0)
    total = np.bincount(owner, share, images)
    safe = np.where(total > 0, total, 1.0)
    mean = _bounded(np.where(total > 0, np.bincount(owner, share * one, images) / safe, np.nan), values)
    voters = np.bincount(owner, minlength=images)
    apart = np.bincount(owner, share * (one - mean[owner]) ** 2, images) / safe * voters  # a sum of squares
    freedom = np.maximum(voters - 1, 0)
    if freedom.sum():
        usual = apart.sum() / freedom.sum()
        variance = (apart + PRIOR_DEGREES * usual) / (freedom + PRIOR_DEGREES)
        half = student(freedom + PRIOR_DEGREES) * np.sqrt(variance * np.bincount(owner, share**2, images)) / safe
    else:
        half = np.full(images, np.nan)
    ratings = np.bincount(image, minlength=images)
    return Means(mean, mean - half, mean + half, ratings, voters, (ratings > 0).astype(np.int64))


def once(image, voter):
    """float64 [n]: 1 over the rows that the voter of a row has on its image, so that each counts once there."""
    _, place, times = np.unique(pairs(image, voter), return_inverse=True, return_counts=True)
    return 1.0 / times[place]


def pairs(first, second):
    """int64 [n]: equal for rows with equal codes in both."""
    return first.astype(np.int64) * (int(second.max(initial=-1)) + 1) + second


def distinct(code, other, size):
    """int64 [size]: how many different values of `other` [n] each code [n] has."""
    return np.bincount(np.unique(np.stack([code, other]), axis=1)[0], minlength=size)


def others(values, weight, code, within, size):
    """float64 [size]: the mean of the rows of the same group that have another code, NaN where there are none."""
    groups = int(within.max(initial=0)) + 1
    home = np.zeros(size, np.int64)
    home[code] = within
    parts = []
    for column in (weight * values, weight):
        parts.append(np.bincount(within, column, groups)[home] - np.bincount(code, column, size))
    return np.where(parts[1] > 1e-9, parts[0] / np.where(parts[1] > 1e-9, parts[1], 1.0), np.nan)


def _bounded(mean, values):
    """No mean beyond the values, not even by rounding, nor beyond the scale."""
    return np.clip(mean, max(values.min(), LOWEST), min(values.max(), HIGHEST)) if len(values) else mean


def _spread(score, share, group, groups, codes):
    """(variance, degrees of freedom, clusters), each [G], with the rows of one code taken together."""
    cell, place = np.unique(pairs(group, codes), return_inverse=True)
    owner = np.empty(len(cell), np.int64)
    owner[place] = group
    own = np.minimum(np.bincount(place, share), 1.0)
    summed = np.bincount(place, score) / np.where(own < 1.0 - 1e-9, 1.0 - own, 1.0)
    clusters = np.bincount(owner, minlength=groups)
    variance = np.bincount(owner, summed**2, groups)
    fourth = np.bincount(owner, summed**4, groups)
    even = np.where(fourth > 0, 3.0 * variance**2 / np.where(fourth > 0, fourth, 1.0), np.inf)
    return variance, np.maximum(np.minimum(clusters - 1.0, even), 1.0), clusters
