"""What a request asks of the ledger goes by an index, however many votes there are; what is remembered stays true."""

from __future__ import annotations

import random
import re
import sqlite3
from dataclasses import asdict

import pyarrow as pa
import pytest

from arena import columns, intake
from arena.errors import NoBattle, WrongAnswer
from arena.ledger import Ledger
from arena.records import TABLES, WINNERS, Image, new_id
from arena.tables import kept_columns
from standings import VOTED

BIG = {"votes", "battles", "images", "feedback", "exclusions", "prompts", "shards"}
ALL = {"style": 4, "errors": 2, "alignment": 4, "misaligned_words": []}
FREE = {"votes_per_minute": 1e6, "live_per_hour": 1e6}


@pytest.fixture
def asked(make_arena, fill, monkeypatch):
    """An arena with everything on that a request can meet, and a list of the statements that its ledger runs."""
    settings = {"limits": FREE, "matchmaking": {"overlap": {"voters": 2}}, "campaign": {"title": "Test"},
                "categories": [{"name": "Things", "prompts": [{"prompt": f"thing {k}"} for k in range(12)]}],
                "bank": {"display_px": 96, "retire_after": 1000}}  # fmt: skip
    arena = make_arena(**settings)
    fill(arena)
    images = [image.image_id for image in arena.ledger.banked_images()[:2]]
    arena.close()
    task = {"kind": "battle", "images": images, "winner": "first", "why": "It is sharper."}
    arena = make_arena(**settings, gold={"first": 0, "every": 2, "tasks": [task]})
    statements: list[str] = []
    opened = Ledger._opened

    def watched(self):
        connection = opened(self)
        connection.set_trace_callback(statements.append)
        return connection

    arena.ledger.close()
    monkeypatch.setattr(Ledger, "_opened", watched)
    return arena, statements


def play(arena, voter: str) -> None:
    """All that a visitor does, a few times."""
    for turn in range(12):
        try:
            blind = arena.next_battle(voter)
        except NoBattle:
            return
        arena.next_battle(voter)
        try:
            arena.cast_vote(blind.battle_id, "model_a", voter, hold=turn % 2 == 0)
        except WrongAnswer:
            arena.cast_vote(blind.battle_id, "model_b", voter)
        for side in ("a", "b"):
            arena.feedback.give(blind.battle_id, side, ALL, voter)
        arena.reveal(blind.battle_id, voter)
        arena.campaign.progress(voter)
        if "gold" not in arena.ledger.vote_of(blind.battle_id).extra and turn % 3 == 0:
            arena.withdraw(blind.battle_id, voter)
        arena.ledger.open_battles(voter, 0)


def tell_a_monitor(ledger) -> None:
    """What /health asks of a ledger."""
    ledger.counts(), ledger.unpublished(), ledger.trouble()


def plan(db: sqlite3.Connection, sql: str) -> list[str]:
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]


def test_nothing_that_a_request_asks_reads_a_whole_table(asked):
    arena, statements = asked
    play(arena, "ann")  # from here on what is remembered is there
    tell_a_monitor(arena.ledger)
    statements.clear()
    for voter in ("ann", "bob", "ann"):
        play(arena, voter)
        tell_a_monitor(arena.ledger)
    arena.request_live("ann", "a green dog")
    seen = {re.sub(r"'[^']*'|\b\d+\b", "?", sql): sql for sql in statements if sql.split()[0] in ("SELECT", "UPDATE")}
    assert len(seen) > 40, "the whole way of a vote"
    slow = {}
    with sqlite3.connect(arena.ledger.path) as db:
        for sql in seen.values():
            whole = [line for line in plan(db, sql) for words in [line.split()]
                     if words[0] == "SCAN" and (words[1] in BIG or len(words[1]) == 1)]  # fmt: skip
            if whole:
                slow[sql] = whole
    # An empty range of the rows that the Hub does not have yet is no whole table.
    slow = {sql: lines for sql, lines in slow.items() if "published_at IS NULL" not in sql}
    assert not slow, slow


def test_the_last_vote_of_a_voter_is_found_without_sorting(asked):
    arena, statements = asked
    arena.ledger.last_vote("ann")
    with sqlite3.connect(arena.ledger.path) as db:
        assert plan(db, statements[-1]) == ["SEARCH votes USING INDEX last_votes (voter=?)"]


def votes_from_elsewhere(ledger, number: int, images=("i" * 32, "j" * 32), start: int = 0) -> list[dict]:
    rng, rows = random.Random(start), []
    for k in range(number):
        pair = images if rng.random() < 0.5 else images[::-1]
        values = {
            "vote_id": f"v{start + k:07}",
            "battle_id": f"b{start + k:07}",
            "created_at": 1000 + k,
            "prompt_id": "p",
            "prompt": f"a “thing”\n{k % 5}",
            "category": "Things",
            "model_a": "x",
            "model_b": "y",
            "winner": rng.choice(WINNERS),
            "image_a": pair[0],
            "image_b": pair[1],
            "voter": f"u{k % 7}",
            "mode": "anonymous",
            "served_from": "bank",
            "pair_probability": 1 / (3 + k % 4),
            "signed_in": k % 2 == 0,
        }
        rows.append({name: values.get(name, {"json": "{}", "float32": 1.5}.get(kind, "")) for name, kind
                     in kept_columns("votes").items()})  # fmt: skip
    intake.take(ledger, "votes", [tuple(row.values()) for row in rows])
    return rows


