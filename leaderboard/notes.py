"""Owns the notes: what a reader must know to read the standings rightly, as plain sentences.

Alarms come first, then what was counted, then how to read the columns. A note that starts with one of ALARMS is one
that no page may fold away.
"""

from leaderboard.clusters import FEWEST_CLUSTERS
from leaderboard.columns import plural
from leaderboard.intervals import LIKELIHOOD, wilson
from leaderboard.likelihood import FEW_BATTLES
from leaderboard.ratings import APART, RATED, SCALES, UNBEATEN, WINLESS
from leaderboard.standings import VOTE_FLOOR
from leaderboard.tally import UNGROUPED

ALARMS = ("Warning", "Position alarm")
MOST_NAMED = 5  # models in one sentence
MOST_BOTH_BAD = 0.3  # of all votes: more of them is a warning


def notes_of(votes, whole, method, by, groups, side="", first=None, sampled=""):
    """The notes of a board, a tuple of str: `whole` is its standings.Table, `side` the sentence of position.note,
    `first` the fragility.Change of first place, where that was asked, `sampled` what sampling.note says."""
    if not len(votes):
        return ("No vote counts yet.", *_left_out(votes), *votes.notes)
    bent = side.startswith(ALARMS)
    return tuple(
        _apart(whole)
        + [side] * bent
        + _bad(whole)
        + _unrated(whole)
        + _first(first)
        + _acceptable(whole)
        + _preliminary(whole)
        + _left_out(votes)
        + list(votes.notes)
        + _ungrouped(by, groups)
        + [sampled] * bool(sampled)
        + _intervals(votes, whole, method)
        + [side] * (bool(side) and not bent)
        + [whole.remark] * bool(whole.remark)
        + _reading(method)
        + _verdicts(by, groups)
    )


def listed(models):
    """'a, b and 3 others'."""
    more = len(models) - MOST_NAMED
    return ", ".join(models[:MOST_NAMED]) + (f" and {plural(more, 'other', 'others')}" if more > 0 else "")


def _apart(whole):
    found = []
    apart = [row.model for row in whole.rows if whole.status[row.model] == APART]
    if apart:
        found.append(
            "Warning: the battles fall into groups that never met, so their ratings can't be compared; not rated: "
            f"{listed(apart)}."
        )
    for group in whole.components:
        inside = [
            f"{name} {rating:+.0f} ({low:+.0f} to {high:+.0f})"
            for name, rating, low, high in zip(group.models, group.rating, group.lower, group.upper, strict=True)
        ]
        found.append(f"Not rated, but comparable among themselves, from their own mean: {listed(inside)}.")
    if RATED not in whole.status.values():
        found.append("No model has a finite rating yet: ratings need models that scored against one another.")
    return found


def _bad(whole):
    votes, bad = sum(row.votes for row in whole.rows), sum(row.both_bad for row in whole.rows)
    if bad <= MOST_BOTH_BAD * votes:
        return []
    return [f"Warning: in {bad / votes:.0%} of the votes both images were judged bad."]


def _unrated(whole):
    return _without_rating(whole, UNBEATEN, "no rated model ever scored against it") + _without_rating(
        whole, WINLESS, "it never scored against a rated model"
    )


def _without_rating(whole, status, why):
    rows = [row for row in whole.rows if whole.status[row.model] == status]
    known = [_bound(row, whole) for row in rows]
    if len(rows) > 1:
        names = [row.model + bound for row, bound in zip(rows, known, strict=True)]
        return [f"{len(rows)} models have no finite rating, because {why}: {listed(names)}."]
    return [f"{row.model} has no finite rating{bound}: {why}." for row, bound in zip(rows, known, strict=True)]


def _bound(row, whole):
    if row.model in whole.at_least:
        return f" (at least {whole.at_least[row.model]:.0f})"
    return f" (at most {row.rating_upper:.0f})" if row.rating_upper is not None else ""


def _first(change):
    if change is None:
        return []
    votes, share = plural(change.votes, "vote", "votes"), f"{change.share:.2%} of all votes"
    end = ", with no bound to the difference" if change.unbounded else ""
    above = f"{change.model} would stand above {change.over}{end}."
    if len(change.removed) > 1:
        return [f"First place hangs on {votes} ({share}): without {change.words()}, {above}"]
    it = "it" if change.votes == 1 else "them"
    return [f"First place hangs on {change.words()} ({share}): without {it} {above}"]


