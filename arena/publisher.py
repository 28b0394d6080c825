"""The publisher: rows of the ledger become sealed Parquet shards, and shards become commits of the Hub dataset.

This takes the place of huggingface_hub's CommitScheduler, which loses rows when the Hub fails at the wrong
moment. Here the ledger is what is true: rows are sealed on the local disk first, a commit is only repeated, never
made up anew, and a shard counts as published when the Hub lists its hash. So no row is lost or doubled however
a request, or this process, ends. Where no Hub is configured the same shards and card are kept in the folder; pictures,
which the bank has already, only when somebody asks for that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arena.bank import Bank
from arena.compact import Compactor, CompactReport, CompactStatus
from arena.config import ArenaConfig
from arena.dataset_card import renewed_card
from arena.errors import ArenaError, LedgerError, PublishError, RestoreError
from arena.hub import NOWHERE, Hub, HubTarget, Nowhere
from arena.ledger import Ledger
from arena.logs import without_secrets
from arena.records import TABLES, Shard
from arena.shards import ROWS, ROWS_OTHERWISE, Row, ShardFolder, with_images

__all__ = ["HubTarget", "PublishReport", "PublishStatus", "Publisher"]
log = logging.getLogger(__name__)

COMMITS_AN_HOUR = 60  # the Hub allows 128; others may commit there too
LONGEST_WAIT = 900.0  # seconds between two tries while the Hub fails
MANY_IMAGES = 20  # so many new ones wait for a commit of their own when the arena closes
UPKEEP_EVERY = 3600.0  # seconds between two looks whether there is something to compact or to remove
DAY = 86_400_000  # milliseconds


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What one round did."""

    dataset: str | None
    sealed_rows: int = 0
    published_rows: int = 0
    commits: int = 0


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """For the page and the command line. Times are in milliseconds."""

    dataset: str | None  # None: nothing leaves this computer
    pending_rows: int  # not on the Hub
    published_rows: int
    last_commit_at: int | None  # of this process
    last_error: str | None  # of the last round
    next_try_at: int | None  # None where no thread runs
    compaction: CompactStatus | None = None  # None where nothing is compacted


