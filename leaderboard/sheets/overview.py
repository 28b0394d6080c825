"""Owns the first sheets: the standings, the groups and the pairs of a board."""

from leaderboard.sheet import Column, Sheet
from leaderboard.standings import VOTE_FLOOR

RANK = Column("rank", "rank", "1 + the number of models whose 95% interval lies wholly above this one's.", "count")
STANDING = (
    RANK,
    Column(
        "rank_lower", "best rank", "The best rank it may have, with 95% confidence for all models at once.", "count"
    ),
    Column(
        "rank_upper", "worst rank", "The worst rank it may have, with 95% confidence for all models at once.", "count"
    ),
    Column("model", "model", "The contender; a variant of a model is another model."),
    Column(
        "rating",
        "rating",
        "On the Elo scale: 400 points more are odds of 10 to 1. The established models' mean, weighted by votes, is 1000.",
        "points",
    ),
    Column("rating_lower", "from", "Lower end of the rating's 95% interval.", "points"),
    Column("rating_upper", "to", "Upper end of the rating's 95% interval.", "points"),
    Column(
        "elo", "Elo", "The online ticker: one update a vote, K = 4, from 1000. Depends on the order of votes.", "points"
    ),
    Column("votes", "votes", "Battles of this model that count.", "count"),
    Column("wins", "won", "Battles in which its image was judged better.", "count"),
    Column("losses", "lost", "Battles in which the other image was judged better.", "count"),
    Column("both_good", "both good", "Draws: both images judged good.", "count"),
    Column("both_bad", "both bad", "Draws: both images judged bad.", "count"),
    Column("win_rate", "win rate", "(Wins + half the draws) / votes, against whomever it met.", "share"),
    Column("acceptability", "acceptable", "The share of its battles that were not judged both bad.", "share"),
    Column("preliminary", "preliminary", f"Fewer than {VOTE_FLOOR} votes, or no finite rating yet.", "flag"),
)


def standings(study):
    """The overall standings, best first."""
    rows = [{column.key: getattr(row, column.key) for column in STANDING} for row in study.board.standings]
    rows = [row | {"battles": {"model_a": row["model"]}} for row in rows]
    return Sheet(
        "standings", "Standings", f"All counted votes, {study.method}.", STANDING, tuple(rows), study.board.notes
    )


def categories(study):
    """Every group's standings in one long table, its verdict beside each."""
    word = study.by.replace("_", "-")
    columns = (
        Column(study.by, word, f"The {word} of the prompts."),
        Column("verdict", "verdict", "Which of the two best is better, or a tie: two-sided 5%, Holm-corrected over the groups."),
        *STANDING,
    )  # fmt: skip
    rows = [
        {study.by: name, "verdict": group.verdict, "battles": {"model_a": row.model, study.by: name}}
        | {column.key: getattr(row, column.key) for column in STANDING}
        for name, group in study.board.groups.items()
        for row in group.standings
    ]
    return Sheet("categories", f"By {word}", f"Standings from the votes of one {word} alone.", columns, tuple(rows))


def pairs(study):
    """Head to head: every two models that met."""
    columns = (
        Column("model_a", "model", "The one that stands higher in the standings."),
        Column("model_b", "against", "The other one."),
        Column("votes", "votes", "Battles between the two.", "count"),
        Column("win_rate_a", "share", "(Wins + half the draws) of the first, as a share of these battles.", "share"),
        Column("lower", "from", "Lower end of the share's 95% Wilson interval.", "share"),
        Column("upper", "to", "Upper end of the share's 95% Wilson interval.", "share"),
    )
    rows = [
        {column.key: getattr(pair, column.key) for column in columns}
        | {"battles": {"model_a": pair.model_a, "model_b": pair.model_b}}
        for pair in study.board.pairs
    ]
    return Sheet("pairs", "Head to head", "Every two models that met; draws count half.", columns, tuple(rows))
