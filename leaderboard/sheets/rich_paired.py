"""Owns the sheets of paired ratings: a board for each criterion, what explains the votes, and how far raters agree."""

from leaderboard.clusters import FEWEST_CLUSTERS
from leaderboard.columns import plural
from leaderboard.feedback_formats import CRITERIA
from leaderboard.sheet import Column, Sheet
from leaderboard.sheets.rich import notes_of


def _board(name, what):
    return (
        Column(name, name, f"Bradley-Terry rating {what}, on the Elo scale, mean 1000.", "points"),
        Column(f"{name}_lower", "from", f"Lower end of the {name} rating's 95% interval.", "points"),
        Column(f"{name}_upper", "to", f"Upper end of the {name} rating's 95% interval.", "points"),
        Column(f"{name}_rank", "rank", f"1 + the models whose {name} interval lies wholly above this one's.", "count"),
        Column(f"{name}_votes", "battles", f"Battles behind the {name} rating.", "count"),
    )


def criteria(study):
    """The overall board and a board for each criterion, side by side."""
    columns = [Column("model", "model", "The contender."), *_board("overall", "from all votes")]
    for name in CRITERIA:
        columns += _board(name, f"from battles whose images one voter rated both on {name}: higher wins, equal draws")
    tables = {"overall": study.by_bradley_terry, **{n: board.rows for n, board in study.rich.boards.items()}}
    rows = {}
    for name, table in tables.items():
        for line in table:
            row = rows.setdefault(line.model, {"model": line.model, "battles": {"model_a": line.model}})
            row |= {
                name: line.rating,
                f"{name}_lower": line.rating_lower,
                f"{name}_upper": line.rating_upper,
                f"{name}_rank": line.rank if line.rating is not None else None,
                f"{name}_votes": line.votes,
            }
    if not study.rich.boards:
        rows = {}
    notes = [*notes_of(study.rich)]
    if study.rich.boards:
        notes.append(
            "Equal ratings are frequent and draw models together, so compare orders between columns, not distances."
        )
        if any("prompt" not in board.clustered for board in study.rich.boards.values()):
            notes.append(
                f"With fewer than {FEWEST_CLUSTERS} prompts the intervals of the boards hold for these prompts; on others the "
                "order may differ."
            )
    caption = "The same models on the main board, and on boards where the rating of one criterion decides."
    return Sheet("criteria", "A board for each criterion", caption, tuple(columns), tuple(rows.values()), tuple(notes))


def explained(study):
    """Which criterion explains the votes."""
    columns = (
        Column("criterion", "criterion", "What was rated."),
        Column(
            "effect",
            "a point is worth",
            "In Elo points: what one point of rating more than the other image goes with in the vote, the other criteria "
            "and the side held equal.",
            "signed",
        ),
        Column("effect_lower", "from", "Lower end of the effect's 95% interval; votes of one voter, and on one prompt, are taken together.", "signed"),
        Column("effect_upper", "to", "Upper end of the effect's 95% interval.", "signed"),
        Column("p", "p", "Two-sided p-value of no effect.", "p"),
        Column("spread", "usual difference", "Standard deviation of the difference of two images' ratings.", "number"),
        Column("alone", "explains alone", "The share of the votes' deviance that this criterion explains by itself.", "share"),
        Column("adds", "adds", "The share that it explains beyond the other criteria.", "share"),
        Column("within", "within models", "The effect with the two models held equal, too: between images of one model.", "signed"),
        Column("within_lower", "from", "Lower end of its 95% interval.", "signed"),
        Column("within_upper", "to", "Upper end of its 95% interval.", "signed"),
    )  # fmt: skip
    found = study.rich.explained
    names = {"effect_lower": "lower", "effect_upper": "upper"}
    rows = tuple({c.key: getattr(effect, names.get(c.key, c.key)) for c in columns} for effect in found.effects)
    notes = list(notes_of(study.rich))
    if found.refused and study.rich.feedback.total:
        notes.append(f"Nothing can be said: {found.refused}.")
    elif rows:
        votes = f"{plural(found.votes, 'vote', 'votes')} by {plural(found.voters, 'voter', 'voters')}"
        notes.append(
            f"From {votes} with both images rated; all criteria together explain {found.share:.1%} of the deviance."
        )
        if found.apart:
            notes.append(
                f"Without {' and '.join(found.apart)}: too few voters rated it together with these, or no two images differed."
            )
        if found.right is not None:
            notes.append(f"They name the winner of {found.right:.1%} of the decided battles.")
        notes.append("Who gave the vote gave the ratings after it, so an effect is no proof of a cause.")
    caption = "A logistic regression of the vote, draws as half a win, on the differences of the ratings; the strongest first."
    return Sheet("explained", "Which criterion explains the votes", caption, columns, rows, tuple(notes))


def raters(study):
    """How far raters of the same image agree, by criterion."""
    columns = (
        Column("criterion", "criterion", "What was rated."),
        Column("ratings", "ratings", "One for each voter and image: a voter's first of it.", "count"),
        Column("images", "images", "Different images that were rated.", "count"),
        Column("voters", "voters", "Different voters who rated.", "count"),
        Column("shared", "shared images", "Images with two voters or more: only these show agreement.", "count"),
        Column("alpha", "alpha", "Krippendorff's alpha for ordered ratings: 1 is full agreement, 0 as by chance.", "number"),
        Column("alpha_lower", "from", "Lower end of alpha's 95% bootstrap interval over images, the voters staying.", "number"),
        Column("alpha_upper", "to", "Upper end of alpha's 95% bootstrap interval.", "number"),
    )  # fmt: skip
    names = {"alpha_lower": "lower", "alpha_upper": "upper"}
    rows = tuple({c.key: getattr(found, names.get(c.key, c.key)) for c in columns} for found in study.rich.agreement)
    caption = "Different voters' ratings of the same image."
    return Sheet("raters", "How far raters agree", caption, columns, rows, notes_of(study.rich))
