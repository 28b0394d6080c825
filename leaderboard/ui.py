"""Owns the leaderboard page's Gradio components and how they stay fresh; the only Gradio in this package.

    with demo.route("Leaderboard", "/leaderboard"):
        leaderboard_page(live.board)

Launch with `css=... + leaderboard.ui.CSS`. Colours follow the CSS variables --ia-bg, --ia-surface, --ia-ink,
--ia-muted, --ia-line, --ia-accent, --ia-good and --ia-bad where the app defines them.
"""

import gradio as gr

from leaderboard import page
from leaderboard.errors import LeaderboardError
from leaderboard.figures import FIGURES
from leaderboard.page import CSS

__all__ = ["CSS", "leaderboard_page"]


def _stamp(board):
    """What tells two boards apart: equal stamps show the same page."""
    return f"{board.source} {board.method} {board.by}"


def leaderboard_page(load, refresh_seconds=5.0):
    """Build the page inside the current Blocks or route; the components by name.

    `load() -> Leaderboard` is called when a visitor opens the page and every `refresh_seconds` after that, so
    it should be quick where nothing changed (LiveBoard.board is). Nothing is drawn again, and next to nothing
    sent, while no vote came in. A LeaderboardError becomes a message and leaves what is shown as it is.
    """
    shown = gr.State("")
    with gr.Column(elem_classes="lb-page"):
        parts = {"status": gr.HTML(padding=False), "standings": gr.HTML(padding=False)}
        parts["plot-standings"] = _plot("standings")
        parts["groups"] = gr.HTML(padding=False)
        parts["plot-categories"] = _plot("categories")
        with gr.Row():
            for name in ("win-fractions", "pair-counts"):
                with gr.Column(min_width=340):
                    parts[f"plot-{name}"] = _plot(name)
        parts["notes"] = gr.HTML(padding=False)
        parts["download"] = gr.HTML(padding=False)

    def refresh(seen):
        try:
            board = load()
        except LeaderboardError as error:
            raise gr.Error(str(error)) from error
        stamp = _stamp(board)
        if stamp == seen:
            return gr.skip()
        drawn = {
            "status": page.status(board),
            "standings": page.standings(board),
            "groups": page.groups(board),
            "notes": page.notes(board),
            "download": page.download(board),
        }
        drawn |= {f"plot-{name}": view.draw(board) for name, view in FIGURES.items()}
        return [stamp, *(drawn[name] for name in parts)]

    outputs = [shown, *parts.values()]
    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    blocks = gr.context.Context.root_block
    blocks.load(refresh, inputs=shown, outputs=outputs, **quiet)
    timer = gr.Timer(refresh_seconds)
    timer.tick(refresh, inputs=shown, outputs=outputs, **quiet)
    return parts | {"timer": timer, "shown": shown}


def _plot(name):
    view = FIGURES[name]
    gr.HTML(page.heading(view), padding=False)
    return gr.Plot(show_label=False, container=False, elem_classes="lb-plot", label=view.title)
