"""The way back: what the dataset has and this disk lacks, taken into ledger and bank.

On an empty disk that is everything, so that leaderboard, bank and one vote a voter go on where they were; later it is
what other replicas published since. A round lists the dataset at one commit and takes in the shards that are not
read yet: prompts, rows of images and votes, then exclusions. The pictures follow, those first that can be served now.
Whatever fails, or is cut short, is tried again; nothing that came this way is ever published again (`arena.intake`).
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arena import intake
from arena.bank import Bank
from arena.errors import ArenaError, ImageRejected, RestoreError
from arena.hub import HubTarget
from arena.hub_reader import HubReader, RemoteShard
from arena.intake import Awaited
from arena.layout import read_name
from arena.ledger import Ledger
from arena.logs import without_secrets
from arena.records import TABLES
from arena.tables import kept_columns

if TYPE_CHECKING:
    import pyarrow as pa

    Piece = tuple[RemoteShard, pa.Table, int]  # rows of a shard, and the row group that they are in

log = logging.getLogger(__name__)

ORDER = tuple(dict.fromkeys(("prompts", "images", *TABLES)))  # prompts before what names them, exclusions last
ROWS_AT_ONCE = 2000  # rows of a transaction: no vote waits longer than it takes
FIRST_RETRY = 5.0  # seconds after a failure; twice as many after each further one
LEAST_FREE = 2 * 2**30  # bytes of the disk that pictures leave to votes
MOST_UNREAD = 5  # tries of `know` at a dataset that is there and can't be read


@dataclass(frozen=True, slots=True)
class RestoreStatus:
    """For the page and the command line. Rows are those that this process took in; times are in milliseconds."""

    dataset: str | None  # None: there is nothing to read
    rows: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    pictures_awaited: int = 0
    left_out: int = 0  # rows that say nothing, or hold an outcome that is none of ours
    unreadable: tuple[str, ...] = ()  # shards that are no Parquet files of ours
    last_read_at: int | None = None  # when everything that was there had been taken in
    last_error: str | None = None  # of the last try


class NoDataset:
    """Stands in where no dataset is configured: there is nothing to wait for."""

    settled = True
    heard = arrived = needed = None  # there is nobody to tell

    def start(self, then: Callable[[], None]) -> None:
        then()

    def know(self) -> None:
        pass

    def status(self) -> RestoreStatus:
        return RestoreStatus(None)

    def close(self) -> None:
        pass


class Restorer:
    """Reads `target` every `every_seconds` once it is started. `heard(table)` is told when rows of a table came,
    `arrived(pictures)` which pictures came or never will, and `needed(picture)` says whether one could be served
    now; all three are called from the restorer's thread."""

    def __init__(self, ledger: Ledger, bank: Bank, target: HubTarget, *, every_seconds: float):
        self.heard: Callable[[str], None] = lambda table: None
        self.arrived: Callable[[list[Awaited]], None] = lambda pictures: None
        self.needed: Callable[[Awaited], bool] = lambda picture: True
        self._ledger, self._bank, self._every = ledger, bank, every_seconds
        self._hub = HubReader(target)
        self._shards: dict[str, RemoteShard] = {}  # of the commit `_head`, by path
        self._head: str | None = None
        self._done: str | None = None  # the commit of which everything was taken in
        self._turn = threading.Lock()  # one round at a time
        self._answered, self._unread = False, 0  # whether the Hub told its head in this round; tries of `know` since
        self._stopping, self._first = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._rows: Counter[str] = Counter()
        self._pictures, self._left_out, self._failures = 0, 0, 0
        self._unreadable: dict[str, str] = {}
        self._last_read: int | None = None
        self._last_error: str | None = None

    def start(self, then: Callable[[], None]) -> None:
        """Read from now on. `then` is called after the first round, whether or not the Hub was there: what makes
        new rows for the dataset should know first what it holds."""
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, args=(then,), name="restore", daemon=True)
            self._thread.start()

    @property
    def settled(self) -> bool:
        """False while the first round is under way."""
        return self._thread is None or self._first.is_set()

    def read_now(self, *, pictures: bool = True) -> RestoreStatus:
        """One round, here and now, and then every picture. Raises RestoreError; what was taken in is kept."""
        self._round()
        if pictures:
            self._fetch_pictures(None)
        return self.status()

    def know(self) -> None:
        """One round on a dataset that exists, unless there was one before. Raises RestoreError. A dataset of which a part
        can't be read for good must not keep votes from it for ever: after MOST_UNREAD tries this is content."""
        if self._done is not None:
            return
        try:
            self._round()
            if self._done is None:
                raise RestoreError(f"{self._hub.dataset}: the Hub does not show it")
        except RestoreError as error:
            self._unread += self._answered
            if self._unread < MOST_UNREAD:
                raise
            log.warning("published though not everything could be read: %s", error)

    def close(self, timeout: float = 1) -> None:
        """Begin nothing new; a request that is under way ends in a thread that nobody waits for."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def status(self) -> RestoreStatus:
        return RestoreStatus(self._hub.dataset, dict(self._rows), self._pictures, intake.count_awaited(self._ledger),
                             self._left_out, tuple(self._unreadable), self._last_read, self._last_error)  # fmt: skip

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self, then: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            due = time.monotonic() + self._every
            try:
                self._round()
                self._begin(then)
                self._fetch_pictures(due)
                self._failures, self._last_error = 0, None
            except _Stopped:
                return
            except Exception as error:
                self._begin(then)
                due = time.monotonic() + self._failed(error)
            self._stopping.wait(max(0.0, due - time.monotonic()))

    def _begin(self, then: Callable[[], None]) -> None:
        if not self._first.is_set():
            self._first.set()
            then()

    def _failed(self, error: Exception) -> float:
        """Seconds until the next try."""
        if isinstance(error, ArenaError):
            log.warning("not restored: %s", error)
        else:
            log.error("the dataset could not be taken in", exc_info=error)
        self._last_error = without_secrets(str(error)) or type(error).__name__
        wait = min(self._every, FIRST_RETRY * 2**self._failures)
        self._failures = min(self._failures + 1, 20)
        return max(wait, getattr(error, "retry_after", 0.0))

    # -- rows ----------------------------------------------------------------------------------------------

    def _round(self) -> None:
        with self._turn:
            self._answered = False
            head = self._hub.head()
            self._answered = True
            if head is not None and head != self._done:
                self._shards = {shard.path: shard for shard in self._hub.shards(head)}
                self._head = head
                self._take_in(head)
                gone = [p.image_id for p in intake.awaited(self._ledger) if p.path not in self._shards]
                if gone:
                    intake.forget_awaited(self._ledger, gone)
                self._done = head
            self._last_read = self._ledger.now()

    def _take_in(self, commit: str) -> None:
        new = intake.unread(self._ledger, self._shards) - self._unreadable.keys()
        new -= self._known_inside(new, commit)
        for table in ORDER:
            shards = [shard for path, shard in self._shards.items() if shard.table == table and path in new]
            if table == "images":
                opened = ((shard, self._hub.open(shard, commit, list(kept_columns(table)))) for shard in shards)
            else:
                opened = self._hub.read_all(shards, commit)
            self._take_shards(table, opened)
            if shards and table != "votes":
                self.heard(table)

    def _known_inside(self, new: set[str], commit: str) -> set[str]:
        """Large shards among `new` with rows alone that are here already, in the shards that they were made from."""
        large = sorted(path for path in new if (name := read_name(path)) and name.large)
        if not large or not intake.has_read(self._ledger):
            return set()
        awaited = {picture.path for picture in intake.awaited(self._ledger)}
        known = set()
        for path in large:
            parts = self._hub.parts_of(path, commit)
            lists = [parts.get(kind, ()) for kind in ("sources", "shards")]
            here = any(paths and not intake.unread(self._ledger, paths) for paths in lists)
            if here and not any(awaited.intersection(paths) for paths in lists):  # those pictures are in it now
                known.add(path)
        for table in {path.split("/")[1] for path in known}:
            intake.take(self._ledger, table, (), ends=[path for path in known if path.split("/")[1] == table])
        return known

    def _take_shards(self, table: str, opened: Iterable[tuple[RemoteShard, Any]]) -> None:
        """Small shards share a transaction, and large ones take several."""
        pieces: list[Piece] = []
        ended: list[str] = []

        def keep() -> None:
            if not (pieces or ended):
                return
            pictures: list[Awaited] = []
            rows = self._rows_of(table, pieces, pictures)
            ends = [path for path in ended if path not in self._unreadable]
            new = intake.take(self._ledger, table, rows, ends=ends, pictures=pictures)
            self._rows[table] += new
            pieces.clear(), ended.clear()
            if new and table == "votes":  # little by little, so that nobody's vote waits for all of them
                self.heard(table)

        try:
            for shard, source in opened:
                for piece in self._pieces(shard, source):
                    pieces.append(piece)
                    if sum(part.num_rows for _, part, _ in pieces) >= ROWS_AT_ONCE:
                        keep()
                ended.append(shard.path)
        except (RestoreError, _Stopped):
            keep()
            raise
        keep()

    def _pieces(self, shard: RemoteShard, source: Any) -> Iterator[Piece]:
        import pyarrow as pa

        try:
            for part, row_group in _parts(source, shard.table):
                if self._stopping.is_set() and threading.current_thread() is self._thread:  # others wait for it
                    raise _Stopped
                yield shard, part, row_group
        except pa.ArrowException as error:
            self._cannot_read(shard, error)

    def _rows_of(self, table: str, pieces: Sequence[Piece], pictures: list[Awaited]) -> list[intake.Values]:
        """What the ledger keeps of these; which `pictures` the bank lacks for them is added."""
        import pyarrow as pa

        if table != "images" and len(pieces) > 1:  # one conversion is as quick as each of them
            try:
                together = pa.concat_tables([part for _, part, _ in pieces])
                rows = intake.rows_of(table, together)
                self._left_out += together.num_rows - len(rows)
                return rows
            except pa.ArrowException:  # they differ, or one of them is none of ours
                pass
        rows = []
        for shard, part, row_group in pieces:
            try:
                found = intake.rows_of(table, part)
            except pa.ArrowException as error:
                self._cannot_read(shard, error)
                continue
            self._left_out += part.num_rows - len(found)
            rows += found
            if table == "images":
                pictures += self._lacking(shard, found, row_group)
        return rows

    def _cannot_read(self, shard: RemoteShard, error: Exception) -> None:
        log.warning("%s of %s cannot be read: %s", shard.path, self._hub.dataset, error)
        self._unreadable[shard.path] = str(error)

    def _lacking(self, shard: RemoteShard, rows: Iterable[intake.Values], row_group: int) -> Iterator[Awaited]:
        place = list(kept_columns("images")).index("image_id")
        for row in rows:
            if not self._bank.has(row[place]):
                yield Awaited(row[place], shard.path, row_group)

    # -- pictures ------------------------------------------------------------------------------------------

    def _fetch_pictures(self, due: float | None) -> None:
        """Until all are here, or the next round is `due` (in time.monotonic)."""
        with self._turn:
            while waiting := intake.awaited(self._ledger):
                if self._stopping.is_set():
                    raise _Stopped
                if due is not None and time.monotonic() >= due:
                    return
                first = next(filter(self.needed, waiting), waiting[0])
                if shutil.disk_usage(self._ledger.path.parent).free < LEAST_FREE:
                    raise RestoreError(f"{len(waiting)} pictures stay on the Hub: the disk is nearly full")
                shard = self._shards.get(first.path)
                if shard is None:  # an earlier process listed it: the next round knows where it is now
                    self._done = None
                    raise RestoreError(f"{first.path} is not there any more")
                together = [p for p in waiting if (p.path, p.row_group) == (first.path, first.row_group)]
                self._fetch(shard, first.row_group, {p.image_id: p for p in together})

    def _fetch(self, shard: RemoteShard, row_group: int, wanted: dict[str, Awaited]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            columns = ["image_id", "image.bytes"]
            with pq.ParquetFile(self._hub.open(shard, self._head, columns, row_group)) as file:
                part = file.read_row_group(row_group, columns=columns)
            for image_id, picture in zip(part["image_id"].to_pylist(), part["image"].to_pylist(), strict=True):
                if image_id in wanted and picture and picture["bytes"]:
                    try:
                        self._bank.put(image_id, picture["bytes"])
                        self._pictures += 1
                    except ImageRejected as error:
                        log.warning("image %s of %s is left out: %s", image_id, shard.path, error)
        except (pa.ArrowException, KeyError, IndexError) as error:
            log.warning("pictures of %s cannot be read: %s", shard.path, error)
        # What did not come now never will: it was published without its picture, or is damaged.
        intake.forget_awaited(self._ledger, wanted)
        self.arrived(list(wanted.values()))


class _Stopped(Exception):
    """The arena closes; the next start goes on."""


def _parts(source: Any, table: str) -> Iterator[tuple[pa.Table, int]]:
    """(rows, their row group) of a shard, piece by piece."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = kept_columns(table)
    with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
        columns = [c for c in file.schema_arrow.names if c in wanted]
        for row_group in range(file.num_row_groups):
            # On one thread: quicker for small shards, and voters have the other cores.
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[row_group], columns=columns, use_threads=False):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(), row_group
