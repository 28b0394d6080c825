"""What the ledger promises: one vote a battle, only its voter's, on disk when acknowledged, nothing rewritten."""

import sqlite3
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from arena import intake
from arena.errors import AlreadyVoted, BattleExpired, LedgerError, NothingToWithdraw, UnknownBattle
from arena.ledger import Ledger
from arena.records import TABLES, Battle, Image, Prompt, Shard, Vote, new_id
from arena.tables import kept_columns


def image(prompt: Prompt, model: str, private=False) -> Image:
    return Image(new_id(), prompt.prompt_id, model, "r1", 7, 64, 64, "{}", 0.5, "CPU", 1, "apache-2.0", private)


def vote_of(battle: Battle, winner="model_a", now=5) -> Vote:
    p = battle.prompt
    return Vote(new_id(), battle.battle_id, now, p.prompt_id, p.prompt, p.category, p.sub_category, p.complexity,
                p.prompt_source, battle.image_a.model, battle.image_b.model, winner, battle.image_a.image_id,
                battle.image_b.image_id, battle.voter, False, battle.mode, battle.served_from,
                battle.pair_probability, 1.5, "0")  # fmt: skip


@pytest.fixture
def served(ledger):
    """served(voter) -> a battle on record."""
    prompt = Prompt.make("a cat", category="Anime", now=1)
    ledger.add_prompts([prompt])

    def serve(voter="ann", private=False) -> Battle:
        a, b = image(prompt, "m1", private), image(prompt, "m2", private)
        ledger.add_image(a)
        ledger.add_image(b)
        battle = Battle(new_id(), voter, prompt, a, b, "anonymous", "bank", 1 / 6, ledger.now())
        ledger.add_battle(battle)
        return battle

    return serve


def cast(ledger, battle, voter=None, winner="model_a", not_before=0):
    voter = voter or battle.voter
    return ledger.cast_vote(battle.battle_id, voter, lambda b: vote_of(b, winner), not_before=not_before)


def test_a_vote_comes_back_as_it_was_cast(ledger, served):
    vote = cast(ledger, served())
    [(seq, row)] = ledger.votes_after(0)
    assert row == asdict(vote) and list(row) == list(TABLES["votes"])
    assert row["signed_in"] is False
    assert ledger.votes_after(seq) == []


def test_a_second_vote_is_refused_and_changes_nothing(ledger, served):
    battle = served()
    first = cast(ledger, battle)
    with pytest.raises(AlreadyVoted):
        cast(ledger, battle, winner="model_b")
    assert [row["vote_id"] for _, row in ledger.votes_after(0)] == [first.vote_id]


def test_somebody_elses_and_unknown_battles_are_refused_alike(ledger, served):
    battle = served("ann")
    with pytest.raises(UnknownBattle) as theirs:
        cast(ledger, battle, voter="bob")
    with pytest.raises(UnknownBattle) as unknown:
        ledger.cast_vote(new_id(), "bob", vote_of, not_before=0)
    assert str(theirs.value) == str(unknown.value)
    assert ledger.counts()["votes"] == 0


def test_expired_and_voided_battles_take_no_vote(ledger, served):
    old, void = served(), served()
    with pytest.raises(BattleExpired):
        cast(ledger, old, not_before=ledger.now() + 1)
    ledger.void_battle(void.battle_id, "skipped")
    with pytest.raises(BattleExpired):
        cast(ledger, void)
    assert ledger.counts()["votes"] == 0


def test_of_many_votes_at_once_exactly_one_is_taken(ledger, served):
    battle = served()
    outcomes, barrier = [], threading.Barrier(16)

    def race():
        barrier.wait()
        try:
            cast(ledger, battle)
            outcomes.append("taken")
        except AlreadyVoted:
            outcomes.append("refused")

    threads = [threading.Thread(target=race) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 15 + ["taken"]


def test_two_processes_on_one_file_do_not_take_the_same_battle_twice(ledger, served, tmp_path):
    battle = served()
    cast(ledger, battle)
    script = ("import sys; from arena.ledger import Ledger; from arena.errors import AlreadyVoted\n"
              "try: Ledger(sys.argv[1]).cast_vote(sys.argv[2], 'ann', None, not_before=0)\n"
              "except AlreadyVoted: print('refused')")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script, str(ledger.path), battle.battle_id],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "refused"


