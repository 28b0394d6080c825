"""What leaves the server holds nothing of a voter but the published columns: every byte that the Hub received, and
every line that was logged, of a Space with visitors, accounts, live prompts and a Hub that fails for a while."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from arena.records import TABLES
from tests.app.conftest import a_free_port, write_config
from tests.hub.local_hub import LocalHub
from tests.hub.small_arena import DATASET

ROOT = Path(__file__).parents[2]
PUBLIC, PRIVATE, KNOWN = "a teapot for everybody", "a zebra for nobody else", "a moon whose picture is known"
WHY, LOOK = "the answer lies in its craters", "look at the craters first"  # of a task with a known answer; a guideline
# A Space's environment must be there before Gradio is imported, so this runs in a process of its own.
SCRIPT = """
import base64, hashlib, json, os, sys, time
from pathlib import Path
import httpx, itsdangerous
from arena import logs
logs.set_up(json_lines=True)
from arena.build import build_arena, start
from arena.ui.launch import serve
from tests.app.conftest import Visitor

config, data, port, public, private = sys.argv[1:]
arena = build_arena(Path(config), data, secret=b"s" * 32, hf_token=os.environ["HF_TOKEN"],
                    hf_endpoint=os.environ["HF_ENDPOINT"], fake=True)
while arena.refill(arena.studio):
    pass
start(arena)
served = serve(arena, port=int(port), prevent_thread_lock=True)
signer = itsdangerous.TimestampSigner(hashlib.sha256(b"client-secret-v4").hexdigest())
secrets = []

def arrive(address, agent, account=""):
    person = Visitor(served.url)
    person.http.headers.update({"user-agent": agent, "x-forwarded-for": address})
    cookie = person.http.get("/").headers["set-cookie"].split(";")[0]
    secrets.extend([address, agent, cookie.split("=")[1], cookie.split("=")[1].split(".")[0]])
    if account:
        about = {"sub": f"sub-of-{account}", "preferred_username": account, "email": f"{account}@mail.test",
                 "name": f"{account} full name", "picture": f"https://pictures.test/{account}"}
        info = {"expires_at": time.time() + 900, "userinfo": about, "access_token": f"token-of-{account}"}
        session = signer.sign(base64.b64encode(json.dumps({"oauth_info": info}).encode())).decode()
        secrets.extend([session, about["sub"], about["email"], about["name"], about["picture"], info["access_token"]])
        cookie += "; session=" + session
    person.http.cookies.clear()
    person.http.headers["cookie"] = cookie
    return person

def vote(person, battle=None):
    battle = battle or person.next()
    known, held = arena.ledger.one("SELECT gold FROM battles WHERE battle_id = ?", battle["battle_id"])["gold"], None
    if known:  # wrong at first, then put right
        held = arena.ledger.battle(battle["battle_id"])
        assert person.vote(battle, "both_bad", seconds=1.5, hold=True).status_code == 409
        right = arena.gold.tasks()[known].outcome(held)
        assert person.vote(battle, right, seconds=1.5, hold=True).status_code == 200
    else:
        assert person.vote(battle, seconds=1.5, hold=True).status_code == 200
    said = {"battle_id": battle["battle_id"], "side": "a", "errors": 5, "misaligned_words": [1],
            "coherence_points": [[0.25, 0.5]]}
    answer = person.post("/arena/feedback", said)
    assert answer.status_code == 200, answer.text
    assert person.post("/arena/reveal", {"battle_id": battle["battle_id"]}).status_code == 200
    return battle

def live(person, **request):
    for message in person.live(request):
        if message["msg"] in ("process_generating", "process_completed"):
            for part in message["output"]["data"]:
                if isinstance(part, dict) and part.get("live", {}).get("phase") == "done":
                    return part["live"]["battle"]
    raise AssertionError("no battle came")

def health(until):
    end = time.monotonic() + 200
    while True:
        report = httpx.get(served.url + "/health").json()
        if until(report["hub"]):
            return report
        assert time.monotonic() < end, report
        time.sleep(0.5)

