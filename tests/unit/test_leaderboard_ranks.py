"""Ranks against their definitions, pair by pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.ranks import overlap_ranks, simultaneous_ranks

POINTS = st.integers(-50, 50)


@given(st.lists(st.tuples(POINTS, st.integers(0, 30)), min_size=1, max_size=9))
def test_overlap_ranks_count_the_intervals_that_lie_wholly_above(cells):
    lower = np.array([float(middle - half) for middle, half in cells])
    upper = np.array([float(middle + half) for middle, half in cells])
    wanted = [1 + sum(other > mine for other in lower) for mine in upper]
    assert overlap_ranks(lower, upper).tolist() == wanted


def test_a_bound_that_is_not_known_puts_nobody_above():
    nan = float("nan")
    assert overlap_ranks(np.array([10.0, nan, 0.0]), np.array([12.0, 5.0, nan])).tolist() == [1, 2, 1]


def by_pairs(rating, draws):
    """The definition: the 95% point of the largest standardised error of any pair, and then pair by pair."""
    count, pairs = len(rating), [(i, j) for i in range(len(rating)) for j in range(len(rating)) if i < j]
    gaps = {(i, j): draws[:, i] - draws[:, j] for i, j in pairs}
    spread = {pair: gap.std() for pair, gap in gaps.items()}
    largest = np.max([np.abs(gap - gap.mean()) / spread[pair] for pair, gap in gaps.items()], axis=0)
    critical = np.sort(largest)[int(np.ceil(0.95 * len(largest))) - 1]
    better = np.zeros((count, count), bool)
    for i, j in pairs:
        better[i, j] = rating[i] - rating[j] > critical * spread[i, j]
        better[j, i] = rating[j] - rating[i] > critical * spread[i, j]
    return [1 + int(better[:, k].sum()) for k in range(count)], [count - int(better[k].sum()) for k in range(count)]


@pytest.mark.parametrize("seed", range(6))
def test_simultaneous_ranks_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    count = 3 + 2 * seed
    root = rng.normal(size=(count, count))
    rating = rng.normal(0, 8, count)
    draws = rating + rng.standard_normal((400, count)) @ root
    lower, upper = simultaneous_ranks(rating, draws)
    assert (lower.tolist(), upper.tolist()) == by_pairs(rating, draws)


def test_one_model_or_none_has_nothing_to_be_ranked_against():
    assert [part.tolist() for part in simultaneous_ranks(np.array([3.0]), np.ones((5, 1)))] == [[1], [1]]
    assert [part.tolist() for part in simultaneous_ranks(np.empty(0), np.ones((5, 0)))] == [[], []]


def test_models_that_never_differ_are_all_first():
    lower, upper = simultaneous_ranks(np.zeros(3), np.tile(np.random.default_rng(0).normal(size=(50, 1)), 3))
    assert lower.tolist() == [1, 1, 1] and upper.tolist() == [3, 3, 3]


def test_all_ranks_hold_at_once_in_nearly_every_simulation():
    truth, rng, held = np.arange(8) * 6.0, np.random.default_rng(4), []
    for _ in range(200):
        rating = truth + rng.normal(0, 5, 8)
        lower, upper = simultaneous_ranks(rating, rating + rng.normal(0, 5, (1000, 8)))
        held.append(((lower <= 8 - np.arange(8)) & (8 - np.arange(8) <= upper)).all())
    assert np.mean(held) >= 0.95
