"""Owns the words that images miss: how many voters marked each word of a prompt, and which words a model misses most.

Whoever was asked and marked a word says that the image misses it; an empty answer says "no mistakes". Words are a
prompt's parts between white space; over prompts, a word is the same whatever its case and the marks around it.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard.intervals import wilson

PRIOR, PRIOR_DEGREES = 0.5, 4.0  # how alike answers on one image, or by one voter, are before anything is known
FEWEST_ASKED = 10  # with fewer answers nothing is said of a word over prompts


@dataclass(frozen=True)
class Word:
    """One word of an image's prompt: of `asked` voters `marked` did; `share` is their share with its 95% interval (for
    voters like these), `trusted` the share with voters weighing what they are trusted; `weighted` is what those who
    marked it are trusted, added up."""

    index: int
    text: str
    asked: int
    marked: int
    share: float | None
    lower: float | None
    upper: float | None
    trusted: float | None
    weighted: float


@dataclass(frozen=True)
class Missed:
    """A word over all prompts of a model: `answers` of voters asked about it in `images`, `marked` of them say it is
    missed; `share` with its 95% interval, `trusted` as in Word, `everybody` the share over all models."""

    model: str
    word: str
    images: int
    answers: int
    marked: int
    share: float
    lower: float
    upper: float
    trusted: float
    everybody: float


@dataclass(frozen=True)
class Answers:
    """What voters said of every word that they were asked about, N in all: `row` into the feedback, `word` into `texts`
    (all different, normalised), `marked` 0 or 1 and `weight`, each [N]."""

    row: np.ndarray
    word: np.ndarray
    marked: np.ndarray
    weight: np.ndarray
    texts: tuple


def normal(word):
    """A word without the marks around it and without its case; '' where nothing is left."""
    first, last = 0, len(word)
    while first < last and not word[first].isalnum():
        first += 1
    while last > first and not word[last - 1].isalnum():
        last -= 1
    return word[first:last].casefold()


def of_image(prompt, feedback, asked, marks, weight, trust):
    """The Words of one image, from the rows that were `asked` about it, whose marks are numbers `marks` of
    `feedback.words`; `weight` and `trust` [n] are of all feedback. Empty where the prompt is not known."""
    row, index = feedback.words.row[marks], feedback.words.value[marks]
    once = np.unique(np.stack([row, index]), axis=1) if len(row) else np.empty((2, 0), np.int64)
    row, index = once
    texts = prompt.split()
    voters = float(weight[asked].sum())
    size = voters**2 / max(float((weight[asked] ** 2).sum()), 1e-300)
    trusted = weight * trust
    plain, heavy = (np.bincount(index, part[row], len(texts)) for part in (weight, trusted))
    counted = np.bincount(index, minlength=len(texts))
    found = []
    total = float(trusted[asked].sum())
    for at, text in enumerate(texts):
        share = min(float(plain[at]) / voters, 1.0) if voters else None
        ends = wilson(share * size, size) if voters else (None, None)
        heavily = float(heavy[at]) / total if total else None
        found.append(Word(at, text, len(asked), int(counted[at]), share, *ends, heavily, float(heavy[at])))
    return tuple(found)


def answers(feedback, weight):
    """The Answers of Feedback whose rows weigh `weight` [n]."""
    place, tokens = {}, []
    for prompt in feedback.prompt.names:
        words = [normal(word) for word in prompt.split()]
        tokens.append(np.array([place.setdefault(word, len(place)) if word else -1 for word in words], np.int64))
    asked = np.flatnonzero(feedback.words.asked & (feedback.prompt.codes >= 0))
    codes = feedback.prompt.codes[asked]
    lengths = np.array([len(words) for words in tokens], np.int64)[codes] if len(asked) else np.empty(0, np.int64)
    starts = np.full(len(feedback), -1, np.int64)
    starts[asked] = np.cumsum(lengths) - lengths
    word = np.concatenate([tokens[code] for code in codes]) if len(asked) else np.empty(0, np.int64)
    marked = np.zeros(len(word))
    known = starts[feedback.words.row] >= 0
    marked[starts[feedback.words.row[known]] + feedback.words.value[known]] = 1.0
    row = np.repeat(asked, lengths)
    real = word >= 0
    # A word that a prompt has twice is missed where either is marked: one answer.
    key, owner = np.unique(row[real] * (len(place) + 1) + word[real], return_inverse=True)
    said = np.bincount(owner, marked[real], len(key)) > 0
    row, word = np.divmod(key, len(place) + 1)
    return Answers(row, word, said.astype(float), weight[row], tuple(place))


def missed(feedback, weight, trust, voter, fewest=FEWEST_ASKED):
    """The Missed words of every model, those with at least `fewest` answers: the surest first, by the lower ends of the
    shares' intervals.

    The interval is Wilson's with n / d answers in place of n: d = 1 + (sum n_i^2 / n - 1) r_i + (sum n_v^2 / n - 1) r_v
    is the design effect (Kish 1965), as answers on one image i or by one voter v are alike. r_i and r_v are intraclass
    correlations by analysis of variance, over all words and models together (Donner & Koval 1980). So it speaks of
    images and voters like these.
    """
    found = answers(feedback, weight)
    words = len(found.texts)
    if not len(found.row):
        return ()
    key, group = np.unique(feedback.model.codes[found.row].astype(np.int64) * words + found.word, return_inverse=True)
    units = [codes[found.row] for codes in (feedback.image.codes, voter)]
    alike = [_correlation(found, group, unit) for unit in units]
    total, part = np.bincount(group, found.weight), np.bincount(group, found.weight * found.marked)
    effect = np.ones(len(key))
    for unit, correlation in zip(units, alike, strict=True):
        effect += (_sizes(found, group, unit) / total - 1.0) * correlation
    heavy = found.weight * trust[found.row]
    trusted = np.bincount(group, heavy * found.marked) / np.maximum(np.bincount(group, heavy), 1e-300)
    everybody = np.bincount(found.word, found.weight * found.marked, words) / np.maximum(
        np.bincount(found.word, found.weight, words), 1e-300
    )
    cells = _cells(group, units[0])[0]
    images, said = np.bincount(cells), np.bincount(group, found.marked).astype(int)
    counted = np.bincount(group)
    rows = []
    for at in np.flatnonzero(counted >= fewest).tolist():
        size = float(total[at] / max(effect[at], 1.0))
        share = min(float(part[at] / total[at]), 1.0)
        model, word = divmod(int(key[at]), words)
        rows.append(Missed(feedback.model.names[model], found.texts[word], int(images[at]), int(counted[at]),
                           int(said[at]), share, *wilson(share * size, size), float(trusted[at]),
                           float(everybody[word])))  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (-row.lower, -row.share, -row.answers, row.word)))


def _sizes(found, group, unit):
    """Per group the sum of the squared weights of its units."""
    owner, place = _cells(group, unit)
    return np.bincount(owner, np.bincount(place, found.weight) ** 2, int(group.max()) + 1)


def _cells(group, unit):
    """(int64 [c], int64 [n]): the group of every different pair of group and unit, and each row's place among them."""
    several = int(unit.max(initial=0)) + 1  # one number a pair sorts far faster than rows of two
    key, place = np.unique(group.astype(np.int64) * several + unit, return_inverse=True)
    return key // several, place


