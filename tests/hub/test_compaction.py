"""Small shards become large ones in one commit, and no row is lost or doubled whatever happens at that moment."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from arena import compact, merge
from arena import shards as shards_module
from arena.bank import Bank
from arena.compact import CompactReport, plan
from arena.dataset_card import dataset_card
from arena.errors import PublishError
from arena.hub_files import Held, HubFiles
from arena.layout import manifest_path, read_name
from arena.ledger import Ledger
from arena.publisher import HubTarget, Publisher
from arena.records import TABLES
from arena.restore import Restorer
from arena.shards import described_schema, to_parquet
from tests.hub.small_arena import DATASET, SmallArena, config

ROOT = Path(__file__).parents[2]

# The ids of every config at the last so many commits of a dataset, oldest first.
LOAD = """
import json, sys
from datasets import get_dataset_config_names, load_dataset
from huggingface_hub import HfApi

dataset, last, found = sys.argv[1], int(sys.argv[2]), []
for commit in [c.commit_id for c in HfApi().list_repo_commits(dataset, repo_type="dataset")][:last][::-1]:
    found.append({})
    for name in get_dataset_config_names(dataset, revision=commit):
        rows = load_dataset(dataset, name, split="train", revision=commit)
        found[-1][name] = sorted(rows[rows.column_names[0]])
        if name == "images":
            assert all(row["image"].size == (32, 24) for row in rows)
