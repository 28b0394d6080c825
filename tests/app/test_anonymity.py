"""Nothing that a browser gets before the vote holds a model's id, name, maker, family, folder or settings.

The models of these tests are called by words that stand nowhere else, so any byte of them is found. The About
page, the leaderboard and /arena/meta list the contenders, as they should; they are the same for every battle.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

CONFTEST = (Path(__file__).parent / "conftest.py").read_text()
WORDS = tuple(re.findall(r'"(\w+)"', re.search(r"SECRET_WORDS = \((.*?)\)", CONFTEST)[1]))
NAMES = re.compile("|".join(WORDS).encode(), re.IGNORECASE)
SETTINGS = re.compile(NAMES.pattern + b"|num_inference_steps|seed|hardware", re.IGNORECASE)


def quiet(*answers, telling: re.Pattern[bytes] = NAMES) -> None:
    for answer in answers:
        sent = repr(answer.headers).encode() + answer.content
        found = telling.search(sent)
        assert not found, f"{answer.url}: {sent[max(0, found.start() - 80) : found.end() + 80]!r}"


def test_the_words_would_be_found(visitor):
    with pytest.raises(AssertionError, match="arena/meta"):
        quiet(visitor.http.get("/arena/meta"))
    with pytest.raises(AssertionError, match="arena/vote"):
        quiet(visitor.vote(visitor.next()))


def test_page_and_what_it_loads(visitor):
    page = visitor.http.get("/")
    assets = re.findall(r'(?:src|href)="\./((?:assets|static)/[^"]+)"', page.text)
    assert assets
    quiet(page, *(visitor.http.get("/" + path) for path in assets[:5]), visitor.http.get("/theme.css"))
    quiet(visitor.http.get("/gradio_api/info"), visitor.http.get("/health"), visitor.http.get("/arena/prompt"))


def test_gradios_configuration_of_the_stage(visitor):
    config = visitor.http.get("/config").json()
    stage = set(config["page"][""]["components"])
    for component in config["components"]:
        if component["id"] in stage:
            assert not NAMES.search(json.dumps(component).encode()), component
    assert not NAMES.search(json.dumps(config["dependencies"]).encode())


def test_banked_battle(visitor):
    for _ in range(4):
        answer = visitor.post("/arena/next")
        battle = answer.json()["battle"]
        pictures = [visitor.http.get(battle[side]) for side in ("image_a", "image_b")]
        quiet(answer, *pictures, telling=SETTINGS)
        alike = [{k: v for k, v in one.headers.items() if k != "date"} for one in pictures]
        assert alike[0] == alike[1], "the same headers, the length too"
        quiet(visitor.post("/arena/skip", {"battle_id": battle["battle_id"]}))


def test_live_battle(visitor):
    messages = list(visitor.live({"prompt": "a quiet cat", "category": None, "private": False}))
    assert "'done'" in str(messages)
    assert not SETTINGS.search(str(messages).encode()), messages
    battle = visitor.next()
    quiet(*(visitor.http.get(battle[side]) for side in ("image_a", "image_b")))


def test_refusals(visitor, stranger):
    battle = visitor.next()
    quiet(stranger.vote(battle), visitor.vote(battle, "left"), visitor.post("/arena/vote", {}),
          stranger.post("/arena/withdraw", {"battle_id": battle["battle_id"]}),
          stranger.post("/arena/skip", {"battle_id": battle["battle_id"]}),
          visitor.http.get("/arena/image/" + battle["battle_id"]))  # fmt: skip


def test_names_of_the_same_picture_differ_between_battles(visitor, stranger, arena):
    """Else two visitors, one of whom has voted, could compare their pictures' addresses."""
    names = [visitor.next()[side] for side in ("image_a", "image_b")] + [
        stranger.next()[side] for side in ("image_a", "image_b")
    ]
    assert len(set(names)) == 4
    for name in names:
        token = name.rpartition("/")[2]
        assert re.fullmatch(r"[0-9a-f]{32}", token) and token not in arena.ledger.images_of_token(token)
