"""On a mounted bucket the ledger keeps one connection to itself, and promises what it promises on a disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading

import pytest
import yaml

from arena import database, storage
from arena.__main__ import main
from arena.build import build_arena
from arena.errors import LedgerError
from arena.ledger import Ledger
from arena.storage import file_system_of, storage_of
from tests.unit import test_ledger
from tests.unit.test_ledger import cast, served  # noqa: F401 (a fixture)

MOUNTS = """\
/dev/vda / ext4 rw 0 0
proc /proc proc rw 0 0
s3 /data fuse.s3fs rw 0 0
/dev/vdb /data/local ext4 rw 0 0
server:/x /srv/share nfs4 rw 0 0
geese /with\\040space fuse.geesefs rw 0 0
overlay /over ext4 rw 0 0
fuse-overlayfs /over fuse.fuse-overlayfs rw 0 0
"""


@pytest.fixture
def ledger(tmp_path, clock):
    """As on a bucket. Tests of test_ledger that are called here run on it."""
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=clock, alone=True)
    yield ledger
    ledger.close()


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.2)


# -- what kind of disk ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place, kind", [
    ("/data", "fuse.s3fs"), ("/data/arena/x", "fuse.s3fs"), ("/data/local/x", "ext4"), ("/database", "ext4"),
    ("/srv/share/arena", "nfs4"), ("/with space/data", "fuse.geesefs"), ("/over/data", "fuse.fuse-overlayfs"),
])  # fmt: skip
def test_the_mount_of_a_folder_is_the_nearest_and_the_last(tmp_path, place, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert file_system_of(storage.Path(place), mounts) == kind


@pytest.mark.parametrize("kind, found", [
    ("ext4", "disk"), ("overlay", "disk"), ("fuseblk", "disk"), ("fuse.fuse-overlayfs", "disk"),
    ("fuse.s3fs", "bucket"), ("fuse", "bucket"), ("nfs4", "bucket"), ("cifs", "bucket"),
])  # fmt: skip
def test_a_bucket_or_share_is_known_by_its_mount(tmp_path, kind, found):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / tmpfs rw 0 0\nb {tmp_path} {kind} rw 0 0\n")
    assert storage_of(tmp_path / "data", mounts=mounts) == found
    assert storage_of(tmp_path / "data", "disk", mounts) == "disk"
    assert storage_of(tmp_path / "data", "bucket", mounts) == "bucket"
    assert list((tmp_path / "data").iterdir()) == [], "a trial leaves nothing"


def test_where_the_write_ahead_log_does_not_work_is_found_out(tmp_path, monkeypatch):
    def without_shared_memory(path):
        return sqlite3.connect(f"file:{path}?vfs=unix-none", uri=True, isolation_level=None)

    monkeypatch.setattr(storage, "_connect", without_shared_memory)
    assert storage_of(tmp_path, mounts=tmp_path / "nobody says") == "bucket"


def test_the_folder_of_these_tests_is_a_disk(tmp_path):
    assert storage_of(tmp_path / "new" / "folder") == "disk"
    with pytest.raises(LedgerError, match="cannot be used as a ledger"):
        storage_of(storage.Path("/dev/null/data"))


# -- the ledger on a bucket ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", [
    test_ledger.test_a_vote_comes_back_as_it_was_cast,
    test_ledger.test_a_second_vote_is_refused_and_changes_nothing,
    test_ledger.test_of_many_votes_at_once_exactly_one_is_taken,
    test_ledger.test_only_the_last_vote_can_be_withdrawn_and_only_once,
    test_ledger.test_the_crowds_record_follows_the_images_not_the_sides,
    test_ledger.test_shards_move_from_unsealed_to_pending_to_published,
], ids=lambda promise: promise.__name__)  # fmt: skip
def test_the_promises_of_a_disk(promise, ledger, served):  # noqa: F811
    promise(ledger, served)


def test_nothing_but_a_rollback_journal_is_beside_the_file(ledger, served, tmp_path):  # noqa: F811
    cast(ledger, served())
    names = {path.name for path in tmp_path.iterdir()}
    assert "ledger.sqlite" in names and names <= {"ledger.sqlite", "ledger.sqlite-journal"}
    assert [ledger.one(f"PRAGMA {name}")[0] for name in ("journal_mode", "locking_mode", "synchronous")] == [
        "delete", "exclusive", 3]  # fmt: skip


def test_threads_never_see_half_of_a_transaction(ledger):
    def count() -> int:
        return ledger.one("SELECT COUNT(*) AS n FROM named_voters")["n"]

    seen, inside, go_on = [], threading.Event(), threading.Event()

    def write() -> None:
        with ledger.transaction() as db:
            db.execute("INSERT INTO named_voters VALUES ('ann')")
            inside.set()
            go_on.wait(120)
            db.execute("INSERT INTO named_voters VALUES ('bob')")

    writer = threading.Thread(target=write)
    writer.start()
    assert inside.wait(60)
    reader = threading.Thread(target=lambda: seen.append(count()))
    reader.start()
    reader.join(0.2)
    assert seen == []
    go_on.set()
    writer.join(60), reader.join(60)
    assert seen == [2]


KILLED = """
import os, signal, sys, time
from arena.ledger import Ledger
ledger = Ledger(sys.argv[1], alone=True)
for n in range(20):
    ledger.set_named(f"voter{n}", True)
with ledger.transaction() as db:
    db.execute("INSERT INTO named_voters VALUES ('never acknowledged')")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_outlives_a_killed_process(tmp_path):
    path = tmp_path / "ledger.sqlite"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=200).returncode == -9
    ledger = Ledger(path, alone=True)
    assert {row[0] for row in ledger.all("SELECT voter FROM named_voters")} == {f"voter{n}" for n in range(20)}
    ledger.close()


@pytest.mark.parametrize("moved", [(False, True), (True, False)], ids=["to a bucket", "to a disk"])
def test_a_ledger_can_be_moved_between_a_disk_and_a_bucket(tmp_path, moved):
    path = tmp_path / "ledger.sqlite"
    for alone in moved:
        ledger = Ledger(path, alone=alone)
        ledger.set_named(f"alone {alone}", True)
        ledger.close()
    ledger = Ledger(path, alone=moved[0])
    assert ledger.is_named("alone True") and ledger.is_named("alone False")
    ledger.close()


# -- one process only ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alone", [True, False])
def test_a_second_one_is_told_that_the_ledger_is_in_use(ledger, hurried, alone):
    with pytest.raises(LedgerError, match=r"in use by another process.*stop that one first"):
        Ledger(ledger.path, alone=alone)
    ledger.set_named("ann", True)


def test_publishing_beside_the_app_says_what_to_do(tmp_path, hurried, capsys):
    model = {"name": "M", "organisation": "O", "family": "f", "licence": "mit", "source": "x", "backend": "fake"}
    (tmp_path / "arena.yaml").write_text(yaml.safe_dump({
        "storage": "bucket", "models": [{**model, "id": "a"}, {**model, "id": "b"}],
        "categories": [{"name": "Any", "prompts": [{"prompt": "a cat"}]}]}))  # fmt: skip
    arena = build_arena(tmp_path / "arena.yaml", tmp_path / "data")
    command = ["--config", str(tmp_path / "arena.yaml"), "--data-dir", str(tmp_path / "data"), "publish"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "stop that one first (the app publishes by itself)" in said and len(said.splitlines()) == 1
    arena.close()
    assert main(command) == 0
    assert not os.path.exists(tmp_path / "data" / "ledger.sqlite-wal")
