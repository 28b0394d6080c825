"""Owns the command without a name: the standings of a source, or any other of its sheets."""

from leaderboard import errors
from leaderboard.columns import plural
from leaderboard.commands.common import (
    PROGRAM,
    explained,
    rating_options,
    source_options,
    study_of,
    write_json,
    write_sheets,
)
from leaderboard.formats import FORMATS as SOURCE_FORMATS
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows

NAME = ""
ABOUT = """Standings from votes, with intervals and with what was left out; any other table of them with --show.

  %(prog)s votes.csv
  %(prog)s user/name --by complexity
  %(prog)s data/ledger.sqlite --show pairs,history --format json
  %(prog)s --show all --explain"""


def options(parser, commands):
    """What this command understands."""
    source_options(parser, needed=False)
    rating_options(parser)
    parser.add_argument(
        "--format", choices=tuple(FORMATS), default="table", help="text, one JSON object, or one table as CSV"
    )
    parser.add_argument(
        "--show", metavar="NAME[,NAME]", help=f"these tables instead, or `all`, or `list`: {', '.join(SHEETS)}"
    )
    parser.add_argument("--list", action="store_true", help="say which tables there are, and stop")
    parser.add_argument(
        "--explain", action="store_true", help="say what each column of the tables means; needs no SOURCE"
    )
    parser.epilog = "\n".join(
        [
            "formats of a source, recognised by its columns or named with --source-format:",
            *(f"  {name:<33} {form.ABOUT}" for name, form in SOURCE_FORMATS.items()),
            "",
            "other commands; each has its own --help, and a file of that name is read as ./NAME:",
            *(f"  {PROGRAM} {command.USAGE}" for command in commands.values()),
        ]
    )


def answer(options, out):
    """Print what the options ask for. Raises errors.LeaderboardError."""
    if options.list or options.show == "list":
        nothing = Study(votes_from_rows([]))
        for name, sheet in SHEETS.items():
            out.write(f"{name:<16} {sheet(nothing).title}\n")
        return
    if options.explain and options.format != "table":
        raise errors.UnknownChoice("--explain is for reading: json holds the explanations already, csv can't")
    names = _names(options.show) if options.show else []
    if options.source is None:
        if not options.explain:
            raise errors.UnknownChoice(f"SOURCE is missing; {PROGRAM} --help says what it may be")
        nothing = Study(votes_from_rows([]), by=options.by)
        out.write("\n".join(explained(SHEETS[name](nothing)) for name in names or SHEETS))
        return
    study = study_of(options)
    if names:
        write_sheets([SHEETS[name](study) for name in names], study, options.format, out, options.explain)
        return
    FORMATS[options.format](study, out)
    if options.explain:
        out.write("\n" + explained(SHEETS["standings"](study)))


def _names(text):
    if text == "all":
        return list(SHEETS)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in SHEETS:
            raise errors.UnknownChoice(f"no table is called {name!r}; known are all, list, {', '.join(SHEETS)}")
    return names


def write_board(study, out):
    """The contract's one object."""
    write_json(study.board.to_json(), out)


def write_csv(study, out):
    """The standings alone, one row a model, a missing number as an empty cell."""
    out.write(study.board.to_csv())


def write_table(study, out):
    """Text for a person: the source, the standings, each group, the notes."""
    board = study.board
    source = board.source
    print(
        f"{source.counted:,} of {plural(source.votes, 'vote counts', 'votes count')}; "
        f"{plural(source.models, 'model', 'models')}, {plural(source.voters, 'voter', 'voters')}; {board.method}"
        + (f"; last vote {source.last}" if source.last else "")
        + (f"; revision {source.revision}" if source.revision else ""),
        file=out,
    )
    _rows(board.standings, board, out)
    for name, group in board.groups.items():
        print(f"\n{name}: {plural(group.votes, 'vote', 'votes')}, {group.verdict}", file=out)
        _rows(group.standings, board, out)
    print("", *(f"- {note}" for note in board.notes), sep="\n", file=out)


def _rows(standings, board, out):
    if not standings:
        return
    head = ("rank", "range", "model", "rating", "95% interval", "elo", "votes", "win rate", "acceptable", "")
    cells = [
        (
            str(row.rank) if row.rating is not None else "-",
            f"{row.rank_lower}-{row.rank_upper}",
            board.name(row.model),
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


FORMATS = {"table": write_table, "json": write_board, "csv": write_csv}
