"""Votes of our own making for benchmarks: every model meets every other, a tenth of the votes each draw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

OUTCOMES = ("model_a", "model_b", "both_good", "both_bad")


@dataclass(frozen=True)
class Simulated:
    """Codes of n votes among K models in 12 categories, and the same as the kinds of data that libraries take."""

    model_a: np.ndarray
    model_b: np.ndarray
    winner: np.ndarray
    category: np.ndarray
    models: int
    categories: int = 12

    def __len__(self) -> int:
        return len(self.winner)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.model_a, self.model_b, self.winner, self.category))

    @property
    def names(self) -> list[str]:
        return [f"model-{code:02d}" for code in range(self.models)]

    @cached_property
    def table(self):
        """A pyarrow Table of dictionary-encoded text: model_a, model_b, winner, category."""
        import pyarrow as pa

        def text(codes: np.ndarray, names: list[str]):
            return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names))

        categories = [f"category {code:02d}" for code in range(self.categories)]
        return pa.table({
            "model_a": text(self.model_a, self.names), "model_b": text(self.model_b, self.names),
            "winner": text(self.winner, list(OUTCOMES)), "category": text(self.category, categories),
        })  # fmt: skip

    @cached_property
    def votes(self):
        """Checked votes of the leaderboard."""
        from leaderboard.votes import from_arrow

        return from_arrow(self.table)

    @cached_property
    def frame(self):
        """A pandas frame of text, as FastChat's method starts from."""
        import pandas as pd

        names, outcomes = np.array(self.names, object), np.array(["model_a", "model_b", "tie", "tie (bothbad)"], object)
        return pd.DataFrame({"model_a": names[self.model_a], "model_b": names[self.model_b],
                             "winner": outcomes[self.winner]})  # fmt: skip


def simulate(votes: int, models: int, seed: int = 0) -> Simulated:
    rng = np.random.default_rng(seed)
    strength = rng.normal(0.0, 0.7, models)
    a = rng.integers(0, models, votes)
    b = (a + rng.integers(1, models, votes)) % models
    won = rng.random(votes) < 1.0 / (1.0 + np.exp(strength[b] - strength[a]))
    kind = rng.random(votes)
    winner = np.where(kind < 0.1, 2, np.where(kind < 0.2, 3, np.where(won, 0, 1)))
    category = rng.integers(0, 12, votes)
    return Simulated(a.astype(np.int32), b.astype(np.int32), winner.astype(np.int8), category.astype(np.int32), models)
