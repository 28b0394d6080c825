"""Combinations of an end of the app and a fault of the Hub, drawn from a seed, and how one of them is played.

Voters vote all the while. At some moment the Hub fails, at some moment the app ends, it starts again, the Hub
heals, before or after that; in the end the app is stopped, or publishing is waited for, and everything is checked.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from arena.ui.launch import AT_MOST
from tests.faults.apps import DATASET, App, Apps
from tests.faults.checks import assert_loads_at_every_commit, assert_nothing_lost_and_nothing_twice, missing
from tests.faults.crowd import Crowd
from tests.faults.forker import CRASHED, STEPS
from tests.hub.local_hub import LocalHub

WRITES = r"POST .*/commit/|PUT /lfs/"
COMMIT = r"POST .*/commit/"
FAULTS: dict[str, dict] = {
    "none": {},
    "503": {"match": "", "status": 503},
    "429, retry after 1 s": {"match": "POST ", "status": 429, "headers": {"Retry-After": "1"}},
    "reset before the commit": {"match": WRITES, "reset": True},
    "reset during the commit": {"match": WRITES, "midway": True},
    "reset after the commit": {"match": COMMIT, "after": "reset"},
    "commit done, answered 500": {"match": COMMIT, "after": 500},
    "hang": {"match": "", "hang": 300},
    "hang, then done": {"match": COMMIT, "hang": 300, "late": True},
    "token revoked": {},
    "commits used up": {},
    "head that lags": {},
    "absent at start": {},
    ".gitignore": {},
}
AT_START = ("absent at start", ".gitignore", "head that lags")  # set up before the first process begins
ENDS = ("kill -9", "SIGTERM", "SIGINT", *(f"crash: {step}" for step in STEPS), "kill as the commit arrives",
        "kill as the commit lands", "disk full", "two processes", "two replicas", "restart with overlap")  # fmt: skip
IN_TIME = AT_MOST + 20  # seconds: a busy machine wakes a process up some time after that
CRASH_SECONDS = 12  # a step that is not come to by then, since the Hub fails before it, ends in kill -9


@dataclass(frozen=True)
class Scenario:
    end: str
    fault: str
    seed: int

    def __str__(self) -> str:
        return f"{self.end} + {self.fault} ({self.seed})"


def scenarios(seed: int) -> Iterator[Scenario]:
    """Without end. The first len(ENDS) * len(FAULTS) are all pairs, and any stretch is spread over all kinds."""
    rng, faults = random.Random(seed), list(FAULTS)
    rng.shuffle(faults)
    for round_ in itertools.count():
        for k, end in enumerate(ENDS):
            yield Scenario(end, faults[(k + round_) % len(faults)], rng.randrange(2**32))


def play(scenario: Scenario, apps: Apps, folder: Path) -> dict[str, int]:
    """Counts; raises AssertionError where something was lost, doubled or not to be loaded."""
    folder.mkdir(parents=True)
    with LocalHub() as hub:
        return Play(scenario, apps, folder, hub).run()


class Play:
    """One scenario on a Hub of its own, with its files under `folder`."""

    def __init__(self, scenario: Scenario, apps: Apps, folder: Path, hub: LocalHub):
        self.scenario, self.apps, self.folder, self.hub = scenario, apps, folder, hub
        self.rng = random.Random(scenario.seed)
        self.data = [apps.folder(folder / "one")]
        self.crowds: list[Crowd] = []
        self.started: list[App] = []
        self.alone = scenario.end != "two replicas"
        if not self.alone:
            self.data.append(apps.folder(folder / "two"))
            (self.data[1] / "secret").unlink(missing_ok=True)
        # Several Spaces have names of their own; two computers may well share one.
        self.hosts = ["one", self.rng.choice(["one", "two"])]

    def run(self) -> dict[str, int]:
        if self.scenario.fault in AT_START:
            self.break_hub()
        try:
            self._play()
            self._settle()
        finally:
            for app in self.started:
                app.kill()
        ledgers = [data / "ledger.sqlite" for data in self.data]
        counts = assert_nothing_lost_and_nothing_twice(self.hub, ledgers, self.crowds, alone=self.alone)
        return {**counts, "commits": assert_loads_at_every_commit(self.hub, alone=self.alone)}

    # -- the Hub -------------------------------------------------------------------------------------------

    def break_hub(self) -> None:
        hub, fault = self.hub, self.scenario.fault
        if fault == "absent at start":
            hub.down()
        elif fault == "token revoked":
            hub.revoke()
        elif fault == "commits used up":
            hub.commits_left = self.rng.randrange(2)
        elif fault == "head that lags":
            hub.behind = self.rng.choice([1, 2])
        elif fault == ".gitignore":
            api = self._api()
            api.create_repo(DATASET, repo_type="dataset", exist_ok=True)
            pattern = self.rng.choice([b"*.parquet\n", b"data/votes/*\n"])
            api.create_commit(DATASET, [CommitOperationAdd(".gitignore", pattern)], commit_message="ignore",
                              repo_type="dataset")  # fmt: skip
        elif fault != "none":
            times = -1 if fault in ("503", "hang", "429, retry after 1 s") else self.rng.choice([1, 2, 5])
            hub.faults.add(**FAULTS[fault], times=times)

    def heal_hub(self) -> None:
        self.hub.heal()
        if self.scenario.fault == ".gitignore" and ".gitignore" in self.hub.head(DATASET).tree:
            self._api().delete_file(".gitignore", DATASET, repo_type="dataset")

    def _api(self) -> HfApi:
        return HfApi(endpoint=self.hub.url, token=self.hub.token)

    # -- the app -------------------------------------------------------------------------------------------

    def start(self, which: int = 0, *, crash: tuple[str, int] | None = None) -> App:
        app = self.apps.start(self.data[which], self.hub, crash=crash, host=self.hosts[which],
                              piped=self.scenario.end == "disk full")  # fmt: skip
        self.started.append(app)
        return app

    def _play(self) -> None:
        end, rng = self.scenario.end, self.rng
        step = end.removeprefix("crash: ") if end.startswith("crash: ") else None
        running = [self.start(0, crash=(step, rng.choice([1, 2, 3, 5])) if step else None)]
        if end in ("two processes", "two replicas"):
            running.append(self.start(1 if end == "two replicas" else 0))
        for app in running:
            if app.wait(0.1) is None:
                self._up(app)
        crowd = Crowd([app.url for app in running], count=2 * len(running), rng=rng)
        self.crowds.append(crowd)
        with crowd:
            crowd.until(rng.randrange(1, 12), seconds=10)
            if self.scenario.fault not in AT_START:
                self.break_hub()
            crowd.until(len(crowd.votes) + rng.randrange(2, 20), seconds=10)
            time.sleep(rng.random() * 1.5)
            heals_first = rng.random() < 0.5
            if heals_first and not step:
                self.heal_hub()
            running = self._end(running, crowd)
            if not heals_first:
                crowd.urls[:] = [app.up().url for app in running]
                crowd.until(len(crowd.votes) + rng.randrange(2, 10), seconds=10)
            self.heal_hub()
            crowd.urls[:] = [app.up().url for app in running]
            crowd.until(len(crowd.votes) + rng.randrange(3, 12), seconds=15)
            self.running = running

    def _up(self, app: App) -> None:
        """A crash may come before the server is up."""
        try:
            app.up()
        except AssertionError:
            if app.status() != CRASHED:
                raise

    def _end(self, running: list[App], crowd: Crowd) -> list[App]:
        """End the app in the scenario's way; returns what runs now (perhaps not yet up)."""
        end, rng, first = self.scenario.end, self.rng, running[0]
        if end == "kill -9":
            first.kill()
        elif end in ("SIGTERM", "SIGINT"):
            took = first.stop(signal.SIGTERM if end == "SIGTERM" else signal.SIGINT)
            assert took < IN_TIME, f"{end} took {took:.1f} s"
        elif end.startswith("crash: "):
            if first.wait(CRASH_SECONDS / 2) is None:
                self.heal_hub()  # a Hub that fails may keep the step from being reached
            if first.wait(CRASH_SECONDS / 2) is None:
                first.kill()
            assert first.status() in (CRASHED, -9), f"ended with {first.status()}\n{first.said()[-2000:]}"
        elif end.startswith("kill as"):
            self.hub.heal()
            self.hub.faults.add(COMMIT, **{"call" if end.endswith("arrives") else "called_after": first.kill})
            first.wait(CRASH_SECONDS)
            first.kill()
            self.hub.faults.clear()
        elif end == "disk full":
            first.fill_disk()
            before = crowd.sent()
            time.sleep(1)
            assert crowd.votes.keys() <= before, "votes were acknowledged with the disk full"
            if rng.random() < 0.5:
                first.free_disk()
                return running
            first.kill()
        elif end in ("two processes", "two replicas"):
            first.kill()
            if end == "two processes" and rng.random() < 0.5:
                return running[1:]
            return [self.start(0), running[1]]
        elif end == "restart with overlap":
            second = self.start(0).up()
            crowd.urls[:] = [second.url]
            time.sleep(rng.random())
            first.stop(rng.choice([signal.SIGTERM, signal.SIGINT]))
            return [second]
        return [self.start(0)]

    def _settle(self) -> None:
        """Either end the app in order, which publishes what is pending, or wait for the schedule."""
        if self.rng.random() < 0.3:
            end = time.monotonic() + 25
            while missing(self.hub, [data / "ledger.sqlite" for data in self.data]) and time.monotonic() < end:
                time.sleep(0.05)
        for app in self.running:
            took = app.stop()
            assert took < IN_TIME, f"the end took {took:.1f} s"
