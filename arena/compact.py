"""Compaction: many small shards of finished days (or hours) become few large ones, in one commit.

A commit a minute makes a thousand files a day, and whoever reads the dataset asks for every one of them. Nothing is
remembered between two runs: what there is to do follows from what the dataset lists. Whichever replica commits first
wins, the others find their sources gone and leave it at that (`arena.hub_files`). A crash at any point leaves the
dataset as it was before or after, and a scratch folder that the next run empties.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from arena.errors import PublishError
from arena.hub_files import Held, HubFiles
from arena.layout import Name, large_path, manifest_path, read_name
from arena.logs import without_secrets
from arena.merge import fits, merge
from arena.records import TABLES, dumps

log = logging.getLogger(__name__)

MOST_ROWS = 1_000_000  # of a large shard
MOST_BYTES = 512 * 2**20  # of a large shard, which pictures reach first
FEW_SMALL = 10  # so many small shards that are finished may stay,
FEW_LARGE = 30  # and so many large ones that are not full: a row is rewritten after a day, then after a month
# Two replicas that start at once, or without the Hub, publish the same prompts, and the same images where their models
# draw alike. Where that can be, few are enough; small prompts go into the large ones of so many rows each time.
TWICE, FEW_PROMPTS = ("prompts", "images"), 50_000
SOURCES_A_COMMIT = 1000
BYTES_A_COMMIT = 2**30  # which also bounds the scratch folder, with the sources that it holds
LEAST_FREE = 2**30  # bytes of the disk that are left to votes
SETTLED = timedelta(hours=1)  # a day, or an hour, is finished when it has been over for so long
PERIODS = {"daily": "%Y%m%d", "hourly": "%Y%m%dT%H"}  # hub.compact: how much of a stamp says which period it is
FIRST_LOOK = 120.0  # seconds after the start, or up to FIRST_SPREAD later, so that replicas do not coincide
FIRST_SPREAD = 600


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What one run did."""

    commits: int = 0
    shards_before: int = 0  # those that were replaced
    shards_after: int = 0
    rows: int = 0
    squashed: bool = False


