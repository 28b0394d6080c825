"""The way back from the Hub: a disk that was lost, and what other replicas published."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from arena import intake
from arena.bank import Bank
from arena.build import build_arena, replica_name, start
from arena.errors import AlreadyGiven, AlreadyVoted, NoBattle, RestoreError, UnknownBattle
from arena.hub_waiting import limit_waiting
from arena.ledger import Ledger
from arena.matchmaking import Seen
from arena.publisher import HubTarget
from arena.records import TABLES, Prompt, content_id
from arena.restore import Restorer
from arena.served import SeenBy
from arena.service import Arena
from arena.shards import to_parquet
from arena.tables import to_vote
from standings import Standings
from tests.hub.small_arena import DATASET, MODELS, SmallArena

ROOT = Path(__file__).parents[2]
SECRET = b"one secret for every replica...."
PROMPTS = ("a cat", "ein Käfer 🐞", "a boat", "a tree")


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


@pytest.fixture
def first(tmp_path, target) -> SmallArena:
    """An arena with ten votes, one of them withdrawn, and feedback on four images, all published."""
    arena = SmallArena(tmp_path / "first")
    votes = arena.vote(10)
    arena.ledger.exclude(votes[3].vote_id, "withdrawn")
    for vote in votes[:2]:
        arena.say(vote, "a")
        arena.say(vote, "b", errors=1)
    arena.publisher(target).publish_now()
    return arena


class EmptyDisk:
    """A ledger and a bank with nothing in them, and their restorer."""

    def __init__(self, folder: Path, target: HubTarget, every_seconds: float = 3600):
        self.ledger, self.bank = Ledger(folder / "ledger.sqlite"), Bank(folder / "bank")
        self.restorer = Restorer(self.ledger, self.bank, target, every_seconds=every_seconds)


@pytest.fixture
def empty(tmp_path, target) -> EmptyDisk:
    return EmptyDisk(tmp_path / "empty", target)


def until(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def published(hub, table: str) -> list[dict]:
    files = hub.files(DATASET)
    tables = [pq.read_table(io.BytesIO(data)) for path, data in files.items() if path.startswith(f"data/{table}/")]
    return [row for part in tables for row in part.to_pylist()]


def commit(hub, added: dict[str, bytes], deleted: tuple[str, ...] = ()) -> None:
    operations = [CommitOperationAdd(path, data) for path, data in added.items()]
    HfApi(endpoint=hub.url, token=hub.token).create_commit(
        DATASET, [*operations, *map(CommitOperationDelete, deleted)], commit_message="by hand", repo_type="dataset"
    )


def everything(ledger: Ledger) -> dict[str, list[dict]]:
    return {table: [row for _, row in ledger._published(table, 0, -1)] for table in TABLES}


def test_all_that_was_published_comes_back_and_is_never_published_again(hub, first, empty, target, tmp_path):
    report = empty.restorer.read_now()
    assert report.rows == {"votes": 10, "images": 4, "feedback": 4, "prompts": 2, "exclusions": 1}
    assert (report.pictures, report.pictures_awaited, report.left_out, report.unreadable) == (4, 0, 0, ())
    assert everything(empty.ledger) == everything(first.ledger)
    for images in first.images.values():
        for image in images:
            assert empty.bank.read(image.image_id) == first.bank.read(image.image_id)

    assert empty.ledger.unpublished() == 0
    assert all(empty.ledger.unsealed(table, -1) == [] for table in TABLES)
    assert SmallArena.publisher(_like(first, empty, tmp_path), target).publish_now().commits == 0

    before = len(hub.requests)
    again = empty.restorer.read_now()
    assert again.rows == report.rows and len(hub.requests) == before + 1, "nothing new costs one request"


def _like(arena: SmallArena, disk: EmptyDisk, folder: Path) -> SmallArena:
    """`arena`'s way of publishing, on another disk."""
    found = object.__new__(SmallArena)
    found.folder, found.ledger, found.bank, found._time = folder / "like", disk.ledger, disk.bank, arena._time
    return found


