"""Owns the sheet of sampling: the board as served beside the one whose votes weigh as if all pairs counted alike."""

from leaderboard.columns import plural
from leaderboard.sampling import MOST, moved, settled
from leaderboard.sheet import Column, Sheet

COLUMNS = (
    Column("model", "model", "The contender."),
    Column("votes", "votes", "Battles of this model that count, in both boards.", "count"),
    Column(
        "effective",
        "worth",
        "How many votes of equal weight its reweighted votes are worth (Kish): (sum of weights)^2 / sum of their squares.",
        "count",
    ),
    Column("rating", "rating", "As served: every vote counts alike.", "points"),
    Column("reweighted", "reweighted", "Every vote weighs 1 / pair_probability, and one that settled a disagreement 0: as pairs "
           "drawn alike, and voted on alike, would give.", "points"),
    Column("reweighted_lower", "from", "Lower end of the reweighted rating's 95% interval.", "points"),
    Column("reweighted_upper", "to", "Upper end of the reweighted rating's 95% interval.", "points"),
    Column("change", "change", "The reweighted rating less the one as served.", "signed"),
    Column("change_lower", "from", "Lower end of the change's own 95% interval: both ratings come from the same votes.", "signed"),
    Column("change_upper", "to", "Upper end of the change's 95% interval.", "signed"),
    Column("p", "p", "Of no change but by chance, two-sided, Holm-corrected over the models.", "p"),
    Column("win_rate", "win rate", "As served: wins and half the draws, of all votes.", "share"),
    Column("reweighted_win_rate", "reweighted win rate", "The same of the votes' weights: against opponents drawn alike.", "share"),
    Column("rank", "rank", "As served.", "count"),
    Column("reweighted_rank", "reweighted rank", "On the reweighted board; wider intervals alone can change it.", "count"),
)  # fmt: skip


def sampling(study):
    """The standings with every vote counting alike, and with votes weighed so that every pair does."""
    found = study.sampled
    title = "Pairs as they were served, and as if drawn alike"
    if found is None:
        rows = [
            {"model": row.model, "votes": row.votes, "rating": row.rating, "win_rate": row.win_rate, "rank": row.rank,
             "battles": {"model_a": row.model}}
            for row in study.board.standings
        ]  # fmt: skip
        caption = "No vote has a pair_probability, so nothing can be said of how pairs were drawn."
        return Sheet("sampling", title, caption, COLUMNS, tuple(rows))
    after = {row.model: row for row in found.reweighted.rows}
    rows = []
    for row in found.served.rows:
        other, change = after[row.model], found.changes.get(row.model)
        rows.append({
            "model": row.model,
            "votes": row.votes,
            "effective": round(found.effective[row.model]),
            "rating": row.rating,
            "reweighted": other.rating,
            "reweighted_lower": other.rating_lower,
            "reweighted_upper": other.rating_upper,
            "change": change and change.points,
            "change_lower": change and change.lower,
            "change_upper": change and change.upper,
            "p": change and change.p,
            "win_rate": row.win_rate,
            "reweighted_win_rate": other.win_rate,
            "rank": row.rank,
            "reweighted_rank": other.rank,
            "battles": {"model_a": row.model},
        })  # fmt: skip
    caption = f"Ratings by {found.method}. A vote's pair_probability is how likely its pair of models was drawn."
    if found.drawn.settling:
        caption += (
            " Votes settle a disagreement where voters are asked because earlier ones differed on the two images."
        )
    return Sheet("sampling", title, caption, COLUMNS, tuple(rows), _notes(found))


def _notes(found):
    drawn, votes = found.drawn, len(found.drawn.weight)
    notes = []
    if not drawn.known:
        notes.append("No vote has a pair_probability.")
    elif not drawn.varies:
        notes.append(f"pair_probability is {drawn.highest:.2%} for every vote: pairs were drawn alike.")
    else:
        notes.append(f"pair_probability is {drawn.lowest:.2%} to {drawn.highest:.2%}.")
        if drawn.alike:
            notes.append(
                "Each is 1 / a whole number, as where pairs are drawn alike from those that could be shown. The weights "
                "then count every pair that was offered once, not every battle."
            )
    if votes > drawn.known > 0:
        notes.append(f"{plural(votes - drawn.known, 'vote has', 'votes have')} no pair_probability and weigh 1.")
    if drawn.settling:
        notes.append(settled(drawn).strip())
    clipped = (
        f" and are clipped at {MOST:g} times the mean: {plural(drawn.clipped, 'vote', 'votes')} "
        f"({drawn.clipped / drawn.known:.1%})"
        if drawn.known
        else ""
    )
    notes.append(
        f"Weights have the mean 1{clipped}. Reweighted, {plural(votes, 'vote is', 'votes are')} worth "
        f"{drawn.effective:,.0f} of equal weight."
    )
    ranks, sure = moved(found)
    if drawn.varies or drawn.settling:
        notes.append(
            "More than chance explains: "
            + ", ".join(f"{name} {found.changes[name].points:+.0f}" for name in sure)
            + "."
            if sure
            else "No rating moves by more than chance explains."
        )
        notes.append(f"{plural(len(ranks), 'rank differs', 'ranks differ')} between the two boards.")
    notes.append(
        "While scores follow the model, the ratings as served are right and narrower; where some models suit others ill, "
        "they are averages over the opponents met, and the reweighted ones over opponents drawn alike."
    )
    if drawn.settling:
        notes.append(
            "Where images of a model are unlike each other, further votes on near pairs draw the ratings as served "
            "together; the reweighted ones are unbiased, for wider intervals."
        )
    return tuple(notes)
