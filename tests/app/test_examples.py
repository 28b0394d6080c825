"""What is in examples/ works: the server with a real pipeline and the arena's own backend, its manners, the files. Ray
Serve's is in test_ray_serve.py."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from PIL import Image as Pillow

from arena.backends import make_backend
from arena.backends.base import Request
from arena.backends.http import HttpBackend
from arena.build import build_arena
from arena.config import load_config, parse_config
from arena.errors import BadSettings, Unauthorised
from arena.making import make
from arena.records import Image
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TOKEN = "a token of the tests"
SEED = 20_261_121


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


server = module(EXAMPLES / "server.py")


# -- a real pipeline ----------------------------------------------------------------------------------------------


@contextmanager
def running(model: str, port: int, log: Path, *more: str) -> Iterator[str]:
    """`python examples/server.py MODEL` until its model is loaded; its address."""
    env = {**os.environ, "SERVER_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "examples/server.py", model, "--port", str(port), *more]
    with open(log, "wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        url, end = f"http://127.0.0.1:{port}/", time.monotonic() + 240
        while True:
            assert process.poll() is None and time.monotonic() < end, log.read_text(errors="replace")
            try:
                if httpx.get(url + "health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        yield url
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) in (0, -signal.SIGTERM), log.read_text(errors="replace")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(60)


@pytest.fixture(scope="module")
def served_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running("arena/models/tiny-unet", free_port(), tmp_path_factory.mktemp("server") / "log") as url:
        yield url


def rows(url: str) -> dict[str, Any]:
    """The demonstration model as a row of this machine, and over HTTP."""
    local = next(m for m in load_config(ROOT / "arena.yaml").contenders if m.id == "tiny-unet")
    settings = {**local.settings, "num_inference_steps": 3}
    over = local.model_validate({
        "id": "over-http", "name": "H", "organisation": "Tests", "family": "h", "licence": "apache-2.0", "backend": "http",
        "source": url, "token_env": "LAB_TOKEN", "settings": settings})  # fmt: skip
    return {"local": local.model_copy(update={"settings": settings}), "http": over}


def one(backend: Any, model: Any, prompt: str = "a red heart on a white background") -> Any:
    return backend.generate([Request(model, prompt, SEED)], progress=lambda share: None, cancelled=lambda: False)[0]


@pytest.mark.slow
def test_the_arenas_backend_gets_the_picture_that_the_pipeline_draws_here(served_model, monkeypatch):
    import torch

    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    models = rows(served_model)
    over = make_backend("http", config_dir=ROOT)
    assert over.check(models["http"]) == []
    first, second = one(over, models["http"]), one(over, models["http"])
    assert first.picture.size == (256, 256) and first.picture.tobytes() == second.picture.tobytes()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the server has it: sums in another order round otherwise
    here = make_backend("diffusers", config_dir=ROOT)
    try:
        assert one(here, models["local"]).picture.tobytes() == first.picture.tobytes()
    finally:
        here.close()
        torch.set_num_threads(threads)


def test_the_backend_says_what_is_wrong_with_token_and_settings(served_model):
    model = rows(served_model)["http"]
    with pytest.raises(Unauthorised):
        one(HttpBackend(environ={"LAB_TOKEN": "another"}), model)
    wrong = model.model_copy(update={"settings": {"stepz": 3}})
    with pytest.raises(BadSettings) as caught:
        one(HttpBackend(environ={"LAB_TOKEN": TOKEN}), wrong)
    assert "stepz" in "".join(caught.value.__notes__)


def test_the_hubs_own_client_is_understood(served_model):
    from huggingface_hub import InferenceClient

    client = InferenceClient(model=served_model, token=TOKEN)
    picture = client.text_to_image("a blue box", num_inference_steps=2, width=64, height=64, seed=5, guidance_scale=2.0)
    assert picture.size == (64, 64) and picture.format == "PNG" and not picture.info


@pytest.mark.slow
def test_a_laboratorys_arena_fills_its_bank_from_its_servers(served_model, tmp_path, monkeypatch):
    """laboratory.yaml as it is, with addresses that exist: three models, all of them drawn by one small server."""
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    raw = yaml.safe_load((EXAMPLES / "laboratory.yaml").read_text(encoding="utf-8"))
    for row in raw["models"]:
        row |= {
            "source": served_model,
            "settings": {**row["settings"], "num_inference_steps": 1, "width": 64, "height": 64},
        }
    (tmp_path / "arena.yaml").write_text(yaml.safe_dump(raw))
    arena = build_arena(tmp_path / "arena.yaml", tmp_path / "data")
    try:
        for wanted in arena.stock.lacking(prompts=1):
            [(_, made)] = make(arena.stock, arena.studio, [wanted])
            assert isinstance(made, Image), made
        battle = arena.next_battle("0" * 32)
        assert battle.served_from == "bank"
        revisions = {image.model_revision for image in arena.ledger.banked_images()}
        assert revisions == {model.revision for model in arena.config.contenders}
    finally:
        arena.close()


# -- the server's manners, with a pipeline that does what the test says -------------------------------------------


class Output:
    def __init__(self, images: list[Any]):
        self.images = images


class Slow:
    """Draws one colour a seed, when `go` is set; `calls` are the prompts of each call."""

    def __init__(self) -> None:
        self.go, self.calls, self.finished = threading.Event(), [], 0
        self.go.set()

    def __call__(self, prompt=None, generator=None, num_inference_steps=4, width=64, height=64, negative_prompt=None,
                 callback_on_step_end=None):  # fmt: skip
        prompts, noise = (prompt, generator) if isinstance(prompt, list) else ([prompt], [generator])
        self.calls.append(prompts)
        if any("impossible" in p for p in prompts):
            raise ValueError("this cannot be drawn")
        while not self.go.wait(0.02):
            callback_on_step_end(self, 0, 0, {})
        callback_on_step_end(self, 0, 0, {})
        self.finished += len(prompts)
        return Output([Pillow.new("RGB", (width, height), (g.initial_seed() % 256, 1, 2)) for g in noise])


@contextmanager
def serving(load: Callable[[], Any], **how: Any) -> Iterator[httpx.Client]:
    """The example's application on a free port, with a client of it."""
    painter = server.Painter(load, name="slow", **{"queue": 2, **how})
    running = uvicorn.Server(uvicorn.Config(server.make_app(painter), port=0, log_level="error"))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        while not running.started:
            time.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            yield client
    finally:
        running.should_exit = True
        thread.join(120)


