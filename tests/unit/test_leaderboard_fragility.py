"""Fragility held to brute force: every answer suffices, and hardly ever would fewer votes do."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest

from leaderboard.fragility import Change, Fragility, Removed, first_place, fragility
from leaderboard.ratings import fit, reachable
from leaderboard.tally import Pairs, tally
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, simulated

NAMES = tuple("abcdef")


def table(wins, draws=None):
    """Pairs of {(i, j): wins of i over j} and {(i, j): draws}."""
    size = 1 + max(max(pair) for pair in [*wins, *(draws or {})])
    won, drawn = np.zeros((size, size)), np.zeros((size, size))
    for pair, count in wins.items():
        won[pair] = count
    for (i, j), count in (draws or {}).items():
        drawn[i, j] = drawn[j, i] = count
    return Pairs(won, drawn, np.zeros((size, size)))


def randomly(rng, models, votes):
    strength = rng.normal(0, 0.7, models)
    wins, draws = np.zeros((models, models)), np.zeros((models, models))
    for _ in range(votes):
        i, j = rng.choice(models, 2, replace=False)
        if rng.random() < 0.25:
            draws[i, j] += 1
            draws[j, i] += 1
        elif rng.random() < 1 / (1 + np.exp(strength[j] - strength[i])):
            wins[i, j] += 1
        else:
            wins[j, i] += 1
    return Pairs(wins, draws, np.zeros((models, models)))


def stands_above(pairs, lower, upper):
    """By a fit of its own: is `lower` above `upper`, with finite ratings or because only its scores lead to it?"""
    reach = reachable(pairs.score > 0)
    if not (reach[upper, lower] and reach[lower, upper]):
        return bool(reach[lower, upper])
    inside = np.flatnonzero(reach[upper] & reach[:, upper]).tolist()
    strength = fit(pairs.only(inside))
    return strength[inside.index(lower)] > strength[inside.index(upper)] + 1e-7


def cells_of(pairs):
    """(i, j, is a draw, votes) of every cell that is not empty."""
    won = [(i, j, False, int(pairs.wins[i, j])) for i, j in zip(*pairs.wins.nonzero(), strict=True)]
    drawn = [(i, j, True, int(pairs.draws[i, j])) for i, j in zip(*np.triu(pairs.draws).nonzero(), strict=True)]
    return won + drawn


def take(pairs, removed):
    """The table without (i, j, is a draw, votes) of each."""
    wins, draws = pairs.wins.copy(), pairs.draws.copy()
    for i, j, draw, votes in removed:
        if draw:
            draws[i, j] -= votes
            draws[j, i] -= votes
        else:
            wins[i, j] -= votes
    assert (wins >= 0).all() and (draws >= 0).all()
    return Pairs(wins, draws, np.zeros_like(wins))


def without(pairs, change, names=NAMES):
    return take(pairs, [(names.index(part.model), names.index(part.against), part.draw, part.votes)
                        for part in change.removed])  # fmt: skip


def choices(counts, votes):
    if len(counts) == 1:
        if votes <= counts[0]:
            yield (votes,)
        return
    for first in range(min(votes, counts[0]) + 1):
        for rest in choices(counts[1:], votes - first):
            yield (first, *rest)


def some_choice_turns(pairs, votes, lower, upper):
    cells = cells_of(pairs)
    return any(
        stands_above(
            take(pairs, [(*cell[:3], count) for cell, count in zip(cells, chosen, strict=True) if count]), lower, upper
        )
        for chosen in choices([cell[3] for cell in cells], votes)
    )


def test_brute_force_finds_a_smaller_set_in_hardly_any_small_case():
    """Random tables of two to four models: what is claimed suffices, always; in 95% or more nothing smaller does."""
    rng, asked, smaller = np.random.default_rng(3), 0, 0
    while asked < 220:
        models = int(rng.integers(2, 5))
        pairs = randomly(rng, models, int(rng.integers(6, 20)))
        for name, place in fragility(pairs, NAMES[:models]).places.items():
            change = place.fall
            if change is None or change.over != name:
                continue
            lower, upper = NAMES.index(change.model), NAMES.index(name)
            assert sum(part.votes for part in change.removed) == change.votes
            assert stands_above(without(pairs, change), lower, upper)
            if change.votes > 1 and comb(len(cells_of(pairs)) + change.votes - 2, change.votes - 1) <= 800:
                asked += 1
                smaller += some_choice_turns(pairs, change.votes - 1, lower, upper)
    assert smaller <= 0.05 * asked


@pytest.mark.parametrize(
    ("wins", "losses", "draws", "votes"), [(10, 7, 0, 4), (10, 9, 6, 2), (8, 8, 0, 1), (3, 1, 0, 3)]
)
def test_two_models_turn_when_the_loser_leads_by_one(wins, losses, draws, votes):
    change = first_place(table({(0, 1): wins, (1, 0): losses}, {(0, 1): draws}), NAMES[:2])
    assert (change.votes, change.share) == (votes, votes / (wins + losses + draws))
    if wins > losses:
        assert (change.model, change.over, change.removed) == ("b", "a", (Removed(votes, "a", "b", False),))


def test_a_model_that_nobody_else_would_have_beaten_is_said_to_be_unbeaten():
    """One vote is all that anybody ever scored against c: without it, c has no finite rating, and stands above."""
    pairs = table({(0, 1): 30, (1, 0): 10, (0, 2): 1, (2, 1): 1})
    change = first_place(pairs, NAMES[:3])
    assert change == Change(1, 1 / 42, "c", "a", (Removed(1, "a", "c", False),), unbounded=True)


def test_everything_but_the_two_is_fitted_too():
    """b and a never met: only votes against third models can turn them."""
    pairs = table({(0, 2): 30, (2, 0): 20, (1, 2): 28, (2, 1): 22})
    change = first_place(pairs, NAMES[:3])
    assert change.votes == 4 and {part.model + part.against for part in change.removed} <= {"ac", "cb"}


def test_only_contenders_take_places_but_all_votes_count():
    pairs = table({(0, 1): 40, (1, 0): 30, (2, 0): 3, (0, 2): 1, (1, 2): 1})
    assert list(fragility(pairs, NAMES[:3]).places) == ["c", "a", "b"]
    found = fragility(pairs, NAMES[:3], np.array([True, True, False]))
    assert list(found.places) == ["a", "b"] and found.first.model == "b"
    assert found.places["a"].rise is None and found.places["b"].fall is None
    assert found.places["b"].rise == found.places["a"].fall == found.first
    assert found.first == first_place(pairs, NAMES[:3], np.array([True, True, False]))


def test_large_tables_turn_with_the_votes_named_and_not_with_one_less():
    rows = simulated(4000, models=8, seed=2)
    votes = votes_from_rows(rows)
    pairs = Pairs.of(tally(votes).total())
    places = fragility(pairs, votes.models).places
    order = list(places)
    assert order == [votes.models[at] for at in np.argsort(-fit(pairs))]
    for place in places.values():
        for change in (place.rise, place.fall):
            if change is not None:
                lower, upper = votes.models.index(change.model), votes.models.index(change.over)
                assert stands_above(without(pairs, change, votes.models), lower, upper)
                *most, last = change.removed
                fewer = replace(change, removed=(*most, replace(last, votes=last.votes - 1)))
                assert not stands_above(without(pairs, fewer, votes.models), lower, upper)


def test_weights_count_as_the_fit_counts_them():
    """20 votes that weigh 15 in all against 10: 13 of them weigh 9.75."""
    weighted = table({(0, 1): 15, (1, 0): 10})
    assert first_place(table({(0, 1): 20, (1, 0): 10}), NAMES[:2]).votes == 11
    assert first_place(table({(0, 1): 20, (1, 0): 10}), NAMES[:2], weighted=weighted).votes == 7


def test_nothing_to_turn():
    none = np.zeros((0, 0))
    assert fragility(Pairs(none, none, none), ()) == Fragility()
    assert first_place(table({(0, 1): 5}), NAMES[:2]) is None


def test_words():
    change = Change(
        7, 0.1, "b", "a", (Removed(4, "a", "b", False), Removed(1, "a", "c", True), Removed(2, "c", "b", False))
    )
    assert change.words() == "4 votes in which a beat b, 1 draw between a and c and 2 others"
    assert change.words(most=1) == "4 votes in which a beat b and 3 others"
    assert Change(1, 0.1, "b", "a", change.removed[1:2]).words() == "1 draw between a and c"
    rows = battles("x", "y", 3, 2) + battles("y", "x", 0, 1)
    votes = votes_from_rows(rows)
    assert first_place(Pairs.of(tally(votes).total()), votes.models).words() == "3 votes in which x beat y"
