"""Owns what the commands share: the options that say what to read and how, errors as one line, and printed sheets.

A command is a module with `NAME`, `ABOUT`, `options(parser, commands)` and `answer(options, out)`.
"""

import argparse
import json
import os
import sys
from dataclasses import replace

from leaderboard import errors
from leaderboard.board import DEFAULT_METHOD
from leaderboard.clusters import AUTO, CHOICES
from leaderboard.feedback import read_feedback
from leaderboard.formats import FORMATS
from leaderboard.known import read_models
from leaderboard.pictures import open_pictures
from leaderboard.ratings import METHODS
from leaderboard.sampling import AS_SERVED, SAMPLINGS
from leaderboard.study import Study
from leaderboard.votes import GROUPINGS, MAIN_MODE, read_votes, votes_from_rows

SOURCE = "a .parquet, .csv, .tsv, .jsonl, .json or .sqlite file, a folder, a pattern of Parquet files, or user/name on the Hub (also user/name@revision, user/name:PATH)"
PROGRAM = "python -m leaderboard"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        if message.startswith("unrecognized"):
            message += f"; {PROGRAM} --help names the commands and options"
        self.exit(2, f"{self.prog}: {message}\n")


def run(command, arguments, commands=None):
    """Parse the arguments of a command and run it; its exit status."""
    parser = _Parser(
        prog=f"{PROGRAM} {command.NAME}".strip(),
        description=command.ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.options(parser, commands or {})
    options = parser.parse_args(arguments)
    try:
        command.answer(options, sys.stdout)
    except errors.LeaderboardError as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        pass
    return _finished()


def _finished():
    """Hand over what is printed; a reader that has seen enough, such as `head`, is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def source_options(parser, needed=True):
    """The source, and what every command may ask of it."""
    parser.add_argument("source", metavar="SOURCE", nargs=None if needed else "?", help=SOURCE)
    parser.add_argument(
        "--source-format",
        metavar="NAME",
        help=f"the format of its columns, where these do not say it: {', '.join(FORMATS)}",
    )
    parser.add_argument("--mode", default=MAIN_MODE, help="the mode of the votes that count (default anonymous)")
    parser.add_argument(
        "--by", choices=GROUPINGS, default="category", help="what the votes are grouped by (default category)"
    )
    parser.add_argument(
        "--models",
        metavar="FILE",
        help="what is known of the models: .yaml, .json or .csv with id, name, organisation, licence, family, "
        "parameters_b, memory_gb; an arena.yaml will do",
    )


def rating_options(parser):
    """How the models are rated."""
    parser.add_argument("--method", choices=tuple(METHODS), default=DEFAULT_METHOD, help="how models are rated")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn at random (default 0)")
    parser.add_argument(
        "--clusters",
        choices=(AUTO, *CHOICES),
        default=AUTO,
        help="which votes the intervals take together: on one prompt, by one voter, both or none "
        "(default auto: whatever is known and repeats)",
    )
    parser.add_argument(
        "--sampling",
        choices=SAMPLINGS,
        default=AS_SERVED,
        help="as-served: every vote counts alike (default); reweighted: each weighs 1 / pair_probability, and 0 where it was "
        "asked for because earlier voters disagreed, so that ratings, win rates and intervals are those of pairs drawn and "
        "voted on alike (--show sampling has both)",
    )
    parser.add_argument(
        "--images",
        action="store_true",
        help="download the images of a data set on the Hub too, for what needs them (those of a folder or a ledger are "
        "used where they are)",
    )
    parser.add_argument(
        "--voter-cap", type=float, metavar="N", help="let the votes of one voter weigh no more than N (default no cap)"
    )


def study_of(options, votes_needed=True):
    """The Study that the options ask for; unless `votes_needed`, a file of feedback alone will do. Raises
    errors.LeaderboardError."""
    if options.seed < 0:
        raise errors.UnknownChoice(f"--seed must not be negative, but is {options.seed}")
    if options.voter_cap is not None and not 0 < options.voter_cap < float("inf"):
        raise errors.UnknownChoice(f"--voter-cap must be a number above 0, but is {options.voter_cap}")
    try:
        votes = read_votes(options.source, options.mode, options.source_format)
    except errors.MissingColumn:
        if votes_needed:
            raise
        votes = votes_from_rows([], source=options.source)
    models = read_models(options.models, votes.models) if options.models else {}
    return Study(
        votes,
        method=options.method,
        by=options.by,
        seed=options.seed,
        models=models,
        pictures=open_pictures(options.source, options.images),
        feedback=lambda: read_feedback(options.source, options.mode),
        clusters=options.clusters,
        voter_cap=options.voter_cap,
        sampling=options.sampling,
    )


def named(sheet, study):
    """The sheet with the models' names in place of their ids, for a person to read."""
    keys = [column.key for column in sheet.columns if column.kind == "text" and column.key not in (*GROUPINGS, "group")]
    ids = set(study.votes.models)
    rows = [row | {key: study.name(row[key]) for key in keys if row.get(key) in ids} for row in sheet.rows]
    return replace(sheet, rows=tuple(rows))


def explained(sheet):
    """What each column of a sheet means, as lines of text."""
    width = max(len(column.title) for column in sheet.columns)
    lines = [f"{sheet.name}: {sheet.title}. {sheet.caption}"]
    return "\n".join([*lines, *(f"  {column.title.ljust(width)}  {column.explain}" for column in sheet.columns)]) + "\n"


def write_sheets(sheets, study, form, out, explain=False):
    """Print sheets in one of the three forms. Raises UnknownChoice where several are asked for as CSV."""
    if form == "json":
        source = study.board.to_json()["source"]
        found = {"source": source, "method": study.method, "sheets": {sheet.name: sheet.to_json() for sheet in sheets}}
        write_json(found, out)
    elif form == "csv":
        if len(sheets) > 1:
            raise errors.UnknownChoice(
                f"csv holds one table: name one of {', '.join(sheet.name for sheet in sheets)} with --show"
            )
        out.write(sheets[0].to_csv())
    else:
        texts = [named(sheet, study).to_text() + ("\n" + explained(sheet) if explain else "") for sheet in sheets]
        out.write("\n".join(texts))


def write_json(found, out):
    """One JSON object, without NaN."""
    json.dump(found, out, ensure_ascii=False, allow_nan=False, indent=1)
    out.write("\n")
