"""Owns overlap and agreement: how often several voters saw the same pair of images, and how far they agreed.

A pair is two images without their sides; every vote on it is turned so that the alphabetically first model is the
first one. A voter counts once on a pair, with their first vote. All measures work on one small table, [P, 4]: how
many voters of each pair chose which outcome. Every Agreement has that of the first two voters beside it, see tie_break.py.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from leaderboard.intervals import wilson
from leaderboard.tally import UNGROUPED, group_of
from leaderboard.tie_break import FIRST, TieBreak, asked_anyway, tie_break
from leaderboard.votes import A_WINS, B_WINS, BOTH_BAD, BOTH_GOOD, OUTCOMES

ALL = "all"
DRAWS = 1000
LARGE = 50_000
FEWEST_PAIRS = 20  # resampling fewer pairs says little of how sure alpha is
MOST_CODES = 2**62
TURNED = np.array([B_WINS, A_WINS, BOTH_GOOD, BOTH_BAD])
PAIR_KINDS = ("images", "pair_id", "prompt and models")


@dataclass(frozen=True)
class Ballots:
    """The votes that can be compared, m of n: `row` int64 [m] into the votes; `pair` int64 [m] below `pairs`;
    `outcome` int64 [m] indexes OUTCOMES after turning; `voter` int64 [m] as coded in the votes, below `voters`.

    `known_by` {one of PAIR_KINDS: votes} says what told the pairs apart. Left out are `unplaced` votes, whose pair is
    not known, and `repeats`, later votes of a voter on a pair. `nameless` votes have no voter; each is taken as a
    voter of its own, numbered from `named` on.
    """

    row: np.ndarray
    pair: np.ndarray
    outcome: np.ndarray
    voter: np.ndarray
    pairs: int
    voters: int
    named: int
    known_by: dict
    unplaced: int
    repeats: int
    nameless: int

    def first(self, rows=slice(None), voters=FIRST):
        """Of these ballots, those of the first `voters` voters of each pair, as row numbers; ballots are in the votes' order,
        which is that of time."""
        rows = np.arange(len(self.row))[rows]
        order = rows[np.argsort(self.pair[rows], kind="stable")]
        pair = self.pair[order]
        starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])) if len(pair) else np.empty(0, np.int64)
        place = np.arange(len(pair)) - np.repeat(starts, np.diff(np.append(starts, len(pair))))
        return np.sort(order[place < voters])

    @cached_property
    def asked_anyway(self):
        """How many voters each pair had whatever they chose, where their disagreement decided who came later, else None."""
        return asked_anyway(self.pair, self.outcome)

    @cached_property
    def chosen_by_nobody(self):
        """These Ballots without those of voters who were asked because earlier ones had disagreed."""
        if self.asked_anyway is None:
            return self
        rows = self.first(voters=self.asked_anyway)
        columns = {name: getattr(self, name)[rows] for name in ("row", "pair", "outcome", "voter")}
        return replace(self, **columns)

    def counts(self, rows=slice(None)):
        """Of these ballots, int64 [P, 4]: voters by outcome, for the P pairs that occur."""
        _, pair = np.unique(self.pair[rows], return_inverse=True)
        pairs = int(pair.max(initial=-1)) + 1
        at = pair * len(OUTCOMES) + self.outcome[rows]
        return np.bincount(at, minlength=pairs * len(OUTCOMES)).reshape(pairs, len(OUTCOMES))


@dataclass(frozen=True)
class Agreement:
    """One group's overlap and agreement; None where no pair has two voters.

    `votes` and `pairs` are those compared or alone; `overlap_pairs` have two voters or more, and `overlap_votes` are
    on them. `agreement` is the chance that two different voters of a pair chose the same, pairs weighing equally,
    `by_vote` the same with votes weighing equally; `majority` the share of overlap votes for their pair's most
    frequent outcome (their own vote included); `chance` what `agreement` would be if nobody looked at the pair.
    `alpha` is Krippendorff's, nominal, over the four outcomes, `alpha_three` with both kinds of draw as one. `first` is
    the Agreement of the first two voters of each pair alone, whose own is None; `tie_break` how further voters were
    asked, None where no pair has more than two.
    """

    group: str
    votes: int
    pairs: int
    overlap_pairs: int
    overlap_votes: int
    mean_votes: float | None
    agreement: float | None
    agreement_lower: float | None
    agreement_upper: float | None
    by_vote: float | None
    majority: float | None
    chance: float | None
    alpha: float | None
    alpha_lower: float | None
    alpha_upper: float | None
    alpha_three: float | None
    alpha_three_lower: float | None
    alpha_three_upper: float | None
    first: "Agreement | None" = None
    tie_break: TieBreak | None = None


def ballots(votes):
    """Votes -> Ballots. A pair is named by its images' ids; else by `pair_id`; else by its prompt and models, which
    says the same where each model made one image for a prompt."""
    first = np.minimum(votes.model_a, votes.model_b).astype(np.int64)
    second = np.maximum(votes.model_a, votes.model_b).astype(np.int64)
    image_a, image_b = _one_vocabulary(votes.image_a, votes.image_b)
    kinds = (
        (np.minimum(image_a, image_b), np.maximum(image_a, image_b)),
        (votes.pair_id.codes.astype(np.int64),),
        (votes.prompt_id.codes.astype(np.int64),),
    )
    pair, pairs, known_by = np.full(len(votes), -1, np.int64), 0, {}
    for kind, codes in zip(PAIR_KINDS, kinds, strict=True):
        rows = np.flatnonzero((pair < 0) & (codes[0] >= 0))
        if len(rows):
            found = _joined([code[rows] for code in (*codes, first, second)])
            pair[rows], pairs, known_by[kind] = pairs + found, pairs + int(found.max()) + 1, len(rows)
    placed = np.flatnonzero(pair >= 0)
    voter, named = votes.voter.codes.astype(np.int64), len(votes.voter.names)
    alone = voter < 0
    voter = np.where(alone, named + np.cumsum(alone) - 1, voter)
    _, once = np.unique(_joined([pair[placed], voter[placed]]), return_index=True)
    row = placed[np.sort(once)]
    outcome = votes.winner[row].astype(np.int64)
    return Ballots(
        row,
        pair[row],
        np.where(votes.model_a[row] < votes.model_b[row], outcome, TURNED[outcome]),
        voter[row],
        pairs,
        named + int(alone.sum()),
        named,
        known_by,
        len(votes) - len(placed),
        len(placed) - len(row),
        int(alone[placed].sum()),
    )


def _one_vocabulary(a, b):
    """Two Coded columns -> their codes into one list of names."""
    place = {name: code for code, name in enumerate(a.names)}
    table = np.array([place.setdefault(name, len(place)) for name in b.names] + [-1], np.int64)
    return a.codes.astype(np.int64), table[b.codes]


def _joined(columns):
    """Columns of codes -> one code a row, numbered from 0: equal rows, equal codes."""
    code, size = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        width = int(column.max(initial=0)) + 1
        if size * width > MOST_CODES:
            _, code = np.unique(code, return_inverse=True)
            size = int(code.max(initial=0)) + 1
        code, size = code * width + column, size * width
    return np.unique(code, return_inverse=True)[1]


def overlap(counts):
    """counts [P, 4] -> ((voters of a pair, pairs, votes), ...), ascending."""
    pairs = np.bincount(counts.sum(axis=1))
    return tuple((voters, int(pairs[voters]), voters * int(pairs[voters])) for voters in np.flatnonzero(pairs).tolist())


def agreements(votes, ballots, by, rng):
    """The Agreement of all ballots, then of each group of the grouping `by`, where there are groups."""
    names, code = group_of(votes, by)
    found = [_measured(ALL, ballots, slice(None), rng)]
    if tuple(names) != (UNGROUPED,):
        code = code[ballots.row]
        found += [_measured(name, ballots, code == at, rng) for at, name in enumerate(names) if (code == at).any()]
    return tuple(found)


def _measured(group, ballots, rows, rng):
    """The Agreement of these ballots, with that of the first two voters of each pair."""
    every = ballots.counts(rows)
    found = measure(group, every, rng)
    if every.sum(axis=1).max(initial=0) <= FIRST:
        return replace(found, first=found) if found.overlap_pairs else found
    first = ballots.counts(ballots.first(rows))
    anyway = ballots.asked_anyway or FIRST
    settled = first if anyway == FIRST else ballots.counts(ballots.first(rows, anyway))
    return replace(found, first=measure(group, first, rng), tie_break=tie_break(every, settled, anyway))


def measure(group, counts, rng):
    """counts [P, 4] of one group -> its Agreement.

    The interval of `agreement` is Wilson's (1927) with as many trials as would have the variance seen between pairs,
    one pair of the largest variance added, so that a few pairs that happen to agree prove no certainty. Alpha's is
    the percentile interval over resampled pairs. Both take pairs as independent.
    """
    pairs, votes = len(counts), int(counts.sum())
    several = counts[counts.sum(axis=1) >= 2]
    size = several.sum(axis=1)
    mean_votes = votes / pairs if pairs else None
    head = (group, votes, pairs, len(several), int(size.sum()), mean_votes)
    if not len(several):
        return Agreement(*head, *[None] * 12)
    same = ((several**2).sum(axis=1) - size) / (size * (size - 1))
    mean = float(same.mean())
    most = mean * (1 - mean)
    variance = (float(((same - mean) ** 2).sum()) + most) / len(same)
    trials = len(same) * most / variance if most else len(same)
    return Agreement(
        *head,
        mean,
        *wilson(mean * trials, trials),
        float(same @ size / size.sum()),
        float(several.max(axis=1).sum() / size.sum()),
        chance_level(several),
        *_alpha_with_interval(several, rng),
        *_alpha_with_interval(draws_as_one(several), rng),
    )


def draws_as_one(counts):
    """[P, 4] -> [P, 3]: both good and both bad together."""
    return np.column_stack([counts[:, A_WINS], counts[:, B_WINS], counts[:, BOTH_GOOD] + counts[:, BOTH_BAD]])


def _turned(counts):
    """The same pairs with the two images changed about."""
    return np.column_stack([counts[:, B_WINS], counts[:, A_WINS], counts[:, 2:]])


def chance_level(counts):
    """What agreement would be on the pairs with two voters or more of [P, C] counts, if all chose as often as they do
    but without looking at the pair; None where there is no such pair."""
    several = counts[counts.sum(axis=1) >= 2]
    if not len(several):
        return None
    share = (several + _turned(several)).sum(axis=0) / (2 * several.sum())
    return float((share**2).sum())


def alpha(counts):
    """Krippendorff's nominal alpha (2011) of [P, C] counts, C = 4 or 3; None where nothing varies or no pair has two
    voters.

    Which image of a pair is called the first is a matter of names, so every pair enters in both directions: expected
    disagreement then does not depend on it. The library `krippendorff` computes it, whose memory grows with the pairs;
    from LARGE pairs on the same formula works on the distinct rows of the table.
    """
    counts = counts[counts.sum(axis=1) >= 2]
    if ((counts + _turned(counts)).sum(axis=0) > 0).sum() < 2:
        return None
    if len(counts) >= LARGE:
        kinds, times = distinct(counts)
        return float(_alphas(kinds, times[None])[0])
    import krippendorff

    both = np.vstack([counts, _turned(counts)])
    return float(krippendorff.alpha(value_counts=both, level_of_measurement="nominal"))


def _alphas(kinds, times):
    """Alpha of B tables, whose rows are `kinds` [D, C] as often as `times` [B, D] says; NaN where nothing varies."""
    times, size = times.astype(float), kinds.sum(axis=1)
    observed = 2 * times @ ((size**2 - (kinds**2).sum(axis=1)) / (size - 1))
    seen = times @ (kinds + _turned(kinds))
    total = seen.sum(axis=1)
    expected = (total**2 - (seen**2).sum(axis=1)) / (total - 1)
    return 1 - observed / np.where(expected > 0, expected, math.nan)


def _alpha_with_interval(counts, rng):
    """(alpha, lower, upper). Pairs with the same counts are drawn together: multinomial draws of the distinct rows
    of the table are draws of the pairs."""
    value = alpha(counts)
    kinds, times = distinct(counts)
    if value is None or len(counts) < FEWEST_PAIRS or len(kinds) < 2:
        return value, None, None
    drawn = _alphas(kinds, rng.multinomial(len(counts), times / times.sum(), DRAWS))
    lower, upper = np.nanquantile(drawn, (0.025, 0.975))
    return value, float(min(lower, value)), float(max(upper, value))


def distinct(counts):
    """[P, C] -> (its distinct rows [D, C], how often each occurs [D])."""
    _, at, times = np.unique(_joined(list(counts.T)), return_index=True, return_counts=True)
    return counts[at], times


def shares_of_others(ballots, weight=None):
    """Per ballot: the share of its pair's other voters who chose the same, each weighing `weight` [m] where that is
    given; NaN where there is no other."""
    weight = np.ones(len(ballots.row)) if weight is None else weight
    at = ballots.pair * len(OUTCOMES) + ballots.outcome
    same = np.bincount(at, weight, ballots.pairs * len(OUTCOMES))
    everybody = same.reshape(-1, len(OUTCOMES)).sum(axis=1)
    others = np.bincount(ballots.pair, minlength=ballots.pairs)[ballots.pair] > 1
    rest = np.where(others, everybody[ballots.pair] - weight, 1.0)
    return np.where(others, np.clip((same[at] - weight) / rest, 0.0, 1.0), math.nan)