def test_a_voter_goes_on_where_they_were(first, empty):
    [vote] = [row for _, row in first.ledger.votes_after(0)][-1:]
    empty.restorer.read_now(pictures=False)
    seen = (vote["prompt_id"], vote["image_a"], vote["image_b"])
    assert SeenBy(empty.ledger).of(vote["voter"]) == Seen.of([seen]) == SeenBy(first.ledger).of(vote["voter"])
    with pytest.raises(UnknownBattle):
        empty.ledger.cast_vote(vote["battle_id"], "somebody else", None, not_before=0)
    with pytest.raises(AlreadyVoted):
        empty.ledger.cast_vote(vote["battle_id"], vote["voter"], None, not_before=0)
    assert empty.ledger.open_battles(vote["voter"], 0) == []
    empty.ledger.withdraw(vote["battle_id"], vote["voter"])
    assert [row["reason"] for _, row in empty.ledger.unsealed("exclusions", -1)] == ["withdrawn"]


def test_feedback_goes_on_where_it_was(first, empty):
    """Without the battle, which is never published: the vote says all that is needed."""
    empty.restorer.read_now(pictures=False)
    said, silent = (to_vote(row) for row in empty.ledger.all("SELECT * FROM votes WHERE seq IN (1, 3) ORDER BY seq"))
    disk = _like(first, empty, first.folder)
    with pytest.raises(AlreadyGiven):
        disk.say(said)
    new = disk.say(silent)
    assert (new.image_id, new.prompt, new.voter) == (silent.image_a, silent.prompt, silent.voter)
    assert json.loads(new.extra)["revealed"] is True, "nobody knows whether the names were told"
    assert [row["feedback_id"] for _, row in empty.ledger.unsealed("feedback", -1)] == [new.feedback_id]


def test_a_private_vote_comes_back_without_its_images(first, empty, target):
    secret = Prompt.make("my secret", source="voter")
    first.ledger.add_prompts([secret], private=True)
    first.images[secret.prompt_id] = [first.draw(secret, model, private=True) for model in MODELS]
    vote = first._vote(secret)
    first.publisher(target).publish_now()
    first.publisher(target).publish_now()
    empty.restorer.read_now()
    assert empty.ledger.vote_of(vote.battle_id) == vote
    assert SeenBy(empty.ledger).of(vote.voter) == Seen.of([(secret.prompt_id, vote.image_a, vote.image_b)])
    assert empty.ledger.prompt(secret.prompt_id) is None and empty.ledger.unpublished() == 0


def test_what_was_cut_short_goes_on_and_nothing_is_doubled(hub, first, empty, target):
    for _ in range(3):
        first.vote(3)
        first.publisher(target).publish_now()
    hub.faults.add(r"GET .*/resolve/.*/data/votes/", delay=0, times=1)
    hub.faults.add(r"GET .*/resolve/.*/data/votes/", status=503, times=4)
    with pytest.raises(RestoreError, match="503"):
        empty.restorer.read_now()
    hub.faults.clear()
    assert empty.ledger.counts()["votes"] < 19 and empty.ledger.unpublished() == 0
    empty.restorer.read_now()
    assert everything(empty.ledger) == everything(first.ledger)


def test_a_transaction_that_fails_in_the_middle_of_a_shard_leaves_no_row_to_publish(first, empty, monkeypatch):
    monkeypatch.setattr("arena.restore.ROWS_AT_ONCE", 2)
    taken, real = [], intake.take

    def take(ledger, table, rows, **more):
        taken.append(table)
        if taken.count("votes") == 3:
            raise KeyboardInterrupt  # as the end of the process
        return real(ledger, table, rows, **more)

    monkeypatch.setattr(intake, "take", take)
    with pytest.raises(KeyboardInterrupt):
        empty.restorer.read_now()
    assert empty.ledger.counts()["votes"] == 4 and empty.ledger.unpublished() == 0
    empty.restorer.read_now()
    assert everything(empty.ledger) == everything(first.ledger)
    assert empty.ledger.unpublished() == 0


def test_large_shards_in_place_of_small_ones_change_nothing(hub, first, empty, target):
    """What a compaction does: the same rows in one large shard, the small ones deleted."""
    first.vote(5)
    first.publisher(target).publish_now()
    empty.restorer.read_now()
    for ledger, restorer in ((empty.ledger, empty.restorer), (first.ledger, None)):
        before = everything(ledger)
        if restorer is None:  # the arena that sealed them
            restorer = Restorer(ledger, first.bank, target, every_seconds=3600)
        else:
            for table in ("votes", "images"):
                small = [path for path in hub.files(DATASET) if path.startswith(f"data/{table}/")]
                rows = [dict(row, created_at=row["created_at"]) for row in published(hub, table)]
                commit(hub, {f"data/{table}/2026-09-10/large.parquet": to_parquet(table, rows)}, tuple(small))
        report = restorer.read_now()
        assert (report.pictures_awaited, report.unreadable) == (0, ())
        assert everything(ledger) == before and ledger.unpublished() == 0


