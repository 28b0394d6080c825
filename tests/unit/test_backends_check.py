"""python -m arena check, with and without --generate, and the memory that it tells of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from arena.__main__ import main
from arena.backends.footprint import Footprint
from tests.image_server import ImageServer

SETTINGS = {"num_inference_steps": 2, "guidance_scale": 4.0, "height": 32, "width": 32}


@pytest.fixture
def server():
    with ImageServer() as one:
        yield one


@pytest.fixture
def arena(tmp_path):
    """Writes an arena.yaml of these models: id -> what is particular about the row."""

    def write(**models: dict) -> list[str]:
        rows = [{"id": name, "name": name, "organisation": "o", "family": "f", "licence": "MIT", "backend": "fake",
                 "source": "none/needed", "settings": SETTINGS} | more for name, more in models.items()]  # fmt: skip
        prompts = [{"prompt": "a red circle"}]
        (tmp_path / "arena.yaml").write_text(
            yaml.safe_dump({"models": rows, "categories": [{"name": "x", "prompts": prompts}]})
        )
        return ["--config", str(tmp_path / "arena.yaml"), "check"]

    return write


def table(out: str) -> dict[str, list[str]]:
    rows = [line.split() for line in out.splitlines()]
    return {
        row[0]: row[1:] for row in rows[rows.index(next(row for row in rows if row[:2] == ["model", "result"])) + 1 :]
    }


def test_every_model_makes_an_image_and_what_fails_is_named_with_what_to_do(arena, server, capsys):
    command = arena(good={}, remote={"backend": "http", "source": server.url + "/one"},
                    gone={"backend": "http", "source": server.url + "/status/404"},
                    poor={"backend": "http", "source": server.url + "/status/402"})  # fmt: skip
    assert main([*command, "--generate"]) == 1
    told = capsys.readouterr()
    rows = table(told.out)
    assert {name: row[0] for name, row in rows.items()} == {"good": "ok", "remote": "ok", "gone": "ModelMissing",
                                                           "poor": "PaymentRequired"}  # fmt: skip
    assert rows["good"][5] == rows["remote"][5] == "32x32" and rows["gone"][5] == "-"
    assert rows["good"][2] != "-" and rows["remote"][2] == "-", "what may cost money is asked for once"
    assert "gone: answered 404" in told.err and "correct `source`" in told.err and "add credit" in told.err


def test_one_model_alone_even_one_that_is_not_enabled(arena, server, capsys):
    command = arena(a={}, b={}, c={"backend": "http", "source": server.url + "/one", "enabled": False},
                    d={"backend": "http", "source": server.url + "/status/500"})  # fmt: skip
    assert main([*command, "--generate", "--model", "c", "--model", "a"]) == 0
    assert list(table(capsys.readouterr().out)) == ["c", "a"]
    assert main([*command, "--generate", "--model", "z"]) == 2
    assert 'unknown "z"; one of a, b, c, d' in capsys.readouterr().err


def test_a_row_that_is_wrong_is_told_before_anything_is_drawn(arena, server, capsys):
    command = arena(a={}, b={"backend": "http", "source": "nowhere"})
    assert main([*command, "--generate"]) == 2
    told = capsys.readouterr()
    assert "models.b: source: nowhere is neither" in told.err and "result" not in told.out
    assert main([*command, "--generate", "--model", "a"]) == 0, "the other rows are not looked at"


def test_a_pipeline_is_cold_then_warm_and_takes_memory(arena, tmp_path, capsys):
    from tests.tiny_pipelines import build

    build("StableDiffusionPipeline", tmp_path / "one")
    command = arena(real={"backend": "diffusers", "source": "one"}, b={})
    assert main([*command, "--generate", "--model", "real"]) == 0
    result, cold, warm, added, where, size, *hardware = table(capsys.readouterr().out)["real"]
    assert result == "ok" and float(cold) >= float(warm) >= 0 and where == "process" and size == "32x32"
    assert int(added) >= 0 and hardware[0] == "CPU"


def test_the_memory_that_is_told_is_the_peak_above_what_was_there():
    there = np.ones(40_000_000, np.uint8)
    with Footprint("cpu") as memory:
        held = np.ones(60_000_000, np.uint8)
        del held
    assert 55e6 < memory.added < 90e6 and memory.where == "process"
    assert there.all()


def test_the_file_of_this_repository_is_sound(capsys):
    assert main(["--config", str(Path(__file__).parents[2] / "arena.yaml"), "check"]) == 0
    assert "4 models" in capsys.readouterr().out


def test_gated_models_are_named_where_there_is_no_token(arena, monkeypatch, capsys):
    command = arena(open={"backend": "diffusers"}, closed={"backend": "diffusers", "gated": True})
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert main(command) == 0
    assert "gives out closed only" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "hf_something")
    assert main(command) == 0 and capsys.readouterr().err == ""
