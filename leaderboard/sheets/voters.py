"""Owns the sheets on voters: agreement, overlap, the voters' table, and the board weighted by trust."""

from leaderboard.agreement import overlap as overlap_of
from leaderboard.columns import plural
from leaderboard.sheet import Column, Sheet
from leaderboard.trust import FLOOR

AGREEMENT = (
    Column("votes", "votes", "Votes whose pair of images is known, one a voter and pair.", "count"),
    Column("pairs", "pairs", "Different pairs of images among them.", "count"),
    Column("overlap_pairs", "shared pairs", "Pairs with two voters or more: only these show agreement.", "count"),
    Column("mean_votes", "votes a pair", "Votes / pairs.", "number"),
    Column(
        "agreement",
        "agreement",
        "The chance that two different voters of a pair chose the same of four outcomes; each shared pair weighs equally.",
        "share",
    ),
    Column("agreement_lower", "from", "Lower end of the agreement's 95% interval; pairs are taken as independent.", "share"),
    Column("agreement_upper", "to", "Upper end of the agreement's 95% interval.", "share"),
    Column(
        "chance",
        "by chance",
        "The agreement of voters who choose as often as these do, but without looking at the pair.",
        "share",
    ),
    Column(
        "alpha",
        "alpha",
        "Krippendorff's alpha, nominal, over four outcomes: 1 is full agreement, 0 no more than by chance.",
        "number",
    ),
    Column("alpha_lower", "from", "Lower end of alpha's 95% bootstrap interval over pairs.", "number"),
    Column("alpha_upper", "to", "Upper end of alpha's 95% bootstrap interval over pairs.", "number"),
    Column(
        "first_agreement",
        "first two",
        "How often the first two voters of a pair, by time, chose the same: right whatever decided who came after them.",
        "share",
    ),
    Column("first_agreement_lower", "from", "Lower end of its 95% interval.", "share"),
    Column("first_agreement_upper", "to", "Upper end of its 95% interval.", "share"),
    Column("first_alpha", "their alpha", "Krippendorff's alpha of the first two voters of each pair.", "number"),
    Column("first_alpha_lower", "from", "Lower end of its 95% bootstrap interval.", "number"),
    Column("first_alpha_upper", "to", "Upper end of its 95% bootstrap interval.", "number"),
)  # fmt: skip
OVERLAP = (
    Column("votes_per_pair", "voters of a pair", "How many different voters voted on the same two images.", "count"),
    Column("pairs", "pairs", "Pairs of images with so many voters.", "count"),
    Column("votes", "votes", "The votes on these pairs.", "count"),
)
VOTERS = (
    Column("name", "voter", "Who signed in and agreed to be named; all others are in one line."),
    Column("votes", "votes", "Votes that count.", "count"),
    Column("share", "share", "Of all votes that count.", "share"),
    Column(
        "agreement",
        "agreement",
        "How often the others on the same pair chose the same: the mean over the voter's shared pairs of the share of "
        "its other voters who did.",
        "share",
    ),
    Column("agreement_lower", "from", "Lower end of the agreement's 95% Wilson interval, rather too wide.", "share"),
    Column("agreement_upper", "to", "Upper end of the agreement's 95% Wilson interval, rather too wide.", "share"),
    Column("compared", "compared", "Votes on a pair on which others voted too.", "count"),
    Column("gold_right", "gold right", "Right answers to tasks with a known answer.", "count"),
    Column("gold_asked", "gold asked", "Tasks with a known answer; they do not count as votes.", "count"),
    Column("left_share", "left", "The share of votes for side a, draws included in the whole.", "share"),
)


def agreement(study):
    """How far different voters of the same pair agree: overall, then by group."""
    word = study.by.replace("_", "-")
    columns = (Column("group", word, f'"all", or one {word}.'), *AGREEMENT)
    rows = [{column.key: _cell(found, column.key) for column in columns} for found in study.agreement]
    caption = "Two different voters of the same two images, outcomes turned to one order of the images."
    return Sheet("agreement", "Agreement", caption, columns, tuple(rows), _agreement_notes(study))


def _cell(found, key):
    if key.startswith("first_"):
        return found.first and getattr(found.first, key.removeprefix("first_"))
    return getattr(found, key)


def _tie_break_note(whole):
    asked = whole.tie_break
    if asked is None or not asked.found:
        return []
    alpha = "" if whole.first.alpha is None else f" and alpha {whole.first.alpha:.2f}"
    return [
        f"Further voters came where the first {'two' if asked.voters == 2 else asked.voters} disagreed: to {asked.differed_more / asked.differed:.0%} of those pairs, "
        f"against {asked.agreed_more / max(asked.agreed, 1):.0%} of the others. All voters together then seem to agree "
        f"more than they do: {whole.agreement:.1%}; quote the first two of each pair, {whole.first.agreement:.1%} "
        f"({whole.first.agreement_lower:.1%} to {whole.first.agreement_upper:.1%}){alpha}."
    ]


