"""Owns what Rich answers with: the scores of models and images, and all that is said of one of them."""

from dataclasses import dataclass

import numpy as np

from leaderboard.feedback_formats import CRITERIA
from leaderboard.rich.scores import HIGHEST, LOWEST

OVERALL = "overall"  # of one voter's ratings of an image, the mean of those that were given (see rich.values)
SAME = 1e-9  # means that differ by less are one, but for rounding
SHOWN = (*CRITERIA, OVERALL)


@dataclass(frozen=True)
class Score:
    """One criterion of a model or image: `mean` rating, 1 to 5, with its 95% interval; `trusted` the same with voters
    weighing what they are trusted; `normalised` = (mean - lowest) / (highest - lowest), where lowest and highest are
    the means of the data set's worst and best images on that criterion. None where it is not known."""

    mean: float | None
    lower: float | None
    upper: float | None
    trusted: float | None
    trusted_lower: float | None
    trusted_upper: float | None
    normalised: float | None
    ratings: int
    voters: int
    images: int


@dataclass(frozen=True)
class ModelScores:
    """A model, or its part in one group (`group` is its name, else None): `scores` {criterion or "overall": Score},
    `others` {the same: the mean of all other models there, or None}; how many `feedback` rows there are, on how many
    `images`, by how many `voters`."""

    model: str
    group: str | None
    scores: dict
    others: dict
    feedback: int
    images: int
    voters: int


@dataclass(frozen=True)
class ModelFeedback:
    """A model's page: its ModelScores; `words` it misses, surest first (words.Missed); `groups`, weakest first, a
    ModelScores each; its `worst` and `best` images, ImageFeedback each without words in common."""

    model: str
    scores: ModelScores
    words: tuple
    groups: tuple
    worst: tuple
    best: tuple


@dataclass(frozen=True)
class ImageFeedback:
    """An image: `scores` {criterion or "overall": Score}, of `feedback` rows by `voters`; `words` are words.Word, one a
    word of the prompt (none where it is not known), and `no_mistakes` of `asked_words` answers marked none, which
    weigh `no_mistakes_weighted` as in words.Word. `asked`
    {kind: how many were asked for points or an area}, `heard` {kind: how many voters its heatmap is the mean over: those,
    and who rated it too high to be asked}, `points` {kind: ((x, y), ...)}, 0 to 1 from the top left."""

    image_id: str
    model: str
    prompt_id: str | None
    prompt: str | None
    category: str | None
    sub_category: str | None
    complexity: str | None
    scores: dict
    feedback: int
    voters: int
    words: tuple
    asked_words: int
    no_mistakes: int
    no_mistakes_weighted: float
    asked: dict
    heard: dict
    points: dict


def score_of(plain, heavy, at, norm, images):
    """The Score in place `at` of two scores.Means, without and with trust; `norm` is (lowest, highest), or Nones."""
    mean, spread = known(plain.mean[at]), None
    if norm[0] is not None and norm[1] - norm[0] > SAME:
        spread = norm[1] - norm[0]
    return Score(
        mean,
        *_ends(plain, at),
        known(heavy.mean[at]),
        *_ends(heavy, at),
        (mean - norm[0]) / spread if mean is not None and spread else None,
        int(plain.ratings[at]),
        int(plain.voters[at]),
        images if mean is not None else 0,
    )


def known(value):
    """A number as a float, None for NaN."""
    return float(value) if np.isfinite(value) else None


def _ends(means, at):
    """The ends of an interval within the scale, or None and None."""
    lower, upper = means.lower[at], means.upper[at]
    if not np.isfinite(lower) or not np.isfinite(upper):
        return None, None
    return max(float(lower), LOWEST), min(float(upper), HIGHEST)