def _correlation(found, group, unit):
    """The intraclass correlation of answers on one unit within groups, by one-way analysis of variance, in [0, 1]; few
    units may look unlike each other or alike by luck, so that it counts beside PRIOR_DEGREES of a correlation PRIOR."""
    owner, place = _cells(group, unit)
    groups = int(group.max()) + 1
    size, right = np.bincount(place, found.weight), np.bincount(place, found.weight * found.marked)
    whole = np.bincount(owner, size, groups)
    mean, share = np.bincount(owner, right, groups) / whole, right / size
    between = float(size @ (share - mean[owner]) ** 2)
    within = float(size @ (share * (1.0 - share)))
    between_degrees = float(len(size) - groups)
    within_degrees = float(size.sum() - len(size))
    if between_degrees <= 0 or within_degrees <= 0:
        return PRIOR if within_degrees > 0 else 1.0
    usual = (size.sum() - float((np.bincount(owner, size**2, groups) / whole).sum())) / between_degrees
    between, within = between / between_degrees, within / within_degrees
    below = between + (usual - 1.0) * within
    found = float(np.clip((between - within) / below, 0.0, 1.0)) if below > 0 else 0.0
    return (between_degrees * found + PRIOR_DEGREES * PRIOR) / (between_degrees + PRIOR_DEGREES)
