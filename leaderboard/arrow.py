"""Owns Arrow's text columns on their way to integer codes, without making Python text of what repeats seldom.

pyarrow's own way to numpy imports pandas (half a second), so numbers are taken from its buffers.
"""

from collections.abc import Sequence

import numpy as np

EMPTY = -1
FEW = 4096  # so many names are quicker as Python text
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, rounded to an odd number: spreads bits when multiplied


class Names(Sequence):
    """A pyarrow Array of n different, non-empty texts as a sequence of str; a text is made when it is asked for."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, at):
        return tuple(self.array[at].to_pylist()) if isinstance(at, slice) else self.array[int(at)].as_py()

    def __iter__(self):
        return iter(self.array.to_pylist())

    def __eq__(self, other):
        return len(self) == len(other) and tuple(self) == tuple(other)

    __hash__ = None

    def places(self, names):
        """int32 [n]: where each text stands in the list `names`, EMPTY where it does not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(self.array, value_set=pa.array(names, self.array.type))
        return numbers(found, np.int32, EMPTY)

    def ranks(self, codes):
        """int64 [m]: the alphabetical rank of each of these texts among them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        order = numbers(pc.sort_indices(self.array.take(pa.array(codes))), np.uint64, 0)
        ranks = np.empty(len(codes), np.int64)
        ranks[order] = np.arange(len(codes))
        return ranks


def in_one_piece(columns):
    """The same columns by name, each dictionary-encoded one of a single chunk and a single dictionary; what they were
    is given up column by column, so that no two copies of all stand side by side."""
    import pyarrow as pa

    found = {}
    for name in list(columns):
        column = columns.pop(name)
        if pa.types.is_dictionary(column.type):
            column = pa.chunked_array([_joined(column)])
        found[name] = column
    return found


def _joined(column):
    """A dictionary-encoded ChunkedArray as one array; no copy where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()


def as_text(column):
    """A ChunkedArray of any type as one of text, or of dictionary-encoded text."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return column if kind in (pa.string(), pa.large_string()) else column.cast(pa.string())


def coded(column):
    """A ChunkedArray of text (see as_text) -> (codes int32 [n], names): null and '' are EMPTY, the names are all different."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type == pa.string() and len(column) > FEW and column.nbytes < 2**31:
        whole = column.combine_chunks()
        if all_distinct(whole):
            return np.arange(len(whole), dtype=np.int32), Names(whole)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = _joined(column)
    distinct = array.dictionary.dictionary_encode()  # a dictionary may repeat itself, and hold null
    names, table = distinct.dictionary, numbers(distinct.indices, np.int32, EMPTY)
    lengths = numbers(pc.binary_length(names).cast(pa.int32()), np.int32, 1)  # a scalar "" would import pandas
    for empty in np.flatnonzero(lengths == 0).tolist():  # one at most
        table = np.where(table == empty, EMPTY, table - (table > empty)).astype(np.int32)
        names = pa.concat_arrays([names[:empty], names[empty + 1 :]])
    codes = numbers(array.indices.cast(pa.int32()), np.int32, EMPTY)
    names = Names(names) if len(names) > FEW else tuple(names.to_pylist())
    return recoded(codes, table), names


def recoded(codes, table, block=65_536):
    """int32 [n]: `table` (one entry a code) looked up for each code, EMPTY staying what it is; a block at a time, so
    that little memory is needed beside the result. The very same array where the table changes nothing."""
    if len(table) == 0 or (table == np.arange(len(table))).all():
        return codes
    table = np.append(table, table.dtype.type(EMPTY))
    found = np.empty(len(codes), table.dtype)
    for start in range(0, len(codes), block):
        part = slice(start, start + block)
        np.take(table, codes[part], out=found[part], mode="wrap")
    return found


def numbers(array, dtype, empty):
    """A pyarrow Array of fixed-width numbers -> numpy, with `empty` in its null cells."""
    import pyarrow as pa

    if not len(array):
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]
    if not array.null_count:
        return values
    null = array.is_null().cast(pa.uint8())
    mask = np.frombuffer(null.buffers()[1], np.uint8)[null.offset : null.offset + len(null)].astype(bool)
    return np.where(mask, empty, values).astype(dtype)


def all_distinct(array):
    """True where the texts of a pyarrow StringArray are proven to be all different: they have one length, and so
    have their 64-bit hashes no two alike. False says nothing. Far quicker than a dictionary of them."""
    if array.null_count or not len(array):
        return False
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    width = int(ends[1] - ends[0])
    if not width or (np.diff(ends) != width).any():
        return False
    cells = np.frombuffer(array.buffers()[2], np.uint8)[ends[0] : ends[-1]].reshape(len(array), width)
    if not _hashes_differ(cells[:FEW]):  # a column of few names shows it soon
        return False
    return _hashes_differ(cells)


def _hashes_differ(cells, block=16_384):
    hashes = np.empty(len(cells), np.uint64)
    words = -(-cells.shape[1] // 8)
    padded = np.zeros((min(block, len(cells)), words * 8), np.uint8)
    for start in range(0, len(cells), block):
        part = cells[start : start + block]
        padded[: len(part), : part.shape[1]] = part
        value = np.zeros(len(part), np.uint64)
        for word in padded[: len(part)].view(np.uint64).T:
            value = (value ^ word) * ODD
            value ^= value >> np.uint64(32)
        hashes[start : start + block] = value
    hashes.sort()
    return not (hashes[1:] == hashes[:-1]).any()
