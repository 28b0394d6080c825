"""Time tells nobody which models draw: an attacker against the real studio, on a clock that runs as fast as we like.

Sixteen models with the sizes and speeds of arena.gpu.yaml's draw live battles: loads and evictions on a GPU of 80 GB,
times that vary by a tenth. The attacker knows all of it, trains on thousands of battles of which they know the models,
sees every event of theirs and when it came, and names the left model of others.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from arena.backends.base import Generated, Request
from arena.config import load_config
from arena.costs import costs
from arena.jobs import TICK, Drawn, LiveJob
from arena.pace import AT_ONCE, EXCESS, Pace, evenly, release_times
from arena.simulate.machine import Events, Machine
from arena.simulate.traffic import pairs_of
from arena.studio import Studio

ROSTER = load_config(Path(__file__).parents[2] / "arena.gpu.yaml").contenders
ROWS = {row.id: row.model_copy(update={"backend": "gpu"}) for row in ROSTER}
COSTS = costs(ROSTER, {})
PAIRS = pairs_of(COSTS)
WANTED = 0.13  # of the left models named at most; by chance it is 0.0625
BATTLES = 6000  # half of them to learn from, half to be named


class Bench:
    """A studio without its thread, models without weights, and the visitor who looks at each tick."""

    def __init__(self, seed: int, pace: Pace | None = None):
        self.rng, self.now = random.Random(seed), 0.0
        self.machine = Machine(Events(), {c.model: c for c in COSTS}, 77, 3)
        self.costs = {c.model: c for c in COSTS}
        self.drawn = 0.0
        pace = pace or Pace.of_models(ROSTER, {}, memory_gb=77, load_gb_s=3)
        self.studio = Studio({"gpu": self}, pace=pace, clock=lambda: self.now)

    def generate(self, requests, *, progress, cancelled):
        made, began = [], self.now
        for request in self.rng.sample(requests, len(requests)):  # in any order
            self.now += self.machine._load(request.model.id) * self.rng.uniform(0.9, 1.2)
            took = self.costs[request.model.id].seconds * self.rng.lognormvariate(0, 0.1)
            self.now += took
            made.append(Generated(None, took, {}, "r", "GPU"))
        self.drawn += self.now - began
        return made

    def close(self):
        pass

    def battle(self, pair: tuple[str, str] | None = None, *, every_tick: bool = False):
        """The left model, and what the visitor saw: (seconds since the request, event). They look now and then, or
        `every_tick`, and at every moment at which pictures may come."""
        pair = list(pair or self.rng.choice(PAIRS))
        self.rng.shuffle(pair)
        asked = self.now
        job = LiveJob("visitor", lambda cancelled: self._work(pair))
        self.studio.submit(job)
        assert self.studio.step() and job.phase == "drawing"
        # The thread drew, and the clock ran on; now it goes back, and the visitor looks at what happened since.
        end, self.now, seen = self.now, asked, []
        while job.phase == "drawing":
            if event := self.studio.event(job):
                seen += [(self.now - asked, event)] if not seen or event != seen[-1][1] else []
            gone = self.now - asked
            looks = gone + TICK if every_tick else next((t for t in (1, 5, 20, 60) if t > gone + 1e-6), gone + 60)
            if job.plan is AT_ONCE:  # which has nothing to say before
                self.now, looks = job.due, 0
            self.now = max(self.now, asked + min(looks, job.plan.next_time(gone + 1e-6)))
            self.studio._show_due()
        seen.append((self.now - asked, self.studio.event(job)))
        assert self.now >= end, "nothing is shown before it is made"
        self.now += self.rng.expovariate(1 / 20)
        return pair[0], seen

    def _work(self, pair):
        self.studio.generate([Request(ROWS[m], "p", 0) for m in pair], lambda share: None, lambda: False)
        return Drawn(tuple(pair), lambda: {"battle": {}})


def watched(pace: Pace | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What can be made of BATTLES battles, a row each, and their left models."""
    bench = Bench(1, pace)
    for _ in range(400):  # the pace learns what is true here
        bench.battle()
    left, seen = zip(*(bench.battle() for _ in range(BATTLES)), strict=True)
    return np.array([features(one) for one in seen]), np.array(left)