visitor = arrive("8.8.4.77", "Visitors-Browser/7.3")
ann = arrive("2a00:1450:4001:812::77", "Anns-Browser/8.4", "ann-of-the-hub")
bob = arrive("9.9.9.77", "Bobs-Browser/9.5", "bob-of-the-hub")
assert bob.post("/arena/named", {"named": True}).status_code == 200
for person in (visitor, visitor, ann, ann, bob, bob):
    done = vote(person)
assert bob.vote(done).status_code == 409
assert visitor.post("/arena/withdraw", {"battle_id": done["battle_id"]}).status_code == 409
assert visitor.post("/arena/vote", {"battle_id": "x", "winner": "who"}).status_code == 422
vote(visitor, live(visitor, prompt=public, nonce=1))
vote(ann, live(ann, prompt=private, private=True, nonce=2))
down = health(lambda hub: hub["last_error"])
up = health(lambda hub: hub["pending_rows"] == 0)
last = vote(visitor)
assert "bob-of-the-hub" in visitor.http.get("/arena/campaign").text, "the ranking names him, to visitors"
assert visitor.post("/arena/withdraw", {"battle_id": last["battle_id"]}).status_code == 200
served.close()
sys.__stdout__.write(json.dumps({"secrets": secrets, "down": down, "up": up}) + "\\n")
sys.__stdout__.flush()
os._exit(0)
"""


@dataclass
class Ran:
    told: dict  # what the script prints
    log: str
    received: list[bytes]  # every request, as text and body
    cells: list[tuple[str, str, object]]  # (table, column, value) of every Parquet file that was sent


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Ran:
    folder = tmp_path_factory.mktemp("privacy")
    with LocalHub() as hub:
        received, files = [], []
        answer = hub.api

        def listen(call):
            received.append(f"{call.method} {call.path} {call.query}\n{call.headers}".encode() + call.body)
            if call.body[:4] == b"PAR1":
                files.append(call.body)
            for line in call.body.splitlines() if "/commit/" in call.path else ():
                content = json.loads(line)["value"].get("content")
                if content:
                    received.append(base64.b64decode(content))
            return answer(call)

        hub.api = listen
        hub.faults.add(r"POST .*/commit/", status=503, times=2)
        for k in range(2):
            Image.radial_gradient("L").rotate(40 * k).resize((64, 64)).save(folder / f"known-{k}.png")
        known = [str(folder / f"known-{k}.png") for k in range(2)]
        task = {"kind": "battle", "images": known, "winner": "first", "prompt": KNOWN, "category": "Anime", "why": WHY}
        config = write_config(folder / "arena.yaml", hub={"dataset": DATASET, "every_seconds": 2},
                              campaign={"title": "Craters", "guidelines": [{"text": LOOK}], "ranking": True,
                                        "asks": ["style", "coherence", "words", "points"], "feedback": "optional"},
                              gold={"first": 1, "every": None, "tasks": [task]})  # fmt: skip
        space = {"SYSTEM": "spaces", "SPACE_ID": "me/arena", "OAUTH_CLIENT_ID": "client", "OAUTH_SCOPES": "openid profile",
                 "OAUTH_CLIENT_SECRET": "client-secret", "OPENID_PROVIDER_URL": "https://huggingface.co",
                 "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONPATH": str(ROOT)}  # fmt: skip
        arguments = [str(config), str(folder / "data"), str(a_free_port()), PUBLIC, PRIVATE]
        done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], cwd=ROOT, text=True, capture_output=True,
                              env=hub.environment(folder / "home", **space), timeout=400)  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    cells = []
    for data in files:
        file = pq.ParquetFile(io.BytesIO(data))
        received.append(repr(file.metadata.metadata).encode())
        table = next(name for name, columns in TABLES.items() if list(columns) == file.schema_arrow.names)
        cells += [(table, column, value) for row in file.read().to_pylist() for column, value in row.items()]
    return Ran(json.loads(done.stdout.splitlines()[-1]), done.stderr, received, cells)


def holding(ran: Ran, text: str) -> list[tuple[str, str]]:
    """(table, column) of the cells that hold `text`."""
    return sorted({(t, c) for t, c, value in ran.cells if text.casefold().encode() in _bytes(value).lower()})


def _bytes(value: object) -> bytes:
    if isinstance(value, dict):
        return b" ".join(_bytes(part) for part in value.values())
    return value if isinstance(value, bytes) else str(value).encode()


def test_the_search_finds_what_is_published(ran):
    """Otherwise the tests below would find nothing however much was there."""
    assert {table for table, _, _ in ran.cells} == set(TABLES)
    assert holding(ran, PUBLIC) == [(table, "prompt") for table in ("feedback", "images", "prompts", "votes")]
    for table, key in (("votes", "vote_id"), ("feedback", "feedback_id")):
        assert sum((name, column) == (table, key) for name, column, _ in ran.cells) == 9
    voters = {(table, value) for table, column, value in ran.cells if column == "voter"}
    assert len(voters) == 6, "the same three in both"
    assert any(b"PAR1" in data for data in ran.received) and any(b"# Tests" in data for data in ran.received)
    assert {str(value) for table, _, value in ran.cells if table == "exclusions"} & {"withdrawn"}


def test_no_byte_that_the_hub_received_is_of_a_voter(ran):
    assert len(ran.told["secrets"]) >= 3 * 4 + 2 * 6
    for secret in [*ran.told["secrets"], "ann-of-the-hub", PRIVATE, "client-secret", "8.8.4", "x-forwarded-for"]:
        sent = [data for data in ran.received if secret.casefold().encode() in data.lower()]
        assert not sent and not holding(ran, secret), secret


def test_a_name_is_published_where_its_voter_agreed_and_nowhere_else(ran):
    assert holding(ran, "bob-of-the-hub") == [("votes", "extra")]
    named = [value for table, column, value in ran.cells if (table, column) == ("votes", "extra") and "bob" in value]
    told = [{k: v for k, v in json.loads(value).items() if not k.startswith("gold")} for value in named]
    assert told == [{"voter_name": "bob-of-the-hub"}] * 2, "his feedback and the ranking are without it"
    assert not any(b"bob-of-the-hub" in data for data in ran.received if b"PAR1" not in data[:5000])


def test_the_files_and_words_of_known_answers_and_guidelines_stay_here(ran):
    assert holding(ran, KNOWN) == [("feedback", "prompt"), ("votes", "prompt")], "the answers are rows like all others"
    assert {column for _, column in holding(ran, '"gold"')} == {"extra"}
    for text in (WHY, LOOK, "known-0.png", "known-1.png"):
        assert not holding(ran, text) and not any(text.encode() in data for data in ran.received), text


def test_the_token_goes_to_the_hub_in_its_header_and_nowhere_else(ran):
    token = LocalHub.token.encode()
    assert any(b"authorization: bearer " + token in data.lower() for data in ran.received)
    for data in ran.received:
        assert data.lower().count(token) == data.lower().count(b"authorization: bearer " + token)
    assert not holding(ran, LocalHub.token)


def test_every_line_of_the_log_is_json_and_names_nobody(ran):
    lines = [json.loads(line) for line in ran.log.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert any("503" in line["message"] and line["level"] == "warning" for line in lines), "the failing Hub is logged"
    voters = {value for table, column, value in ran.cells if (table, column) == ("votes", "voter")}
    assert len(voters) == 3
    for secret in [*ran.told["secrets"], *voters, "of-the-hub", PRIVATE, PUBLIC, LocalHub.token, "client-secret"]:
        assert secret.casefold() not in ran.log.casefold(), secret


def test_health_says_that_the_hub_fails_and_no_more(ran):
    down, up = ran.told["down"], ran.told["up"]
    assert down["ok"] is True, "votes go on"
    assert "503" in down["hub"]["last_error"] and down["hub"]["pending_rows"] > 0
    assert "new rows wait for the Hub" in down["line"] and down["line"].endswith("the Hub answers 503.")
    assert up["hub"]["last_error"] is None and up["line"].startswith("All votes are published, the last ones ")
    voters = {value for table, column, value in ran.cells if (table, column) == ("votes", "voter")}
    for secret in [*ran.told["secrets"], *voters, "of-the-hub", LocalHub.token, os.sep + "data"]:
        assert secret not in json.dumps([down, up]), secret
