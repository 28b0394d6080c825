"""Owns the table of rating methods, METHODS: name -> a function of (votes, pairs) that returns Ratings.

Ratings are in Elo points, but odds of what differs: SCALES says it for each method, and ratings of two methods are
never compared or averaged. To add a method, write its module here and its rows in METHODS and SCALES; its intervals
follow from its Estimate. The command line, the page and the contract tests read the tables.
"""

from leaderboard.ratings.bar import bar
from leaderboard.ratings.base import (
    APART,
    CENTRE,
    RATED,
    SCALE,
    SCORES,
    UNBEATEN,
    UNSETTLED,
    WINLESS,
    Estimate,
    Ratings,
    anchor_weights,
    anchored,
    core,
    reachable,
)
from leaderboard.ratings.bradley_terry import bradley_terry, fisher, fit
from leaderboard.ratings.davidson import davidson
from leaderboard.ratings.elo import ELO_K, elo, elo_online
from leaderboard.ratings.win_rate import win_rate

__all__ = [
    "APART",
    "CENTRE",
    "ELO_K",
    "METHODS",
    "RATED",
    "SCALE",
    "SCALES",
    "SCORES",
    "UNBEATEN",
    "UNSETTLED",
    "WINLESS",
    "Estimate",
    "Ratings",
    "anchor_weights",
    "anchored",
    "bradley_terry",
    "core",
    "elo",
    "elo_online",
    "fisher",
    "fit",
    "reachable",
]

METHODS = {
    "bradley-terry": bradley_terry,
    "elo": elo,
    "davidson": davidson,
    "win-rate": win_rate,
    "bar": bar,
}

SCALES = {
    "bradley-terry": "A draw, both good or both bad, counts as half a win for each model; 400 points more are an "
    "expected score of 10 to 1.",
    "elo": "A draw, both good or both bad, counts as half a win for each model; 400 points more are an expected score "
    "of 10 to 1, as far as the updates have come.",
    "davidson": "A draw, both good or both bad, is a third outcome; 400 points more are odds of 10 to 1 among the "
    "votes that choose, so the scale is wider than with draws as half wins and not to be compared with it.",
    "win-rate": "A draw counts as half a win; a rating is the log odds of a model's share against each rated model "
    "that it met, averaged over them: 400 points more are odds of 10 to 1 against one's own opponents, not against "
    "each other.",
    "bar": "A draw is a verdict of both images against a bar, both good above it and both bad below; 400 points more "
    "are odds of 10 to 1 among the votes that choose, so the scale is wider than with draws as half wins and not to "
    "be compared with it.",
}