def features(seen) -> list[float]:
    """All that came and when: the last's time and its part of a tick, how many events, forecasts and progress."""
    times = [time for time, _ in seen]
    first, late = seen[0][1], seen[-2][1]
    return [times[-1], times[-1] % TICK, len(seen), first["eta"], late["eta"], late["progress"],
            max(b - a for a, b in itertools.pairwise(times))]  # fmt: skip


def named(guesses, truth) -> float:
    return statistics.fmean(guess == left for guess, left in zip(guesses, truth, strict=True))


def bucket(seconds: float) -> int:
    return round(20 * math.log(seconds))


def attack(rows: np.ndarray, left: np.ndarray) -> dict[str, float]:
    """How often each attacker is right on the second half, having learnt the first."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neighbors import KNeighborsClassifier

    half = len(rows) // 2
    train, test = slice(half), slice(half, None)
    boosted = HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=8, early_stopping=False, random_state=0)
    nearest = KNeighborsClassifier(50)
    bayes: dict[int, Counter] = {}
    for row, model in zip(rows[train], left[train], strict=True):
        bayes.setdefault(bucket(row[0]), Counter())[model] += 1
    prior = Counter(left[train]).most_common(1)[0][0]
    guessed = [bayes[at].most_common(1)[0][0] if (at := bucket(row[0])) in bayes else prior for row in rows[test]]
    return {
        "bayes": named(guessed, left[test]),
        "boosting": named(boosted.fit(rows[train], left[train]).predict(rows[test]), left[test]),
        "nearest": named(nearest.fit(rows[train][:, :1], left[train]).predict(rows[test][:, :1]), left[test]),
    }


def test_an_attacker_with_every_time_names_the_left_model_no_better_than_promised():
    found = attack(*watched())
    assert max(found.values()) <= WANTED, found
    bare = attack(*watched(Pace({})))
    assert max(bare.values()) > 0.16, f"without release times the same attackers do well: {bare}"


def test_until_the_pictures_come_all_pairs_look_the_same():
    """Stronger than any classifier: of any two battles the events agree in content and time, tick by tick, until one
    of them is shown, and those of one release time agree to the end."""
    streams: dict[float, list] = {}
    for k, pair in enumerate(random.Random(0).sample(PAIRS, 12)):
        bench = Bench(k)
        seen = [(round(at, 6), {**event, "ticket": ""}) for at, event in bench.battle(pair, every_tick=True)[1]]
        assert streams.setdefault(seen[-1][0], seen) == seen
    assert len(streams) > 1
    for one, other in itertools.combinations(streams.values(), 2):
        both = min(one[-1][0], other[-1][0])
        assert [e for e in one if e[0] < both] == [e for e in other if e[0] < both]


def test_the_forecast_is_right_on_average():
    """At the beginning, and for those who still wait later on."""
    bench = Bench(3)
    for _ in range(400):
        bench.battle()
    early, late = [], []
    for _ in range(1500):
        _, seen = bench.battle()
        early.append((seen[0][1]["eta"], seen[-1][0]))
        late += [(event["eta"], seen[-1][0] - at) for at, event in seen[1:-1] if at == 20]
    for told in (early, late):
        assert statistics.fmean(eta for eta, _ in told) == pytest.approx(statistics.fmean(t for _, t in told), rel=0.1)


def test_the_wait_that_this_costs():
    """Release times are no later than they must be: under twice the time that drawing takes, for sixteen models of
    which the slowest takes over a hundred times as long as the quickest."""
    bench, shown, drew = Bench(4), [], []
    for _ in range(2000):
        before = bench.drawn
        _, seen = bench.battle()
        shown.append(seen[-1][0])
        drew.append(bench.drawn - before)
    assert statistics.fmean(shown[400:]) < 2 * statistics.fmean(drew[400:])


def test_a_plan_is_the_best_of_all_that_keep_the_bound():
    """Against all ways to cut a few pairs into release times."""
    rng = random.Random(5)
    for _ in range(20):
        names = "abcdef"
        pairs = evenly(itertools.combinations(names, 2))
        times = sorted((round(rng.lognormvariate(1, 1), 3), pair, p) for pair, p in pairs)
        found = release_times(times, EXCESS)
        best = min(cost(times, cuts) for n in range(4) for cuts in itertools.combinations(range(1, 15), n)
                    if leak(times, cuts) <= 1 / 6 + EXCESS + 1e-9)  # fmt: skip
        assert found.mean == pytest.approx(best)
        assert all(time <= found.of_pair[frozenset(pair)] for time, pair, _ in times)
        assert sum(found.shares) == pytest.approx(1) and list(found.times) == sorted(found.times)


def parts(times, cuts):
    return [times[a:b] for a, b in itertools.pairwise((0, *cuts, len(times)))]


def cost(times, cuts) -> float:
    return sum(part[-1][0] * p for part in parts(times, cuts) for _, _, p in part)


def leak(times, cuts) -> float:
    return sum(
        max(Counter(m for _, pair, _ in part for m in pair).values()) * part[0][2] / 2 for part in parts(times, cuts)
    )


def test_four_quick_models_share_one_release_time():
    plan = Pace({"a": 0.3, "b": 0.35, "c": 0.6, "d": 0.62}).plan()
    assert plan.times == (pytest.approx(1.22),) and plan.shares == (pytest.approx(1.0),)


def test_progress_never_goes_back_and_the_wait_never_ends_early():
    plan = Pace.of_models(ROSTER, {}, memory_gb=77, load_gb_s=3).plan()
    moments = np.linspace(0, 3 * plan.times[-1], 4000)
    progress = [plan.progress(t) for t in moments]
    assert progress[0] == 0 and max(progress) <= 1 and np.diff(progress).min() > -1e-9
    assert all(plan.remaining(t) > 0 for t in moments)
    assert all(plan.next_time(t) >= t for t in moments)
    late = plan.times[-1] * 1.5
    assert plan.shown_at(late, PAIRS[0]) == pytest.approx(2 * plan.times[-1]), (
        "what takes too long, at the next multiple"
    )


def test_what_is_observed_takes_the_place_of_what_was_expected():
    pace = Pace({"a": 10.0, "b": 10.0, "c": 10.0})
    assert pace.plan().times == (20.0,)
    for model in "abc":
        for _ in range(3):
            pace.observe([model], [0.5], 0.6)
    assert pace.plan().times == (1.0,)


def test_from_the_bank_time_names_nobody(make_arena, fill):
    """The real service on real files, in this process, where nothing but the code can differ between models."""
    import time

    names = [f"model-{k:02}" for k in range(16)]
    arena = make_arena(models=[{"id": name, "name": name, "organisation": "Org", "family": name, "licence": "x",
                                "backend": "fake", "source": "x"} for name in names],
                       categories=[{"name": "A", "prompts": [{"prompt": f"prompt {k}"} for k in range(12)]}],
                       limits={"votes_per_minute": 1e6})  # fmt: skip
    fill(arena)

    def timed(day: int) -> tuple[np.ndarray, np.ndarray]:
        rows, left = [], []
        for k in range(800):
            began = time.perf_counter()
            battle = arena.next_battle(f"voter {k} of day {day}")
            told = time.perf_counter()
            for token in (battle.token_a, battle.token_b):
                arena.image(token)
            rows.append([told - began, time.perf_counter() - told])
            left.append(arena.ledger.battle(battle.battle_id).image_a.model)
        return np.array(rows), np.array(left)

    most = 1 / 16 + 4 * (1 / 16 / 400) ** 0.5  # four standard deviations of chance
    for day in range(4):  # chance is beyond that once in some thousand days; what tells of a model is so every day
        found = attack(*timed(day))
        if max(found.values()) <= most:
            break
    assert max(found.values()) <= most, found