def _acceptable(whole):
    """Where the first model is not the one that is least often judged bad, the two intervals apart."""
    rows = [row for row in whole.rows if not row.preliminary]
    if len(rows) < 2:
        return []
    best = max(rows, key=lambda row: row.acceptability)
    low, _ = wilson(best.votes - best.both_bad, best.votes)
    _, high = wilson(rows[0].votes - rows[0].both_bad, rows[0].votes)
    if low <= high:
        return []
    return [
        f"{rows[0].model} wins most, but {best.model} is more often acceptable: in {best.acceptability:.0%} of its "
        f"battles not both images were judged bad, against {rows[0].acceptability:.0%}."
    ]


def _preliminary(whole):
    few = [row.model for row in whole.rows if row.preliminary and row.rating is not None]
    return [f"Preliminary, with fewer than {VOTE_FLOOR} votes: {listed(few)}."] if few else []


def _left_out(votes):
    found = []
    if votes.left_out:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in votes.left_out.items())
        found.append(
            f"Left out: {plural(sum(votes.left_out.values()), 'vote', 'votes')} of {votes.total:,} ({reasons})."
        )
    if votes.idle_exclusions:
        found.append(
            f"{plural(votes.idle_exclusions, 'exclusion names', 'exclusions name')} "
            "a vote that this source does not hold."
        )
    return found


def _ungrouped(by, groups):
    if UNGROUPED not in groups:
        return []
    many = plural(groups[UNGROUPED].votes, "vote has", "votes have")
    return [f"{many} no {by.replace('_', '-')}: shown as {UNGROUPED}."]


def _intervals(votes, whole, method):
    """How many prompts there are, and what the intervals make of votes that share one, a voter or a weight."""
    found, prompts = [], len(votes.prompt_id.present())
    if prompts:
        found.append(f"The votes are on {plural(prompts, 'prompt', 'prompts')}.")
    if method != "elo" and whole.clustered:
        shared = " and ".join({"prompt": "on one prompt", "voter": "by one voter"}[way] for way in whole.clustered)
        found.append(f"Intervals take the votes {shared} together.")
        if 1 < prompts < FEWEST_CLUSTERS and "prompt" not in whole.clustered:
            found.append(
                f"With fewer than {FEWEST_CLUSTERS} prompts they hold for these prompts; on others the order may differ."
            )
    elif method != "elo" and (prompts or (votes.voter.codes >= 0).any()):
        found.append(
            "Intervals treat votes as independent, which is too narrow where few prompts are voted on often or few "
            f"people cast most votes (they are taken together from {FEWEST_CLUSTERS} prompts or voters on)."
        )
    found = [" ".join(found)] if found else []
    if votes.weight is not None:
        plain = "votes and wins" if whole.weighed_shares else "votes, wins and shares"
        found.append(
            f"Votes carry weights, {votes.weight.sum():,.0f} in all: ratings and intervals use them; the columns of "
            f"{plain} count every vote once."
        )
    few = [row.model for row in whole.rows if whole.kinds.get(row.model) == LIKELIHOOD]
    if few:
        found.append(f"Likelihood-ratio intervals, with fewer than {FEW_BATTLES} battles: {listed(few)}.")
    return found


def _reading(method):
    ticker = (
        "Elo ratings depend on the order of the votes; their intervals come from replays with re-weighted votes, and "
        "the column elo is the same number before it is moved to the common mean."
        if method == "elo"
        else "The column elo is a ticker, one update a vote (K = 4, from 1000) that depends on their order: rank by the "
        "rating."
    )
    return [
        f"{SCALES[method]} The established models' mean, weighted by votes, is 1000.",
        ticker,
        "Rank is 1 + the number of models whose interval lies wholly above; rank_lower and rank_upper hold for all "
        "models at once with 95% confidence.",
    ]


def _verdicts(by, groups):
    if not groups:
        return []
    return [
        f"The verdict of a {by.replace('_', '-')} tests its two best models with {VOTE_FLOOR} votes or more against "
        "each other (two-sided, 5%, Holm-corrected over all groups)."
    ]
