"""The entry of `python -m leaderboard`; leaderboard/commands owns what it does."""

import sys

from leaderboard.commands import main

if __name__ == "__main__":
    sys.exit(main())
