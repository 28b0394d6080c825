"""The step after a vote over HTTP: names held back, feedback on either image, and what comes back for mistakes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from arena.records import feedback_id
from tests.app.conftest import SECRET_WORDS


def held(visitor, winner: str = "model_a") -> str:
    battle = visitor.next()
    answer = visitor.vote(battle, winner, hold=True)
    assert answer.status_code == 200 and answer.json() == {"counted": True, "battle_id": battle["battle_id"]}
    return battle["battle_id"]


def say(visitor, battle_id: str, side: str = "a", **given: Any) -> httpx.Response:
    return visitor.post("/arena/feedback", {"battle_id": battle_id, "side": side, **given})


def test_what_is_asked_is_in_meta(visitor):
    assert visitor.http.get("/arena/meta").json()["feedback"] == {
        "enabled": True, "reveal": "after", "criteria": ["style", "coherence", "alignment"], "words": True,
        "points": "low", "points_at_most": 3, "points_below": 4, "area": False,
    }  # fmt: skip


def test_vote_then_feedback_then_the_names(visitor, arena):
    battle_id = held(visitor)
    given = {"style": 2, "errors": 4, "alignment": 3, "misaligned_words": [1], "coherence_points": [[0.5, 0.25]],
             "alignment_points": [], "coherence_mask": None}  # fmt: skip
    first = say(visitor, battle_id, "a", **given)
    vote = arena.ledger.vote_of(battle_id)
    assert first.json() == {"feedback": {"feedback_id": feedback_id(vote.vote_id, "a"), "side": "a"}}
    reveal = visitor.post("/arena/reveal", {"battle_id": battle_id}).json()["reveal"]
    assert (reveal["a"]["model"], reveal["b"]["model"]) == (vote.model_a, vote.model_b)
    assert reveal["winner"] == "model_a" and reveal["withdrawable"] and reveal["crowd"]["a"] >= 1
    assert say(visitor, battle_id, "b", misaligned_words=[]).status_code == 200
    rows = {row["image_id"]: row for _, row in arena.ledger.feedback_after(0) if row["battle_id"] == battle_id}
    one, two = rows[vote.image_a], rows[vote.image_b]
    assert (one["style"], one["coherence"], one["alignment"], one["misaligned_words"]) == (2, 2, 3, [1])
    assert one["coherence_points"] == [{"x": 0.5, "y": 0.25}] and one["alignment_points"] == [] and one["extra"] == "{}"
    assert two["misaligned_words"] == [] and two["style"] is None and json.loads(two["extra"]) == {"revealed": True}
    assert one["voter"] == two["voter"] == vote.voter and one["prompt"] == vote.prompt


def test_before_the_names_are_told_no_answer_holds_one(visitor, stranger):
    battle = visitor.next()
    battle_id = battle["battle_id"]
    answers = [visitor.vote(battle, hold=True), visitor.vote(battle, hold=True), say(visitor, battle_id, style=3),
               say(visitor, battle_id, style=3), say(visitor, battle_id, "b", style=9), visitor.post("/arena/next"),
               stranger.post("/arena/reveal", {"battle_id": battle_id})]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 409, 200, 409, 422, 200, 404]
    for answer in answers:
        told = (answer.text + str(answer.headers)).lower()
        assert not any(word in told for word in SECRET_WORDS), told
    assert any(word in visitor.post("/arena/reveal", {"battle_id": battle_id}).text.lower() for word in SECRET_WORDS)


def test_a_lost_answer_is_made_up_for(visitor):
    """Whoever never heard of the vote, or of the feedback, finds both counted."""
    battle_id = held(visitor)
    again = visitor.post("/arena/vote", {"battle_id": battle_id, "winner": "model_b", "hold": True})
    assert again.status_code == 409 and again.json()["error"]["code"] == "already_voted"
    assert say(visitor, battle_id, style=5).status_code == 200
    second = say(visitor, battle_id, style=1)
    assert second.status_code == 409 and second.json()["error"]["code"] == "already_given"
    assert visitor.post("/arena/reveal", {"battle_id": battle_id}).json()["reveal"]["winner"] == "model_a"


@pytest.mark.parametrize("body, status, code, says", [
    ({}, 422, "bad_request", "battle_id: is missing"),
    ({"battle_id": "x"}, 422, "bad_request", "side: is missing"),
    ({"battle_id": "x", "side": "a", "comment": "nice"}, 422, "bad_request", "comment: unknown key"),
    ({"battle_id": "x", "side": "a", "\ud800": "nice"}, 422, "bad_request", "?: unknown key"),
    ({"battle_id": "x", "side": "a", "style": 3}, 404, "unknown_battle", "not known here"),
    ({"side": "c", "style": 3}, 422, "bad_feedback", "side"),
    ({"side": "a"}, 422, "bad_feedback", "Nothing was given"),
    ({"side": "a", "style": "3"}, 422, "bad_feedback", "style: a whole number"),
    ({"side": "a", "misaligned_words": [99]}, 422, "bad_feedback", "misaligned_words"),
    ({"side": "a", "errors": 1, "coherence_points": [[0, 0]]}, 422, "bad_feedback", "only where coherence is low"),
    ({"side": "a", "errors": 5, "coherence_points": [[0, 1e999]]}, 422, "bad_feedback", "a point is [x, y]"),
    ({"side": "a", "errors": 5, "coherence_mask": {"size": [64, 64], "counts": [4096]}}, 422, "bad_feedback", "areas"),
], ids=str)  # fmt: skip
def test_what_is_wrong_is_named(visitor, arena, body, status, code, says):
    before = arena.ledger.counts()["feedback"]
    if body and "battle_id" not in body:
        body = {"battle_id": held(visitor), **body}
    answer = visitor.http.post("/arena/feedback", content=json.dumps(body).replace("Infinity", "1e999"),
                               headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code == status and answer.json()["error"]["code"] == code, answer.text
    assert says in answer.json()["error"]["message"]
    assert arena.ledger.counts()["feedback"] == before


def test_only_the_voter_gives_it_and_only_after_the_vote(visitor, stranger):
    battle = visitor.next()
    early = say(visitor, battle["battle_id"], style=3)
    assert early.status_code == 409 and early.json()["error"]["code"] == "vote_first"
    assert visitor.post("/arena/reveal", {"battle_id": battle["battle_id"]}).json()["error"]["code"] == "vote_first"
    visitor.vote(battle)
    assert say(stranger, battle["battle_id"], style=3).status_code == 404
    assert say(visitor, battle["battle_id"], style=3).status_code == 200
    assert visitor.post("/arena/withdraw", {"battle_id": battle["battle_id"]}).status_code == 200
    assert say(visitor, battle["battle_id"], "b", style=3).json()["error"]["code"] == "vote_first"


def test_painted_areas_where_they_are_asked_for(launch, visit):
    served = launch(feedback={"area": True, "points": "always", "criteria": ["alignment"], "words": False})
    visitor = visit(served.url)
    mask = {"size": [64, 64], "counts": [0, 64, 4032]}
    battle_id = held(visitor)
    assert say(visitor, battle_id, alignment_mask=mask).status_code == 200
    assert say(visitor, battle_id, "b", style=3).json()["error"]["message"].startswith("style: is not asked")
    [(_, row)] = served.arena.ledger.feedback_after(0)
    assert json.loads(row["extra"]) == {"alignment_mask": mask} and row["alignment"] is None
    worst = {"size": [64, 64], "counts": [1] * 4096}
    assert say(visitor, battle_id, "b", alignment_mask=worst).status_code == 200, (
        "the longest of them fits in a request"
    )


def test_what_was_given_is_kept_over_a_restart(launch, visit, tmp_path):
    first = launch(data_dir=tmp_path / "data")
    visitor = visit(first.url)
    battle_id = held(visitor)
    assert say(visitor, battle_id, style=1).status_code == 200
    first.close()
    again = launch(data_dir=tmp_path / "data")
    visitor.http.base_url = again.url
    assert say(visitor, battle_id, style=1).json()["error"]["code"] == "already_given"
    assert say(visitor, battle_id, "b", style=2).status_code == 200
    assert visitor.post("/arena/reveal", {"battle_id": battle_id}).json()["reveal"]["a"]["rating"] is None
    extras = [row["extra"] for _, row in again.arena.ledger.feedback_after(0)]
    assert extras == ["{}", "{}"], "the names stayed held back"


def test_health_counts_it(launch, visit):
    served = launch()
    visitor = visit(served.url)
    assert say(visitor, held(visitor), style=5).status_code == 200
    report = visitor.http.get("/health").json()
    assert (report["votes"], report["feedback"]) == (1, 1) and report["hub"]["pending_rows"] >= 2


def test_places_are_kept_as_shares_of_the_image_not_of_the_square(visitor, arena):
    """A picture twice as wide as high fills the middle half of the square that it is shown in."""
    battle_id = held(visitor)
    vote = arena.ledger.vote_of(battle_id)
    with arena.ledger.transaction() as db:
        db.execute("UPDATE images SET width = 2 * height WHERE image_id = ?", (vote.image_a,))
    assert say(visitor, battle_id, errors=5, coherence_points=[[0.5, 0.25], [0.25, 0.5], [1, 1]]).status_code == 200
    (row,) = (row for _, row in arena.ledger.feedback_after(0) if row["battle_id"] == battle_id)
    assert row["coherence_points"] == [{"x": 0.5, "y": 0}, {"x": 0.25, "y": 0.5}, {"x": 1, "y": 1}]


def test_who_has_no_cookie_may_ask_how_far_the_campaign_is(served):
    answer = httpx.get(served.url + "/arena/campaign")
    assert (answer.status_code, answer.json()) == (200, {"campaign": None})
