"""Owns the pages without their look: which tabs there are, and the JSON that answers what the browser asks.

Nothing here is HTML: the browser makes the page from these answers as text, so that nothing a voter typed is markup.
"""

from leaderboard.page.answers import Pages

__all__ = ["Pages"]
