"""A data folder on a mounted bucket: what the mount has not passed on is lost when the machine dies, unless it was
published; nothing is doubled, and nothing else is lost."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from arena.publisher import HubTarget
from arena.restore import Restorer
from tests.hub.small_arena import DATASET, SmallArena


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


def on_hub(hub, table: str = "votes", key: str = "vote_id") -> Counter[str]:
    return Counter(row[key] for path, data in hub.files(DATASET).items() if path.startswith(f"data/{table}/")
                   for row in pq.read_table(io.BytesIO(data), columns=[key]).to_pylist())  # fmt: skip


def ids(votes) -> list[str]:
    return [vote.vote_id for vote in votes]


@pytest.mark.parametrize("passed_on", ["the ledger alone", "the whole folder"])
def test_when_the_machine_dies_what_was_published_comes_back_and_goes_out_once(hub, target, tmp_path, passed_on):
    arena = SmallArena(tmp_path / "mount", alone=True)
    first = arena.vote(4)
    arena.publisher(target).publish_now()
    late = arena.vote(3)  # in the bucket before they are published
    said = [arena.say(late[0], "a"), arena.say(late[0], "b")]
    arena.ledger.exclude(late[1].vote_id, "withdrawn")
    bucket = tmp_path / "bucket"
    if passed_on == "the whole folder":
        shutil.copytree(arena.folder, bucket)
    else:
        bucket.mkdir()
        shutil.copy(arena.folder / "ledger.sqlite", bucket)
    arena.publisher(target).publish_now()
    unpassed = arena.vote(2)  # published, and the bucket never hears of them
    arena.publisher(target).publish_now()
    lost = arena.vote(2)  # neither
    arena.ledger.close()
    shutil.rmtree(arena.folder)  # the machine dies

    again = SmallArena(bucket, alone=True)
    assert [row["vote_id"] for _, row in again.ledger.votes_after(0)] == ids([*first, *late])
    Restorer(again.ledger, again.bank, target, every_seconds=3600).read_now(pictures=False)
    more = again.vote(1)
    again.publisher(target).publish_now()
    everything = Counter(ids([*first, *late, *unpassed, *more]))
    assert on_hub(hub) == everything
    assert Counter(row["vote_id"] for _, row in again.ledger.votes_after(0)) == everything
    assert on_hub(hub, "feedback", "feedback_id") == Counter(one.feedback_id for one in said)
    assert set(on_hub(hub, "exclusions").values()) == set(on_hub(hub, "images", "image_id").values()) == {1}
    assert not everything.keys() & set(ids(lost)) and again.ledger.unpublished() == 0
    again.ledger.close()


WRITER = """
import sys
from arena.ledger import Ledger
ledger = Ledger(sys.argv[1], alone=True)
ledger.set_named("before", True)
with ledger.transaction() as db:
    db.execute("PRAGMA cache_size = 1")  # pages go into the file before the commit
    for k in range(2000):
        db.execute("INSERT INTO named_voters VALUES (?)", (f"never acknowledged {k:>100}",))
    print("half", flush=True)
    sys.stdin.read()
"""


def test_a_copy_from_the_middle_of_a_write_is_as_it_was_before(tmp_path):
    """The mount passes on file and journal while a transaction is under way."""
    (tmp_path / "mount").mkdir()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "mount" / "ledger.sqlite")], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:  # fmt: skip
        assert writer.stdout.readline() == "half\n"
        shutil.copytree(tmp_path / "mount", tmp_path / "bucket")
        writer.kill()
    assert (tmp_path / "bucket" / "ledger.sqlite-journal").stat().st_size > 0
    from arena.ledger import Ledger

    ledger = Ledger(tmp_path / "bucket" / "ledger.sqlite", alone=True)
    assert [row["voter"] for row in ledger.all("SELECT voter FROM named_voters")] == ["before"]
    ledger.close()


# What a mount without shared memory does to SQLite's write-ahead log: opening it fails, as on s3fs and the like.
REFUSED = """
import sqlite3, sys
real = sqlite3.connect

class NoSharedMemory(sqlite3.Connection):
    def execute(self, sql, *values):
        if "journal_mode = wal" in sql.lower():
            raise sqlite3.OperationalError("unable to open database file")
        return super().execute(sql, *values)

sqlite3.connect = lambda *args, **kwargs: real(*args, **{**kwargs, "factory": NoSharedMemory})
from arena.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_arena_runs_where_the_write_ahead_log_is_refused(hub, tmp_path: Path):
    model = {"id": "tiny-one", "name": "One", "organisation": "Tests", "family": "tiny", "licence": "mit",
             "backend": "fake", "source": "nowhere", "settings": {"width": 32, "height": 32}}  # fmt: skip
    raw = {"models": [model, {**model, "id": "tiny-two", "name": "Two"}], "hub": {"dataset": DATASET},
           "categories": [{"name": "Animals", "prompts": [{"prompt": "a cat"}]}]}  # fmt: skip
    (tmp_path / "arena.yaml").write_text(yaml.safe_dump(raw))
    run = subprocess.run([sys.executable, "-c", REFUSED, "--config", str(tmp_path / "arena.yaml"), "--data-dir",
                          str(tmp_path / "data"), "fill"], capture_output=True, text=True, timeout=200,
                         env=hub.environment(tmp_path / "home"))  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert not list((tmp_path / "data").glob("*-wal")) and set(on_hub(hub, "images", "image_id").values()) == {1}
    assert len(on_hub(hub, "images", "image_id")) == 2 and len(on_hub(hub, "prompts", "prompt_id")) == 1
