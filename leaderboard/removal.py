"""Owns one search: the fewest votes whose removal turns the Bradley-Terry order of two models.

The smallest set exactly would need a search over all subsets, so it is approximated. Votes are alike within a cell
(who met whom, who won). To first order one vote less of a cell that scored w for i against j moves the difference of
the strengths of x and y by -(w - p_ij)(g_i - g_j), with g the inverse information times (e_x - e_y): the infinitesimal
jackknife, used for dropping data by Broderick, Giordano & Meager (2020) and for arenas by Huang, Shen, Wei & Broderick
(2025). The cells of greatest effect are emptied first, the strengths fitted anew without them, and the effects taken
again there, until the choice no longer changes; small answers are compared with their neighbours too. Every answer is
confirmed by an exact fit without these votes, so it is a number that suffices; that no smaller one would is not proven.

Where the removal leaves the likelihood without a maximum, y stands above x when a chain of scores leads from y to x
and none leads back: the difference of their strengths is beyond any bound.
"""

import numpy as np

from leaderboard import errors
from leaderboard.ratings import reachable

TOLERANCE = 1e-10  # of a fit: the largest gradient, as a share of a model's battles
EQUAL = 1e-7  # log odds: a smaller difference is a tie (1.7e-5 points), not an order
ROUNDS = 24  # of choosing votes and fitting anew, for one pair of models;
STRAIGHT = 6  # of these, first rounds that trust the effects; later ones halve what is left
FEW_VOTES, FEW_CELLS = 12, 200  # up to here the neighbours of an answer are tried too,
NEIGHBOURS, NEAR_CELLS = 24, 8  # so many of them, made with the so many most helpful cells


