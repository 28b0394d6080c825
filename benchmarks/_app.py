"""`python app.py` as a process of its own, for the benchmarks that measure the server from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class App:
    """Starts at once; `begun` is when, on time.monotonic's clock. Use as a context manager: it stops at the end."""

    def __init__(self, folder: Path, config: Path = ROOT / "arena.yaml"):
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("ARENA_", "SPACE_", "GRADIO_"))
        }
        env |= {
            "ARENA_CONFIG": str(config),
            "ARENA_DATA_DIR": str(folder / "data"),
            "GRADIO_SERVER_PORT": str(self.port),
        }
        with open(self.log, "wb") as log:
            self.begun = time.monotonic()
            self.process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log)

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def cpu_seconds(self) -> float:
        """What the process has used of processors so far, all threads together; NaN where that is not told."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, AttributeError, ValueError):
            return float("nan")

    def cookie(self, seconds: float = 120.0) -> str:
        """A new visitor's cookie, as soon as the page is served."""
        end = self.begun + seconds
        while True:
            try:
                with urllib.request.urlopen(self.url + "/", timeout=10) as page:
                    return page.headers["set-cookie"].split(";")[0]
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"app.py did not start:\n{self.log.read_text(errors='replace')}") from None
                time.sleep(0.05)
