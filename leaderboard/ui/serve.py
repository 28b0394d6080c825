"""Owns the pages without an arena: one small web server for any source of votes, under a light header of its own."""

import contextlib
import os
import socket
import threading

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from leaderboard.errors import LeaderboardError, Unreadable
from leaderboard.page.head import stamp
from leaderboard.ui.pages import ENDPOINT, STATIC, leaderboard_page

PAPER, INK, NIGHT, CHALK = "#faf9f6", "#1c1a17", "#131315", "#f1efeb"  # as in serve.css
FONTS = ("Inter", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
# Gradio counts every event with pandas, and reports home.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000"}
# Gradio needs inline scripts and styles, and compiles its templates; nothing comes from another host.
CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
QUESTIONS, LONGEST_QUESTION = f"/gradio_api/run/{ENDPOINT}", 32_768
LAUNCH = {
    "quiet": True, "share": False, "inbrowser": False, "ssr_mode": False, "num_workers": 0, "pwa": False,
    "mcp_server": False, "run_history": False, "enable_monitoring": False, "footer_links": [], "show_error": False,
    "max_file_size": "1kb",
}  # fmt: skip


class Edge:
    """ASGI middleware: only what the pages ask for comes in (no uploads, no other of Gradio's routes that take
    something), security headers go out, and Gradio's files, which are named by content, may be kept."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        size = dict(scope["headers"]).get(b"content-length", b"0")
        if scope["method"] not in ("GET", "HEAD") and not (
            scope["method"] == "POST"
            and scope["path"].endswith(QUESTIONS)
            and size.isdigit()
            and int(size) <= LONGEST_QUESTION
        ):
            return await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)

        async def finished(message):
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"], headers["referrer-policy"] = "nosniff", "same-origin"
                if headers.get("content-type", "").startswith("text/html"):
                    headers["content-security-policy"] = CSP
                elif scope["path"].startswith(("/assets/", "/static/")) and message["status"] == 200:
                    headers["cache-control"] = "public, max-age=31536000, immutable"
            await send(message)

        await self.app(scope, receive, finished)


def build(load_study, *, title="Leaderboard", about="", refresh_seconds=30.0):
    """The pages alone as Gradio Blocks, not yet launched."""
    style = (STATIC / "serve.css").read_text(encoding="utf-8")
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True) as demo:
        gr.HTML(f"<style>{style}</style>", js_on_load=None, apply_default_css=False, visible="hidden")
        gr.HTML(
            {"title": title},
            html_template='<header class="ls-header"></header>',
            js_on_load=(STATIC / "serve.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_id="ls-head",
        )
        with gr.Column(elem_classes="ls-page"):
            leaderboard_page(load_study, about=about, refresh_seconds=refresh_seconds)
    return demo


def serve(load_study, *, host="127.0.0.1", port=7861, title="Leaderboard", about="", block=True):
    """Serve the pages of one source at http://host:port; the running gr.Blocks, whose `close()` ends it.

    `load_study() -> Study` should return the same Study while nothing changed. With `block` this returns after
    Ctrl+C. Raises errors.Unreadable where it can't listen there.
    """
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise Unreadable(f"can't listen on {host}:{port} ({error.strerror or error})") from error
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    stamp(load_study())  # what can't be read is said before a page is opened, and the first reader waits less
    threading.Thread(target=_listen, args=(load_study,), name="feedback", daemon=True).start()
    demo = build(load_study, title=title, about=about)
    demo.queue(max_size=100, default_concurrency_limit=None, status_update_rate=5)
    demo.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        app_kwargs={"middleware": [Middleware(Edge)], "openapi_url": None},
        theme=gr.themes.Base(font=list(FONTS), radius_size="md").set(
            body_background_fill=PAPER,
            body_background_fill_dark=NIGHT,
            body_text_color=INK,
            body_text_color_dark=CHALK,
        ),
        **LAUNCH,
    )
    if block:
        print(f"{title} is at http://{host}:{demo.server_port} (Ctrl+C stops it)", flush=True)
        try:
            demo.block_thread()
        finally:
            demo.close(verbose=False)
    return demo


def _listen(load_study):
    """Work out what takes longest of the feedback before somebody asks; what is wrong with it is said to them."""
    with contextlib.suppress(LeaderboardError):
        rich = load_study().rich
        rich.models(), rich.groups, rich.missed_words
