"""Counting: one pass over codes agrees with counting one by one, whatever the blocks, and refuses what it can't place."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard import tally as counting
from leaderboard.tally import Pairs, count, tally
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import simulated


def one_by_one(model_a, model_b, winner, models, group=None, groups=1, weight=None):
    counts = np.zeros((groups, models, models, 4))
    for row in range(len(winner)):
        at = (group[row] if group is not None else 0, model_a[row], model_b[row], winner[row])
        counts[at] += 1 if weight is None else weight[row]
    return counts


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(1, 6), st.integers(1, 4), st.integers(1, 70), st.booleans(), st.booleans(),
       st.integers(0, 2**32 - 1))  # fmt: skip
def test_counting_in_blocks_is_counting_one_by_one(rows, models, groups, block, grouped, weighted, seed):
    rng = np.random.default_rng(seed)
    kinds = [np.int8, np.uint8, np.int32, np.int64, np.uint64]
    a, b, w, g = (rng.integers(0, most, rows).astype(rng.choice(kinds)) for most in (models, models, 4, groups))
    more = {"group": g, "groups": groups} if grouped else {}
    more |= {"weight": rng.random(rows)} if weighted else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "BLOCK", block)
        found = count(a, b, w, models, **more)
    assert found.dtype == (np.float64 if weighted else np.int64)
    assert np.allclose(found, one_by_one(a, b, w, models, **more), atol=1e-12)


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("code", [-1, 4])
def test_a_code_that_is_out_of_range_is_refused_and_never_counted_as_another(column, code):
    columns = [np.zeros(9, np.int32) for _ in range(4)]
    columns[column][5] = code
    with pytest.raises(ValueError, match="a code is out of range: of 4, the codes are 0 to 3"):
        count(*columns[:3], 4, columns[3], 4)


def test_counting_needs_little_memory_beside_the_columns():
    rng = np.random.default_rng(0)
    a, b, w = (rng.integers(0, most, 1_000_000).astype(np.int32) for most in (20, 20, 4))
    tracemalloc.start()
    try:
        assert count(a, b, w, 20).sum() == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 0.5 * (a.nbytes + b.nbytes + w.nbytes)
    finally:
        tracemalloc.stop()


def test_weights_of_votes_are_added_up_where_asked():
    votes = votes_from_rows(simulated(200))
    object.__setattr__(votes, "weight", np.linspace(0, 1, 200))
    assert tally(votes).total().sum() == 200 and tally(votes, weighted=True).total().sum() == pytest.approx(100)


def test_pairs_turn_sides_into_wins():
    counts = tally(votes_from_rows(simulated(300))).total()
    pairs = Pairs.of(counts)
    for i in range(len(counts)):
        for j in range(len(counts)):
            assert pairs.wins[i, j] == counts[i, j, 0] + counts[j, i, 1]
            assert pairs.both_bad[i, j] == counts[i, j, 3] + counts[j, i, 3]
    assert (pairs.battles == pairs.battles.T).all() and pairs.battles.sum() == 600
