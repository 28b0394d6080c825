"""Votes, images and prompts reach a Hub dataset that the real clients load, whatever happens on the way."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from arena.dataset_card import dataset_card
from arena.errors import PublishError
from arena.hub_waiting import limit_waiting
from arena.ledger import Ledger
from arena.publisher import HubTarget
from arena.records import TABLES, Prompt
from arena.shards import features, to_parquet
from tests.hub.small_arena import DATASET, SmallArena, config

# Loads every config at every commit of a dataset, and every config of a local copy.
LOAD = """
import hashlib, json, sys
from datasets import Image, get_dataset_config_names, load_dataset
from huggingface_hub import HfApi

dataset, folder = sys.argv[1:]

def load(source, **more):
    loaded = {}
    for name in get_dataset_config_names(source, **more):
        rows = load_dataset(source, name, split="train", **more)
        loaded[name] = {"columns": {c: str(f) for c, f in rows.features.items()}, "rows": []}
        for row in rows:
            if "image" in row:
                row["image"] = hashlib.sha256(row["image"].convert("RGB").tobytes()).hexdigest()
            loaded[name]["rows"].append({c: str(v) for c, v in row.items()})
    return loaded

commits = [c.commit_id for c in HfApi().list_repo_commits(dataset, repo_type="dataset")][-2::-1]
default = load_dataset(dataset, split="train").column_names
print(json.dumps({"commits": [load(dataset, revision=c) for c in commits], "local": load(folder), "default": default}))
"""


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


@pytest.fixture
def arena(tmp_path) -> SmallArena:
    return SmallArena(tmp_path / "arena")


def published(hub, table: str = "votes") -> list[dict]:
    """The rows of a table on the Hub, in the order of their shards' paths."""
    files = hub.files(DATASET) if DATASET in hub.store.repos else {}
    tables = [pq.read_table(io.BytesIO(data)) for path, data in files.items() if path.startswith(f"data/{table}/")]
    return [row for part in tables for row in part.to_pylist()]


def assert_exactly_once(hub, votes) -> None:
    assert [row["vote_id"] for row in published(hub)] == [vote.vote_id for vote in votes]


def until(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_everything_loads_at_every_commit_and_from_the_local_copy(hub, target, arena, tmp_path, monkeypatch):
    publisher = arena.publisher(target)
    report = publisher.publish_now()  # images and prompts before any vote
    assert (report.dataset, report.commits, report.published_rows) == (DATASET, 1, 6)

    votes = arena.vote(3)
    secret = Prompt.make("my secret", source="voter")
    arena.ledger.add_prompts([secret], private=True)
    hidden = arena.draw(secret, "tiny-one", private=True)
    assert publisher.publish_now().published_rows == 3
    votes += arena.vote(2)
    arena.ledger.exclude(votes[0].vote_id, "withdrawn")
    told = arena.say(votes[1])
    assert publisher.publish_now().published_rows == 4
    assert publisher.publish_now().commits == 0  # nothing is new: nothing is sent
    assert hub.commits(DATASET) == 3
    local = len(list((arena.folder / "dataset").glob("data/*/*/*.parquet")))
    assert local == len(hub.files(DATASET)) == 6

    # A column that a later version adds must not make the shards of before unreadable.
    with monkeypatch.context() as later:
        later.setitem(TABLES, "prompts", {**TABLES["prompts"], "language": "string"})
        row = {**published(hub, "prompts")[0], "prompt_id": "later", "language": "de"}
        files = {"data/prompts/2030-01-01/later.parquet": to_parquet("prompts", [row]),
                 "README.md": dataset_card(config(), TABLES, dataset=DATASET).encode()}  # fmt: skip
        HfApi(endpoint=hub.url, token=hub.token).create_commit(
            DATASET, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="later",
            repo_type="dataset")  # fmt: skip

    loaded = hub.client(LOAD, tmp_path / "home", DATASET, str(arena.folder / "dataset"))
    first, second, third, last = loaded["commits"]
    assert set(first) == {"images", "prompts"}
    assert set(second) == {"votes", "images", "prompts"}
    assert set(third) == set(last) == set(TABLES)
    assert loaded["default"] == list(TABLES["votes"])
    assert loaded["local"] == third
    for table, about in third.items():
        assert list(about["columns"]) == list(TABLES[table])
        lists = {"list<int32>": "List(Value('int32'))",
                 "list<{x: float32, y: float32}>": "List({'x': Value('float32'), 'y': Value('float32')})"}  # fmt: skip
        for column, kind in features(table).items():
            value = "Image(mode=None, decode=True)" if kind == "image" else f"Value('{kind}')"
            assert about["columns"][column] == lists.get(kind, value)

    assert [row["vote_id"] for row in second["votes"]["rows"]] == [vote.vote_id for vote in votes[:3]]
    for row, vote in zip(third["votes"]["rows"], votes, strict=True):
        expected = {c: str(getattr(vote, c)) for c in TABLES["votes"] if c != "created_at"}
        assert {c: v for c, v in row.items() if c != "created_at"} == expected
        assert row["created_at"].startswith("2026-09-1") and row["created_at"].endswith("+00:00")
    assert [(row["vote_id"], row["reason"]) for row in third["exclusions"]["rows"]] == [(votes[0].vote_id, "withdrawn")]
    assert [row["feedback_id"] for row in third["feedback"]["rows"]] == [told.feedback_id]
    images = {row["image_id"]: row for row in third["images"]["rows"]}
    assert len(images) == 4 and hidden.image_id not in images
    for image_id, row in images.items():
        assert row["image"] == hashlib.sha256(arena.pixels(image_id)).hexdigest()
    assert {row["prompt"] for row in third["prompts"]["rows"]} == {"a cat", "ein Käfer 🐞"}
    assert [row["language"] for row in last["prompts"]["rows"]] == ["None", "None", "de"]

    status = publisher.status()
    assert (status.dataset, status.pending_rows, status.published_rows) == (DATASET, 0, 13)
    assert status.last_commit_at and status.last_error is None


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"reset": True}, {"status": 403}], ids=str)
def test_a_commit_that_the_hub_refuses_is_made_later(hub, target, arena, fault):
    votes, publisher = arena.vote(4), arena.publisher(target)
    hub.faults.add(r"POST .*/commit/", **fault)
    with pytest.raises(PublishError, match=DATASET):
        publisher.publish_now()
    status = publisher.status()
    assert DATASET in status.last_error and hub.token not in status.last_error
    assert (status.pending_rows, status.published_rows) == (10, 0)
    votes += arena.vote(2)
    publisher.publish_now()
    assert_exactly_once(hub, votes)
    assert publisher.status().last_error is None and publisher.status().pending_rows == 0


