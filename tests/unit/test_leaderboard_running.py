"""Ratings that follow the votes one by one are those of a fresh fit, whatever came and whatever was taken back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard import errors, running
from leaderboard.ratings import SCALE, bradley_terry
from leaderboard.running import Running
from leaderboard.tally import Pairs, tally
from leaderboard.votes import OUTCOMES, votes_from_rows
from tests.leaderboard_rows import battles, row, simulated


def fresh(votes):
    checked = votes_from_rows([row(*vote) for vote in votes])
    return bradley_terry(checked, Pairs.of(tally(checked).total()))


def same(found, expected):
    """Models that only stood in votes taken back stay in a Running; all else is equal."""
    at = [found.models.index(name) for name in expected.models]
    assert [found.status[place] for place in at] == list(expected.status)
    assert np.allclose(found.rating[at] / SCALE, expected.rating / SCALE, rtol=0, atol=1e-9, equal_nan=True)
    assert np.isnan(np.delete(found.rating, at)).all()


VOTE = st.tuples(st.integers(0, 5), st.integers(1, 5), st.sampled_from([*OUTCOMES, "tie"]))
STORY = st.lists(st.tuples(VOTE, st.booleans(), st.booleans()), max_size=60)


@settings(max_examples=150, deadline=None)
@given(STORY, st.sampled_from([2, 3, 6]))
def test_every_state_on_the_way_equals_a_fresh_fit(story, models):
    """Stories so short that most pass through models that won or lost all, and through groups that never met."""
    live, votes = Running(), []
    for (first, further, outcome), back, asked in story:
        vote = (f"m{first % models}", f"m{(first + (further - 1) % (models - 1) + 1) % models}", outcome)
        if back and votes:
            live.take_back(*votes.pop(first % len(votes)))
        else:
            votes.append(vote)
            live.add(*vote)
        if asked:
            same(live.ratings(), fresh(votes))
    same(live.ratings(), fresh(votes))


def test_many_votes_then_some_more():
    rows = simulated(3000)
    votes = [(cell["model_a"], cell["model_b"], cell["winner"]) for cell in rows]
    start = tally(votes_from_rows(rows[:2900]))
    live = Running(start.models, start.total())
    live.ratings()
    for vote in votes[2900:]:
        live.add(*vote)
    same(live.ratings(), fresh(votes))
    live.add("newcomer", "m3", "model_a")
    same(live.ratings(), fresh([*votes, ("newcomer", "m3", "model_a")]))
    assert live.ratings().status[-1] == "unbeaten" and live.ratings().models[-1] == "newcomer"


def test_who_can_be_rated_is_asked_again_only_where_that_can_have_changed(monkeypatch):
    asked, core = [], running.core
    monkeypatch.setattr(running, "core", lambda pairs: asked.append(1) or core(pairs))
    live = Running()
    for cell in battles("x", "y", 3, 3) + battles("y", "z", 3, 3):
        live.add(cell["model_a"], cell["model_b"], cell["winner"])
    live.ratings()
    for vote in (("x", "z", "model_a"), ("x", "y", "both_bad"), (2, 0, 0)):
        live.add(*vote)
        live.ratings()
    live.take_back("x", "y", "model_a")
    live.ratings()
    assert len(asked) == 1
    live.add("x", "new", "tie")
    live.ratings()
    assert len(asked) == 2
    live.take_back("x", "new", "tie")
    assert live.ratings().status[-1] == "apart" and len(asked) == 3


def test_equals_are_decided_by_name_as_on_any_board():
    votes = [("z", "y", "tie"), ("b", "c", "tie")]
    live = Running()
    for vote in votes:
        live.add(*vote)
    same(live.ratings(), fresh(votes))
    live.add("z", "y", "tie")  # the other pair has more battles now
    same(live.ratings(), fresh([*votes, votes[0]]))


def test_votes_that_say_nothing_are_refused_and_change_nothing():
    live = Running(("x", "y"))
    live.add("x", "y", "tie")
    before = live.counts.copy()
    for vote, kind in ((("x", "y", "draw"), errors.UnknownOutcome), (("x", "y", 4), errors.UnknownOutcome),
                       (("x", "x", "tie"), errors.BadVotes), (("", "y", "tie"), errors.MissingValue),
                       ((0, 2, 0), IndexError), ((-1, 0, 0), IndexError)):  # fmt: skip
        with pytest.raises(kind):
            live.add(*vote)
    for vote in (("x", "y", "both_bad"), ("y", "x", "tie"), ("x", "stranger", "tie")):
        with pytest.raises(errors.BadVotes, match="take back"):
            live.take_back(*vote)
    assert (live.counts == before).all() and live.models == ("x", "y")
    with pytest.raises(ValueError, match="shape"):
        Running(("x",), before)


def test_nothing_is_no_rating():
    assert Running().ratings().rated.tolist() == [] and Running(("x",)).ratings().status == ("apart",)
