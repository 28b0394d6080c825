"""Owns the sheets of the controlled standings: the models, and what each covariate is worth."""

from leaderboard.columns import plural
from leaderboard.controls import POSITION
from leaderboard.covariates import COVARIATES
from leaderboard.sheet import Column, Sheet

MODELS = (
    Column("controlled_rank", "rank", "Its rank by the controlled ratings: 1 + the models surely above it.", "count"),
    Column("model", "model", "The contender."),
    Column("votes", "votes", "Its battles of which both images could be measured.", "count"),
    Column("rating", "plain", "Its Bradley-Terry rating from these same votes, as on the board.", "points"),
    Column("controlled", "controlled", "Its rating at equal covariates: two images as bright, as sharp, ...", "points"),
    Column("controlled_lower", "from", "Lower end of the controlled rating's 95% interval.", "points"),
    Column("controlled_upper", "to", "Upper end of the controlled rating's 95% interval.", "points"),
    Column("change", "change", "Controlled less plain: what its look gave it is taken away.", "signed"),
    Column("rank", "plain rank", "Its rank by the plain ratings of these votes.", "count"),
)
EFFECTS = (
    Column("covariate", "covariate", "Measured on both images: a's less b's. "
           + "; ".join(f"{name}: {meaning}" for name, meaning in COVARIATES.items())
           + f"; {POSITION}: to stand on side a."),
    Column("effect", "effect", "Elo points for one standard deviation more than the other image has, all else equal; "
           f"for {POSITION}, for standing on side a.", "signed"),
    Column("lower", "from", "Lower end of the effect's 95% interval.", "signed"),
    Column("upper", "to", "Upper end of the effect's 95% interval.", "signed"),
    Column("p", "p", "Two-sided p-value of no effect, for this covariate alone.", "p"),
    Column("votes", "votes", "Votes from which it is estimated.", "count"),
)  # fmt: skip


def controlled(study):
    """The models by controlled rating."""
    rows = tuple({column.key: getattr(row, column.key) for column in MODELS} for row in study.controlled.rows)
    rows = tuple(row | {"battles": {"model_a": row["model"]}} for row in rows)
    return Sheet(
        "controlled",
        "Controlled for the look",
        "Who would be ahead if both images were equally bright, sharp and so on (see the effects). It does not say "
        "which model is better: a sharp or rich image may be sharp because the model is good, and to control for that "
        "takes a part of its quality away. A large change asks for a closer look, no more.",
        MODELS,
        rows,
        _notes(study),
    )


def controls(study):
    """What each covariate is worth to a voter."""
    rows = tuple({column.key: getattr(row, column.key) for column in EFFECTS} for row in study.controlled.effects)
    return Sheet(
        "controls",
        "What voters lean to",
        "How much a brighter or sharper image is preferred between the same two models. It is what goes along with "
        "the votes, not what causes them.",
        EFFECTS,
        rows,
        _notes(study),
    )


def _notes(study):
    found = study.controlled
    notes = [f"{plural(count, 'vote', 'votes')} {why}: not used here." for why, count in found.without.items()]
    notes += [f"Left out: {name}, because {why}." for name, why in found.refused.items()]
    if len(study.votes) and not found.rows:
        notes.append("No covariate of the images could be used.")
    if found.ways:
        notes.append(f"Intervals take votes by one {' and by one '.join(found.ways)} together.")
    return tuple(notes)