@pytest.mark.parametrize("fault", [{"after": 500}, {"after": "reset"}, {"after": 504}], ids=str)
def test_a_commit_that_landed_although_the_answer_was_an_error(hub, target, arena, fault):
    votes, publisher = arena.vote(4), arena.publisher(target)
    hub.faults.add(r"POST .*/commit/", **fault)
    assert publisher.publish_now().published_rows == 10
    assert hub.commits(DATASET) == 1
    assert publisher.publish_now().commits == 0
    assert_exactly_once(hub, votes)


def test_a_commit_that_landed_while_the_hub_could_not_be_asked(hub, target, arena):
    votes, publisher = arena.vote(4), arena.publisher(target)
    hub.faults.add(r"POST .*/commit/", after="reset")
    hub.faults.add(r"POST .*/paths-info/", status=400)
    with pytest.raises(PublishError):
        publisher.publish_now()
    again = arena.publisher(target)  # as after a restart: it commits the same files, which is no commit
    assert again.publish_now().published_rows == 10
    assert hub.commits(DATASET) == 1
    assert_exactly_once(hub, votes)


def test_an_absent_hub_is_waited_for(hub, target, arena):
    hub.down()
    publisher, votes = arena.publisher(target, every_seconds=0.05), arena.vote(3)
    publisher.start()
    until(lambda: publisher.status().last_error)
    assert publisher.status().next_try_at
    votes += arena.vote(3)
    hub.up()
    until(lambda: publisher.status().pending_rows == 0)
    votes += arena.vote(1)
    until(lambda: publisher.status().pending_rows == 0)
    assert publisher.close()
    assert_exactly_once(hub, votes)


def test_an_unanswered_commit_does_not_hold_publishing_for_ever(hub, arena):
    target = HubTarget(DATASET, token=hub.token, endpoint=hub.url, timeout=1.5)
    votes, publisher = arena.vote(2), arena.publisher(target)
    hub.faults.add(r"POST .*/commit/", hang=60)
    start = time.monotonic()
    with pytest.raises(PublishError, match="Timeout"):
        publisher.publish_now()
    assert time.monotonic() - start < 50, "the Hub would have hung for a minute"
    hub.faults.clear()
    limit_waiting(60)
    publisher.publish_now()
    assert_exactly_once(hub, votes)


