"""When the two pictures of a live battle may be shown, and what is said of it meanwhile, so that time names no model.

A battle that took so long is shown at the next of a few release times, which are the same for every pair. Fewer
release times tell less and let visitors wait longer: of all choices, the one with the shortest mean wait is taken
among those where somebody who knows every model's speed, sees exactly when the pictures come, and makes the best
guess, names the left model at most EXCESS more often than by chance (with 16 models: 12.5%, and by chance 6.25%).
Progress and the forecast depend on nothing but these times and the clock.
"""

from __future__ import annotations

import itertools
import statistics
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena.costs import TFLOPS, estimate

if TYPE_CHECKING:
    from arena.config import ModelSettings

EXCESS = 1 / 16  # how far the best guess may be above chance, as a share of battles
MARGIN = 1.2  # the last release time, for the longest time that is expected: machines have slow moments
MOST_TIMES = 4  # release times; a fifth brings next to nothing
SHORTEST = 0.05  # seconds: no release time is earlier
_CANDIDATES = 40  # expected times among which release times are sought
_KEPT = 24  # of a model's images so many of the last are remembered
_ENOUGH = 3  # images after which what was expected of a model is forgotten
_UNKNOWN = 2.0  # seconds an image, where nothing says more
LOAD_GB_S = 2.0  # gigabytes of weights a second, until it is measured

Pairs = Iterable[tuple[tuple[str, str], float]]  # pairs of models with the probability of each


