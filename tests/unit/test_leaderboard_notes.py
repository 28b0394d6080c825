"""The notes: what must be known is said, alarms first, and few enough sentences to be read."""

import re

from leaderboard.board import build
from leaderboard.notes import ALARMS, MOST_NAMED, listed
from leaderboard.ratings import METHODS, SCALES
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated


def notes(rows, **more):
    return build(votes_from_rows(rows), **more).notes


def starting(found, words):
    return [note for note in found if note.startswith(words)]


def test_first_place_hangs_on_votes_that_are_named():
    [note] = starting(notes(battles("x", "y", 30, 10) + battles("y", "x", 10, 30)), "First place")
    assert note == ("First place hangs on 41 votes in which x beat y (51.25% of all votes): without them y would stand "
                    "above x.")  # fmt: skip
    [note] = starting(notes(battles("x", "y", 30, 29)), "First place")
    assert note.startswith("First place hangs on 2 votes in which x beat y (3.39%")
    rows = [*battles("x", "z", 40, 20), *battles("y", "z", 32, 20), *battles("x", "y", 2, 2)]
    [note] = starting(notes(rows), "First place hangs on")
    assert re.match(r"First place hangs on 4 votes \(3.45% of all votes\): without .* and .*, y would", note)
    assert not starting(notes(battles("x", "y", 30, 29), method="elo"), "First place")


def test_alarms_come_first_and_explanations_last():
    rows = battles("x", "y", 90, 20, both_bad=200) + battles("y", "x", 90, 20) + battles("p", "q", 3, 1)
    found = notes(rows + battles("new", "x", 2, 3))
    assert found[0].startswith("Warning: the battles fall into groups that never met") and "p, q." in found[0]
    alarms = [at for at, note in enumerate(found) if note.startswith(ALARMS)]
    assert len(alarms) == 3 and max(alarms) <= 3
    assert any("47% of the votes both images were judged bad" in note for note in found)
    order = [next(at for at, note in enumerate(found) if note.startswith(words))
             for words in ("Position alarm", "First place", "Preliminary", "A draw", "Rank is")]  # fmt: skip
    assert order == sorted(order)


def test_models_that_are_comparable_among_themselves_are_given_with_their_intervals():
    [note] = starting(notes(battles("x", "y", 30, 20) + battles("p", "q", 3, 1)), "Not rated, but comparable")
    assert "p +95 (" in note and "q -95 (" in note


def test_many_models_without_a_rating_make_one_sentence():
    rows = simulated(200)
    for at in range(8):
        rows += battles(f"lost{at}", "m0", losses=2)
    found = [note for note in notes(rows) if "no finite rating" in note]
    assert len(found) == 1 and found[0].startswith("8 models have no finite rating, because it never scored")
    assert found[0].count("at most") == MOST_NAMED and found[0].endswith("and 3 others.")
    assert len(notes(rows)) <= 12 and max(map(len, notes(rows))) < 400


def test_a_winner_that_is_often_bad_is_said_to_be():
    rows = battles("x", "z", 90, 10, both_bad=60) + battles("y", "z", 60, 40, both_good=50)
    [note] = [note for note in notes(rows) if "more often acceptable" in note]
    assert note.startswith("x wins most, but y is more often acceptable: in 100% of its battles")
    assert not any("more often acceptable" in note for note in notes(simulated(300)))


def test_weights_and_clusters_are_said():
    rows = simulated(600)
    found = " ".join(notes(rows, voter_cap=10))
    assert "Intervals take the votes on one prompt and by one voter together." in found
    assert re.search("Votes carry weights, 39[0-9] in all", found)
    assert "Intervals take the votes" not in " ".join(notes(rows, clusters="none"))


def test_every_method_says_what_its_scale_means():
    for method in METHODS:
        assert any(note.startswith(SCALES[method]) for note in notes(simulated(120), method=method))


def test_no_votes_say_so_and_nothing_else():
    assert notes([]) == ("No vote counts yet.",)
    assert notes([row("x", "x", "tie")]) == ("No vote counts yet.", "Left out: 1 vote of 1 (self_battle 1).")


def test_lists_are_cut():
    assert listed(["a", "b"]) == "a, b" and listed(list("abcdef")) == "a, b, c, d, e and 1 other"
