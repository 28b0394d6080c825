"""Owns the command `agreement`: how far voters of the same images agree, and who the voters are."""

from dataclasses import replace

from leaderboard.board import DEFAULT_METHOD
from leaderboard.clusters import AUTO
from leaderboard.commands.common import source_options, study_of, write_sheets
from leaderboard.sampling import AS_SERVED
from leaderboard.sheet import Column
from leaderboard.sheets import SHEETS

NAME = "agreement"
USAGE = "agreement SOURCE [--format table|json|csv] [--voter-ids]   overlap, agreement, voters"
ABOUT = """How many voters saw the same images, how far they agree, and who the voters are."""
SHOWN = ("agreement", "overlap", "voters")
VOTER = Column("voter", "id", "The voter as the source calls them; whoever publishes it names them.")


def options(parser, commands):
    """What this command understands."""
    source_options(parser)
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="text, one JSON object, or the agreement alone as CSV (with --voter-ids the voters)",
    )
    parser.add_argument(
        "--voter-ids",
        action="store_true",
        help="every voter on a line, under the id of the source, in place of those who agreed to be named",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap behind alpha's interval (default 0)")
    parser.set_defaults(method=DEFAULT_METHOD, clusters=AUTO, voter_cap=None, sampling=AS_SERVED, images=False)


def answer(options, out):
    """Print the three sheets. Raises errors.LeaderboardError."""
    study = study_of(options)
    sheets = {name: SHEETS[name](study) for name in SHOWN}
    if options.voter_ids:
        sheet = sheets["voters"]
        rows = tuple(study.voters.all_rows(ids=True))
        sheets["voters"] = replace(sheet, columns=(VOTER, *sheet.columns), rows=rows)
    if options.format == "csv":
        sheets = {"one": sheets["voters" if options.voter_ids else "agreement"]}
    write_sheets(list(sheets.values()), study, options.format, out)
