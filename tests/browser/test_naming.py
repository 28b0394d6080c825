"""On a Space: who is signed in finds the choice to be named on the About page; nobody else does."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import itsdangerous
import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
# A Space's environment must be there before Gradio is imported, so the server is a process of its own.
SERVER = """
import sys
from pathlib import Path
from arena.build import build_arena
from arena.ui.launch import serve

served = serve(build_arena(Path("arena.yaml"), sys.argv[1], fake=True), port=int(sys.argv[2]), prevent_thread_lock=True)
print(served.url, flush=True)
sys.stdin.readline()
print(served.arena.is_named(served.arena.voter_of("hf:account-1")), flush=True)
served.close(then_exit=True)
"""
SPACE = {"SYSTEM": "spaces", "SPACE_ID": "me/arena", "OAUTH_CLIENT_ID": "client", "OAUTH_SCOPES": "openid profile",
         "OAUTH_CLIENT_SECRET": "client-secret", "OPENID_PROVIDER_URL": "https://huggingface.co"}  # fmt: skip


@pytest.fixture
def space(tmp_path):
    """(process, address) of an arena that believes it is a Space; a line on its stdin ends it."""
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path), str(free_port())], cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env={**os.environ, **SPACE, "PYTHONPATH": str(ROOT)}) as process:  # fmt: skip
        lines = iter(process.stdout.readline, "")
        yield process, next(line.strip() for line in lines if line.startswith("http"))
        process.kill()


def session():
    info = {"expires_at": time.time() + 900, "userinfo": {"sub": "account-1", "preferred_username": "ann"}}
    signer = itsdangerous.TimestampSigner(hashlib.sha256(b"client-secret-v4").hexdigest())
    return signer.sign(base64.b64encode(json.dumps({"oauth_info": info}).encode())).decode()


def test_the_choice_is_there_for_who_is_signed_in_and_is_kept(chromium, space):
    process, url = space
    stranger, ann = chromium.new_context(), chromium.new_context()
    for context in (stranger, ann):
        context.set_default_timeout(90_000)
    ann.add_cookies([{"name": "session", "value": session(), "url": url}])
    page = stranger.new_page()
    page.goto(url + "/about")
    page.wait_for_selector("#ia-naming")
    page.wait_for_load_state("networkidle")
    assert "never named" in page.locator("#ia-naming").inner_text().replace("\n", " ")
    assert page.locator("#ia-naming input").count() == 0

    page = ann.new_page()
    page.goto(url + "/about")
    tick = page.get_by_role("checkbox", name="Publish my user name, ann, with my votes")
    tick.wait_for()
    assert not tick.is_checked() and "Your votes carry no name" in page.locator("#ia-naming").inner_text()
    tick.click()
    page.get_by_text("Your votes carry the name ann from now on.").wait_for()
    page.reload()
    tick.wait_for()
    assert tick.is_checked()
    process.stdin.write("\n")
    process.stdin.flush()
    assert "True" in process.stdout.read()
    for context in (stranger, ann):
        context.close()
