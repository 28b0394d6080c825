"""Owns the command `serve`: the leaderboard's pages for one source, with no arena."""

import argparse
import threading
from pathlib import Path

from leaderboard.commands.common import rating_options, source_options, study_of

NAME = "serve"
USAGE = "serve SOURCE [--host ADDRESS] [--port N]   the pages, in a browser"
ABOUT = """The leaderboard's pages for one source, in a browser. A file is read again when it has changed."""
BESIDE = ("", "-wal")  # where SQLite writes first


def options(parser, commands):
    """What this command understands."""
    source_options(parser)
    rating_options(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1: this machine)"
    )
    parser.add_argument("--port", type=_port, default=7861, help="the port (default 7861)")
    parser.add_argument("--title", help="what stands above the page (default the name of the source)")


def _port(text):
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def answer(options, out):
    """Serve until Ctrl+C. Raises errors.LeaderboardError, all of it before the first page is opened."""
    studies = Studies(options)
    studies.current()
    from leaderboard.ui.serve import serve  # Gradio takes seconds to import

    serve(studies.current, host=options.host, port=options.port, title=options.title or Path(options.source).name)


class Studies:
    """The Study of a source that may change on the disk; safe to ask from several threads."""

    def __init__(self, options):
        self._options = options
        self._lock = threading.Lock()
        self._stamp, self._study = None, None

    def current(self):
        """The Study of what the source holds now: the same one while nothing changed."""
        with self._lock:
            stamp = self._changed()
            if self._study is None or stamp != self._stamp:
                self._study, self._stamp = study_of(self._options), stamp
                self._study.edition = str(stamp)
            return self._study

    def _changed(self):
        """When the source's files, and the file of models, last changed; nothing of a data set on the Hub."""
        found = []
        for name in (self._options.source, self._options.models):
            path = Path(name or "").expanduser()
            files = sorted(path.rglob("*.parquet")) if name and path.is_dir() else [path]
            files = [file.with_name(file.name + end) for file in files for end in BESIDE] if name else []
            found += [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file()]
        return tuple(found)
