"""A disk that fell back to an earlier state while the Hub is away: what was published then may wait here as if it had
never been. It is known to be there before anything is published again."""

from __future__ import annotations

import io
import shutil
import threading
from collections import Counter

import pyarrow.parquet as pq
import pytest

from arena.bank import Bank
from arena.errors import PublishError
from arena.ledger import Ledger
from arena.publisher import HubTarget, Publisher
from arena.restore import MOST_UNREAD, Restorer
from tests.hub.small_arena import DATASET, SmallArena, config


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url, timeout=20)


class Disk:
    """A data folder as the arena opens it, without the arena."""

    def __init__(self, folder, target: HubTarget, **more):
        self.ledger, bank = Ledger(folder / "ledger.sqlite"), Bank(folder / "bank")
        self.restorer = Restorer(self.ledger, bank, target, every_seconds=3600)
        self.publisher = Publisher(self.ledger, bank, target, folder / "dataset", every_seconds=3600, replica="test",
                                   config=config(), know=self.restorer.know, **more)  # fmt: skip

    def close(self) -> None:
        self.restorer.close()
        self.publisher.close(0.1)
        self.ledger.close()


@pytest.fixture
def fallen(hub, target, tmp_path):
    """(the disk as it was before its last votes were published, those votes' ids)."""
    arena = SmallArena(tmp_path / "arena")
    votes = arena.vote(4)
    arena.publisher(target).publish_now()
    votes += arena.vote(3)
    arena.say(votes[-1])
    arena.ledger.exclude(votes[-2].vote_id, "withdrawn")
    arena.ledger.close()
    shutil.copytree(arena.folder, tmp_path / "earlier")
    later = Ledger(arena.folder / "ledger.sqlite", clock=arena.clock)
    arena.ledger = later
    votes += arena.vote(1)  # so that the shard ends elsewhere than one made of the earlier disk
    arena.publisher(target).publish_now()
    later.close()
    return tmp_path / "earlier", [vote.vote_id for vote in votes]


def assert_once(hub, votes) -> None:
    for table, key, wanted in (("votes", "vote_id", votes), ("feedback", "feedback_id", None),
                               ("exclusions", "vote_id", None)):  # fmt: skip
        rows = Counter(row[key] for path, data in hub.files(DATASET).items() if path.startswith(f"data/{table}/")
                       for row in pq.read_table(io.BytesIO(data), columns=[key]).to_pylist())  # fmt: skip
        assert set(rows.values()) == {1}, table
        assert wanted is None or set(rows) == set(wanted)


def test_nothing_goes_out_before_the_dataset_was_read(hub, target, fallen):
    folder, votes = fallen
    hub.down()
    disk = Disk(folder, target)
    for _ in range(MOST_UNREAD + 1):  # a Hub that is away is no dataset that can't be read
        with pytest.raises(PublishError, match="Connect"):
            disk.publisher.publish_now()
    assert disk.publisher.status().last_error
    hub.up()
    disk.publisher.publish_now()
    assert disk.publisher.status().pending_rows == 0
    assert_once(hub, votes)
    disk.close()


def test_a_token_that_was_refused_at_first_is_no_dataset_without_rows(hub, target, fallen):
    folder, votes = fallen
    hub.revoke()
    disk, told = Disk(folder, target), threading.Event()
    disk.restorer.start(told.set)
    assert told.wait(100) and disk.restorer.status().rows == {}
    with pytest.raises(PublishError, match="401"):
        disk.publisher.publish_now()
    hub.heal()
    disk.publisher.publish_now()
    assert_once(hub, votes)
    disk.close()


def test_the_last_chance_reads_first_too(hub, target, fallen):
    folder, votes = fallen
    hub.down()
    disk = Disk(folder, target)
    disk.restorer.start(disk.publisher.start)
    hub.up()
    disk.restorer.close()  # as the arena does when it closes
    assert disk.publisher.close(deadline=100)
    assert_once(hub, votes)
    disk.close()


def test_a_disk_on_which_nothing_waited_need_not_be_read_first(hub, target, tmp_path):
    def refuse() -> None:
        raise AssertionError("nothing could have been published before")

    arena = SmallArena(tmp_path / "arena")
    arena.publisher(target).publish_now()
    publisher = Publisher(arena.ledger, arena.bank, target, arena.folder / "dataset", every_seconds=3600,
                          replica="test", config=config(), know=refuse)  # fmt: skip
    arena.vote(2)
    publisher.publish_now()
    assert publisher.status().pending_rows == 0


def test_a_dataset_of_which_a_part_cannot_be_read_for_good_does_not_keep_votes_from_it(hub, target, fallen):
    folder, _ = fallen
    disk = Disk(folder, target)
    hub.faults.add(r"GET .*/resolve/.*data/votes", status=403, times=-1)
    for _ in range(MOST_UNREAD - 1):
        with pytest.raises(PublishError, match="before the dataset is read"):
            disk.publisher.publish_now()
    disk.publisher.publish_now()
    assert disk.publisher.status().pending_rows == 0
    disk.close()
