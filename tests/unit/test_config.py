"""arena.yaml is read strictly: a mistake is reported with its place, what was found and what is allowed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from arena.config import ArenaConfig, json_schema, load_config, parse_config
from arena.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = [path for path in (ROOT / "arena.yaml", ROOT / "arena.gpu.yaml") if path.exists()]

# The categories of Open Image Preferences, with how many sub-categories each has there.
CATEGORIES = {
    "Cinematic": 12, "Photographic": 26, "Anime": 5, "Manga": 5, "Digital art": 5, "Pixel art": 4, "Fantasy art": 10,
    "Neonpunk": 17, "3D Model": 4, "Painting": 23, "Animation": 8, "Illustration": 15,
}  # fmt: skip


def model(id: str, **more) -> dict:
    return {"id": id, "name": id.title(), "organisation": "Tests", "family": "Fake", "licence": "apache-2.0",
            "backend": "fake", "source": "nowhere", **more}  # fmt: skip


def raw(**more) -> dict:
    return {
        "models": [model(f"model-{k}") for k in range(4)],
        "categories": [{"name": "Anime", "sub_categories": ["vibrant"], "prompts": [{"prompt": "a red ball"}]}],
        **more,
    }


def mistakes(config: dict) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(config)
    return str(caught.value).splitlines()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "arena.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def unreadable(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


# -- what is accepted ---------------------------------------------------------------------------------------------


def test_the_smallest_arena_needs_models_and_categories_only():
    config = parse_config(raw())
    assert config.title and config.hub.dataset is None and config.bank.fill
    assert config.category_names == ["Anime"]


def test_a_disabled_model_keeps_its_row_and_meets_nobody():
    config = parse_config(raw(models=[model("a"), model("b", enabled=False), model("c")]))
    assert [m.id for m in config.models] == ["a", "b", "c"]
    assert [m.id for m in config.contenders] == ["a", "c"]


def test_a_configuration_cannot_be_changed_once_it_is_read():
    with pytest.raises(Exception, match="frozen"):
        parse_config(raw()).title = "Another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"prompt": "a cat"}, [("original", "a cat")]),
        ({"simplified": "a cat"}, [("simplified", "a cat")]),
        ({"complex": "a cat at sea"}, [("complex", "a cat at sea")]),
        ({"simplified": "a cat", "complex": "a cat at sea"}, [("simplified", "a cat"), ("complex", "a cat at sea")]),
        ({"prompt": "  a cat\n"}, [("original", "a cat")]),
    ],
)
def test_a_prompt_has_one_of_two_forms(row, texts):
    config = parse_config(raw(categories=[{"name": "Anime", "prompts": [row]}]))
    assert config.categories[0].prompts[0].texts() == texts


# -- what is refused, and in which words --------------------------------------------------------------------------


def test_an_unknown_value_is_reported_with_what_is_allowed():
    rows = [model(f"model-{k}") for k in range(4)]
    rows[3]["backend"] = "difusers"
    (line,) = mistakes(raw(models=rows))
    assert line.startswith('arena.yaml: models[3].backend: unknown "difusers"; one of diffusers, ')
    assert line.endswith("zerogpu, http, fake") and " or " not in line


@pytest.mark.parametrize(
    ("config", "place"),
    [
        (raw(titel="x"), "titel"),
        (raw(hub={"repo": "a/b"}), "hub.repo"),
        (raw(models=[model("a"), model("b", steps=4)]), "models[1].steps"),
        (raw(models=[model("a"), model("b", pipeline={"clas": "x"})]), "models[1].pipeline.clas"),
        (raw(categories=[{"name": "Anime", "prompt": []}]), "categories[0].prompt"),
        (
            raw(categories=[{"name": "Anime", "prompts": [{"text": "a", "prompt": "a"}]}]),
            "categories[0].prompts[0].text",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_its_place(config, place):
    assert any(line.startswith(f"arena.yaml: {place}: unknown key") for line in mistakes(config))


@pytest.mark.parametrize("key", ["id", "name", "organisation", "family", "licence", "source"])
def test_a_model_says_all_that_a_visitor_will_ask(key):
    row = model("b")
    del row[key]
    assert mistakes(raw(models=[model("a"), row])) == [f"arena.yaml: models[1].{key}: is missing"]


@pytest.mark.parametrize("key", ["models", "categories"])
def test_models_and_categories_must_be_there(key):
    config = raw()
    del config[key]
    assert mistakes(config) == [f"arena.yaml: {key}: is missing"]


def test_every_mistake_is_reported_at_once():
    lines = mistakes(raw(titel="x", hub={"dataset": "no slash", "every_seconds": 0}))
    assert len(lines) == 3 and all(line.startswith("arena.yaml: ") for line in lines)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (raw(models=[model("a"), model("a")]), ["models", '"a" is there twice']),
        (raw(categories=[{"name": "Anime"}, {"name": "Anime"}]), ["categories", '"Anime" is there twice']),
        (raw(models=[model("a")]), ["models", "at least 2"]),
        (raw(models=[model("a"), model("b", enabled=False)]), ["models", "two enabled models"]),
        (raw(models=[model("a"), model("Not An Id")]), ["models[1].id", '"Not An Id"']),
        (raw(models=[model("a"), model("../b")]), ["models[1].id", '"../b"']),
        (raw(models=[model("a"), model("b", name="")]), ["models[1].name"]),
        (raw(models=[model("a"), model("b", demo="perhaps")]), ["models[1].demo", '"perhaps"']),
        (raw(categories=[]), ["categories", "at least 1"]),
        (raw(categories=[{"name": "Anime", "prompts": [{}]}]), ["categories[0].prompts[0]", "either `prompt`"]),
        (
            raw(categories=[{"name": "Anime", "prompts": [{"prompt": "a", "complex": "b"}]}]),
            ["categories[0].prompts[0]", "either `prompt`"],
        ),
        (
            raw(
                categories=[
                    {"name": "Anime", "sub_categories": ["x"], "prompts": [{"prompt": "a", "sub_category": "y"}]}
                ]
            ),
            ["categories[0]", "prompts[0].sub_category", 'unknown "y"; one of x'],
        ),
        (raw(hub={"dataset": "https://somewhere/a/b"}), ["hub.dataset", "does not match"]),
        (raw(hub={"every_seconds": -1}), ["hub.every_seconds", "-1"]),
        (raw(bank={"display_px": 5000}), ["bank.display_px", "2048", "5000"]),
        (raw(limits={"prompt_chars": "many"}), ["limits.prompt_chars", '"many"']),
        (raw(limits={"prompt_chars": 5}), ["categories[0].prompts[0]", "10 characters", "at most 5"]),
        (raw(limits={"blocked_words": ["ball"]}), ["categories[0].prompts[0]", "not allowed"]),
        (raw(look={"accent": "red"}), ["look.accent", '"red"']),
        (raw(models="a, b"), ["models", "list"]),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(config, words):
    text = "\n".join(mistakes(config))
    assert all(word in text for word in words), text
    assert text.startswith("arena.yaml: ")


def test_a_long_value_is_cut_short():
    (line,) = mistakes(raw(title="x" * 3000))
    assert len(line) < 200


# -- files --------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_said_with_what_to_do(tmp_path):
    text = unreadable(tmp_path / "none.yaml")
    assert "none.yaml: no such file" in text and "ARENA_CONFIG" in text


@pytest.mark.parametrize(("text", "found"), [("- a\n- b\n", "list"), ("hello\n", "str"), ("", "NoneType")])
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path, text, found):
    assert unreadable(written(tmp_path, text)).endswith(f"found {found}")


@pytest.mark.parametrize(
    "text", ["title: a\nmodels: []\ntitle: b\n", "title: a\nhub:\n  dataset: a/b\n  dataset: c/d\n"]
)
def test_a_key_written_twice_is_refused_with_its_line(tmp_path, text):
    said = unreadable(written(tmp_path, text))
    assert "is there twice" in said and f"line {text.count(chr(10))}" in said


@pytest.mark.parametrize("text", ["title: [a, b\n", "title: a\n\tmodels: []\n", "title: 'a\n"])
def test_broken_yaml_is_said_with_its_line(tmp_path, text):
    said = unreadable(written(tmp_path, text))
    assert said.startswith("arena.yaml: not valid YAML") and "line " in said


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "arena.yaml"
    path.write_bytes(b"\xff\xfe\x00title")
    assert "cannot be read" in unreadable(path)
    assert "cannot be read" in unreadable(tmp_path)


def test_yaml_cannot_make_python_objects(tmp_path):
    assert "not valid YAML" in unreadable(written(tmp_path, "title: !!python/object/apply:os.getcwd []\n"))


def test_a_message_names_the_file_that_was_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("titel: x\n", encoding="utf-8")
    assert all(line.startswith("mine.yaml: ") for line in unreadable(path).splitlines())


# -- what is shipped ----------------------------------------------------------------------------------------------


@pytest.fixture(params=SHIPPED, ids=[path.name for path in SHIPPED])
def shipped(request) -> ArenaConfig:
    return load_config(request.param)


def test_the_shipped_files_have_the_categories_of_open_image_preferences(shipped):
    assert shipped.category_names == list(CATEGORIES)
    assert all(len(set(c.sub_categories)) == len(c.sub_categories) for c in shipped.categories)


def test_arena_yaml_has_its_sub_categories_too():
    config = load_config(ROOT / "arena.yaml")
    assert {c.name: len(c.sub_categories) for c in config.categories} == CATEGORIES


def test_every_category_has_prompts_and_none_is_there_twice(shipped):
    assert all(c.prompts for c in shipped.categories)
    every = Counter(text for c in shipped.categories for row in c.prompts for _, text in row.texts())
    assert [text for text, n in every.items() if n > 1] == []


def test_settings_never_lean_on_a_class_default(shipped):
    for m in shipped.contenders:
        assert "num_inference_steps" in m.settings, m.id
        assert {"guidance_scale", "true_cfg_scale"} & set(m.settings), m.id


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_first_line_names_the_schema(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=arena/arena.schema.json"


def test_the_schema_is_fresh():
    text = (ROOT / "arena" / "arena.schema.json").read_text(encoding="utf-8")
    assert text == json_schema(), "arena/config.py changed: run `make schema`"


def test_prompts_of_arena_yaml_are_within_the_demonstration_models_world():
    from arena.embedded.world import understands

    config = load_config(ROOT / "arena.yaml")
    texts = [text for c in config.categories for row in c.prompts for _, text in row.texts()]
    for text in [*texts, *config.look.examples]:
        understood, unknown = understands(text)
        assert understood and not unknown, (text, unknown)
    assert len(texts) >= 150 and len(config.look.examples) >= 8


def test_the_embedded_models_are_labelled_as_demonstrations():
    config = load_config(ROOT / "arena.yaml")
    assert len(config.contenders) >= 4 and len({m.family for m in config.contenders}) >= 2
    assert all(m.demo for m in config.contenders if m.source.startswith("arena/models/"))
