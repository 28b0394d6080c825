"""The command `feedback`, and the tables of feedback among all others: command line, CSV, JSON and page say the same."""

import csv
import io
import json

import pytest

from leaderboard.commands import main
from leaderboard.commands.feedback import SHOWN
from leaderboard.page.blocks import sheet_block
from leaderboard.page.tabs import TABS
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import read_votes
from tests.leaderboard_feedback import world, write

MADE = world(seed=9, votes=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(MADE, tmp_path_factory.mktemp("published"))


def printed(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    found = capsys.readouterr()
    assert (status, found.err) == (0, ""), found.err
    return found.out


@pytest.mark.parametrize("name", SHOWN)
def test_every_table_is_the_same_in_every_form(capsys, folder, name):
    rows = json.loads(printed(capsys, folder, "--show", name, "--format", "json"))["sheets"][name]["rows"]
    assert (
        rows
        and rows
        == json.loads(printed(capsys, "feedback", folder, "--show", name, "--format", "json"))["sheets"][name]["rows"]
    )
    lines = list(csv.DictReader(io.StringIO(printed(capsys, "feedback", folder, "--show", name, "--format", "csv"))))
    assert [{key: "" if cell is None else str(cell) for key, cell in row.items()} for row in rows] == lines
    from leaderboard.feedback import read_feedback

    study = Study(read_votes(folder), feedback=read_feedback(folder))
    sheet = SHEETS[name](study)
    assert sheet.to_json()["rows"] == rows
    block = sheet_block(study, sheet)
    assert block["total"] == len(rows) and len(block["rows"]) == len(rows)
    assert sheet.title in printed(capsys, "feedback", folder, "--show", name, "--explain")
    assert any(name in part.sheets for tab in TABS for part in tab.parts), "it is in a tab"


def test_the_command_says_what_was_left_out_and_how_much_there_is(capsys, folder):
    text = printed(capsys, "feedback", folder)
    assert text.startswith("580 rows of feedback on ")
    assert "580 of 600 rows count; left out: 10 excluded:withdrawn, 10 mode:named." in text
    assert SHEETS["explained"](Study(read_votes(folder))).title in text and "coherence" in text


def test_a_file_of_feedback_alone_will_do(capsys, tmp_path):
    lines = ["t2i_model,item_id,source_id,worker_id,answer"]
    lines += [f"m{at % 2},i{at % 5},coco_{at % 5},w{at % 3},{1 + (at * 7) % 5}" for at in range(30)]
    (tmp_path / "ratings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = json.loads(printed(capsys, "feedback", tmp_path / "ratings.csv", "--format", "json"))["sheets"]
    assert {row["model"] for row in rows["scores"]["rows"]} == {"m0", "m1"} and "style" not in rows["scores"]["columns"]
    assert {row["category"] for row in rows["weaknesses"]["rows"]} == {"coco"}
    assert not rows["criteria"]["rows"] and rows["raters"]["rows"][0]["criterion"] == "alignment"


@pytest.mark.parametrize(("text", "says"), [
    ("model_a,model_b,winner\nx,y,model_a\n", "there is no feedback in it"),
    ("model,image_id,style\nx,i,7\n", "column style: 1 row holds a value that is no rating: '7'"),
    ("colour\nred\n", "there is no feedback in it"),
])  # fmt: skip
def test_what_can_not_be_read_is_refused_in_one_line(capsys, tmp_path, text, says):
    (tmp_path / "f.csv").write_text(text, encoding="utf-8")
    assert main(["feedback", str(tmp_path / "f.csv")]) == 2
    found = capsys.readouterr()
    assert says in found.err and found.err.count("\n") == 1 and not found.out


@pytest.mark.parametrize(
    "arguments", [["--show", "standings"], ["--show", "nothing"], ["--explain", "--format", "json"]]
)
def test_unknown_tables_are_refused(capsys, folder, arguments):
    assert main(["feedback", str(folder), *arguments]) == 2 and capsys.readouterr().err.count("\n") == 1
