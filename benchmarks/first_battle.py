"""Time from the start of `python app.py` to the first battle, over HTTP, with arena.yaml's own models.

Cold: each run is a new process on an empty data folder, so the first battle's pictures are really drawn. What the
operating system holds of the files in its cache is not dropped. Run with --runs 5 for more than three.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from _app import App
from _machine import describe, table

LIMIT = 120.0  # seconds; a run that takes longer is a failure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print(describe("gradio", "torch", "diffusers"))
    rows: list[list[object]] = []
    for run in range(runs):
        with tempfile.TemporaryDirectory() as folder, App(Path(folder)) as app:
            rows.append([run + 1, *measure(app)])
    rows.append(["median", *(statistics.median(row[k] for row in rows) for k in (1, 2, 3))])
    print(table(["run", "page s", "battle s", "both pictures s"], rows))


def measure(app: App) -> tuple[float, float, float]:
    """Seconds since the start until the page is served, until it gets a battle, and until it has both pictures."""
    cookie = app.cookie()
    page = time.monotonic() - app.begun
    battle = None
    while battle is None:
        if time.monotonic() - app.begun > LIMIT:
            raise SystemExit(f"no battle in {LIMIT:.0f} s:\n{app.log.read_text(errors='replace')}")
        battle = ask(app.url, cookie)
        if battle is None:
            time.sleep(0.1)  # the page asks again, too
    served = time.monotonic() - app.begun
    for side in ("image_a", "image_b"):
        with urllib.request.urlopen(app.url + battle[side], timeout=30) as picture:
            picture.read()
    return page, served, time.monotonic() - app.begun


def ask(url: str, cookie: str) -> dict | None:
    headers = {"content-type": "application/json", "cookie": cookie}
    request = urllib.request.Request(url + "/arena/next", b"{}", headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["battle"]  # None while the first images are being drawn
    except urllib.error.HTTPError as error:
        if error.code == 429:  # asked too often
            return None
        raise


if __name__ == "__main__":
    main()
