"""arena.gpu.yaml, row by row, without a GPU and without its weights: each row's class, arguments, components and
scheduler are run for real, on random weights of the same class that take a moment instead of an hour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arena.backends import Request
from arena.backends.diffusers_backend import ALONE, DiffusersBackend
from arena.backends.http import HttpBackend
from arena.config import ModelSettings, load_config

ROOT = Path(__file__).parents[2]
CONFIG = load_config(ROOT / "arena.gpu.yaml")
OVER_HTTP = load_config(ROOT / "arena.http.yaml")
PROMPT = "an otter reading a map"
PX = 64

every_row = pytest.mark.parametrize("row", CONFIG.models, ids=lambda row: row.id)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder of tiny pipelines by class, each built when it is first asked for, and a backend that runs them."""
    import torch

    from tests.tiny_pipelines import build

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small only wait for a second thread
    folder = tmp_path_factory.mktemp("roster")
    backend = DiffusersBackend(folder, memory_gb=1, device="cpu")

    def of(name: str) -> Path:
        return folder / name if (folder / name).is_dir() else build(name, folder / name)

    yield of, backend
    backend.close()
    torch.set_num_threads(threads)


def tiny(row: ModelSettings, of) -> ModelSettings:
    """The row with a tiny pipeline as its source: fewer steps, fewer pixels, and otherwise as it is."""
    folder = of(row.pipeline.pipeline_class)
    components = {}
    for name, where in row.pipeline.components.items():
        source = folder.parent / f"{row.id}-{name}"
        if where.file:
            source.mkdir(exist_ok=True)
            (source / where.file).write_bytes(next((folder / name).glob("*.safetensors")).read_bytes())
        elif (folder / name).is_dir():  # moved out of the folder, as the repository does not hold it either
            (folder / name).rename(source)
            index = json.loads((folder / "model_index.json").read_text())
            del index[name]
            (folder / "model_index.json").write_text(json.dumps(index))
        components[name] = where.model_copy(update={"source": source.name})
    steps = min(2, row.settings["num_inference_steps"])
    settings = row.settings | {"height": PX, "width": PX, "num_inference_steps": steps}
    pipeline = row.pipeline.model_copy(update={"components": components, "variant": None})
    return row.model_copy(update={"source": folder.name, "revision": None, "pipeline": pipeline, "settings": settings,
                                  "memory_gb": None})  # fmt: skip


def test_it_is_an_arena_of_many_open_models():
    assert len(CONFIG.contenders) >= 12
    assert len({row.organisation for row in CONFIG.models}) >= 8
    assert not any(row.demo for row in CONFIG.models)
    assert len(CONFIG.categories) == 12
    for category in CONFIG.categories:
        assert {c for row in category.prompts for c, _ in row.texts()} >= {"simplified", "complex"}, category.name


@every_row
def test_a_row_says_what_a_forker_must_know(row):
    assert row.licence and row.licence_url and row.url and row.parameters_b and row.memory_gb
    assert row.backend == "diffusers"
    assert row.settings["height"] == row.settings["width"] >= 512
    assert row.pipeline.pipeline_class and row.pipeline.dtype


@every_row
def test_a_row_checks_without_its_weights(row, tmp_path):
    assert DiffusersBackend(tmp_path).check(row) == []


@every_row
@pytest.mark.filterwarnings("ignore")
def test_a_row_makes_a_picture_on_random_weights(row, house):
    of, backend = house
    small = tiny(row, of)
    assert backend.check(small) == []
    heard: list[float] = []
    made = backend.generate([Request(small, PROMPT, 1)], progress=heard.append, cancelled=lambda: False)[0]
    assert made.picture.mode == "RGB"
    if row.id != "hidream-i1-fast":  # it scales every size to its own number of pixels
        assert made.picture.size == (PX, PX)
    assert len(made.picture.getcolors(made.picture.width * made.picture.height)) > 100, "the picture is blank"
    assert heard[-1] == 1 and (small.settings["num_inference_steps"] < 2 or 0 < heard[1] < 1), "no progress"
    said = made.settings
    assert said["pipeline"] == row.pipeline.pipeline_class and said["dtype"] == small_dtype(row)
    assert small.settings.items() <= said["arguments"].items()
    assert row.pipeline.components.keys() == said["components"].keys()
    wanted = dict(row.pipeline.scheduler)
    assert said["scheduler"]["class"] == wanted.pop("class", said["scheduler"]["class"])
    assert wanted.items() <= said["scheduler"].items()


@every_row
@pytest.mark.filterwarnings("ignore")
def test_a_picture_does_not_depend_on_the_others_of_its_batch(row, house):
    """Prompts of very different lengths, drawn together and one by one. In float32, where rounding is a grey level."""
    import numpy as np

    of, backend = house
    small = tiny(row, of)
    small = small.model_copy(update={"pipeline": small.pipeline.model_copy(update={"dtype": "float32"}), "batch": 3})
    prompts = (PROMPT, "a", "two green stars and " * 9 + "a moon")

    def draw(model, *places):
        return backend.generate([Request(model, prompts[i], i) for i in places], progress=lambda _: None,
                                cancelled=lambda: False)  # fmt: skip

    together = draw(small, 0, 1, 2)
    if row.pipeline.pipeline_class in ALONE:
        assert "batch" not in together[0].settings
        return
    assert together[0].settings["batch"]["images"] == 3
    for i, member in enumerate(together):
        alone = draw(small, i)[0]
        apart = np.abs(np.asarray(alone.picture, int) - np.asarray(member.picture, int))
        assert apart.max() <= 2 and apart.mean() < 0.05


@pytest.mark.parametrize("row", OVER_HTTP.models, ids=lambda row: row.id)
def test_a_row_over_http_checks(row):
    """With the variables set that it names, and without them in words that say which."""
    names = {row.token_env or "HF_TOKEN": "hf_x"}
    assert HttpBackend("hf_x", environ=names).check(row) == []
    if not row.source.startswith("http") or row.token_env:
        missing = HttpBackend(None, environ={}).check(row)
        assert len(missing) == 1 and (row.token_env or "HF_TOKEN") in missing[0]
    assert row.licence_url and row.url and row.settings["height"] == row.settings["width"]


def test_the_rows_over_http_show_every_way_and_every_key():
    rows = OVER_HTTP.models
    assert {row.backend for row in rows} == {"http"}
    assert {row.source.startswith("http") for row in rows} == {True, False}
    for key in ("provider", "token_env", "timeout_s", "in_flight"):
        assert any(getattr(row, key) for row in rows), key


def small_dtype(row: ModelSettings) -> str:
    """On a CPU, what is float16 elsewhere runs as float32."""
    return "bfloat16" if row.pipeline.dtype == "bfloat16" else "float32"
