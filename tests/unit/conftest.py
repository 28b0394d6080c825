"""Parts of an arena for unit tests: a small configuration, a clock that one can turn, and a real ledger."""

from __future__ import annotations

import random

import pytest

from arena.backends import make_backend
from arena.bank import Bank
from arena.config import parse_config
from arena.guard import VoterKey
from arena.ledger import Ledger
from arena.service import Arena
from arena.studio import Studio


class Clock:
    """Seconds since 1970 that move only when told to."""

    def __init__(self, now: float = 1_800_000_000.0):
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=clock)
    yield ledger
    ledger.close()


def small_config(**changes):
    raw = {
        "models": [{"id": f"model-{c}", "name": f"Model {c.upper()}", "organisation": "Org", "family": f"family-{c}",
                    "licence": "apache-2.0", "backend": "fake", "source": f"org/model-{c}"} for c in "abcd"],
        "categories": [
            {"name": "Anime", "prompts": [{"simplified": "a cat", "complex": "a cat under a red moon"}]},
            {"name": "Painting", "sub_categories": ["Oil"],
             "prompts": [{"prompt": "a boat at sea", "sub_category": "Oil"}]},
            {"name": "Empty"},
        ],
        "bank": {"display_px": 96},
    }  # fmt: skip
    return parse_config({**raw, **changes})


class NoPublisher:
    """Stands in where a test is not about publishing."""

    def start(self):
        pass

    def close(self):
        pass


@pytest.fixture
def make_arena(tmp_path, clock):
    """make_arena(**config changes) -> an Arena on one data folder, with fake models and nothing started."""
    made = []

    def make(*, backend=None, seed=1, ticker=None, gains=None, **changes) -> Arena:
        config = small_config(**changes)
        ledger = Ledger(tmp_path / "ledger.sqlite", clock=clock)
        backend = backend or make_backend("fake", config_dir=tmp_path, memory_gb=None, hf_token=None)
        studio = Studio({"fake": backend}, live_queue=config.limits.live_queue)
        bank = Bank(tmp_path / "bank", display_px=config.bank.display_px)
        arena = Arena(config, ledger=ledger, bank=bank, studio=studio, publisher=NoPublisher(), key=VoterKey(b"s" * 32),
                      rng=random.Random(seed), ticker=ticker, gains=gains)  # fmt: skip
        arena.studio.fill = arena.refill
        made.append(arena)
        return arena

    yield make
    for arena in made:
        arena.close()


@pytest.fixture
def fill():
    """fill(arena): make every image that the bank lacks; returns how many."""

    def fill(arena: Arena) -> int:
        made = 0
        while arena.refill(arena.studio):
            made += 1
        return made

    return fill
