"""app.py as a process: what it prints, how it stops, and that nothing acknowledged is lost when it does."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from arena.ui.launch import stopped_by_signals

ROOT = Path(__file__).parents[2]


class App:
    """`python app.py` in a process of its own, on one data folder and port."""

    def __init__(self, folder: Path, config: Path, port: int, **env: str):
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"log-{time.monotonic_ns()}"
        env = {**os.environ, "ARENA_CONFIG": str(config), "ARENA_DATA_DIR": str(folder / "data"),
               "GRADIO_SERVER_PORT": str(port), **env}  # fmt: skip
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def up(self) -> App:
        end = time.monotonic() + 200
        while f"is at {self.url}" not in self.said():
            assert self.process.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.1)
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


@pytest.fixture
def app(tmp_path: Path, arena_yaml: Callable[..., Path], free_port: Callable[[], int]) -> Iterator[Callable[..., App]]:
    config, port, started = arena_yaml(tmp_path / "arena.yaml"), free_port(), []

    def begin(**env: str) -> App:
        started.append(App(tmp_path, config, port, **env))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def votes(folder: Path) -> set[str]:
    with sqlite3.connect(folder / "data" / "ledger.sqlite") as db:
        return {row[0] for row in db.execute("SELECT battle_id FROM votes")}


def test_restart_in_the_middle_of_a_battle_and_stop_under_load(app, tmp_path, visit):
    first = app().up()
    visitor = visit(first.url)
    voted, ahead = visitor.next(), None
    assert visitor.vote(voted).status_code == 200
    battle = visitor.next()
    ahead = visitor.next(after=battle["battle_id"])
    pictures = [visitor.http.get(battle[side]).content for side in ("image_a", "image_b")]
    first.stop(signal.SIGKILL)

    second = app().up()
    assert visitor.next() == battle
    assert [visitor.http.get(battle[side]).content for side in ("image_a", "image_b")] == pictures
    assert visitor.vote(voted).status_code == 409
    assert visitor.vote(battle, "both_bad").status_code == 200
    assert visitor.next() == ahead

    acknowledged, refused = {voted["battle_id"], battle["battle_id"]}, []

    def go_on_voting() -> None:
        try:
            person = visit(second.url)
            while True:
                found = person.post("/arena/next")
                if found.status_code == 200 and found.json()["battle"] is None:
                    return  # every battle was seen
                answer = person.vote(found.json()["battle"]) if found.status_code == 200 else found
                if answer.status_code != 200:
                    refused.append(answer)
                    return
                acknowledged.add(found.json()["battle"]["battle_id"])
        except httpx.TransportError:
            return

    people = [threading.Thread(target=go_on_voting) for _ in range(6)]
    for person in people:
        person.start()
    while len(acknowledged) < 10 and any(person.is_alive() for person in people):
        time.sleep(0.05)
    assert second.stop() == 0, second.said()
    for person in people:
        person.join(130)
    on_disk = votes(tmp_path)
    assert acknowledged <= on_disk
    assert len(on_disk - acknowledged) <= len(people), "a vote whose answer was lost is at most one a voter"
    assert all(answer.status_code in (429, 503) for answer in refused), [answer.text for answer in refused]
    assert "Traceback" not in second.said()
    assert stat.S_IMODE(os.stat(tmp_path / "data" / "secret").st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_and_the_second_one_insists(number):
    before = signal.getsignal(number)
    with stopped_by_signals() as stopped:
        os.kill(os.getpid(), number)
        assert stopped.wait(60)
        assert signal.getsignal(number) is signal.SIG_DFL
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("env, says", [
    ({"GRADIO_SERVER_PORT": "http"}, 'GRADIO_SERVER_PORT: "http" is not a port'),
    ({"ARENA_CONFIG": "nowhere.yaml"}, "nowhere.yaml: no such file"),
    ({"ARENA_DATA_DIR": "/dev/null/data"}, "cannot be used as a ledger"),
])  # fmt: skip
def test_what_cannot_work_is_said_in_one_line(app, env, says):
    failed = app(**env)
    assert failed.process.wait(280) == 2
    assert says in failed.said() and len(failed.said().strip().splitlines()) == 1, failed.said()


def test_port_that_is_taken(app, served):
    failed = app(GRADIO_SERVER_PORT=str(served.port))
    assert failed.process.wait(280) == 2
    assert f"cannot listen on 127.0.0.1:{served.port} (Address already in use)" in failed.said()
    assert "Traceback" not in failed.said()
