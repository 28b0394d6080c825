"""Owns the command line: `python -m leaderboard SOURCE` prints the standings of any source of votes.

Exit 0, or 2 with one line on stderr. It imports neither gradio nor plotly, torch or diffusers.
"""

import argparse
import json
import sys

from leaderboard import errors
from leaderboard.board import DEFAULT_METHOD, build
from leaderboard.columns import plural
from leaderboard.ratings import METHODS
from leaderboard.votes import GROUPINGS, MAIN_MODE, read_votes


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments=None):
    """Run the command line; its exit status."""
    parser = _Parser(prog="python -m leaderboard", description="Standings from votes.")
    parser.add_argument(
        "source", metavar="SOURCE", help="a .parquet, .csv, .jsonl or .sqlite file, a folder, or user/name on the Hub"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="table")
    parser.add_argument("--method", choices=tuple(METHODS), default=DEFAULT_METHOD)
    parser.add_argument("--by", choices=GROUPINGS, default="category", help="what the votes are grouped by")
    parser.add_argument("--mode", default=MAIN_MODE, help="the mode of the votes that count (default anonymous)")
    parser.add_argument("--seed", type=int, default=0, help="of the joint draws behind the rank bounds")
    options = parser.parse_args(arguments)
    try:
        if options.seed < 0:
            raise errors.UnknownChoice(f"--seed must not be negative, but is {options.seed}")
        board = build(read_votes(options.source, options.mode), options.method, options.seed, options.by)
    except errors.LeaderboardError as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    try:
        FORMATS[options.format](board, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
    return 0


def write_json(board, out):
    """The contract's one object."""
    json.dump(board.to_json(), out, ensure_ascii=False, allow_nan=False, indent=1)
    out.write("\n")


def write_csv(board, out):
    """The standings alone, one row a model, a missing number as an empty cell."""
    out.write(board.to_csv())


def write_table(board, out):
    """Text for a person: the source, the standings, each group, the notes."""
    source = board.source
    print(
        f"{plural(source.counted, 'vote counts', 'votes count')} of {source.votes:,}; "
        f"{plural(source.models, 'model', 'models')}, {plural(source.voters, 'voter', 'voters')}; {board.method}"
        + (f"; last vote {source.last}" if source.last else "")
        + (f"; revision {source.revision}" if source.revision else ""),
        file=out,
    )
    _rows(board.standings, out)
    for name, group in board.groups.items():
        print(f"\n{name}: {plural(group.votes, 'vote', 'votes')}, {group.verdict}", file=out)
        _rows(group.standings, out)
    print("", *(f"- {note}" for note in board.notes), sep="\n", file=out)


def _rows(standings, out):
    if not standings:
        return
    head = ("rank", "range", "model", "rating", "95% interval", "elo", "votes", "win rate", "acceptable", "")
    cells = [
        (
            str(row.rank) if row.rating is not None else "-",
            f"{row.rank_lower}-{row.rank_upper}",
            row.model,
            _points(row.rating),
            f"{_points(row.rating_lower)} to {_points(row.rating_upper)}",
            f"{row.elo:.0f}",
            f"{row.votes:,}",
            f"{row.win_rate:.1%}",
            f"{row.acceptability:.1%}",
            "preliminary" if row.preliminary else "",
        )
        for row in standings
    ]
    widths = [max(len(line[at]) for line in (head, *cells)) for at in range(len(head))]
    for line in (head, *cells):
        print(
            "  ".join(
                cell.ljust(width) if at == 2 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(line[:-1], widths, strict=False))
            ),
            line[-1],
            sep="  ",
            file=out,
        )


def _points(value):
    return "-" if value is None else f"{value:.0f}"


FORMATS = {"table": write_table, "json": write_json, "csv": write_csv}

if __name__ == "__main__":
    sys.exit(main())
