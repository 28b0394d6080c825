"""What every backend promises, held against all of them: the fake, diffusers on a tiny pipeline, ZeroGPU off-Space,
and HTTP against a local server."""

from __future__ import annotations

import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from arena.backends import BACKENDS, Request, make_backend, reason
from arena.backends.fake import FakeBackend
from arena.config import Backend as BackendName
from arena.config import ModelSettings
from arena.errors import BackendUnavailable, GenerationCancelled, ModelMissing
from tests.image_server import ImageServer

PROMPT = "a red circle on a blue background"
SETTINGS = {"num_inference_steps": 3, "guidance_scale": 4.0, "height": 32, "width": 32}


def row(name: str, source: str, backend: str, **more) -> ModelSettings:
    return ModelSettings(id=name, name=name, organisation="nobody", family="tiny", licence="MIT", backend=backend,
                         source=source, **({"settings": SETTINGS} | more))  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    from tests.tiny_pipelines import build

    folder = tmp_path_factory.mktemp("house")
    build("StableDiffusionPipeline", folder / "one")
    build("StableDiffusionXLPipeline", folder / "two")
    return folder


@pytest.fixture(scope="module")
def server():
    with ImageServer() as one:
        yield one


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def world(request, house, server):
    """A backend and two models that it can run."""
    backend = make_backend(request.param, config_dir=house, memory_gb=1)
    where = server.url + "/" if request.param == "http" else ""
    yield backend, row("one", f"{where}one", request.param), row("two", f"{where}two", request.param)
    backend.close()


def run(backend, requests, progress=lambda _: None, cancelled=lambda: False):
    return backend.generate(requests, progress=progress, cancelled=cancelled)


def pixels(results) -> list[bytes]:
    return [result.picture.tobytes() for result in results]


def test_the_table_has_a_row_for_every_name_that_the_configuration_allows():
    assert sorted(BACKENDS) == sorted(typing.get_args(BackendName))


def test_importing_the_table_loads_no_heavy_library():
    code = (
        "import sys, arena.backends as b, pathlib\n"
        "for name in b.BACKENDS: b.make_backend(name, config_dir=pathlib.Path('.'))\n"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'gradio', 'spaces') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pictures_come_in_the_order_of_the_requests(world):
    backend, one, two = world
    requests = [Request(one, PROMPT, 1), Request(two, PROMPT, 2), Request(one, PROMPT, 3)]
    alone = [pixels(run(backend, [request]))[0] for request in requests]
    assert pixels(run(backend, requests)) == alone
    assert pixels(run(backend, requests[::-1])) == alone[::-1]
    assert len(set(alone)) == 3


def test_equal_requests_give_equal_pictures_and_other_seeds_or_prompts_others(world):
    backend, one, _ = world
    same, again, seed, prompt = (
        pixels(run(backend, [request]))[0]
        for request in (Request(one, PROMPT, 7), Request(one, PROMPT, 7), Request(one, PROMPT, 2**63 - 1),
                        Request(one, "two green stars", 7))
    )  # fmt: skip
    assert same == again
    assert len({same, seed, prompt}) == 3


def test_a_picture_does_not_depend_on_its_batch(world):
    """Four in one call or one by one: the same to within rounding, which is a grey level or two of 255."""
    import numpy as np

    backend, one, _ = world
    together = one if one.backend == "http" else one.model_copy(update={"batch": 4})
    prompts = (PROMPT, "a", "two green stars and " * 9 + "a moon", "")
    alone = [run(backend, [Request(one, text, seed)])[0] for seed, text in enumerate(prompts)]
    made = run(backend, [Request(together, text, seed) for seed, text in enumerate(prompts)])
    for single, member in zip(alone, made, strict=True):
        apart = np.abs(np.asarray(single.picture, int) - np.asarray(member.picture, int))
        assert apart.max() <= 2, "more than rounding"
    if one.backend in ("diffusers", "zerogpu"):
        assert {made.settings["batch"]["images"] for made in made} == {4}
        assert sum(member.seconds for member in made) == pytest.approx(made[0].settings["batch"]["seconds"], abs=1e-3)


