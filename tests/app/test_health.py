"""/health tells a monitor whether votes can be taken and what waits for the Hub, and the About page says it calmly."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest

from arena import database
from arena.health import line, safe
from arena.ui.edge import Limits

NOW = 1_800_000_000_000


def hub(**changes):
    return {"ok": True, "hub": {"dataset": "me/votes", "pending_rows": 0, "published_rows": 5, "last_commit_at": None,
                                "last_error": None, "next_try_at": NOW + 40_000, **changes}}  # fmt: skip


@pytest.mark.parametrize("report, says", [
    (hub(), "All votes are published."),
    (hub(last_commit_at=NOW - 12_000), "All votes are published, the last ones 12 s ago."),
    (hub(last_commit_at=NOW - 3 * 3_600_000), "All votes are published, the last ones 3 h ago."),
    (hub(pending_rows=1), "1 new row waits for the Hub; the next commit is in 40 s."),
    (hub(pending_rows=37, next_try_at=NOW - 1), "37 new rows wait for the Hub; the next commit is due now."),
    (hub(pending_rows=1037, last_error="me/votes: HfHubHTTPError 503: Service Unavailable"),
     "1,037 new rows wait for the Hub; next try in 40 s: the Hub answers 503."),
    (hub(pending_rows=37, last_error="ConnectError: [Errno 111] Connection refused", next_try_at=NOW + 600_000),
     "37 new rows wait for the Hub; next try in 10 min: the Hub can’t be reached."),
    (hub(pending_rows=37, last_error="shards could not be written", next_try_at=None),
     "37 new rows wait for the Hub; trying now: the last try failed."),
    (hub(dataset=None), "Votes are kept on this server; no dataset on the Hub is configured."),
    ({"ok": False, "hub": None}, "Votes can’t be taken at this moment: the server’s disk can’t be written."),
])  # fmt: skip
def test_the_line_says_what_there_is_to_know(report, says):
    assert line(report, NOW) == says


@pytest.mark.parametrize("error, told", [
    ("401 for token hf_abcDEF123 in use", "401 for token ... in use"),
    ("Authorization: Bearer abc.def", "Authorization: ..."),
    ("https://me:secret@hub.test/api/datasets/x?token=1", "https://...hub.test/api/datasets/x"),
    ("[Errno 28] No space left: '/data/arena/dataset/.sealing/votes-1'", "[Errno 28] No space left: 'votes-1'"),
    ("/srv/data/ledger.sqlite: could not be written", "ledger.sqlite: could not be written"),
    (r"C:\arena\data\ledger.sqlite is gone", "ledger.sqlite is gone"),
    ("a\nb", "a b"),
    ("x" * 400, "x" * 300),
])  # fmt: skip
def test_an_error_is_told_without_tokens_and_folders(error, told):
    assert re.sub(" +", " ", safe(error)).strip() == told


def test_all_is_well(served, visitor):
    visitor.vote(visitor.next())
    answer = visitor.http.get("/health")
    report = answer.json()
    assert answer.status_code == 200 and report["ok"] is True
    assert report["ledger"] == {"writable": True, "error": None, "storage": "disk"}
    assert report["uptime_seconds"] > 0 and report["disk_free_bytes"] > 0 and report["requests_running"] >= 1
    assert {"live_waiting", "bank_missing", "votes", "arena_version"} <= report.keys()
    assert {"pending_rows", "published_rows", "last_commit_at", "last_error", "next_try_at"} <= report["hub"].keys()
    assert report["line"] == "Votes are kept on this server; no dataset on the Hub is configured."
    voter = served.arena.ledger.votes_after(0)[-1][1]["voter"]
    told = json.dumps(report)
    assert voter not in told and str(served.arena.ledger.path.parent) not in told
    assert not any(model in told for model in served.arena.contenders)


def test_a_ledger_that_cannot_be_written_is_a_503(launch, visit, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    served = launch()
    visitor = visit(served.url)
    with sqlite3.connect(served.arena.ledger.path) as other:
        other.execute("BEGIN IMMEDIATE")  # somebody holds the file
        answer = visitor.http.get("/health")
        other.rollback()
    report = answer.json()
    assert answer.status_code == 503 and report["ok"] is False
    assert not report["ledger"]["writable"] and "locked" in report["ledger"]["error"]
    assert report["line"].startswith("Votes can’t be taken")
    assert str(served.arena.ledger.path.parent) not in json.dumps(report)
    served.api._shared.clear()  # an answer is kept for two seconds
    assert visitor.http.get("/health").json()["ok"] is True


def test_health_cannot_be_asked_without_end(launch, visit):
    served = launch(edge=Limits(health_of_address=(0.001, 3)))
    visitor = visit(served.url)
    assert [visitor.http.get("/health").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert visitor.http.get("/arena/meta").status_code == 200
