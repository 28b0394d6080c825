"""The diffusers backend's own parts: what stays in memory, what a row may say, what is wrong in whose words."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from arena.backends import Request, reason
from arena.backends.diffusers_backend import DiffusersBackend, Told, plain, working_order
from arena.backends.problems import explain
from arena.backends.residency import GB, RESERVE, Shelf, budget_bytes, free_memory
from arena.config import ModelSettings
from arena.errors import BackendUnavailable, ImageRejected

SETTINGS = {"num_inference_steps": 2, "guidance_scale": 4.0, "height": 32, "width": 32}


def row(source="one", name="one", **more) -> ModelSettings:
    return ModelSettings(id=name, name=name, organisation="nobody", family="tiny", licence="MIT", source=source,
                         **({"settings": SETTINGS} | more))  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    from tests.tiny_pipelines import build

    folder = tmp_path_factory.mktemp("house")
    build("StableDiffusionPipeline", folder / "one")
    build("StableDiffusion3Pipeline", folder / "three")
    return folder


@pytest.fixture
def backend(house):
    one = DiffusersBackend(house, memory_gb=1, device="cpu")
    yield one
    one.close()


def draw(backend, model, seed=1):
    return backend.generate([Request(model, "a circle", seed)], progress=lambda _: None, cancelled=lambda: False)[0]


# What stays in memory -----------------------------------------------------------------------------------------


@dataclass
class Weight:
    bytes: int


def test_the_shelf_gives_up_what_was_used_longest_ago():
    shelf, freed = Shelf(10), []
    shelf._release = lambda: freed.append(1)
    for key in ("a", "b", "a", "c"):
        shelf.get(key, 4, lambda: Weight(4))
    assert shelf.keys == ["a", "c"]
    assert freed
    assert shelf.get("a", 4, lambda: pytest.fail("it is there")).bytes == 4


def test_room_is_made_before_loading_so_that_the_peak_fits_too():
    shelf, seen = Shelf(10), []
    shelf.get("a", 6, lambda: Weight(6))
    shelf.get("b", 6, lambda: seen.append(shelf.keys) or Weight(6))
    assert seen == [[]]


def test_a_pipeline_larger_than_expected_drives_the_others_out_but_stays():
    shelf = Shelf(10)
    shelf.get("a", 1, lambda: Weight(4))
    assert shelf.get("b", 1, lambda: Weight(30)).bytes == 30
    assert shelf.keys == ["b"]


def test_a_failed_load_leaves_the_shelf_as_usable_as_before():
    shelf = Shelf(10)
    shelf.get("a", 4, lambda: Weight(4))
    with pytest.raises(OSError):
        shelf.get("b", 4, lambda: (_ for _ in ()).throw(OSError("no disk")))
    assert shelf.keys == ["a"]


def test_the_budget_is_what_is_said_or_what_is_free_less_a_reserve():
    assert budget_bytes(2.5, "cpu") == 2.5 * GB
    free = free_memory()
    assert budget_bytes(None, "cpu") == pytest.approx(max(free - RESERVE, free / 2), rel=0.2)


def test_rows_that_differ_in_the_calls_arguments_share_one_pipeline(backend):
    first = backend.loaded(row())
    again = backend.loaded(row(name="two", settings={**SETTINGS, "num_inference_steps": 1}))
    assert first is again and 0 < first.bytes < 5_000_000


def test_a_model_larger_than_all_the_memory_is_refused_at_once(backend):
    with pytest.raises(BackendUnavailable) as caught:
        draw(backend, row(memory_gb=80))
    assert "needs 80.0 GB" in reason(caught.value)


# Loading ------------------------------------------------------------------------------------------------------


def test_weights_on_disk_in_half_precision_run_in_single_on_a_cpu(backend):
    import torch

    loaded = backend.loaded(row(pipeline={"dtype": "float16"}))
    assert loaded.dtype == "float32"
    assert {p.dtype for p in loaded.pipeline.unet.parameters()} == {torch.float32}


def test_a_local_folders_revision_is_the_hash_of_what_decides_its_pictures(house, tmp_path):
    from arena.backends.loading import folder_hash

    copy = tmp_path / "copy"
    shutil.copytree(house / "one", copy)
    before = folder_hash(copy)
    assert before == folder_hash(house / "one") and before.startswith("sha256:")
    (copy / "README.md").write_text("words")
    assert folder_hash(copy) == before
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("scaled_linear", "linear"))
    assert folder_hash(copy) != before


def test_a_component_that_the_folder_declares_absent_is_absent(house, backend):
    """SD3 without its T5, which plain from_pretrained refuses."""
    copy = house / "three-without-t5"
    shutil.copytree(house / "three", copy, dirs_exist_ok=True)
    index = json.loads((copy / "model_index.json").read_text())
    for name in ("text_encoder_3", "tokenizer_3"):
        index[name] = [None, None]
        shutil.rmtree(copy / name)
    (copy / "model_index.json").write_text(json.dumps(index))
    model = row(copy.name)
    assert backend.check(model) == []
    assert draw(backend, model).picture.size == (32, 32)


def test_the_schedulers_arguments_and_class_can_be_replaced(backend):
    made = draw(backend, row(pipeline={"scheduler": {"class": "EulerDiscreteScheduler", "use_karras_sigmas": True}}))
    assert made.settings["scheduler"]["class"] == "EulerDiscreteScheduler"
    assert made.settings["scheduler"]["use_karras_sigmas"] is True


def test_every_argument_is_recorded_the_classs_own_too(backend):
    said = draw(backend, row()).settings
    assert said["arguments"]["guidance_rescale"] == 0.0
    assert not {"prompt", "generator", "callback_on_step_end", "output_type"} & said["arguments"].keys()
    assert said["versions"].keys() == {"torch", "diffusers", "transformers"}
    assert said["device"] == "cpu" and said["dtype"] == "float32"


# What goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "line"), [
    ({"settings": {**SETTINGS, "num_inference_step": 3}}, "settings.num_inference_step: not an argument of "
     "StableDiffusionPipeline; did you mean num_inference_steps?"),
    ({"settings": {"height": 32, "width": 32, "guidance_scale": 1.0}}, "settings.num_inference_steps: must be stated"),
    ({"settings": {**SETTINGS, "generator": 1}}, "settings.generator: the backend sets this itself"),
    ({"source": "elsewhere"}, "source: there is no folder elsewhere"),
    ({"pipeline": {"pipeline_class": "FluxPipeline"}}, "pipeline.pipeline_class is FluxPipeline, but"),
    ({"pipeline": {"variant": "fp8"}}, "pipeline.variant: one has no files of the variant fp8"),
    ({"pipeline": {"components": {"wheel": {"source": "one"}}}}, "pipeline.components.wheel: "),
    ({"pipeline": {"components": {"unet": {"source": "one", "file": "x.safetensors"}}}}, "pipeline.components.unet.file"),
    ({"pipeline": {"scheduler": {"speed": 9}}}, "pipeline.scheduler.speed: not an argument of DDIMScheduler"),
    ({"pipeline": {"scheduler": {"class": "Wishful"}}}, "pipeline.scheduler.class: "),
    ({"revision": "main"}, "revision: belongs to a Hub repository"),
    ({"source": "a/b", "pipeline": {"pipeline_class": "WishfulPipeline"}}, "model_index.json names WishfulPipeline"),
])  # fmt: skip
def test_check_says_where_a_row_is_wrong(backend, change, line):
    found = backend.check(row(**change))
    assert any(text.startswith(line) for text in found), found


def test_an_argument_that_the_class_would_swallow_in_silence_is_refused(backend):
    with pytest.raises(BackendUnavailable) as caught:
        draw(backend, row(settings={**SETTINGS, "num_inference_step": 3}))
    assert "num_inference_step" in reason(caught.value)


def test_an_image_that_the_models_own_checker_blocks_is_rejected(backend, monkeypatch):
    model = row()
    pipeline = backend.loaded(model).pipeline
    monkeypatch.setattr(pipeline, "run_safety_checker", lambda image, *_: (image, [True]))
    with pytest.raises(ImageRejected) as caught:
        draw(backend, model)
    assert "one" in reason(caught.value) and str(caught.value).startswith("One of the models")


def test_after_running_out_of_memory_everything_is_given_back(backend, monkeypatch):
    import torch

    model = row()
    pipeline = backend.loaded(model).pipeline

    def burst(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(pipeline, "decode_latents", burst)
    monkeypatch.setattr(pipeline.vae, "decode", burst)
    with pytest.raises(BackendUnavailable) as caught:
        draw(backend, model)
    assert "out of memory" in reason(caught.value) and "memory_gb" in reason(caught.value)
    assert backend._shelf.keys == []
    monkeypatch.undo()
    assert draw(backend, model).picture


def test_the_hubs_errors_are_told_in_words_that_help():
    import httpx
    from huggingface_hub import errors as hub

    response = httpx.Response(403, request=httpx.Request("GET", "https://hub.test/a/b"))
    for error, words in (
        (hub.GatedRepoError("no", response=response), "accept its licence at https://huggingface.co/a/b"),
        (hub.RepositoryNotFoundError("no", response=response), "there is no a/b on the Hub"),
        (hub.RevisionNotFoundError("no", response=response), "no such revision"),
        (hub.LocalEntryNotFoundError("no"), "not in the local cache"),
        (httpx.ConnectError("no route"), "cannot be reached"),
    ):
        try:
            raise OSError("Cannot load model a/b") from error  # as diffusers wraps them
        except OSError as wrapped:
            assert words in explain(wrapped, "a/b")
    assert explain(ValueError("first\nsecond"), "a/b") == "ValueError: first"


# Anonymity ----------------------------------------------------------------------------------------------------


def test_progress_is_too_coarse_to_count_a_models_steps():
    heard: list[float] = []
    told = Told(heard.append)
    for step in range(101):
        told(step / 100)
    told(0.5)
    assert heard == [i / 10 for i in range(11)]


def test_which_model_is_drawn_first_does_not_depend_on_its_side():
    requests = [SimpleNamespace(model=SimpleNamespace(id=name), seed=5) for name in "abcab"]
    ahead = [requests[i].model.id for i in working_order(requests)]
    back = [requests[::-1][i].model.id for i in working_order(requests[::-1])]
    assert ahead == back and sorted(ahead) == sorted("abcab")
    firsts = set()
    for seed in range(20):
        pair = [SimpleNamespace(model=SimpleNamespace(id=name), seed=seed) for name in "ab"]
        firsts.add(working_order(pair)[0])
    assert firsts == {0, 1}


def test_what_is_no_plain_value_is_not_recorded():
    assert plain({"a": 1, "_b": 2, "c": object(), "d": (1, 2)}) == {"a": 1, "d": [1, 2]}
