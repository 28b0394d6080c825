"""Owns the pages as a web page: the only Gradio in this package."""

from leaderboard.ui.pages import leaderboard_page
from leaderboard.ui.serve import serve

__all__ = ["leaderboard_page", "serve"]