def test_closing_publishes_what_is_left(hub, target, arena):
    publisher = arena.publisher(target)
    publisher.start()
    until(lambda: publisher.status().published_rows == 6)
    votes = arena.vote(3)
    hub.faults.add(r"POST .*/commit/", status=503)
    assert publisher.close()
    assert publisher.close()
    assert_exactly_once(hub, votes)
    assert publisher.status().next_try_at is None


def test_closing_publishes_votes_before_many_pictures(hub, target, arena, monkeypatch):
    monkeypatch.setattr("arena.publisher.MANY_IMAGES", 4)
    votes, drawn, read = arena.vote(3), threading.Event(), arena.bank.read
    monkeypatch.setattr(arena.bank, "read", lambda image_id: drawn.wait(100) and read(image_id))
    publisher, ended = arena.publisher(target), []
    closing = threading.Thread(target=lambda: ended.append(publisher.close(deadline=100)))
    closing.start()
    until(lambda: hub.commits(DATASET) == 1)
    assert_exactly_once(hub, votes)
    assert not any(path.startswith("data/images/") for path in hub.files(DATASET))
    drawn.set()
    closing.join(100)
    assert ended == [True] and any(path.startswith("data/images/") for path in hub.files(DATASET))


def test_closing_ends_in_time_and_the_next_start_goes_on(hub, target, arena):
    votes, publisher = arena.vote(3), arena.publisher(target)
    hub.faults.add(r"POST .*/commit/", hang=60, times=-1)
    start = time.monotonic()
    assert not publisher.close(deadline=1)
    assert time.monotonic() - start < 50, "the Hub would have hung for a minute"
    hub.faults.clear()
    hub.down()  # which ends the request that was left behind, as the end of its process would
    hub.up()
    arena.publisher(target).publish_now()
    assert_exactly_once(hub, votes)


