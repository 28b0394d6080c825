"""Owns agreement among raters: Krippendorff's alpha for ordered ratings, with a bootstrap interval.

Every image is a unit, every voter of it a coder, with their first rating. Expected disagreement comes from the ratings of
all units with two voters or more.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard.agreement import DRAWS, FEWEST_PAIRS, distinct

STEPS = 5


@dataclass(frozen=True)
class Agreement:
    """One criterion: its `ratings` (one a voter and image), the `images` and `voters`, `shared` images with two voters
    or more; `alpha` from 1 (full agreement) over 0 (as by chance), None where nothing varies or is shared."""

    criterion: str
    ratings: int
    images: int
    voters: int
    shared: int
    alpha: float | None
    lower: float | None
    upper: float | None


def counts_of(image, voter, rating):
    """[I, 5]: how many voters gave each image each rating; a voter's first rating of an image counts. All [n], the
    ratings whole numbers from 1 to 5."""
    _, first = np.unique(np.stack([image, voter]), axis=1, return_index=True)
    _, unit = np.unique(image[first], return_inverse=True)
    at = unit * STEPS + rating[first].astype(np.int64) - 1
    return np.bincount(at, minlength=(int(unit.max(initial=-1)) + 1) * STEPS).reshape(-1, STEPS)


def ordinal_alpha(counts):
    """Krippendorff's (2011) alpha for ordinal data from counts [I, 5]; None where nothing varies or is shared."""
    several = counts[counts.sum(axis=1) >= 2]
    if not len(several):
        return None
    value = _alphas(several, np.ones((1, len(several))))[0]
    return None if np.isnan(value) else float(value)


def _alphas(kinds, times):
    """Alpha of B tables, whose rows are `kinds` [D, 5] as often as `times` [B, D] says; NaN where nothing varies."""
    size = kinds.sum(axis=1)
    together = np.einsum("dc,dk->dck", kinds, kinds) - np.einsum("dc,ck->dck", kinds, np.eye(STEPS))
    together = (together / (size - 1.0)[:, None, None]).reshape(len(kinds), -1)
    seen = (times @ together).reshape(-1, STEPS, STEPS)  # coincidences
    each = seen.sum(axis=2)
    total = each.sum(axis=1)
    upto = np.cumsum(each, axis=1)
    middle = upto - each / 2.0  # of the ratings in order, where the middle of each kind stands
    apart = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (seen * apart).sum(axis=(1, 2)) / total
    expected = (each[:, :, None] * each[:, None, :] * apart).sum(axis=(1, 2)) / (total * (total - 1.0))
    return 1.0 - observed / np.where(expected > 0, expected, np.nan)


def agreement(criterion, image, voter, rating, rng):
    """The Agreement of one criterion's ratings [n]; the interval is over images drawn again, the voters staying."""
    counts = counts_of(image, voter, rating)
    several = counts[counts.sum(axis=1) >= 2]
    value, lower, upper = ordinal_alpha(counts), None, None
    if value is not None and len(several) >= FEWEST_PAIRS:
        kinds, times = distinct(several)
        if len(kinds) > 1:
            drawn = _alphas(kinds, rng.multinomial(len(several), times / times.sum(), DRAWS))
            lower, upper = (float(end) for end in np.nanquantile(drawn, (0.025, 0.975)))
            lower, upper = min(lower, value), max(upper, value)
    voters = len(np.unique(voter))
    return Agreement(criterion, int(counts.sum()), len(counts), voters, len(several), value, lower, upper)
