"""Owns the sheets of what to doubt: how fragile the order is, simple against detailed prompts, and the data's quality."""

from leaderboard.columns import plural
from leaderboard.sheet import Column, Sheet
from leaderboard.standings import VOTE_FLOOR

FRAGILITY = (
    Column("place", "place", f"By rating, among the models with {VOTE_FLOOR} votes or more and a finite rating.", "count"),
    Column("model", "model", "The contender."),
    Column("votes", "votes", "Battles of this model that count.", "count"),
    Column("votes_to_rise", "to rise", "The fewest votes found without which it would stand above a model that is "
           "above it now: those that hold the order up most, confirmed by a new fit without them.", "count"),
    Column("share_to_rise", "share", "Votes to rise, as a share of all votes that count.", "share"),
    Column("rises_above", "above", "The model that it would pass."),
    Column("removed_to_rise", "without", "Which votes: who met whom, and who won."),
    Column("votes_to_fall", "to fall", "The fewest votes found without which a model below it now would stand above "
           "it.", "count"),
    Column("share_to_fall", "share", "Votes to fall, as a share of all votes that count.", "share"),
    Column("falls_below", "below", "The model that would pass it."),
    Column("removed_to_fall", "without", "Which votes: who met whom, and who won."),
)  # fmt: skip


def fragility(study):
    """How few votes would have to be missing for each model's place to change, and for first place."""
    votes = {row.model: row.votes for row in study.board.standings}
    rows = [
        {"place": place.place, "model": model, "votes": votes[model], "battles": {"model_a": model}}
        | _change(place.rise, "to_rise", "rises_above", lambda change: change.over)
        | _change(place.fall, "to_fall", "falls_below", lambda change: change.model)
        for model, place in study.fragility.places.items()
    ]
    caption = (
        "How few votes would have to be missing for a place to change: the worst case, Bradley-Terry with draws as half "
        "wins. So many votes suffice; fewer are not ruled out."
    )
    return Sheet("fragility", "Fragility", caption, FRAGILITY, tuple(rows), _first(study.fragility.first))


def _change(change, way, other, model):
    if change is None:
        return {}
    return {f"votes_{way}": change.votes, f"share_{way}": change.share, f"removed_{way}": change.words(),
            other: model(change)}  # fmt: skip


def _first(change):
    if change is None:
        return ()
    unbounded = ", with no bound to the difference of the two," if change.unbounded else ""
    votes = plural(change.votes, "vote", "votes")
    return (f"Without {votes} ({change.share:.2%}) {change.model}{unbounded} would stand above {change.over} in first "
            f"place: {change.words()}.",)  # fmt: skip
