"""Owns sampling: what it does to the ratings that some pairs of models, or of images, were voted on more often than others.

As served, every vote counts the same. Where scores follow Bradley-Terry that is right under any way to draw pairs that
looks at earlier votes alone: the likelihood does not know how its pairs were drawn. Where they don't (some models suit
others ill), a rating is an average over the opponents met, and who met whom decides which. The weights 1 / p of
Horvitz & Thompson (1952), p being a vote's `pair_probability`, then give the ratings that pairs drawn alike would give:
the estimate of Chatbot Arena (Chiang et al. 2024, section 4), for wider intervals. benchmarks/matchmaking.py has a case
in which active sampling moves a rating by 11 Elo points and the weights move it back. Where the draws were alike but not
always of the same pairs (p = 1 / their number), the weights count each pair that was offered once, not each battle.

Where a pair of images gets further voters because its first ones disagreed, near pairs have more votes: a rating then is
an average in which they weigh more, and models are drawn together, by 2 to 5% of their distance with a third voter and 4
to 11% with a fifth in benchmarks/overlap.py, as far as images of a model differ; where they don't, it is right. Votes
weighing 1 / (votes of their pair) err the other way, by 5 to 30%. Reweighted, those further votes weigh nothing, which is
unbiased, and the only way to be (see tie_break.py): every pair then has the votes that it would have had anyway.
"""

from dataclasses import dataclass, replace

import numpy as np

from leaderboard import errors
from leaderboard.agreement import ballots
from leaderboard.clusters import AUTO, capped, check_known, chosen
from leaderboard.columns import plural
from leaderboard.ratings import METHODS, SCALE, anchor_weights
from leaderboard.sandwich import Z95, of_change
from leaderboard.standings import VOTE_FLOOR, Table, holm, table, two_sided
from leaderboard.tally import Pairs, tally, weighing

AS_SERVED, REWEIGHTED = "as-served", "reweighted"
SAMPLINGS = (AS_SERVED, REWEIGHTED)
MOST = 10.0  # times the mean: the most that a vote weighs
WITHOUT_WEIGHTS, FALLBACK = ("elo",), "bradley-terry"
LEVEL = 0.05
LOOKED_AT = 100_000  # votes in which it is looked for voters who settle; where there are, all are compared


@dataclass(frozen=True)
class Drawn:
    """How the pairs of n votes were drawn. `weight` float64 [n] has the mean 1; `known` votes have a probability, from
    `lowest` to `highest` (None where none has), and `clipped` of them would weigh more than MOST. `effective` is how many
    votes of equal weight they are worth: Kish's (1965) (sum of weights)^2 / sum of their squares. `alike`: every
    probability is 1 / a whole number, as where pairs are drawn alike from those that could be shown. `settling` votes, which
    weigh 0, came because the first `asked` voters of their pair of images had disagreed; 0 and None where none did."""

    weight: np.ndarray
    known: int
    lowest: float | None
    highest: float | None
    clipped: int
    effective: float
    alike: bool
    settling: int = 0
    asked: int | None = None

    @property
    def varies(self):
        return self.known > 0 and self.highest > self.lowest * (1 + 1e-9)

    @property
    def uneven(self):
        """Whether pairs of models, or of images, were voted on more often for another reason than what there was to show."""
        return self.settling > 0 or (self.varies and not self.alike)


@dataclass(frozen=True)
class Change:
    """A rated model's reweighted rating less the one as served, in Elo points, its 95% interval, and the two-sided
    p-value of no difference but chance, Holm-corrected over the models."""

    points: float
    lower: float
    upper: float
    p: float


@dataclass(frozen=True)
class Sampled:
    """Both boards by `method`, `served` and `reweighted`, the Change of each rated model (`changes`, by name), the
    effective votes of each model (`effective`, by name) and how pairs were Drawn."""

    method: str
    served: Table
    reweighted: Table
    changes: dict
    effective: dict
    drawn: Drawn


def drawn(votes):
    """The Drawn of votes. A vote weighs (1 / p) / (the mean of 1 / p), at most MOST, then all are divided by their mean;
    one without a probability weighs as the mean of the others does, one that settled a disagreement nothing. Raises
    errors.BadNumber."""
    none = np.full(len(votes), np.nan)
    chance = none if votes.pair_probability is None else votes.pair_probability()
    known = ~np.isnan(chance)
    count = int(known.sum())
    late, asked = settling(votes)
    if not count:
        every = _with_mean_one(np.where(late, 0.0, 1.0))
        return Drawn(every, 0, None, None, 0, _worth(every), True, int(late.sum()), asked)
    inverse = 1.0 / chance[known]
    weight = inverse / inverse.mean()
    clipped = int((weight > MOST).sum())
    every = np.ones(len(votes))
    every[known] = np.minimum(weight, MOST)
    every[known] /= every[known].mean()
    if asked is not None:
        every = _with_mean_one(np.where(late, 0.0, every))
    low, high = float(chance[known].min()), float(chance[known].max())
    alike = bool((np.abs(inverse - np.round(inverse)) < 1e-6 * inverse).all())
    return Drawn(every, count, low, high, clipped, _worth(every), alike, int(late.sum()), asked)


