"""Owns the sheet of verdicts: one row a group, who leads it and whether the votes can tell."""

from leaderboard.sheet import Column, Sheet


def verdicts(study):
    """Each category (or what else the groups are): its votes, its first model, and the verdict."""
    word = study.by.replace("_", "-")
    columns = (
        Column(study.by, word, f"The {word} of the prompts."),
        Column("votes", "votes", f"Battles on prompts of this {word} that count.", "count"),
        Column(
            "verdict",
            "verdict",
            f"Which of the two best models is better, or a tie: they are tested against each other on this {word} alone "
            "(two-sided, 5%, Holm-corrected over the groups).",
        ),
        Column(
            "model", "first", f"The model with the highest rating among two or more established ones of this {word}."
        ),
        Column("rating", "its rating", f"From the votes of this {word} alone.", "points"),
        Column("rating_lower", "from", "Lower end of that rating's 95% interval.", "points"),
        Column("rating_upper", "to", "Upper end of that rating's 95% interval.", "points"),
    )
    rows = []
    for name, group in study.board.groups.items():
        rated = [row for row in group.standings if row.rating is not None and not row.preliminary]
        first = rated[0] if len(rated) > 1 else None  # alone, it would stand at 1000 by definition
        rows.append(
            {study.by: name, "votes": group.votes, "verdict": group.verdict, "battles": {study.by: name}}
            | {key: first and getattr(first, key) for key in ("model", "rating", "rating_lower", "rating_upper")}
        )
    return Sheet(
        "verdicts",
        f"Verdicts by {word}",
        "A tie means that the votes can't tell the two best apart, not that they are equal.",
        columns,
        tuple(rows),
    )
