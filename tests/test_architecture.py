"""The house rules, held by reading the source: floors, heavy imports, file sizes, quiet imports.

The floors below are the ones of the README's tree. A new module gets its place here, on the lowest floor that
lets it import what it needs; a module may import from floors under its own, and never from its neighbours.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: dict[str, list[set[str]]] = {  # from the top floor to the ground
    "arena": [
        {"__main__", "ui"},
        {"build", "ray_fill"},
        {"health", "forget", "fill"},
        {"service"},
        {"live", "making"},
        {"stock", "feedback", "casting", "gold_command"},
        {"simulate", "studio", "publisher", "restore"},
        {"hub_reader", "jobs"},
        {"served", "ray_maker", "campaign", "gold"},
        {"check", "pace", "bank", "matchmaking", "hub", "dataset_card", "compact", "intake", "gold_record", "salvage"},
        {"hub_files", "merge", "card_figures", "costs"},
        {"backends", "ledger", "prompts", "shards"},
        {"gold_tasks", "remembered", "columns"},
        {"layout", "config", "tables", "storage", "database"},
        {"campaign_config"},
        {"wanted", "guard"},
        {"strict", "records", "reveal", "errors", "logs", "embedded", "hub_waiting", "box", "webp"},
        {"__init__"},
    ],
    "leaderboard": [
        {"__main__"},
        {"commands"},
        {"ui"},
        {"page"},
        {"figures"},
        {"exports", "live", "sheets", "battles"},
        {"study"},
        {"rich"},
        {"board", "audit", "trust", "history", "controls", "speed"},
        {"notes", "voters", "complexity", "quality"},
        {"position", "methods", "sampling"},
        {"standings", "agreement"},
        {"components", "tie_break"},
        {"intervals"},
        {"likelihood", "bootstrap", "fragility"},
        {"sandwich", "ranks", "sequence", "removal", "gains"},
        {"clusters", "running", "gold", "ticker"},
        {"ratings"},
        {"tally", "covariates", "contextual", "feedback"},
        {"votes", "pictures", "feedback_sources"},
        {"sources", "growing"},
        {"feedback_formats", "feedback_cells"},
        {"formats", "sheet"},
        {"columns", "known", "remote", "parquet"},
        {"arrow", "errors", "later"},
        {"__init__"},
    ],
}
HEAVY = {"torch", "diffusers", "transformers", "spaces", "gradio", "datasets", "evalica", "ray"}
LINES = {".py": 370, ".js": 500, ".css": 500}  # a longer file has more than one owner in it
MEGABYTE = 1_000_000


@cache
def files() -> tuple[Path, ...]:
    """What is or would be committed; without git (an unpacked archive), what lies here."""
    try:
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                                capture_output=True, text=True).stdout.split("\0")  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
        listed = [name for name in listed if not re.match(r"\.(venv|git/|pytest|ruff)|data/|.*__pycache__", name)]
    return tuple(sorted(ROOT / name for name in listed if name and (ROOT / name).is_file()))


def sources(*packages: str) -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in packages]


def name_of(path: Path) -> str:
    """arena/ui/page.py -> arena.ui.page"""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(path: Path, *, inside_functions: bool = True) -> set[str]:
    """The absolute names that a file imports, wherever in it; relative imports are resolved.

    Without `inside_functions`, only what runs when the module itself is imported.
    """
    package = path.relative_to(ROOT).parent.parts
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from arena import errors` names a module, `from arena.errors import X` a thing in one.
            found.update(f"{module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            if inside_functions or not (lazy or typing_only):
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
    return found


ENTRY = [path for path in files() if path.suffix == ".py" and path.parent == ROOT]  # app.py and standings.py


def top(name: str) -> str:
    return name.split(".")[0]


def floor_of(package: str, module: str) -> int:
    for level, names in enumerate(FLOORS[package]):
        if module in names:
            return level
    raise AssertionError(f"{package}.{module} has no place yet: add it to FLOORS in {Path(__file__).name}, "
                         "and to the README's tree")  # fmt: skip


def own_modules(package: str) -> set[str]:
    return {path.relative_to(ROOT).parts[1].removesuffix(".py") for path in sources(package) if path.parent != ROOT} | {
        "__init__"
    }


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_has_a_floor(package):
    for module in own_modules(package):
        floor_of(package, module)


@pytest.mark.parametrize("path", sources(*FLOORS), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    package, own = path.relative_to(ROOT).parts[0], path.relative_to(ROOT).parts[1].removesuffix(".py")
    modules = own_modules(package)
    wrong = []
    for name in sorted(imports(path)):
        if top(name) in FLOORS and top(name) != package:
            wrong.append(f"{name}: arena and leaderboard meet in app.py and standings.py only")
        elif top(name) == package:
            other = name.split(".")[1] if "." in name else "__init__"
            other = other if other in modules else "__init__"  # `from arena import __version__`
            if other != own and floor_of(package, other) <= floor_of(package, own):
                wrong.append(f"{name}: is not below {package}.{own}")
        elif top(name) in ("tests", "benchmarks", *(path.stem for path in ENTRY)):
            wrong.append(f"{name}: is not part of the library")
    assert not wrong, "\n".join(wrong)


def test_the_embedded_models_are_asked_through_their_world_only():
    """arena/embedded trains with torch; the rest of the arena may ask which words the models know."""
    for path in sources("arena"):
        if "embedded" not in path.relative_to(ROOT).parts:
            other = {name for name in imports(path) if name.startswith("arena.embedded")}
            assert all(re.match(r"arena\.embedded\.world\b", name) for name in other), (path, other)


@pytest.mark.parametrize("path", sources("arena", "leaderboard"), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_rooms(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    names = {top(name) for name in imports(path)}
    eager = {top(name) for name in imports(path, inside_functions=False)}
    if "gradio" in names:
        zerogpu = parts[:2] == ("arena", "backends") and parts[-1].startswith("zerogpu") and "gradio" not in eager
        assert "ui" in parts or zerogpu, "gradio belongs in ui"
    if names & {"torch", "diffusers", "transformers", "spaces"}:
        assert parts[:2] in (("arena", "backends"), ("arena", "embedded")), "torch and diffusers: backends or embedded"
    assert "datasets" not in names and "evalica" not in names, "a test's dependency, not ours"


PROVIDES = {"PyYAML": "yaml", "pillow": "PIL"}
# What Gradio, the Hub client and transformers bring along, whose versions are theirs to choose; and what a ZeroGPU
# Space has installed already.
WITHOUT_A_PIN = {"starlette", "httpx", "httpx2", "tokenizers", "spaces"}


def test_only_what_is_pinned_is_imported():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {re.split(r"[\[=]", line)[0] for line in lines if line and line[0] != "#"}
    known = {PROVIDES.get(name, name) for name in pinned} | WITHOUT_A_PIN | set(sys.stdlib_module_names) | set(FLOORS)
    known |= {path.stem for path in ENTRY}
    for path in [*sources("arena", "leaderboard"), *ENTRY]:
        unknown = {top(name) for name in imports(path)} - known
        if path.stem == "ray_fill":  # and nowhere else; requirements-ray.txt pins it
            unknown.discard("ray")
        assert not unknown, f"{path.relative_to(ROOT)}: {unknown} is not in requirements.txt"


def test_the_command_line_of_the_leaderboard_knows_no_page():
    """All but the one command that opens the pages."""
    for path in [ROOT / "leaderboard/__main__.py", *(ROOT / "leaderboard/commands").glob("*.py")]:
        if path.name != "serve.py":
            assert not any(name.startswith(("gradio", "leaderboard.ui")) for name in imports(path)), path


PROBE = r"""
import json, os, sys, threading
sys.dont_write_bytecode = True
done = []
def hook(event, args):
    if event in ("subprocess.Popen", "socket.connect", "socket.bind", "os.mkdir", "sqlite3.connect", "os.system"):
        done.append(f"{event} {args!r}"[:300])
    elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        done.append(f"open {args!r}"[:300])
