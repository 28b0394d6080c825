"""The contract of `python -m leaderboard SOURCE`: its object, its formats, its exit status, and what it imports."""

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from leaderboard.commands import COMMANDS, main
from leaderboard.commands.standings import FORMATS
from leaderboard.formats import FORMATS as SOURCE_FORMATS
from leaderboard.ratings import METHODS
from leaderboard.sheet import KINDS
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import GROUPINGS, votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

ROOT = Path(__file__).parents[2]
STANDING = {"rank": int, "rank_lower": int, "rank_upper": int, "model": str, "rating": float | None,
            "rating_lower": float | None, "rating_upper": float | None, "elo": float, "votes": int, "wins": int,
            "losses": int, "both_good": int, "both_bad": int, "win_rate": float, "acceptability": float,
            "preliminary": bool}  # fmt: skip
SOURCE = {"votes": int, "counted": int, "left_out": dict, "models": int, "voters": int, "first": str | None,
          "last": str | None, "revision": str | None}  # fmt: skip
PAIR = {"model_a": str, "model_b": str, "votes": int, "win_rate_a": float, "lower": float, "upper": float}
BOARD = {"source": dict, "method": str, "standings": list, "categories": dict, "pairs": list, "notes": list}


def has_types(found, types):
    assert list(found) == list(types)
    for name, kind in types.items():
        assert isinstance(found[name], kind) and (kind is not int or not isinstance(found[name], bool)), name


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def save(path, rows):
    path.write_text("".join(json.dumps(cell) + "\n" for cell in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def source(tmp_path):
    rows = simulated(600) + battles("loser", "m0", losses=5, category="category 1", mode="anonymous")
    return save(tmp_path / "votes.jsonl", [*rows, row("m1", "m2", "tie", mode="named"), row("m1", "m1", "tie")])


def run(capsys, *arguments):
    status = main(list(arguments))
    out, err = capsys.readouterr()
    assert status == 0 and err == ""
    return out


def board(capsys, *arguments):
    return json.loads(run(capsys, *arguments, "--format", "json"), parse_constant=refuse_constant)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("by", GROUPINGS)
def test_the_json_is_the_contracts_object(capsys, source, method, by):
    found = board(capsys, source, "--method", method, "--by", by)
    has_types(found, BOARD)
    has_types(found["source"], SOURCE)
    assert found["method"] == method and all(isinstance(note, str) for note in found["notes"])
    for pair in found["pairs"]:
        has_types(pair, PAIR)
        assert 0 <= pair["lower"] <= pair["win_rate_a"] <= pair["upper"] <= 1
    assert len(found["categories"]) == {"category": 3, "sub_category": 8, "complexity": 3}[by]
    for group in found["categories"].values():
        has_types(group, {"votes": int, "standings": list, "verdict": str})
    for rows in (found["standings"], *(group["standings"] for group in found["categories"].values())):
        for line in rows:
            has_types(line, STANDING)
        holds(rows)


def holds(rows):
    """What the contract says of one table of standings."""
    for line in rows:
        assert line["wins"] + line["losses"] + line["both_good"] + line["both_bad"] == line["votes"]
        draws = line["both_good"] + line["both_bad"]
        assert line["win_rate"] == pytest.approx((line["wins"] + draws / 2) / line["votes"], abs=1e-6)
        assert line["rank_lower"] <= line["rank"] <= line["rank_upper"]
        upper = line["rating_upper"] if line["rating_upper"] is not None else math.inf
        above = [other for other in rows if other["rating_lower"] is not None and other["rating_lower"] > upper]
        assert line["rank"] == 1 + len(above)
    anchor = [line for line in rows if not line["preliminary"]]
    if anchor and all(line["rating"] is not None for line in rows):
        mean = sum(line["votes"] * line["rating"] for line in anchor) / sum(line["votes"] for line in anchor)
        assert mean == pytest.approx(1000, abs=1e-3)


def test_the_source_accounts_for_every_row(capsys, source):
    found = board(capsys, source)["source"]
    assert found["votes"] == 607 and found["counted"] == 605 and found["models"] == 7 and found["voters"] == 40
    assert found["left_out"] == {"mode:named": 1, "self_battle": 1}
    assert found["first"] == "2026-09-21T14:13:20.000Z" and found["last"] == "2026-09-21T14:23:19.000Z"
    assert found["revision"] is None


def test_a_model_that_lost_everything_is_null_and_preliminary(capsys, source):
    line = next(line for line in board(capsys, source)["standings"] if line["model"] == "loser")
    assert line["rating"] is None and line["preliminary"] and line["votes"] == 5 and line["win_rate"] == 0


def test_pairs_add_up_to_the_votes(capsys, source):
    found = board(capsys, source)
    assert sum(pair["votes"] for pair in found["pairs"]) == found["source"]["counted"]
    assert sum(group["votes"] for group in found["categories"].values()) == found["source"]["counted"]


def test_another_mode(capsys, source):
    found = board(capsys, source, "--mode", "named")["source"]
    assert found["counted"] == 1 and found["left_out"] == {"mode:anonymous": 606}


def test_no_votes_are_no_error(capsys, tmp_path):
    (tmp_path / "v.csv").write_text("model_a,model_b,winner\n")
    found = board(capsys, str(tmp_path / "v.csv"))
    assert found["source"]["votes"] == 0 and found["standings"] == [] and found["categories"] == {}
    assert found["notes"] == ["No vote counts yet."] and found["pairs"] == []
    for name in FORMATS:
        run(capsys, str(tmp_path / "v.csv"), "--format", name)


def test_the_same_votes_give_the_same_bytes(capsys, source):
    assert run(capsys, source, "--format", "json") == run(capsys, source, "--format", "json", "--seed", "0")


def test_csv_is_the_standings(capsys, source):
    rows = list(csv.DictReader(io.StringIO(run(capsys, source, "--format", "csv"))))
    expected = board(capsys, source)["standings"]
    assert [cell["model"] for cell in rows] == [line["model"] for line in expected]
    assert list(rows[0]) == list(STANDING) and float(rows[0]["rating"]) == expected[0]["rating"]
    assert rows[-1]["rating"] == ""


def test_the_table_is_for_reading(capsys, source):
    text = run(capsys, source)
    assert "605 of 607 votes count; 7 models, 40 voters; bradley-terry" in text
    assert "category 0: " in text and "preliminary" in text and "- Left out: 2 votes of 607" in text
    assert "nan" not in text.lower().replace("named", "") and "None" not in text and max(map(len, text.split())) < 60


@pytest.mark.parametrize(("name", "text", "words"), [
    ("v.csv", "model_a,model_b,winner\nx,y,draw\nx,y,draw\n", ["winner", "2 rows", "'draw'"]),
    ("v.csv", "model_a,model_b,winner\n,y,tie\n", ["model_a", "1 row"]),
    ("v.csv", "model_a,winner\nx,tie\n", ["model_b", "missing"]),
    ("v.parquet", "not parquet", ["v.parquet", "Parquet"]),
    ("v.docx", "x", [".docx", ".parquet"]),
])  # fmt: skip
def test_bad_input_is_one_clear_line_and_status_2(capsys, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    assert main([str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    assert all(word in err for word in words), err


@pytest.mark.parametrize("arguments", [["gone.parquet"], ["x.csv", "--method", "none"], ["x.csv", "--by", "colour"],
                                       ["x.csv", "--format", "xml"], [], ["x.csv", "--seed", "-1"],
                                       ["x.csv", "--clusters", "age"], ["x.csv", "--voter-cap", "nan"],
                                       ["x.csv", "--voter-cap", "0"], ["serve", "x.csv"], ["serve"],
                                       ["serve", "x.csv", "--port", "99999"],
                                       ["user/name", "--source-format", "none"]])  # fmt: skip
def test_bad_arguments_are_one_clear_line_and_status_2(capsys, arguments):
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    out, err = capsys.readouterr()
    assert status == 2 and out == "" and err.count("\n") == 1


PROBE = """
import json, runpy, sys
sys.argv = ["leaderboard", *sys.argv[1:]]
try:
    runpy.run_module("leaderboard", run_name="__main__")
except SystemExit as stopped:
    assert not stopped.code, stopped.code
heavy = {"gradio", "torch", "diffusers", "transformers", "plotly", "pandas", "datasets", "huggingface_hub", "arena"}
print("loaded:" + json.dumps(sorted(heavy & set(sys.modules))), file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet", "sqlite"])
def test_the_command_loads_nothing_heavy(tmp_path, name):
    import sqlite3

    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    rows, path = simulated(60), tmp_path / f"v.{name}"
    if name == "jsonl":
        save(path, rows)
    elif name == "csv":
        pyarrow.csv.write_csv(pa.Table.from_pylist(rows), path)
    elif name == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        with sqlite3.connect(path) as ledger:
            ledger.execute(f"CREATE TABLE votes ({', '.join(rows[0])})")
            ledger.executemany(f"INSERT INTO votes VALUES ({', '.join('?' * len(rows[0]))})",
                               [tuple(cell.values()) for cell in rows])  # fmt: skip
        ledger.close()
    made = subprocess.run([sys.executable, "-c", PROBE, str(path), "--format", "json"], cwd=ROOT, text=True,
                          capture_output=True, timeout=400, env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["source"]["counted"] == 60
    assert made.stderr.strip() == "loaded:[]"


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    source = save(tmp_path / "v.jsonl", simulated(60))
    made = subprocess.run(f"{sys.executable} -m leaderboard {source} | head -1", shell=True, cwd=ROOT, text=True,
                          capture_output=True, timeout=400)  # fmt: skip
    assert made.stdout.startswith("60 of 60 votes count") and made.stderr == ""


@pytest.mark.parametrize(("flags", "words"), [
    (["--clusters", "both"], "taken together|take the votes"), (["--voter-cap", "5"], "weights"),
])  # fmt: skip
def test_intervals_can_be_asked_to_cluster_and_to_cap(capsys, source, flags, words):
    found, plain = board(capsys, source, *flags), board(capsys, source, "--clusters", "none")
    assert re.search(words, " ".join(found["notes"])) and found["source"] == plain["source"]
    widths = [[line["rating_upper"] - line["rating_lower"] for line in shown["standings"] if line["rating"] is not None]
              for shown in (found, plain)]  # fmt: skip
    assert widths[0] != widths[1]


# -- every table ----------------------------------------------------------------------------------------------------

BOARDS = {
    "empty": [],
    "one vote": [row("x", "y", "model_a")],
    "draws alone": battles("x", "y", both_good=4, both_bad=4),
    "no category, voter or time": battles("x", "y", 9, 7, 2, 1) + battles("y", "z", 8, 6) + battles("x", "z", 5, 6),
    "full": simulated(400, prompts=12, voters=9),
    "losers and strangers": simulated(120) + battles("loser", "m0", losses=5) + battles("apart", "alone", 3, 3),
    "nothing counts": [row("x", "x", "tie"), row("x", "y", "tie", mode="named")],
}


@pytest.fixture(scope="module")
def studies():
    return {name: Study(votes_from_rows(rows)) for name, rows in BOARDS.items()}


@pytest.mark.parametrize("which", BOARDS)
@pytest.mark.parametrize("name", SHEETS)
def test_every_table_of_every_board_can_be_shown(studies, which, name):
    sheet = SHEETS[name](studies[which])
    keys = [column.key for column in sheet.columns]
    assert sheet.name == name and sheet.title and sheet.caption and len(set(keys)) == len(keys)
    assert list(json.loads(json.dumps(sheet.to_json(), allow_nan=False))["columns"]) == keys
    header, *lines = csv.reader(io.StringIO(sheet.to_csv()))
    assert header == keys and len(lines) == len(sheet.rows)
    assert sheet.to_text().startswith(sheet.title)
    assert not {"nan", "inf", "None"} & set(sheet.to_text().replace(",", " ").split())
    for column in sheet.columns:
        assert column.kind in KINDS and len(column.explain) >= 10 and column.explain[-1] == ".", column


@pytest.mark.parametrize("name", SHEETS)
def test_every_table_can_be_asked_for_in_every_form(capsys, source, name):
    assert run(capsys, source, "--show", name).strip()
    found = json.loads(run(capsys, source, "--show", name, "--format", "json"), parse_constant=refuse_constant)
    assert list(found["sheets"]) == [name] and found["source"]["counted"] == 605
    header = next(csv.reader(io.StringIO(run(capsys, source, "--show", name, "--format", "csv"))))
    assert header == list(found["sheets"][name]["columns"])


def test_several_tables_at_once(capsys, source):
    found = json.loads(run(capsys, source, "--show", "pairs, categories", "--format", "json"))
    assert list(found["sheets"]) == ["pairs", "categories"]
    text = run(capsys, source, "--show", "all")
    assert all(sheet["title"] in text for sheet in found["sheets"].values())
    assert main([source, "--show", "pairs,standings", "--format", "csv"]) == 2
    assert "csv holds one table" in capsys.readouterr().err


def test_the_tables_are_listed_and_explained_without_a_source(capsys):
    for arguments in (["--list"], ["--show", "list"]):
        lines = run(capsys, *arguments).splitlines()
        assert [line.split()[0] for line in lines] == list(SHEETS) and all(len(line.split()) > 1 for line in lines)
    text = run(capsys, "--explain")
    assert all(f"{name}: " in text for name in SHEETS) and "On the Elo scale" in text
    assert "pairs: " not in run(capsys, "--explain", "--show", "standings")


def test_explanations_follow_the_table(capsys, source):
    text = run(capsys, source, "--show", "pairs", "--explain")
    assert text.index("Head to head") < text.index("Wilson interval")
    assert "On the Elo scale" in run(capsys, source, "--explain")
    assert main([source, "--explain", "--format", "csv"]) == 2


# -- formats of a source --------------------------------------------------------------------------------------------


def test_a_format_can_be_named(capsys, tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("left,right,winner,model_a,model_b\nx,y,left,p,q\ny,x,tie,q,p\n")
    assert main([str(path)]) == 2
    assert "several formats" in capsys.readouterr().err
    found = board(capsys, str(path), "--source-format", "crowd-comparisons")
    assert {line["model"] for line in found["standings"]} == {"x", "y"}
    assert any("ties without saying" in note for note in found["notes"])
    assert main([str(path), "--source-format", "csv"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and all(name in err for name in SOURCE_FORMATS)


def test_help_names_every_format_table_and_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    text = capsys.readouterr().out
    assert stopped.value.code == 0
    for word in (*SOURCE_FORMATS, *SHEETS, *COMMANDS, *METHODS, "--voter-ids", "./NAME"):
        assert word in text, word
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert "SOURCE" in capsys.readouterr().out


@pytest.mark.parametrize("name", SOURCE_FORMATS)
def test_the_documents_say_what_every_format_needs(name):
    text = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    if SOURCE_FORMATS[name].NEEDS:
        (line,) = re.findall(rf"^\| `{name}` \| .*", text, re.M)
        assert all(column in line for column in SOURCE_FORMATS[name].NEEDS)
    assert f"`{name}`" in text


# -- what is known of the models ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text"), [
    ("m.yaml", "- {id: m1, name: Model One, parameters_b: 12, memory_gb: 33.7}\n"),
    ("m.json", '{"m1": {"name": "Model One", "licence": "apache-2.0"}}'),
    ("m.csv", "model,name,organisation\nm1,Model One,Us\nm2,,\n"),
    ("arena.yaml", "title: T\nmodels:\n  - {id: m1, name: Model One, backend: fake, settings: {steps: 1}}\n"),
])  # fmt: skip
def test_models_get_their_names(capsys, source, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    known = ["--models", str(tmp_path / name)]
    assert "Model One" in run(capsys, source, *known)
    assert "Model One" in run(capsys, source, *known, "--show", "pairs")
    assert any(line["model"] == "m1" for line in board(capsys, source, *known)["standings"]), "ids in the JSON"


@pytest.mark.parametrize(("name", "text", "words"), [
    ("m.yaml", "- {id: m1, colour: red}", "unknown colour"), ("m.yaml", "- {name: x}", "no id"),
    ("m.yaml", "- {id: m1, memory_gb: much}", "memory_gb is 'much'"), ("m.json", "{", "Expecting"),
    ("m.yaml", "- {id: other}", "none of its ids"), ("m.yaml", "a: [", "not YAML"), ("m.yaml", "3", "neither a list"),
    ("m.txt", "", "ends in one of"), ("gone.yaml", None, "no such file"),
])  # fmt: skip
def test_a_file_of_models_that_is_wrong_is_one_clear_line(capsys, source, tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    assert main([source, "--models", str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err


# -- other commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def shared_pairs(tmp_path):
    rows = simulated(300, models=3, prompts=10, voters=12)
    sides = [{f"image_{side}": f"{cell['prompt_id']} {cell[f'model_{side}']}" for side in "ab"} for cell in rows]
    return save(tmp_path / "shared.jsonl", [cell | images for cell, images in zip(rows, sides, strict=True)])


def test_agreement_shows_overlap_agreement_and_voters(capsys, shared_pairs):
    text = run(capsys, "agreement", shared_pairs)
    assert all(title in text for title in ("Agreement", "Overlap", "Voters"))
    found = json.loads(run(capsys, "agreement", shared_pairs, "--format", "json"), parse_constant=refuse_constant)
    assert list(found["sheets"]) == ["agreement", "overlap", "voters"]
    assert len(found["sheets"]["voters"]["rows"]) == 1, "nobody agreed to be named"
    assert found["sheets"]["agreement"]["rows"][0]["overlap_pairs"] > 20
    assert run(capsys, "agreement", shared_pairs, "--format", "csv").startswith("group,votes,pairs")


def test_voters_ids_are_shown_only_when_asked_for(capsys, shared_pairs):
    assert not {f"u{number}" for number in range(12)} & set(run(capsys, "agreement", shared_pairs).split())
    found = json.loads(run(capsys, "agreement", shared_pairs, "--format", "json", "--voter-ids"))
    rows = found["sheets"]["voters"]["rows"]
    assert {line["voter"] for line in rows} == {f"u{number}" for number in range(12)}
    assert sum(line["votes"] for line in rows) == 300
    table = run(capsys, "agreement", shared_pairs, "--voter-ids", "--format", "csv")
    assert len(table.splitlines()) == 13 and table.startswith("voter,")


def test_serve_hands_over_the_study_and_reads_a_file_again_when_it_changed(capsys, source, monkeypatch):
    served = {}
    module = ModuleType("leaderboard.ui.serve")
    module.serve = lambda load, **options: served.update(options, load=load)
    monkeypatch.setitem(sys.modules, "leaderboard.ui.serve", module)
    assert run(capsys, "serve", source, "--port", "7999", "--by", "complexity") == ""
    assert served["host"] == "127.0.0.1" and served["port"] == 7999 and served["title"] == "votes.jsonl"
    study = served["load"]()
    assert study.by == "complexity" and len(study.votes) == 605 and served["load"]() is study
    with open(source, "a", encoding="utf-8") as file:
        file.write(json.dumps(row("m1", "m2", "tie")) + "\n")
    assert len(served["load"]().votes) == 606


def test_a_file_named_like_a_command_is_still_reached(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agreement").mkdir()
    with pytest.raises(SystemExit):
        main(["agreement"])
    assert "the following arguments are required: SOURCE" in capsys.readouterr().err
    assert main(["./agreement"]) == 2
    assert "this folder holds no .parquet file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["agreement", "gone.csv"], ["--show", "pairs"], ["x.csv", "--show", "pear"]])
def test_other_commands_refuse_in_one_line_too(capsys, arguments):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("python -m leaderboard")
