"""What the documents say is true: the README's tree, its card, its commands, and the words of contracts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from arena.__main__ import main as arena_main
from arena.config import ArenaConfig, Backend, load_config
from arena.records import EXCLUSION_REASONS, TABLES, WINNERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
PAGES = {"README": README, "CONTRIBUTING": CONTRIBUTING, **DOCS}
ARENA_YAML = (ROOT / "arena.yaml").read_text(encoding="utf-8")
BODY = README.split("---\n", 2)[2]
IN_HEALTH = {("hub", "pending_rows"), ("hub", "compaction")}  # of /health, not of arena.yaml
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def committed() -> list[str]:
    """What is or would be committed. Without git these tests have nothing to compare with."""
    try:
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                                capture_output=True, text=True).stdout.split("\0")  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in listed if name and (ROOT / name).exists()]


def section(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"no section '{heading}'"
    return found[1]


def tree() -> dict[str, str]:
    """path -> its comment, from the README's tree: two spaces of indentation are one level."""
    block = re.search(r"```\n(.*?)```", section(BODY, "What is where"), re.S)
    assert block, "the tree is a fenced block"
    found, folder = {}, ""
    for line in block[1].splitlines():
        match = re.fullmatch(r"( *)(\S+)\s{2,}(\S.*)", line)
        assert match, f"a name, two spaces or more, a comment: {line!r}"
        indent, name, comment = match.groups()
        assert len(indent) in (0, 2), line
        found[folder + name if indent else name] = comment
        if not indent:
            folder = name
    return found


# -- the tree -----------------------------------------------------------------------------------------------------


def test_every_name_in_the_readmes_tree_exists():
    missing = [name for name in tree() if not (ROOT / name).exists()]
    assert not missing, missing
    wrong = [name for name in tree() if (ROOT / name).is_dir() != name.endswith("/")]
    assert not wrong, f"folders end with a slash: {wrong}"


def test_every_path_is_in_the_readmes_tree():
    """All that lies at the top, and all that lies directly in the two packages."""
    listed = set(tree())
    wanted = set()
    for name in committed():
        parts = name.split("/")
        wanted.add(parts[0] + "/" * (len(parts) > 1))
        if parts[0] in ("arena", "leaderboard") and parts[1] not in ("__init__.py",):
            wanted.add(f"{parts[0]}/{parts[1]}" + "/" * (len(parts) > 2))
    assert wanted - {".gitignore", ".gitattributes"} <= listed, sorted(wanted - listed)


def test_every_comment_in_the_tree_is_short():
    assert [name for name, comment in tree().items() if len(comment) > 70] == []


# -- the Space's card ---------------------------------------------------------------------------------------------


def test_the_card_is_valid_for_a_space():
    card = yaml.safe_load(README.split("---\n", 2)[1])
    assert README.startswith("---\n")
    assert card["sdk"] == "gradio" and card["license"] == "apache-2.0" and card["hf_oauth"] is True
    assert card["title"] == load_config(ROOT / "arena.yaml").title
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert len(card["emoji"]) <= 2 and not card["emoji"].isascii()
    assert (ROOT / card["app_file"]).suffix == ".py"
    assert isinstance(card["python_version"], str) and card["python_version"].startswith("3.11")
    assert len(card["short_description"]) <= 60
    assert {"arena", "leaderboard", "text-to-image"} <= set(card["tags"])
    known = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "app_file", "python_version", "hf_oauth",
             "pinned", "license", "short_description", "tags", "suggested_hardware", "thumbnail", "models", "datasets",
             "fullWidth", "header", "disable_embedding", "startup_duration_timeout", "hf_oauth_scopes",
             "preload_from_hub"}  # fmt: skip
    assert set(card) <= known


def test_the_card_and_the_requirements_name_one_gradio():
    card = yaml.safe_load(README.split("---\n", 2)[1])
    assert f"gradio=={card['sdk_version']}" in (ROOT / "requirements.txt").read_text(encoding="utf-8")


# -- requirements -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-ray.txt"])
def test_every_requirement_is_pinned_and_explained(name):
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    for line in lines:
        if line.startswith("-r "):
            continue
        requirement = line.split("#")[0].strip()
        assert re.fullmatch(r"[A-Za-z0-9_.\-]+(\[[a-z,]+\])?==[0-9][\w.]*", requirement), line
        package = re.split(r"[\[=]", requirement)[0]
        assert package in section(CONTRIBUTING, "Dependencies, and why each"), f"{package}: say why"


def test_what_is_installed_is_what_is_pinned():
    from importlib.metadata import version

    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and line[0] != "#":
            package, pin = re.split(r"(?:\[[a-z,]+\])?==", line.split("#")[0].strip())
            assert version(package).split("+")[0] == pin, f"{package}: run make run"


# -- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_every_make_target_that_is_named_exists(text):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = {word for line in re.findall(r"^make .*|`[^`\n]*make [^`\n]*`", text, re.M)
             for word in re.findall(r"\bmake ([a-z]+)", line)}  # fmt: skip
    assert named <= targets, named - targets
    assert named or text in DOCS.values()


def test_the_readme_has_the_two_commands():
    run = section(BODY, "Run it")
    assert re.search(r"^make run\b", run, re.M) and re.search(r"^make test\b", run, re.M)
    assert "http://127.0.0.1:7860" in run and "python app.py" in run


