"""Simulated visitors: when they come, how long they look, what they ask for, when they have waited enough."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

_SPREAD = 0.7  # of the logarithm of thinking times and of patience: some are thrice as quick as others


@dataclass(frozen=True, slots=True)
class Traffic:
    """Visitors come in bursts of Poisson many, evenly over a burst's length, and alone in between. Times are in the
    unit of their names; `patience` (seconds, the median) may be infinite."""

    hours: float = 6.0
    bursts_per_hour: float = 1.0
    burst_visitors: float = 60.0
    burst_minutes: float = 10.0
    visitors_per_hour: float = 10.0
    battles: float = 12.0  # that a visitor would vote on, on average
    think_seconds: float = 8.0  # between battle and vote, on average
    patience_seconds: float = 60.0
    own_prompts: float = 0.2  # the share of visitors who type a prompt of their own


@dataclass(frozen=True, slots=True)
class Visitor:
    at: float  # seconds since the beginning
    thinks: tuple[float, ...]  # one a battle
    patience: float
    own_prompt: bool


def crowd(traffic: Traffic, seed: int) -> list[Visitor]:
    """Who comes, in order of arrival; every policy meets the same people."""
    rng = random.Random(f"crowd/{seed}")
    end = traffic.hours * 3600
    arrivals = list(_poisson(rng, traffic.visitors_per_hour / 3600, end))
    for burst in _poisson(rng, traffic.bursts_per_hour / 3600, end):
        long = traffic.burst_minutes * 60
        arrivals += [burst + t for t in _poisson(rng, traffic.burst_visitors / long, long) if burst + t < end]
    return [_visitor(rng, traffic, at) for at in sorted(arrivals)]


def _poisson(rng: random.Random, rate: float, end: float):
    """Times of a Poisson process of `rate` a second in [0, end)."""
    now = 0.0
    while rate > 0 and (now := now + rng.expovariate(rate)) < end:
        yield now


def _visitor(rng: random.Random, traffic: Traffic, at: float) -> Visitor:
    more = traffic.battles - 1  # geometric: after every battle the same chance to leave
    battles = 1 if more <= 0 else 1 + int(math.log(1 - rng.random()) / math.log(more / (1 + more)))
    middle = math.log(traffic.think_seconds) - _SPREAD**2 / 2 if traffic.think_seconds > 0 else -math.inf
    thinks = tuple(math.exp(rng.gauss(middle, _SPREAD)) for _ in range(battles))
    patience = traffic.patience_seconds * math.exp(rng.gauss(0, _SPREAD))
    return Visitor(at, thinks, patience, rng.random() < traffic.own_prompts)
