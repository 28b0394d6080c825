"""Erasing goes on where it was cut short, reaches into large shards, and what is erased never comes back."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections import Counter

import pyarrow.parquet as pq
import pytest
import yaml

from arena.bank import Bank
from arena.errors import PublishError
from arena.ledger import Ledger
from arena.restore import Restorer
from tests.hub.small_arena import DATASET, SmallArena
from tests.hub.test_forget import eraser, everywhere, target  # noqa: F401

WHO = "f" * 32
LOAD = """
import json, sys
from datasets import get_dataset_config_names, load_dataset
names = get_dataset_config_names(sys.argv[1])
loaded = {name: load_dataset(sys.argv[1], name, split="train") for name in names}
print(json.dumps({name: list(rows["vote_id"]) if "vote_id" in rows.column_names else [] for name, rows in loaded.items()}))
"""

# Ends the command as kill -9 does, at a step of it.
KILLED = """
import os, signal, sys
from pathlib import Path
from arena.__main__ import main
import arena.forget, arena.hub_files, arena.ledger, arena.publisher, arena.shards

place, name, when = sys.argv[1:4]
owner = {"Eraser": arena.forget.Eraser, "HubFiles": arena.hub_files.HubFiles, "Ledger": arena.ledger.Ledger,
         "Publisher": arena.publisher.Publisher, "ShardFolder": arena.shards.ShardFolder}[place]
original = getattr(owner, name)

def killed(*args, **kwargs):
    if when == "after":
        original(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, killed)
main(sys.argv[4:])
"""
STEPS = [("Eraser", "_from_ledger", "after"), ("Ledger", "replace_shard", "before"), ("Eraser", "_from_disk", "after"),
         ("Ledger", "scrub", "after"), ("ShardFolder", "_place", "before"), ("Publisher", "publish_now", "after"),
         ("HubFiles", "replace", "before"), ("HubFiles", "replace", "after"), ("HubFiles", "squash", "before")]  # fmt: skip


def votes_on(hub) -> Counter[str]:
    rows = [row for path, data in hub.files(DATASET).items() if path.startswith("data/votes/")
            for row in pq.read_table(io.BytesIO(data), columns=["vote_id"]).to_pylist()]  # fmt: skip
    return Counter(row["vote_id"] for row in rows)


def test_killed_at_every_step_it_goes_on_and_leaves_nothing(hub, target, tmp_path):  # noqa: F811
    """One after the other: each run is killed a step later than the one before, and the last one finishes."""
    arena = SmallArena(tmp_path / "arena")
    others = arena.vote(5)
    for vote in arena.vote(3, WHO):
        arena.say(vote, "a")
    publisher = arena.publisher(target)
    publisher.publish_now()
    publisher.compact_now(today=True)
    arena.vote(2, WHO)
    others += arena.vote(2)
    hub.faults.add(r"POST .*/commit/", status=503)
    with pytest.raises(PublishError):  # sealed, and the Hub does not have it
        arena.publisher(target).publish_now()
    hub.faults.clear()
    arena.vote(1, WHO)  # not sealed
    others += arena.vote(1)
    arena.ledger.close()
    model = {"id": "tiny-one", "name": "One", "organisation": "Tests", "family": "tiny", "licence": "mit",
             "backend": "fake", "source": "nowhere"}  # fmt: skip
    raw = {"models": [model, {**model, "id": "tiny-two", "name": "Two"}], "hub": {"dataset": DATASET},
           "categories": [{"name": "Animals", "prompts": [{"prompt": "a cat"}]}]}  # fmt: skip
    (tmp_path / "arena.yaml").write_text(yaml.safe_dump(raw))
    command = ["--config", str(tmp_path / "arena.yaml"), "--data-dir", str(arena.folder), "forget", WHO, "--yes"]
    for step in STEPS:
        run = subprocess.run([sys.executable, "-c", KILLED, *step, *command], capture_output=True, text=True, timeout=200,
                             env=hub.environment(tmp_path / "home"))  # fmt: skip
        assert run.returncode == -9, f"{step} was not come to\n{run.stdout}\n{run.stderr[-2000:]}"
    eraser(arena, target).erase(WHO)
    arena.ledger.close()
    assert WHO.encode() not in everywhere(hub, arena.folder)
    assert votes_on(hub) == Counter(vote.vote_id for vote in others)
    loaded = hub.client(LOAD, tmp_path / "home", DATASET)
    assert "feedback" not in loaded, "all of it was theirs: a config without a file does not load"
    assert sorted(loaded["votes"]) == sorted(vote.vote_id for vote in others)
    assert len(loaded["exclusions"]) == len(set(loaded["exclusions"])) == 6


def test_a_large_shard_is_rewritten_and_no_replica_or_backup_brings_the_rows_back(hub, target, tmp_path):  # noqa: F811
    """A replica whose push landed unheard pushes again, with the shard as it was; its disk is a backup of that time."""
    arena = SmallArena(tmp_path / "arena")
    votes = [*arena.vote(3), *arena.vote(2, WHO), *arena.vote(1)]
    publisher = arena.publisher(target)
    publisher.publish_now()
    unheard = SmallArena(tmp_path / "unheard")
    unheard.vote(2, WHO)
    kept = unheard.vote(1)
    alone = unheard.vote(1, WHO)
    first = unheard.publisher(target, replica="unheard")
    hub.faults.add(r"POST .*/commit/", after=500)
    hub.faults.add(r"POST .*/paths-info/", status=503, times=-1)
    with pytest.raises(PublishError):
        first.publish_now()
    hub.faults.clear()
    unheard.ledger.close()
    shutil.copytree(unheard.folder, tmp_path / "backup")

    publisher.compact_now(today=True)
    large = [path for path in hub.files(DATASET) if path.startswith("data/votes/") and "compact" in path]
    assert len(large) == 1
    done = eraser(arena, target).erase(WHO)
    assert done.dataset_rows == 5 and large[0] not in hub.files(DATASET)
    left = Counter(vote.vote_id for vote in [*votes[:3], votes[5], *kept])
    assert votes_on(hub) == left and alone[0].vote_id not in left

    for folder in (unheard.folder, tmp_path / "backup"):
        again = SmallArena(folder)  # opens the ledger that is there
        assert again.ledger.pending_shards()
        again.publisher(target, replica="unheard").publish_now()
        assert votes_on(hub) == left, folder
        Restorer(again.ledger, again.bank, target, every_seconds=3600).read_now(pictures=False)
        assert again.ledger.one("SELECT COUNT(*) AS n FROM votes WHERE voter = ?", WHO)["n"] == 0
        again.ledger.close()

    publisher = arena.publisher(target)  # what was rewritten can be compacted again, and is still known
    arena.vote(1)
    publisher.publish_now()
    publisher.compact_now(today=True)
    fresh = Ledger(tmp_path / "fresh" / "ledger.sqlite")
    Restorer(fresh, Bank(tmp_path / "fresh" / "bank"), target, every_seconds=3600).read_now(pictures=False)
    assert fresh.counts()["votes"] == 6 and not any(row["voter"] == WHO for _, row in fresh.votes_after(0))
    fresh.close(), arena.ledger.close()