def ready(client: httpx.Client) -> None:
    while client.get("/health").status_code != 200:
        time.sleep(0.02)


def ask(client: httpx.Client, prompt: str = "a box", **parameters: Any) -> httpx.Response:
    return client.post("/", json={"inputs": prompt, "parameters": parameters})


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_full_queue_is_told_with_the_time_to_come_again():
    pipeline = Slow()
    pipeline.go.clear()
    with serving(lambda: pipeline) as client, ThreadPoolExecutor(4) as people:
        ready(client)
        waiting = [people.submit(ask, client, seed=0)]
        until(lambda: pipeline.calls)
        waiting += [people.submit(ask, client, seed=k) for k in (1, 2)]
        until(lambda: client.get("/health").json()["waiting"] == 2)
        refused = ask(client, seed=3)
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        pipeline.go.set()
        assert [answer.result().status_code for answer in waiting] == [200] * 3


def test_while_the_model_loads_it_says_so_and_after_a_failure_too():
    go = threading.Event()

    def load() -> Any:
        go.wait(120)
        raise OSError("no such folder")

    with serving(load) as client:
        assert client.get("/health").json()["status"] == "loading" and client.get("/health").status_code == 503
        early = ask(client)
        assert early.status_code == 503 and "retry-after" in early.headers
        go.set()
        until(lambda: client.get("/health").json()["status"] == "failed")
        assert ask(client).status_code == 500


def test_alike_requests_are_drawn_together_and_each_has_its_own_seed():
    pipeline = Slow()
    pipeline.go.clear()
    with serving(lambda: pipeline, batch=3, queue=9) as client, ThreadPoolExecutor(6) as people:
        ready(client)
        first = people.submit(ask, client, "first", seed=9)
        until(lambda: pipeline.calls)
        rest = [people.submit(ask, client, f"p{k}", seed=k, negative_prompt="x") for k in range(3)]
        other = people.submit(ask, client, "wide", seed=7, width=96)
        until(lambda: client.get("/health").json()["waiting"] == 4)
        pipeline.go.set()
        colours = [Pillow.open(io.BytesIO(a.result().content)).getpixel((0, 0))[0] for a in rest]
        assert colours == [0, 1, 2] and first.result().headers["x-seed"] == "9"
        assert other.result().status_code == 200
    assert sorted(map(len, pipeline.calls)) == [1, 1, 3]


