"""A ledger that a bucket passed on in the middle of a write: the arena starts all the same, what can be read goes on,
what was published comes back, and nothing goes out twice."""

from __future__ import annotations

import io
import logging
import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from arena.bank import Bank
from arena.build import build_arena
from arena.errors import LedgerError
from arena.ledger import Ledger
from arena.publisher import HubTarget, Publisher
from arena.restore import Restorer
from arena.salvage import mended
from tests.app.conftest import write_config
from tests.hub.small_arena import DATASET, SmallArena, config

PAGE = 4096


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


@pytest.fixture
def bucket(target, tmp_path):
    """(a data folder, the ids of votes that were published, of those in a shard that was not, and of those in none)."""
    arena = SmallArena(tmp_path / "mount", alone=True)
    published = arena.vote(60)
    arena.say(published[0])
    arena.ledger.exclude(published[1].vote_id, "withdrawn")
    arena.publisher(target).publish_now()
    sealed = arena.vote(20)
    arena.publisher().publish_now()
    waiting = arena.vote(40)
    arena.ledger.close()
    return (arena.folder, *({vote.vote_id for vote in votes} for votes in (published, sealed, waiting)))


def damage(path: Path, pages: list[int]) -> None:
    data = bytearray(path.read_bytes())
    for page in pages:
        data[page * PAGE : (page + 1) * PAGE] = random.Random(page).randbytes(PAGE)
    path.write_bytes(data)


def on_hub(hub, table: str = "votes", key: str = "vote_id") -> Counter[str]:
    return Counter(row[key] for path, data in hub.files(DATASET).items() if path.startswith(f"data/{table}/")
                   for row in pq.read_table(io.BytesIO(data), columns=[key]).to_pylist())  # fmt: skip


def votes_of(ledger: Ledger) -> set[str]:
    return {row["vote_id"] for _, row in ledger.votes_after(0)}


def test_whichever_page_is_damaged_it_goes_on_and_nothing_goes_out_twice(hub, target, bucket, tmp_path):
    folder, published, sealed, waiting = bucket
    pages = (folder / "ledger.sqlite").stat().st_size // PAGE
    mended_ones, lost = 0, []
    for number in range(1, pages, max(1, pages // 16)):
        place = tmp_path / f"page-{number}"
        shutil.copytree(folder, place)
        damage(place / "ledger.sqlite", [number])
        if mended(place / "ledger.sqlite", place / "dataset", restorable=True) is None:
            continue  # a page that nothing needs
        mended_ones += 1
        assert len(list(place.glob("ledger.sqlite.damaged-*"))) == 1
        ledger, bank = Ledger(place / "ledger.sqlite", alone=True), Bank(place / "bank")
        assert ledger.one("PRAGMA integrity_check")[0] == "ok"
        read = votes_of(ledger)
        restorer = Restorer(ledger, bank, target, every_seconds=3600)
        publisher = Publisher(ledger, bank, target, place / "dataset", every_seconds=3600, replica="test",
                              config=config(), know=restorer.know)  # fmt: skip
        publisher.publish_now()
        restorer.read_now(pictures=False)
        there = on_hub(hub)
        assert set(there.values()) == set(on_hub(hub, "feedback", "feedback_id").values()) == {1}, number
        assert published | read <= there.keys() and published <= votes_of(ledger), number
        assert ledger.unpublished() == 0
        lost.append(len((sealed | waiting) - there.keys()))
        ledger.close()
    assert mended_ones >= 5 and sorted(lost)[len(lost) // 2] <= 20


def test_new_votes_of_a_mended_ledger_are_published(hub, target, bucket):
    """Their numbers come after those of rows that are lost, which count as sealed."""
    folder, *_ = bucket
    with sqlite3.connect(folder / "ledger.sqlite") as db:  # rows that were sealed, and more, are gone
        db.execute("DELETE FROM votes WHERE seq > 30")
        db.execute("DELETE FROM sqlite_sequence")
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'votes_of_a_pair'").fetchone()[0]
    db.close()
    damage(folder / "ledger.sqlite", [root - 1])
    assert mended(folder / "ledger.sqlite", folder / "dataset", restorable=True) == 30
    arena = SmallArena(folder, alone=True)
    restorer = Restorer(arena.ledger, arena.bank, target, every_seconds=3600)
    restorer.read_now(pictures=False)
    new = {vote.vote_id for vote in arena.vote(3)}
    arena.publisher(target).publish_now()
    assert new <= on_hub(hub).keys() and set(on_hub(hub).values()) == {1}
    arena.ledger.close()


def test_an_arena_on_a_bucket_starts_with_a_damaged_ledger_and_says_so(hub, bucket, tmp_path, caplog):
    folder, published, *_ = bucket
    (folder / "ledger.sqlite").write_bytes(b"half of something else" * 1000)
    path = write_config(tmp_path / "arena.yaml", storage="bucket", hub={"dataset": DATASET})
    with caplog.at_level(logging.ERROR):
        arena = build_arena(path, folder, hf_token=hub.token, hf_endpoint=hub.url, fake=True)
    assert "the ledger was damaged and is kept as ledger.sqlite.damaged-" in caplog.text
    arena.restorer.read_now(pictures=False)
    assert published <= votes_of(arena.ledger)
    arena.close()


def test_where_nothing_is_left_and_nothing_was_published_it_says_what_to_do(bucket):
    folder, *_ = bucket
    (folder / "ledger.sqlite").write_bytes(b"half of something else" * 1000)
    with pytest.raises(LedgerError, match="put a copy of it there"):
        mended(folder / "ledger.sqlite", folder / "dataset", restorable=False)
    assert (folder / "ledger.sqlite").exists()


def test_a_sound_ledger_is_left_alone(bucket):
    folder, *_ = bucket
    before = (folder / "ledger.sqlite").read_bytes()
    assert mended(folder / "ledger.sqlite", folder / "dataset", restorable=True) is None
    assert mended(folder / "none.sqlite", folder / "dataset", restorable=True) is None
    assert (folder / "ledger.sqlite").read_bytes() == before and not list(folder.glob("*.damaged-*"))
