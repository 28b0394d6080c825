"""The whole loop over HTTP: page, battle, pictures, vote, reveal, and every way of getting it wrong."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from arena.errors import LedgerError
from arena.records import WINNERS


def error(answer, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    found = answer.json()["error"]
    assert found["code"] == code and found["message"]
    return found


def test_battle_vote_reveal_next(served, visitor):
    battle = visitor.next()
    assert set(battle) == {"battle_id", "prompt", "category", "sub_category", "complexity", "image_a", "image_b",
                           "served_from", "hint"}  # fmt: skip
    answer = visitor.vote(battle, "model_b", seconds=1.5)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    reveal = answer.json()["reveal"]
    assert reveal["winner"] == "model_b" and reveal["crowd"]["b"] >= 1
    assert reveal["a"]["model"] != reveal["b"]["model"]
    assert reveal["b"]["rating"]["after"] > reveal["b"]["rating"]["before"]
    vote = served.arena.ledger.vote_of(battle["battle_id"])
    assert (vote.winner, vote.model_a, vote.signed_in) == ("model_b", reveal["a"]["model"], False)
    assert visitor.next()["battle_id"] != battle["battle_id"]


def test_each_outcome_is_taken(visitor, arena):
    for winner in WINNERS:
        battle = visitor.next()
        assert visitor.vote(battle, winner, seconds=None).status_code == 200
        assert arena.ledger.vote_of(battle["battle_id"]).winner == winner


def test_reload_goes_on_with_the_open_battle_and_the_next_can_be_fetched_ahead(visitor):
    battle = visitor.next()
    assert visitor.next() == battle
    ahead = visitor.next(after=battle["battle_id"])
    assert ahead["battle_id"] != battle["battle_id"]
    visitor.vote(battle)
    assert visitor.next() == ahead


def test_category_is_honoured(visitor):
    assert visitor.next(category="Painting")["category"] == "Painting"
    assert visitor.http.get("/arena/prompt", params={"category": "Anime"}).json()["category"] == "Anime"
    assert visitor.http.get("/arena/prompt").json()["prompt"]


def test_skipped_battle_does_not_come_back(visitor):
    battle = visitor.next()
    assert visitor.post("/arena/skip", {"battle_id": battle["battle_id"]}).json() == {"ok": True}
    assert visitor.next()["battle_id"] != battle["battle_id"]
    error(visitor.vote(battle), 410, "battle_expired")


def test_withdraw_takes_back_the_last_vote_only(served, visitor, stranger):
    first, second = visitor.next(), None
    visitor.vote(first)
    error(stranger.post("/arena/withdraw", {"battle_id": first["battle_id"]}), 409, "nothing_to_withdraw")
    second = visitor.next()
    visitor.vote(second)
    error(visitor.post("/arena/withdraw", {"battle_id": first["battle_id"]}), 409, "nothing_to_withdraw")
    counted = served.standings.board().source.counted
    assert visitor.post("/arena/withdraw", {"battle_id": second["battle_id"]}).status_code == 200
    assert served.standings.board().source.counted == counted - 1
    error(visitor.post("/arena/withdraw", {"battle_id": second["battle_id"]}), 409, "nothing_to_withdraw")
    error(visitor.vote(second), 409, "already_voted")


def test_pictures_tell_nothing_but_themselves(visitor):
    battle = visitor.next()
    headers, sizes = [], set()
    for side in ("image_a", "image_b"):
        answer = visitor.http.get(battle[side])
        assert answer.status_code == 200
        headers.append({k: v for k, v in answer.headers.items() if k not in ("date", "content-length")})
        picture = Image.open(io.BytesIO(answer.content))
        picture.load()
        assert picture.format == "WEBP" and not picture.getexif() and "xmp" not in picture.info
        assert "exif" not in picture.info and "icc_profile" not in picture.info
        sizes.add((picture.size, picture.mode))
    assert len(sizes) == 1
    assert headers[0] == headers[1]
    assert headers[0]["content-type"] == "image/webp"
    assert headers[0]["cache-control"] == "private, max-age=3600, immutable"
    assert headers[0]["x-content-type-options"] == "nosniff"
    assert not {"content-disposition", "etag", "last-modified", "set-cookie"} & set(headers[0])


def test_second_vote_and_a_strangers_vote_change_nothing(visitor, stranger, arena):
    battle = visitor.next()
    error(stranger.vote(battle), 404, "unknown_battle")
    error(visitor.vote(battle, "left"), 422, "bad_vote")
    assert arena.ledger.vote_of(battle["battle_id"]) is None
    assert visitor.vote(battle, "model_a").status_code == 200
    error(visitor.vote(battle, "model_b"), 409, "already_voted")
    assert arena.ledger.vote_of(battle["battle_id"]).winner == "model_a"
    error(visitor.vote({"battle_id": "f" * 32}), 404, "unknown_battle")
    error(visitor.http.get("/arena/image/" + "f" * 32), 404, "unknown_battle")


def test_expired_battle_is_refused(visitor, arena, monkeypatch):
    battle = visitor.next()
    clock = arena.ledger.clock
    monkeypatch.setattr(arena.ledger, "clock", lambda: clock() + 25 * 3600)
    error(visitor.vote(battle), 410, "battle_expired")
    assert visitor.next()["battle_id"] != battle["battle_id"]


@pytest.mark.parametrize(
    "path, body, says",
    [
        ("/arena/vote", {"winner": "model_a"}, "battle_id: is missing"),
        ("/arena/vote", {"battle_id": 7, "winner": "model_a"}, "battle_id: text"),
        ("/arena/vote", {"battle_id": "f", "winner": None}, "winner: text"),
        ("/arena/vote", {"battle_id": "f" * 65, "winner": "model_a"}, "battle_id: 1 to 64"),
        ("/arena/vote", {"battle_id": "f\u202e", "winner": "model_a"}, "battle_id: 1 to 64 printable"),
        ("/arena/vote", {"battle_id": "f", "winner": "model_a", "voter": "me"}, "voter: unknown key"),
        ("/arena/vote", {"battle_id": "f", "winner": "model_a", "seconds": -1}, "seconds: a number"),
        ("/arena/vote", {"battle_id": "f", "winner": "model_a", "seconds": True}, "seconds: a number"),
        ("/arena/vote", {"battle_id": "f", "winner": "model_a", "seconds": "3"}, "seconds: a number"),
        ("/arena/vote", [], "a JSON object"),
        ("/arena/next", {"category": ["Anime"]}, "category: text"),
        ("/arena/next", {"page": 1}, "page: unknown key; one of category, after"),
        ("/arena/skip", {}, "battle_id: is missing"),
        ("/arena/withdraw", {"battle_id": ""}, "battle_id: 1 to 64"),
        ("/arena/cancel", {"ticket": {}}, "ticket: text"),
    ],
)
def test_bad_body_is_refused_with_its_key(visitor, path, body, says):
    assert says in error(visitor.post(path, body), 422, "bad_request")["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"battle_id": NaN}', b"[" * 20_000])
def test_broken_json_is_refused(visitor, body):
    answer = visitor.http.post("/arena/vote", content=body, headers={"content-type": "application/json"})
    error(answer, 400, "not_json")


def test_unknown_category_is_refused(visitor):
    assert "Anime" in error(visitor.post("/arena/next", {"category": "Nope"}), 422, "unknown_category")["message"]
    error(visitor.http.get("/arena/prompt", params={"category": "Nope"}), 422, "unknown_category")


def test_forty_votes_at_once_make_one(visitor, arena, served):
    battle = visitor.next()
    line = threading.Barrier(8)

    def press(k: int) -> int:
        line.wait(60)
        return [visitor.vote(battle, WINNERS[(k + i) % 4]).status_code for i in range(5)]

    before = arena.ledger.counts()["votes"]
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for some in pool.map(press, range(8)) for status in some]
    assert sorted(statuses) == [200] + [409] * 39
    assert arena.ledger.counts()["votes"] == before + 1


def test_fault_of_ours_is_generic_logged_and_not_counted(visitor, arena, monkeypatch, caplog):
    battle = visitor.next()

    def broken(*args, **kwargs):
        raise LedgerError("/secret/place/ledger.sqlite: zephyr could not be written")

    monkeypatch.setattr(arena, "cast_vote", broken)
    answer = visitor.vote(battle)
    assert answer.json() == {
        "error": {"code": "internal", "message": "Something went wrong here; nothing was counted."}
    }
    assert answer.status_code == 500 and "zephyr could not" in caplog.text
    monkeypatch.undo()
    assert visitor.vote(battle).status_code == 200


def test_leaderboard_moves_without_a_restart(visitor, served):
    assert visitor.http.get("/leaderboard").status_code == 200

    def look(**question) -> dict:
        answer = visitor.post("/gradio_api/run/leaderboard", {"data": [question]})
        assert answer.status_code == 200, answer.text
        return json.loads(answer.json()["data"][0])

    visitor.vote(visitor.next())
    head = look(ask="head")
    counted = served.standings.board().source.counted
    assert head["facts"][0][1] == f"{counted:,}"
    assert look(ask="head", seen=head["stamp"]) == {"same": True}
    reveal = visitor.vote(visitor.next()).json()["reveal"]
    assert look(ask="head", seen=head["stamp"])["facts"][0][1] == f"{counted + 1:,}"
    names = {model["name"] for model in look(ask="head")["models"].values()}
    assert {reveal["a"]["name"], reveal["b"]["name"]} <= names
    shown = look(ask="battles", selection={})
    assert shown["total"] == counted + 1 and all(
        url.startswith("data:image/webp;base64,") for url in shown["pictures"].values()
    )
    assert {shown["rows"][0][side]["image"] for side in "ab"} <= set(shown["pictures"])
    table = look(ask="part", part="overview/standings")["blocks"][0]
    assert table["name"] == "standings" and len(table["rows"]) == len(names)


def test_meta_and_health(visitor):
    meta = visitor.http.get("/arena/meta").json()
    assert [c["name"] for c in meta["categories"]] == ["Anime", "Painting"]
    health = visitor.http.get("/health").json()
    assert health["resting_models"] == 0 and health["votes"] >= 0


def test_voting_too_fast_says_when_to_come_back(launch, visit):
    served = launch(limits={"votes_per_minute": 1, "prompt_chars": 100})
    visitor = visit(served.url)
    for _ in range(10):
        assert visitor.vote(visitor.next()).status_code == 200
    battle = visitor.next()
    found = error(visitor.vote(battle), 429, "too_fast")
    assert 0 < found["retry_after"] <= 60
    assert served.arena.ledger.vote_of(battle["battle_id"]) is None


def test_where_there_is_no_battle_the_answer_says_why_and_is_no_failure(launch, visit):
    """A page that asks while the bank is empty must not fill the visitor's console with errors."""
    empty = launch(filled=False, bank={"fill": False})
    answer = visit(empty.url).post("/arena/next")
    body = answer.json()
    assert answer.status_code == 200 and body["battle"] is None and body["error"]["code"] == "no_battle"
    assert "a prompt of your own" in body["error"]["message"]