names = json.loads(sys.argv[1])
import numpy, pyarrow, pandas, pydantic, huggingface_hub, PIL.Image, plotly.graph_objects  # theirs is not our work
threads = threading.active_count()
sys.addaudithook(hook)
for name in names:
    __import__(name)
print(json.dumps({"done": done, "threads": threading.active_count() - threads,
                  "heavy": sorted({m.split(".")[0] for m in sys.modules})}))
"""


def light_modules() -> list[str]:
    """All that must be importable without the heavy libraries: everything but pages, training and backends' insides."""
    skip = {"ui", "embedded", "__main__"}
    names = []
    for path in sources("arena", "leaderboard"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not skip & set(parts) and not (parts[1] == "backends" and parts[-1] not in ("__init__", "base", "fake")):
            names.append(name_of(path))
    return [*names, "arena.embedded.world"]


def probe(names: list[str], folder: Path) -> dict:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + PROBE
    made = subprocess.run([sys.executable, "-c", code, json.dumps(names)], cwd=folder, capture_output=True, text=True,
                          timeout=400)  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    return json.loads(made.stdout.splitlines()[-1])


@pytest.mark.parametrize("package", FLOORS)
def test_importing_does_no_work_and_loads_nothing_heavy(package, tmp_path):
    names = [name for name in light_modules() if top(name) == package]
    if package == "arena" and (ROOT / "arena" / "service.py").exists():
        assert {"arena.config", "arena.service", "arena.build"} <= set(names)
    seen = probe(names, tmp_path)
    assert seen["done"] == [] and seen["threads"] == 0
    assert not HEAVY & set(seen["heavy"])
    assert not (set(FLOORS) - {package}) & set(seen["heavy"])
    assert list(tmp_path.iterdir()) == []


def test_only_the_entry_knows_both_packages():
    assert {path.name for path in ENTRY} <= {"app.py", "standings.py"}
    for path in ENTRY:
        assert not {"gradio", "torch", "diffusers"} & {top(name) for name in imports(path)}, path


def test_the_entry_point_starts_nothing_when_it_is_imported():
    path = ROOT / "app.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        harmless = (
            ast.Import,
            ast.ImportFrom,
            ast.FunctionDef,
            ast.ClassDef,
            ast.If,
            ast.Assign,
            ast.AnnAssign,
            ast.Try,
        )
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        environment = isinstance(node, ast.Expr) and ast.unparse(node).startswith("os.environ.")
        assert isinstance(node, harmless) or docstring or environment, f"app.py:{node.lineno} runs at import"
        if isinstance(node, ast.If):
            assert "__name__" in ast.unparse(node.test) or "os.environ" in ast.unparse(node.test), node.lineno
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, "app.py is a screenful"


