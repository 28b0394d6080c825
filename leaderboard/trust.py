"""Owns trust: a weight for each voter from gold tasks and from agreement with the others, and the board under it.

Off by default, on purpose: where nobody attacks, weights in proportion to agreement throw away good votes of people
with another taste and make a board worse. So a weight falls below 1 only as far as a voter's own record shows, and the
weighted board stands beside the plain one, never in its place. Agreement follows the crowd: where most attack it trusts
them, and only gold tasks help.
"""

from dataclasses import dataclass, replace

import numpy as np

from leaderboard.agreement import ballots as ballots_of
from leaderboard.agreement import chance_level, shares_of_others
from leaderboard.clusters import AUTO, capped, check_known
from leaderboard.gold import FLOOR, gold_weights
from leaderboard.intervals import wilson
from leaderboard.standings import Table, table
from leaderboard.tally import Pairs, tally
from leaderboard.voters import Voters, voters

WITHOUT_WEIGHTS, FALLBACK = ("elo",), "bradley-terry"
ROUNDS = 30  # far more than it takes until the weights stand still


@dataclass(frozen=True)
class Trust:
    """Float64 [V] weights in [FLOOR, 1] of the V `voters`: `weight` is the product of `by_gold` and `by_agreement`,
    each 1 where it was not asked for or nothing is known."""

    voters: Voters
    weight: np.ndarray
    by_gold: np.ndarray
    by_agreement: np.ndarray

    def of_votes(self, votes):
        """Float64 [n]: each vote's weight; 1 for a vote without a voter."""
        known = dict(zip(self.voters.ids, self.weight.tolist(), strict=True))
        return np.array([known.get(name, 1.0) for name in votes.voter.names] + [1.0])[votes.voter.codes]


@dataclass(frozen=True)
class Trusted:
    """The board without weights (`plain`) and with them (`weighted`), both by `method`, and the Trust behind it."""

    method: str
    plain: Table
    weighted: Table
    trust: Trust


def agreement_weights(alike, compared, chance, weight):
    """(u - c) / (m - c), cut to [FLOOR, 1]: u is the upper end of the Wilson interval of the voter's agreement with
    the others (themselves left out), m its mean over all compared votes, each by the `weight` of its voter so far, and
    c the `chance` level. The upper end gives the benefit of the doubt: a voter whose record does not show less
    agreement than usual weighs 1, one without a compared vote too. All weigh 1 where voters do not agree beyond
    chance, for then agreement says nothing of anybody."""
    total = float(weight @ compared)
    usual = float(weight @ alike) / total if total else 0.0
    if chance is None or usual <= chance:
        return np.ones(len(alike))
    upper = np.array([wilson(part, whole)[1] for part, whole in zip(alike.tolist(), compared.tolist(), strict=True)])
    return np.clip((upper - chance) / (usual - chance), FLOOR, 1.0)


def _by_agreement(names, ballots, people, start):
    """Float64 [V]: the agreement weights of Voters. A vote of another counts by the trust in that voter so far, from
    `start` [V] on, and the weights are made again until they stand still; otherwise many who answer at random, or
    against what they see, would pull down those who differ from them."""
    chance = chance_level(ballots.counts())
    place = {name: code for code, name in enumerate(names)}
    known = np.array([name in place for name in people.ids], bool)
    code = np.array([place[name] for name in people.ids if name in place], np.int64)
    weight = np.ones(ballots.voters)
    found = np.ones(len(people))
    for _ in range(ROUNDS):
        weight[code] = (start * found)[known]
        shares = shares_of_others(ballots, weight[ballots.voter])
        compared = ~np.isnan(shares)
        voter = ballots.voter[compared]
        alike = np.bincount(voter, shares[compared], ballots.voters)[code]
        count = np.bincount(voter, minlength=ballots.voters)[code]
        before, found = found, np.ones(len(people))
        found[known] = agreement_weights(alike, count, chance, weight[code])
        if np.abs(found - before).max(initial=0.0) < 1e-6:
            break
    return found


def trust(votes, gold=True, agreement=False):
    """The Trust of the voters of checked votes. By default from gold tasks alone, whose answers are known; agreement
    is used only where asked, since a voter may rightly differ from the crowd."""
    ballots = ballots_of(votes).chosen_by_nobody
    people = voters(votes, ballots)
    by_gold = gold_weights(votes.gold_tasks, people.ids) if gold else np.ones(len(people))
    by_agreement = _by_agreement(votes.voter.names, ballots, people, by_gold) if agreement else np.ones(len(people))
    return Trust(people, np.maximum(FLOOR, by_gold * by_agreement), by_gold, by_agreement)


def trusted(votes, method, seed=0, gold=True, agreement=False, clusters=AUTO, voter_cap=None):
    """The Trusted board of checked votes: counts stay counts of votes, weights enter the ratings and their intervals.
    A method that knows no weights (online Elo) is replaced by Bradley-Terry on both sides. `clusters` and `voter_cap`
    are as for board.build. Raises errors.UnknownChoice."""
    check_known(votes, clusters, voter_cap)
    votes = capped(votes, voter_cap)
    found = trust(votes, gold, agreement)
    method = FALLBACK if method in WITHOUT_WEIGHTS else method
    weight = found.of_votes(votes)
    weighted = replace(votes, weight=weight if votes.weight is None else weight * votes.weight)
    counts = Pairs.of(tally(votes).total())
    plain, other = (
        table(part, counts, method, np.random.default_rng(seed), clusters=clusters) for part in (votes, weighted)
    )
    return Trusted(method, plain, other, found)