def _agreement_notes(study):
    ballots, whole = study.ballots, study.agreement[0]
    notes = [
        f"Pairs are told apart by {kind}: {plural(count, 'vote', 'votes')}." for kind, count in ballots.known_by.items()
    ]
    if "prompt and models" in ballots.known_by:
        notes.append("A prompt and two models stand for one pair of images only if each model made one image for it.")
    if ballots.unplaced:
        notes.append(f"{plural(ballots.unplaced, 'vote names', 'votes name')} no pair and can't be compared.")
    if ballots.repeats:
        notes.append(
            f"{plural(ballots.repeats, 'vote', 'votes')} of a voter on a pair that they had voted on: only the first is compared."
        )
    if ballots.nameless:
        notes.append(
            f"{plural(ballots.nameless, 'vote has', 'votes have')} no voter; each is taken as another voter's."
        )
    if not whole.overlap_pairs:
        return (*notes, "No pair has two voters, so nothing is known of agreement.")
    notes = _tie_break_note(whole) + notes
    notes.append(
        f"With each vote weighing equally, {whole.by_vote:.1%} agree; {whole.majority:.1%} of the votes on shared pairs are "
        "for the pair's most frequent outcome."
    )
    if whole.alpha_three is not None:
        text = f"With both kinds of draw as one outcome alpha is {whole.alpha_three:.2f}"
        if whole.alpha_three_lower is not None:
            text += f" ({whole.alpha_three_lower:.2f} to {whole.alpha_three_upper:.2f})"
        notes.append(text + ".")
    return tuple(notes)  # fmt: skip


def overlap(study):
    """How many pairs have one, two, three, ... voters."""
    rows = [
        dict(zip(("votes_per_pair", "pairs", "votes"), row, strict=True)) for row in overlap_of(study.ballots.counts())
    ]
    whole = study.agreement[0]
    notes = []
    if whole.votes:
        notes.append(
            f"{whole.overlap_votes / whole.votes:.1%} of {plural(whole.votes, 'vote is', 'votes are')} on pairs with two "
            "voters or more."
        )
    return Sheet("overlap", "Overlap", "Voters a pair of images; one vote a voter and pair.", OVERLAP, tuple(rows), tuple(notes))  # fmt: skip


def voters(study):
    """Who signed in and agreed to be named, most votes first, then all others in one line."""
    rows = study.voters.public_rows()
    hidden = len(study.voters) - sum(name is not None for name in study.voters.names)
    notes = [f"{plural(hidden, 'voter is', 'voters are')} not named."] if hidden else []
    if study.voters.nameless:
        notes.append(f"{plural(study.voters.nameless, 'vote has', 'votes have')} no voter.")
    if anyway := study.ballots.asked_anyway:
        notes.append(
            f"Compared are the first {anyway} voters of each pair: those after them came because these disagreed."
        )
    caption = "Agreement leaves the voter's own vote out. It measures likeness, not quality: tastes may differ."
    return Sheet("voters", "Voters", caption, VOTERS, tuple(rows), tuple(notes))


def trusted(study):
    """The standings with every vote weighing the same, and with votes weighted by trust in the voter."""
    found = study.trusted
    columns = (
        Column("model", "model", "The contender."),
        Column("votes", "votes", "Battles of this model that count, in both boards.", "count"),
        Column("rating", "rating", "Every vote weighs the same: the main board.", "points"),
        Column(
            "trusted",
            "trusted",
            "Votes weighted by trust in the voter, from gold tasks and from agreement with the others.",
            "points",
        ),
        Column("trusted_lower", "from", "Lower end of the weighted rating's 95% interval.", "points"),
        Column("trusted_upper", "to", "Upper end of the weighted rating's 95% interval.", "points"),
        Column("change", "change", "The weighted rating less the main board's.", "signed"),
        Column("rank", "rank", "On the main board.", "count"),
        Column("trusted_rank", "trusted rank", "On the weighted board.", "count"),
    )
    weighted = {row.model: row for row in found.weighted.rows}
    rows = []
    for row in found.plain.rows:
        other = weighted[row.model]
        both = row.rating is not None and other.rating is not None
        rows.append({
            "model": row.model,
            "votes": row.votes,
            "rating": row.rating,
            "trusted": other.rating,
            "trusted_lower": other.rating_lower,
            "trusted_upper": other.rating_upper,
            "change": other.rating - row.rating if both else None,
            "rank": row.rank,
            "trusted_rank": other.rank,
            "battles": {"model_a": row.model},
        })  # fmt: skip
    caption = f"Ratings by {found.method}. On the main board every vote weighs the same; these weights stay off it."
    return Sheet(
        "trusted",
        "With and without trust",
        caption,
        columns,
        tuple(rows),
        _trust_notes(found.trust, study.ballots.asked_anyway),
    )


def _trust_notes(trust, anyway):
    asked, compared = trust.voters.gold_asked > 0, trust.voters.compared > 0
    notes = []
    if asked.any():
        low = plural(int((trust.by_gold < 1).sum()), "weighs", "weigh")
        notes.append(f"Gold tasks: of {plural(int(asked.sum()), 'voter', 'voters')} with an answer, {low} less than 1.")
    else:
        notes.append("Gold tasks: none in these votes.")
    if compared.any():
        low = plural(int((trust.by_agreement < 1).sum()), "weighs", "weigh")
        people = plural(int(compared.sum()), "voter", "voters")
        notes.append(f"Agreement: of {people} whose votes can be compared, {low} less than 1.")
        if anyway:
            notes.append(
                f"Compared are the first {anyway} voters of each pair: those after them came because these disagreed."
            )
    else:
        notes.append("Agreement: no vote can be compared with another voter's.")
    notes.append(f"A voter weighs at least {FLOOR}, and 1 where nothing is known or nothing speaks against them.")
    notes.append("People of another taste agree less, too: a change here is a reason to look, not a correction.")
    return tuple(notes)
