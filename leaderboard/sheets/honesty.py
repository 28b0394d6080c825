"""Owns the sheets of what to doubt: how fragile the order is, simple against detailed prompts, and the data's quality."""

from leaderboard.columns import plural
from leaderboard.complexity import DETAILED, LEVEL, SIMPLE
from leaderboard.sheet import Column, Sheet
from leaderboard.standings import VOTE_FLOOR

FRAGILITY = (
    Column("place", "place", f"By rating, among the models with {VOTE_FLOOR} votes or more and a finite rating.", "count"),
    Column("model", "model", "The contender."),
    Column("votes", "votes", "Battles of this model that count.", "count"),
    Column("votes_to_rise", "to rise", "The fewest votes found without which it would stand above a model that is "
           "above it now: those that hold the order up most, confirmed by a new fit without them.", "count"),
    Column("share_to_rise", "share", "Votes to rise, as a share of all votes that count.", "small share"),
    Column("rises_above", "above", "The model that it would pass."),
    Column("removed_to_rise", "without", "Which votes: who met whom, and who won."),
    Column("votes_to_fall", "to fall", "The fewest votes found without which a model below it now would stand above "
           "it.", "count"),
    Column("share_to_fall", "share", "Votes to fall, as a share of all votes that count.", "small share"),
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


COMPLEXITY = (
    Column("model", "model", f"The contender, where it has {VOTE_FLOOR} votes or more and a finite rating on both kinds "
           "of prompts."),
    Column("simplified", "simplified", "Rating from the votes on simplified prompts alone, where the mean of these "
           "models is 1000.", "points"),
    Column("complex", "complex", "Rating from the votes on complex prompts alone, from the same mean.", "points"),
    Column("difference", "difference", "How much better on complex prompts than on simplified ones, in Elo points.",
           "signed"),
    Column("lower", "from", "Lower end of the difference's 95% interval.", "signed"),
    Column("upper", "to", "Upper end of the difference's 95% interval.", "signed"),
    Column("p", "p", "Chance of such a difference where there is none, Holm-corrected over the models.", "p"),
    Column("verdict", "verdict", "On which prompts it does better against these models; p below 5%."),
)  # fmt: skip


def complexity(study):
    """Simplified against complex prompts: each model's rating from either, and the difference."""
    found = study.complexity
    caption = "Each model's rating from the votes on simplified and on complex prompts alone: Bradley-Terry."
    if found is None:
        return Sheet("complexity", "Simplified and complex prompts", caption, COMPLEXITY, (),
                     (f"The votes are not on both kinds of prompts: none is marked {SIMPLE}, or none {DETAILED}.",))  # fmt: skip
    rows = [
        {"model": row.model, "simplified": row.simple, "complex": row.detailed, "difference": row.difference,
         "lower": row.lower, "upper": row.upper, "p": row.p, "verdict": row.verdict, "battles": {"model_a": row.model}}
        for row in found.models
    ]  # fmt: skip
    return Sheet("complexity", "Simplified and complex prompts", caption, COMPLEXITY, tuple(rows), _both_kinds(found))


def _both_kinds(found):
    few, many = found.votes
    low, high = found.both_bad
    notes = [f"{plural(few, 'vote', 'votes')} on {SIMPLE} prompts, {many:,} on {DETAILED} ones."]
    if not found.models:
        notes.append(f"Fewer than two models have {VOTE_FLOOR} votes and a finite rating on both.")
    else:
        shown = sum(row.p < LEVEL for row in found.models)
        text = "No model is shown to differ" if not shown else f"{plural(shown, 'model differs', 'models differ')}"
        notes.append(f"{text} between the two (5%, Holm-corrected over {len(found.models)} models).")
    if found.correlation is not None:
        notes.append(f"The two orders' rank correlation (Spearman) is {found.correlation:.2f}.")
    more = (
        "no difference shown"
        if found.both_bad_p >= LEVEL
        else f"more often on {DETAILED if high > low else SIMPLE} ones"
    )
    p_value = "p < 0.001" if found.both_bad_p < 0.001 else f"p = {found.both_bad_p:.3f}"
    notes.append(f"Both images were judged bad in {low:.1%} of votes on {SIMPLE} prompts and {high:.1%} on {DETAILED} "
                 f"ones: {more} ({p_value}).")  # fmt: skip
    return tuple(notes)


QUALITY = (
    Column("measure", "measure", "What is measured, over the votes that count unless it says otherwise."),
    Column("value", "value", "Its value."),
    Column("warning", "warning", "Whether it is beyond the threshold that its reason states.", "flag"),
    Column("why", "why it matters", "What it means for reading the standings, and when it is a warning."),
)


def quality(study):
    """The data's quality: what was left out, what is missing, and how unevenly votes are spread."""
    rows = [
        {"measure": part.name, "value": part.value, "warning": part.warning, "why": part.why} for part in study.quality
    ]
    caption = (
        f"What these votes are, and are not: {plural(sum(row['warning'] for row in rows), 'warning', 'warnings')}."
    )
    return Sheet("quality", "Data quality", caption, QUALITY, tuple(rows), tuple(study.votes.notes))
