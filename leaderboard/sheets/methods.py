"""Owns the sheets of how the ratings are made: the methods side by side, and the side effect of position."""

import math

from leaderboard.methods import concordance
from leaderboard.position import note
from leaderboard.ratings import METHODS, SCALES
from leaderboard.sheet import Column, Sheet

TITLES = {
    "bradley-terry": "Bradley-Terry",
    "elo": "Elo",
    "davidson": "Davidson",
    "win-rate": "win rate",
    "bar": "with a bar",
}


def methods(study):
    """Every method's rating of every model, each on its own scale."""
    columns = [Column("model", "model", "The contender."), Column("votes", "votes", "Battles that count.", "count")]
    for name in METHODS:
        title = TITLES.get(name, name)
        columns += [
            Column(name, title, f"{SCALES[name]} The established models' mean is 1000.", "points"),
            Column(f"{name}_rank", "place", f"Place by the rating of {title} alone, ties sharing the better.", "count"),
        ]
    rows = []
    for row in study.board.standings:
        cells = {"model": row.model, "votes": row.votes, "battles": {"model_a": row.model}}
        for name, view in study.methods.items():
            at = view.models.index(row.model)
            cells[name], cells[f"{name}_rank"] = known(view.rating[at]), int(view.place[at]) or None
        rows.append(cells)
    caption = (
        "What each method says of the same votes. Points of two methods are odds of different things: compare places."
    )
    return Sheet("methods", "Methods", caption, tuple(columns), tuple(rows), _notes(study.methods))


def _notes(views):
    found = [f"{TITLES.get(name, name)}: {view.scale}" for name, view in views.items()]
    first, *others = views.values()
    agreement = [(TITLES.get(view.method, view.method), concordance(first, view)) for view in others]
    shared = ", ".join(f"{title} {tau:.2f}" for title, tau in agreement if tau is not None)
    if shared:
        found.append(f"Order, against that of {TITLES[first.method]} (Kendall's tau, 1 for the same): {shared}.")
    for view in views.values():
        if view.draw is not None:
            found.append(f"Davidson: two equal models draw {view.draw:.1%} of their battles.")
        if view.bar is not None:
            middle, low, high = view.bar
            found.append(
                f"The bar is at {middle:.0f} (95% interval {low:.0f} to {high:.0f}): draws between two images of models "
                "rated so high are as often both good as both bad, and more often both good above it."
            )
        if view.remark:
            found.append(view.remark)
    return tuple(found)


POSITION = (
    Column("model", "model", "The contender."),
    Column("share_left", "on side a", "The share of its battles in which it stood on side a (shown first).", "share"),
    Column("rating", "rating", "Bradley-Terry without regard to sides, draws as half wins.", "points"),
    Column(
        "rating_position", "side fitted", "Bradley-Terry with what the side is worth as a further parameter.", "points"
    ),
    Column("change", "change", "What fitting the side changes in its rating.", "signed"),
)


def position(study):
    """What standing on one side is worth, and what fitting it changes."""
    found = study.position
    rows = []
    for row in study.board.standings:
        at = found.models.index(row.model)
        plain, fitted = known(found.without[at]), known(found.fitted[at])
        rows.append(
            {
                "model": row.model,
                "share_left": known(found.left[at]),
                "rating": plain,
                "rating_position": fitted,
                "change": None if plain is None or fitted is None else fitted - plain,
                "battles": {"model_a": row.model},
            }
        )
    text = note(found)
    caption = "Ratings without and with the side effect fitted, the established models' mean at 1000 in both."
    return Sheet("position", "Position", caption, POSITION, tuple(rows), (text,) if text else ())


def known(number):
    """The number as a cell: None where there is none."""
    return float(number) if math.isfinite(number) else None
