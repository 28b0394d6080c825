"""The diffusers backend's own parts: what stays in memory, what a row may say, what is wrong in whose words."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from arena.backends import Request, reason
from arena.backends.calling import plain
from arena.backends.diffusers_backend import DiffusersBackend, Told, working_order
from arena.backends.problems import kind_of
from arena.backends.residency import GB, RESERVE, Shelf, budget_bytes, free_memory
from arena.config import ModelSettings
from arena.errors import (
    BackendTimeout,
    BackendUnavailable,
    BadSettings,
    BlockedContent,
    GatedModel,
    ModelMissing,
    OutOfMemory,
    Unreachable,
)

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
class Weights:
    sizes: dict[str, int]
    parts: dict[str, str] = field(default_factory=dict)


def put(shelf: Shelf, name: str, **sizes: int) -> Weights:
    """A pipeline of these parts, loaded where it is not there."""
    adds = lambda here: sum(size for part, size in sizes.items() if part not in here)  # noqa: E731
    return shelf.get(name, adds, lambda: Weights(sizes, {part: f"{part} of {name}" for part in sizes}))


def test_the_shelf_gives_up_what_was_used_longest_ago():
    shelf, freed = Shelf(10), []
    shelf._release = lambda: freed.append(1)
    for key in ("a", "b", "a", "c"):
        put(shelf, key, **{f"unet {key}": 4})
    assert shelf.keys == ["a", "c"]
    assert freed
    assert shelf.get("a", lambda _: 4, lambda: pytest.fail("it is there")).sizes == {"unet a": 4}


def test_room_is_made_before_loading_so_that_the_peak_fits_too():
    shelf, seen = Shelf(10), []
    put(shelf, "a", unet=6)
    shelf.get("b", lambda _: 6, lambda: seen.append(shelf.keys) or Weights({"x": 6}))
    assert seen == [[]]


def test_a_part_of_several_pipelines_is_counted_once():
    shelf = Shelf(20)
    for key in ("a", "b", "c"):
        put(shelf, key, t5=9, **{f"unet {key}": 3})
    assert shelf.keys == ["a", "b", "c"] and shelf.bytes == 18
    assert shelf.find("t5") == "t5 of a" and shelf.find("unet c") == "unet c of c" and shelf.find("vae") is None
    put(shelf, "d", **{"unet d": 3})
    assert shelf.keys == ["b", "c", "d"] and shelf.bytes == 18, "the part stays while somebody has it"


def test_what_a_newcomer_adds_is_counted_anew_as_those_who_share_with_it_go():
    shelf = Shelf(20)
    put(shelf, "a", t5=12, unet=4)
    put(shelf, "b", other=4)
    put(shelf, "c", t5=12, large=8)  # beside a and b it adds 8, which is too much; without a it adds 20
    assert shelf.keys == ["c"] and shelf.bytes == 20


def test_a_pipeline_larger_than_expected_drives_the_others_out_but_stays():
    shelf = Shelf(10)
    put(shelf, "a", unet=4)
    assert shelf.get("b", lambda _: 1, lambda: Weights({"huge": 30})).sizes == {"huge": 30}
    assert shelf.keys == ["b"]


def test_a_failed_load_leaves_the_shelf_as_usable_as_before():
    shelf = Shelf(10)
    put(shelf, "a", unet=4)
    with pytest.raises(OSError):
        shelf.get("b", lambda _: 4, lambda: (_ for _ in ()).throw(OSError("no disk")))
    assert shelf.keys == ["a"]


def test_the_budget_is_what_is_said_or_what_is_free_less_a_reserve():
    assert budget_bytes(2.5, "cpu") == 2.5 * GB
    free = free_memory()
    assert budget_bytes(None, "cpu") == pytest.approx(max(free - RESERVE, free / 2), rel=0.2)


def test_rows_that_differ_in_the_calls_arguments_share_one_pipeline(backend):
    first = backend.loaded(row())
    again = backend.loaded(row(name="two", settings={**SETTINGS, "num_inference_steps": 1}))
    assert first is again and 0 < sum(first.sizes.values()) < 5_000_000


def test_a_model_larger_than_all_the_memory_is_refused_at_once(backend):
    with pytest.raises(OutOfMemory) as caught:
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
    with pytest.raises(BadSettings) as caught:
        draw(backend, row(settings={**SETTINGS, "num_inference_step": 3}))
    assert "num_inference_step" in reason(caught.value)


def test_an_image_that_the_models_own_checker_blocks_is_rejected(backend, monkeypatch):
    model = row()
    pipeline = backend.loaded(model).pipeline
    monkeypatch.setattr(pipeline, "run_safety_checker", lambda image, *_: (image, [True]))
    with pytest.raises(BlockedContent) as caught:
        draw(backend, model)
    assert "one" in reason(caught.value) and str(caught.value).startswith("One of the models")


class Crowded:
    """Stands for a pipeline on a device that holds `most` pictures at a time, or `most_alone` where it is alone."""

    def __init__(self, backend: DiffusersBackend, pipeline, most: int, most_alone: int | None = None):
        import torch

        self.calls, decode = [], pipeline.vae.decode

        def guarded(latents, *args, **kwargs):
            self.calls.append(len(latents))
            if len(latents) > (most_alone if most_alone and len(backend.shelf.keys) == 1 else most):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return decode(latents, *args, **kwargs)

        pipeline.vae.decode = guarded


def several(backend, model, n=4):
    requests = [Request(model, "a circle", seed) for seed in range(n)]
    return backend.generate(requests, progress=lambda _: None, cancelled=lambda: False)


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_stays_so(backend):
    model = row(batch=8)
    alone = [several(backend, row(), 8)[i].picture.tobytes() for i in range(8)]
    device = Crowded(backend, backend.loaded(model).pipeline, most=2)
    made = several(backend, model, 8)
    assert device.calls == [8, 4, 2, 2, 4, 2, 2] or device.calls == [8, 4, 2, 2, 2, 2]
    assert [one.settings["batch"]["images"] for one in made] == [2] * 8
    assert len(made) == len(alone)
    device.calls.clear()
    several(backend, model, 4)
    assert device.calls == [2, 2], "it was learnt"


def test_what_does_not_fit_alone_is_tried_again_without_the_others(backend):
    other, model = row(source="three"), row()
    backend.loaded(other)
    device = Crowded(backend, backend.loaded(model).pipeline, most=0, most_alone=1)
    assert draw(backend, model).picture
    assert device.calls == [1, 1] and len(backend.shelf.keys) == 1


def test_what_never_fits_is_a_typed_error_and_everything_is_given_back(backend):
    model = row()
    Crowded(backend, backend.loaded(model).pipeline, most=0)
    with pytest.raises(OutOfMemory) as caught:
        draw(backend, model)
    assert "out of memory" in reason(caught.value) and "memory_gb" in reason(caught.value)
    assert backend.shelf.keys == []
    assert draw(backend, model).picture


@pytest.mark.parametrize("words", ["DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
                                   "MPS backend out of memory (MPS allocated: 9 GB)"])  # fmt: skip
def test_other_devices_say_it_in_other_words(words):
    assert kind_of(RuntimeError(words), "a/b")[0] is OutOfMemory
    assert kind_of(RuntimeError("something else"), "a/b")[0] is BackendUnavailable


def test_memory_that_ends_while_reading_weights_is_found_by_giving_up_the_others(backend, monkeypatch):
    import torch

    from arena.backends import loading

    load, tried = loading.load, []

    def crowded(*args, **kwargs):
        tried.append(backend.shelf.keys)
        if backend.shelf.keys:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load(*args, **kwargs)

    backend.loaded(row(source="three"))
    monkeypatch.setattr(loading, "load", crowded)
    assert draw(backend, row()).picture
    assert [len(keys) for keys in tried] == [1, 0]


def test_two_backends_read_weights_one_after_the_other(house, monkeypatch):
    """Libraries patch torch while they build a model: one lock for all backends of a process."""
    import threading
    import time

    import diffusers

    from arena.backends import loading

    load, read, other_asked = loading.load, diffusers.DiffusionPipeline.from_pretrained, threading.Event()
    asked, inside, most = [], [], []

    def asks(*args, **kwargs):
        asked.append(1)
        if len(asked) == 2:
            other_asked.set()
        return load(*args, **kwargs)

    def reads(*args, **kwargs):
        inside.append(1)
        most.append(len(inside))
        assert other_asked.wait(60)
        time.sleep(0.2)  # the other one would come in now, if it could
        pipeline = read(*args, **kwargs)
        inside.pop()
        return pipeline

    monkeypatch.setattr(loading, "load", asks)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", reads)
    backends = [DiffusersBackend(house, memory_gb=1, device="cpu") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        loaded = [*pool.map(lambda backend, model: backend.loaded(model), backends, (row(), row(source="three")))]
    assert most == [1, 1] and all(one.parts for one in loaded)
    for backend in backends:
        backend.close()


def test_how_many_fit_on_a_gpu_follows_from_what_is_free_and_was_measured(backend, monkeypatch):
    from arena.backends import diffusers_backend

    model = row(settings={**SETTINGS, "width": 1024, "height": 1024})
    loaded = backend.loaded(model)
    assert backend.batch(model, loaded) == 1, "a CPU gains nothing by more"
    monkeypatch.setattr(backend, "_device", "cuda")
    for free, measured, most in ((9 * GB, None, 2), (100 * GB, None, 8), (1 * GB, None, 1), (9 * GB, 3 * GB, 3)):
        monkeypatch.setattr(diffusers_backend, "free_for_pictures", lambda _, free=free: free)
        backend._picture_bytes = {model.id: measured} if measured else {}
        assert backend.batch(model, loaded) == most
    assert backend.batch(row(batch=5), loaded) == 5


def test_the_hubs_errors_are_told_in_words_that_help():
    import httpx2
    from huggingface_hub import errors as hub

    response = httpx2.Response(403, request=httpx2.Request("GET", "https://hub.test/a/b"))
    for error, kind, words in (
        (hub.GatedRepoError("no", response=response), GatedModel, "https://huggingface.co/a/b"),
        (hub.RepositoryNotFoundError("no", response=response), ModelMissing, "there is no a/b on the Hub"),
        (hub.RevisionNotFoundError("no", response=response), ModelMissing, "no such revision"),
        (hub.LocalEntryNotFoundError("no"), Unreachable, "not in the local cache"),
        (httpx2.ConnectError("no route"), Unreachable, "cannot be reached"),
        (httpx2.ReadTimeout("slow"), BackendTimeout, "took too long"),
        (FileNotFoundError(2, "no such file"), ModelMissing, "OSError"),
    ):
        try:
            raise OSError("Cannot load model a/b") from error  # as diffusers wraps them
        except OSError as wrapped:
            found, told = kind_of(wrapped, "a/b")
            assert found is kind and words in told
        assert found.advice
    assert kind_of(ValueError("first\nsecond"), "a/b") == (BackendUnavailable, "ValueError: first")
    assert kind_of(ValueError("height"), "a/b", calling=True) == (BadSettings, "ValueError: height")


def test_a_folder_without_its_weights_is_a_missing_model(house, backend):
    copy = house / "hollow"
    shutil.copytree(house / "one", copy)
    next((copy / "unet").glob("*.safetensors")).unlink()
    with pytest.raises(ModelMissing) as caught:
        draw(backend, row(copy.name))
    assert "unet" in reason(caught.value)


# Parts in common ----------------------------------------------------------------------------------------------


def test_equal_components_of_two_models_are_one_in_memory_whatever_their_names(house, backend):
    import torch

    other = house / "other"
    if not other.exists():
        shutil.copytree(house / "one", other)
        config = other / "text_encoder" / "config.json"
        said = json.loads(config.read_text())
        config.write_text(json.dumps(said | {"_name_or_path": "from/elsewhere", "transformers_version": "4.0"}))
        weights = next((other / "unet").glob("*.safetensors"))
        from safetensors.torch import load_file, save_file

        save_file({name: tensor + 0.01 for name, tensor in load_file(weights).items()}, weights)
    first, second = backend.loaded(row()), backend.loaded(row("other"))
    assert first.pipeline.vae is second.pipeline.vae and first.pipeline.text_encoder is second.pipeline.text_encoder
    assert first.pipeline.unet is not second.pipeline.unet
    assert first.pipeline.scheduler is not second.pipeline.scheduler, "a scheduler has a state"
    once = sum(t.nbytes for t in {t.data_ptr(): t for p in (first, second) for m in p.pipeline.components.values()
               if isinstance(m, torch.nn.Module) for t in (*m.parameters(), *m.buffers())}.values())  # fmt: skip
    assert backend.shelf.bytes == once < sum(first.sizes.values()) + sum(second.sizes.values())
    assert draw(backend, row()).picture.tobytes() != draw(backend, row("other")).picture.tobytes()


def test_sharing_changes_no_picture(house, backend):
    test_equal_components_of_two_models_are_one_in_memory_whatever_their_names(house, backend)
    shared = draw(backend, row("other")).picture.tobytes()
    backend.close()
    assert draw(backend, row("other")).picture.tobytes() == shared


def test_a_component_of_another_type_in_memory_is_another_part(backend):
    first = backend.loaded(row())
    second = backend.loaded(row(pipeline={"dtype": "bfloat16"}))
    assert not first.parts.keys() & second.parts.keys()


def test_a_component_from_elsewhere_is_shared_too(house, backend):
    backend.loaded(row())
    donor = backend.loaded(row("one", pipeline={"components": {"vae": {"source": "one", "subfolder": "vae"}}}))
    assert donor.pipeline.vae is backend.loaded(row()).pipeline.vae
    assert donor.components == {"vae": "one/vae"}


def test_what_weights_will_take_is_known_before_they_are_read(house, backend):
    from arena.backends.loading import plan

    for dtype in ("float32", "bfloat16"):
        planned = plan(row(), config_dir=house, token=None, dtype=dtype)
        loaded = backend.loaded(row(pipeline={"dtype": dtype}))
        weights = {key: sum(p.nbytes for p in part.parameters()) for key, part in loaded.parts.items()}
        assert planned.sizes.keys() == weights.keys()
        for key, size in planned.sizes.items():  # an encoder's table of positions is not in its file
            assert size <= loaded.sizes[key] <= size + 1000 and size == weights[key]
    small = DiffusersBackend(house, memory_gb=0.0001, device="cpu")
    with pytest.raises(OutOfMemory) as caught:
        draw(small, row())
    assert "its weights take" in reason(caught.value)


def test_the_hubs_cache_names_large_files_by_their_hash(tmp_path):
    from arena.backends.parts import digest, weight_files

    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / ("ab" * 32)).write_bytes(b"never read")
    link = tmp_path / "model.safetensors"
    link.symlink_to(blobs / ("ab" * 32))
    assert digest(link) == "ab" * 32
    for name in ("model.fp16.safetensors", "model.bin", "model.fp16-00001-of-00002.safetensors", "config.json"):
        (tmp_path / name).touch()
    assert [path.name for path in weight_files(tmp_path, None)] == ["model.safetensors"]
    assert [path.name for path in weight_files(tmp_path, "fp16")] == ["model.fp16-00001-of-00002.safetensors",
                                                                      "model.fp16.safetensors"]  # fmt: skip


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
