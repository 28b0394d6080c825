"""How much memory a board of a Parquet file takes, in a process of its own: prints one line of JSON, in bytes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import _one_thread

_one_thread.hold_arrow()
sys.path.insert(0, str(Path(__file__).parents[1]))


def resident(kind: str) -> int:
    """VmHWM (the most so far) or VmRSS (now) of this process; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{kind}:"))


def main(path: str, small: str) -> None:
    import pyarrow.parquet as pq

    from leaderboard.board import build
    from leaderboard.votes import read_votes

    build(read_votes(small))  # everything is imported and warm
    columns = pq.read_table(path, read_dictionary=["model_a", "model_b", "winner", "category"])
    size = columns.nbytes
    del columns
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")  # the most so far begins anew
    before = resident("VmRSS")
    board = build(read_votes(path))
    print(json.dumps({"columns": size, "grew": resident("VmHWM") - before, "votes": board.source.counted}))


if __name__ == "__main__":
    main(*sys.argv[1:])
