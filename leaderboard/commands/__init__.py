"""Owns the command line: which command a line names, and the table of them, COMMANDS.

`python -m leaderboard SOURCE` prints standings; a first word that is a row of COMMANDS runs that command instead. A
file of that name is still reached as ./NAME. Exit 0, or 2 with one line on stderr.
"""

import sys

from leaderboard.commands import agreement, export, feedback, serve, standings
from leaderboard.commands.common import run

COMMANDS = {"agreement": agreement, "export": export, "feedback": feedback, "serve": serve}


def main(arguments=None):
    """Run a command line; its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in COMMANDS:
        return run(COMMANDS[arguments[0]], arguments[1:])
    return run(standings, arguments, COMMANDS)