def test_one_that_cannot_be_drawn_does_not_spoil_its_batch():
    pipeline = Slow()
    pipeline.go.clear()
    with serving(lambda: pipeline, batch=3, queue=9) as client, ThreadPoolExecutor(6) as people:
        ready(client)
        people.submit(ask, client, "first")
        until(lambda: pipeline.calls)
        rest = [people.submit(ask, client, p, seed=1) for p in ("good", "impossible", "fine")]
        until(lambda: client.get("/health").json()["waiting"] == 3)
        pipeline.go.set()
        answers = [answer.result() for answer in rest]
    assert [a.status_code for a in answers] == [200, 400, 200] and "cannot be drawn" in answers[1].json()["error"]


def test_who_hangs_up_leaves_the_queue_and_stops_the_drawing():
    pipeline = Slow()
    pipeline.go.clear()
    with serving(lambda: pipeline) as client:
        ready(client)
        for _ in range(2):  # one is being drawn, one waits
            with pytest.raises(httpx.ReadTimeout):
                client.post("/", json={"inputs": "a box"}, timeout=httpx.Timeout(120, read=0.3))
        until(lambda: (state := client.get("/health").json())["waiting"] + state["drawing"] == 0)
        assert pipeline.finished == 0
        pipeline.go.set()
        assert ask(client).status_code == 200 and pipeline.finished == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"not json", "JSON is expected"),
        (b'{"inputs": " "}', "a prompt is expected"),
        (b'{"inputs": "a", "parameters": 3}', "an object is expected"),
        (b'{"inputs": "a", "parameters": {"seed": -1}}', "seed"),
        (b'{"inputs": "a", "parameters": {"seed": true}}', "seed"),
        (b'{"inputs": "a", "parameters": {"num_inference_steps": 100000}}', "from 1 to 200"),
        (b'{"inputs": "a", "parameters": {"width": 1e9}}', "from 1 to 4096"),
        (b'{"inputs": "a", "parameters": {"generator": 1}}', "generator: unknown"),
        (b'{"inputs": "a", "parameters": {"negative_prompt": [' + b"1," * 300 + b"1]}}", "at most 200 values"),
        (b"[" * 60_000, "JSON is expected"),
        (b'{"inputs": "' + b"a" * 70_000 + b'"}', "64000 bytes"),
    ],
)
def test_what_is_no_request_is_refused_with_the_reason(body, says):
    pipeline = Slow()
    with serving(lambda: pipeline) as client:
        ready(client)
        answer = client.post("/", content=body)
    assert 400 <= answer.status_code < 500 and says in answer.json()["error"]
    assert not pipeline.calls


def test_other_machines_are_listened_to_only_with_a_token():
    env = {name: value for name, value in os.environ.items() if name != "SERVER_TOKEN"}
    said = subprocess.run([sys.executable, "examples/server.py", "x", "--host", "0.0.0.0"], cwd=ROOT, env=env, timeout=170,
                          capture_output=True, text=True)  # fmt: skip
    assert said.returncode == 1 and "set SERVER_TOKEN" in said.stderr


# -- the files ----------------------------------------------------------------------------------------------------


def test_the_laboratorys_file_is_sound_and_says_which_variable_it_wants(monkeypatch):
    config = load_config(EXAMPLES / "laboratory.yaml")
    wanted = HttpBackend(environ={"LAB_TOKEN": TOKEN})
    assert all(wanted.check(row) == [] for row in config.contenders)
    assert all("LAB_TOKEN" in HttpBackend(environ={}).check(row)[0] for row in config.contenders)
    assert parse_config(yaml.safe_load((EXAMPLES / "laboratory.yaml").read_text())) == config


def test_the_readme_lists_every_example_and_every_answer():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.yaml")):
        assert f"`{path.name}`" in text, path.name
    answers = set(re.findall(r"Refusal\(\s*(\d{3})", (EXAMPLES / "server.py").read_text(encoding="utf-8")))
    assert answers and all(status in text for status in answers), answers
