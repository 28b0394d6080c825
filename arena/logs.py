"""The server's log: plain lines, or one JSON object a line for machines (`ARENA_LOG=json`).

What is logged names no voter: no hash, cookie, address or account, and no text of a private prompt; nothing here
could take them out again. Secrets that a library puts into an error are taken out before a line is written.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime

SECRETS = re.compile(r"\bhf_\w+|\bBearer\s+\S+|(?<=://)[^/@\s]+@|(?<=_visitor=)[^;\s]+")
SERVER = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def set_up(*, json_lines: bool = False) -> None:
    """Log to stderr from now on. With `json_lines` all that is printed becomes lines of the log too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if json_lines else PlainLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # The HTTP client tells the address of every request.
    for client in ("httpx", "httpx2"):  # a line a request
        logging.getLogger(client).setLevel(logging.WARNING)
    if json_lines:
        logging.raiseExceptions = False  # it would print, which is logging again
        sys.stdout, sys.stderr = Printed("stdout"), Printed("stderr")


def adopt_server() -> None:
    """Have the web server's errors in our log, and no line a request: those hold visitors' addresses. The server
    sets up logging of its own when it starts, so this comes after."""
    for name in SERVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    # Where a library for WebSockets is installed, each of their requests is told here, with its address.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def without_secrets(text: str) -> str:
    return SECRETS.sub("...", text)


class PlainLine(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonLine(logging.Formatter):
    """{"time", "level", "logger", "message"} and, with an error, its "traceback"."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class Printed(io.TextIOBase):
    """Stands in for stdout or stderr: every line that is printed is logged."""

    def __init__(self, name: str):
        self._log = logging.getLogger(name)
        self._begun = threading.local()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun.text = re.split(r"[\r\n]", getattr(self._begun, "text", "") + text)
        for line in lines:
            if line.strip():
                self._log.info("%s", line)
        return len(text)