class Search:
    """The table of K strongly connected models by C cells: `count` [C] votes of `weight` [C] each, in which model
    `first` [C] scored `score` [C] (1, or 0.5 in a draw) against model `second` [C].

    `strength` [K] are the log strengths of all votes; `distance` [K, K] their differences, in votes of full effect.
    """

    def __init__(self, pairs, weighted=None):
        weighted = weighted or pairs
        won, drawn = pairs.wins.nonzero(), np.triu(pairs.draws).nonzero()
        self.first, self.second = (np.concatenate(part) for part in zip(won, drawn, strict=True))
        self.count = np.concatenate([pairs.wins[won], pairs.draws[drawn]])
        self.weight = np.concatenate([weighted.wins[won], weighted.draws[drawn]]) / self.count
        self.score = np.repeat([1.0, 0.5], [len(won[0]), len(drawn[0])])
        self.scores, self.battles = weighted.score.sum(axis=1), weighted.battles
        self.edges = pairs.score > 0
        self.strength, information = _fit(self.scores, self.battles, np.zeros(len(self.scores)))
        self.inverse = np.linalg.inv(information)
        variance = np.diag(self.inverse)
        variance = variance[:, None] + variance - 2 * self.inverse + np.eye(len(variance))
        self.distance = (self.strength[:, None] - self.strength) / variance

    def effects(self, strength, direction):
        """By how much the difference falls with one vote less of each cell, [C]."""
        expected = 1.0 / (1.0 + np.exp(strength[self.second] - strength[self.first]))
        return self.weight * (self.score - expected) * (direction[self.first] - direction[self.second])

    def helpful(self, effects):
        """The cells whose votes hold the order up, greatest effect first."""
        cells = np.flatnonzero(effects > 0)
        return cells[np.argsort(-effects[cells])]

    def enough(self, order, effects, gap):
        """How many votes, taken in this order of cells, bring down `gap` by these effects; inf where all do not."""
        if gap < 0:
            return 0.0
        count = self.count[order]
        fallen = np.cumsum(effects[order] * count)
        at = int(np.searchsorted(fallen, gap, side="right"))
        if at == len(order):
            return np.inf
        return count[:at].sum() + np.floor((gap - (fallen[at - 1] if at else 0.0)) / effects[order[at]]) + 1.0

    def choose(self, order, votes):
        """So many votes to remove, taken in this order of cells, as counts a cell [C]."""
        count = self.count[order]
        chosen = np.zeros(len(self.count))
        chosen[order] = np.clip(votes - (np.cumsum(count) - count), 0.0, count)
        return chosen

    def expected(self, upper, lower):
        """How many votes the first-order effects at the present ratings ask for; inf where all would not do."""
        effects = self.effects(self.strength, self.inverse[upper] - self.inverse[lower])
        return self.enough(self.helpful(effects), effects, self.strength[upper] - self.strength[lower] + EQUAL)

    def without(self, removed, upper, lower, start):
        """(turned, strength, direction) of an exact fit without these votes.

        `turned`: lower stands above upper; strength is None where the two have no finite difference any more.
        """
        cells = removed.nonzero()[0]
        first, second, gone = self.first[cells], self.second[cells], removed[cells] * self.weight[cells]
        battles = self.battles.copy()
        np.subtract.at(battles, (first, second), gone)
        np.subtract.at(battles, (second, first), gone)
        size = len(self.scores)
        scores = self.scores - np.bincount(first, gone * self.score[cells], size)
        scores -= np.bincount(second, gone * (1.0 - self.score[cells]), size)
        if (removed[cells] == self.count[cells]).any():
            left = self.count - removed
            edges = np.zeros((size, size), bool)
            edges[self.first[left > 0], self.second[left > 0]] = True
            draws = (left > 0) & (self.score == 0.5)
            edges[self.second[draws], self.first[draws]] = True
            if (edges != self.edges).any():
                reach = reachable(edges)
                if not (reach[upper, lower] and reach[lower, upper]):
                    return bool(reach[lower, upper]), None, None
                inside = reach[upper] & reach[:, upper]
                if not inside.all():
                    outside = ~inside
                    battles[outside] = battles[:, outside] = 0.0
                    kept = left * self.weight * (inside[self.first] & inside[self.second])
                    scores = np.bincount(self.first, kept * self.score, size)
                    scores += np.bincount(self.second, kept * (1.0 - self.score), size)
        strength, information = _fit(scores, battles, start)
        towards = np.zeros(size)
        towards[[upper, lower]] = 1.0, -1.0
        direction = np.linalg.solve(information, towards)
        return strength[upper] - strength[lower] < -EQUAL, strength, direction

    def overtake(self, upper, lower):
        """The fewest votes found whose removal puts `lower` above `upper`: counts a cell [C], and whether the two
        have no finite difference then. None where nothing was found."""
        best, unbounded = None, False
        removed, strength = np.zeros(len(self.count)), self.strength
        direction = self.inverse[upper] - self.inverse[lower]
        too_few, tried = 0.0, set()
        for turn in range(ROUNDS):
            effects = self.effects(strength, direction)
            order = self.helpful(effects)
            most = self.count[order].sum() if best is None else best.sum() - 1
            if most < 1:
                break
            gap = strength[upper] - strength[lower] + EQUAL + float(removed @ effects)
            votes = min(max(self.enough(order, effects, gap), too_few + 1), most)
            if turn >= STRAIGHT and most > too_few:
                votes = np.ceil((too_few + most) / 2)
            chosen = self.choose(order, votes)
            if chosen.tobytes() in tried:
                if too_few >= most:
                    break
                too_few = max(too_few, votes)
                continue
            tried.add(chosen.tobytes())
            turned, new, towards = self.without(chosen, upper, lower, strength)
            if turned:
                best, unbounded = chosen, new is None
                too_few = min(too_few, votes - 1)
            else:
                too_few = max(too_few, votes)
            if new is not None:
                removed, strength, direction = chosen, new, towards
        cut = self._cut(upper, lower, most=np.inf if best is None else best.sum() - 1)
        if cut is not None:
            best, unbounded = cut, True
        while best is not None and best.sum() <= FEW_VOTES and len(best) <= FEW_CELLS:
            effects = self.effects(strength, direction)
            for chosen in self._one_less(best, effects):
                turned, new, towards = self.without(chosen, upper, lower, strength)
                if turned:
                    best, unbounded = chosen, new is None
                    strength, direction = (strength, direction) if new is None else (new, towards)
                    break
            else:
                break
        return None if best is None else (best, unbounded)

    def _cut(self, upper, lower, most):
        """The smaller of two plain ways, if one works within `most` votes: nobody scored against `lower`, or `upper`
        against nobody."""
        draw = self.score == 0.5
        ways = [(self.second == lower) | (draw & (self.first == lower)),
                (self.first == upper) | (draw & (self.second == upper))]  # fmt: skip
        for removed in sorted((np.where(way, self.count, 0.0) for way in ways), key=np.sum):
            if removed.sum() <= most and self.without(removed, upper, lower, self.strength)[0]:
                return removed
        return None

    def _one_less(self, removed, effects):
        """Neighbours of a choice with one vote fewer, most promising first: one vote back, or two back for another."""
        back = removed.nonzero()[0]
        single = np.eye(len(removed))
        found = [removed - single[cell] for cell in back]
        for fewer in list(found):
            for other in self.helpful(effects)[:NEAR_CELLS]:
                if fewer[other] < self.count[other]:
                    found += [fewer - single[cell] + single[other] for cell in back if fewer[cell] and cell != other]
        return sorted({one.tobytes(): one for one in found}.values(), key=lambda one: -float(one @ effects))[
            :NEIGHBOURS
        ]


def _fit(scores, battles, start, most_steps=200):
    """Log strengths [K] by Newton's method from `start`, and the information [K, K] there, made regular.

    `scores` [K] are wins and half the draws, `battles` [K, K] the meetings; a model without any keeps its strength.
    """
    strength, met = start.copy(), battles.sum(axis=1)
    idle, size = np.flatnonzero(met < 1e-9), len(met)
    met[idle] = 1.0
    for _ in range(most_steps):
        expected = 1.0 / (1.0 + np.exp(strength - strength[:, None]))
        weight = battles * expected
        gradient = scores - weight.sum(axis=1)
        weight *= 1.0 - expected
        information = -weight
        information.flat[:: size + 1] += weight.sum(axis=1)
        information += information.trace() / size**2
        information[idle, idle] += 1.0
        if np.abs(gradient / met).max() < TOLERANCE:
            return strength, information
        step = np.linalg.solve(information, gradient)
        strength = strength + step * min(1.0, 1.0 / np.abs(step).max())
    raise errors.NotConverged(f"votes removed: no convergence in {most_steps} steps on {size} models")
