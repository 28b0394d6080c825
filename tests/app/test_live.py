"""A visitor's own prompt, through Gradio's queue as the page sends it."""

from __future__ import annotations

import pytest


def told(messages: list[dict]) -> str:
    return "\n".join(map(str, messages))


def done(visitor, messages: list[dict]) -> dict:
    """The battle that came of it: the visitor's newest open one."""
    assert messages[-2]["msg"] == "process_completed" and messages[-2]["success"], messages
    assert "'done'" in told(messages), told(messages)
    battle = visitor.next()
    assert battle["served_from"] == "live" and battle["battle_id"] in told(messages)
    return battle


def test_own_prompt_becomes_a_battle_and_its_pictures_join_the_bank(visitor, stranger, arena):
    before = arena.ledger.counts()
    messages = list(visitor.live({"prompt": "  my own\ncat ", "category": "Anime", "private": False, "nonce": 7}))
    battle = done(visitor, messages)
    assert (battle["prompt"], battle["category"]) == ("my own cat", "Anime")
    assert arena.ledger.counts()["images"] >= before["images"] + 2
    assert [stranger.http.get(battle[side]).status_code for side in ("image_a", "image_b")] == [200, 200]
    assert visitor.vote(battle).status_code == 200
    assert arena.ledger.vote_of(battle["battle_id"]).served_from == "live"


def test_private_prompt_is_for_one_visitor_and_is_not_published(visitor, stranger, arena):
    before = arena.ledger.counts()
    battle = done(visitor, list(visitor.live({"prompt": "my secret cat", "private": True})))
    assert arena.ledger.counts()["prompts"] == before["prompts"] and arena.ledger.counts()["images"] == before["images"]
    assert stranger.vote(battle).status_code == 404
    assert visitor.vote(battle).status_code == 200
    assert arena.ledger.vote_of(battle["battle_id"]).prompt == ""


@pytest.mark.parametrize("request_, code", [
    ({"prompt": ""}, "bad_prompt"),
    ({"prompt": " \n\u200b"}, "bad_prompt"),
    ({"prompt": "x" * 101}, "bad_prompt"),
    ({"prompt": ["a"]}, "bad_prompt"),
    ({"prompt": "a cat", "category": "Nope"}, "unknown_category"),
    ({"ticket": "f" * 32}, "unknown_ticket"),
    ("nonsense", "bad_prompt"),
    (None, "bad_prompt"),
])  # fmt: skip
def test_bad_request_is_told_and_changes_nothing(visitor, arena, request_, code):
    before = arena.ledger.counts()
    messages = list(visitor.live(request_))
    assert f"'{code}'" in told(messages), messages
    assert "battle_id" not in told(messages)
    assert {k: arena.ledger.counts()[k] for k in ("prompts", "votes")} == {k: before[k] for k in ("prompts", "votes")}


def test_ticket_is_the_visitors_own(visitor, stranger, arena):
    voter = arena.voter_of("cookie:" + visitor.http.cookies["arena_visitor"].partition(".")[0])
    ticket = arena.request_live(voter, "a slow cat")
    assert "unknown_ticket" in told(list(stranger.live({"ticket": ticket})))
    assert "a slow cat" in told(list(visitor.live({"ticket": ticket})))


def test_no_cookie_no_live(served):
    from httpx import Client

    with Client(base_url=served.url) as http:
        answer = http.post("/gradio_api/queue/join", json={"data": [{}], "fn_index": 0, "session_hash": "x"})
    assert answer.status_code == 401 and answer.json()["detail"]