@dataclass(frozen=True, slots=True)
class Plan:
    """Release times in seconds after a battle's drawing began, ascending, and the share of battles shown at each."""

    times: tuple[float, ...]
    shares: tuple[float, ...]

    def shown_at(self, took: float) -> float:
        """When a battle is shown whose drawing took so long; past the last time, at its multiples."""
        return next((time for time in self.times if took <= time), self._beyond(took))

    @property
    def mean(self) -> float:
        return sum(time * share for time, share in zip(self.times, self.shares, strict=True))

    def remaining(self, elapsed: float) -> float:
        """The mean wait of those battles that are not shown after `elapsed` seconds."""
        left = [(time, share) for time, share in zip(self.times, self.shares, strict=True) if time > elapsed and share]
        total = sum(share for _, share in left)
        return sum(time * share for time, share in left) / total - elapsed if left else self._beyond(elapsed) - elapsed

    def progress(self, elapsed: float) -> float:
        """0 to 1, the elapsed share of the time that is expected in all; it never goes back."""
        moments = [*(time - 1e-9 for time in self.times if time < elapsed), max(0.0, elapsed)]
        return max(t / (t + self.remaining(t)) if t else 0.0 for t in moments)

    def _beyond(self, elapsed: float) -> float:
        return self.times[-1] * (1 + elapsed // self.times[-1])


AT_ONCE = Plan((SHORTEST,), (1.0,))  # where no model is known there is nothing to tell apart


def evenly(pairs: Iterable[tuple[str, str]]) -> list[tuple[tuple[str, str], float]]:
    pairs = list(pairs)
    return [(pair, 1 / len(pairs)) for pair in pairs]


class Pace:
    """What live battles take here, from what was expected (`seconds`, an image's; `loads`, the seconds to load a
    model, with the chance that it must be) to what is observed. `pairs()` are those that may be drawn; by default
    all, each as likely as any other. Safe to share between threads."""

    def __init__(self, seconds: Mapping[str, float], loads: Mapping[str, tuple[float, float]] | None = None, *,
                 pairs: Callable[[], Pairs] | None = None, excess: float = EXCESS):  # fmt: skip
        self._expected, self._loads, self.excess = dict(seconds), dict(loads or {}), excess
        self.pairs = pairs or (lambda: evenly(itertools.combinations(sorted(self._expected), 2)))
        self._observed: dict[str, deque[float]] = {}
        self._overheads: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # (observed, expected) of live battles
        self._plan: Plan | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_models(cls, models: Sequence[ModelSettings], measured: Mapping[str, float], *,
                  memory_gb: float | None = None, load_gb_s: float = LOAD_GB_S, tflops: float = TFLOPS,
                  different_families: bool = True) -> Pace:  # fmt: skip
        """From rows of arena.yaml and measured seconds; `memory_gb` is what models may take together, None for
        enough. A row that says nothing is taken for a small model."""
        seconds = {m.id: measured.get(m.id, estimate(m, tflops) or _UNKNOWN) for m in models}
        sizes = {m.id: m.memory_gb or 0.0 for m in models}
        away = max(0.0, 1 - memory_gb / sum(sizes.values())) if memory_gb and sum(sizes.values()) else 0.0
        pairs = list(itertools.combinations(sorted(models, key=lambda m: m.id), 2))
        mixed = [pair for pair in pairs if pair[0].family != pair[1].family] if different_families else pairs
        even = evenly((a.id, b.id) for a, b in mixed or pairs)
        return cls(seconds, {name: (size / load_gb_s, away) for name, size in sizes.items()}, pairs=lambda: even)

    def observe(self, models: Sequence[str], seconds: Sequence[float], wall: float) -> None:
        """A live battle, or an image for the bank, of `models` came: the pipelines' own `seconds`, and all in all."""
        with self._lock:
            for model, took in zip(models, seconds, strict=True):
                self._observed.setdefault(model, deque(maxlen=_KEPT)).append(took)
            if len(models) == 2:
                expected = sum(load * away for load, away in (self._loads.get(m, (0.0, 0.0)) for m in models))
                self._overheads.append((max(0.0, wall - sum(seconds)), expected))
            self._plan = None

    def plan(self) -> Plan:
        """For a battle that begins now."""
        with self._lock:
            if self._plan is None:
                times = self._times()
                self._plan = release_times(times, self.excess) if times else AT_ONCE
            return self._plan

    def shown_at(self, took: float) -> float:
        return self.plan().shown_at(took)

    def _times(self) -> list[tuple[float, tuple[str, str], float]]:
        """(seconds, pair, probability): what a battle may take, three moods a model, loaded already or not."""
        observed, expected = (
            (sum(column) for column in zip(*self._overheads, strict=True)) if self._overheads else (0, 0)
        )
        slower = observed / expected if expected else 1.0
        found = []
        for (a, b), probability in self.pairs():
            for (first, p), (second, q) in itertools.product(self._of(a, slower), self._of(b, slower)):
                found.append((first + second, (a, b), probability * p * q))
        return found

    def _of(self, model: str, slower: float) -> list[tuple[float, float]]:
        """(seconds, probability) of one image of the model, loading included."""
        known = self._observed.get(model, ())
        if len(known) >= _ENOUGH:
            ordered = sorted(known)
            seconds = [ordered[round(share * (len(ordered) - 1))] for share in (1 / 6, 1 / 2, 5 / 6)]
        else:
            seconds = [statistics.fmean(known)] if known else [self._expected.get(model, _UNKNOWN)]
        load, away = self._loads.get(model, (0.0, 0.0))
        states = [(0.0, 1 - away), (slower * load, away)] if load and away else [(0.0, 1.0)]
        return [(took + wait, share / len(seconds)) for took in seconds for wait, share in states]


def release_times(times: Sequence[tuple[float, tuple[str, str], float]], excess: float) -> Plan:
    """The plan of the shortest mean wait under which the best guess of the left model is right at most `excess` more
    often than the best guess without any clock. `times` are (seconds, pair, probability), each pair on either side
    equally likely. All sets of up to MOST_TIMES candidates are compared."""
    import numpy as np

    times = sorted(times)
    models = sorted({model for _, pair, _ in times for model in pair})
    at = {model: k for k, model in enumerate(models)}
    ends = sorted({round(share * (len(times) - 1)) for share in np.linspace(0, 1, _CANDIDATES)})
    seconds = np.array([times[end][0] for end in ends])
    seconds[-1] *= MARGIN
    seconds = np.maximum(seconds, SHORTEST)
    ends, seconds = _without_twins(ends, seconds)
    left = np.zeros((len(times) + 1, len(models)))  # chance that it took up to so long, and this model is on the left
    for k, (_, pair, probability) in enumerate(times):
        left[k + 1] = left[k]
        for model in pair:
            left[k + 1, at[model]] += probability / 2
    to = left[[0, *(end + 1 for end in ends)]]
    total = to[-1].sum()
    told = np.maximum(0, to[None] - to[:, None]).max(axis=2) / total  # [i, j]: right guesses between two ends
    wait = (to[None] - to[:, None]).sum(axis=2) / total * np.concatenate([[0.0], seconds])[None]
    allowed, last = to[-1].max() / total + excess + 1e-9, len(ends)
    best, chosen = wait[0, last], (last,)
    for more in range(1, min(MOST_TIMES, last)):
        # One axis a release time before the last; what is not ascending is not allowed.
        grids = np.meshgrid(*[np.arange(1, last)] * more, indexing="ij", sparse=True)
        path = [np.array(0), *grids, np.array(last)]
        steps = list(itertools.pairwise(path))
        leak = sum(told[i, j] for i, j in steps)
        cost = sum(wait[i, j] for i, j in steps)
        rising = np.ones_like(leak, dtype=bool)
        for i, j in steps:
            rising &= i < j
        cost = np.where(rising & (leak <= allowed), cost, np.inf)
        found = np.unravel_index(np.argmin(cost), cost.shape)
        if cost[found] < best - 1e-9:
            best, chosen = cost[found], (*(int(k) + 1 for k in found), last)
    shares = [float((to[j] - to[i]).sum() / total) for i, j in itertools.pairwise((0, *chosen))]
    return Plan(tuple(float(seconds[k - 1]) for k in chosen), tuple(shares))


def _without_twins(ends, seconds):
    """Of candidates with equal times, the last: only then is everything of that time before it."""
    keep = [k for k in range(len(ends)) if k == len(ends) - 1 or seconds[k + 1] > seconds[k]]
    return [ends[k] for k in keep], seconds[keep]
