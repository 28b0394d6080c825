"""The dataset on the Hub as it is read: what is there at one commit, and its files, whole or in part.

Every request has a timeout and is made once; whoever asks decides when to ask again. A whole file counts only with
the hash that the Hub lists for it.
"""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, Any
from urllib.parse import quote

from arena.errors import RestoreError
from arena.hub import HubTarget
from arena.hub_files import in_a_line
from arena.hub_waiting import told_to_wait
from arena.layout import manifest_path
from arena.records import TABLES

CONNECTIONS = 8  # downloads at once
AHEAD_BYTES = 64 * 2**20  # downloaded before they are asked for, at most
QUICK = 10.0  # seconds in which a Hub that is there says what its newest commit is
FOOTER = 64 * 1024  # bytes at the end of a Parquet file that are fetched first
HOLE = 16 * 1024  # bytes that nobody asked for, at most, rather than another request
SMALL = 2 * 2**20  # a file of up to so many bytes is fetched whole: that is quicker than to ask for its parts


@dataclass(frozen=True, slots=True)
class RemoteShard:
    path: str
    table: str
    size: int
    sha256: str  # of the content; "" where the Hub keeps it as a git blob,
    blob_id: str  # which has this SHA-1


class HubReader:
    """Needs no network until it is asked for something. All methods raise RestoreError."""

    def __init__(self, target: HubTarget):
        self.dataset = target.dataset
        self._target = target

    def head(self) -> str | None:
        """The newest commit, or None where there is no such dataset (or this token may not see it)."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            url = f"/api/datasets/{self.dataset}/revision/main"
            return self._get(url, params={"expand": "sha"}, longest=QUICK).json()["sha"]
        except RestoreError as error:
            if isinstance(error.__cause__, RepositoryNotFoundError):
                return None
            raise

    def shards(self, commit: str) -> list[RemoteShard]:
        """Every Parquet file of a published table, by its path, which begins with its time."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        url: str | None = f"/api/datasets/{self.dataset}/tree/{commit}/data"
        params: dict[str, Any] | None = {"recursive": "true", "expand": "false"}
        found = []
        while url:
            try:
                answer = self._get(url, params=params)
            except RestoreError as error:
                if isinstance(error.__cause__, RemoteEntryNotFoundError):
                    return []
                raise
            for entry in answer.json():
                table = entry["path"].split("/")[1]
                if entry["type"] == "file" and entry["path"].endswith(".parquet") and table in TABLES:
                    sha256 = (entry.get("lfs") or {}).get("oid", "")
                    found.append(RemoteShard(entry["path"], table, entry["size"], sha256, entry["oid"]))
            url, params = answer.links.get("next", {}).get("url"), None  # which has them already
        return sorted(found, key=lambda shard: shard.path)

    def read(self, shard: RemoteShard, commit: str) -> bytes:
        """A whole shard, with the content that the Hub lists."""
        data = self._get(self._place(shard, commit)).content
        if shard.sha256:
            whole = hashlib.sha256(data).hexdigest() == shard.sha256
        else:
            whole = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == shard.blob_id
        if not whole:
            raise RestoreError(f"{self.dataset}: {shard.path} did not come as the Hub lists it")
        return data

    def parts_of(self, large: str, commit: str) -> dict[str, list[str]]:
        """What the large shard at the path `large` was made from (`arena.layout`); {} where nobody says."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        try:
            return self._get(f"/datasets/{self.dataset}/resolve/{commit}/{quote(manifest_path(large))}").json()
        except RestoreError as error:
            if isinstance(error.__cause__, RemoteEntryNotFoundError):
                return {}
            raise

    def read_all(self, shards: Iterable[RemoteShard], commit: str) -> Iterator[tuple[RemoteShard, bytes]]:
        """Whole shards in order, a few downloaded ahead."""
        left, coming, ahead = deque(shards), deque[tuple[RemoteShard, Future[bytes]]](), 0
        pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="restore")
        try:
            while left or coming:
                while left and len(coming) < 2 * CONNECTIONS and (not coming or ahead + left[0].size <= AHEAD_BYTES):
                    shard = left.popleft()
                    ahead += shard.size
                    coming.append((shard, pool.submit(self.read, shard, commit)))
                shard, data = coming.popleft()
                yield shard, data.result()
                ahead -= shard.size
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def open(self, shard: RemoteShard, commit: str, columns: Sequence[str], row_group: int | None = None) -> IO[bytes]:
        """A shard as a file, of which these columns (of this row group) are fetched, and little else."""
        if shard.size <= SMALL:
            return io.BytesIO(self.read(shard, commit))
        import pyarrow.parquet as pq

        file = _Parts(shard.size, partial(self._part, self._place(shard, commit)))
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="restore") as pool:
            file.fetch([(shard.size - FOOTER, shard.size)], pool)
            about = pq.read_metadata(file)
            groups = range(about.num_row_groups) if row_group is None else [row_group]
            file.fetch(_ranges([about.row_group(i) for i in groups], columns), pool)
        return file

    def _part(self, url: str, start: int, end: int) -> bytes:
        answer = self._get(url, part=f"bytes={start}-{end - 1}")
        data = answer.content if answer.status_code == 206 else answer.content[start:end]
        if len(data) != end - start:
            raise RestoreError(f"{self.dataset}: {url} came shorter than the Hub lists it")
        return data

    def _place(self, shard: RemoteShard, commit: str) -> str:
        return f"/datasets/{self.dataset}/resolve/{commit}/{quote(shard.path)}"

    def _get(self, url: str, *, params: dict[str, Any] | None = None, part: str = "", longest: float = 3600) -> Any:
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

        if url.startswith("/"):
            url = (self._target.endpoint or constants.ENDPOINT).rstrip("/") + url
        headers = build_hf_headers(token=self._target.token, library_name="image-arena")
        wait = min(self._target.timeout, longest)
        try:
            answer = get_session().get(url, params=params, headers={**headers, **({"Range": part} if part else {})},
                                       timeout=(min(10.0, wait), wait, wait, wait))  # fmt: skip
            hf_raise_for_status(answer)
        except Exception as error:  # huggingface_hub and its HTTP client raise many kinds
            raise RestoreError(f"{self.dataset}: {in_a_line(error)}", told_to_wait(error)) from error
        return answer


def _ranges(groups: Iterable[Any], columns: Sequence[str]) -> list[tuple[int, int]]:
    """Where in a Parquet file these columns of these row groups are: [start, end) in bytes, near ones as one."""
    found: list[tuple[int, int]] = []
    for group in groups:
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in columns:
                start = column.dictionary_page_offset or column.data_page_offset
                end = start + column.total_compressed_size
                if found and start - found[-1][1] <= HOLE:
                    start = found.pop()[0]
                found.append((start, end))
    return found


class _Parts(io.RawIOBase):
    """A file on the Hub, some parts of which are here. Whatever else is read is fetched for it."""

    def __init__(self, size: int, part: Callable[[int, int], bytes]):
        self._size, self._part, self._at = size, part, 0
        self._here: list[tuple[int, bytes]] = []  # (start, content)

    def fetch(self, ranges: Iterable[tuple[int, int]], pool: ThreadPoolExecutor) -> None:
        wanted = list(ranges)
        found = pool.map(lambda place: self._part(*place), wanted)
        self._here += zip((start for start, _ in wanted), found, strict=True)
        self._here.sort()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        start, end = self._at, min(self._at + len(buffer), self._size)
        if start >= end:
            return 0
        at = bisect_right(self._here, start, key=lambda part: part[0]) - 1
        first, data = self._here[at] if at >= 0 else (0, b"")
        if end > first + len(data):
            first, data = start, self._part(start, end)
        buffer[: end - start] = data[start - first : end - first]
        self._at = end
        return end - start
