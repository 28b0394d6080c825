"""Owns Parquet files of one table: which columns they have, what these weigh, and reading only those that are wanted."""

from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from leaderboard import errors
from leaderboard.arrow import in_one_piece


class Shards:
    """Files of one table (paths, or open files) and their footers, which are read once.

    Nested columns have names such as `a.b`. Raises errors.Unreadable for what is no Parquet file.
    """

    def __init__(self, files, footers=None):
        self.files = list(files)
        self.footers = footers or [_footer(file) for file in self.files]

    def names(self):
        """The columns of all files, as a set of names."""
        return {name for footer in self.footers for name in _column_names(footer.schema.to_arrow_schema())}

    def size(self, wanted):
        """How many bytes the wanted columns take in the files."""
        return sum(
            chunk.total_compressed_size
            for chunk in _chunks(self.footers)
            if any(f"{chunk.path_in_schema}.".startswith(f"{name}.") for name in wanted)
        )

    def columns(self, wanted):
        """The wanted columns of all files, joined, by name; text that repeats stays a dictionary."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables, repeating = [], _repeating(self.footers, wanted)
        for file, footer in zip(self.files, self.footers, strict=True):
            far = not isinstance(file, Path)  # neighbouring columns in one request, not one each
            with _readable(file), pq.ParquetFile(
                file, metadata=footer, read_dictionary=repeating, pre_buffer=far
            ) as parquet:  # fmt: skip
                names = [name for name in _column_names(parquet.schema_arrow) if name in wanted]
                if twice := sorted({name for name in names if names.count(name) > 1}):
                    raise errors.Unreadable(f"{_name(file)}: the column {', '.join(twice)} is there more than once")
                tables.append(parquet.read(columns=names))
        try:
            table = pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException as error:
            raise errors.Unreadable(
                f"{_name(self.files[0])} and its neighbours disagree ({_one_line(error)})"
            ) from error
        columns = {name: table[name] for name in table.column_names}
        del table
        tables.clear()
        return in_one_piece(columns)


def _footer(file):
    import pyarrow.parquet as pq

    with _readable(file), pq.ParquetFile(file) as parquet:
        return parquet.metadata


@contextmanager
def _readable(file):
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and not isinstance(file, Path):
            raise  # the network's, not the file's
        raise errors.Unreadable(f"{_name(file)}: not a readable Parquet file ({_one_line(error)})") from error


def _name(file):
    return str(getattr(file, "path", file))


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _column_names(schema):
    import pyarrow as pa

    found = []
    for part in schema:
        if pa.types.is_struct(part.type):
            inner = _column_names([part.type.field(at) for at in range(part.type.num_fields)])
            found += [f"{part.name}.{name}" for name in inner]
        else:
            found.append(part.name)
    return found


def _chunks(footers):
    for footer in footers:
        for group in range(footer.num_row_groups):
            row_group = footer.row_group(group)
            for at in range(row_group.num_columns):
                yield row_group.column(at)


def _repeating(footers, wanted):
    """The wanted columns whose cells take so few bytes that they must be numbers of a dictionary.

    The dictionary page of a column chunk has at most a megabyte by default; where it is full, the cells follow as they
    are, and to look each of them up costs more than to copy them.
    """
    bytes_of, cells_of = Counter(), Counter()
    for chunk in _chunks(footers):
        if chunk.path_in_schema in wanted and chunk.physical_type == "BYTE_ARRAY":
            bytes_of[chunk.path_in_schema] += chunk.total_uncompressed_size
            cells_of[chunk.path_in_schema] += chunk.num_values
    return [name for name, size in bytes_of.items() if size <= 8 * cells_of[name]]