class Publisher:
    """`hub` None keeps everything local. `replica` names this deployment in the shards' paths. `know` sees to it that
    the ledger knows what the dataset holds, or raises RestoreError; it is asked before rows go out that were waiting
    when this process began: where the disk fell back to an earlier state, they may have been published already."""

    def __init__(self, ledger: Ledger, bank: Bank, hub: HubTarget | None, folder: Path, *, every_seconds: float,
                 replica: str, config: ArenaConfig, clock: Callable[[], float] = time.time,
                 know: Callable[[], None] = lambda: None):  # fmt: skip
        self._ledger, self._bank, self._config, self._clock = ledger, bank, config, clock
        self._hub = Hub(hub) if hub else Nowhere()
        self._know, self._known = know, hub is None or not ledger.unpublished()
        self._folder = ShardFolder(Path(folder), ledger=ledger, replica=replica)
        self._pace = Pace(max(every_seconds, self._hub.least_seconds), time.monotonic())
        self._pace.made_before(self._seconds_since_commits(), time.monotonic())
        self._turn = threading.Lock()  # one round at a time
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._compactor = Compactor(self._hub.files, Path(folder), replica=replica, squash=config.hub.squash, clock=clock,
                                    period="hourly" if config.hub.compact == "hourly" else "daily",
                                    may_commit=self._may_commit) if hub else None  # fmt: skip
        self._flushed: bool | None = None  # by `close`
        self._last_commit: int | None = None
        self._last_error: str | None = None
        self._without: list[str] = []  # images of this round that the bank cannot give

    def start(self) -> None:
        """Publish from now on, every `every_seconds` when there is something new. The Hub may be absent."""
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()
            if self._compactor:
                threading.Thread(target=self._keep_up, args=(self._compactor,), name="upkeep", daemon=True).start()

    def publish_now(self, *, images: bool = True) -> PublishReport:
        """Seal what is new, of `images` too, and commit all that is pending. Raises PublishError; what was not published
        is kept."""
        return self._round(commits=None, images=images)

    def compact_now(self, *, today: bool = False) -> CompactReport:
        """Make small shards of the dataset into large ones; with `today`, those of the unfinished day too. Raises
        PublishError; then what was done is complete, and the rest as it was."""
        if not self._compactor:
            raise PublishError(NOWHERE)
        return self._compactor.compact(today=today)

    def hub_card(self, tables: set[str], there: str | None) -> str | None:
        """The card for `tables` on the Hub, or None where the one that is `there` will do."""
        return self._card(tables, there, self._hub.dataset)

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
        running = self._thread is not None and not self._stopping.is_set()
        wait = self._pace.next - time.monotonic()
        rows, pending = sum(self._ledger.counts().values()), self._ledger.unpublished()
        return PublishStatus(
            dataset=self._hub.dataset, pending_rows=pending, published_rows=max(0, rows - pending),
            last_commit_at=self._last_commit, last_error=self._last_error,
            next_try_at=int((self._clock() + max(0.0, wait)) * 1000) if running else None,
            compaction=self._compactor.status if self._compactor else None,
        )  # fmt: skip

    # -- threads -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(max(0.0, self._pace.next - time.monotonic())):
            if time.monotonic() < self._pace.next:  # somebody published meanwhile
                continue
            try:
                self._round(commits=self._pace.left(time.monotonic()), images=self._hub.dataset is not None)
            except PublishError as error:
                log.warning("not published: %s", error)

    def _flush(self, end: float) -> None:
        wait = 0.25
        while (left := end - time.monotonic()) > 0:
            try:
                if self._many_images():  # votes first: pictures take many times as long, and there may be no more time
                    self._round(commits=None, images=False, patience=left)
                    left = max(0.0, end - time.monotonic())
                self._round(commits=None, images=self._hub.dataset is not None, patience=left)
                self._flushed = True
                return
            except PublishError as error:
                log.warning("not published at the end: %s", error)
                if error.retry_after > end - time.monotonic():
                    return
            time.sleep(max(0.0, min(wait, end - time.monotonic())))
            wait *= 2

    def _many_images(self) -> bool:
        try:
            return bool(self._hub.dataset) and len(self._ledger.unsealed("images", MANY_IMAGES)) == MANY_IMAGES
        except LedgerError:  # the round will say so
            return False

    def _keep_up(self, compactor: Compactor) -> None:
        wait = compactor.first_look
        while not self._stopping.wait(wait):
            wait = UPKEEP_EVERY
            try:
                if self._config.hub.compact != "never":
                    compactor.compact(stopping=self._stopping)
                self._folder.prune(int(self._clock() * 1000) - int(self._config.hub.keep_days * DAY))
            except (ArenaError, OSError) as error:  # the next look finds the same to do
                log.warning("not tidied up: %s", error)
            except Exception:
                log.exception("not tidied up")

    def _seconds_since_commits(self) -> list[float]:
        """Of those that earlier processes made in the last hour: a restart does not begin a new one."""
        now = int(self._clock() * 1000)
        made = self._ledger.all("SELECT DISTINCT published_at AS at FROM shards WHERE published_at BETWEEN ? AND ?",
                                now - 3_600_000, now)  # fmt: skip
        return [(now - row["at"]) / 1000 for row in made]

    def _may_commit(self) -> bool:
        """Whether the hour has a commit left; takes it."""
        now = time.monotonic()
        if not self._pace.left(now):
            return False
        self._pace.committing(now)
        return True

    # -- a round -------------------------------------------------------------------------------------------

    def _round(self, *, commits: int | None, images: bool, patience: float = -1) -> PublishReport:
        """Push what earlier rounds left, seal what is new, push that; at most `commits` commits. Without `images` those
        that are new wait in the ledger and the bank for another round."""
        if not self._turn.acquire(timeout=patience):
            raise PublishError("an earlier request to the Hub is still unanswered")
        try:
            with self._folder.alone():
                report = self._push_and_seal(commits, images)
        except Exception as error:
            self._last_error = without_secrets(str(error)) or type(error).__name__
            self._pace.failed(time.monotonic(), getattr(error, "retry_after", 0.0))
            if isinstance(error, PublishError):
                raise
            raise PublishError(f"shards could not be written: {error}") from error
        else:
            self._last_error = None
            self._pace.succeeded(time.monotonic())
            return report
        finally:
            if self._without:
                log.warning("%d images are published without their pictures, which are missing or damaged in the bank; "
                            "the first is %s", len(self._without), self._without[0])  # fmt: skip
                self._without = []
            self._turn.release()

    def _push_and_seal(self, commits: int | None, images: bool) -> PublishReport:
        if not self._known:
            self._hub.make()  # where the token is refused, a dataset looks as if there were none
            try:
                self._know()
            except RestoreError as error:
                said = f"nothing is published before the dataset is read: {error}"
                raise PublishError(said, error.retry_after) from error
            self._known = True
        pending = self._ledger.pending_shards()
        self._folder.settle(pending)
        # While the Hub fails, new rows wait in the ledger, not in ever more small shards.
        before = self._push(pending, commits, tried=True)
        sealed = self._seal(images)
        if (tables := self._folder.tables()) and (card := self._card(tables, self._folder.card(), None)):
            self._folder.write_card(card)
        left = None if commits is None else commits - before.commits
        after = self._push(sealed, left, tried=False)
        return replace(after, sealed_rows=sum(shard.rows for shard in sealed), commits=before.commits + after.commits,
                       published_rows=before.published_rows + after.published_rows)  # fmt: skip

    def _seal(self, images: bool) -> list[Shard]:
        sealed = []
        for table in TABLES if images else [table for table in TABLES if table != "images"]:
            while rows := self._ledger.unsealed(table, ROWS.get(table, ROWS_OTHERWISE)):
                sealed.append(self._folder.seal(table, self._whole(table, rows), int(self._clock() * 1000)))
        return sealed

    def _whole(self, table: str, rows: Sequence[tuple[int, Row]]) -> Sequence[tuple[int, Row]]:
        """Rows of the ledger as they are published, the first ones of them: as many as go into a shard."""
        if table != "images":
            return rows
        whole = list(with_images(rows, self._bank.read))
        self._without += [row["image_id"] for _, row in whole if row["image"] is None]
        return whole

    def _mend(self, shard: Shard) -> list[Shard]:
        """What is pending in place of a shard whose file is gone or changed on the disk: the same again from the
        ledger's rows or, where they make other bytes by now (a picture is gone), fresh shards of them. Raises
        PublishError where it cannot be known whether the dataset has it already."""
        if self._folder.write_again(shard, self._whole(shard.table, self._ledger.rows_of(shard))):
            log.warning("%s was damaged on the disk and is made again", shard.path)
            return [shard]
        now = int(self._clock() * 1000)
        if self._hub.has(shard):
            self._ledger.mark_published([shard.path], now)
            return []
        log.warning("%s was damaged on the disk; its rows go into another shard", shard.path)
        return self._folder.seal_again(shard, self._pieces(shard), now)

    def _pieces(self, shard: Shard) -> Iterator[Sequence[tuple[int, Row]]]:
        rows = self._ledger.rows_of(shard)
        while rows:
            piece = self._whole(shard.table, rows)
            yield piece
            rows = rows[len(piece) :]

    def _push(self, pending: Sequence[Shard], commits: int | None, *, tried: bool) -> PublishReport:
        done, rows = 0, 0
        for batch in self._hub.batches(pending):
            if commits is not None and done >= commits:
                break
            shards = [
                good for shard in batch for good in ([shard] if self._folder.intact(shard) else self._mend(shard))
            ]
            if not shards:
                continue
            self._pace.committing(time.monotonic())
            self._hub.push(shards, [self._folder.path(shard) for shard in shards], self.hub_card, tried=tried)
            now = int(self._clock() * 1000)
            self._ledger.mark_published([shard.path for shard in shards], now)
            self._last_commit = now
            done, rows = done + 1, rows + sum(shard.rows for shard in shards)
        return PublishReport(self._hub.dataset, published_rows=rows, commits=done)

    def _card(self, tables: set[str], there: str | None, dataset: str | None) -> str | None:
        return renewed_card(self._config, tables, self._ledger, dataset=dataset, now=self._clock(), there=there)


