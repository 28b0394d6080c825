"""A voter is erased from ledger, disk, dataset and history, and nobody else loses a vote."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from arena import database, intake
from arena.__main__ import main
from arena.bank import Bank
from arena.errors import ArenaError
from arena.forget import Eraser
from arena.ledger import Ledger
from arena.publisher import HubTarget
from arena.restore import Restorer
from arena.shards import ShardFolder
from tests.app.conftest import write_config
from tests.hub.small_arena import DATASET, SmallArena

LOAD = """
import json, sys
from datasets import load_dataset
print(json.dumps({name: [row[key] for row in load_dataset(sys.argv[1], name, split="train")]
                  for name, key in (("votes", "vote_id"), ("exclusions", "vote_id"), ("feedback", "voter"))}))
"""


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


def eraser(arena: SmallArena, target: HubTarget | None) -> Eraser:
    """On the closed arena's folder, as the command makes it."""
    arena.ledger.close()
    ledger = Ledger(arena.folder / "ledger.sqlite", clock=arena.clock, alone=True)
    arena.ledger = ledger
    folder = ShardFolder(arena.folder / "dataset", ledger=ledger, replica="test")
    return Eraser(ledger, arena.bank, arena.publisher(target), folder, target)


def everywhere(hub, folder) -> bytes:
    """All that is on the disk and at every commit of the dataset, unpacked."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    repo = hub.store.repos.get(DATASET)
    files += [hub.store.read(file) for commit in repo.commits.values() for file in commit.tree.values()] if repo else []
    tables = [str(pq.read_table(io.BytesIO(data)).to_pylist()).encode() for data in files if data[:4] == b"PAR1"]
    return b"\n".join([*files, *tables])


@pytest.fixture
def published(tmp_path, target) -> tuple[SmallArena, list]:
    arena = SmallArena(tmp_path / "arena")
    votes = arena.vote(6)
    for vote in votes[2:5]:
        arena.say(vote, "a")
        arena.say(vote, "b", style=3)
    arena.ledger.exclude(votes[2].vote_id, "withdrawn")
    arena.publisher(target).publish_now()
    return arena, votes


def test_what_is_erased_is_gone_and_the_rest_loads(hub, target, published, tmp_path):
    arena, votes = published
    later = arena.vote(1)  # not sealed yet
    arena.say(later[0])
    (arena.folder / "ledger.sqlite.damaged-1").write_bytes(f"what was left of {votes[2].voter}".encode())
    done = eraser(arena, target).erase(votes[2].voter)
    assert done.rows["votes"] == 1 and done.rows["exclusions"] == 1 and done.rows["feedback"] == 2
    assert done.dataset_rows == 4
    kept = [vote.vote_id for vote in [*votes, *later] if vote is not votes[2]]
    loaded = hub.client(LOAD, tmp_path / "home", DATASET)
    assert sorted(loaded["feedback"]) == sorted([votes[3].voter, votes[4].voter] * 2 + [later[0].voter])
    assert sorted(loaded["votes"]) == sorted(kept) and loaded["exclusions"] == [votes[2].vote_id]
    assert len(HfApi(endpoint=hub.url, token=hub.token).list_repo_commits(DATASET, repo_type="dataset")) == 1
    arena.ledger.close()
    left = everywhere(hub, arena.folder)
    assert votes[2].voter.encode() not in left and votes[2].battle_id.encode() not in left
    assert votes[3].voter.encode() in left


def test_of_a_stranger_nothing_is_erased(hub, target, published):
    arena, _ = published
    done = eraser(arena, target).erase("0" * 32)
    assert set(done.rows.values()) == {0} and done.dataset_rows == done.local_files == 0


@pytest.mark.parametrize("fault", [r"POST .*/commit/", r"POST .*/super-squash"])
def test_an_erasure_that_was_cut_short_is_finished_by_the_next(hub, target, published, fault):
    arena, votes = published
    hub.faults.add(fault, status=503)
    with pytest.raises(ArenaError):
        eraser(arena, target).erase(votes[3].voter)
    hub.faults.clear()
    eraser(arena, target).erase(votes[3].voter)
    arena.ledger.close()
    left = everywhere(hub, arena.folder)
    assert votes[3].voter.encode() not in left and votes[1].voter.encode() in left


def test_another_replica_drops_the_votes_and_does_not_bring_them_back(hub, target, published, tmp_path):
    arena, votes = published
    other = Ledger(tmp_path / "other" / "ledger.sqlite")
    restorer = Restorer(other, Bank(tmp_path / "other" / "bank"), target, every_seconds=3600)
    restorer.read_now()
    assert other.counts()["votes"] == other.counts()["feedback"] == 6
    stale = hub.files(DATASET)
    eraser(arena, target).erase(votes[4].voter)
    restorer.read_now()
    ids = {row["vote_id"] for _, row in other.votes_after(0)}
    assert ids == {vote.vote_id for vote in votes} - {votes[4].vote_id}
    assert {row["voter"] for _, row in other.feedback_after(0)} == {votes[2].voter, votes[3].voter}
    for path, data in stale.items():  # as a copy of old shards would, that somebody uploads again
        table = path.split("/")[1]
        if table in ("votes", "feedback"):
            intake.take(other, table, intake.rows_of(table, pq.read_table(io.BytesIO(data))))
    assert (other.counts()["votes"], other.counts()["feedback"]) == (5, 4)
    other.close()


def test_without_a_hub_pending_shards_are_sealed_again(hub, tmp_path):
    arena = SmallArena(tmp_path / "arena")
    votes = arena.vote(3)
    arena.say(votes[0])
    arena.say(votes[1])
    arena.publisher().publish_now()
    done = eraser(arena, None).erase(votes[1].voter)
    assert done.local_files == 2 and done.dataset is None
    pending = arena.ledger.pending_shards()
    assert {table: sum(shard.rows for shard in pending if shard.table == table) for table in ("votes", "feedback")} == {
        "votes": 2, "feedback": 1}  # fmt: skip
    arena.ledger.close()
    assert votes[1].voter.encode() not in everywhere(hub, arena.folder)


def test_the_command_asks_first_and_refuses_beside_the_app(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    arena = SmallArena(tmp_path / "data")
    config = write_config(tmp_path / "arena.yaml")
    command = ["--config", str(config), "--data-dir", str(tmp_path / "data"), "forget"]
    assert main([*command, "0" * 32, "--yes"]) == 1
    assert "in use by another process" in capsys.readouterr().err
    arena.ledger.close()
    monkeypatch.setattr("builtins.input", lambda question: "no")
    assert main([*command, "0" * 32]) == 1 and "nothing was changed" in capsys.readouterr().out
    assert main([*command, "ann"]) == 2 and main([*command, "--user", "ann"]) == 2
    assert main([*command, "0" * 32, "--yes"]) == 0 and "what remains" in capsys.readouterr().out
