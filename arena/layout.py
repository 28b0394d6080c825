"""Where things are in the published dataset: the paths of shards, large shards and what those were made from.

data/votes/2026-09-10/20260910T002640-ab12cdef-7-9-ffffffff.parquet                    a shard of one replica
data/votes/2026-09-10/20260910T002640-20260911T101500-compact-1000-ffffffff.parquet    a large one of 1000 rows
compacted/votes/2026-09-10/20260910T002640-20260911T101500-compact-1000-ffffffff.json  the shards inside of it

Names begin with the time of the first row, so paths sort by time; a folder a day keeps folders far below the
Hub's 10,000 files; the hash at the end keeps two deployments of one name from ever writing the same path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_SHARD = re.compile(r"data/(\w+)/[\d-]+/(\d{8}T\d{6})-([\w.]+)-(\d+)-(\d+)-[0-9a-f]{8}\.parquet")
_LARGE = re.compile(r"(?:data|compacted)/(\w+)/[\d-]+/(\d{8}T\d{6})-(\d{8}T\d{6})-compact-(\d+)-[0-9a-f]{8}\.\w+")


@dataclass(frozen=True, slots=True)
class Name:
    """What a shard's path says. Stamps are UTC, as in 20260910T002640."""

    path: str
    table: str
    first: str  # stamp of the first row
    last: str  # stamp of the last row of a large shard; otherwise the same as `first`
    rows: int  # at most
    large: bool
    replica: str = ""  # that sealed it; of a small one

    @property
    def day(self) -> str:
        """The day of its first row, as in 2026-09-10."""
        return f"{self.first[:4]}-{self.first[4:6]}-{self.first[6:8]}"


def read_name(path: str) -> Name | None:
    """None for a path that no version of ours has made."""
    if found := _LARGE.fullmatch(path):
        table, first, last, rows = found.groups()
        return Name(path, table, first, last, int(rows), True)
    if found := _SHARD.fullmatch(path):
        table, first, replica, low, high = found.groups()
        return Name(path, table, first, first, int(high) - int(low) + 1, False, replica)
    return None


def shard_path(table: str, replica: str, first: tuple[int, dict[str, Any]], last_seq: int, sha256: str) -> str:
    """Where the shard of the rows from `first` (its seq, the row) to `last_seq` is in the dataset."""
    seq, row = first
    when = datetime.fromtimestamp(row["created_at"] / 1000, UTC)
    name = f"{when:%Y%m%dT%H%M%S}-{replica}-{seq}-{last_seq}-{sha256[:8]}.parquet"
    return f"data/{table}/{when:%Y-%m-%d}/{name}"


def large_path(sources: Iterable[Name], rows: int, sha256: str) -> str:
    """Where the large shard made of `sources` is, which are at least one."""
    sources = list(sources)
    first, last = min(sources, key=lambda name: name.first), max(name.last for name in sources)
    return f"data/{first.table}/{first.day}/{first.first}-{last}-compact-{rows}-{sha256[:8]}.parquet"


def manifest_path(large: str) -> str:
    """Where the large shard's list of sources is."""
    return large.replace("data/", "compacted/", 1).removesuffix(".parquet") + ".json"


def may_hold(manifest: str, shard: str) -> bool:
    """Whether the large shard of `manifest` may have `shard` inside, judged by their paths."""
    large, small = read_name(manifest), read_name(shard)
    return bool(large and small and large.table == small.table and large.first <= small.first <= large.last)
