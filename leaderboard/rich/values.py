"""Owns what single rows of feedback are worth: each criterion's rating, the overall one, and whose a row is.

Overall is the mean of what a voter rated. Where a campaign asks voters for different criteria, such a mean would say who
was asked rather than what was seen, for some criteria are rated lower than others. There each rating counts less its
criterion's mean over all ratings, and the mean of those means is added again: x - m_c + m. Where everybody is asked the
same, that is the plain mean, and the plain mean it is.
"""

import numpy as np

from leaderboard.feedback_formats import CRITERIA
from leaderboard.rich.records import OVERALL


def values_of(feedback):
    """{criterion or "overall": float64 [n]}, NaN where not given."""
    found = {name: feedback.scores[:, at] for at, name in enumerate(CRITERIA)}
    given, scores = np.isfinite(feedback.scores), feedback.scores
    if asked_apart(feedback):
        mean = np.array([scores[part, at].mean() if part.any() else np.nan for at, part in enumerate(given.T)])
        scores = scores - mean + np.nanmean(mean)
    total = np.where(given, scores, 0.0).sum(axis=1)
    return found | {OVERALL: np.where(given.any(axis=1), total / np.maximum(given.sum(axis=1), 1), np.nan)}


def asked_apart(feedback):
    """Whether voters were asked for different criteria; who was asked for none is not counted."""
    rated = np.isfinite(feedback.scores).any(axis=1)
    names = [*feedback.asked.names, " ".join(CRITERIA)]  # a row that does not say was asked for all
    said = {frozenset(names[code].split()) & set(CRITERIA) for code in np.unique(feedback.asked.codes[rated]).tolist()}
    return len(said - {frozenset()}) > 1


def voters_of(feedback):
    """int64 [n]: each row's voter. One who is not known is another in every battle, and, where that is not known, in every
    row."""
    voter, battle = (column.codes.astype(np.int64) for column in (feedback.voter, feedback.battle))
    known, battles = len(feedback.voter.names), len(feedback.battle.names)
    alone = np.where(battle < 0, battles + np.arange(len(battle)), battle)
    return np.where(voter < 0, known + alone, voter)
