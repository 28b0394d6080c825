"""examples/ray_serve.py by its own command, on a Ray cluster of this machine, behind the arena's http backend."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from arena.backends import make_backend
from arena.backends.base import Request
from arena.backends.http import HttpBackend
from arena.config import load_config
from arena.errors import Unauthorised
from tests.ports import free_port
from tests.raylets import Raylets

ROOT = Path(__file__).parents[2]
TOKEN = "a token of the tests"
# Serve gives a proxy seconds to import itself, and kills it where a busy machine takes longer.
PATIENT = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "300", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "300"}
SERVE = [sys.executable, "-c", "from ray.serve.scripts import cli; cli()"]  # the command `serve`


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of Serve's proxy, once the model behind it is loaded. The cluster was started elsewhere and knows none
    of the example's variables."""
    raylets = Raylets(second=False, environ=PATIENT)
    url, end, log = f"http://127.0.0.1:{(port := free_port())}/", time.monotonic() + 1000, tmp_path / "log"
    own = {"MODEL": "arena/models/tiny-unet", "GPUS": "0", "SERVER_TOKEN": TOKEN}
    commands = [["start", "--http-port", str(port)], ["run", "examples.ray_serve:app"]]
    process = None
    try:
        with open(log, "wb") as out:
            while not ready(url):
                assert time.monotonic() < end, log.read_text(errors="replace")
                if process is None or process.poll() is not None:  # it waits for a proxy for a minute, which may pass
                    name, *more = commands[0]
                    process = subprocess.Popen([*SERVE, name, "--address", raylets.address, *more], cwd=ROOT, stdout=out,
                                               stderr=out, env={**os.environ, **PATIENT, **own})  # fmt: skip
                    if name == "start" and process.wait(300) == 0:
                        commands.pop(0)
                time.sleep(0.2)
        yield url
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(60)
        raylets.close()


def ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(1200)  # twenty seconds of a processor, in five processes that import one after the other
def test_an_image_by_ray_serve_is_the_one_that_the_pipeline_draws_here(served, monkeypatch):
    import torch

    local = next(m for m in load_config(ROOT / "arena.yaml").contenders if m.id == "tiny-unet")
    local = local.model_copy(update={"settings": {**local.settings, "num_inference_steps": 2}})
    remote = local.model_validate({
        "id": "remote", "name": "R", "organisation": "Tests", "family": "r", "licence": "apache-2.0", "backend": "http",
        "source": served, "token_env": "LAB_TOKEN", "settings": local.settings})  # fmt: skip

    def draw(backend, model):
        request = Request(model, "a red heart on a white background", 20_261_121)
        return backend.generate([request], progress=lambda share: None, cancelled=lambda: False)[0]

    with pytest.raises(Unauthorised):
        draw(HttpBackend(environ={"LAB_TOKEN": "another"}), remote)
    there = HttpBackend(environ={"LAB_TOKEN": TOKEN})
    assert there.check(remote) == []
    made = draw(there, remote)
    assert made.settings["attempts"] == 1 and made.picture.size == (256, 256)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as Ray has it for an actor of one processor: sums in another order round otherwise
    here = make_backend("diffusers", config_dir=ROOT)
    try:
        assert draw(here, local).picture.tobytes() == made.picture.tobytes()
    finally:
        here.close()
        torch.set_num_threads(threads)