def settling(votes):
    """(bool [n]: the votes of voters who came because earlier ones on the same pair of images had disagreed; how many
    voters every pair had anyway, or None where nobody came for that)."""
    mask = np.zeros(len(votes), bool)
    part = votes.prompt_id.codes % max(1, len(votes) // LOOKED_AT) == 0  # whole pairs, chosen by nothing else
    if not part.all() and part.any() and ballots(votes.where(part)).asked_anyway is None:
        return mask, None
    found = ballots(votes)
    if found.asked_anyway is not None:
        mask[found.row] = True
        mask[found.chosen_by_nobody.row] = False
    return mask, found.asked_anyway


def _with_mean_one(weight):
    return weight / weight.mean() if len(weight) else weight


def _worth(weight):
    return float(weight.sum() ** 2 / max(float((weight**2).sum()), 1e-300))


def weighed(votes, sampling=AS_SERVED, method=FALLBACK):
    """The votes as `sampling`, one of SAMPLINGS, weighs them; weights that are there already are multiplied.

    Raises errors.UnknownChoice for another word, for a method that knows no weights and for votes none of which has a
    pair_probability or settled a disagreement, and errors.BadNumber.
    """
    if sampling not in SAMPLINGS:
        raise errors.UnknownChoice(f"no sampling is called {sampling!r}; known are {', '.join(SAMPLINGS)}")
    if sampling == AS_SERVED:
        return votes
    if method in WITHOUT_WEIGHTS:
        raise errors.UnknownChoice(f"sampling {sampling}: the method {method} knows no weights; name another one")
    found = drawn(votes)
    if len(votes) and not found.known and not found.settling:
        raise errors.UnknownChoice(f"sampling {sampling}: no vote has a pair_probability, so none can be weighed by it")
    return _with(votes, found.weight)


def _with(votes, weight):
    return replace(votes, weight=weight if votes.weight is None else weight * votes.weight, reweighted=True)


def sampled(votes, method=FALLBACK, seed=0, clusters=AUTO, voter_cap=None):
    """The Sampled of checked votes that `weighed` did not weigh yet; None where none has a pair_probability or settled a
    disagreement. A method that knows no weights is replaced by Bradley-Terry. Raises errors.UnknownChoice and errors.BadNumber."""
    check_known(votes, clusters, voter_cap)
    found = drawn(votes)
    if not found.known and not found.settling:
        return None
    if voter_cap is not None:  # the cap on both sides, shares and the common mean alike
        votes = replace(capped(votes, voter_cap), reweighted=True)
    method = FALLBACK if method in WITHOUT_WEIGHTS else method
    other = _with(votes, found.weight)
    counts = Pairs.of(tally(votes).total())
    boards = [table(part, counts, method, np.random.default_rng(seed), clusters=clusters) for part in (votes, other)]
    return Sampled(method, *boards, _changes(votes, other, found.weight, method, *boards, clusters),
                   _effective(other), found)  # fmt: skip


def _effective(votes):
    """{model: its votes' effective number}"""
    sums = [
        np.bincount(votes.model_a, power, len(votes.models)) + np.bincount(votes.model_b, power, len(votes.models))
        for power in (votes.weight, votes.weight**2)
    ]
    worth = sums[0] ** 2 / np.maximum(sums[1], 1e-300)
    return dict(zip(votes.models, worth.tolist(), strict=True))


def _changes(votes, other, weight, method, served, reweighted, clusters):
    """{rated model: Change}"""
    plain = Pairs.of(tally(votes).total())
    counts, fits, anchors = plain.battles.sum(axis=1), [], []
    for part in (votes, other):
        pairs = Pairs.of(tally(part, weighted=part.weight is not None).total())
        ratings = METHODS[method](part, pairs)
        rated = ratings.rated
        battles = np.zeros(len(counts))
        battles[rated] = weighing(part, plain, pairs).only(rated).battles.sum(axis=1)
        fits.append(ratings)
        anchors.append(anchor_weights(ratings, (counts >= VOTE_FLOOR) & np.isfinite(ratings.rating), battles))
    rated = fits[0].rated
    if not len(rated) or not np.array_equal(rated, fits[1].rated):
        return {}
    ways = chosen(votes, clusters, rated)
    variance = of_change(votes, weight, *(fit.estimate for fit in fits), rated, anchors, ways)
    before, after = ({row.model: row.rating for row in board.rows} for board in (served, reweighted))
    names = [votes.models[at] for at in rated]
    points = np.array([after[name] - before[name] for name in names])
    error = SCALE * np.sqrt(variance)
    still = error < 1e-6  # a model that is the whole anchor, or weights that are all alike
    p = holm(
        [1.0 if fixed else two_sided(float(d / e), np.inf) for d, e, fixed in zip(points, error, still, strict=True)]
    )
    return {
        name: Change(float(d), float(d - Z95 * e), float(d + Z95 * e), float(q))
        for name, d, e, q in zip(names, points, error, p, strict=True)
    }


def moved(found):
    """(models whose displayed rank differs between the two boards of Sampled, as {name: (as served, reweighted)}, and
    those whose rating moves by more than chance explains, the farthest first)."""
    after = {row.model: row for row in found.reweighted.rows}
    ranks = {row.model: (row.rank, after[row.model].rank) for row in found.served.rows
             if row.rating is not None and row.rank != after[row.model].rank}  # fmt: skip
    sure = [name for name, change in found.changes.items() if change.p < LEVEL]
    return ranks, sorted(sure, key=lambda name: -abs(found.changes[name].points))


def note(votes, sampling, method, seed=0, clusters=AUTO, voter_cap=None):
    """What a board's reader must know of how its pairs were drawn, as one sentence or a few; empty where there is nothing
    to say. `votes` are those that `weighed` got."""
    try:
        found = drawn(votes)
    except errors.BadNumber as error:  # as served, nothing depends on it
        return f"How pairs were drawn is not known: {error}."
    if sampling == REWEIGHTED:
        return _weighing(found)
    if not found.uneven:
        return ""
    both = sampled(votes, method, seed, clusters, voter_cap)
    ranks, sure = moved(both)
    named = [f"{name} {before} to {after}" for name, (before, after) in list(ranks.items())[:5]]
    more = f" and {plural(len(ranks) - 5, 'other', 'others')}" if len(ranks) > 5 else ""
    text = f"{_how(found)} ranks change: {', '.join(named)}{more}; " if named else f"{_how(found)} no rank changes; "
    if sure:
        first = both.changes[sure[0]]
        why = "" if found.settling else ", so the ratings depend on who met whom"
        text += (
            f"{sure[0]} moves by {first.points:+.0f} points ({first.lower:+.0f} to {first.upper:+.0f}), more than chance "
            f"explains{why}"
        )
    else:
        text += "no rating moves by more than chance explains"
    return text + ". The sheet sampling has both boards."


def _how(found):
    """How the pairs came by their votes, and what the weights do to that, up to a comma."""
    uneven = found.varies and not found.alike
    text = ""
    if uneven:
        text = (
            f"Pairs of models were not drawn alike: pair_probability is {found.lowest:.2%} to {found.highest:.2%}. While "
            "scores follow the model, ratings need no weights for that. "
        )
    if found.settling:
        text += f"{_asked_late(found)} disagreed, let near pairs count more often, which draws models together. "
    by = "Weighed by 1 / pair_probability" if found.varies else ""
    without = ("and without those votes" if by else "Without those votes") if found.settling else ""
    return text + " ".join(filter(None, (by, without))) + ","


def _weighing(found):
    text = (
        f"Every vote weighs 1 / pair_probability, with the mean 1: ratings, intervals, win rates and acceptability are "
        f"those of pairs drawn alike; the votes are worth {found.effective:,.0f} of equal weight."
        if found.known
        else f"The votes are worth {found.effective:,.0f} of equal weight."
    )
    return text + settled(found) + (_left(found) if found.known else "")


def settled(found):
    """What votes that settled a disagreement weigh in a Drawn, as a sentence with a space before it, or ''."""
    if not found.settling:
        return ""
    kept = len(found.weight) - found.settling
    each = "so much more" if found.varies else f"{found.weight.max():.3f} each"
    return (
        f" {_asked_late(found)} disagreed, {'weighs' if found.settling == 1 else 'weigh'} 0, so that every pair counts alike; the "
        f"other {kept:,} weigh {each}."
    )


def _asked_late(found):
    voters = "two" if found.asked == 2 else str(found.asked)
    return (
        f"{plural(found.settling, 'vote', 'votes')} ({found.settling / len(found.weight):.1%}), asked for because the first "
        f"{voters} voters of a pair of images"
    )


def _left(found):
    """What the weights leave out, as sentences."""
    text = (
        f" {plural(found.clipped, 'vote', 'votes')} ({found.clipped / found.known:.1%}) would weigh more than {MOST:g} "
    )
    text = text + "times the mean and are clipped there." if found.clipped else ""
    missing = len(found.weight) - found.known
    if missing:
        text += f" {plural(missing, 'vote has', 'votes have')} no pair_probability and weigh 1."
    return text
