"""Owns the sheets of uncertainty: every interval of every model side by side, and the groups that can't be rated with
the others."""

from leaderboard.columns import plural
from leaderboard.likelihood import FEW_BATTLES
from leaderboard.sequence import TUNED_FOR
from leaderboard.sheet import Column, Sheet

TOGETHER = {(): "each vote alone", ("prompt",): "prompt", ("voter",): "voter", ("prompt", "voter"): "prompt and voter"}


def intervals(study):
    """The interval that the standings show, the bootstrap's, and the one for a board that is watched."""
    columns = (
        Column("model", "model", "The contender; a variant of a model is another model."),
        Column("votes", "votes", "Battles of this model that count.", "count"),
        Column("rating", "rating", "On the Elo scale, as in the standings.", "points"),
        Column("lower", "from", "Lower end of the 95% interval that the standings show.", "points"),
        Column("upper", "to", "Upper end of the 95% interval that the standings show.", "points"),
        Column(
            "made",
            "made by",
            "How that interval was made: a sandwich (robust) variance; from the likelihood ratio where Bradley-Terry has "
            f"fewer than {FEW_BATTLES} battles; or replays of the votes for Elo.",
        ),
        Column("together", "together", "Which votes were taken together because they share a prompt or a voter."),
        Column(
            "bootstrap_lower", "bootstrap from", "Lower end of the 95% interval from resampled votes; none if it has no end.", "points"
        ),
        Column("bootstrap_upper", "bootstrap to", "Upper end of the same.", "points"),
        Column("ratio", "ratio", "Width of the bootstrap's interval over that of the one shown; 1 where they agree.", "number"),
        Column("differs", "differs", "The two widths differ by more than 20%: trust the wider one.", "flag"),
        Column(
            "anytime_lower",
            "anytime from",
            "Lower end of a 95% confidence sequence: it holds at all moments at once, for who watches the board grow and "
            f"stops when it pleases. From {FEW_BATTLES} battles on; narrowest at {TUNED_FOR}.",
            "points",
        ),
        Column("anytime_upper", "anytime to", "Upper end of the same.", "points"),
    )  # fmt: skip
    audit = study.audit
    rows = []
    for row in audit.table.rows:
        found = {
            "model": row.model,
            "votes": row.votes,
            "rating": row.rating,
            "lower": row.rating_lower,
            "upper": row.rating_upper,
            "battles": {"model_a": row.model},
        }
        if row.rating is not None:
            found["made"] = audit.table.kinds[row.model]
            found["together"] = TOGETHER[audit.table.clustered]
            found["anytime_lower"], found["anytime_upper"] = audit.table.anytime.get(row.model, (None, None))
        if checked := audit.checked.get(row.model):
            found |= {
                "bootstrap_lower": checked.lower,
                "bootstrap_upper": checked.upper,
                "ratio": checked.ratio,
                "differs": checked.differs,
            }
        rows.append(found)
    return Sheet(
        "intervals",
        "Intervals",
        f"Every 95% interval of {study.method} side by side.",
        columns,
        tuple(rows),
        tuple(_notes(audit, study.method)),
    )


def _notes(audit, method):
    if not audit.checked:
        yield f"There is no bootstrap of {method} to compare with."
        return
    yield f"The bootstrap fitted {audit.draws:,} resamples."
    if audit.unbounded:
        yield (
            f"In {plural(audit.unbounded, 'resample', 'resamples')} some model had no finite rating: it counts there as "
            "infinitely high or low."
        )
    if differing := [model for model, checked in audit.checked.items() if checked.differs]:
        yield f"The intervals of these models differ by more than 20% in width: {', '.join(differing)}."


def components(study):
    """Groups whose members scored against one another, but not against the models of the main rating."""
    columns = (
        Column("group", "group", "Groups by size; ratings of different groups can't be compared.", "count"),
        Column("model", "model", "The contender."),
        Column("rating", "rating", "Points above the mean of its group, weighted by battles: no rating of the board.", "signed"),
        Column("lower", "from", "Lower end of its 95% interval.", "signed"),
        Column("upper", "to", "Upper end of its 95% interval.", "signed"),
        Column("votes", "votes", "Battles within the group.", "count"),
    )  # fmt: skip
    rows = [
        {"group": number, "model": model, "rating": rating, "lower": lower, "upper": upper, "votes": group.battles}
        for number, group in enumerate(study.audit.table.components, 1)
        for model, rating, lower, upper in zip(group.models, group.rating, group.lower, group.upper, strict=True)
    ]
    notes = () if rows else ("Every model that can be compared with another one is in the main rating.",)
    return Sheet(
        "components",
        "Groups apart",
        "Models without a rating on the board, rated within the group that they can be compared with. Preliminary.",
        columns,
        tuple(rows),
        notes,
    )
