"""One SQLite file, shared between threads: connections, reads, and transactions that are on disk when they end.

Threads that write at once share one commit, and so one fsync: whoever sees others wait leaves the commit to the last of
them. Otherwise a disk that is slow for a moment would leave behind a line of votes, each with an fsync of its own.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from arena.errors import LedgerError

PATIENCE = 10  # seconds to wait for another process's lock
SHARED = 16  # transactions of one commit at most,
SHARED_SECONDS = 0.005  # and none joins one that was begun so long ago
LOST = 0.5  # seconds after which a thread commits itself what it left to another


class _Commit:
    """A commit that several transactions share; all of them are in it or none."""

    def __init__(self, db: sqlite3.Connection):
        self.db, self.begun, self.members = db, time.monotonic(), 0
        self.done = threading.Event()
        self.error: sqlite3.Error | None = None


class Database:
    """The file at `path`, made where there is none. Each thread has its own connection, and writers take turns.
    `alone` is for where SQLite's shared memory does not work, and for whoever must not be disturbed: all threads
    share one connection that keeps every other process out, and nothing is written beside the file but a rollback
    journal. Raises LedgerError, here and everywhere, where the file cannot be used."""

    def __init__(self, path: str | Path, *, alone: bool = False):
        self.path, self.alone = Path(path), alone
        self._connections: dict[threading.Thread, sqlite3.Connection] = {}
        self._opening = threading.Lock()
        self._write = threading.RLock()
        self._commit: _Commit | None = None  # the open one
        self._inside: tuple[threading.Thread, sqlite3.Connection] | None = None  # whose transaction is under way
        self._line = 0  # threads that wait for their turn to write
        self._counting = threading.Lock()
        # One connection must not read in the middle of another thread's transaction.
        self._reading = self._write if alone else nullcontext()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be used as a ledger ({error})") from error

    def close(self) -> None:
        """Close every thread's connection; a later call opens a new one."""
        with self._write, self._opening:
            self._end(self._commit)
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._reading:
            return self._read(sql, values).fetchone()

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._reading:
            return self._read(sql, values).fetchall()

    def tuples(self, sql: str, *values: Any) -> list[tuple]:
        """Many rows, without their columns' names, which take time."""
        with self._reading:
            return self._read(sql, values, plain=True).fetchall()

    def scrub(self) -> None:
        """Write the file anew, so that nothing that was deleted is left in its unused pages."""
        with self._write:
            self._end(self._commit)
            try:
                self._connection().execute("VACUUM")
            except sqlite3.Error as error:
                raise LedgerError(f"{self.path}: could not be written anew ({error})") from error

    def trouble(self) -> str | None:
        """Why nothing can be written, or None. Found out by writing: a full disk looks well until then."""
        try:
            with self.transaction() as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                db.execute(f"PRAGMA user_version = {version}")
        except LedgerError as error:
            return str(error)
        return None

    @contextmanager
    def transaction(self, *, bulk: bool = False) -> Iterator[sqlite3.Connection]:
        """One writer at a time; everything or nothing, and on the disk when this ends. An error of the caller is raised
        only then too, as it may come from what others wrote. `bulk`: this takes long, and nobody's commit waits for it.
        One that begins within another of the same thread is a part of that."""
        outer, db = self._inside or (None, None)
        if outer is threading.current_thread():
            yield db
            return
        raised: BaseException | None = None
        with self._turn(bulk):
            commit = self._join(bulk)
            self._inside = threading.current_thread(), commit.db
            try:
                yield commit.db
            except BaseException as error:
                raised = error
            finally:
                self._inside = None
            self._leave(commit, raised, bulk)
        while not commit.done.wait(LOST):
            with self._write:
                self._end(commit)
        if isinstance(raised, sqlite3.Error) or (commit.error and (raised is None or isinstance(raised, Exception))):
            why = raised if isinstance(raised, sqlite3.Error) else commit.error
            raise LedgerError(f"{self.path}: could not be written; nothing changed ({why})") from why
        if raised is not None:
            raise raised

    @contextmanager
    def _turn(self, bulk: bool) -> Iterator[None]:
        """Nobody else writes within it."""
        with self._counting:
            self._line += not bulk
        try:
            self._write.acquire()
        finally:
            with self._counting:
                self._line -= not bulk
        try:
            yield
        finally:
            self._write.release()

    def _join(self, bulk: bool) -> _Commit:
        """The commit of the transaction that begins now."""
        commit = self._commit
        if commit and (bulk or commit.members >= SHARED or time.monotonic() - commit.begun > SHARED_SECONDS):
            self._end(commit)
        try:
            if self._commit is None:
                db = self._connection()
                db.execute("BEGIN IMMEDIATE")
                self._commit = _Commit(db)
            commit = self._commit
            commit.db.execute("SAVEPOINT one")
        except sqlite3.Error as error:
            self._end(self._commit)
            raise LedgerError(f"{self.path}: could not be written; nothing changed ({error})") from error
        commit.members += 1
        return commit

    def _leave(self, commit: _Commit, raised: BaseException | None, bulk: bool) -> None:
        """The transaction has ended: commit, or leave that to who waits for a turn."""
        try:
            if raised is not None and commit.db.in_transaction:
                commit.db.execute("ROLLBACK TO one")
            commit.db.execute("RELEASE one")
        except sqlite3.Error as error:  # where a disk is full, SQLite rolls back the others' transactions too
            self._end(commit, raised if isinstance(raised, sqlite3.Error) else error)
        if bulk or self.alone or not self._line:
            self._end(commit)

    def _end(self, commit: _Commit | None, error: sqlite3.Error | None = None) -> None:
        """Commit or, after this `error`, roll back."""
        if commit is None or commit.done.is_set():
            return
        try:
            if error is None:
                commit.db.execute("COMMIT")
        except sqlite3.Error as failed:
            error = failed
        finally:
            commit.error = error
            self._commit = None
            if commit.db.in_transaction:
                commit.db.execute("ROLLBACK")
            commit.done.set()

    def _read(self, sql: str, values: Sequence[Any], *, plain: bool = False) -> sqlite3.Cursor:
        try:
            cursor = self._connection().cursor()
            if plain:
                cursor.row_factory = None
            return cursor.execute(sql, tuple(values))
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: cannot be read ({error})") from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection, or the one that its transaction is on. Threads that have ended leave theirs
        behind; they are closed here."""
        writer, db = self._inside or (None, None)
        if writer is threading.current_thread():
            return db
        thread = threading.main_thread() if self.alone else threading.current_thread()
        connection = self._connections.get(thread)
        if connection is None:
            with self._opening:
                connection = self._connections.get(thread) or self._opened()
                for other in [t for t in self._connections if not t.is_alive()]:
                    self._connections.pop(other).close()
                self._connections[thread] = connection
        return connection

    def _opened(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: cannot be used as a ledger ({error})") from error
        connection.row_factory = sqlite3.Row
        try:
            if self.alone:  # before the file is first read, or its shared memory is asked for
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute(f"PRAGMA journal_mode = {'DELETE' if self.alone else 'WAL'}")
            connection.execute(f"PRAGMA synchronous = {'EXTRA' if self.alone else 'FULL'}")
            if self.alone:  # the lock is taken by the first transaction, and kept
                connection.execute("BEGIN EXCLUSIVE")
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            connection.close()
            why = f"cannot be used as a ledger ({error})"
            if "locked" in str(error):
                why = ("in use by another process, and only one can have it; stop that one first "
                       "(the app publishes by itself)")  # fmt: skip
            raise LedgerError(f"{self.path}: {why}") from error
        return connection