@dataclass(frozen=True, slots=True)
class CompactStatus:
    """For the page and the command line: the last run of this process. Times are in milliseconds."""

    last_run_at: int | None = None
    shards_before: int = 0  # those that it replaced
    shards_after: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Shards of one table that become one."""

    sources: tuple[Name, ...]
    size: int  # bytes


class Compactor:
    """`folder` is the local copy of the dataset, from which shards are taken that need no download. `period` is
    "daily" or "hourly". `may_commit` says whether the hour has a commit left, and takes it."""

    def __init__(self, files: HubFiles, folder: Path, *, replica: str, period: str = "daily", squash: bool,
                 clock: Callable[[], float], may_commit: Callable[[], bool]):  # fmt: skip
        self._files, self._folder, self._squash = files, folder, squash
        self._period = PERIODS[period]
        self._clock, self._may_commit = clock, may_commit
        self.first_look = FIRST_LOOK + int(hashlib.sha256(replica.encode()).hexdigest()[:8], 16) % FIRST_SPREAD
        self._scratch = folder / ".compacting"
        self._turn = threading.Lock()
        self.status = CompactStatus()

    def compact(self, *, today: bool = False, stopping: threading.Event | None = None) -> CompactReport:
        """Replace what can be replaced now; with `today`, shards of the unfinished period too, however few. Raises
        PublishError; then some commits may have been made, each complete."""
        import pyarrow as pa

        if not self._turn.acquire(blocking=False):
            raise PublishError("shards are being compacted already")
        told: str | None = "it ended unexpectedly"
        report = CompactReport()
        try:
            with self._alone():
                report, told = self._compact(today, stopping or threading.Event()), None
            return report
        except PublishError as error:
            told = str(error)
            raise
        except (OSError, pa.ArrowException) as error:
            told = without_secrets(str(error))
            raise PublishError(f"shards could not be compacted: {told}") from error
        finally:
            self.status = CompactStatus(int(self._clock() * 1000), report.shards_before, report.shards_after, told)
            self._turn.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process at a time compacts from this folder: `python -m arena compact` may run beside the app."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with open(self._folder / ".compacting.lock", "w") as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PublishError("shards are being compacted already") from None
            except (ImportError, OSError) as error:  # Windows, or a mount without locks
                log.debug("no lock on %s: %s", self._folder, error)
            try:
                yield
            finally:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def _compact(self, today: bool, stopping: threading.Event) -> CompactReport:
        from huggingface_hub.errors import RepositoryNotFoundError

        commits = before = after = rows = 0
        with self._files.asking():
            try:
                head = self._files.head()
            except RepositoryNotFoundError:  # nothing was published yet
                return CompactReport()
            listed = self._files.files("data", head)
        limit = "9999" if today else f"{datetime.fromtimestamp(self._clock(), UTC) - SETTLED:{self._period}}"
        groups = [group for table in TABLES for group in plan(table, listed, limit, few=1 if today else FEW_SMALL)]
        for batch in _batches(groups):
            if stopping.is_set():
                break
            done = self._replace(batch, listed, head, stopping)
            if done is None:
                break
            sources, made, made_rows = done
            commits, before, after, rows = commits + bool(made), before + sources, after + made, rows + made_rows
        squash = bool(commits) and self._squash
        if squash:
            self._files.squash()
        if commits:
            log.info("compacted %d shards of %d rows into %d", before, rows, after)
        return CompactReport(commits, before, after, rows, squash)

    def _replace(self, groups: Sequence[Group], listed: Mapping[str, Held], head: str,
                 stopping: threading.Event) -> tuple[int, int, int] | None:  # fmt: skip
        """One commit; (shards replaced, shards made, rows), or None where nothing more should be tried now."""
        added: dict[str, Path | bytes] = {}
        deleted: list[str] = []
        rows = 0
        if shutil.disk_usage(self._folder).free < 2 * sum(group.size for group in groups) + LEAST_FREE:
            raise PublishError("the disk is too full to compact shards; they stay as they are")
        for group in groups:
            if stopping.is_set():
                return None
            made = self._merge(group, listed, head)
            if made is not None:
                path, file, count, manifest, gone = made
                added[path], added[manifest_path(path)] = file, manifest
                deleted += gone
                rows += count
        try:
            if not added:
                return 0, 0, 0
            if not self._may_commit():
                log.info("not compacted: this hour's commits are used up")
                return None
            small = [path for path in deleted if path.startswith("data/")]
            message = f"Compact {len(small)} shards into {len(added) // 2}"
            if not self._files.replace(added, deleted, message):
                log.info("not compacted: another replica was quicker")
                return None
            return len(small), len(added) // 2, rows
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _merge(self, group: Group, listed: Mapping[str, Held], head: str):
        """(path, file, rows, manifest, what it replaces) of the large shard, or None where the group is better
        left alone."""
        import pyarrow as pa

        table = group.sources[0].table
        files = self._fetch([name.path for name in group.sources], listed, head)
        sources = [name for name in group.sources if fits(table, files[name.path])]
        if len(sources) < len(group.sources):
            log.info("%d shards of %s were written by a later version and stay as they are",
                     len(group.sources) - len(sources), table)  # fmt: skip
        if len(sources) < 2:
            return None
        target = self._scratch / f"{table}-{sources[0].first}-{len(sources)}.made"
        rows = merge(table, [files[name.path] for name in sources], target)
        pa.default_memory_pool().release_unused()  # to the machine, which needs it for models
        with open(target, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        paths = [name.path for name in sources]
        shards, manifests = [], []
        with self._files.asking():
            for name in sources:
                if name.large:
                    if known := self._files.sources(manifest_path(name.path), head):
                        manifests.append(manifest_path(name.path))
                        shards += known["shards"]
                else:
                    shards.append(name.path)
        manifest = dumps({"table": table, "rows": rows, "sources": paths, "shards": sorted(set(shards))}).encode()
        large = large_path(sources, rows, sha256)  # that of a source where the others held nothing new
        gone = [path for path in (*paths, *manifests) if path not in (large, manifest_path(large))]
        return large, target, rows, manifest, gone

    def _fetch(self, paths: Sequence[str], listed: Mapping[str, Held], head: str) -> dict[str, Path]:
        """Where each of these shards is on the disk, with the content that the Hub lists."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        here = {path: self._folder / path for path in paths if listed[path].is_at(self._folder / path)}
        away = [path for path in paths if path not in here]
        with self._files.asking():
            fetched = self._files.download(away, head, self._scratch) if away else []
        for path, file in zip(away, fetched, strict=True):
            if not listed[path].is_at(file):
                raise PublishError(f"{self._files.dataset}: {path} did not come as the Hub lists it")
        return here | dict(zip(away, fetched, strict=True))


def plan(table: str, listed: Mapping[str, Held], before: str, *, few: int = FEW_SMALL) -> list[Group]:
    """Which shards of `table` become one, of those that begin before the stamp `before`: small ones where there are
    more than `few` or may hold the same rows, with large ones that are not full where there are too many of those."""
    names = [name for path in sorted(listed) if (name := read_name(path)) and name.table == table]
    small = [name for name in names if not name.large and name.first < before]
    large = [name for name in names if name.large and name.rows < MOST_ROWS / 2
             and listed[name.path].size < MOST_BYTES / 2]  # fmt: skip
    if table in TWICE and len({name.replica for name in small}) > 1:
        few = 1
    again = [name for name in large if name.rows < FEW_PROMPTS] if table == "prompts" and small else []
    if len(small) <= few and not again:
        small = []
    if len(large) <= FEW_LARGE:
        large = again
    groups: list[Group] = []
    together: list[Name] = []
    rows = size = 0
    for name in sorted([*small, *large], key=lambda name: name.path):
        more = listed[name.path].size
        if together and (rows + name.rows > MOST_ROWS or size + more > MOST_BYTES
                         or len(together) >= SOURCES_A_COMMIT):  # fmt: skip
            groups.append(Group(tuple(together), size))
            together, rows, size = [], 0, 0
        together.append(name)
        rows, size = rows + name.rows, size + more
    groups.append(Group(tuple(together), size))
    return [group for group in groups if len(group.sources) > 1]


def _batches(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Groups that fit into one commit."""
    batch: list[Group] = []
    for group in groups:
        if batch and (sum(len(g.sources) for g in batch) + len(group.sources) > SOURCES_A_COMMIT
                      or sum(g.size for g in batch) + group.size > BYTES_A_COMMIT):  # fmt: skip
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch
