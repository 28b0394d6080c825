"""What visitors would meet, by simulation: the same crowd under each policy for making battles, on one GPU.

`on-demand` draws a pair of models for every battle and loads and runs both, as an arena without a bank does.
`resident` does the same, but prefers pairs whose models are in memory already. `bank` is this arena: battles come
from banked images at once, visitors' own prompts are drawn live and go first, and the bank is refilled while the GPU
is idle, by the app's own rule (`arena.wanted.Turns`). Everything is seeded; a policy's only advantage is what it does.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arena.costs import Cost
from arena.simulate.crowd import Traffic, Visitor, crowd
from arena.simulate.machine import Events, Job, Machine
from arena.simulate.stores import Store

POLICIES = ("on-demand", "resident", "bank")
EXPLORE = 0.1  # of the pairs that `resident` draws are drawn from all models: else it would never leave the first two
SERVING = 0.05  # seconds from asking for a banked battle to both pictures, a network's way included
EMPTY = 1.0  # seconds after which a page asks again where the bank has nothing
VOTES = 1000  # for which the error of the ratings is told
ELO = 400 / math.log(10)


@dataclass(frozen=True, slots=True)
class Setup:
    """One GPU of `gpu_gb`, of which `reserve_gb` are not for weights, that loads `load_gb_s` gigabytes a second; a
    bank that begins with `bank_prompts` prompts complete, whose images are good for `uses` battles (None: for any
    number). `hold(seconds, models)` is when a live battle that took so long is shown."""

    gpu_gb: float = 80.0
    reserve_gb: float = 3.0
    load_gb_s: float = 3.0
    bank_prompts: int = 60
    uses: int | None = None
    hold: Callable[[float, tuple[str, ...]], float] = lambda seconds, models: seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy came to. Waits are in seconds, those of visitors who left without a battle included; shares are
    of the simulated time. `elo_error` is the ratings' mean standard error after VOTES votes that are spread over
    the pairs as here; None where some model would not be connected."""

    policy: str
    visitors: int
    served: int
    first_wait: tuple[float, ...]
    live_wait: tuple[float, ...]
    votes: int
    hours: float
    images: int
    generating: float
    loading: float
    pairs: dict[tuple[str, str], int]
    elo_error: float | None

    @property
    def votes_an_hour(self) -> float:
        return self.votes / self.hours

    @property
    def images_a_vote(self) -> float | None:
        return self.images / self.votes if self.votes else None

    @property
    def exposure(self) -> float | None:
        """How often the pair that met most did so, for one meeting of the pair that met least."""
        least = min(self.pairs.values())
        return max(self.pairs.values()) / least if least else None


def simulate(traffic: Traffic, setup: Setup, costs: Sequence[Cost], policy: str, seed: int) -> Outcome:
    """Run one policy. Raises ValueError where the GPU can't hold a model."""
    for cost in costs:
        if cost.memory_gb > setup.gpu_gb - setup.reserve_gb:
            raise ValueError(f"{cost.model} needs {cost.memory_gb:g} GB, but the GPU has "
                             f"{setup.gpu_gb - setup.reserve_gb:g} GB for weights")  # fmt: skip
    return _Run(traffic, setup, costs, policy, seed).outcome()


def pairs_of(costs: Sequence[Cost]) -> list[tuple[str, str]]:
    """Pairs of different families, or all where there is but one family, as `arena.matchmaking` has them by default."""
    every = list(itertools.combinations(sorted(costs, key=lambda cost: cost.model), 2))
    mixed = [pair for pair in every if pair[0].family != pair[1].family]
    return [(a.model, b.model) for a, b in mixed or every]


