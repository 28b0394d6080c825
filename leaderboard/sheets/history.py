"""Owns the sheet of the standings over time."""

from leaderboard.columns import plural
from leaderboard.sheet import Column, Sheet

COLUMNS = (
    Column("date", "until", "The day (or moment, UTC) up to which votes count; each row counts all votes so far."),
    Column("model", "model", "The contender."),
    Column("rank", "rank", "Its rank on that date, by the same rule as on the board.", "count"),
    Column("rating", "rating", "Its rating from all votes cast until then, anchored as the board is.", "points"),
    Column("rating_lower", "from", "Lower end of the rating's 95% interval on that date.", "points"),
    Column("rating_upper", "to", "Upper end of the rating's 95% interval on that date.", "points"),
    Column("votes", "votes", "Battles of this model until then.", "count"),
)


def history(study):
    """Every model's standing at every date, oldest first."""
    found = study.history
    rows = [
        {"date": date} | {column.key: getattr(row, column.key) for column in COLUMNS[1:]}
        for date, ranked in zip(found.dates(), found.tables, strict=True)
        for row in ranked.rows
    ]
    notes = []
    if not found.moments and found.untimed:
        notes.append("No vote has a time, so there is nothing to show over time.")
    elif found.untimed:
        notes.append(
            f"{plural(found.untimed, 'vote has', 'votes have')} no time and count together with the vote before."
        )
    if found.method != study.method:
        notes.append(f"By {found.method}: the intervals of {study.method} are too slow to repeat at every date.")
    return Sheet(
        "history",
        "Over time",
        "The standings as they stood at each date. A rating also moves when stronger or weaker models join, "
        "because the mean of the established models is always 1000.",
        COLUMNS,
        tuple(rows),
        tuple(notes),
    )
