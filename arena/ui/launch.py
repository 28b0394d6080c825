"""Starts the web server and ends it in order.

`serve` puts the parts of the interface together (pages, JSON routes, guard), starts Gradio with the arguments that
were measured to be fast and quiet, and, where it blocks, waits for SIGTERM or SIGINT: then nothing more is taken
in, what runs is finished, and the arena closes, which publishes what is pending.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from starlette.middleware import Middleware

from arena.errors import ConfigError
from arena.logs import adopt_server
from arena.ui.campaign_routes import campaign_routes
from arena.ui.edge import Guard, Limits
from arena.ui.feedback_routes import feedback_routes
from arena.ui.routes import Api

if TYPE_CHECKING:
    from arena.service import Arena

log = logging.getLogger(__name__)

# People look at a battle for longer than uvicorn's 5 s, and a proxy that reuses a connection just as we close it
# loses the vote that it carries: ours has to outlive the usual 60 s of proxies.
KEEP_ALIVE = 65
AT_MOST = 18.0  # seconds for an orderly end in all, however the Hub, a model or a disk behaves
# A vote's thread gives the interpreter away at every step of SQLite, and gets it back only when another thread's turn
# is over: with Python's 5 ms a turn, publishing or the leaderboard would hold it up ten times over.
TURN = 0.0005
LAST_SECONDS = 5.0  # after an orderly end, how long stray threads may keep the process alive

# Gradio counts every queued event with pandas, which costs more than the event, and reports home.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000"}
LAUNCH: dict[str, Any] = {
    "quiet": True, "share": False, "inbrowser": False, "ssr_mode": False, "num_workers": 0, "pwa": False,
    "mcp_server": False, "run_history": False, "enable_monitoring": False, "footer_links": [],
    "show_error": False,  # a traceback may hold a model's name
    "state_session_capacity": 2000, "max_file_size": "1kb",
}  # fmt: skip


class Served:
    """A running server: its address, and its orderly end."""

    def __init__(self, arena: Arena, api: Api, demo: Any):
        self.arena, self.api, self.demo = arena, api, demo
        self.url: str = demo.local_url.rstrip("/").replace("//localhost:", "//127.0.0.1:")
        self.port: int = demo.server_port

    def close(self, *, then_exit: bool = False) -> None:
        """Refuse what is new, let votes under way reach the disk, publish, then let go of the port. Until the
        very end pages still answer, and a vote gets "restarting" rather than a dead line. With `then_exit` the
        process ends soon after, whatever still runs: Gradio waits for its threads, a model for its picture."""
        if then_exit:
            _end_within(AT_MOST)
        if not self.api.close():
            log.warning("some requests were still running when the arena closed")
        try:
            self.arena.close()
        finally:
            if then_exit:
                _end_within(LAST_SECONDS)
            self.demo.close(verbose=False)


def serve(arena: Arena, *, leaderboard_page: Callable[[], None] | None = None, leaderboard_css: str = "",
          host: str = "127.0.0.1", port: int = 7860, limits: Limits = Limits(),
          prevent_thread_lock: bool = False) -> Served:  # fmt: skip
    """Serve `arena` at http://host:port. Returns the running server at once with `prevent_thread_lock`; otherwise
    blocks until SIGTERM or SIGINT and returns when all is closed. Raises ConfigError when it cannot listen there."""
    try:  # before Gradio is imported, which takes seconds
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        raise ConfigError(f"cannot listen on {host}:{port} ({why}); see GRADIO_SERVER_PORT") from error
    sys.setswitchinterval(TURN)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from arena.ui.pages import build_demo, page_assets

    api = Api(arena)
    guard = Middleware(
        Guard,
        key=arena.key,
        on_space=bool(os.environ.get("SPACE_ID")),
        space_hosts=tuple(part.strip() for part in os.environ.get("SPACE_HOST", "").split(",") if part.strip()),
        limits=limits,
    )
    demo = build_demo(arena, leaderboard_page=leaderboard_page, leaderboard_css=leaderboard_css)
    demo.queue(max_size=100, default_concurrency_limit=None, status_update_rate=5)
    with stopped_by_signals() if not prevent_thread_lock else contextlib.nullcontext() as stopped:
        demo.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            app_kwargs={
                "routes": [*api.routes(), *feedback_routes(api), *campaign_routes(api)],
                "middleware": [guard],
                "openapi_url": None,
            },
            **LAUNCH,
            **page_assets(),
        )
        demo.server.config.timeout_keep_alive = KEEP_ALIVE
        adopt_server()
        # All that was imported stays. Looking through it for garbage again and again holds up every vote for 0.1 to 0.3 s.
        gc.collect()
        gc.freeze()
        served = Served(arena, api, demo)
        print(f"{arena.config.title} is at {served.url} (Ctrl+C stops it)", flush=True)
        if stopped is not None:
            stopped.wait()
            print("Stopping: votes under way are finished, what is pending is published.", flush=True)
            served.close(then_exit=True)
    return served


class Signalled:
    """An event for signal handlers, which run in the middle of whatever the main thread does. threading.Event locks
    itself out for ever where that is its own `wait`; and no wait without an end is sure to be woken up, since the
    signal may come just before it blocks, or to another thread."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def wait(self, timeout: float = math.inf) -> bool:
        """Whether it was set within `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self._set and time.monotonic() < end:
            time.sleep(0.05)
        return self._set


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Signalled]:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process as if nobody listened."""
    stopped = Signalled()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: object) -> None:
        for known in before:
            signal.signal(known, signal.SIG_DFL)
        stopped.set()

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_within(seconds: float) -> None:
    """Every vote is on the disk: nothing may keep the process for longer."""

    def end() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