def test_pictures_that_moved_while_they_were_awaited_are_found_where_they_are_now(hub, first, empty):
    empty.restorer.read_now(pictures=False)
    assert len(intake.awaited(empty.ledger)) == 4
    small = [path for path in hub.files(DATASET) if path.startswith("data/images/")]
    rows = published(hub, "images")[1:]  # and one picture is not there any more
    commit(hub, {"data/images/2026-09-10/large.parquet": to_parquet("images", rows)}, tuple(small))
    report = empty.restorer.read_now()
    assert (report.pictures, report.pictures_awaited) == (3, 0)


def test_shards_of_a_later_version_are_read_and_damaged_rows_are_left_out(hub, first, empty, monkeypatch):
    vote = published(hub, "votes")[0]
    with monkeypatch.context() as later:
        later.setitem(TABLES, "votes", {**TABLES["votes"], "language": "string"})
        rows = [{**vote, "vote_id": "later", "battle_id": "b1", "language": "de"},
                {**vote, "vote_id": "odd", "battle_id": "b2", "winner": "neither", "language": "de"},
                {**vote, "vote_id": "", "battle_id": "b3", "language": None}]  # fmt: skip
        new = to_parquet("votes", rows)
    old = pa.table({"vote_id": ["older"], "battle_id": ["b4"], "winner": ["model_b"],
                    "created_at": pa.array([1_700_000_000_000_000], pa.timestamp("us", tz="UTC")),
                    "model_a": pa.array(["tiny-one"]).dictionary_encode(), "model_b": ["tiny-two"]})  # fmt: skip
    out = pa.BufferOutputStream()
    pq.write_table(old, out)
    commit(hub, {"data/votes/2030-01-01/later.parquet": new, "data/votes/2020-01-01/no.parquet": b"PAR1 not at all",
                 "data/votes/2020-01-01/older.parquet": out.getvalue().to_pybytes()})  # fmt: skip
    for _ in range(2):
        report = empty.restorer.read_now()
        assert report.rows["votes"] == 12 and report.left_out == 2
        assert report.unreadable == ("data/votes/2020-01-01/no.parquet",)
    rows = {row["vote_id"]: row for _, row in empty.ledger.votes_after(0)}
    assert rows["later"]["winner"] == "model_a" and "language" not in rows["later"]
    assert (rows["older"]["created_at"], rows["older"]["extra"]) == (1_700_000_000_000, "{}")


def test_a_picture_that_is_not_what_its_id_says_never_reaches_the_bank(hub, first, empty):
    row = published(hub, "images")[0]
    false = {**row, "image_id": "0" * 32}
    text = {**row, "image_id": content_id(b"no picture"), "image": {"bytes": b"no picture", "path": "x.png"}}
    none = {**row, "image_id": "1" * 32, "image": None}
    commit(hub, {"data/images/2030-01-01/odd.parquet": to_parquet("images", [false, text, none])})
    arrived = []
    empty.restorer.arrived = arrived.extend
    report = empty.restorer.read_now()
    assert (report.rows["images"], report.pictures, report.pictures_awaited) == (7, 4, 0)
    assert len(arrived) == 7 and not any(empty.bank.has(odd["image_id"]) for odd in (false, text, none))


