"""Many short seeded histories of the real Publisher against the real client and a Hub that fails at any request."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from arena.errors import PublishError
from arena.hub import HubTarget
from arena.ledger import Ledger
from arena.shards import ShardFolder
from tests.faults.checks import assert_loads_at_every_commit, in_ledger, missing, table
from tests.hub.local_hub import LocalHub
from tests.hub.small_arena import DATASET, SmallArena

HISTORIES = int(os.environ.get("SOAK_HISTORIES", "10"))
REQUESTS = ("POST /api/repos/create", "GET .*/refs", "GET .*/tree/", "POST .*/preupload/", "objects/batch", "PUT /lfs/",
            "/verify", "POST .*/commit/", "POST .*/commit/", "POST .*/paths-info/", "")  # fmt: skip
FAULTS = ({"status": 503}, {"status": 429}, {"status": 429, "headers": {"Retry-After": "30"}}, {"reset": True},
          {"midway": True}, {"after": "reset"}, {"after": 500}, {"after": 504}, {"hang": 20}, {"status": 403})  # fmt: skip
STEPS = ((Ledger, "record_shard"), (ShardFolder, "_place"), (Ledger, "mark_published"))


class PowerCut(BaseException):
    """Nothing that the publisher catches."""


@pytest.fixture
def impatient(monkeypatch):
    """huggingface_hub tries again without sleeping in between."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))


def cut(monkeypatch: pytest.MonkeyPatch, rng: random.Random) -> None:
    owner, method = rng.choice(STEPS)
    original, when = getattr(owner, method), rng.choice(["before", "after"])

    def cut_short(*args, **kwargs):
        if when == "after":
            original(*args, **kwargs)
        raise PowerCut

    monkeypatch.setattr(owner, method, cut_short)


def fill_disk(monkeypatch: pytest.MonkeyPatch, rng: random.Random) -> None:
    """Writing a shard, or telling the ledger of it, fails as on a disk that is full."""
    error = OSError(28, "No space left on device")
    if rng.random() < 0.5:
        monkeypatch.setattr("arena.shards.os.fsync", lambda descriptor: (_ for _ in ()).throw(error))
    else:
        full = sqlite3.OperationalError("database or disk is full")
        monkeypatch.setattr(Ledger, "record_shard", lambda *args: (_ for _ in ()).throw(full))


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_a_history_of_faults_ends_with_every_row_exactly_once(impatient, tmp_path, seed):
    rng = random.Random(seed)
    with LocalHub() as hub:
        arena = SmallArena(tmp_path / "arena")
        target = HubTarget(DATASET, token=hub.token, endpoint=hub.url, timeout=0.25)
        publishers = [arena.publisher(target)]
        votes: list[str] = []
        said: list[str] = []
        hub.part_bytes = rng.choice([0, 2000])
        for _ in range(rng.randrange(3, 8)):
            for vote in arena.vote(rng.randrange(4)):
                votes.append(vote.vote_id)
                for side in ("a", "b")[: rng.randrange(3)]:
                    said.append(arena.say(vote, side, style=rng.randrange(1, 6)).feedback_id)
            if votes and rng.random() < 0.3:
                arena.ledger.exclude(rng.choice(votes), "withdrawn")
            trouble = rng.choice(["fault", "fault", "fault", "down", "revoked", "quota", "lag", "cut", "disk", "none"])
            with pytest.MonkeyPatch.context() as patch:
                if trouble == "fault":
                    hub.faults.add(rng.choice(REQUESTS), times=rng.choice([1, 2, -1]), **rng.choice(FAULTS))
                elif trouble == "down":
                    hub.down()
                elif trouble == "revoked":
                    hub.revoke()
                elif trouble == "quota":
                    hub.commits_left = 0
                elif trouble == "lag":
                    hub.behind = rng.choice([1, 2])
                elif trouble in ("cut", "disk"):
                    {"cut": cut, "disk": fill_disk}[trouble](patch, rng)
                try:
                    rng.choice(publishers).publish_now()
                except (PublishError, PowerCut):
                    pass
            if rng.random() < 0.4:  # a restart, or another process beside
                publishers = [arena.publisher(target), *publishers[: rng.randrange(2)]]
            if rng.random() < 0.7:
                hub.heal()
        hub.heal()
        arena.publisher(HubTarget(DATASET, token=hub.token, endpoint=hub.url)).publish_now()
        ledger = arena.ledger.path
        assert missing(hub, [ledger]) == 0
        for name, key in (("votes", "vote_id"), ("images", "image_id"), ("prompts", "prompt_id")):
            there = [row[key] for row in table(hub, name)]
            assert sorted(there) == sorted(row[key] for row in in_ledger(ledger, name)), name
        assert len(table(hub, "exclusions")) == len(in_ledger(ledger, "exclusions"))
        assert sorted(row["vote_id"] for row in table(hub, "votes")) == sorted(votes)
        assert sorted(row["feedback_id"] for row in table(hub, "feedback")) == sorted(said)
        assert_loads_at_every_commit(hub)


LOAD = """
import json, sys
from datasets import get_dataset_config_names, load_dataset
from huggingface_hub import HfApi

dataset = sys.argv[1]
rows = []
for commit in [c.commit_id for c in HfApi().list_repo_commits(dataset, repo_type="dataset")][:-1]:
    names = get_dataset_config_names(dataset, revision=commit)
    rows.append({name: load_dataset(dataset, name, split="train", revision=commit).num_rows for name in names})
print(json.dumps(rows[::-1]))
"""


def test_the_datasets_library_loads_every_config_at_every_commit_of_a_bad_day(impatient, tmp_path: Path):
    with LocalHub() as hub:
        arena = SmallArena(tmp_path / "arena")
        target, votes = HubTarget(DATASET, token=hub.token, endpoint=hub.url), 0
        for fault in ({"after": 500}, {"status": 503}, {"after": "reset"}, {"midway": True}):
            votes += len(arena.vote(2))
            hub.faults.add(r"POST .*/commit/", **fault)
            hub.faults.add(r"POST .*/paths-info/", status=400)
            try:
                arena.publisher(target).publish_now()
            except PublishError:
                pass
            hub.heal()
        vote = arena.vote(1)[0]
        arena.say(vote)
        arena.ledger.exclude(vote.vote_id, "withdrawn")
        arena.publisher(target).publish_now()
        loaded = hub.client(LOAD, tmp_path / "home", DATASET)
    assert len(loaded) >= 3 and all(rows > 0 for commit in loaded for rows in commit.values())
    assert loaded[-1] == {"votes": votes + 1, "images": 4, "feedback": 1, "prompts": 2, "exclusions": 1}
