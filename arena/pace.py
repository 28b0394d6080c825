"""When the two pictures of a live battle may be shown, and what is said of it meanwhile, so that time names no model.

Every pair of models has its release time, one of a few, which is later than the pair takes but in rare moments, loading
included. So what a visitor can time depends on the pair alone, whatever was in memory.
Fewer release times tell less and let visitors wait longer: of all choices, the one with the shortest mean wait is taken
among those where somebody who knows every pair's release time, and makes the best guess, names the left model at most
EXCESS more often than without a clock (with 16 models: about 12%, against 6%). Progress and the forecast depend on
nothing but the release times and the clock.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arena.costs import TFLOPS, estimate

if TYPE_CHECKING:
    from arena.config import ModelSettings

EXCESS = 0.0575  # how far the best guess may be above the best without a clock, as a share of battles
MOST_TIMES = 4  # release times; a fifth brings next to nothing
SHORTEST = 0.05  # seconds: no release time is earlier
_CANDIDATES = 40  # expected times among which release times are sought
_KEPT = 24  # of a model's images, and of live battles, so many of the last are remembered
_ENOUGH = 3  # images after which what was expected of a model is forgotten
_SLOW = 0.8  # the share of what is remembered that is quicker than what is expected
_NEWS = 50  # observations between two plans, once each model was seen: release times that stay are forecasts that hold
_UNKNOWN = 2.0  # seconds an image, where nothing says more
_ROOM_GB = 80.0  # for models on a large GPU; how long loading really takes is soon observed
LOAD_GB_S = 2.0  # gigabytes of weights a second, until it is measured

Pair = tuple[str, str]
Pairs = Iterable[tuple[Pair, float]]  # pairs of models with the probability of each


@dataclass(frozen=True, slots=True)
class Plan:
    """Release times in seconds after a battle's drawing began, ascending, the share of battles shown at each, and
    each pair's own (a pair that is not in it has the last)."""

    times: tuple[float, ...]
    shares: tuple[float, ...]
    of_pair: Mapping[frozenset[str], float] = field(default_factory=dict)

    def shown_at(self, took: float, pair: Iterable[str]) -> float:
        """When a battle of this pair is shown whose drawing took so long. Where that was longer than was expected:
        at the next release time, and past the last one at its multiples."""
        return max(self.of_pair.get(frozenset(pair), self.times[-1]), self.next_time(took))

    def next_time(self, elapsed: float) -> float:
        """The first moment from `elapsed` on at which anything may be shown."""
        last = self.times[-1]
        return next((time for time in self.times if elapsed <= time), last * -(-elapsed // last))

    @property
    def mean(self) -> float:
        return sum(time * share for time, share in zip(self.times, self.shares, strict=True))

    def remaining(self, elapsed: float) -> float:
        """The mean wait of those battles that are not shown after `elapsed` seconds."""
        left = [(time, share) for time, share in zip(self.times, self.shares, strict=True) if time > elapsed and share]
        total = sum(share for _, share in left)
        later = self.times[-1] * (1 + elapsed // self.times[-1])
        return (sum(time * share for time, share in left) / total if left else later) - elapsed

    def progress(self, elapsed: float) -> float:
        """0 to 1, the elapsed share of the time that is expected in all; it never goes back."""
        moments = [*(time - 1e-9 for time in self.times if time < elapsed), max(0.0, elapsed)]
        return max(t / (t + self.remaining(t)) if t else 0.0 for t in moments)


AT_ONCE = Plan((SHORTEST,), (1.0,))  # where no model is known there is nothing to tell apart


def evenly(pairs: Iterable[Pair]) -> list[tuple[Pair, float]]:
    pairs = list(pairs)
    return [(pair, 1 / len(pairs)) for pair in pairs]


class Pace:
    """What live battles take here, from what was expected (`seconds`, an image's, and `loads`, to read a model into
    memory) to what is observed. `pairs` are those that may be drawn; by default all, each as likely as any other.
    Safe to share between threads."""

    def __init__(self, seconds: Mapping[str, float], loads: Mapping[str, float] | None = None, *,
                 pairs: Pairs | None = None, excess: float = EXCESS):  # fmt: skip
        self._expected, self._loads, self.excess = dict(seconds), dict(loads or {}), excess
        self.pairs = list(pairs) if pairs is not None else evenly(itertools.combinations(sorted(seconds), 2))
        self._observed: dict[str, deque[float]] = {}
        self._loading: deque[float] = deque(
            maxlen=_KEPT
        )  # what live battles took beside drawing, for what was expected
        self._plan: Plan | None = None
        self._news = 0
        self._lock = threading.Lock()

    @classmethod
    def of_models(cls, models: Sequence[ModelSettings], measured: Mapping[str, float], *,
                  memory_gb: float | None = None, load_gb_s: float = LOAD_GB_S, tflops: float = TFLOPS,
                  different_families: bool = True) -> Pace:  # fmt: skip
        """From rows of arena.yaml and measured seconds; `memory_gb` is what models may take together, None where only
        the device knows. A row that says nothing is taken for a small model."""
        seconds = {m.id: measured.get(m.id, estimate(m, tflops) or _UNKNOWN) for m in models}
        sizes = {m.id: m.memory_gb or 0.0 for m in models}
        all_stay = sum(sizes.values()) <= (memory_gb or _ROOM_GB)
        pairs = list(itertools.combinations(sorted(models, key=lambda m: m.id), 2))
        mixed = [pair for pair in pairs if pair[0].family != pair[1].family] if different_families else pairs
        return cls(seconds, {} if all_stay else {name: size / load_gb_s for name, size in sizes.items()},
                   pairs=evenly((a.id, b.id) for a, b in mixed or pairs))  # fmt: skip

    def observe(self, models: Sequence[str], seconds: Sequence[float], wall: float) -> None:
        """A live battle, or an image for the bank, of `models` came: the pipelines' own `seconds`, and all in all."""
        with self._lock:
            for model, took in zip(models, seconds, strict=True):
                known = self._observed.setdefault(model, deque(maxlen=_KEPT))
                known.append(took)
                self._news += _NEWS if len(known) == _ENOUGH else 1
            expected = sum(self._loads.get(model, 0.0) for model in models)
            if len(models) == 2 and expected:
                self._loading.append(max(0.0, wall - sum(seconds)) / expected)
            if self._news >= _NEWS:
                self._plan, self._news = None, 0

    def plan(self) -> Plan:
        """For a battle that begins now."""
        with self._lock:
            if self._plan is None:
                self._plan = release_times(self._slowest(), self.excess) if self.pairs else AT_ONCE
            return self._plan

    def _slowest(self) -> list[tuple[float, Pair, float]]:
        """(seconds, pair, probability): what a battle of each pair may take."""
        loading = _slow(self._loading) if len(self._loading) >= _KEPT // 2 else 1.0
        one = {}
        for model in {model for pair, _ in self.pairs for model in pair}:
            known = self._observed.get(model, ())
            seconds = _slow(known) if len(known) >= _ENOUGH else max(self._expected.get(model, _UNKNOWN), *known, 0.0)
            one[model] = seconds + loading * self._loads.get(model, 0.0)
        return [(max(SHORTEST, one[a] + one[b]), (a, b), probability) for (a, b), probability in self.pairs]


def _slow(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[round(_SLOW * (len(ordered) - 1))]


def release_times(times: Sequence[tuple[float, Pair, float]], excess: float) -> Plan:
    """The plan of the shortest mean wait under which the best guess of the left model is right at most `excess` more
    often than the best guess without a clock. `times` are (seconds, pair, probability), each pair as likely on either
    side as on the other. All sets of up to MOST_TIMES candidates are compared."""
    import numpy as np

    times = sorted(times)
    seconds = np.array([time for time, _, _ in times])
    models = {model: k for k, model in enumerate(sorted({model for _, pair, _ in times for model in pair}))}
    left = np.zeros((len(times) + 1, len(models)))  # chance that it is shown by then, and this model is on the left
    for k, (_, pair, probability) in enumerate(times):
        left[k + 1] = left[k]
        for model in pair:
            left[k + 1, models[model]] += probability / 2
    last_of = np.flatnonzero(np.append(np.diff(seconds) > 0, True))  # of equal times the last
    ends = last_of[sorted({round(share * (len(last_of) - 1)) for share in np.linspace(0, 1, _CANDIDATES)})]
    to = left[[0, *(end + 1 for end in ends)]] / left[-1].sum()
    between = np.maximum(
        0, to[None] - to[:, None]
    )  # [i, j, model]: shown at the release time j, i being the one before
    told, wait = between.max(axis=2), between.sum(axis=2) * np.concatenate([[0.0], seconds[ends]])[None]
    allowed, last = to[-1].max() + excess + 1e-9, len(ends)
    best, chosen = wait[0, last], (last,)
    for more in range(1, min(MOST_TIMES, last)):
        # One axis a release time before the last; what is not ascending is not allowed.
        grids = np.meshgrid(*[np.arange(1, last)] * more, indexing="ij", sparse=True)
        steps = list(itertools.pairwise([np.array(0), *grids, np.array(last)]))
        cost = sum(wait[i, j] for i, j in steps)
        cost = np.where(sum(told[i, j] for i, j in steps) <= allowed, cost, np.inf)
        for i, j in steps:
            cost = np.where(i < j, cost, np.inf)
        found = np.unravel_index(np.argmin(cost), cost.shape)
        if cost[found] < best - 1e-9:
            best, chosen = cost[found], (*(int(k) + 1 for k in found), last)
    release = [float(seconds[ends[k - 1]]) for k in chosen]
    shares = [float((to[j] - to[i]).sum()) for i, j in itertools.pairwise((0, *chosen))]
    of_pair = {frozenset(pair): next(at for at in release if time <= at) for time, pair, _ in times}
    return Plan(tuple(release), tuple(shares), of_pair)
