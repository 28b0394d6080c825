"""Replicas that begin at once publish the same prompts and pictures: readers count each once, and soon each is there
once."""

from __future__ import annotations

import io
import threading
from collections import Counter

import pyarrow.parquet as pq
import pytest

from arena.bank import Bank
from arena.ledger import Ledger
from arena.publisher import HubTarget
from arena.restore import Restorer
from tests.hub.small_arena import DATASET, SmallArena

KEYS = {"prompts": "prompt_id", "images": "image_id", "votes": "vote_id"}


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


def there(hub, table: str) -> Counter[str]:
    return Counter(row[KEYS[table]] for path, data in hub.files(DATASET).items() if path.startswith(f"data/{table}/")
                   for row in pq.read_table(io.BytesIO(data), columns=[KEYS[table]]).to_pylist())  # fmt: skip


def once(found: Counter[str]) -> bool:
    return bool(found) and set(found.values()) == {1}


def test_prompts_and_images_of_replicas_that_begin_at_once_are_there_once_after_a_day(hub, target, tmp_path):
    replicas = [SmallArena(tmp_path / name) for name in ("one", "two", "late")]
    votes = [vote.vote_id for replica in replicas for vote in replica.vote(2)]
    publishers = [replica.publisher(target, replica=name) for replica, name in zip(replicas, ("one", "two", "late"), strict=True)]  # fmt: skip
    together = threading.Barrier(2)

    def begin(publisher) -> None:
        together.wait(60)
        publisher.publish_now()

    threads = [threading.Thread(target=begin, args=(publisher,)) for publisher in publishers[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert set(there(hub, "prompts").values()) == set(there(hub, "images").values()) == {2}

    def restored(name: str) -> dict[str, int]:
        ledger = Ledger(tmp_path / name / "ledger.sqlite")
        Restorer(ledger, Bank(tmp_path / name / "bank"), target, every_seconds=3600).read_now(pictures=False)
        counts = ledger.counts()
        ledger.close()
        return {table: counts[table] for table in KEYS}

    assert restored("before") == {"prompts": 2, "images": 4, "votes": 4}
    for replica in replicas:
        replica.sleep(2)
    report = publishers[0].compact_now()
    assert report.commits == 1 and once(there(hub, "prompts")) and once(there(hub, "images"))
    assert publishers[1].compact_now().commits == 0, "nothing is left to do"
    assert there(hub, "votes") == Counter(votes[:4]) and restored("between") == restored("before")

    publishers[2].publish_now()  # it began with them, and the Hub was away
    assert set(there(hub, "prompts").values()) == {2}
    replicas[0].sleep(2)
    publishers[0].compact_now()
    assert once(there(hub, "prompts")) and there(hub, "votes") == Counter(votes)
    assert restored("after") == {"prompts": 2, "images": 4, "votes": 6}
    assert publishers[0].compact_now().commits == 0