class _Run:
    def __init__(self, traffic: Traffic, setup: Setup, costs: Sequence[Cost], policy: str, seed: int):
        self.traffic, self.setup, self.policy = traffic, setup, policy
        self.rng = random.Random(f"{policy}/{seed}")
        self.models = [cost.model for cost in costs]
        self.allowed = pairs_of(costs)
        self.events = Events()
        banked = policy == "bank"
        self.machine = Machine(self.events, {cost.model: cost for cost in costs}, setup.gpu_gb - setup.reserve_gb,
                               setup.load_gb_s)  # fmt: skip
        if banked:
            self.machine.hold, self.machine.refill = setup.hold, self._refill
            self.store = Store(self.models, self.allowed, setup.bank_prompts, setup.uses, self.rng)
        self.first: list[float] = []
        self.live: list[float] = []
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.visitors = crowd(traffic, seed)
        visit = self._from_bank if banked else self._from_gpu
        for visitor in self.visitors:
            self.events.at(visitor.at, lambda visitor=visitor: visit(visitor))
        self.events.at(0.0, self.machine.turn)

    def outcome(self) -> Outcome:
        end = self.traffic.hours * 3600
        self.events.run(end)
        waited = [*self.first, *itertools.repeat(math.inf, len(self.visitors) - len(self.first))]
        every = {pair: self.pairs[pair] for pair in self.allowed}
        return Outcome(self.policy, len(self.visitors), len(self.first), tuple(sorted(waited)), tuple(sorted(self.live)),
                       sum(every.values()), self.traffic.hours, self.machine.images, self.machine.generating_s / end,
                       self.machine.loading_s / end, every, elo_error(every))  # fmt: skip

    # -- every battle from the GPU ---------------------------------------------------------------------------

    def _from_gpu(self, visitor: Visitor, k: int = 0) -> None:
        if k == len(visitor.thinks):
            return
        asked, left = self.events.now, []
        pair: list[str] = []

        def models() -> tuple[str, ...]:
            pair.extend(self._pair())
            return tuple(pair)

        def done(_took: float) -> None:
            if left:
                return
            if k == 0:
                self.first.append(self.events.now - asked)
            self._voted(visitor.thinks[k], pair, lambda: self._from_gpu(visitor, k + 1))
            shown.append(True)

        def give_up() -> None:
            if not shown:
                left.append(True)
                self.machine.withdraw(job)

        shown: list[bool] = []
        job = Job(models, done)
        if math.isfinite(visitor.patience):
            self.events.at(asked + visitor.patience, give_up)
        self.machine.submit(job)

    def _pair(self) -> tuple[str, str]:
        if self.policy == "resident" and self.rng.random() >= EXPLORE:
            here = [(a, b) for a, b in self.allowed if a in self.machine.loaded and b in self.machine.loaded]
            if here:
                return self.rng.choice(here)
        return self.rng.choice(self.allowed)

    # -- battles from the bank -------------------------------------------------------------------------------

    def _from_bank(self, visitor: Visitor) -> None:
        """Banked battles one after the other; the battle of an own prompt is the next after it is shown, and who has
        no more to vote on waits for it as long as their patience lasts."""
        seen: set[int] = set()
        thinks = list(visitor.thinks)
        own: list[tuple[str, str]] = []  # the pair of the own prompt, once it can be shown
        state = {"idle": False, "asked": self.events.now, "first": True, "waits_until": math.inf}

        def turn() -> None:
            state["idle"] = False
            if own:
                look(own.pop(), 0.0, visitor.thinks[-1])
            elif thinks:
                drawn = self.store.draw(seen)
                if drawn is None:
                    if self.events.now - state["asked"] < visitor.patience:
                        self.events.at(self.events.now + EMPTY, turn)
                    return
                seen.add(drawn[0])
                self.machine.turn()  # the bank may lack something now
                look(drawn[1:], SERVING, thinks.pop())
            else:
                state.update(idle=True, waits_until=self.events.now + visitor.patience)

        def look(pair: Sequence[str], wait: float, think: float) -> None:
            if state["first"]:
                state["first"] = False
                self.first.append(self.events.now + wait - visitor.at)
            state["asked"] = self.events.now + wait + think
            self._voted(wait + think, pair, turn)

        def shown(pair: tuple[str, str], asked: float) -> None:
            self.live.append(self.events.now - asked)
            self.store.add(pair)
            own.append(pair)
            if state["idle"] and self.events.now <= state["waits_until"]:
                turn()

        if visitor.own_prompt:
            pair, asked = self.rng.choice(self.allowed), self.events.now
            self.machine.submit(Job(lambda: pair, lambda took: shown(pair, asked)))
        turn()

    def _refill(self) -> Job | None:
        some = self.store.next_wanted()
        if not some:
            return None
        models = tuple(model for model, _ in some)
        return Job(lambda: models, lambda took: self.store.put(some), filling=True, lost=lambda: self.store.lose(some))

    def _voted(self, think: float, pair: Sequence[str], then: Callable[[], None]) -> None:
        def vote() -> None:
            self.pairs[tuple(sorted(pair))] += 1
            then()

        self.events.at(self.events.now + think, vote)


def elo_error(pairs: dict[tuple[str, str], int], votes: int = VOTES) -> float | None:
    """The mean standard error of the ratings, in Elo, after `votes` votes spread as `pairs` are, between models that
    are equally strong: the inverse of Bradley-Terry's Fisher information, a quarter of the pairs' Laplacian. None
    where the pairs leave a model unconnected."""
    import numpy as np

    names = sorted({name for pair in pairs for name in pair})
    total = sum(pairs.values())
    laplacian = np.zeros((len(names), len(names)))
    for (a, b), n in pairs.items():
        i, j = names.index(a), names.index(b)
        weight = n / max(1, total) * votes / 4
        laplacian[i, j] = laplacian[j, i] = -weight
        laplacian[i, i] += weight
        laplacian[j, j] += weight
    values = np.linalg.eigvalsh(laplacian)
    if len(names) < 2 or values[1] < 1e-9 * max(1.0, values[-1]):
        return None
    return float(ELO * np.sqrt(np.diag(np.linalg.pinv(laplacian, hermitian=True))).mean())


def quantile(waits: Sequence[float], share: float) -> float | None:
    """The wait that `share` of the sorted `waits` do not exceed; None for none, or where it is "never"."""
    if not waits:
        return None
    found = waits[min(len(waits) - 1, math.ceil(share * len(waits)) - 1)]
    return found if math.isfinite(found) else None


def compare(traffic: Traffic, setup: Setup, costs: Sequence[Cost], policies: Sequence[str], seed: int) -> list[Outcome]:
    """One outcome a policy, of the same crowd."""
    return [simulate(traffic, setup, costs, policy, seed) for policy in policies]
