"""Which two models meet: drawn with a probability that is known and recorded.

Pairs of different families are on offer, or all where every model is of one family. By default each is as likely as
any other. With active sampling a share `floor` of the draws stays uniform, and the others go to pairs in proportion to
how much their next vote narrows the intervals of the ratings, as in Chatbot Arena (Chiang et al., 2024, section 5).
"""

from __future__ import annotations

import random
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

Pair = tuple[str, str]  # two models, in the order of their ids
Gains = Mapping[Pair, float]  # what one more vote on a pair narrows, in any unit; a pair that is not in it is unknown
_REMEMBERED = 1024  # sets of models whose offers are kept


@dataclass(frozen=True, slots=True)
class Offers:
    """The pairs that may be drawn, and the probability of each; `_steps` are the sums of the first ones."""

    pairs: tuple[Pair, ...]
    probabilities: tuple[float, ...]
    _steps: tuple[float, ...]

    def draw(self, rng: random.Random) -> tuple[Pair, float]:
        at = min(bisect_right(self._steps, rng.random() * self._steps[-1]), len(self.pairs) - 1)
        return self.pairs[at], self.probabilities[at]


class Pairing:
    """The rule of an arena with these `families` (model -> family). `gains()` is asked at every draw and must be
    cheap: it returns the same mapping until there is news, or None while nothing is known, and then draws are
    uniform. Without `gains` they always are. Safe to share between threads."""

    def __init__(self, families: Mapping[str, str], *, different_families: bool = True, floor: float = 0.25,
                 gains: Callable[[], Gains | None] | None = None):  # fmt: skip
        self.families, self.different_families, self.floor = dict(families), different_families, floor
        self._gains = gains
        self._known: Gains | None = None
        self._offers: dict[tuple[tuple[str, ...], bool], Offers | None] = {}
        self._lock = threading.Lock()

    def mixed(self, models: Collection[str]) -> bool:
        """Whether only pairs of different families are on offer where these models are to be had."""
        return self.different_families and len({self.families[m] for m in models}) > 1

    def offers(self, models: Sequence[str], *, mixed: bool, without: Collection[Pair] = ()) -> Offers | None:
        """What may be drawn of `models` (sorted), but for the pairs `without`; None where that is nothing."""
        gains, key = self._gains() if self._gains else None, (tuple(models), mixed)
        with self._lock:
            if gains is not self._known or len(self._offers) >= _REMEMBERED:
                self._known = gains
                self._offers.clear()
            if without:
                return self._made(models, mixed, without)
            if key not in self._offers:
                self._offers[key] = self._made(models, mixed, without)
            return self._offers[key]

    def draw(self, rng: random.Random, models: Collection[str]) -> tuple[Pair, float]:
        """Two of `models`, two at least, in the order of their sides, and the probability of the unordered pair."""
        offers = self.offers(sorted(models), mixed=self.mixed(models))
        if offers is None:
            raise ValueError("a battle needs two models")
        (a, b), probability = offers.draw(rng)
        return ((a, b) if rng.random() < 0.5 else (b, a)), probability

    def _made(self, models: Sequence[str], mixed: bool, without: Collection[Pair]) -> Offers | None:
        family = self.families
        pairs = tuple(pair for pair in combinations(models, 2)
                      if pair not in without and not (mixed and family[pair[0]] == family[pair[1]]))  # fmt: skip
        if not pairs:
            return None
        share = 1 / len(pairs)
        known = self._known
        probabilities = [share] * len(pairs)
        if known:
            most = max(known.values())  # of a pair that nobody has met nothing is known yet, so much is to be had
            gains = [max(0.0, known.get(pair, most)) for pair in pairs]
            if total := sum(gains):
                probabilities = [self.floor * share + (1 - self.floor) * gain / total for gain in gains]
        return Offers(pairs, tuple(probabilities), tuple(accumulate(probabilities)))


def draw_models(rng: random.Random, pairing: Pairing, models: Collection[str],
                avoid: Collection[str] = ()) -> tuple[Pair, float]:  # fmt: skip
    """Two models for a live battle in the order of their sides, and the probability of the unordered pair.
    Models in `avoid` (failing just now) are used only where fewer than two others are left."""
    pool = set(models) - set(avoid)
    return pairing.draw(rng, pool if len(pool) >= 2 else models)
