"""The three pages (Arena, Leaderboard, About) as one Gradio app, and the look that they share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_space

from arena.ui.about import about_html
from arena.ui.stage import STATIC, facts_for_page, render_stage, scripts

if TYPE_CHECKING:
    from arena.service import Arena

STYLES = ("page.css", "stage.css", "dock.css", "feedback.css", "campaign.css", "composer.css", "about.css")
# The same values as --ia-bg and --ia-ink in page.css: Gradio needs them before any style of ours is there.
PAPER, INK, NIGHT, CHALK = "#faf9f6", "#1c1a17", "#131315", "#f1efeb"
FONTS = ("Inter", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def build_demo(arena: Arena, *, leaderboard_page: Callable[[], None] | None = None,
               leaderboard_css: str = "") -> gr.Blocks:  # fmt: skip
    """The app, not yet launched. `leaderboard_page` renders the leaderboard's components where it is called;
    without it there is no such page. On a Space whose card says `hf_oauth: true` visitors can sign in, so that
    they are one voter on all their devices; nobody has to."""
    sign_in = bool(get_space() and os.environ.get("OAUTH_CLIENT_ID"))
    meta = arena.meta()
    pages = [{"name": "Arena", "path": ""}]
    if leaderboard_page:
        pages.append({"name": "Leaderboard", "path": "leaderboard"})
    pages.append({"name": "About", "path": "about"})

    look = accent_css(meta["accent"])
    with gr.Blocks(title=meta["title"], analytics_enabled=False, fill_width=True) as demo:
        _page_style(look)
        if sign_in:
            _sign_in()
        render_stage(arena, pages)
    if leaderboard_page:
        with demo.route("Leaderboard", "/leaderboard"):
            _page_style(look + leaderboard_css)
            _header(meta, pages, "leaderboard")
            with gr.Column(elem_classes="ia-page ia-page-wide"):
                leaderboard_page()
    with demo.route("About", "/about"):
        _page_style(look)
        if sign_in:
            _sign_in()
        _header(meta, pages, "about")
        gr.HTML(about_html(meta, sign_in), js_on_load=None, apply_default_css=False, elem_classes="ia-page")
    return demo


def page_assets() -> dict[str, Any]:
    """What `launch` is given for the look: css, js, head and theme."""
    return {
        "css": "\n".join((STATIC / name).read_text(encoding="utf-8") for name in STYLES),
        "js": None,
        # Gradio's own viewport leaves the notch's insets at zero; the theme is set before anything is drawn.
        "head": '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">\n'
        f"<script>\n{scripts('theme.js')}</script>",
        "theme": gr.themes.Base(font=list(FONTS), font_mono=list(MONO), radius_size="md").set(
            body_background_fill=PAPER,
            body_background_fill_dark=NIGHT,
            body_text_color=INK,
            body_text_color_dark=CHALK,
        ),
    }


def _page_style(css: str) -> None:
    """Styles that depend on arena.yaml or on the page; `launch(css=...)` is one text for all."""
    gr.HTML(f"<style>{css}</style>", js_on_load=None, apply_default_css=False, visible="hidden")


def _sign_in() -> None:
    """Gradio's button, which header.js moves into the header. It also turns Gradio's OAuth routes on."""
    gr.LoginButton("Sign in", "Sign out", size="sm", variant="secondary", elem_id="ia-signin")


def _header(meta: dict[str, Any], pages: list[dict[str, str]], here: str) -> None:
    gr.HTML(
        facts_for_page(meta, pages, here),
        html_template='<div class="ia"></div>',
        js_on_load=scripts("dom.js", "header.js", "api.js", "naming.js", "voter-id.js", "status.js", "plain.js"),
        apply_default_css=False,
        elem_id="ia-head",
    )


# -- the accent --------------------------------------------------------------------------------------------


def accent_css(accent: str) -> str:
    """The accent as given for lines and fills, and shades of it on which, or in which, text can be read
    (4.5 to 1, WCAG AA)."""
    on_fill = shade(accent, "#ffffff", towards="#000000")
    return (
        f":root{{--ia-accent:{accent};--ia-accent-fill:{on_fill};--ia-accent-text:{shade(accent, '#f1eee7', '#000000')}}}"
        f".dark{{--ia-accent-text:{shade(accent, '#26262a', '#ffffff')}}}"
    )


def shade(colour: str, against: str, towards: str, ratio: float = 4.5) -> str:
    """`colour`, mixed with `towards` until its contrast with `against` is at least `ratio`."""
    for step in range(101):
        mixed = [a + (b - a) * step / 100 for a, b in zip(_channels(colour), _channels(towards), strict=True)]
        found = "#" + "".join(f"{round(value):02x}" for value in mixed)
        if contrast(found, against) >= ratio:
            return found
    return towards


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