def test_ci_runs_the_command_that_people_run():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "executable"
    assert "make test" in script.read_text(encoding="utf-8")
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    assert any(step.get("run") == "make test" for step in workflow["jobs"]["test"]["steps"])


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_pin_their_actions_and_ask_for_little(path):
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(re.search(r"@v\d", used) for used in re.findall(r"uses: (\S+)", text))
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("package", ["arena", "leaderboard"])
def test_the_command_lines_that_are_named_exist(package, capsys):
    shown = subprocess.run(
        [sys.executable, "-m", package, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert shown.returncode == 0, shown.stderr
    if package == "arena":  # its commands have options of their own
        for command in re.search(r"\{([a-z,]+)\}", shown.stdout)[1].split(","):
            with pytest.raises(SystemExit):
                arena_main([command, "--help"])
        shown.stdout += capsys.readouterr().out
    lines = re.findall(rf"python -m {package} ([^`\n]*)", "\n".join([*PAGES.values(), ARENA_YAML]))
    words = {flag for line in lines for flag in re.findall(r"--[a-z-]+", line)}
    if package == "arena":
        words |= {match[0] for line in lines if (match := re.match(r"[a-z]+", line))}
    missing = [word for word in sorted(words) if not re.search(rf"(?<![\w-]){word}\b", shown.stdout)]
    assert lines and not missing, (missing, shown.stdout)


# -- configuration ------------------------------------------------------------------------------------------------


def keys(model: type[BaseModel]) -> set[str]:
    """Every key that a configuration may have, however deep."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(name)
        for part in walk(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= keys(part)
    return found


def walk(annotation):
    yield annotation
    for part in get_args(annotation):
        yield from walk(part)


def test_every_configuration_key_is_explained_in_arena_yaml():
    missing = [key for key in sorted(keys(ArenaConfig)) if not re.search(rf"\b{key}\b", ARENA_YAML)]
    assert not missing, missing


@pytest.mark.parametrize("part", ["look", "hub", "bank", "cluster", "limits"])
def test_arena_yaml_shows_every_default(part):
    """What a comment calls the default is the default: these sections are written out in full."""
    written = yaml.safe_load(ARENA_YAML)[part]
    defaults = getattr(ArenaConfig.model_construct(), part).model_dump()
    assert set(written) == set(defaults)
    written.pop("examples", None), defaults.pop("examples", None)
    assert written == defaults


def test_every_backend_is_named_in_arena_yaml():
    assert all(re.search(rf"\b{name}\b", ARENA_YAML) for name in get_args(Backend))


@pytest.mark.parametrize(
    "name",
    [
        "GRADIO_SERVER_NAME",
        "GRADIO_SERVER_PORT",
        "ARENA_CONFIG",
        "ARENA_DATA_DIR",
        "ARENA_SECRET",
        "HF_TOKEN",
        "HF_ENDPOINT",
    ],
)
def test_every_environment_variable_has_its_row(name):
    assert f"| `{name}` |" in README


def test_no_environment_variable_of_ours_is_undocumented():
    ours = set()
    for name in committed():
        if name.endswith(".py") and not name.startswith(("tests/", "benchmarks/")):
            ours |= set(re.findall(r"\bARENA_[A-Z_]+\b", (ROOT / name).read_text(encoding="utf-8")))
    assert all(f"`{name}`" in README for name in ours), ours


# -- the published words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [*WINNERS, *EXCLUSION_REASONS])
def test_every_outcome_and_exclusion_reason_is_explained(word):
    rows = [line for line in README.splitlines() if line.startswith("|") and f"`{word}`" in line.split("|")[1]]
    assert len(rows) == 1, f"one row of a table explains `{word}`"


def test_the_readmes_reasons_are_the_codes():
    for code, reason in EXCLUSION_REASONS.items():
        assert f"| `{code}` |" in README and len(reason) > 10


@pytest.mark.parametrize("table", TABLES)
def test_every_published_table_is_named(table):
    assert f"`{table}`" in section(BODY, "The dataset")


# -- pictures and links -------------------------------------------------------------------------------------------


def test_the_readme_shows_our_own_pictures_only():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert pictures and all(alt for alt, _ in pictures)
    assert "<img" not in README
    for _, target in pictures:
        assert not re.match(r"[a-z]+:|//", target), target
        assert (ROOT / target).exists(), f"{target} is missing"


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_every_file_that_is_named_exists(text):
    named = set(re.findall(r"`((?:arena|leaderboard|tests|benchmarks|docs|examples|\.github|\.ci)/[\w./-]*)`", text))
    named |= {target for target in re.findall(r"\]\(([^)#:]+)\)", text) if text is README}
    missing = [name for name in sorted(named) if not (ROOT / name).exists()]
    assert not missing, missing


def test_the_readme_leads_to_every_document():
    assert DOCS and all(f"(docs/{name})" in README for name in DOCS)


def test_the_readme_can_be_read_in_one_go():
    """What it says before the tree; what is deeper has its page in docs/."""
    assert len(BODY.split("## What is where")[0].splitlines()) <= 170


def test_the_readmes_links_to_its_sections_lead_somewhere():
    there = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", BODY, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", BODY)) <= there


def test_every_key_of_arena_yaml_that_is_named_exists():
    """`bank.retire_after` in a document is a key of that section."""
    sections = ArenaConfig.model_fields
    for name, text in PAGES.items():
        for section_name, key in re.findall(r"`(hub|bank|matchmaking|cluster|limits|feedback|look)\.(\w+)`", text):
            if (section_name, key) not in IN_HEALTH:
                model = next(part for part in walk(sections[section_name].annotation)
                             if isinstance(part, type) and issubclass(part, BaseModel))  # fmt: skip
                assert key in model.model_fields, (name, section_name, key)


def test_the_changelog_names_the_version():
    import arena

    assert f"## {arena.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text and len(text) > 11_000
