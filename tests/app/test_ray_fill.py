"""fill --ray: two raylets on the loopback, one of which is killed, and drivers that are killed as well."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from arena.backends.base import Request
from arena.backends.fake import FakeBackend
from arena.build import build_arena
from arena.config import parse_config
from arena.errors import BackendUnavailable, ClusterError, ImageRejected
from arena.ray_fill import DEATHS, RayFill
from arena.ray_maker import GIVE_UP, Maker, Tally
from tests.image_server import ImageServer
from tests.raylets import Raylets

ROOT = Path(__file__).parents[2]
MODELS, PROMPTS, PX = 4, 300, 192


def write_yaml(path: Path, *, models: int = MODELS, prompts: int = PROMPTS, **changes: Any) -> Path:
    rows = [{"id": f"fake-{k}", "name": f"Fake {k}", "organisation": "Tests", "family": f"f{k}", "licence": "none",
             "backend": "fake", "source": "fake", "settings": {"width": PX, "height": PX + 32 * (k % 2)}}
            for k in range(models)]  # fmt: skip
    path.write_text(yaml.safe_dump({
        "models": rows + changes.pop("more_models", []), "bank": {"display_px": 96}, **changes,
        "categories": [{"name": "Things", "prompts": [{"prompt": f"thing number {k}"} for k in range(prompts)]}],
    }))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def raylets() -> Iterator[Raylets]:
    running = Raylets()
    yield running
    running.close()


@pytest.fixture
def fill(raylets: Raylets) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts `python -m arena fill --ray` as people do, in a process of its own."""
    started: list[subprocess.Popen] = []

    def begin(config: Path, data: Path, *more: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "arena", "--config", config, "--data-dir", data, "fill", "--ray",
                   raylets.address, *more]  # fmt: skip
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, "PYTHONWARNINGS": "default"}))  # fmt: skip
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=120)


