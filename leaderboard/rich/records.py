"""Owns what Rich answers with: the scores of models and images, and all that is said of one of them."""

from dataclasses import dataclass

from leaderboard.feedback_formats import CRITERIA

OVERALL = "overall"  # of one voter's ratings of an image, the mean of those that were given
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
    word of the prompt (none where it is not known), and `no_mistakes` of `asked_words` voters marked none. `asked`
    {kind: how many were asked for points or an area}, `points` {kind: ((x, y), ...)}, 0 to 1 from the top left."""

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
    asked: dict
    points: dict
