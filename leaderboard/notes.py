"""Owns the notes: what a reader must know to read the standings rightly, as plain sentences."""

import numpy as np

from leaderboard.clusters import FEWEST_CLUSTERS
from leaderboard.columns import plural
from leaderboard.intervals import LIKELIHOOD, wilson
from leaderboard.likelihood import FEW_BATTLES
from leaderboard.ratings import APART, RATED, UNBEATEN, WINLESS
from leaderboard.standings import VOTE_FLOOR
from leaderboard.tally import UNGROUPED
from leaderboard.votes import A_WINS, B_WINS


def notes_of(votes, counts, whole, method, by, groups):
    """The notes of a board: `counts` int64 [K, K, 4] by side, `whole` its standings.Table. A tuple of str."""
    if not len(votes):
        return ("No vote counts yet.", *_left_out(votes), *votes.notes)
    return tuple(
        _left_out(votes)
        + list(votes.notes)
        + _reading(method)
        + _preliminary(whole)
        + _unrated(whole)
        + _sides(counts)
        + _prompts(votes, whole, method)
        + _groups(by, groups)
    )


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


def _reading(method):
    found = [
        "A draw, both good or both bad, counts as half a win for each model. Ratings are on the Elo scale "
        "(400 points are odds of 10 to 1); the vote-weighted mean of the established models is 1000."
    ]
    if method == "elo":
        found.append(
            "Elo ratings depend on the order of the votes; their intervals come from replays with "
            "re-weighted votes. In the column elo every model starts at 1000; the rating is the same "
            "number moved to the common mean."
        )
    else:
        found.append(
            "The column elo is a ticker: one update a vote, K = 4, from 1000. It depends on the order of "
            "the votes; rank by the rating."
        )
    found.append(
        "Rank is 1 + the number of models whose interval lies wholly above; rank_lower and rank_upper "
        "hold for all models at once with 95% confidence."
    )
    return found


def _preliminary(whole):
    few = [row.model for row in whole.rows if row.preliminary and row.rating is not None]
    if not few:
        return []
    return [f"Preliminary, with fewer than {VOTE_FLOOR} votes: {', '.join(few)}."]


def _unrated(whole):
    found = []
    for row in whole.rows:
        status = whole.status[row.model]
        if status == UNBEATEN:
            known = f" (at least {whole.at_least[row.model]:.0f})" if row.model in whole.at_least else ""
            found.append(f"{row.model} has no finite rating{known}: no rated model ever scored against it.")
        elif status == WINLESS:
            known = f" (at most {row.rating_upper:.0f})" if row.rating_upper is not None else ""
            found.append(f"{row.model} has no finite rating{known}: it never scored against a rated model.")
    apart = [row.model for row in whole.rows if whole.status[row.model] == APART]
    if apart:
        found.append(
            "The battles fall into groups that never met, so their ratings can't be compared; not rated: "
            f"{', '.join(apart)}."
        )
    if RATED not in whole.status.values():
        found.append("No model has a finite rating yet: ratings need models that scored against one another.")
    return found


def _sides(counts):
    first, second = int(counts[..., A_WINS].sum()), int(counts[..., B_WINS].sum())
    if not first + second:
        return []
    low, high = wilson(first, first + second)
    text = (
        f"Side a won {first / (first + second):.1%} of {plural(first + second, 'decisive vote', 'decisive votes')}"
        f" (95% interval {low:.1%} to {high:.1%})"
    )
    if low > 0.5 or high < 0.5:
        return [f"Position bias: {text}; voters lean to {'side a' if low > 0.5 else 'side b'}."]
    return [f"{text}: no sign of position bias."]


def _prompts(votes, whole, method):
    found = []
    prompts = len(np.unique(votes.prompt_id.codes[votes.prompt_id.codes >= 0]))
    if prompts:
        found.append(f"The votes are on {plural(prompts, 'prompt', 'prompts')}.")
    if method == "elo":
        return found
    if whole.clustered:
        shared = " and ".join({"prompt": "on one prompt", "voter": "by one voter"}[way] for way in whole.clustered)
        found.append(f"Intervals take the votes {shared} together.")
    elif prompts or (votes.voter.codes >= 0).any():
        found.append(
            "Intervals treat votes as independent, which is too narrow where few prompts are voted on often or few "
            f"people cast most votes (they are taken together from {FEWEST_CLUSTERS} prompts or voters on)."
        )
    if votes.weight is not None:
        found.append(
            f"Votes carry weights, {votes.weight.sum():,.0f} in all: ratings and intervals use them; the columns of "
            "votes, wins and shares count every vote once."
        )
    few = [row.model for row in whole.rows if whole.kinds.get(row.model) == LIKELIHOOD]
    if few:
        found.append(f"Likelihood-ratio intervals, with fewer than {FEW_BATTLES} battles: {', '.join(few)}.")
    for group in whole.components:
        inside = ", ".join(
            f"{name} {rating:+.0f} ({low:+.0f} to {high:+.0f})"
            for name, rating, low, high in zip(group.models, group.rating, group.lower, group.upper, strict=True)
        )
        found.append(f"Not rated, but comparable among themselves, from their own mean: {inside}.")
    return found


def _groups(by, groups):
    if not groups:
        return []
    word = by.replace("_", "-")
    found = [
        f"The verdict of a {word} tests its two best models with {VOTE_FLOOR} votes or more against each other "
        "(two-sided, 5%, Holm-corrected over all groups)."
    ]
    if UNGROUPED in groups:
        found.append(f"{plural(groups[UNGROUPED].votes, 'vote has', 'votes have')} no {word}: shown as {UNGROUPED}.")
    return found
