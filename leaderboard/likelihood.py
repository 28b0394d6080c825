"""Owns likelihood-ratio intervals: what a rating may be where there are too few battles for a normal approximation."""

import numpy as np

from leaderboard import errors
from leaderboard.ratings import fisher
from leaderboard.sandwich import Z95, sided

FEW_BATTLES = 50  # models with fewer battles get these intervals in place of the sandwich ones
_STEPS = 60
_FAR = 3.0  # log odds that one step may move
_SMALL = 1e-4  # the last step of Newton's method: what is left to go is about its square


def dispersion(estimate, pairs):
    """How much less the scores of votes vary than those of decisive votes would: Pearson's statistic over its degrees
    of freedom (McCullagh & Nelder 1989, section 4.5), with one even decisive vote added, at most 1.

    A draw counts as half a win, which lies between the outcomes that the likelihood expects: without this factor a
    likelihood-ratio interval of an arena with draws is too wide. For independent votes it can't exceed 1.
    """
    counts = sided(pairs)
    votes, models = counts.sum(), len(estimate.information)
    found = (counts * estimate.score_a**2).sum()
    expected = np.trace(estimate.information) / 2.0
    correction = votes / max(votes - (models - 1), 1.0)
    return float(min(1.0, (found * correction + 0.25) / (expected + 0.25)))


def profile(pairs, strength, anchor, models, scale):
    """95% intervals (lower, upper), each float64 [M] in log odds, of the ratings of `models` (M indices) less the
    anchor's mean.

    They hold the values t for which twice the loss of log likelihood, with all other ratings chosen best, is at most
    `scale` [M] times 3.84, the 95% point of chi-squared with one degree (Wilks 1938; with the factor: Kent 1982,
    Chandler & Bate 2007). `pairs` are those of one strongly connected set at its maximum `strength` [R].
    Raises errors.NotConverged.
    """
    models = np.asarray(models)
    count, size = len(models), len(strength)
    contrast = np.zeros((count, size))
    contrast[np.arange(count), models] = 1.0
    contrast = np.tile(contrast - anchor / anchor.sum(), (2, 1))
    sign = np.repeat([-1.0, 1.0], count)
    wanted = Z95 * np.sqrt(np.tile(np.maximum(scale, 1e-12), 2))
    centre = contrast @ strength
    _, information = fisher(pairs, strength)
    regular = np.full((size, size), np.trace(information) / size**2)
    direction = np.linalg.solve(information + regular, contrast.T).T
    deviation = np.sqrt(np.einsum("ij,ij->i", contrast, direction))
    path = direction / (deviation**2)[:, None]  # the ratings' shift for a contrast of one more
    away = np.minimum(wanted * deviation, _FAR)
    best, place = _value(pairs, strength[None])[0], strength + (sign * away)[:, None] * path
    for _ in range(_STEPS):
        place, pull, value = _constrained(pairs, place, contrast, centre + sign * away, regular)
        root = np.sqrt(np.maximum(2.0 * (best - value), 1e-300))
        slope = np.maximum(np.abs(pull) / root, 1e-12)
        move = np.clip((wanted - root) / slope, -0.7 * away, np.minimum(away, _FAR) + 0.1)
        place = strength + (place - strength) * ((away + move) / away)[:, None]
        away = away + move
        if np.abs(move).max() < _SMALL:
            break
    else:
        raise errors.NotConverged(f"likelihood-ratio intervals: no convergence in {_STEPS} steps on {size} models")
    bounds = (centre + sign * away).reshape(2, count)
    return bounds[0], bounds[1]


def _value(pairs, place):
    gap = place[:, None, :] - place[:, :, None]
    return -(pairs.score * np.logaddexp(0.0, gap)).sum(axis=(1, 2))


def _constrained(pairs, place, contrast, target, regular):
    """Newton's method for the best ratings [N, R] whose contrasts equal `target` [N]; them, the multipliers [N] (the
    slope of the best log likelihood along the contrast) and the log likelihoods [N]."""
    number, size = place.shape
    score, battles = pairs.score, pairs.battles
    system = np.zeros((number, size + 1, size + 1))
    system[:, :size, size] = system[:, size, :size] = contrast
    for _ in range(_STEPS):
        gap = np.clip(place[:, None, :] - place[:, :, None], -700, 700)
        expected = 1.0 / (1.0 + np.exp(gap))
        curve = battles * expected * (1.0 - expected)
        system[:, :size, :size] = regular - curve
        system[:, np.arange(size), np.arange(size)] += curve.sum(axis=2)
        gradient = (score - battles * expected).sum(axis=2)
        right = np.concatenate([gradient, (target - np.einsum("ij,ij->i", contrast, place))[:, None]], axis=1)
        solved = np.linalg.solve(system, right[..., None])[..., 0]
        step, pull = solved[:, :size], solved[:, size]
        place = place + step * np.minimum(1.0, _FAR / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
        if np.abs(step).max() < _SMALL:
            break
    return place, pull, _value(pairs, place)
