"""The orderly end of the app: what is pending is published, and the process is gone in time, whatever the Hub does."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image as Pillow

from arena.bank import Bank
from arena.ledger import Ledger
from arena.records import Image
from tests.faults.apps import ROOT
from tests.faults.checks import assert_loads_at_every_commit, assert_nothing_lost_and_nothing_twice, table
from tests.faults.crowd import Crowd
from tests.hub.local_hub import LocalHub
from tests.slowness import slowness

BATTLES = 100
HEALTHY, ANY_CASE = 5.0, 20.0  # seconds from the signal to the end of the process, on a machine that is not busy


def add_pictures(data: Path, count: int, size: int = 256) -> None:
    """Pictures that no codec makes small, as it can the fake models'."""
    bank, ledger, rng = Bank(data / "bank", display_px=64), Ledger(data / "ledger.sqlite"), random.Random(7)
    like = ledger.banked_images()[0]
    for k in range(count):
        noise = Pillow.frombytes("RGB", (size, size), rng.randbytes(3 * size * size))
        image_id, _ = bank.add(noise)
        ledger.add_image(Image(image_id, like.prompt_id, f"noise-{k}", "", 7, size, size, "{}", 1.0, "cpu",
                               ledger.now(), "none"))  # fmt: skip
    ledger.close()


@pytest.mark.timeout(300)
def test_sigterm_with_a_hundred_battles_pending_and_with_a_hub_that_hangs(apps, tmp_path):
    with LocalHub() as healthy, LocalHub() as hanging:
        for hub in (healthy, hanging):  # nothing is sealed, let alone published, before the signal
            hub.faults.add("", hang=600, times=-1)
        data = apps.folder(tmp_path / "one" / "data")
        add_pictures(data, 2 * BATTLES - 120)  # the fake models' are there already
        good, stuck = apps.start(data, healthy), apps.start(apps.folder(tmp_path / "two" / "data"), hanging)
        with Crowd([good.up().url], count=4, rng=random.Random(1)) as crowd:
            crowd.until(BATTLES)
        with Crowd([stuck.up().url], count=2, rng=random.Random(2)) as others:
            others.until(10)
        slow, begun = slowness(), time.monotonic()
        stuck.send(signal.SIGTERM)
        healthy.faults.clear()
        took = good.stop(signal.SIGTERM)
        slow = max(slow, slowness())
        assert took <= HEALTHY * slow, f"{took:.1f} s, things take {slow:.1f} times as long here\n{good.said()[-3000:]}"
        assert len(table(healthy, "images")) == 2 * BATTLES and len(crowd.votes) >= BATTLES
        assert_nothing_lost_and_nothing_twice(healthy, [data / "ledger.sqlite"], [crowd])
        assert_loads_at_every_commit(healthy)

        assert stuck.wait(ANY_CASE * slow - (time.monotonic() - begun)) == 0, stuck.said()[-3000:]
        hanging.heal()
        stuck = apps.start(tmp_path / "two" / "data", hanging).up()
        stuck.stop()
        assert_nothing_lost_and_nothing_twice(hanging, [tmp_path / "two" / "data" / "ledger.sqlite"], [others])


RACE = """
import os, signal, time
from arena.ui.launch import stopped_by_signals

told, tell = os.pipe()
for _ in range(100):
    child = os.fork()
    if child == 0:
        with stopped_by_signals() as stopped:
            os.write(tell, b"x")
            stopped.wait()
            os._exit(0)
    os.read(told, 1)
    os.kill(child, signal.SIGTERM)
    end = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            raise SystemExit("a signal was not heard")
        time.sleep(0.001)
"""


def test_a_signal_is_heard_at_whatever_moment_it_comes():
    run = subprocess.run([sys.executable, "-c", RACE], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr
