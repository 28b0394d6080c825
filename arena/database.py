"""One SQLite file, shared between threads: connections, reads, and transactions that are on disk when they end."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from arena.errors import LedgerError

PATIENCE = 10  # seconds to wait for another process's lock


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
        # One connection must not read in the middle of another thread's transaction.
        self._reading = self._write if alone else nullcontext()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be used as a ledger ({error})") from error

    def close(self) -> None:
        """Close every thread's connection; a later call opens a new one."""
        with self._write, self._opening:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._reading:
            return self._read(sql, values).fetchone()

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._reading:
            return self._read(sql, values).fetchall()

    def scrub(self) -> None:
        """Write the file anew, so that nothing that was deleted is left in its unused pages."""
        with self._write:
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
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time; everything or nothing. The commit is the fsync."""
        with self._write:
            db = self._connection()
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException as error:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise LedgerError(f"{self.path}: could not be written; nothing changed ({error})") from error
                raise

    def _read(self, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return self._connection().execute(sql, tuple(values))
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: cannot be read ({error})") from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection. Threads that have ended leave theirs behind; they are closed here."""
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
