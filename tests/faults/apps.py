"""The app as real processes on data folders of their own, for tests that end it in every way."""

from __future__ import annotations

import json
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import yaml

from tests.hub.local_hub import LocalHub
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
DATASET = "tester/arena"
MODELS, PROMPTS = 4, 30


def prepare(folder: Path, *, size: int = 64, prompts: int = PROMPTS) -> Path:
    """A data folder whose bank is filled, and an arena.yaml that publishes every second, both under `folder`."""
    from arena.build import build_arena

    folder.mkdir(parents=True, exist_ok=True)
    models = [{"id": f"fake-{k}", "name": f"Fake {k}", "organisation": "Tests", "family": "fake", "licence": "none",
               "backend": "fake", "source": "fake", "settings": {"width": size, "height": size}}
              for k in range(MODELS)]  # fmt: skip
    rows = [{"prompt": f"a thing of the kind number {k}"} for k in range(prompts)]
    raw = {"title": "Faults", "models": models, "categories": [{"name": "Things", "prompts": rows}],
           "bank": {"display_px": 64}, "limits": {"votes_per_minute": 1e6}}  # fmt: skip
    (folder / "arena.yaml").write_text(yaml.safe_dump(raw))
    arena = build_arena(folder / "arena.yaml", folder / "data", secret=b"a secret of the fault suite, only")
    while arena.refill(arena.studio):
        pass
    arena.studio.close()
    arena.ledger.close()  # the publisher is left alone: nothing is sealed yet
    raw["hub"] = {"dataset": DATASET, "every_seconds": 1}
    (folder / "arena.yaml").write_text(yaml.safe_dump(raw))
    return folder


class App:
    """One process. `data` may be shared with others."""

    def __init__(self, apps: Apps, data: Path, log: Path, port: int, pid: int):
        self._apps, self.data, self.log, self.port, self.pid = apps, data, log, port, pid
        self.url = f"http://127.0.0.1:{port}"

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def up(self, seconds: float = 150) -> App:
        end = time.monotonic() + seconds
        while f"is at {self.url}" not in self.said():
            assert self.status() is None and time.monotonic() < end, f"did not start\n{self.said()[-3000:]}"
            time.sleep(0.02)
        return self

    def status(self) -> int | None:
        """The exit status, None while it runs; negative for the signal that ended it."""
        return self._apps.ended.get(self.pid)

    def wait(self, seconds: float) -> int | None:
        end = time.monotonic() + seconds
        while self.status() is None and time.monotonic() < end:
            time.sleep(0.005)
        return self.status()

    def send(self, number: int) -> None:
        if self.status() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait(60)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> float:
        """Seconds until it had ended, in order."""
        begun = time.monotonic()
        self.send(number)
        status = self.wait(seconds)
        assert status == 0, f"ended with {status} after {seconds} s at most\n{self.said()[-3000:]}"
        return time.monotonic() - begun

    def fill_disk(self) -> None:
        """From now on no file of this process grows, as on a disk that is full."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free_disk(self) -> None:
        if self.status() is None:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Apps:
    """Starts processes on copies of a prepared folder; ends all of them at the end."""

    def __init__(self, prepared: Path):
        self.prepared = prepared
        self.ended: dict[int, int] = {}
        self._running: list[App] = []
        self._started: queue.Queue[int] = queue.Queue()
        self._asking = threading.Lock()
        self._logs: list[subprocess.Popen] = []
        env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
               "HF_HOME": str(prepared / "home"), "no_proxy": "127.0.0.1", "PYTHONPATH": str(ROOT),
               "GRADIO_ANALYTICS_ENABLED": "False"}  # fmt: skip
        self._forker = subprocess.Popen([sys.executable, "-m", "tests.faults.forker"], cwd=ROOT, env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        for line in self._forker.stdout:
            told = json.loads(line)
            if "started" in told:
                self._started.put(told["started"])
            elif "ended" in told:
                self.ended[told["ended"]] = told["status"]

    def folder(self, place: Path, *, empty: bool = False) -> Path:
        """A fresh data folder at `place`, with the bank filled unless it shall be `empty`."""
        if empty:
            place.mkdir(parents=True)
        else:
            shutil.copytree(self.prepared / "data", place)
        return place

    def start(self, data: Path, hub: LocalHub, *, crash: tuple[str, int] | None = None, host: str | None = None,
              command: list[str] | None = None, config: Path | None = None, piped: bool = False) -> App:  # fmt: skip
        """Returns at once; see `App.up`. `piped` writes the log from another process, which no limit concerns."""
        port = free_port()
        log = data.parent / f"log-{time.monotonic_ns()}"
        place = log
        if piped:
            place = log.with_suffix(".pipe")
            os.mkfifo(place)
            self._logs.append(subprocess.Popen(["sh", "-c", f"exec cat '{place}' > '{log}'"]))
        config = config or self.prepared / "arena.yaml"
        env = {"ARENA_CONFIG": str(config), "ARENA_DATA_DIR": str(data), "GRADIO_SERVER_PORT": str(port),
               "HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}  # fmt: skip
        asked = {"env": env, "log": str(place), "host": host, "crash": crash, "command": command}
        with self._asking:  # scenarios are played side by side
            self._forker.stdin.write(json.dumps(asked).encode() + b"\n")
            self._forker.stdin.flush()
            app = App(self, data, log, port, self._started.get(timeout=120))
            self._running.append(app)
        return app

    def end(self) -> None:
        """Kill what still runs."""
        for app in self._running:
            if app.status() is None:
                app.kill()
        for log in self._logs:
            log.wait(60)
        self._running.clear()
        self._logs.clear()

    def close(self) -> None:
        self.end()
        self._forker.stdin.close()
        self._forker.wait(60)
        self._listening.join(60)
        self._forker.stdout.close()