def exclude(ledger, *rows: tuple[str, str, int]) -> None:
    intake.take(ledger, "exclusions", [(vote, reason, at, "{}") for vote, reason, at in rows])


def test_counts_follow_what_comes_and_what_is_erased(ledger, tmp_path):
    assert set(ledger.counts().values()) == {0}
    votes_from_elsewhere(ledger, 40)
    assert ledger.counts()["votes"] == 40
    other = Ledger(tmp_path / "ledger.sqlite")  # as another process has it
    exclude(other, ("v0000003", "erased", 1), ("v0000004", "withdrawn", 1))
    assert ledger.counts() == other.counts() == {**dict.fromkeys(TABLES, 0), "votes": 39, "exclusions": 2}
    votes_from_elsewhere(other, 5, start=100)
    exclude(other, ("v0000005", "erased", 2))
    assert ledger.counts()["votes"] == other.counts()["votes"] == 43
    other.close()


def test_a_pairs_record_follows_votes_exclusions_and_erasures(ledger, tmp_path):
    one, two = "i" * 32, "j" * 32
    rng, other = random.Random(2), Ledger(tmp_path / "ledger.sqlite")

    def by_hand() -> dict[str, int]:
        out = {}
        for _, row in ledger.exclusions_after(0):
            out[row["vote_id"]] = row["reason"] != "restored"
        found = dict.fromkeys(("a", "b", "both_good", "both_bad"), 0)
        for _, vote in ledger.votes_after(0):
            if not out.get(vote["vote_id"]) and "gold" not in vote["extra"]:
                won = {"model_a": vote["image_a"], "model_b": vote["image_b"]}.get(vote["winner"], vote["winner"])
                found[{one: "a", two: "b"}.get(won, won)] += 1
        return found

    assert ledger.pair_record(one, two) == by_hand()
    ids = []
    for step in range(30):
        ids += [row["vote_id"] for row in votes_from_elsewhere(other, rng.randrange(4), (one, two), start=100 * step)]
        if ids:
            exclude(other, (rng.choice(ids), rng.choice(("withdrawn", "restored", "withdrawn", "erased")), step))
        record = ledger.pair_record(one, two)
        assert record == by_hand(), step
        assert ledger.pair_record(two, one) == {**record, "a": record["b"], "b": record["a"]}
    other.close()


@pytest.mark.parametrize("texts", ["plain", "with what stands between two"])
def test_many_votes_are_the_same_by_columns_as_one_by_one(ledger, texts):
    rows = votes_from_elsewhere(ledger, 1300)
    if texts != "plain":
        with ledger.transaction() as db:
            db.execute("UPDATE votes SET prompt = 'a' || char(31) || 'b' WHERE seq = 900")
        rows[899]["prompt"] = "a\x1fb"
    found, after = {name: [] for name in VOTED if name in TABLES["votes"]}, 0
    for limit in (600, 100, columns.FEW, 5000):
        places, cells = ledger.vote_columns(after, VOTED, limit)
        assert len(places) == min(limit, 1300 - after) and places == list(range(after + 1, after + 1 + len(places)))
        after = places[-1]
        joined = isinstance(cells["prompt"], pa.ChunkedArray)
        assert joined == (limit == 600), "a rest of a hundred is read as it is"
        for name, column in cells.items():
            found[name] += column if isinstance(column, list) else column.to_pylist()
    assert found == {name: [row[name] for row in rows] for name in found}
    assert ledger.vote_columns(after, VOTED, 10) == ([], {name: [] for name in found})


def test_a_battle_never_has_the_number_of_one_that_was_erased(asked):
    arena, _ = asked
    last = arena.next_battle("ann")
    number = arena.ledger.one("SELECT seq FROM battles WHERE battle_id = ?", last.battle_id)["seq"]
    arena.cast_vote(last.battle_id, "both_good", "ann")
    exclude(arena.ledger, (arena.ledger.vote_of(last.battle_id).vote_id, "erased", 1))
    assert arena.ledger.battle(last.battle_id) is None
    again = arena.ledger.battle(arena.next_battle("ann").battle_id)
    assert arena.ledger.one("SELECT seq FROM battles WHERE battle_id = ?", again.battle_id)["seq"] > number


def test_private_pictures_are_removed_once(asked, clock, tmp_path):
    arena, _ = asked
    like = asdict(arena.ledger.banked_images()[0])
    for _ in range(2):
        arena.ledger.add_image(Image(**{**like, "image_id": new_id(), "seed": 7, "private": True,
                                        "created_at": arena.ledger.now()}))  # fmt: skip
        clock.now += 25 * 3600
        before, gone = arena._private_gone, []
        arena.bank.remove = gone.append
        arena._forget_private()
        assert len(gone) == 1 and arena._private_gone > before
