"""Shards go up and come down by plain HTTP, with our timeouts, also where hf_xet is installed, as it is on a Space."""

from __future__ import annotations

import logging

import pytest

from arena import compact
from arena.bank import Bank
from arena.errors import PublishError
from arena.ledger import Ledger
from arena.publisher import HubTarget, Publisher
from arena.restore import Restorer
from tests.hub.small_arena import DATASET, SmallArena, config


@pytest.fixture
def installed(hub, monkeypatch):
    """A test Hub that offers Xet for every file; whoever took it would ask for a token of that."""
    from huggingface_hub import constants
    from huggingface_hub.utils._runtime import is_xet_available

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.setattr(compact, "FEW_SMALL", 3)
    assert is_xet_available()
    answer = hub.api

    def offer(call):
        reply = answer(call)
        if "/resolve/" in call.path:
            refresh = f"{hub.url}/api/datasets/{DATASET}/xet-read-token/main"
            reply.headers |= {"X-Xet-Hash": "a" * 64, "X-Xet-Refresh-Route": refresh}
        return reply

    monkeypatch.setattr(hub, "api", offer)
    return hub


def test_publishing_compacting_and_restoring_ask_for_nothing_of_xet(installed, tmp_path, caplog):
    hub, arena = installed, SmallArena(tmp_path / "arena")
    target = HubTarget(DATASET, token=hub.token, endpoint=hub.url, timeout=20)
    publisher, votes = arena.publisher(target), []
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            votes += arena.vote(2)
            publisher.publish_now()
    assert hub.count(r"PUT /lfs/\w+$") >= 5 and not caplog.records  # not a line a commit either
    arena.sleep(2)
    # Compacted elsewhere, so that every shard is downloaded.
    empty = Ledger(tmp_path / "empty" / "ledger.sqlite")
    other = Publisher(empty, Bank(tmp_path / "empty" / "bank"), target, tmp_path / "empty" / "dataset",
                      every_seconds=3600, replica="other", config=config(), clock=arena.clock)  # fmt: skip
    assert other.compact_now().shards_after > 0
    Restorer(empty, Bank(tmp_path / "empty" / "bank"), target, every_seconds=60).read_now()
    assert empty.counts() == arena.ledger.counts()
    assert hub.count("xet") == 0


def test_a_download_that_is_never_answered_ends_a_compaction_and_changes_nothing(installed, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub, arena = installed, SmallArena(tmp_path / "arena")
    publisher = arena.publisher(HubTarget(DATASET, token=hub.token, endpoint=hub.url, timeout=0.5))
    for _ in range(5):
        arena.vote(2)
        publisher.publish_now()
    arena.sleep(2)
    before = hub.head(DATASET).oid
    for shard in (arena.folder / "dataset" / "data").glob("*/*/*.parquet"):
        shard.unlink()
    hub.faults.add(r"GET .*/resolve/.*parquet", hang=600, times=-1)
    with pytest.raises(PublishError, match=r"[Tt]ime"):
        publisher.compact_now()
    assert hub.head(DATASET).oid == before