class Pace:
    """When the next round is due: every `every` seconds, later after failures, and never so often that the
    Hub's limit of commits is in reach."""

    def __init__(self, every: float, now: float):
        self.next = now
        self._every = every
        self._failures = 0
        self._commits: deque[float] = deque()  # of the last hour
        self._lock = threading.Lock()

    def committing(self, now: float) -> None:
        with self._lock:
            self._commits.append(now)

    def made_before(self, ages: Sequence[float], now: float) -> None:
        """Count commits of an earlier process, made so many seconds ago."""
        with self._lock:
            self._commits.extendleft(now - age for age in sorted(ages))
        self._due(now, now)

    def left(self, now: float) -> int:
        """Commits that may still be made in this hour."""
        with self._lock:
            while self._commits and self._commits[0] <= now - 3600:
                self._commits.popleft()
            return max(0, COMMITS_AN_HOUR - len(self._commits))

    def succeeded(self, now: float) -> None:
        self._failures = 0
        self._due(now + self._every, now)

    def failed(self, now: float, asked: float = 0.0) -> None:
        """`asked`: seconds for which the Hub asked to be left alone."""
        wait = max(self._every, 1.0) * 2**self._failures
        self._failures = min(self._failures + 1, 20)
        self._due(now + max(self._every, min(wait, LONGEST_WAIT), asked), now)

    def _due(self, when: float, now: float) -> None:
        self.next = when if self.left(now) else max(when, self._commits[0] + 3600)