def test_a_picture_comes_with_all_that_made_it(world):
    backend, one, _ = world
    made = run(backend, [Request(one, PROMPT, 5)])[0]
    assert made.picture.mode == "RGB" and made.picture.size == (32, 32)
    assert made.seconds >= 0 and made.model_revision and made.hardware
    assert json.loads(json.dumps(made.settings)) == made.settings
    assert SETTINGS.items() <= made.settings["arguments"].items()


def test_progress_rises_from_0_to_1_over_the_whole_call(world):
    backend, one, two = world
    heard: list[float] = []
    run(backend, [Request(one, PROMPT, 1), Request(two, PROMPT, 1)], progress=heard.append)
    assert heard[0] == 0 and heard[-1] == 1 and len(heard) > 2
    assert heard == sorted(heard)


def test_a_withdrawn_request_ends_soon(world):
    backend, one, _ = world
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(GenerationCancelled):
        run(backend, [Request(one, PROMPT, 1)] * 4, cancelled=cancelled)
    assert asked < 8
    assert run(backend, [Request(one, PROMPT, 1)]), "the backend goes on working"


def test_how_many_at_once_is_what_the_row_says_and_known_before_the_model_is_there(world):
    backend, one, _ = world
    told = {"http": {"in_flight": 7}, "fake": {}}.get(one.backend, {"batch": 7})
    row = one.model_copy(update=told)
    fresh = make_backend(one.backend, config_dir=Path("not/there"))
    assert [b.takes(row) for b in (fresh, backend)] == [7 if told else 1] * 2
    assert backend.takes(one) == (4 if one.backend == "http" else 1), "a CPU gains nothing by more"
    fresh.close()


def test_what_was_finished_when_a_call_failed_comes_with_the_error(world, server):
    """Requests go out in turn; the third fails, or is withdrawn."""
    backend, one, _ = world
    row, heard = one.model_copy(update={"in_flight": 1} if one.backend == "http" else {}), [0.0]
    requests = [Request(row, PROMPT, seed) for seed in range(3)]
    with pytest.raises(GenerationCancelled) as caught:
        run(
            backend,
            requests,
            progress=heard.append,
            cancelled=lambda: heard[-1] >= (0.58 if row.backend == "http" else 0.7),
        )
    made = caught.value.made
    assert list(made) in ([0], [0, 1])
    assert pixels(made.values()) == pixels(run(backend, requests[: len(made)]))


def test_a_model_that_cannot_be_had_is_a_typed_error_that_does_not_name_it(house, server):
    missing = row("secret-name", "not-there/secret-name/x", "diffusers")
    away = row("secret-name", server.url + "/status/404/secret-name", "http")
    fake = FakeBackend(failures={"secret-name": BackendUnavailable("It cannot be had.")})
    backends = [(fake, missing), (make_backend("http", config_dir=house), away),
                *((make_backend(name, config_dir=house), missing) for name in ("diffusers", "zerogpu"))]  # fmt: skip
    for backend, model in backends:
        with pytest.raises(BackendUnavailable) as caught:
            run(backend, [Request(model, PROMPT, 1)])
        assert "secret" not in str(caught.value)
        if backend is not fake:
            assert "secret-name" in reason(caught.value) and caught.value.model == "secret-name"
            assert type(caught.value) is ModelMissing


def test_check_finds_nothing_wrong_with_a_good_row_and_something_with_a_bad_one(world):
    backend, one, _ = world
    assert backend.check(one) == []
    if not isinstance(backend, FakeBackend):
        assert backend.check(one.model_copy(update={"source": "no/such/folder"}))
        assert backend.check(one.model_copy(update={"settings": SETTINGS | {"prompt": "mine"}}))
