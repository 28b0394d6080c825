"""Owns the measures of the data's quality: what a source holds, what it lacks, and how unevenly it is spread.

Each measure is one Measure: a value in words, why it matters, and whether it is a warning. The thresholds of the
warnings are the constants below; they are conventions, not laws.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard.columns import NO_TIME, iso, plural
from leaderboard.intervals import wilson
from leaderboard.ratings import APART, UNBEATEN, UNSETTLED, WINLESS, core, reachable
from leaderboard.standings import VOTE_FLOOR
from leaderboard.tally import Pairs, tally
from leaderboard.votes import A_WINS, B_WINS, BOTH_BAD, BOTH_GOOD

MOST_LEFT_OUT = 0.2  # share of the source's votes
MOST_UNKNOWN = 0.05  # share of votes without a prompt, voter, category or time
MOST_BOTH_BAD = 0.3  # share of votes
MOST_OF_ONE = 0.1  # share of votes by one voter, or on one prompt
FEWEST_EFFECTIVE = 40  # voters or prompts: clustered intervals are uncertain themselves below it
MOST_REPEATS = 0.01  # share of votes that are a voter's second on the same pair
DAY = 86_400_000  # milliseconds


@dataclass(frozen=True)
class Measure:
    """`name` and `value` in words, `why` it matters in a sentence, and whether it is a `warning`."""

    name: str
    value: str
    why: str
    warning: bool = False


def quality(votes, ballots):
    """The Measures of checked Votes, in the order to read them; `ballots` are theirs (agreement.ballots)."""
    found = _counted(votes)
    if not len(votes):
        return tuple(found)
    counts = tally(votes).total()
    pairs = Pairs.of(counts)
    found += _models(pairs, votes.models) + _outcomes(counts, len(votes))
    found += _spread(votes.voter, "voter", "voters") + _spread(votes.prompt_id, "prompt", "prompts")
    return tuple(found + _repeats(votes, ballots) + _unknown(votes) + _time(votes))


def _share(part, whole):
    return f"{part:,} ({part / whole:.1%})" if whole else f"{part:,}"


def _counted(votes):
    left = sum(votes.left_out.values())
    found = [
        Measure(
            "Votes that count",
            f"{len(votes):,} of {votes.total:,}",
            f"Only these make the standings. A warning where more than {MOST_LEFT_OUT:.0%} are left out.",
            left > MOST_LEFT_OUT * votes.total,
        )
    ]
    for reason, count in sorted(votes.left_out.items(), key=lambda item: -item[1]):
        found.append(Measure(f"Left out: {reason}", _share(count, votes.total), REASONS.get(reason.split(":")[0], "")))
    return found


REASONS = {
    "duplicate": "The same vote was published more than once; it counts once.",
    "excluded": "Taken back after a review, for the reason named.",
    "gold": "A task with a known answer: it says something of the voter, not of the models.",
    "mode": "Not cast blind, or of a mode that this board does not show.",
    "self_battle": "A model against itself says nothing of its strength.",
}


def _models(pairs, models):
    battles = pairs.battles
    total, size = battles.sum(axis=1), len(models)
    few = int(np.count_nonzero(total < VOTE_FLOOR))
    possible, met = size * (size - 1) // 2, np.triu(battles, 1)
    groups = len(np.unique(np.argmax(reachable(battles > 0), axis=1)))
    status = core(pairs)[1]
    stranded = {
        "unbeaten": status.count(UNBEATEN),
        "winless": status.count(WINLESS),
        "tied to no other": status.count(APART) + status.count(UNSETTLED),
    }
    least = np.unravel_index(np.argmin(np.where(met > 0, met, np.inf)), met.shape)
    return [
        Measure(
            "Established models",
            f"{size - few} of {size}",
            f"Fewer than {VOTE_FLOOR} votes say little of a model; it is shown as preliminary. A warning where there "
            "are any.",
            few > 0,
        ),
        Measure(
            "Models without a finite rating",
            ", ".join(f"{count} {word}" for word, count in stranded.items() if count) or "none",
            "A model that always won, always lost, or met nobody of the rest can't be placed on the scale.",
            any(stranded.values()),
        ),
        Measure(
            "Connected groups of models",
            f"{groups}",
            "Models can be compared where a chain of battles ties them together. A warning where there is more than "
            "one group.",
            groups > 1,
        ),
        Measure(
            "Pairs of models that met",
            f"{np.count_nonzero(met):,} of {possible:,}",
            "Pairs that never met are compared through others, which leans on the model of the ratings. A warning "
            "below half.",
            np.count_nonzero(met) < possible / 2,
        ),
        Measure(
            "Least-met pair",
            f"{models[least[0]]} and {models[least[1]]}: {plural(int(met[least]), 'vote', 'votes')}",
            "Of the pairs that met: their own result alone says the least.",
        ),
    ]


def _outcomes(counts, votes):
    won = [int(counts[..., outcome].sum()) for outcome in (A_WINS, B_WINS, BOTH_GOOD, BOTH_BAD)]
    draws, decisive = won[2] + won[3], won[0] + won[1]
    found = [
        Measure("Draws", _share(draws, votes), "A draw counts half for each; many of them leave less to tell models apart."),
        Measure(
            "Both bad",
            _share(won[3], votes),
            "Two images that nobody wants say that the prompts are hard or the models weak. A warning above "
            f"{MOST_BOTH_BAD:.0%}.",
            won[3] > MOST_BOTH_BAD * votes,
        ),
    ]  # fmt: skip
    if decisive:
        low, high = wilson(won[0], decisive)
        found.append(
            Measure(
                "Side a's share of decisive votes",
                f"{won[0] / decisive:.1%} (95% interval {low:.1%} to {high:.1%})",
                "Voters who look at the images, not at the side, give each side half. A warning where the interval "
                "leaves out 50%.",
                low > 0.5 or high < 0.5,
            )
        )
    return found


def _spread(column, one, many):
    """How evenly votes are spread over voters or prompts."""
    cast = np.bincount(column.codes[column.codes >= 0], minlength=1)
    cast = np.sort(cast[cast > 0])[::-1]
    if not len(cast):
        return []
    total, top = int(cast.sum()), max(1, round(0.01 * len(cast)))
    effective = total**2 / float((cast.astype(float) ** 2).sum())
    return [
        Measure(
            f"Votes per {one}",
            f"median {np.median(cast):,.0f}, largest {_share(int(cast[0]), total)}, {plural(len(cast), one, many)}",
            f"A single {one} with a large part of the votes puts its own stamp on the board. A warning above "
            f"{MOST_OF_ONE:.0%}.",
            cast[0] > MOST_OF_ONE * total,
        ),
        Measure(
            f"Share of the top 1% of {many}",
            f"{cast[:top].sum() / total:.1%} ({plural(top, one, many)})",
            f"How much the busiest {many} weigh.",
        ),
        Measure(
            f"Effective number of {many}",
            f"{effective:,.1f}",
            f"1 / the sum of squared shares: so many equally busy {many} would be as uneven. A warning below "
            f"{FEWEST_EFFECTIVE}.",
            effective < FEWEST_EFFECTIVE,
        ),
    ]


def _repeats(votes, ballots):
    if not (votes.voter.codes >= 0).any() or not len(ballots.row):
        return []
    return [
        Measure(
            "Second votes of a voter on a pair",
            _share(ballots.repeats, len(votes)),
            "A voter's second vote on the same two images is no independent one; it counts in the ratings all the "
            f"same, and not in the agreement. A warning above {MOST_REPEATS:.0%}.",
            ballots.repeats > MOST_REPEATS * len(votes),
        )
    ]


UNKNOWN = {
    "voter": "Votes of one person can't be taken together, nor a busy voter be seen.",
    "prompt_id": "Votes on the same images can't be taken together.",
    "category": "They are missing in every category's own standings.",
    "created_at": "They have no place in the history, and the Elo ticker takes them in the order of the source.",
}


def _unknown(votes):
    found = []
    for name, why in UNKNOWN.items():
        column = getattr(votes, name)
        lacking = int(np.count_nonzero(column == NO_TIME if name == "created_at" else column.codes < 0))
        word = {"prompt_id": "prompt", "created_at": "time"}.get(name, name)
        warned = f"{why} A warning above {MOST_UNKNOWN:.0%}."
        found.append(
            Measure(f"Votes without a {word}", _share(lacking, len(votes)), warned, lacking > MOST_UNKNOWN * len(votes))
        )
    return found


def _time(votes):
    timed = votes.created_at[votes.created_at != NO_TIME]
    if not len(timed):
        return []
    first, last = int(timed.min()), int(timed.max())
    days = (last - first) / DAY
    value = f"{iso(first)[:10]} to {iso(last)[:10]}"
    rate = f"{value}, {len(timed) / days:,.0f} votes a day" if days >= 1 else value
    return [Measure("Time", rate, "Models change behind their names, and so do voters: ratings are of this span.")]
