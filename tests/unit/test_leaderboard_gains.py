"""What one more vote on a pair is worth: the loss of standard error that refitting with that vote would show."""

from itertools import combinations

import numpy as np
import pytest

from leaderboard.gains import PRIOR, gains, gains_of
from leaderboard.ratings import fit
from leaderboard.tally import Pairs
from leaderboard.votes import votes_from_rows


def met(battles, strength):
    """Counts in which every model has exactly the score that its strength promises."""
    p = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    wins = battles * p * (1 - np.eye(len(strength)))
    return Pairs(wins, np.zeros_like(wins), np.zeros_like(wins))


def errors(pairs, more=None):
    """Standard errors of the ratings less their mean by brute force: the pseudo-inverse of the information."""
    count = len(pairs.wins)
    battles = pairs.battles + PRIOR / (count - 1) * (1 - np.eye(count))
    strength = fit(Pairs(pairs.wins, PRIOR / (count - 1) * (1 - np.eye(count)), np.zeros((count, count))))
    p = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    if more:
        battles[more] += 1
        battles[more[::-1]] += 1
    weight = battles * p * (1 - p)
    information = np.diag(weight.sum(axis=1)) - weight
    return np.sqrt(np.diag(np.linalg.pinv(information, hermitian=True)))


@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_it_is_what_adding_the_vote_takes_off_the_standard_errors(count):
    rng = np.random.default_rng(count)
    battles = np.triu(rng.integers(0, 30, (count, count)), 1)
    pairs = met(battles + battles.T, rng.normal(0, 0.8, count))
    found, before = gains(pairs), errors(pairs)
    assert np.allclose(found, found.T) and (np.diag(found) == 0).all() and (found >= 0).all()
    for pair in combinations(range(count), 2):
        assert found[pair] == pytest.approx((before - errors(pairs, pair)).sum(), rel=1e-6, abs=1e-12)


def test_a_newcomer_is_worth_most_and_a_decided_pair_least():
    strength = np.array([-3.0, -0.2, 0.2, 3.0, 0.0])
    battles = np.full((5, 5), 100) * (1 - np.eye(5))
    battles[4] = battles[:, 4] = 0
    found = gains(met(battles, strength))
    among = {pair: found[pair] for pair in combinations(range(5), 2)}
    assert min(found[pair] for pair in among if 4 in pair) > max(found[pair] for pair in among if 4 not in pair)
    assert min(among, key=among.get) == (0, 3), "how the strongest meets the weakest is known beforehand"


def test_without_any_vote_all_pairs_are_worth_the_same():
    found = gains_of(votes_from_rows([]), ["c", "a", "b"])
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert list(found.values()) == pytest.approx([found["a", "b"]] * 3) and found["a", "b"] > 0


def test_of_votes_only_the_models_that_are_asked_for_count():
    rows = [{"model_a": a, "model_b": b, "winner": w} for a, b, w in
            [("x", "y", "model_a"), ("y", "x", "model_a"), ("x", "gone", "model_b"), ("gone", "y", "both_bad")] * 5]  # fmt: skip
    found = gains_of(votes_from_rows(rows), ["y", "x", "new"])
    assert set(found) == {("new", "x"), ("new", "y"), ("x", "y")}
    assert found["new", "x"] == pytest.approx(found["new", "y"]) and found["new", "x"] > found["x", "y"]
    assert found == gains_of(votes_from_rows(rows[:2] * 5), ["x", "y", "new"])
