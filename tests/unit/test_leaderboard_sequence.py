"""The confidence sequence: its formula, its price, and what it is for."""

import math

import numpy as np
import pytest

from leaderboard.sequence import TUNED_FOR, widening


def test_the_formula_by_hand():
    rho = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / TUNED_FOR
    for battles in (50, 500, 40_000):
        by_hand = math.sqrt(2 * (battles * rho + 1) / (battles * rho) * math.log(math.sqrt(battles * rho + 1) / 0.05))
        assert widening([battles]) == pytest.approx([by_hand])


def test_it_costs_half_as_much_again_where_it_is_tuned_and_is_narrowest_there():
    count = np.geomspace(10, 1e6, 2001)
    half = widening(count) / np.sqrt(count)  # of a mean whose values have a standard deviation of one
    assert widening(TUNED_FOR) / 1.96 == pytest.approx(1.55, abs=0.01)
    assert (np.diff(half) < 0).all()
    best = min((float(widening(TUNED_FOR, tuned_for=t)), t) for t in range(100, 1500, 50))
    assert best[1] == pytest.approx(TUNED_FOR, abs=100)


def test_nothing_is_not_infinite():
    assert np.isfinite(widening([0.0])).all()


def test_a_watched_mean_is_rarely_ever_wrong():
    """A share watched every 100 votes up to 10,000: the fixed interval is wrong at some time far more often."""
    rng = np.random.default_rng(2)
    votes = np.arange(100, 10_001, 100)
    ones = rng.binomial(100, 0.6, (1000, len(votes))).cumsum(axis=1)
    share = ones / votes
    error = np.abs(share - 0.6) / np.sqrt(share * (1 - share) / votes)
    assert (error > 1.96).any(axis=1).mean() > 0.3
    assert (error > widening(votes)).any(axis=1).mean() <= 0.05
