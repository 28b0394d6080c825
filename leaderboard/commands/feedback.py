"""Owns the command `feedback`: what voters said of models and images, also from a file of feedback without votes."""

from leaderboard import errors
from leaderboard.columns import plural
from leaderboard.commands.common import rating_options, source_options, study_of, write_sheets
from leaderboard.sheets import SHEETS

NAME = "feedback"
USAGE = "feedback SOURCE [--show NAME,...] [--format table|json|csv]    ratings, missed words, criteria"
SHOWN = ("scores", "weaknesses", "words", "criteria", "explained", "raters", "weighted", "images")
ABOUT = f"""What voters say of models and images: ratings, missed words, a board for each criterion, what explains the votes.

SOURCE may also be a file of feedback alone: image_id, model, voter and any of style, coherence, alignment (1 to 5);
or crowd workers' ratings with the columns t2i_model, item_id, worker_id, answer.

Tables: {", ".join(SHOWN)}"""


def options(parser, commands):
    """What this command understands."""
    source_options(parser)
    rating_options(parser)
    parser.add_argument(
        "--format", choices=("table", "json", "csv"), default="table", help="text, JSON, or one table as CSV"
    )
    parser.add_argument(
        "--show", metavar="NAME[,NAME]", default="all", help="these tables (default all but the images)"
    )
    parser.add_argument("--explain", action="store_true", help="say what each column means, too")


def answer(options, out):
    """Print the tables. Raises errors.LeaderboardError."""
    names = [name.strip() for name in options.show.split(",")]
    if names == ["all"]:
        names = [name for name in SHOWN if name != "images"]
    for name in names:
        if name not in SHOWN:
            raise errors.UnknownChoice(f"no table of feedback is called {name!r}; known are all, {', '.join(SHOWN)}")
    if options.explain and options.format != "table":
        raise errors.UnknownChoice("--explain is for reading: json holds the explanations already, csv can't")
    study = study_of(options, votes_needed=False)
    if not study.rich.feedback.total:
        raise errors.SourceNotFound(f"{options.source}: there is no feedback in it")
    if options.format == "table":
        rich = study.rich
        images = plural(len(rich.images()), "image", "images")
        print(f"{plural(len(rich), 'row', 'rows')} of feedback on {images}\n", file=out)
    write_sheets([SHEETS[name](study) for name in names], study, options.format, out, options.explain)
