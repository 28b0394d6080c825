"""Sealing, the local copy and the card: all of publishing that needs no Hub."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import Features
from huggingface_hub import DatasetCard

from arena import shards
from arena.dataset_card import ABOUT_COLUMNS, ABOUT_TABLES, dataset_card
from arena.errors import PublishError
from arena.layout import shard_path
from arena.publisher import LONGEST_WAIT, Pace
from arena.records import TABLES, arrow_schema
from arena.shards import ShardFolder, described_schema, to_parquet
from tests.hub.small_arena import SmallArena, config


@pytest.fixture
def arena(tmp_path) -> SmallArena:
    return SmallArena(tmp_path / "arena")


def kept(arena: SmallArena, table: str = "votes") -> list[dict]:
    files = sorted((arena.folder / "dataset" / "data" / table).glob("*/*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_without_a_hub_the_same_shards_are_kept_locally(arena):
    """Pictures only when somebody asks: they are in the bank, and would be on the disk twice."""
    votes, publisher = arena.vote(5), arena.publisher()
    report = publisher.publish_now()
    assert (report.dataset, report.sealed_rows, report.published_rows, report.commits) == (None, 11, 0, 0)
    status = publisher.status()
    assert (status.dataset, status.pending_rows, status.published_rows) == (None, 11, 0)
    assert (status.last_commit_at, status.last_error, status.next_try_at) == (None, None, None)
    votes += arena.vote(2)
    assert publisher.close() and publisher.close()
    assert [row["vote_id"] for row in kept(arena)] == [vote.vote_id for vote in votes]
    assert len(kept(arena, "images")) == 4
    assert DatasetCard.load(arena.folder / "dataset" / "README.md").data.to_dict()["pretty_name"] == "A small arena"


def test_without_a_hub_no_picture_is_on_the_disk_twice_until_somebody_asks(arena):
    votes, publisher = arena.vote(2), arena.publisher()
    publisher.start()
    end = time.monotonic() + 120
    while len(kept(arena)) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    votes += arena.vote(1)
    assert publisher.close()
    assert [row["vote_id"] for row in kept(arena)] == [vote.vote_id for vote in votes]
    assert kept(arena, "prompts") and kept(arena, "images") == []
    assert publisher.status().pending_rows == sum(arena.ledger.counts().values()), "a Hub that comes later gets all"
    arena.publisher().publish_now()
    assert len(kept(arena, "images")) == 4 and len(kept(arena)) == 3


def test_the_leaderboard_reads_the_local_copy(arena):
    arena.vote(6)
    arena.publisher().publish_now()
    run = subprocess.run([sys.executable, "-m", "leaderboard", str(arena.folder / "dataset"), "--format", "json"],
                         cwd=Path(__file__).parents[2], capture_output=True, text=True)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert '"votes": 6' in run.stdout


def test_the_same_rows_make_the_same_path_and_bytes(tmp_path, monkeypatch):
    counter = iter(range(10_000))
    for module in ("arena.records", "tests.hub.small_arena"):  # or else ids are random
        monkeypatch.setattr(f"{module}.new_id", lambda: f"{next(counter):032x}")
    one = SmallArena(tmp_path / "one")
    one.vote(3)
    one.publisher().publish_now()
    counter = iter(range(10_000))
    two = SmallArena(tmp_path / "two")
    two.vote(3)
    two.publisher().publish_now()
    first, second = files(one.folder / "dataset"), files(two.folder / "dataset")
    assert first == second and len(first) == 3
    assert all(path.startswith("data/") and "-test-1-" in path for path in first)


def test_a_shards_path_sorts_by_time_and_differs_with_its_content():
    row = {"created_at": 1_789_000_000_123}
    path = shard_path("votes", "ab12", (7, row), 9, "f" * 64)
    assert path == "data/votes/2026-09-10/20260910T002640-ab12-7-9-ffffffff.parquet"


def test_shards_hold_exactly_the_published_columns(arena):
    arena.vote(1)
    arena.publisher().publish_now()
    for table in TABLES:
        for path in (arena.folder / "dataset" / "data" / table).glob("*/*.parquet"):
            assert pq.read_schema(path).equals(arrow_schema(table))
    (_, row), *_ = arena.ledger.votes_after(0)
    with pytest.raises(PublishError, match="address"):
        to_parquet("votes", [{**row, "address": "127.0.0.1"}])
    with pytest.raises(PublishError, match="voter"):
        to_parquet("votes", [{c: v for c, v in row.items() if c != "voter"}])
    with pytest.raises(PublishError, match="does not fit"):
        to_parquet("votes", [{**row, "created_at": "yesterday"}])


def test_images_come_in_row_groups_and_shards_of_bounded_size(arena, monkeypatch):
    monkeypatch.setitem(shards.ROW_GROUP, "images", 2)
    monkeypatch.setattr(shards, "IMAGE_BYTES", 1)
    arena.publisher().publish_now()
    folder = arena.folder / "dataset" / "data" / "images"
    assert len(list(folder.glob("*/*.parquet"))) == 4
    monkeypatch.setattr(shards, "IMAGE_BYTES", 2**20)
    rows = shards.with_images(enumerate(kept(arena, "images")), arena.bank.read)
    data = to_parquet("images", [row for _, row in rows])
    path = arena.folder / "all.parquet"
    path.write_bytes(data)
    assert pq.ParquetFile(path).num_row_groups == 2


def test_an_image_without_its_file_is_published_as_null(arena, caplog):
    gone, spoilt, *_ = [image for pair in arena.images.values() for image in pair]
    arena.bank.remove(gone.image_id)
    (arena.folder / "bank" / spoilt.image_id[:2] / f"{spoilt.image_id}.png").write_bytes(b"not what it was")
    arena.publisher().publish_now()
    assert [row["image"] is None for row in kept(arena, "images")] == [True, True, False, False]
    [line] = [record.message for record in caplog.records if "picture" in record.message]
    assert line.startswith("2 images are published without their pictures") and gone.image_id in line


@pytest.mark.parametrize("step", ["record", "place"])
def test_a_crash_while_sealing_neither_loses_nor_doubles_a_row(arena, monkeypatch, step):
    votes = arena.vote(3)
    with monkeypatch.context() as crash:

        def die(*_):
            raise KeyboardInterrupt  # as a kill: nothing after this runs

        crash.setattr(*(arena.ledger, "record_shard", die) if step == "record" else (ShardFolder, "_place", die))
        with pytest.raises(KeyboardInterrupt):
            arena.publisher().publish_now()
    assert kept(arena) == []
    votes += arena.vote(2)
    arena.publisher().publish_now()
    assert [row["vote_id"] for row in kept(arena)] == [vote.vote_id for vote in votes]
    assert list((arena.folder / "dataset" / ".sealing").iterdir()) == []


def test_a_full_disk_is_an_error_that_passes(arena, monkeypatch):
    votes, publisher = arena.vote(3), arena.publisher()
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(PublishError, match="No space left"):
            publisher.publish_now()
    assert "No space left" in publisher.status().last_error
    publisher.publish_now()
    assert [row["vote_id"] for row in kept(arena)] == [vote.vote_id for vote in votes]


@pytest.mark.parametrize("tables", [set(), {"images"}, set(TABLES)], ids=len)
def test_the_card_lists_the_tables_that_exist(tables):
    card = DatasetCard(dataset_card(config(licence="cc-by-4.0"), tables, dataset="user/name"))
    data = card.data.to_dict()
    assert data["license"] == "cc-by-4.0" and "human-preferences" in data["tags"]
    assert {entry["config_name"] for entry in data.get("configs", [])} == tables
    assert [entry["config_name"] for entry in data.get("configs", []) if entry.get("default")] == ["votes"] * (
        "votes" in tables
    )
    for info in data.get("dataset_info", []):
        as_datasets_reads_them = Features._from_yaml_list(info["features"])
        assert as_datasets_reads_them.arrow_schema.equals(arrow_schema(info["config_name"]))
        assert as_datasets_reads_them == Features.from_arrow_schema(described_schema(info["config_name"]))
    assert "python -m leaderboard user/name" in card.text and "Demonstration" in card.text
    assert card.validate is not None and ("| `vote_id` |" in card.text) == ("votes" in tables)


def test_the_card_explains_every_column_and_names_its_own_licence():
    assert ABOUT_TABLES.keys() == TABLES.keys()
    assert ABOUT_COLUMNS.keys() == {column for columns in TABLES.values() for column in columns}
    data = DatasetCard(dataset_card(config(licence="Our-Own-1"), {"votes"}, dataset="a/b")).data.to_dict()
    assert (data["license"], data["license_name"]) == ("other", "our-own-1")


def test_pace_waits_longer_after_failures_and_again_as_before_after_success():
    pace, waits = Pace(60, 0), []
    for _ in range(8):
        before = pace.next
        pace.failed(before)
        waits.append(pace.next - before)
    assert waits == [60, 120, 240, 480, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    pace.succeeded(5000)
    assert pace.next == 5060
    slow = Pace(86_400, 0)
    slow.failed(0)
    assert slow.next == 86_400


def test_pace_keeps_under_sixty_commits_an_hour():
    pace, now, commits = Pace(1, 0), 0.0, []
    while now < 3 * 3600:
        now = pace.next
        assert pace.left(now) > 0
        pace.committing(now)
        commits.append(now)
        pace.succeeded(now)
    assert all(sum(start <= at < start + 3600 for at in commits) <= 60 for start in commits)
    assert len(commits) >= 180
