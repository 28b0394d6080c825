"""On a Space visitors can sign in with Hugging Face: Gradio keeps the session, and we count one voter an account.

Who is signed in may agree to be named; nobody else ever is.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.conftest import a_free_port

ROOT = Path(__file__).parents[2]
# A Space's environment must be there before Gradio is imported, so this runs in a process of its own.
SCRIPT = """
import base64, hashlib, json, sys, time
from pathlib import Path
import httpx, itsdangerous
from arena.build import build_arena, start
from arena.ui.launch import serve

arena = build_arena(Path("arena.yaml"), sys.argv[1], fake=True)
start(arena)
served = serve(arena, port=int(sys.argv[2]), prevent_thread_lock=True)
signer = itsdangerous.TimestampSigner(hashlib.sha256(b"client-secret-v4").hexdigest())

def session(sub, expires_in=900, name="ann"):
    info = {"expires_at": time.time() + expires_in, "userinfo": {"sub": sub, "preferred_username": name}}
    return signer.sign(base64.b64encode(json.dumps({"oauth_info": info}).encode())).decode()

def arrive(cookie):
    page = httpx.get(served.url)
    own = page.headers["set-cookie"].split(";")[0]
    assert "Secure" in page.headers["set-cookie"] and "Partitioned" in page.headers["set-cookie"]
    return {"cookie": f"{own}; session={cookie}"}

def last():
    return arena.ledger.votes_after(0)[-1][1]

def vote(cookie):
    headers = arrive(cookie)
    for _ in range(1200):
        answer = httpx.post(served.url + "/arena/next", json={}, headers=headers)
        if answer.json()["battle"]:
            break
        time.sleep(0.1)
    body = {"battle_id": answer.json()["battle"]["battle_id"], "winner": "model_a"}
    assert httpx.post(served.url + "/arena/vote", json=body, headers=headers).status_code == 200
    return last()["voter"], last()["signed_in"]

def choose(cookie, named, **more):
    answer = httpx.post(served.url + "/arena/named", json={"named": named, **more}, headers=arrive(cookie))
    return answer.status_code, answer.json().get("named")

def me(cookie):
    return httpx.get(served.url + "/arena/me", headers=arrive(cookie)).json()

def extra_of_a_vote(cookie):
    vote(cookie)
    return last()["extra"]

def naming():
    seen, ann, bob = {}, session("account-3", name="ann-of-the-hub"), session("account-4", name="bob-of-the-hub")
    vote(ann), vote("")
    on_disk = b"".join(path.read_bytes() for path in Path(sys.argv[1]).glob("ledger.sqlite*"))
    seen["nowhere"] = b"of-the-hub" not in on_disk and len(on_disk) > 0
    seen["at first"], seen["stranger"] = me(ann), me("")
    seen["refused"] = [choose("", True), choose(ann[:-4] + "AAAA", True), choose(ann, "yes"), choose(ann, True, name="eve")]
    seen["still off"] = extra_of_a_vote(ann)
    seen["agreed"], seen["then"], seen["on"] = choose(ann, True), me(ann), extra_of_a_vote(ann)
    seen["twice"] = choose(ann, True)
    seen["signed out"], seen["another"] = extra_of_a_vote(""), extra_of_a_vote(bob)
    seen["taken back"], seen["off"], seen["at last"] = choose(ann, False), extra_of_a_vote(ann), me(ann)
    return seen

good = session("account-1")
print(json.dumps({
    "naming": naming(),
    "account": arena.voter_of("hf:account-1"),
    "first": vote(good), "second": vote(session("account-1")), "other": vote(session("account-2")),
    "forged": vote(good[:-4] + "AAAA"), "expired": vote(session("account-1", -5)),
}))
served.close()
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a Space with sign-in did, step by step."""
    space = {"SYSTEM": "spaces", "SPACE_ID": "me/arena", "OAUTH_CLIENT_ID": "client", "OAUTH_SCOPES": "openid profile",
             "OAUTH_CLIENT_SECRET": "client-secret", "OPENID_PROVIDER_URL": "https://huggingface.co"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("space")), str(a_free_port())], cwd=ROOT, text=True,
                          capture_output=True, env={**os.environ, **space, "PYTHONPATH": str(ROOT)}, timeout=400)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_an_account_is_one_voter_and_a_forged_session_is_none(seen):
    account = seen["account"]
    assert seen["first"] == seen["second"] == [account, True], "whatever the browser"
    assert seen["other"][1] and seen["other"][0] != account
    for case in ("forged", "expired"):
        assert seen[case][1] is False and seen[case][0] != account, case


def test_nobody_is_named_who_did_not_agree(seen):
    naming = seen["naming"]
    assert naming["nowhere"], "not even in the file of the ledger"
    voter = naming["at first"].pop("voter")
    assert naming["at first"] == {"user_name": "ann-of-the-hub", "named": False}
    assert naming["stranger"].pop("voter") != voter
    assert naming["stranger"] == {"user_name": None, "named": False}
    assert [status for status, _ in naming["refused"]] == [403, 403, 422, 422]
    assert naming["still off"] == naming["signed out"] == naming["another"] == "{}"


def test_who_agrees_is_named_until_they_take_it_back(seen):
    naming = seen["naming"]
    assert naming["agreed"] == naming["twice"] == [200, True] and naming["then"]["named"] is True
    assert json.loads(naming["on"]) == {"voter_name": "ann-of-the-hub"}
    assert naming["taken back"] == [200, False] and naming["off"] == "{}" and naming["at last"]["named"] is False
