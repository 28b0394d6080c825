"""The server's log: plain by default, one JSON object a line where it is asked for, without secrets."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from arena.logs import JsonLine, PlainLine, Printed, adopt_server

ROOT = Path(__file__).parents[2]


def record(message: str, *values: object, error: Exception | None = None) -> logging.LogRecord:
    told = (type(error), error, None) if error else None
    return logging.LogRecord("arena.hub", logging.WARNING, "hub.py", 1, message, values, told)


@pytest.mark.parametrize("kind", [PlainLine, JsonLine])
@pytest.mark.parametrize("said, left_out", [
    ("the token hf_abcDEF0123456789 was refused", "hf_abcDEF0123456789"),
    ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
    ("GET https://me:password@hub.test/x", "password"),
    ("cookie: arena_visitor=abc.0123; theme=dark", "abc.0123"),
])  # fmt: skip
def test_secrets_are_left_out_of_messages_and_tracebacks(kind, said, left_out):
    for line in (kind().format(record("%s", said)), kind().format(record("x", error=ValueError(said)))):
        assert left_out not in line and "..." in line


def test_a_json_line_is_one_line_with_its_traceback():
    line = JsonLine().format(record("two\nlines of %s", "text", error=ValueError("why")))
    told = json.loads(line)
    assert "\n" not in line and told["message"] == "two\nlines of text" and "ValueError: why" in told["traceback"]
    assert told["level"] == "warning" and told["logger"] == "arena.hub" and told["time"].endswith("+00:00")


def test_what_is_printed_becomes_lines_of_the_log(caplog):
    with caplog.at_level(logging.INFO):
        print("one", 2, file=(printed := Printed("stdout")))
        printed.write("half a line")
        printed.write(", and the rest\r\n\n")
    assert caplog.messages == ["one 2", "half a line, and the rest"]


def test_the_servers_requests_are_never_logged(served, visitor, caplog):
    adopt_server()
    with caplog.at_level(logging.DEBUG, "uvicorn"):
        visitor.http.get("/arena/meta", headers={"x-forwarded-for": "8.8.4.77"})
        logging.getLogger("uvicorn.access").info('8.8.4.77:1 - "GET /"')
    logging.getLogger("uvicorn.error").info('8.8.4.77:1 - "WebSocket /" 403')  # as it says where it knows WebSockets
    assert not caplog.messages and not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
    assert not any(logging.getLogger(name).handlers for name in ("uvicorn", "uvicorn.error", "uvicorn.access"))


def run(env: dict[str, str]) -> subprocess.CompletedProcess:
    """The app in a process of its own that ends at once, because it can't have its port."""
    return subprocess.run([sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **env}, capture_output=True,
                          text=True, timeout=280)  # fmt: skip


def test_the_log_of_the_app_in_json_and_plain(served, arena_yaml, tmp_path):
    config = arena_yaml(tmp_path / "arena.yaml")
    env = {"ARENA_CONFIG": str(config), "ARENA_DATA_DIR": str(tmp_path / "data"), "SPACE_ID": "me/arena",
           "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(served.port)}  # fmt: skip
    done = run({**env, "ARENA_LOG": "json"})
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 2 and not done.stdout
    assert [line["logger"] for line in lines] == ["root", "stderr"]
    assert "ARENA_SECRET is not set" in lines[0]["message"] and "cannot listen on" in lines[1]["message"]
    plain = run(env)
    assert plain.returncode == 2
    assert "WARNING root: ARENA_SECRET is not set" in plain.stderr and "\ncannot listen on" in plain.stderr


def test_an_unknown_kind_of_log_is_refused():
    done = run({"ARENA_LOG": "xml"})
    assert done.returncode == 2
    assert done.stderr.strip() == 'ARENA_LOG: "xml" is not a kind of log; plain or json'