print(json.dumps(found))
"""


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


@pytest.fixture(autouse=True)
def few(monkeypatch) -> None:
    """So many small shards of a table may stay: fewer than usual, so that tests make do with fewer."""
    monkeypatch.setattr(compact, "FEW_SMALL", 3)


@pytest.fixture
def arena(tmp_path) -> SmallArena:
    return SmallArena(tmp_path / "arena")


def publish_days(arena: SmallArena, publisher: Publisher, shards: int = 5) -> list:
    """Votes in so many shards, half of them on the next day, one commit of all of them, and then a day goes by."""
    votes, local = [], arena.publisher()
    for k in range(shards):
        votes += arena.vote(2)
        if k == shards // 2:
            arena.sleep(1)
            arena.ledger.exclude(votes[0].vote_id, "withdrawn")
        local.publish_now()
    publisher.publish_now()
    arena.sleep(2)
    return votes


def shards(hub, table: str = "votes") -> dict[str, bytes]:
    return {path: data for path, data in hub.files(DATASET).items() if path.startswith(f"data/{table}/")}


def rows(hub, table: str = "votes") -> list[dict]:
    return [row for data in shards(hub, table).values() for row in pq.read_table(io.BytesIO(data)).to_pylist()]


def assert_exactly_once(hub, votes) -> None:
    assert Counter(row["vote_id"] for row in rows(hub)) == Counter(vote.vote_id for vote in votes)


# -- what it does ---------------------------------------------------------------------------------------------------


def test_finished_days_become_one_shard_and_everything_loads_at_every_commit(hub, target, arena, tmp_path):
    publisher = arena.publisher(target)
    votes = publish_days(arena, publisher)
    before = sorted(rows(hub), key=lambda row: row["created_at"])
    assert hub.commits(DATASET) == 1
    report = publisher.compact_now()
    assert report == CompactReport(commits=1, shards_before=5, shards_after=1, rows=10, squashed=False)
    assert hub.commits(DATASET) == 2
    (path, data), *others = shards(hub).items()
    assert not others and read_name(path).large and read_name(path).rows == 10
    assert pq.read_schema(io.BytesIO(data)).equals(described_schema("votes"), check_metadata=True)
    assert rows(hub) == before  # sorted by time
    assert len(shards(hub, "images")) == len(shards(hub, "exclusions")) == 1  # few: left as they are

    votes += arena.vote(3)
    publisher.publish_now()
    loaded = hub.client(LOAD, tmp_path / "home", DATASET, "3")
    assert loaded[1] == loaded[0]  # the compacting commit changes nothing for a reader
    assert loaded[-1]["votes"] == sorted(vote.vote_id for vote in votes)
    assert all(set(found) >= {"votes", "images", "prompts"} for found in loaded)
    assert publisher.compact_now() == CompactReport()


def test_feedback_is_compacted_like_votes_with_its_lists_and_what_was_not_asked(hub, target, arena, tmp_path):
    publisher, local = arena.publisher(target), arena.publisher()
    parts = ({}, {"style": 1}, {"misaligned_words": []}, {"errors": 3, "coherence_points": []}, {"alignment": 2})
    for vote, given in zip(arena.vote(len(parts)), parts, strict=True):
        arena.say(vote, "b", **given)
        local.publish_now()
    publisher.publish_now()
    arena.sleep(2)
    before = sorted(rows(hub, "feedback"), key=lambda row: row["created_at"])
    assert {str(row["misaligned_words"]) for row in before} == {"[1]", "None", "[]"}
    assert publisher.compact_now().shards_before == 5  # of feedback: the votes are in one
    [(path, data)] = shards(hub, "feedback").items()
    assert read_name(path).large and rows(hub, "feedback") == before
    schema, ours = pq.read_schema(io.BytesIO(data)), described_schema("feedback")
    assert schema.equals(ours) and schema.metadata == ours.metadata
    loaded = hub.client(LOAD, tmp_path / "home", DATASET, "2")
    assert loaded[1] == loaded[0] and loaded[1]["feedback"] == sorted(row["feedback_id"] for row in before)
    disk = Ledger(tmp_path / "empty" / "ledger.sqlite")
    Restorer(disk, Bank(tmp_path / "empty" / "bank"), target, every_seconds=3600).read_now(pictures=False)
    assert [row for _, row in disk.feedback_after(0)] == [row for _, row in arena.ledger.feedback_after(0)]
    disk.close()


def test_the_same_shards_make_the_same_bytes_wherever_they_come_from(hub, target, arena, tmp_path):
    publish_days(arena, arena.publisher(target))
    for source in (arena, SmallArena(tmp_path / "other")):  # the second one has to download every shard
        source.sleep(5)
        repo = hub.store.repo(DATASET)
        head = repo.at("main")
        assert source.publisher(target).compact_now().shards_before == 5
        made = {path: file.oid for path, file in repo.at("main").tree.items() if "compact" in path}
        repo.branches["main"] = head
        if source is arena:
            first = made
    assert first == made and len(made) == 2
    assert not (arena.folder / "dataset" / ".compacting").exists()


def test_the_last_run_is_on_the_status_without_secrets(hub, target, arena):
    publisher = arena.publisher(target)
    assert arena.publisher().status().compaction is None and publisher.status().compaction.last_run_at is None
    publish_days(arena, publisher)
    hub.faults.add(r"POST .*/commit/", status=403, message=f"no right to write for {hub.token}")
    with pytest.raises(PublishError) as refused:
        publisher.compact_now()
    failed = publisher.status().compaction
    assert "no right to write for ..." in failed.last_error and hub.token not in str(refused.value) + failed.last_error
    assert failed.last_run_at > 0 and failed.shards_before == 0
    publisher.compact_now()
    done = publisher.status().compaction
    assert (done.shards_before, done.shards_after, done.last_error) == (
        5,
        1,
        None,
    ) and done.last_run_at > failed.last_run_at


def test_it_waits_until_it_pays_and_until_the_day_is_over(hub, target, arena):
    publisher, local = arena.publisher(target), arena.publisher()
    for _ in range(4):
        arena.vote(1)
        local.publish_now()
    publisher.publish_now()
    assert publisher.compact_now() == CompactReport()  # the day is not over
    arena.sleep(1)
    HfApi(endpoint=hub.url, token=hub.token).delete_file(min(shards(hub)), DATASET, repo_type="dataset")
    assert publisher.compact_now() == CompactReport()  # three shards are few
    arena.vote(1)
    publisher.publish_now()
    assert publisher.compact_now(today=True).shards_before == 4
    assert len(shards(hub)) == 1


def test_hourly_it_need_not_wait_for_the_end_of_the_day(hub, target, arena):
    votes, local, publisher = [], arena.publisher(), arena.publisher(target, compact="hourly")
    for _ in range(4):
        votes += arena.vote(1)
        local.publish_now()
    arena.sleep(1 / 24)
    votes += arena.vote(1)
    publisher.publish_now()
    assert publisher.compact_now() == CompactReport()  # the hour was not over for long enough
    arena.sleep(1 / 24)
    assert arena.publisher(target).compact_now() == CompactReport()
    assert publisher.compact_now().shards_before == 4
    assert [read_name(path).large for path in shards(hub)] == [True, False]
    assert_exactly_once(hub, votes)


def test_nothing_to_compact_where_nothing_was_published_or_no_hub_is_configured(target, arena):
    assert arena.publisher(target).compact_now() == CompactReport()
    with pytest.raises(PublishError, match=r"hub\.dataset"):
        arena.publisher().compact_now()


def test_large_shards_that_are_not_full_become_one_after_a_month(hub, target, arena, monkeypatch):
    monkeypatch.setattr(compact, "FEW_SMALL", 1)
    monkeypatch.setattr(compact, "FEW_LARGE", 2)
    publisher, votes, paths = arena.publisher(target), [], set()
    for _ in range(3):
        for _ in range(2):
            votes += arena.vote(1)
            publisher.publish_now()
            paths |= {path for path in shards(hub) if not read_name(path).large}
        arena.sleep(1.2)
        publisher.compact_now()
    assert [read_name(path).large for path in shards(hub)] == [True, True, True]
    publisher.compact_now()
    (path,) = shards(hub)
    assert_exactly_once(hub, votes)
    manifests = hub.files(DATASET, ".json")
    assert list(manifests) == [manifest_path(path)]
    known = json.loads(manifests[manifest_path(path)])
    assert set(known["shards"]) == paths and len(known["sources"]) == 3 and known["rows"] == 6


def test_a_large_shard_whose_list_somebody_removed_is_no_obstacle(hub, target, arena, monkeypatch):
    publisher = arena.publisher(target)
    votes = publish_days(arena, publisher)
    publisher.compact_now()
    (manifest,) = hub.files(DATASET, ".json")
    HfApi(endpoint=hub.url, token=hub.token).delete_file(manifest, DATASET, repo_type="dataset")
    monkeypatch.setattr(compact, "FEW_LARGE", 0)
    votes += arena.vote(1)
    publisher.publish_now()
    votes += arena.vote(1)
    publisher.publish_now()
    assert publisher.compact_now(today=True).shards_before == 3
    assert_exactly_once(hub, votes)


def test_shards_have_at_most_a_million_votes_and_row_groups_a_bound():
    def name(day: int, rows: int, k: int = 1) -> str:
        return f"data/votes/2026-09-{day:02}/202609{day:02}T000000-ab-{k}-{k + rows - 1}-{k:08x}.parquet"

    listed = {name(day, 400_000, day): Held(1000, "") for day in range(1, 13)}
    groups = plan("votes", listed, "20261001")
    assert [sum(source.rows for source in group.sources) for group in groups] == [800_000] * 6
    assert plan("votes", listed, "20260901") == [] and plan("images", listed, "20261001") == []
    heavy = {path: Held(200 * 2**20, "") for path in listed}
    assert all(group.size <= compact.MOST_BYTES for group in plan("votes", heavy, "20261001"))
    full = {f"data/votes/2026-09-{k:02}/202609{k:02}T000000-202609{k:02}T100000-compact-600000-{k:08x}.parquet":
            Held(9, "") for k in range(1, 31)}  # fmt: skip
    assert plan("votes", full | {p.replace("-09", "-08"): h for p, h in full.items()}, "20261001") == []
    assert merge.IMAGE_BYTES + 2 * 2**20 < 100 * 2**20


def test_images_come_in_row_groups_and_the_order_of_time(tmp_path, monkeypatch):
    picture = bytes(range(256)) * 40
    monkeypatch.setattr(merge, "IMAGE_BYTES", 50_000)
    monkeypatch.setattr(merge, "READ_BYTES", 30_000)
    monkeypatch.setitem(merge.STEP, "images", 2)
    row = {**dict.fromkeys(TABLES["images"], ""), "seed": 0, "width": 1, "height": 1, "seconds": 0.0}
    made = [{**row, "image_id": f"{k:032x}", "created_at": k, "image": {"bytes": picture, "path": f"{k}.png"}}
            for k in range(30)]  # fmt: skip
    files = []
    for k in range(3):  # three replicas that took turns, and one image twice
        files.append(tmp_path / f"{k}.parquet")
        files[-1].write_bytes(to_parquet("images", made[k::3] + made[:1]))
    assert merge.merge("images", files, tmp_path / "all.parquet") == 30
    whole = pq.ParquetFile(tmp_path / "all.parquet")
    assert whole.num_row_groups > 5
    assert all(whole.read_row_group(k).nbytes < 60_000 for k in range(whole.num_row_groups))
    assert [row["image_id"] for row in whole.read().to_pylist()] == [row["image_id"] for row in made]
    assert whole.read()["image"].to_pylist()[7] == made[7]["image"]


def test_a_row_group_of_large_pictures_stays_within_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(merge, "IMAGE_BYTES", 50_000)
    monkeypatch.setattr(shards_module, "IMAGE_BYTES", 50_000)
    row = {**dict.fromkeys(TABLES["images"], ""), "seed": 0, "width": 1, "height": 1, "seconds": 0.0}
    made = [(k, {**row, "image_id": f"{k:032x}", "created_at": k}) for k in range(8)]
    pictures = dict(zip((row["image_id"] for _, row in made), (bytes([k]) * 20_000 for k in range(8)), strict=True))
    files = []
    while made:  # as the publisher seals them: none fits its id here, so they are put in afterwards
        whole = list(shards_module.with_images(made, pictures.__getitem__))
        assert sum(len(pictures[row["image_id"]]) for _, row in whole) <= 50_000
        rows = [{**row, "image": {"bytes": pictures[row["image_id"]], "path": ""}} for _, row in whole]
        files.append(tmp_path / f"{len(files)}.parquet")
        files[-1].write_bytes(to_parquet("images", rows))
        made = made[len(whole) :]
    assert len(files) == 4 and merge.merge("images", files, tmp_path / "all.parquet") == 8
    whole = pq.ParquetFile(tmp_path / "all.parquet")
    assert all(whole.read_row_group(k).nbytes < 52_000 for k in range(whole.num_row_groups))
    assert len(whole.read()) == 8


# -- others commit meanwhile ------------------------------------------------------------------------------------------


def test_another_replica_commits_between_reading_and_committing(hub, target, arena, tmp_path):
    publisher, other = arena.publisher(target), SmallArena(tmp_path / "other")
    votes = publish_days(arena, publisher)
    more, theirs = other.vote(2), other.publisher(target, replica="other")
    hub.faults.add(r"POST .*/commit/", call=theirs.publish_now)
    assert publisher.compact_now().commits == 1
    assert hub.count(r"POST .*/commit/") == 1 + 3  # one was refused, and made again
    assert_exactly_once(hub, votes + more)


def test_who_comes_second_finds_the_sources_gone_and_changes_nothing(hub, target, arena, tmp_path):
    publisher, other = arena.publisher(target), SmallArena(tmp_path / "other")
    votes = publish_days(arena, publisher)
    other.sleep(5)
    hub.faults.add(r"POST .*/commit/", call=other.publisher(target, replica="other").compact_now)
    assert publisher.compact_now() == CompactReport()
    assert hub.commits(DATASET) == 2
    assert_exactly_once(hub, votes)


def test_two_replicas_compact_at_once(hub, target, arena, tmp_path):
    votes = publish_days(arena, arena.publisher(target))
    others = [SmallArena(tmp_path / f"{k}") for k in range(2)]
    reports: list[CompactReport] = []
    for other in others:
        other.sleep(5)
    threads = [threading.Thread(target=lambda p=other.publisher(target): reports.append(p.compact_now()))
               for other in others]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.commits for report in reports) == [0, 1]
    assert_exactly_once(hub, votes)


def test_others_that_never_stop_committing_put_it_off(hub, target, arena):
    publisher = arena.publisher(target)
    votes = publish_days(arena, publisher)
    fault = hub.faults.add(r"POST .*/commit/", status=412, times=-1)
    with pytest.raises(PublishError, match="412"):
        publisher.compact_now()
    fault.times = 0
    assert publisher.compact_now().commits == 1
    assert_exactly_once(hub, votes)


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}, {"after": 500}, {"after": "reset"}], ids=str)
def test_whatever_the_answer_to_the_commit_nothing_is_lost_or_doubled(hub, target, arena, fault):
    publisher = arena.publisher(target)
    votes = publish_days(arena, publisher)
    hub.faults.add(r"POST .*/commit/", **fault)
    if "after" in fault:  # it landed, and that is found out
        assert publisher.compact_now().commits == 1
    else:
        with pytest.raises(PublishError, match=DATASET):
            publisher.compact_now()
        assert len(shards(hub)) == 5
        publisher.compact_now()
    assert len(shards(hub)) == 1
    assert_exactly_once(hub, votes)
    assert publisher.compact_now() == CompactReport()


@pytest.mark.parametrize("landed", [False, True])
def test_a_crash_leaves_the_dataset_as_before_or_as_after(hub, target, arena, monkeypatch, landed):
    publisher = arena.publisher(target)
    votes = publish_days(arena, publisher)
    whole = HubFiles.replace

    def die(self, *arguments):
        if landed:
            whole(self, *arguments)
        raise KeyboardInterrupt  # as a kill: nothing after this runs

    with monkeypatch.context() as crash:
        crash.setattr(HubFiles, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            publisher.compact_now()
    assert_exactly_once(hub, votes)
    left = arena.folder / "dataset" / ".compacting"
    left.mkdir(exist_ok=True)
    (left / "votes.made").write_bytes(b"what a kill leaves")
    arena.publisher(target).compact_now()
    assert_exactly_once(hub, votes)
    assert len(shards(hub)) == 1 and not left.exists()


# -- pushes that are tried again ----------------------------------------------------------------------------------


def fail_unheard(hub, publisher: Publisher) -> None:
    """A push lands, but its answer and whatever the Hub could tell are lost."""
    with_both = [hub.faults.add(r"POST .*/commit/", after="reset"), hub.faults.add(r"POST .*/paths-info/", status=400)]
    with pytest.raises(PublishError):
        publisher.publish_now()
    assert all(fault.times == 0 for fault in with_both)


def test_a_shard_that_landed_unheard_and_was_compacted_is_not_pushed_again(hub, target, arena, tmp_path):
    votes, publisher, other = arena.vote(2), arena.publisher(target), SmallArena(tmp_path / "other")
    fail_unheard(hub, publisher)
    theirs = other.publisher(target, replica="other")
    votes += other.vote(3)
    theirs.publish_now()
    theirs.compact_now(today=True)
    for _ in range(2):  # and what was compacted is compacted again
        votes += other.vote(1)
        theirs.publish_now()
        theirs.compact_now(today=True)
    votes += arena.vote(1)
    assert arena.publisher(target).publish_now().sealed_rows == 1  # as after a restart
    assert_exactly_once(hub, votes)
    assert Counter(row["image_id"] for row in rows(hub, "images")).most_common(1)[0][1] <= 1
    assert arena.ledger.pending_shards() == []


def test_a_compaction_right_before_a_push_is_repeated_is_seen(hub, target, arena, tmp_path):
    votes, publisher, other = arena.vote(2), arena.publisher(target), SmallArena(tmp_path / "other")
    publisher.publish_now()
    votes += arena.vote(2)
    fail_unheard(hub, publisher)
    lost, others = max(shards(hub)), other.publisher(target, replica="other")
    repo = hub.store.repo(DATASET)
    landed = repo.at("main")
    repo.branches["main"] = landed.parent  # the push that landed shows itself late:

    def show_and_compact() -> None:
        repo.branches["main"] = landed
        others.compact_now(today=True)

    hub.faults.add(r"POST .*/commit/", call=show_and_compact)
    publisher.publish_now()
    assert lost not in shards(hub)
    assert_exactly_once(hub, votes)


def test_replicas_and_empty_disks_read_large_shards_as_they_read_small_ones(hub, target, arena, tmp_path):
    publisher = arena.publisher(target)
    publish_days(arena, publisher)
    disks = [(Ledger(tmp_path / f"{k}.sqlite"), Bank(tmp_path / f"bank{k}")) for k in range(2)]
    readers = [Restorer(ledger, bank, target, every_seconds=300) for ledger, bank in disks]
    readers[0].read_now()  # before
    publisher.compact_now(today=True)
    large = [path for path in shards(hub) if read_name(path).large]
    readers[0].read_now(), readers[0].read_now()
    assert len(large) == 1 and hub.count(f"/resolve/.*{large[0]}") == 0, "its rows are here already"
    for reader in (*readers, Restorer(arena.ledger, arena.bank, target, every_seconds=300)):
        reader.read_now()
    for ledger, bank in disks:
        assert ledger.counts() == arena.ledger.counts()
        assert all(bank.has(image.image_id) for image in arena.ledger.banked_images())
    assert arena.publisher(target).publish_now().commits == 0


# -- versions ---------------------------------------------------------------------------------------------------


def commit(hub, files: dict[str, bytes]) -> None:
    HfApi(endpoint=hub.url, token=hub.token).create_commit(
        DATASET, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="by another version",
        repo_type="dataset")  # fmt: skip


def test_a_later_version_adds_a_column_and_everything_still_loads(hub, target, arena, tmp_path, monkeypatch):
    publisher = arena.publisher(target)
    votes = publish_days(arena, publisher)
    later_path = "data/votes/2026-09-11/20260911T010000-later-1-1-00000000.parquet"
    with_dwell = {**{c: t for c, t in TABLES["votes"].items() if c != "extra"}, "dwell": "float32", "extra": "json"}
    ours = {c: str(t) for c, t in zip(TABLES["votes"], described_schema("votes").types, strict=True)}
    with monkeypatch.context() as later:
        later.setitem(TABLES, "votes", with_dwell)
        row = {**rows(hub)[0], "vote_id": "later", "battle_id": "later", "dwell": 2.5}
        card = dataset_card(config(), TABLES.keys() - {"feedback"}, dataset=DATASET)
        commit(hub, {later_path: to_parquet("votes", [row]), "README.md": card.encode()})

    # This version leaves the later one's shard and card as they are, and goes on publishing beside them.
    assert publisher.compact_now().shards_before == 5
    assert later_path in shards(hub)
    votes += arena.vote(1)
    arena.sleep(2)
    arena.publisher(target).publish_now()
    assert "dwell" in hub.files(DATASET, "README.md")["README.md"].decode()
    standing = leaderboard(hub, tmp_path / "now")
    assert standing["source"]["votes"] == len(votes) + 1

    # The later version compacts all of it: rows from before have no value there.
    with monkeypatch.context() as later:
        later.setitem(TABLES, "votes", with_dwell)
        monkeypatch.setattr(compact, "FEW_SMALL", 1)
        monkeypatch.setattr(compact, "FEW_LARGE", 0)
        arena.sleep(2)
        assert arena.publisher(target).compact_now().commits == 1
    (table,) = [pq.read_table(io.BytesIO(data)) for data in shards(hub).values()]
    assert {name: str(kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)} == {
        **ours, "dwell": "float"
    }  # fmt: skip
    assert Counter(table["dwell"].to_pylist()) == {None: len(votes), 2.5: 1}
    loaded = hub.client(LOAD, tmp_path / "home", DATASET, "2")
    assert loaded[0] == loaded[1]
    assert loaded[-1]["votes"] == sorted(["later", *(vote.vote_id for vote in votes)])
    assert leaderboard(hub, tmp_path / "then")["standings"] == standing["standings"]


def leaderboard(hub, home: Path) -> dict:
    run = subprocess.run([sys.executable, "-m", "leaderboard", DATASET, "--format", "json"], capture_output=True,
                         text=True, cwd=ROOT, env=hub.environment(home))  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


# -- options ----------------------------------------------------------------------------------------------------


def test_squashing_makes_the_history_one_commit_and_publishing_goes_on(hub, target, arena):
    publisher = arena.publisher(target, squash=True)
    votes = publish_days(arena, publisher)
    assert publisher.compact_now().squashed
    assert sum(1 for _ in hub.head(DATASET).history()) == 1
    votes += arena.vote(1)
    publisher.publish_now()
    assert_exactly_once(hub, votes)
    assert not publisher.compact_now().squashed  # nothing was compacted


def test_it_counts_toward_the_commits_of_an_hour(hub, target, arena, monkeypatch):
    publisher = arena.publisher(target)
    publish_days(arena, publisher)
    monkeypatch.setattr("arena.publisher.COMMITS_AN_HOUR", 1)
    assert publisher.compact_now() == CompactReport()
    monkeypatch.setattr("arena.publisher.COMMITS_AN_HOUR", 2)
    assert publisher.compact_now().commits == 1
    assert publisher._pace.left(time.monotonic()) == 0


def test_a_gitignore_that_would_leave_large_shards_out_keeps_the_small_ones(hub, target, arena):
    publisher = arena.publisher(target)
    votes = publish_days(arena, publisher)
    commit(hub, {".gitignore": b"*compact*\n"})
    with pytest.raises(PublishError, match="gitignore"):
        publisher.compact_now()
    assert_exactly_once(hub, votes)


def test_a_disk_that_is_nearly_full_is_left_to_votes(hub, target, arena, monkeypatch):
    publisher = arena.publisher(target)
    publish_days(arena, publisher)
    with monkeypatch.context() as full:
        full.setattr(compact, "LEAST_FREE", 2**60)
        with pytest.raises(PublishError, match="disk"):
            publisher.compact_now()
    assert publisher.compact_now().commits == 1


def test_two_processes_do_not_compact_from_one_folder_at_once(hub, target, arena):
    one, other = arena.publisher(target), arena.publisher(target)
    publish_days(arena, one)

    def second() -> None:
        with pytest.raises(PublishError, match="already"):
            other.compact_now()
        told.append(True)

    told: list[bool] = []
    hub.faults.add(r"POST .*/commit/", call=second)
    assert one.compact_now().commits == 1 and told == [True]


@pytest.mark.parametrize("setting", ["daily", "never"])
def test_the_running_publisher_compacts_and_removes_old_copies(hub, target, arena, monkeypatch, setting):
    votes = publish_days(arena, arena.publisher(target))
    monkeypatch.setattr(compact, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(compact, "FIRST_SPREAD", 1)
    arena.sleep(6)
    votes += arena.vote(1)
    publisher = arena.publisher(target, every_seconds=0.05, compact=setting, keep_days=7)
    publisher.start()
    local = arena.folder / "dataset" / "data" / "votes"
    end = time.monotonic() + 120
    while len(list(local.glob("*/*.parquet"))) > 1 or (setting == "daily" and len(shards(hub)) > 2):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    assert publisher.close()
    assert len(shards(hub)) == (2 if setting == "daily" else 6)
    assert_exactly_once(hub, votes)


def test_copies_are_kept_while_they_are_needed(hub, target, arena):
    arena.vote(2)
    local = arena.publisher()
    local.publish_now()
    folder = local._folder
    kept = set(folder.folder.glob("data/*/*/*.parquet"))
    arena.sleep(400)
    assert folder.prune(int(arena.clock() * 1000)) == 0  # the Hub does not have them
    arena.publisher(target).publish_now()
    assert folder.prune(int((arena.clock() - 86_400) * 1000)) == 0  # not for long enough
    assert folder.prune(int(arena.clock() * 1000)) == len(kept) == 3
    assert arena.publisher(target).publish_now().commits == 0


def test_the_command_compacts(hub, target, arena, tmp_path):
    votes = publish_days(arena, arena.publisher(target))
    settings = tmp_path / "arena.yaml"
    text = (ROOT / "arena.yaml").read_text(encoding="utf-8").replace("dataset: null ", f"dataset: {DATASET} ")
    settings.write_text(text.replace("source: arena/models", f"source: {ROOT}/arena/models"), encoding="utf-8")
    run = subprocess.run([sys.executable, "-m", "arena", "--config", str(settings), "--data-dir", str(tmp_path / "data"),
                          "compact", "--today"], cwd=ROOT, env=hub.environment(tmp_path / "home"), capture_output=True, text=True,
                         timeout=400)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["shards_before"] == 5
    assert_exactly_once(hub, votes)


# -- at scale ---------------------------------------------------------------------------------------------------


def test_a_cold_read_of_100_000_votes_takes_few_requests_and_seconds(hub, target, arena, tmp_path):
    publisher = arena.publisher(target)
    votes = arena.vote(1)
    publisher.publish_now()
    (row,) = rows(hub)
    count, shard = 100_000, 1000
    files = {}
    for k in range(count // shard):
        day, first = 1 + k // 10, k * shard
        table = pa.table({**{name: [row[name]] * shard for name in TABLES["votes"]},
                          "vote_id": [f"v{n}" for n in range(first, first + shard)],
                          "battle_id": [f"b{n}" for n in range(first, first + shard)],
                          "winner": [("model_a", "model_b", "both_bad")[n % 3] for n in range(shard)]},
                         schema=described_schema("votes"))  # fmt: skip
        out = io.BytesIO()
        pq.write_table(table, out)
        path = (
            f"data/votes/2026-08-{day:02}/202608{day:02}T{k % 10:02}0000-test-{first + 2}-{first + shard + 1}-{k:08x}"
        )
        files[f"{path}.parquet"] = out.getvalue()
    commit(hub, files)
    arena.sleep(2)
    assert publisher.compact_now().shards_after == 1
    before, begun = len(hub.requests), resource.getrusage(resource.RUSAGE_CHILDREN)
    source = leaderboard(hub, tmp_path / "cold")["source"]
    ended, requests = resource.getrusage(resource.RUSAGE_CHILDREN), len(hub.requests) - before
    seconds = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime  # of the processor: others use it too
    assert source["votes"] == count + len(votes)
    assert requests <= 100 and seconds < 30, (requests, seconds)  # 5 s on a quiet machine: benchmarks/published.py