def images(data: Path) -> list[tuple[str, str, int, str]]:
    """(prompt_id, model, seed, image_id) of the ledger's images, in the order in which they came."""
    if not (data / "ledger.sqlite").exists():
        return []
    db = sqlite3.connect(f"file:{data / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        return db.execute("SELECT prompt_id, model, seed, image_id FROM images ORDER BY seq").fetchall()
    except sqlite3.OperationalError:  # it is just being made
        return []
    finally:
        db.close()


def wait_for(data: Path, many: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 240
    while len(images(data)) < many:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, f"{len(images(data))} images of {many} in four minutes"
        time.sleep(0.02)


@pytest.mark.slow
def test_no_key_is_lost_or_twice_when_a_driver_and_then_a_machine_are_killed(raylets, fill, tmp_path):
    total, config = MODELS * PROMPTS, write_yaml(tmp_path / "arena.yaml")
    plain = build_arena(config, tmp_path / "plain")
    while plain.refill(plain.studio):
        pass
    plain.close()
    expected = set(images(tmp_path / "plain"))
    assert len(expected) == total

    data = tmp_path / "data"
    first = fill(config, data)
    wait_for(data, total // 8, first)
    first.kill()
    first.wait(120)
    kept = len(images(data))
    assert kept < total, "it was killed too late to show anything"

    second = fill(config, data)
    wait_for(data, kept + total // 4, second)
    raylets.kill_the_second()
    assert len(images(data)) < total, "it was killed too late to show anything"
    said = second.communicate(timeout=300)[0]
    assert second.returncode == 0, said
    assert f"{total - kept} images made" in said  # a restart makes what is missing, and nothing else

    found = images(data)
    assert len(found) == total and len({key[:3] for key in found}) == total
    assert set(found) == expected  # every picture is, byte for byte, that of the plain fill
    again = build_arena(config, data)
    try:
        assert again.stock.lacking() == []
        assert all(again.bank.has(image_id) and again.bank.display(image_id) for *_, image_id in found)
    finally:
        again.close()


@pytest.mark.slow
def test_a_model_that_fails_is_told_of_and_the_others_are_made_on_shared_storage(fill, tmp_path):
    broken = {"id": "broken", "name": "B", "organisation": "Tests", "family": "b", "licence": "none", "backend": "fake",
              "source": "fake", "settings": {"width": 0, "height": 0}}  # fmt: skip
    config = write_yaml(tmp_path / "arena.yaml", models=2, prompts=10, more_models=[broken], cluster={"block": 3})
    running = fill(config, tmp_path / "data", "--shared")
    said = running.communicate(timeout=300)[0]
    assert running.returncode == 1, said
    assert "20 images made" in said and "broken are still missing" in said, said
    assert "will be removed in Ray" not in said, said
    found = images(tmp_path / "data")
    assert {model for _, model, *_ in found} == {"fake-0", "fake-1"} and len(found) == 20
    assert all(any((tmp_path / "data" / "bank").rglob(f"{image_id}.png")) for *_, image_id in found)


class Killing(ImageServer):
    """Ends the process that asks for a picture of the prompt `fatal`, as a fault of a driver would."""

    def __init__(self, fatal: str):
        super().__init__()
        self.fatal, self.killed = fatal, 0

    def __enter__(self) -> Killing:
        import psutil

        super().__enter__()
        handler = self._server.RequestHandlerClass
        draw = handler.draw

        def kill_or_draw(answering, value, body):
            if body["inputs"] != self.fatal:
                return draw(answering, value, body)
            # A connection that is being closed has no process any more.
            asking = {c.pid for c in psutil.net_connections("tcp4") if c.laddr == answering.client_address and c.pid}
            self.killed += len(asking)
            for process in asking:
                os.kill(process, signal.SIGKILL)

        handler.draw = kill_or_draw
        return self


@pytest.mark.slow
def test_a_picture_that_kills_every_actor_is_given_up_and_no_other_is_lost(fill, tmp_path):
    with Killing("thing number 7") as server:
        row = {"id": "remote", "name": "R", "organisation": "Tests", "family": "r", "licence": "none", "backend": "http",
               "source": server.url + "/one", "in_flight": 1}  # fmt: skip
        config = write_yaml(tmp_path / "arena.yaml", models=0, prompts=24, more_models=[row, {**row, "id": "other"}],
                            cluster={"block": 4})  # fmt: skip
        running = fill(config, tmp_path / "data", "--models", "remote")
        said = running.communicate(timeout=500)[0]
    assert running.returncode == 1, said
    assert "23 images made" in said and "1 of remote are still missing: 6 actors died of it" in said, said
    assert server.killed == 2 * DEATHS and len(images(tmp_path / "data")) == 23
    assert "Traceback" not in said, said


# -- without a cluster --------------------------------------------------------------------------------------------


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Any]:
    arena = build_arena(write_yaml(tmp_path / "arena.yaml", prompts=3), tmp_path / "data")
    yield arena.stock
    arena.close()


def test_without_ray_the_error_says_how_to_install_it(stock, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install -r requirements-ray\.txt"):
        RayFill("auto", stock, tmp_path)


def test_the_remote_client_is_refused_with_what_to_do_instead(stock, tmp_path):
    with pytest.raises(ClusterError, match="start this command on a machine of the cluster"):
        RayFill("ray://127.0.0.1:10001", stock, tmp_path)


def test_a_cluster_that_is_not_there_is_told_of_at_once(stock, tmp_path, free_port):
    import ray  # noqa: F401 (which takes long by itself)

    begun = time.monotonic()
    with pytest.raises(ClusterError, match="no Ray cluster can be had there"):
        RayFill(f"127.0.0.1:{free_port()}", stock, tmp_path)
    assert time.monotonic() - begun < 20


@pytest.fixture
def maker(tmp_path: Path) -> Callable[..., tuple[Maker, Any]]:
    """(an actor's inside, block): a maker whose backend fails as told, and a block that asks each model for `each`."""

    def make(each: int = 5, backend: Any = None, **failures: Exception) -> tuple[Maker, Any]:
        import pyarrow as pa

        config = parse_config(yaml.safe_load(write_yaml(tmp_path / "arena.yaml", models=2).read_text()))
        inside = Maker({m.id: m for m in config.contenders}, "fake", ".", None, None, {}, 96, None, Tally(DEATHS))
        inside.backend = backend or FakeBackend(failures={k.replace("_", "-"): v for k, v in failures.items()})
        rows = [{"at": at, "model": m.id, "prompt": f"prompt {at}", "seed": at}
                for at, m in enumerate([m for m in config.contenders for _ in range(each)])]  # fmt: skip
        return inside, pa.Table.from_pylist(rows)

    return make


def test_an_actor_answers_every_row_and_asks_a_failing_model_no_more(maker):
    inside, block = maker(fake_0=BackendUnavailable("no weights"))
    rows = inside(block).to_pylist()
    assert [row["at"] for row in rows] == list(range(10))
    failed, good = rows[:5], rows[5:]
    assert [("no weights" in row["error"]) for row in failed] == [True] * GIVE_UP + [False] * (5 - GIVE_UP)
    assert all("not asked any more" in row["error"] for row in failed[GIVE_UP:])
    assert all(row["error"] is None and row["data"].startswith(b"\x89PNG") for row in good)


class Moody(FakeBackend):
    """Fails on one seed alone, with a fault that no backend should have."""

    def generate(self, requests, **how):
        if any(request.seed == 2 for request in requests):
            raise KeyError("a fault")
        return super().generate(requests, **how)


def test_one_bad_request_does_not_spoil_its_block_nor_end_the_actor(maker):
    inside, block = maker(backend=Moody())
    rows = inside(block).to_pylist()
    assert [row["at"] for row in rows if row["error"]] == [2] and "KeyError" in rows[2]["error"]


def test_a_rejected_picture_is_marked_so_that_the_next_replicate_is_tried(maker):
    inside, block = maker(fake_1=ImageRejected("blank"))
    rows = inside(block).to_pylist()
    assert [row["rejected"] for row in rows] == [False] * 5 + [True] * 5
    assert not any(row["image_id"] for row in rows[5:])


def test_a_block_that_killed_its_actors_is_not_begun_again_and_a_finished_one_is(maker):
    inside, block = maker()
    for _ in range(DEATHS + 1):  # Ray makes a block again whose machine is lost, however often it was finished
        assert not any(row["died"] for row in inside(block).to_pylist())
    for _ in range(DEATHS):  # begun by actors that died of it
        inside.tally.begin(0)
    inside.backend.made.clear()
    rows = inside(block).to_pylist()
    assert [row["at"] for row in rows] == list(range(10)) and all(row["died"] for row in rows)
    assert not inside.backend.made


def test_an_actor_makes_the_picture_that_the_request_describes(maker):
    inside, block = maker(each=1)
    row = inside(block).to_pylist()[1]
    made = FakeBackend().generate([Request(inside.models["fake-1"], "prompt 1", 1)], progress=lambda share: None,
                                  cancelled=lambda: False)[0]  # fmt: skip
    assert (row["width"], row["height"]) == made.picture.size == (PX, PX + 32)
    assert row["seed"] == 1 and row["hardware"] == "none (fake)"