def test_an_acknowledged_vote_survives_a_killed_process(ledger, served):
    battle = served()
    script = ("import os, sys; sys.path[:0] = ['tests/unit']\n"
              "from arena.ledger import Ledger; from test_ledger import vote_of\n"
              "Ledger(sys.argv[1]).cast_vote(sys.argv[2], 'ann', vote_of, not_before=0)\n"
              "os.kill(os.getpid(), 9)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script, str(ledger.path), battle.battle_id], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert ledger.vote_of(battle.battle_id).winner == "model_a"


def test_commits_wait_for_the_disk(ledger):
    db = ledger._connection()
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_open_battles_outlive_a_restart_and_end_with_the_vote(ledger, served, clock):
    first, second = served(), served()
    again = Ledger(ledger.path, clock=clock)
    assert [b.battle_id for b in again.open_battles("ann", 0)] == [first.battle_id, second.battle_id]
    assert again.open_battles("ann", 0)[0] == first
    cast(again, first)
    assert [b.battle_id for b in ledger.open_battles("ann", 0)] == [second.battle_id]
    assert ledger.open_battles("ann", ledger.now() + 1) == []
    assert ledger.open_battles("bob", 0) == []
    again.close()


def test_only_the_last_vote_can_be_withdrawn_and_only_once(ledger, served):
    first, second = served(), served()
    cast(ledger, first)
    last = cast(ledger, second)
    with pytest.raises(NothingToWithdraw):
        ledger.withdraw(first.battle_id, "ann")
    with pytest.raises(NothingToWithdraw):
        ledger.withdraw(second.battle_id, "bob")
    assert ledger.withdraw(second.battle_id, "ann").vote_id == last.vote_id
    with pytest.raises(NothingToWithdraw):
        ledger.withdraw(second.battle_id, "ann")
    assert ledger.counts()["votes"] == 2, "a withdrawn vote stays on record"
    [(_, row)] = ledger.exclusions_after(0)
    assert (row["vote_id"], row["reason"]) == (last.vote_id, "withdrawn")


def test_a_withdrawn_battle_cannot_be_voted_again(ledger, served):
    battle = served()
    cast(ledger, battle)
    ledger.withdraw(battle.battle_id, "ann")
    with pytest.raises(AlreadyVoted):
        cast(ledger, battle)
    assert ledger.open_battles("ann", 0) == []


def test_the_crowds_record_follows_the_images_not_the_sides(ledger, served):
    battle = served("ann")
    same = ("anonymous", "bank", 1, ledger.now())
    swapped = Battle(new_id(), "bob", battle.prompt, battle.image_b, battle.image_a, *same)
    tied = Battle(new_id(), "cid", battle.prompt, battle.image_a, battle.image_b, *same)
    for other in (swapped, tied):
        ledger.add_battle(other)
    cast(ledger, battle, winner="model_a")
    cast(ledger, swapped, winner="model_b")  # the same image again
    taken_back = cast(ledger, tied, winner="both_bad")
    a, b = battle.image_a.image_id, battle.image_b.image_id
    assert ledger.pair_record(a, b) == {"a": 2, "b": 0, "both_good": 0, "both_bad": 1}
    assert ledger.pair_record(b, a) == {"a": 0, "b": 2, "both_good": 0, "both_bad": 1}
    ledger.withdraw(tied.battle_id, "cid")
    assert ledger.pair_record(a, b)["both_bad"] == 0
    ledger.exclude(taken_back.vote_id, "restored")
    assert ledger.pair_record(a, b)["both_bad"] == 1


def test_what_is_private_is_never_handed_to_the_publisher(ledger, served):
    served(private=True)
    public = served()
    ledger.add_prompts([Prompt.make("my secret", source="voter")], private=True)
    assert {row["image_id"] for _, row in ledger.unsealed("images", 100)} == {
        public.image_a.image_id, public.image_b.image_id}  # fmt: skip
    assert [row["prompt"] for _, row in ledger.unsealed("prompts", 100)] == ["a cat"]
    assert {i.image_id for i in ledger.banked_images()} == {public.image_a.image_id, public.image_b.image_id}


def test_published_rows_have_the_contracts_columns(ledger, served):
    cast(ledger, served())
    for table in ("votes", "images", "prompts"):
        for _, row in ledger.unsealed(table, 100):
            assert list(row) == [c for c, kind in TABLES[table].items() if kind != "image"]
    image_row = ledger.unsealed("images", 1)[0][1]
    assert (image_row["prompt"], image_row["category"]) == ("a cat", "Anime")


def test_shards_move_from_unsealed_to_pending_to_published(ledger, served):
    for _ in range(3):
        cast(ledger, served())
    rows = ledger.unsealed("votes", 2)
    shard = Shard("data/votes/x.parquet", "votes", rows[0][0], rows[-1][0], 2, "0" * 64, 9)
    ledger.record_shard(shard)
    assert len(ledger.unsealed("votes", 10)) == 1
    assert ledger.pending_shards() == [shard]
    ledger.mark_published([shard.path], 10)
    assert ledger.pending_shards() == []


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "x.sqlite").write_text("this is not a database, and long enough to be read as one" * 20)
    with pytest.raises(LedgerError, match="cannot be used as a ledger"):
        Ledger(tmp_path / "x.sqlite")