def test_two_processes_on_one_ledger_publish_every_row_once(hub, target, arena):
    votes = arena.vote(6)
    others = [arena.publisher(target) for _ in range(3)]
    for publisher in others:  # each with a connection of its own, as another process has
        publisher._ledger = publisher._folder._ledger = Ledger(arena.ledger.path)
    threads = [threading.Thread(target=publisher.publish_now) for publisher in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_exactly_once(hub, votes)
    assert len(published(hub, "images")) == 4


def test_a_new_ledger_goes_on_with_the_dataset(hub, target, arena, tmp_path):
    votes = arena.vote(2)
    arena.ledger.exclude(votes[0].vote_id, "withdrawn")
    arena.publisher(target).publish_now()
    again = SmallArena(tmp_path / "after-the-disk-was-lost")  # same replica, same numbers, same clock
    more = again.vote(2)
    again.publisher(target).publish_now()
    assert {row["vote_id"] for row in published(hub)} == {vote.vote_id for vote in votes + more}
    card = hub.files(DATASET, "README.md")["README.md"].decode()
    assert "config_name: exclusions" in card  # which only the first one has


def test_a_gitignore_in_the_dataset_is_noticed(hub, target, arena):
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(DATASET, repo_type="dataset")
    api.create_commit(DATASET, [CommitOperationAdd(".gitignore", b"*.parquet\n")], commit_message="x",
                      repo_type="dataset")  # fmt: skip
    votes, publisher = arena.vote(2), arena.publisher(target)
    with pytest.raises(PublishError, match="gitignore"):
        publisher.publish_now()
    api.delete_file(".gitignore", DATASET, repo_type="dataset")
    publisher.publish_now()
    assert_exactly_once(hub, votes)


def test_a_token_that_may_not_write_is_said(hub, arena):
    publisher = arena.publisher(HubTarget(DATASET, token=hub.reader, endpoint=hub.url))
    with pytest.raises(PublishError, match="403"):
        publisher.publish_now()
    assert "HubTarget" in repr(HubTarget(DATASET, token="hf_x")) and "hf_x" not in repr(
        HubTarget(DATASET, token="hf_x")
    )


def test_a_private_dataset_is_made_private(hub, arena):
    arena.publisher(HubTarget(DATASET, token=hub.token, endpoint=hub.url, private=True)).publish_now()
    assert hub.store.repo(DATASET).private


def test_a_backlog_goes_in_several_commits_within_the_quota(hub, target, arena, monkeypatch):
    monkeypatch.setattr("arena.hub.FILES_A_COMMIT", 2)
    monkeypatch.setattr("arena.publisher.COMMITS_AN_HOUR", 2)
    local = arena.publisher()  # no Hub was configured yet
    votes = []
    for _ in range(5):
        votes += arena.vote()
        local.publish_now()
    publisher = arena.publisher(target)
    publisher.start()
    until(lambda: hub.commits(DATASET) == 2)
    time.sleep(0.2)
    assert hub.commits(DATASET) == 2 and publisher.status().pending_rows > 0
    assert publisher.close()  # the last chance is not rationed
    assert hub.commits(DATASET) == 4
    assert_exactly_once(hub, votes)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_sealed_shard_that_is_damaged_on_the_disk_is_made_again(hub, target, arena, damage):
    local, votes = arena.publisher(), arena.vote(2)
    local.publish_now()
    kept = {path: path.read_bytes() for path in (arena.folder / "dataset" / "data").glob("*/*/*.parquet")}
    for path, whole in kept.items():
        path.unlink() if damage == "gone" else path.write_bytes(whole[:-1])
    votes, publisher = votes + arena.vote(1), arena.publisher(target)
    publisher.publish_now()
    assert_exactly_once(hub, votes)
    assert len(published(hub, "images")) == 4
    assert {path: path.read_bytes() for path in kept} == kept
    assert publisher.status().last_error is None and publisher.status().pending_rows == 0


def test_a_damaged_shard_that_cannot_be_made_again_gives_its_rows_to_another(hub, target, arena):
    arena.publisher().publish_now()
    spoilt = next((arena.folder / "dataset" / "data" / "images").glob("*/*.parquet"))
    spoilt.unlink()
    gone = next(iter(arena.images.values()))[0]
    arena.bank.remove(gone.image_id)
    publisher = arena.publisher(target)
    publisher.publish_now()
    rows = {row["image_id"]: row["image"] for row in published(hub, "images")}
    assert len(rows) == len(published(hub, "images")) == 4
    assert [image_id for image_id, image in rows.items() if image is None] == [gone.image_id]
    assert not spoilt.exists() and publisher.status().pending_rows == 0
    assert arena.publisher(target).publish_now().commits == 0


def test_a_damaged_shard_that_landed_unheard_is_not_published_twice(hub, target, arena):
    votes, publisher = arena.vote(2), arena.publisher(target)
    hub.faults.add(r"POST .*/commit/", after="reset")
    hub.faults.add(r"POST .*/paths-info/", status=400)
    with pytest.raises(PublishError):
        publisher.publish_now()
    arena.bank.remove(next(iter(arena.images.values()))[0].image_id)
    for path in (arena.folder / "dataset" / "data" / "images").glob("*/*.parquet"):
        path.unlink()
    hub.down()
    with pytest.raises(PublishError):  # nobody can say whether the dataset has it
        arena.publisher(target).publish_now()
    hub.up()
    again = arena.publisher(target)
    again.publish_now()
    assert_exactly_once(hub, votes)
    assert [row["image"] is None for row in published(hub, "images")] == [False] * 4
    assert again.status().pending_rows == 0 and hub.commits(DATASET) == 1


def test_a_commit_is_eight_requests_and_sends_only_what_is_new(hub, target, arena):
    publisher = arena.publisher(target)
    publisher.publish_now()
    arena.vote(1)
    publisher.publish_now()  # votes are a new table: the card changes
    before = len(hub.requests)
    arena.vote(3)
    publisher.publish_now()
    made = hub.requests[before:]
    assert len(made) <= 8
    assert not any("validate-yaml" in request.path for request in made)  # the card is left alone
    newest = max(len(data) for path, data in hub.files(DATASET).items() if "/votes/" in path)
    assert sum(request.sent for request in made) < 2 * newest + 4000


def test_the_leaderboard_reads_the_dataset(hub, target, arena, tmp_path):
    votes = arena.vote(5)
    arena.ledger.exclude(votes[0].vote_id, "withdrawn")
    arena.publisher(target).publish_now()
    run = subprocess.run([sys.executable, "-m", "leaderboard", DATASET, "--format", "json"], capture_output=True,
                         text=True, cwd=Path(__file__).parents[2], env=hub.environment(tmp_path))  # fmt: skip
    assert run.returncode == 0, run.stderr
    source = json.loads(run.stdout)["source"]
    assert (source["votes"], source["counted"], source["revision"]) == (5, 4, hub.head(DATASET).oid)