def test_what_is_needed_is_fetched_first_and_only_its_part_of_a_large_shard(hub, first, empty, monkeypatch):
    rng, rows = random.Random(1), published(hub, "images")
    monkeypatch.setattr("arena.shards.ROW_GROUP", {"images": 1})
    for path in [path for path in hub.files(DATASET) if path.startswith("data/images/")]:
        rows = [{**row, "image": {**row["image"], "bytes": row["image"]["bytes"] + rng.randbytes(300_000)}}
                for row in rows]  # fmt: skip
        rows = [{**row, "image_id": content_id(row["image"]["bytes"])} for row in rows]
        commit(hub, {"data/images/2026-09-10/large.parquet": to_parquet("images", rows)}, (path,))
    monkeypatch.setattr("arena.shards.ROW_GROUP", {"images": 100})
    monkeypatch.setattr("arena.hub_reader.SMALL", 100_000)
    wanted = rows[2]["image_id"]
    order = []
    empty.restorer.needed = lambda picture: picture.image_id == wanted
    empty.restorer.arrived = lambda pictures: order.append([p.image_id for p in pictures])
    before = len(hub.requests)
    empty.restorer.read_now(pictures=False)
    got = sum(request.answered for request in hub.requests[before:] if "/images/" in request.path)
    assert got < 200_000, "rows come without their pictures"
    empty.restorer.read_now()
    assert order == [[wanted]] + [[rows[i]["image_id"]] for i in (3, 1, 0)], "then the newest first"
    assert all(empty.bank.read(row["image_id"]) == row["image"]["bytes"] for row in rows)


def test_pictures_leave_votes_their_room_on_the_disk(first, empty, monkeypatch):
    monkeypatch.setattr("arena.restore.LEAST_FREE", 2**62)
    with pytest.raises(RestoreError, match="4 pictures stay on the Hub"):
        empty.restorer.read_now()
    assert empty.ledger.counts()["votes"] == 10


@pytest.mark.parametrize("fault, says", [({"status": 503}, "503"), ({"reset": True}, "disconnected|reset"),
                                         ({"hang": 60}, "Timeout")], ids=str)  # fmt: skip
def test_a_hub_that_fails_is_said_and_asked_again(hub, first, tmp_path, fault, says):
    target = HubTarget(DATASET, token=hub.token, endpoint=hub.url, timeout=1.5 if "hang" in fault else 60)
    disk = EmptyDisk(tmp_path / "empty", target)
    for request in (r"GET .*/revision/", r"GET .*/tree/", r"GET .*/resolve/"):
        hub.faults.add(request, **fault)
        with pytest.raises(RestoreError, match=f"(?i){says}") as failed:
            disk.restorer.read_now()
        assert hub.token not in str(failed.value)
        hub.faults.clear()
    limit_waiting(60)
    assert disk.restorer.read_now().rows["votes"] == 10


def test_the_hub_says_when_to_come_again_and_is_heeded(hub, first, tmp_path, target):
    disk, came = EmptyDisk(tmp_path / "empty", target, every_seconds=0.1), []

    def comes() -> None:
        status = disk.restorer.status()
        came.append((time.monotonic(), disk.ledger.counts()["votes"], disk.restorer.settled, status.last_error))

    hub.faults.add(r"GET .*/revision/", status=429, headers={"Retry-After": "2"})
    hub.faults.add(r"GET .*/revision/", call=comes)
    began = time.monotonic()
    disk.restorer.start(lambda: None)
    until(lambda: disk.ledger.counts()["votes"] == 10)
    (when, votes, settled, error), *_ = came
    assert when - began >= 2 and not votes and settled and error
    until(lambda: disk.restorer.status().last_error is None)
    disk.restorer.close()


def test_no_dataset_yet_is_nothing_to_restore(hub, empty):
    started = []
    empty.restorer.start(lambda: started.append(True))
    until(lambda: started)
    status = empty.restorer.status()
    assert status.rows == {} and status.last_error is None
    empty.restorer.close()


# -- whole arenas -------------------------------------------------------------------------------------------------


def write_config(folder: Path, **hub) -> Path:
    model = {"organisation": "Tests", "family": "tiny", "licence": "apache-2.0", "source": "nowhere",
             "backend": "fake", "settings": {"width": 64, "height": 64}}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "arena.yaml").write_text(yaml.safe_dump({
        "title": "Tests", "models": [{**model, "id": name, "name": name} for name in (*MODELS, "tiny-three")],
        "categories": [{"name": "Animals", "prompts": [{"prompt": text} for text in PROMPTS]}],
        "bank": {"display_px": 64}, "limits": {"votes_per_minute": 1e6},
        "hub": {"dataset": DATASET, "every_seconds": 1, "read_every_seconds": 1, **hub},
    }))  # fmt: skip
    return folder / "arena.yaml"