# -- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", FLOORS)
def test_no_file_is_long(package):
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files()
        if path.relative_to(ROOT).parts[0] == package and path.suffix in LINES
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > LINES[path.suffix]
    }  # fmt: skip
    assert not long, f"split these: {long}"


@pytest.mark.parametrize("path", sources("arena", "leaderboard"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "begins with a docstring"


def texts() -> list[tuple[Path, str]]:
    known = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".js", ".css", ".html", ".json", ".sh", ""}
    return [(path, path.read_text(encoding="utf-8")) for path in files()
            if path.suffix in known and path.stat().st_size < MEGABYTE]  # fmt: skip


UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
SOMEBODYS_MACHINE = re.compile(r"(?<![\w.:/~-])/(root|work|home|Users|mnt|opt|private)/\w")


def test_nothing_is_left_unfinished_or_tied_to_a_machine():
    wrong = []
    for path, text in texts():
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line) or SOMEBODYS_MACHINE.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not wrong, "\n".join(wrong)


def test_no_file_needs_git_lfs():
    """A Space refuses files over 10 MB that are not in LFS; the weights stay under it, and under 40 MB together."""
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in files()}
    assert {name: size for name, size in sizes.items() if size > 10 * MEGABYTE} == {}
    assert sum(size for name, size in sizes.items() if name.startswith("arena/models/")) <= 40 * MEGABYTE


def test_nothing_private_or_generated_is_in_the_tree():
    wrong = [path for path in files() if path.suffix in {".sqlite", ".pyc", ".log", ".pem"} or path.name == ".env"]
    assert wrong == []
