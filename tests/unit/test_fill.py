"""The command fill: makes what is missing and nothing else, can be stopped, and says how long it will take."""

import fcntl
import functools
import io
import os
import pty
import random
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from arena.build import build_arena, start
from arena.errors import BackendUnavailable, ConfigError, ImageRejected, NoBattle
from arena.fill import Forecast, add_parser, chosen, fill, in_turns, lasting
from arena.ledger import Ledger
from tests.unit.conftest import Clock

ROOT = Path(__file__).parents[2]
MODELS = [f"model-{c}" for c in "abcd"]


def asked(**options):
    import argparse

    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return add_parser(argparse.ArgumentParser().add_subparsers()).parse_args(words)


def things(**categories):
    return [{"name": name, "prompts": [{"prompt": f"{name} {k}"} for k in range(n)]} for name, n in categories.items()]


def test_prompts_are_taken_from_the_categories_in_turn_and_models_by_their_ids(make_arena):
    arena = make_arena(categories=things(One=5, Two=1, Three=5))
    wanted = chosen(arena, asked(prompts=5, models="model-d, model-a"))
    assert sorted({w.prompt.prompt for w in wanted}) == ["One 0", "One 1", "Three 0", "Three 1", "Two 0"]
    assert Counter(w.model for w in wanted) == {"model-a": 5, "model-d": 5}
    assert len(chosen(arena, asked())) == 44 and len(chosen(arena, asked(limit=7))) == 7
    assert len(chosen(arena, asked(prompts=1000))) == 44


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": "model-a,modle-b"}, 'unknown "modle-b"; all, or some of model-a, model-b, model-c, model-d'),
        ({"models": ","}, "unknown"),
        ({"prompts": 0}, "1 or more"),
        ({"limit": -3}, "1 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused_aloud(make_arena, options, said):
    with pytest.raises(ConfigError, match=said):
        chosen(make_arena(), asked(**options))


def test_a_turn_is_some_prompts_with_one_model_after_the_other_and_turns_grow(make_arena):
    """The next turn begins with the model that ended the one before: it is in memory."""
    arena = make_arena(categories=things(One=9))
    wanted = arena.stock.lacking(models=["model-a", "model-b"])
    order = " ".join(w.prompt.prompt[-1] + w.model[-1] for w in in_turns(wanted, 1, 4))
    assert order == "0a 0b 1b 2b 1a 2a 3a 4a 5a 6a 3b 4b 5b 6b 7b 8b 7a 8a"
    assert sorted(in_turns(wanted), key=wanted.index) == wanted


def test_what_is_there_is_not_made_again(make_arena):
    arena, out = make_arena(categories=things(One=3)), io.StringIO()
    assert fill(arena, chosen(arena, asked(prompts=2)), out=out) == 0
    assert arena.ledger.counts()["images"] == 8 and "8 images made" in out.getvalue()
    arena.close()
    again, out = make_arena(categories=things(One=3)), io.StringIO()
    wanted = chosen(again, asked())
    assert len(wanted) == 4 and fill(again, wanted, out=out) == 0
    assert "4 images to make" in out.getvalue() and " at 0.0" in out.getvalue(), "timed by the images of before"
    assert fill(again, chosen(again, asked()), out=out) == 0 and out.getvalue().endswith("nothing is missing\n")
    assert again.missing() == 4 and not again.refill(again.studio), "the app's own list finds them done"


def test_a_key_is_always_the_same_request(make_arena):
    first, second = make_arena(seed=1), make_arena(seed=2)
    keys = [[(w.prompt.prompt_id, w.model, w.replicate) for w in arena.stock.lacking()] for arena in (first, second)]
    assert keys[0] == keys[1] and {replicate for *_, replicate in keys[0]} == {0}
    seeds = {first.stock.request(w.prompt, w.model, r).seed for w in first.stock.lacking() for r in range(4)}
    assert len(seeds) == 4 * len(keys[0]), "every replicate has a seed of its own"
    for wanted in second.stock.lacking():
        assert first.stock.request(wanted.prompt, wanted.model, 2) == second.stock.request(
            wanted.prompt, wanted.model, 2
        )


class Failing:
    """A backend in which one model is broken, and another answers with a blocked image where `blocked` says so."""

    def __init__(self, blocked=()):
        from arena.backends.fake import FakeBackend

        self.fake, self.blocked, self.asked = FakeBackend(), set(blocked), []

    def generate(self, requests, *, progress, cancelled):
        [request] = requests
        self.asked.append((request.model.id, request.seed))
        if request.model.id == "model-a":
            raise BackendUnavailable("out of memory")
        if len(self.asked) in self.blocked:
            raise ImageRejected("blocked")
        return self.fake.generate(requests, progress=progress, cancelled=cancelled)

    def takes(self, model):
        return 1

    def check(self, model):
        return []

    def close(self):
        pass


def test_a_broken_model_is_given_up_and_the_others_are_filled(make_arena):
    backend, out = Failing(), io.StringIO()
    arena = make_arena(backend=backend, categories=things(One=6))
    assert fill(arena, chosen(arena, asked()), out=out) == 1
    assert arena.ledger.counts()["images"] == 18
    assert sum(model == "model-a" for model, _ in backend.asked) == 3
    assert "6 of model-a are still missing" in out.getvalue()
    assert Counter(w.model for w in arena.stock.lacking()) == {"model-a": 6}


def test_a_blocked_picture_is_tried_with_the_next_seeds(make_arena):
    backend = Failing(blocked={1, 2})
    arena = make_arena(backend=backend, categories=things(One=1))
    assert fill(arena, chosen(arena, asked(models="model-b")), out=io.StringIO()) == 0
    assert len(backend.asked) == len(set(backend.asked)) == 3
    [image] = arena.ledger.banked_images()
    assert image.seed == arena.stock.request(arena.stock.curated[0], "model-b", 2).seed


def test_the_forecast_adds_up(make_arena):
    arena = make_arena(categories=things(One=10))
    forecast = Forecast(arena.stock.lacking(models=["model-a", "model-b", "model-c"]))
    assert forecast.seconds_left() is None and forecast.line() == "? left, ? MB in all"
    forecast.add("model-a", 60.0, 1_000_000)  # the machine was busy
    for _ in range(4):
        forecast.add("model-a", 2.0, 1_000_000)
    forecast.add("model-b", 4.0, 3_000_000)
    # a: 5 of 2 s, b: 9 of 4 s, c, never timed: 10 of 3 s
    assert forecast.seconds_left() == 5 * 2 + 9 * 4 + 10 * 3
    assert forecast.megabytes() == pytest.approx(10 * 1 + 10 * 3 + 10 * 2)
    forecast.drop("model-c", 10)
    assert forecast.seconds_left() == 46 and forecast.total == 20
    assert forecast.line() == "46 s left, 40 MB in all"
    assert [lasting(s) for s in (40, 720, 18720)] == ["40 s", "12 min", "5.2 h"]


def test_without_a_terminal_a_plain_line_is_written_now_and_then(make_arena):
    clock, out = Clock(), io.StringIO()

    def ticking():
        clock.now += random.Random(1).random() * 2
        return clock.now

    arena = make_arena(categories=things(One=20))
    fill(arena, chosen(arena, asked()), out=out, clock=ticking)
    lines = out.getvalue().splitlines()
    assert "\r" not in out.getvalue() and 5 < len(lines) < 40
    assert all(" left, " in line and " MB in all" in line for line in lines[1:-1])


@pytest.fixture
def folder(tmp_path):
    models = [{"id": m, "name": m, "organisation": "O", "family": m, "licence": "mit", "backend": "fake", "source": "s",
               "settings": {"width": 256, "height": 256}} for m in MODELS]  # fmt: skip
    (tmp_path / "arena.yaml").write_text(yaml.safe_dump({"models": models, "categories": things(One=600)}))
    return tmp_path


def command(folder, *words):
    return [sys.executable, "-m", "arena", "--config", str(folder / "arena.yaml"), "--data-dir", str(folder / "data"),
            "fill", *words]  # fmt: skip


def images(folder):
    ledger = Ledger(folder / "data" / "ledger.sqlite")
    try:
        return ledger.banked_images()
    finally:
        ledger.close()


def test_stopped_by_control_c_it_keeps_what_it_made_and_goes_on_from_there(folder):
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # who runs the tests may ignore it
    process = subprocess.Popen(command(folder), cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    end = time.monotonic() + 200
    while time.monotonic() < end and len(list((folder / "data").rglob("*.png"))) < 10:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=200)[1]
    assert "stopped; what was made is kept" in said and "Traceback" not in said, said
    kept, files = images(folder), len(list((folder / "data" / "bank").rglob("*.png")))
    assert 9 <= len(kept) < 2400 and 0 <= files - len(kept) <= 1, "at most the image that was under way is lost"
    ran = subprocess.run(command(folder, "--prompts", "8", "--models", "all"), cwd=ROOT, capture_output=True, text=True,
                         timeout=300)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    now = images(folder)
    assert {i.image_id for i in kept} <= {i.image_id for i in now}
    assert len({(i.prompt_id, i.model, i.seed) for i in now}) == len(now) >= 32


def test_a_running_app_shows_what_another_process_makes(folder):
    """The app draws nothing itself here; what `fill` made beside it is there a moment later."""
    path = folder / "arena.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "bank": {"fill": False}}))
    arena = build_arena(path, folder / "data")
    try:
        start(arena)
        with pytest.raises(NoBattle):
            arena.next_battle("ann")
        ran = subprocess.run(command(folder, "--prompts", "3"), cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        end = time.monotonic() + 30
        while sum(arena.stock.shelf.sizes().values()) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        assert arena.meta()["categories"][0]["prompts"] == 3 and arena.next_battle("ann")
    finally:
        arena.close()


def test_who_has_seen_all_gets_what_another_process_made_at_once_and_it_is_wanted_no_more(folder):
    arena = build_arena(folder / "arena.yaml", folder / "data")  # not started: nothing looks by itself
    try:
        missing = arena.missing()
        with pytest.raises(NoBattle):
            arena.next_battle("ann")
        subprocess.run(command(folder, "--prompts", "1"), cwd=ROOT, check=True, capture_output=True, timeout=120)
        assert arena.next_battle("ann") and arena.missing() == missing - len(MODELS)
    finally:
        arena.close()


def test_a_terminal_gets_a_bar_and_a_wrong_model_its_line(folder):
    ran = subprocess.run(command(folder, "--models", "nobody"), cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 2 and ran.stderr.startswith('--models: unknown "nobody"') and ran.stderr.count("\n") == 1
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(command(folder, "--prompts", "3"), cwd=ROOT, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # the terminal is closed when the process ends
        pass
    os.close(ours)
    assert process.wait(timeout=200) == 0
    assert b"12/12 images" in said and b"MB in all" in said and b"|" in said
