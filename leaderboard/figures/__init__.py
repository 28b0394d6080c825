"""Owns the table of figures, FIGURES: name -> a plotly figure of one sheet of a Study.

To add a figure, write the function in a module here and its row; the pages read the table. What a trace's `meta`
holds is in leaderboard.figures.parts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from leaderboard.figures.costs import pareto_memory, pareto_seconds
from leaderboard.figures.matrices import categories, pair_counts, win_fractions
from leaderboard.figures.ratings import history, ratings
from leaderboard.figures.voters import agreement, overlap


@dataclass(frozen=True)
class View:
    """A row of FIGURES: its heading, how to read it, the sheet that it shows, and (Study, Sheet) -> plotly Figure."""

    title: str
    caption: str
    sheet: str
    draw: Callable


FIGURES = {
    "ratings": View(
        "Ratings",
        "The dot is the rating, the bar its 95% interval; a hollow dot is preliminary. Where bars overlap, the votes "
        "do not yet tell the two apart.",
        "standings",
        ratings,
    ),
    "categories": View(
        "Win rates at a glance",
        "Percent of its battles in a category that the row's model took: blue above one half, brown below. Choose a "
        "cell to see its battles.",
        "categories",
        categories,
    ),
    "win-fractions": View(
        "Who beats whom",
        "Percent of their battles that the row's model took from the column's, which has the row's number; a draw is "
        "half. Choose a cell to see its battles.",
        "pairs",
        win_fractions,
    ),
    "pair-counts": View(
        "How often they met", "Battles of each two models: rows and columns alike.", "pairs", pair_counts
    ),
    "history": View(
        "Ratings over time",
        "A line is a model's rating from the votes until that day, the band its 95% interval; where there were few votes "
        "the bands may leave the picture. Choose a name to add or drop its line.",
        "history",
        history,
    ),
    "pareto-seconds": View(
        "Quality against speed",
        "Up is better, left is faster. On the dotted line, with filled dots, are the models that no other one beats in "
        "both.",
        "speed",
        pareto_seconds,
    ),
    "pareto-memory": View(
        "Quality against memory",
        "Up is better, left is smaller. On the dotted line, with filled dots, are the models that no other one beats in "
        "both.",
        "speed",
        pareto_memory,
    ),
    "agreement": View(
        "How far voters agree",
        "The dot is how often two voters judge a pair of images alike, the bar its 95% interval, the cross what chance "
        "alone would give.",
        "agreement",
        agreement,
    ),
    "overlap": View("Votes on one pair", "Agreement can be seen only where a pair has two votes or more.", "overlap", overlap),
}  # fmt: skip
