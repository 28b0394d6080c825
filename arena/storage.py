"""What kind of disk the data folder is on, as the ledger has to be opened accordingly.

A plain disk has shared memory and locks for SQLite's write-ahead log. A bucket that is mounted as a folder (the
persistent storage of a Space) or a network share has not, or not reliably: there the ledger keeps one connection
to itself, with a rollback journal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import Literal

from arena.errors import LedgerError

Storage = Literal["disk", "bucket"]
log = logging.getLogger(__name__)

MOUNTS = Path("/proc/mounts")
REMOTE = ("fuse", "nfs", "cifs", "smb", "ceph", "glusterfs", "lustre", "afs", "davfs", "s3")
LOCAL = ("fuseblk", "fuse.fuse-overlayfs")  # a disk of another system, and containers without root


def storage_of(folder: Path, asked: Literal["auto", "disk", "bucket"] = "auto", mounts: Path = MOUNTS) -> Storage:
    """The kind of disk under `folder`, which is made where it is missing: what was `asked` for or, with "auto",
    what its mount and a trial say. Raises LedgerError where the folder cannot be had."""
    if asked != "auto":
        return asked
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"{folder}: cannot be used as a ledger's folder ({error})") from error
    kind = file_system_of(folder, mounts)
    if kind.startswith(REMOTE) and kind not in LOCAL:
        log.info("the data folder is on a mount of type %s: the ledger is kept by one process alone", kind)
        return "bucket"
    if not _shares(folder):
        log.info("SQLite's write-ahead log does not work in the data folder: the ledger is kept by one process alone")
        return "bucket"
    return "disk"


def file_system_of(folder: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that `folder` is on, such as ext4 or fuse.s3fs; "" where nobody says."""
    found, kind = "", ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place = str(folder.resolve())
    for line in lines:
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        point = parts[1].replace("\\040", " ").rstrip("/")
        # A later mount on the same place covers the earlier one.
        if (place == point or place.startswith(point + "/")) and len(point) >= len(found):
            found, kind = point, parts[2]
    return kind


def _shares(folder: Path) -> bool:
    """Whether two connections can share a database here, as SQLite's write-ahead log needs it."""
    probe = folder / f".probe-{os.getpid()}.sqlite"
    try:
        with contextlib.closing(_connect(probe)) as one, contextlib.closing(_connect(probe)) as two:
            if one.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                return False
            one.execute("CREATE TABLE probe (n INTEGER)")
            one.execute("INSERT INTO probe VALUES (1)")
            two.execute("INSERT INTO probe VALUES (2)")
            return one.execute("SELECT SUM(n) FROM probe").fetchone()[0] == 3
    except sqlite3.Error as error:
        log.debug("the trial of the write-ahead log failed: %s", error)
        # A disk that is full or read-only says no to everything: that is for the ledger itself to tell.
        return not _writes(folder)
    finally:
        for name in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                Path(f"{probe}{name}").unlink()


def _writes(folder: Path) -> bool:
    """Whether a database with a rollback journal can be written here."""
    probe = folder / f".probe-{os.getpid()}-alone.sqlite"
    try:
        with contextlib.closing(_connect(probe)) as one:
            one.execute("CREATE TABLE probe (n INTEGER)")
        return True
    except sqlite3.Error:
        return False
    finally:
        for name in ("", "-journal"):
            with contextlib.suppress(OSError):
                Path(f"{probe}{name}").unlink()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=1)
