"""Owns the pages' one Gradio component and the endpoint that it asks; the browser does the rest with `static/`.

The component's template never changes and holds no data: what Gradio puts into a template is code, while what the
scripts put on the page is text.
"""

from pathlib import Path

import gradio as gr

from leaderboard.page import Pages

STATIC = Path(__file__).parent / "static"
# One scope without a bundler: every file may use what the others declare.
SCRIPTS = ("dom.js", "tip.js", "filters.js", "table.js", "plot.js", "drawer.js", "heat.js", "tiles.js", "why.js", "model.js",
           "image.js", "main.js")  # fmt: skip
ENDPOINT = "leaderboard"
REFRESH_SECONDS = 5.0
ABOUT = "Blind votes on pairs of images of one prompt, counted as they come in."


def leaderboard_page(load, *, title="Leaderboard", about=ABOUT, refresh_seconds=REFRESH_SECONDS):
    """Build the pages inside the current Blocks or route; the component.

        with demo.route("Leaderboard", "/leaderboard"):
            leaderboard_page(live.study)

    `load() -> Study` is called at every question of a browser, so it should be quick where nothing changed and then
    return the same Study. Open pages ask every `refresh_seconds`; no more than that is sent, and nothing is drawn
    again, while no vote came in. A LeaderboardError becomes a message where its part would be.
    """
    pages = Pages(load)

    def leaderboard(question: dict) -> str:
        return pages.answer(question)

    style = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("leaderboard.css", "why.css"))
    gr.HTML(f"<style>{style}</style>", js_on_load=None, apply_default_css=False, visible="hidden")
    page = gr.HTML(
        {"endpoint": ENDPOINT, "plotly": plotly_script(), "title": title, "about": about, "seconds": refresh_seconds},
        html_template='<div class="lb"></div>',
        js_on_load="\n".join((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS),
        apply_default_css=False,
        elem_classes="lb-page",
    )
    # A plain request a question: many may be under way at once, and none goes through the queue.
    gr.api(leaderboard, api_name=ENDPOINT, api_description=False, queue=False, api_visibility="private")
    return page


def plotly_script():
    """Gradio's own copy of plotly, relative to the app's address: importing it makes it known to the page."""
    folder = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    return f"assets/{next(folder.glob('PlotlyPlot-*.js')).name}"