def test_a_ledger_of_another_version_is_refused(tmp_path):
    path = tmp_path / "later.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="another version"):
        Ledger(path)


def layout(path) -> dict:
    """Columns and indexes of every table."""
    with sqlite3.connect(path) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        indexes = sorted(row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'"))
        return {"indexes": indexes, **{t: db.execute(f"PRAGMA table_info({t})").fetchall() for t in tables}}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_ledger_of_an_earlier_version_is_brought_up_to_date(tmp_path, version):
    path, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript((Path(__file__).parent / "ledgers" / f"version-{version}.sql").read_text())
    Ledger(new).close()
    for _ in range(2):
        ledger = Ledger(path)
        assert ledger.counts() == {"votes": 4, "images": 4, "feedback": 0, "prompts": 2, "exclusions": 1}
        assert {table: n for table in TABLES if (n := len(ledger.unsealed(table, -1)))} == {"votes": 1, "exclusions": 1}
        assert ledger.unpublished() == 11 and len(ledger.pending_shards()) == 3
        assert len({row["vote_id"] for _, row in ledger.votes_after(0)}) == 4
        ledger.set_named("bob", True)
        assert ledger.is_named("bob") and ledger.is_named("voter1") == (version >= 2)
        ledger.close()
    assert layout(path) == layout(new)


def test_the_last_vote_is_the_last_in_time_whatever_came_from_elsewhere_since(ledger, served):
    first, last = served(), served()
    elsewhere = {**asdict(vote_of(first, now=4)), "vote_id": new_id(), "battle_id": new_id()}
    cast(ledger, last)
    intake.take(ledger, "votes", [tuple(elsewhere[column] for column in kept_columns("votes"))])
    assert [row["vote_id"] for _, row in ledger.votes_after(0)][-1] == elsewhere["vote_id"]
    assert ledger.withdraw(last.battle_id, "ann").battle_id == last.battle_id


def test_the_choice_to_be_named_is_kept_and_forgotten(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert not ledger.is_named("ann")
    for _ in range(2):
        ledger.set_named("ann", True)
    ledger.close()
    again = Ledger(tmp_path / "ledger.sqlite")
    assert again.is_named("ann") and not again.is_named("bob")
    for _ in range(2):
        again.set_named("ann", False)
    assert not again.is_named("ann")


def test_a_write_that_fails_is_said_and_leaves_nothing(ledger, served, monkeypatch):
    battle = served()
    ledger._connection().execute("PRAGMA max_page_count = 1")  # the disk is full, as far as SQLite can tell
    big = vote_of(battle)
    huge = Vote(**{**asdict(big), "extra": "x" * 200_000})
    with pytest.raises(LedgerError, match="nothing changed"):
        ledger.cast_vote(battle.battle_id, "ann", lambda b: huge, not_before=0)
    ledger._connection().execute("PRAGMA max_page_count = 1073741823")
    assert ledger.vote_of(battle.battle_id) is None
    cast(ledger, battle)


def test_threads_that_have_ended_leave_no_connection_open(ledger):
    for _ in range(30):
        thread = threading.Thread(target=ledger.counts)
        thread.start()
        thread.join()
    assert len(ledger._connections) <= 2
