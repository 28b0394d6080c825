"""Many small Parquet shards of one table made into one large one, in bounded memory.

The same shards make the same bytes. Rows are sorted by time; a row that is there twice, such as a curated prompt that
two replicas published, is kept once. Only what is needed next is read, a row group at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arena.shards import IMAGE_BYTES, ROW_GROUP, ROWS_OTHERWISE, described_schema, written

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

KEYS = {"votes": ["vote_id"], "images": ["image_id"], "feedback": ["feedback_id"], "prompts": ["prompt_id"],
        "exclusions": ["vote_id", "reason", "created_at"]}  # fmt: skip
READ_BYTES = 256 * 2**20  # of row groups kept while others are read
STEP = {"images": 8}  # rows taken at a time, else as many as a row group has


def fits(table: str, path: Path) -> bool:
    """Whether all columns of a shard are of this version: what a later one wrote is left to it."""
    import pyarrow.parquet as pq

    ours = described_schema(table)
    return all(field.name in ours.names and ours.field(field.name).type == field.type
               for field in pq.read_schema(path)) and {"created_at", *KEYS[table]} <= set(pq.read_schema(path).names)  # fmt: skip


def merge(table: str, sources: Sequence[Path], target: Path) -> int:
    """Write the rows of `sources`, which must all fit, to `target`; how many there are. Columns that a source does
    not have yet are null in its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = _Parts(table, sources)
    order = parts.order()
    most, step = ROW_GROUP.get(table, ROWS_OTHERWISE), STEP.get(table, ROWS_OTHERWISE)
    with pq.ParquetWriter(target, parts.schema, **written(parts.schema)) as writer:
        held: list[pa.Table] = []

        def flush() -> None:
            if held:
                group = pa.concat_tables(held).combine_chunks()
                writer.write_table(group, row_group_size=len(group))
                held.clear()

        for start in range(0, len(order), step):
            taken = parts.take(order[start : start + step])
            large = table == "images" and taken.nbytes > IMAGE_BYTES
            for piece in (taken.slice(k, 1) for k in range(len(taken))) if large else [taken]:
                if held and (sum(map(len, held)) + len(piece) > most
                             or sum(part.nbytes for part in held) + piece.nbytes > IMAGE_BYTES):  # fmt: skip
                    flush()
                held.append(piece)
        flush()
    return len(order)


class _Parts:
    """The row groups of several shards as one table with numbered rows."""

    def __init__(self, table: str, sources: Sequence[Path]):
        self.schema = described_schema(table)
        self._table = table
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self._where = []  # (file, row group) of each part
        self._starts = [0]  # number of each part's first row, and of all rows at the end
        import pyarrow.parquet as pq

        for source in sources:
            footer = pq.read_metadata(source)
            for group in range(footer.num_row_groups):
                self._where.append((source, group))
                self._starts.append(self._starts[-1] + footer.row_group(group).num_rows)

    def order(self) -> np.ndarray:
        """The numbers of all rows, oldest first, each row once."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = list(dict.fromkeys(["created_at", *KEYS[self._table]]))
        parts = [self._read(part, columns) for part in range(len(self._where))]
        rows = pa.concat_tables(parts).combine_chunks()
        order = np.argsort(rows["created_at"].cast(pa.int64()).to_numpy(), kind="stable")
        key = rows[KEYS[self._table][0]]
        for column in KEYS[self._table][1:]:
            key = pc.binary_join_element_wise(key, rows[column].cast(pa.string()), "\x1f")
        codes = pc.dictionary_encode(key).combine_chunks().indices.to_numpy(zero_copy_only=False)
        _, first = np.unique(codes[order], return_index=True)
        return order[np.sort(first)]

    def take(self, numbers: np.ndarray) -> pa.Table:
        """These rows, in this order."""
        import numpy as np
        import pyarrow as pa

        part_of = np.searchsorted(self._starts, numbers, side="right") - 1
        by_part = np.argsort(part_of, kind="stable")
        wanted, begins = np.unique(part_of[by_part], return_index=True)
        taken = []
        for part, places in zip(wanted, np.split(by_part, begins[1:]), strict=True):
            taken.append(self._part(int(part)).take(numbers[places] - self._starts[part]))
        return pa.concat_tables(taken).combine_chunks().take(np.argsort(by_part, kind="stable"))

    def _part(self, part: int) -> pa.Table:
        if part not in self._kept:
            self._kept[part] = self._read(part, None)
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > READ_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(part)
        return self._kept[part]

    def _read(self, part: int, columns: list[str] | None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        source, group = self._where[part]
        with pq.ParquetFile(source) as file:
            found = file.read_row_group(group, columns=columns)
        fields = [field for field in self.schema if columns is None or field.name in columns]
        return pa.table([found[field.name] if field.name in found.column_names else pa.nulls(len(found), field.type)
                         for field in fields], schema=pa.schema(fields, self.schema.metadata))  # fmt: skip
