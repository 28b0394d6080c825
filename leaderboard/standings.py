"""Owns one ranked table: votes of one group -> Standing rows and the verdict between its two best."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from leaderboard.clusters import AUTO
from leaderboard.components import components
from leaderboard.intervals import INTERVALS, REPLAYS, one_sided_bound
from leaderboard.later import Later
from leaderboard.likelihood import FEW_BATTLES
from leaderboard.ranks import overlap_ranks, simultaneous_ranks
from leaderboard.ratings import CENTRE, METHODS, UNBEATEN, WINLESS, anchor_weights, elo_online
from leaderboard.sandwich import two_sided
from leaderboard.sequence import widening
from leaderboard.tally import Pairs, tally, weighing

KINDS = ("wins", "both_good", "both_bad")
VOTE_FLOOR = 30  # with fewer votes a model is preliminary


@dataclass(frozen=True)
class Standing:
    """One model's row, fields as in the published contract. Ratings are Elo points, None where there is none.

    `wins`, `losses`, `both_good` and `both_bad` add up to `votes`; `win_rate` = (wins + half the draws) / votes;
    `acceptability` = (votes - both_bad) / votes, the share of its battles that were not judged both bad.
    """

    rank: int
    rank_lower: int
    rank_upper: int
    model: str
    rating: float | None
    rating_lower: float | None
    rating_upper: float | None
    elo: float = Later()
    votes: int
    wins: int
    losses: int
    both_good: int
    both_bad: int
    win_rate: float
    acceptability: float
    preliminary: bool


@dataclass(frozen=True)
class Table:
    """The rows, best first (models without a rating last), and what can't be said in a row.

    `status` {model: a row of ratings.Ratings.status}; `at_least` {unbeaten model: lower bound};
    `clustered`: in which ways the intervals take votes together ("prompt", "voter"); `gap_p`: the two-sided p-value
    of the hypothesis that the two best are equally good, None where there are too few votes to ask. `kinds` {rated
    model: how its interval was made}; `anytime` {rated model with FEW_BATTLES battles or more: the bounds of its
    confidence sequence}; `components`: what can be said of models that the rating leaves out (components.Component);
    `remark`: what the method says of these votes in particular, empty where there is nothing to say; `weighed_shares`:
    win rates and acceptability use the votes' weights.
    """

    rows: tuple
    status: dict
    at_least: dict
    clustered: tuple
    gap_p: float | None
    kinds: dict
    anytime: dict
    components: tuple
    remark: str = ""
    weighed_shares: bool = False


def table(votes, pairs, method, rng, ticker=None, clusters=AUTO):
    """Rank the models of `votes` that took part in a battle; `pairs` are the same votes' counts, each vote as one.

    `ticker` float64 [K] is their online Elo, where that is known already; `clusters` says which votes are taken
    together (see leaderboard.clusters). Where votes carry weights, ratings and intervals use them, and where
    they were weighed by leaderboard.sampling the win rate and the acceptability, too; what a row counts stays the plain
    number of votes.
    """
    battles = pairs.battles.sum(axis=1)
    taking_part = np.flatnonzero(battles)
    weighted = pairs if votes.weight is None else Pairs.of(tally(votes, weighted=True).total())
    ratings = METHODS[method](votes, weighted)
    rated = ratings.rated
    count = len(votes.models)
    lower, upper, shift, clustered = np.full(count, np.nan), np.full(count, np.nan), 0.0, ()
    kinds, anytime = {}, {}
    rank_lower, rank_upper = np.ones(count, np.int64), np.full(count, max(1, len(taking_part)))
    established = (battles >= VOTE_FLOOR) & np.isfinite(ratings.rating)
    if len(rated):
        inner = np.zeros(count)
        inner[rated] = weighted.only(rated).battles.sum(axis=1)
        mean = np.zeros(count)
        mean[rated] = weighing(votes, pairs, weighted).only(rated).battles.sum(axis=1)
        weights = anchor_weights(ratings, established, mean)
        shift = CENTRE - float(ratings.rating[rated] @ weights / weights.sum())
        spread = INTERVALS[method](votes, weighted, ratings, weights, rng, clusters)
        lower[rated], upper[rated], clustered = spread.lower, spread.upper, spread.clustered
        half = widening(inner[rated]) * spread.deviation
        for at, model in enumerate(rated):
            kinds[votes.models[model]] = spread.kinds[at]
            if inner[model] >= FEW_BATTLES and spread.kinds[at] != REPLAYS:
                centre = float(ratings.rating[model] + shift)
                anytime[votes.models[model]] = (centre - float(half[at]), centre + float(half[at]))
        rank_lower[rated], rank_upper[rated] = simultaneous_ranks(ratings.rating[rated], spread.draws)
    at_least, bounding = {}, weighted
    if votes.weight is not None:  # a vote that weighs more proves no more
        bounding = Pairs(*(np.minimum(getattr(weighted, kind), getattr(pairs, kind)) for kind in KINDS))
    for model in taking_part:
        bound = one_sided_bound(model, bounding, ratings)
        if bound is not None and ratings.status[model] == WINLESS:
            upper[model] = bound
        elif bound is not None:
            at_least[votes.models[model]] = bound + shift
    rank = overlap_ranks(lower, upper)
    known_ticker = cache(lambda: elo_online(votes) if ticker is None else ticker)  # a look at every vote, so not yet
    good, bad = pairs.both_good.sum(axis=1), pairs.both_bad.sum(axis=1)
    wins = pairs.wins.sum(axis=1)
    shares = weighted if votes.reweighted else pairs
    weight = shares.battles.sum(axis=1)
    met = np.maximum(weight, 1e-300)

    def cells(column, kind=int):
        return column[taking_part].astype(kind).tolist()

    def points(column):
        return [value if math.isfinite(value) else None for value in cells(column + shift, float)]

    columns = {  # in the order of Standing's fields
        "rank": cells(rank),
        "rank_lower": cells(np.minimum(rank_lower, rank)),
        "rank_upper": cells(np.maximum(rank_upper, rank)),
        "model": [votes.models[m] for m in taking_part],
        "rating": points(ratings.rating),
        "rating_lower": points(lower),
        "rating_upper": points(upper),
        "elo": [lambda m=m: float(known_ticker()[m]) for m in taking_part],
        "votes": cells(battles),
        "wins": cells(wins),
        "losses": cells(pairs.wins.sum(axis=0)),
        "both_good": cells(good),
        "both_bad": cells(bad),
        "win_rate": cells(shares.score.sum(axis=1) / met, float),
        "acceptability": cells((weight - shares.both_bad.sum(axis=1)) / met, float),
        "preliminary": cells(~established, bool),
    }
    rows = [Standing(*row) for row in zip(*columns.values(), strict=True)]
    rows.sort(key=lambda row: (row.rating is None, -(row.rating or 0.0), -row.win_rate, -row.votes, row.model))
    status = {votes.models[m]: ratings.status[m] for m in taking_part}
    gap_p = _gap(rows, status, pairs, votes.models, spread if len(rated) else None, rated)
    apart = components(votes, weighted, ratings, rng)
    remark, weighed = ratings.remark, votes.reweighted
    return Table(tuple(rows), status, at_least, clustered, gap_p, kinds, anytime, apart, remark, weighed)


def two_best(rows, status):
    """The two best among rows with enough votes to be judged: an unbeaten one leads. Fewer where there are fewer."""
    enough = [row for row in rows if row.votes >= VOTE_FLOOR]
    return sorted(enough, key=lambda row: status[row.model] != UNBEATEN)[:2]


def _gap(rows, status, pairs, models, spread, rated):
    """Two-sided p-value of the two best: Student's t with the fewer degrees of freedom of the two. The joint draws are
    as wide as the intervals, so it errs to the safe side where clusters are few."""
    best = two_best(rows, status)
    if len(best) < 2:
        return None
    if all(row.rating is not None for row in best):
        first, second = (int(np.flatnonzero(rated == models.index(row.model))[0]) for row in best)
        deviation = max(float((spread.draws[:, first] - spread.draws[:, second]).std()), 1e-9)
        degrees = float(min(spread.degrees[first], spread.degrees[second]))
        return two_sided((best[0].rating - best[1].rating) / deviation, degrees)
    first, second = (models.index(row.model) for row in best)
    return sign_test(int(pairs.wins[first, second]), int(pairs.wins[second, first]))


def sign_test(wins, losses):
    """Exact two-sided p-value of an even chance; None of nothing."""
    count = wins + losses
    if not count:
        return None
    tail = sum(math.comb(count, k) for k in range(max(wins, losses), count + 1))
    return min(1.0, 2.0 * tail / 2**count)


def holm(p_values):
    """Holm's (1979) adjusted p-values, in the given order."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted, worst = [0.0] * len(p_values), 0.0
    for step, at in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - step) * p_values[at]))
        adjusted[at] = worst
    return adjusted


def verdicts(tables, level=0.05):
    """{group: Table} -> {group: '<model> better', 'tie' or 'too few votes'}, Holm-corrected over the groups."""
    asked = [name for name, ranked in tables.items() if ranked.gap_p is not None]
    adjusted = dict(zip(asked, holm([tables[name].gap_p for name in asked]), strict=True))

    def verdict(name):
        if name not in adjusted:
            return "too few votes"
        best = two_best(tables[name].rows, tables[name].status)
        return f"{best[0].model} better" if adjusted[name] < level else "tie"

    return {name: verdict(name) for name in tables}
