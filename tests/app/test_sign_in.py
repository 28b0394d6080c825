"""On a Space visitors can sign in with Hugging Face: Gradio keeps the session, and we count one voter an account."""

import json
import os
import subprocess
import sys
from pathlib import Path

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

def session(sub, expires_in=900):
    info = {"expires_at": time.time() + expires_in, "userinfo": {"sub": sub, "preferred_username": "ann"}}
    return signer.sign(base64.b64encode(json.dumps({"oauth_info": info}).encode())).decode()

def vote(cookie):
    page = httpx.get(served.url)
    own = page.headers["set-cookie"].split(";")[0]
    assert "Secure" in page.headers["set-cookie"] and "Partitioned" in page.headers["set-cookie"]
    headers = {"cookie": f"{own}; session={cookie}"}
    for _ in range(100):
        answer = httpx.post(served.url + "/arena/next", json={}, headers=headers)
        if answer.json()["battle"]:
            break
        time.sleep(0.1)
    body = {"battle_id": answer.json()["battle"]["battle_id"], "winner": "model_a"}
    assert httpx.post(served.url + "/arena/vote", json=body, headers=headers).status_code == 200
    row = arena.ledger.votes_after(0)[-1][1]
    return row["voter"], row["signed_in"]

good = session("account-1")
print(json.dumps({
    "account": arena.voter_of("hf:account-1"),
    "first": vote(good), "second": vote(session("account-1")), "other": vote(session("account-2")),
    "forged": vote(good[:-4] + "AAAA"), "expired": vote(session("account-1", -5)),
}))
served.close()
"""


def test_an_account_is_one_voter_and_a_forged_session_is_none(tmp_path, free_port):
    space = {"SYSTEM": "spaces", "SPACE_ID": "me/arena", "OAUTH_CLIENT_ID": "client", "OAUTH_SCOPES": "openid profile",
             "OAUTH_CLIENT_SECRET": "client-secret", "OPENID_PROVIDER_URL": "https://huggingface.co"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), str(free_port())], cwd=ROOT, text=True,
                          capture_output=True, env={**os.environ, **space, "PYTHONPATH": str(ROOT)}, timeout=170)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    account = seen["account"]
    assert seen["first"] == seen["second"] == [account, True], "whatever the browser"
    assert seen["other"][1] and seen["other"][0] != account
    for case in ("forged", "expired"):
        assert seen[case][1] is False and seen[case][0] != account, case