@pytest.fixture
def begin(hub, tmp_path):
    """begin(name) -> a real arena on a data folder of its own, with its standings; not started."""
    running: list[Arena] = []

    def make(name: str) -> Arena:
        standings = Standings()
        arena = build_arena(write_config(tmp_path / name), tmp_path / name / "data", secret=SECRET,
                            hf_token=hub.token, hf_endpoint=hub.url, ticker=standings.ticker)  # fmt: skip
        standings.follow(arena.ledger, arena.config, arena.bank)
        arena.standings = standings
        running.append(arena)
        return arena

    yield make
    for arena in running:
        arena.close()


def cast(arena: Arena, voter: str, count: int = 1) -> list[str]:
    battles = []
    for _ in range(count):
        battles.append(arena.next_battle(voter).battle_id)
        arena.cast_vote(battles[-1], "model_a", voter)
    return battles


def full(arena: Arena) -> bool:
    """Whether every picture is there, drawn or fetched."""
    return arena.missing() == 0 and arena.stock.awaited() == 0


def elo(arena: Arena) -> dict[str, float]:
    arena.standings.ticker(None)
    return arena.standings._elo.ratings


def test_an_arena_whose_disk_was_lost_goes_on(hub, begin):
    before = begin("before")
    start(before)
    until(lambda: full(before))
    ann = cast(before, "ann", 3)
    cast(before, "bob", 2)
    before.withdraw(ann[-1], "ann")
    images = before.ledger.counts()["images"]
    before.close()
    rows = {table: len(published(hub, table)) for table in TABLES}
    assert rows == {"votes": 5, "images": images, "feedback": 0, "prompts": 4, "exclusions": 1}

    after = begin("after")
    start(after)
    until(lambda: after.restorer.status().pictures == images)
    shelf = after.stock.shelf
    until(lambda: all(shelf.has(image.prompt_id, image.model) for image in before.ledger.banked_images()))
    assert elo(after) == elo(before)
    assert after.standings.board().source.votes == 5
    shown = SeenBy(before.ledger).of("ann").images
    for _ in range(len(PROMPTS) - 3):  # of three images a prompt two are a battle, and nobody is shown one twice
        battle = after.next_battle("ann")
        drawn = after.ledger.battle(battle.battle_id)
        images_of = {drawn.image_a.image_id, drawn.image_b.image_id}
        assert not images_of & shown and after.image(battle.token_a)
        after.cast_vote(battle.battle_id, "model_b", "ann")
    with pytest.raises(NoBattle, match="seen"):
        after.next_battle("ann")
    assert after.missing() == 0 and after.ledger.counts()["images"] == images, "nothing is drawn again"
    after.close()
    rows["votes"] += len(PROMPTS) - 3
    assert {table: len(published(hub, table)) for table in TABLES} == rows
    assert len({row["vote_id"] for row in published(hub, "votes")}) == rows["votes"]


def test_the_app_takes_votes_without_the_hub_and_restores_when_it_is_there(hub, begin, monkeypatch):
    monkeypatch.setattr("arena.restore.FIRST_RETRY", 0.2)
    before = begin("before")
    start(before)
    until(lambda: full(before))
    cast(before, "ann", 2)
    before.close()
    hub.down()

    after = begin("after")
    start(after)
    until(lambda: after.restorer.status().last_error and full(after))
    cast(after, "ann", 2)
    assert after.ledger.counts()["votes"] == 2
    hub.up()
    until(lambda: after.ledger.counts()["votes"] == 4)
    assert after.standings.board().source.votes == 4
    counted = elo(after)
    after.close()
    votes = published(hub, "votes")
    assert counted.keys() == {row[side] for row in votes for side in ("model_a", "model_b")}
    ids = [row["vote_id"] for row in votes]
    assert len(ids) == len(set(ids)) == 4


