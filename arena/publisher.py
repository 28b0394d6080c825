"""The publisher: rows of the ledger become sealed Parquet shards, and shards become commits of the Hub dataset.

This takes the place of huggingface_hub's CommitScheduler, which loses rows when the Hub fails at the wrong
moment. Here the ledger is what is true: rows are sealed on the local disk first, a commit is only repeated, never
made up anew, and a shard counts as published when the Hub lists its hash. So no row is lost or doubled however
a request, or this process, ends. Where no Hub is configured the same shards and card are kept in the folder.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arena.bank import Bank
from arena.config import ArenaConfig
from arena.dataset_card import dataset_card
from arena.errors import PublishError
from arena.hub import Hub, HubTarget, Nowhere
from arena.ledger import Ledger
from arena.records import TABLES, Shard
from arena.shards import ROWS, ROWS_OTHERWISE, ShardFolder, with_images

__all__ = ["HubTarget", "PublishReport", "PublishStatus", "Publisher"]
log = logging.getLogger(__name__)

COMMITS_AN_HOUR = 60  # the Hub allows 128; others may commit there too
LONGEST_WAIT = 900.0  # seconds between two tries while the Hub fails


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What one round did."""

    dataset: str | None
    sealed_rows: int = 0
    published_rows: int = 0
    commits: int = 0
    damaged: tuple[str, ...] = ()  # shards whose file is gone or changed on the disk; not published


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """For the page and the command line. Times are in milliseconds."""

    dataset: str | None  # None: nothing leaves this computer
    pending_rows: int  # not on the Hub
    published_rows: int
    last_commit_at: int | None  # of this process
    last_error: str | None  # of the last round
    next_try_at: int | None  # None where no thread runs


