"""The About page: the visitor's own voter id, and what a maintainer reads of publishing."""

from __future__ import annotations

import json
import urllib.request

from tests.hub.local_hub import LocalHub

DATASET = "tester/arena"


def vote(visitor) -> None:
    visitor.phase("open")
    visitor.page.keyboard.press("ArrowLeft")
    visitor.phase("counted")


def test_a_visitor_finds_their_own_voter_id_and_copies_it(visit, served):
    visitor = visit()
    vote(visitor)
    mine = served.arena.ledger.one("SELECT voter FROM votes ORDER BY seq DESC LIMIT 1")["voter"]
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.url)
    visitor.open("/about")
    visitor.page.wait_for_selector("#ia-voter-id")
    assert visitor.page.locator("#ia-voter-id").inner_text() == mine
    button = visitor.page.get_by_role("button", name="Copy your voter id")
    button.focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_function("document.querySelector('#ia-voter [role=status]').textContent === 'Copied.'")
    assert visitor.page.evaluate("navigator.clipboard.readText()") == mine
    visitor.page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('not in a frame')))")
    button.click()
    visitor.page.wait_for_function("getSelection().toString() === " + json.dumps(mine))

    stranger = visit(at="/about")
    stranger.page.wait_for_selector("#ia-voter-id")
    assert stranger.page.locator("#ia-voter-id").inner_text() != mine
    with urllib.request.urlopen(served.url + "/arena/me") as answer:  # nobody without a cookie is anybody
        assert json.load(answer)["voter"] is None


def test_the_status_line_follows_publishing(visit, launch, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with LocalHub() as hub:
        hub.faults.add("", status=503, message=f"no room for {hub.token}", times=-1)
        served = launch(publishing_to=hub, hub={"dataset": DATASET, "every_seconds": 1})
        visitor = visit(url=served.url)
        vote(visitor)
        visitor.open("/about")

        def line(part: str) -> str:
            visitor.page.wait_for_function(
                "part => (document.getElementById('ia-status')?.textContent || '').includes(part)", arg=part, timeout=250_000)  # fmt: skip
            return visitor.page.locator("#ia-status").inner_text()

        said = line("the Hub answers 503")
        assert "wait for the Hub; next try in" in said or "trying now" in said
        assert hub.token not in visitor.page.content()
        hub.faults.clear()
        assert "All votes are published" in line("All votes are published")
        served.arena.close()