def test_two_replicas_see_each_others_votes(hub, begin):
    one, two = begin("one"), begin("two")
    for arena in (one, two):
        start(arena)
        until(lambda arena=arena: full(arena))
    cast(one, "ann", 3)
    cast(two, "bob", 3)
    slip = cast(two, "cid", 1)
    two.withdraw(slip[0], "cid")
    for arena in (one, two):
        until(lambda arena=arena: arena.ledger.counts()["votes"] == 7 and arena.ledger.counts()["exclusions"] == 1)
        until(lambda arena=arena: arena.publisher.status().pending_rows == 0)
    boards = [arena.standings.board() for arena in (one, two)]
    assert boards[0].source.votes == boards[1].source.votes == 7
    assert [(s.model, s.rating, s.elo, s.votes) for s in boards[0].standings] == [
        (s.model, s.rating, s.elo, s.votes) for s in boards[1].standings]  # fmt: skip
    assert sum(s.votes for s in boards[0].standings) == 12  # six count
    assert SeenBy(one.ledger).of("bob") == SeenBy(two.ledger).of("bob"), "a voter is known to both"
    ids = [row["vote_id"] for row in published(hub, "votes")]
    assert len(ids) == len(set(ids)) == 7
    replicas = {Path(path).name.split("-")[1] for path in hub.files(DATASET)}
    assert len(replicas) == 2, "on one host, and yet of two names"


def test_rows_without_their_pictures_are_neither_served_nor_made_again(hub, begin):
    before = begin("before")
    while before.refill(before.studio):
        pass
    before.publisher.publish_now()
    after = begin("after")
    after.restorer.read_now(pictures=False)
    assert after.missing() == 0 and sum(after.stock.shelf.sizes().values()) == 0
    with pytest.raises(NoBattle, match="on their way"):
        after.next_battle("ann")
    status = after.status()["restore"]
    assert status["pictures_awaited"] == status["rows"]["images"] == 12
    again = begin("after")  # as after a restart in between
    assert again.missing() == 0 and sum(again.stock.shelf.sizes().values()) == 0
    again.restorer.read_now()
    assert sum(again.stock.shelf.sizes().values()) == len(PROMPTS)
    assert cast(again, "ann")


def test_every_data_folder_is_another_replica_for_good(tmp_path):
    names = [replica_name(tmp_path / name) for name in ("one", "two", "one")]
    assert names[0] == names[2] != names[1]


# -- the command --------------------------------------------------------------------------------------------------


def command(hub, folder: Path, *arguments: str, **more) -> subprocess.Popen:
    env = hub.environment(folder / "home", OMP_NUM_THREADS="1")
    return subprocess.Popen([sys.executable, "-m", "arena", "--config", str(folder / "arena.yaml"), "--data-dir",
                             str(folder / "data"), *arguments], cwd=ROOT, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)  # fmt: skip


def test_a_killed_restore_goes_on_and_publishes_nothing_of_it(hub, first, target, tmp_path):
    for _ in range(3):
        first.vote(3)
        first.publisher(target).publish_now()
    write_config(tmp_path / "new")
    hub.faults.add(r"GET .*/resolve/.*/data/exclusions/", delay=300, times=-1)
    killed = command(hub, tmp_path / "new", "restore")
    path = tmp_path / "new" / "data" / "ledger.sqlite"
    until(lambda: path.exists() and Ledger(path).counts()["votes"], 200)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=120)
    hub.faults.clear()
    done = command(hub, tmp_path / "new", "restore")
    out, err = done.communicate(timeout=200)
    assert done.returncode == 0, err
    report = json.loads(out)
    assert report["dataset"] == DATASET and report["pictures"] == 4 and report["rows"]["exclusions"] == 1
    assert everything(Ledger(path)) == everything(first.ledger)
    before = hub.commits(DATASET)
    publishing = command(hub, tmp_path / "new", "publish")
    publishing.communicate(timeout=200)
    assert publishing.returncode == 0
    assert hub.commits(DATASET) == before + 1  # the new arena.yaml has two more prompts, and no more than that
    assert Ledger(path).counts()["prompts"] == 4 and hub.count("POST .*/commit/") == before + 1


def test_the_command_says_what_it_cannot_do(hub, tmp_path):
    write_config(tmp_path, dataset=None)
    refused = command(hub, tmp_path, "restore")
    assert "hub.dataset is not set" in refused.communicate(timeout=200)[1] and refused.returncode == 2
    write_config(tmp_path)
    hub.down()
    failed = command(hub, tmp_path, "restore")
    err = failed.communicate(timeout=200)[1]
    assert failed.returncode == 1 and DATASET in err and len(err.strip().splitlines()) == 1, err
    assert not os.path.exists(tmp_path / "data" / "dataset")