class Publisher:
    """`hub` None keeps everything local. `replica` names this deployment in the shards' paths."""

    def __init__(self, ledger: Ledger, bank: Bank, hub: HubTarget | None, folder: Path, *, every_seconds: float,
                 replica: str, config: ArenaConfig, clock: Callable[[], float] = time.time):  # fmt: skip
        self._ledger, self._bank, self._config, self._clock = ledger, bank, config, clock
        self._hub = Hub(hub) if hub else Nowhere()
        self._folder = ShardFolder(Path(folder), ledger=ledger, replica=replica)
        self._pace = Pace(max(every_seconds, self._hub.least_seconds), time.monotonic())
        self._turn = threading.Lock()  # one round at a time
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._flushed: bool | None = None  # by `close`
        self._published: int | None = None  # rows on the Hub, as far as the last round knew
        self._last_commit: int | None = None
        self._last_error: str | None = None

    def start(self) -> None:
        """Publish from now on, every `every_seconds` when there is something new. The Hub may be absent."""
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()

    def publish_now(self) -> PublishReport:
        """Seal what is new and commit all that is pending. Raises PublishError; what was not published is kept."""
        report = self._round(commits=None)
        if report.damaged:
            raise PublishError(_about_damage(report.damaged))
        return report

    def close(self, deadline: float = 10) -> bool:
        """Stop, and publish what is pending for at most `deadline` seconds; the rest waits on the disk for the
        next start. Whether nothing is left. Safe to call twice; call it before the interpreter shuts down."""
        if self._flushed is None:
            self._stopping.set()
            self._flushed = False
            # A request that hangs must not keep the process from ending: only a thread can be left behind.
            last = threading.Thread(target=self._flush, args=(time.monotonic() + deadline,), daemon=True)
            last.start()
            last.join(deadline)
        return self._flushed

    def status(self) -> PublishStatus:
        published = self._count_published() if self._published is None else self._published
        running = self._thread is not None and not self._stopping.is_set()
        wait = self._pace.next - time.monotonic()
        return PublishStatus(
            dataset=self._hub.dataset, pending_rows=max(0, sum(self._ledger.counts().values()) - published),
            published_rows=published, last_commit_at=self._last_commit, last_error=self._last_error,
            next_try_at=int((self._clock() + max(0.0, wait)) * 1000) if running else None,
        )  # fmt: skip

    # -- threads -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(max(0.0, self._pace.next - time.monotonic())):
            if time.monotonic() < self._pace.next:  # somebody published meanwhile
                continue
            try:
                self._round(commits=self._pace.left(time.monotonic()))
            except PublishError as error:
                log.warning("not published: %s", error)

    def _flush(self, end: float) -> None:
        wait = 0.25
        while (left := end - time.monotonic()) > 0:
            try:
                self._flushed = not self._round(commits=None, patience=left).damaged
                return
            except PublishError as error:
                log.warning("not published at the end: %s", error)
            time.sleep(max(0.0, min(wait, end - time.monotonic())))
            wait *= 2

    # -- a round -------------------------------------------------------------------------------------------

    def _round(self, *, commits: int | None, patience: float = -1) -> PublishReport:
        """Push what earlier rounds left, seal what is new, push that; at most `commits` commits."""
        if not self._turn.acquire(timeout=patience):
            raise PublishError("an earlier request to the Hub is still unanswered")
        try:
            with self._folder.alone():
                report = self._push_and_seal(commits)
        except Exception as error:
            self._last_error = str(error) or type(error).__name__
            self._pace.failed(time.monotonic())
            if isinstance(error, PublishError):
                raise
            raise PublishError(f"shards could not be written: {error}") from error
        else:
            self._last_error = _about_damage(report.damaged) if report.damaged else None
            self._pace.succeeded(time.monotonic())
            return report
        finally:
            self._turn.release()

    def _push_and_seal(self, commits: int | None) -> PublishReport:
        pending = self._ledger.pending_shards()
        self._folder.settle(pending)
        self._published = self._count_published()
        # While the Hub fails, new rows wait in the ledger, not in ever more small shards.
        before = self._push(pending, commits)
        sealed = self._seal()
        if tables := self._folder.tables():
            self._folder.write_card(dataset_card(self._config, tables, dataset=None))
        left = None if commits is None else commits - before.commits
        after = self._push(sealed, left)
        return replace(after, sealed_rows=sum(shard.rows for shard in sealed), commits=before.commits + after.commits,
                       published_rows=before.published_rows + after.published_rows,
                       damaged=before.damaged + after.damaged)  # fmt: skip

    def _seal(self) -> list[Shard]:
        sealed = []
        for table in TABLES:
            while rows := self._ledger.unsealed(table, ROWS.get(table, ROWS_OTHERWISE)):
                if table == "images":
                    rows = list(with_images(rows, self._bank.read))
                sealed.append(self._folder.seal(table, rows, int(self._clock() * 1000)))
        return sealed

    def _push(self, pending: Sequence[Shard], commits: int | None) -> PublishReport:
        done, rows, damaged = 0, 0, []
        for batch in self._hub.batches(pending):
            if commits is not None and done >= commits:
                break
            shards = [shard for shard in batch if self._folder.intact(shard)]
            damaged += [shard.path for shard in batch if shard not in shards]
            if not shards:
                continue
            self._pace.committing(time.monotonic())
            self._hub.push(shards, [self._folder.path(shard) for shard in shards], self._card)
            now = int(self._clock() * 1000)
            self._ledger.mark_published([shard.path for shard in shards], now)
            self._last_commit = now
            done, rows = done + 1, rows + sum(shard.rows for shard in shards)
            self._published = (self._published or 0) + sum(shard.rows for shard in shards)
        return PublishReport(self._hub.dataset, published_rows=rows, commits=done, damaged=tuple(damaged))

    def _count_published(self) -> int:
        rows = sum(self._ledger.counts().values())  # first, so that a row made meanwhile never counts as published
        waiting = sum(shard.rows for shard in self._ledger.pending_shards())
        waiting += sum(len(self._ledger.unsealed(table, -1)) for table in TABLES)
        return max(0, rows - waiting)

    def _card(self, tables: set[str]) -> str:
        return dataset_card(self._config, tables, dataset=self._hub.dataset)


class Pace:
    """When the next round is due: every `every` seconds, later after failures, and never so often that the
    Hub's limit of commits is in reach."""

    def __init__(self, every: float, now: float):
        self.next = now
        self._every = every
        self._failures = 0
        self._commits: deque[float] = deque()  # of the last hour

    def committing(self, now: float) -> None:
        self._commits.append(now)

    def left(self, now: float) -> int:
        """Commits that may still be made in this hour."""
        while self._commits and self._commits[0] <= now - 3600:
            self._commits.popleft()
        return max(0, COMMITS_AN_HOUR - len(self._commits))

    def succeeded(self, now: float) -> None:
        self._failures = 0
        self._due(now + self._every, now)

    def failed(self, now: float) -> None:
        wait = max(self._every, 1.0) * 2**self._failures
        self._failures = min(self._failures + 1, 20)
        self._due(now + max(self._every, min(wait, LONGEST_WAIT)), now)

    def _due(self, when: float, now: float) -> None:
        self.next = when if self.left(now) else max(when, self._commits[0] + 3600)


def _about_damage(paths: Sequence[str]) -> str:
    return f"{len(paths)} sealed shards are gone or damaged on the disk, for instance {paths[0]}"
