"""Threads that write at once share a commit: each has its own transaction all the same, on the disk when it returns."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time

import pytest

from arena.database import Database
from arena.errors import LedgerError


class Held(Database):
    """Counts commits; while `gate` is not set they wait, as for a slow disk, and with `broken` they fail."""

    def __init__(self, *args, **kwargs):
        self.gate, self.commits, self.broken = threading.Event(), 0, None
        self.gate.set()
        super().__init__(*args, **kwargs)

    def _end(self, commit, error=None):
        if commit is not None and not commit.done.is_set():
            self.commits += 1
            self.gate.wait(120)
        super()._end(commit, error or self.broken)


@pytest.fixture
def db(tmp_path):
    db = Held(tmp_path / "x.sqlite")
    with db.transaction() as connection:
        connection.execute("CREATE TABLE t (n INTEGER UNIQUE)")
    yield db
    db.close()


def on_disk(db: Database) -> set[int]:
    with contextlib.closing(sqlite3.connect(db.path)) as other:
        return {row[0] for row in other.execute("SELECT n FROM t")}


def at_once(db: Held, writers) -> list:
    """Start all of `writers` while a first commit hangs, so that they stand in line; what each of them raised."""
    raised: list = [None] * len(writers)

    def run(k: int) -> None:
        try:
            writers[k]()
        except Exception as error:
            raised[k] = error

    def wait_until(holds) -> None:
        end = time.monotonic() + 60
        while not holds() and time.monotonic() < end:
            time.sleep(0.001)

    db.gate.clear()
    made = db.commits
    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(writers))]
    threads[0].start()
    wait_until(lambda: db.commits > made)
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: db._line == len(writers) - 1)
    db.gate.set()
    for thread in threads:
        thread.join(120)
    return raised


def insert(db: Database, n: int, then=lambda: None):
    def write() -> None:
        with db.transaction() as connection:
            connection.execute("INSERT INTO t VALUES (?)", (n,))
            then()
        assert n in on_disk(db), "it has returned"

    return write


def test_who_stands_in_line_shares_a_commit(db, monkeypatch):
    monkeypatch.setattr("arena.database.SHARED_SECONDS", 60)  # threads take turns as slowly as a busy machine lets them
    monkeypatch.setattr("arena.database.LOST", 60)
    assert at_once(db, [insert(db, n) for n in range(12)]) == [None] * 12
    assert on_disk(db) == set(range(12))
    assert db.commits <= 5, "the table's, the first one's, and one or a few for the eleven in line"


def test_one_that_fails_leaves_nothing_and_the_others_stand(db):
    def refuse() -> None:
        raise ValueError("no")

    raised = at_once(db, [insert(db, 0), insert(db, 1), insert(db, 2, refuse), insert(db, 1), insert(db, 4)])
    assert on_disk(db) == {0, 1, 4}
    assert sum(isinstance(error, ValueError) for error in raised) == 1
    assert sum(isinstance(error, LedgerError) for error in raised) == 1  # one of the two with the same number


def test_a_commit_that_fails_is_said_and_the_next_one_goes_on(db):
    insert(db, 0)()
    real, failing = sqlite3.connect, []

    class Full(sqlite3.Connection):
        def execute(self, sql, *values):
            if failing and sql == "COMMIT":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *values)

    db.close()
    sqlite3.connect = lambda *args, **kwargs: real(*args, **{**kwargs, "factory": Full})
    try:
        failing.append(True)
        with pytest.raises(LedgerError, match=r"nothing changed \(database or disk is full\)"):
            insert(db, 1)()
        failing.clear()
        insert(db, 2)()
    finally:
        sqlite3.connect = real
    assert on_disk(db) == {0, 2}


def test_all_who_share_a_commit_that_fails_are_told(db):
    db.broken = sqlite3.OperationalError("database or disk is full")
    raised = at_once(db, [insert(db, n) for n in range(6)])
    assert all(isinstance(error, LedgerError) and "nothing changed" in str(error) for error in raised)
    db.broken = None
    assert on_disk(db) == set()
    insert(db, 3)()


def test_a_commit_that_was_left_to_somebody_who_never_came_is_made_all_the_same(db):
    db._line += 1  # somebody waits, and is gone
    insert(db, 7)()
    db._line -= 1
    assert on_disk(db) == {7}


def test_what_takes_long_keeps_nobody_waiting_for_its_commit(db):
    inside, go_on = threading.Event(), threading.Event()

    def long() -> None:
        with db.transaction(bulk=True) as connection:
            connection.execute("INSERT INTO t VALUES (100)")
            inside.set()
            go_on.wait(120)

    other = threading.Thread(target=long)
    with db._write:
        other.start()
        time.sleep(0.05)
        assert db._line == 0
        insert(db, 1)()  # as it was first, and nobody is in line, it is on the disk before the long one begins
        assert on_disk(db) == {1} and not inside.is_set()
    assert inside.wait(60)
    go_on.set()
    other.join(120)
    assert on_disk(db) == {1, 100}


def test_a_transaction_within_another_is_a_part_of_it(db):
    def inner(n: int) -> None:
        with db.transaction() as connection:
            connection.execute("INSERT INTO t VALUES (?)", (n,))

    with pytest.raises(KeyError), db.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        inner(2)
        assert on_disk(db) == set(), "nothing before the outer one ends"
        assert [row["n"] for row in db.all("SELECT n FROM t ORDER BY n")] == [1, 2], "read as it will be"
        raise KeyError
    assert on_disk(db) == set(), "all or nothing"
    with db.transaction() as connection:
        inner(3)
        connection.execute("INSERT INTO t VALUES (4)")
    assert on_disk(db) == {3, 4}
