"""Owns the command `export`: a source in the files that a trainer or another data set's readers load unchanged."""

import argparse

from leaderboard import errors, rich
from leaderboard.commands.common import SOURCE
from leaderboard.exports import EXPORTS, Material, export
from leaderboard.formats import FORMATS
from leaderboard.pictures import open_pictures
from leaderboard.votes import MAIN_MODE, read_votes

NAME = "export"
USAGE = "export SOURCE --to FORMAT OUT                     what preference trainers load (--list names the formats)"
ABOUT = """Write the votes, pictures and feedback of a source as another data set or for a trainer."""


class _List(argparse.Action):
    """Prints the formats and stops, as --help does: no source is needed for it."""

    def __call__(self, parser, namespace, values, option_string=None):
        width = max(map(len, EXPORTS))
        for name, module in EXPORTS.items():
            print(f"{name.ljust(width)}  {module.ABOUT}\n{' ' * width}  {module.TRAINS}")
        parser.exit()


def options(parser, commands):
    """What this command understands."""
    parser.add_argument("source", metavar="SOURCE", help=SOURCE)
    parser.add_argument("out", metavar="OUT", help="the folder to write; it must be new or empty")
    parser.add_argument("--to", metavar="FORMAT", required=True, help=f"one of {', '.join(EXPORTS)}")
    parser.add_argument("--list", action=_List, nargs=0, help="print the formats, what each holds and how it is loaded")
    parser.add_argument(
        "--holdout",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="the share of prompts, from 0 to below 1, that becomes the split `validation` (default 0)",
    )
    parser.add_argument("--mode", default=MAIN_MODE, help="the mode of the votes that are written (default anonymous)")
    parser.add_argument("--source-format", metavar="NAME", help=f"one of {', '.join(FORMATS)}")


def answer(options, out):
    """Write the export and print what it holds. Raises errors.LeaderboardError."""
    if options.to not in EXPORTS:
        raise errors.UnknownChoice(f"{options.to!r} is no format to export to; known are {', '.join(EXPORTS)}")
    if not 0 <= options.holdout < 1:
        raise errors.UnknownChoice(f"--holdout must be from 0 to below 1, but is {options.holdout:g}")
    votes = read_votes(options.source, options.mode, options.source_format)
    pictures = open_pictures(options.source, images=True)
    material = Material(votes, pictures, lambda: rich.of(options.source, votes, pictures), options.holdout)
    written = export(material, options.to, options.out)
    rows = ", ".join(f"{count:,} rows in {split}" for split, count in written.splits.items())
    out.write(f"{options.out}: {rows}\n")
    out.writelines(f"left out: {count:,} {what}\n" for what, count in written.left_out.items())
    out.writelines(f"{note}\n" for note in written.notes)
