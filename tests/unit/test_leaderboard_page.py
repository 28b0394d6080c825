"""What the pages are told: figures of every source, tables as plain JSON, answers that are computed once."""

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leaderboard import page
from leaderboard.errors import HubError, Unreadable
from leaderboard.figures import FIGURES
from leaderboard.live import LiveBoard
from leaderboard.page import Pages
from leaderboard.page.blocks import interval, named, sheet_block
from leaderboard.page.head import head, stamp
from leaderboard.page.tabs import TABS, listed
from leaderboard.sheet import Column, Sheet
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

NASTY = '<img src=x onerror="alert(1)">${6*7}{{7*7}}`'
SOURCES = {
    "none": [],
    "one vote": [row("x", "y", "model_a")],
    "no category": battles("x", "y", 3, 2),
    "full": [*simulated(400), *battles("new", "m0", losses=4)],
    "many": [cell for a in range(18) for b in range(a) for cell in battles(f"a long model's name {a}", f"b{b}", 1, 1)],
    "nasty": [*battles(NASTY, "y", 40, 30, category=NASTY), *battles(NASTY, "z", 1, 1, category="b")],
}
MODELS = {NASTY: {"name": NASTY, "organisation": NASTY, "licence": NASTY, "demo": True},
          "m5": {"name": "Model Five", "organisation": "Us", "licence": "MIT", "parameters_b": 2.6, "demo": True}}  # fmt: skip
STUDIES = {name: Study(votes_from_rows(rows), models=MODELS) for name, rows in SOURCES.items()}


@pytest.fixture(params=SOURCES)
def study(request):
    return STUDIES[request.param]


def drawn(name, study):
    return FIGURES[name].draw(study, SHEETS[FIGURES[name].sheet](study))


# -- figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, view in FIGURES.items() if view.sheet in SHEETS])
def test_every_figure_draws_every_source(study, name):
    text = drawn(name, study).to_json()
    assert "NaN" not in text and "Infinity" not in text and "bdata" not in text and "<img" not in text
    assert FIGURES[name].title and FIGURES[name].caption
    assert json.loads(text)["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_figures_hold_the_boards_numbers():
    study = Study(votes_from_rows([*battles("x", "y", 30, 10, category="c"), *battles("y", "z", 20, 20, category="d")]))
    lines = study.board.standings
    order = [line.model for line in lines]
    ratings = drawn("ratings", study).data[0]
    assert list(ratings.y) == list(ratings.meta["models"]) == order
    assert list(ratings.x) == [line.rating for line in lines]
    assert [x + e for x, e in zip(ratings.x, ratings.error_x.array, strict=True)] == pytest.approx(
        [line.rating_upper for line in lines])  # fmt: skip
    x, y, z = (order.index(name) for name in "xyz")
    shares = drawn("win-fractions", study).data[0]
    assert shares.z[x][y] == 0.75 and shares.z[y][x] == 0.25 and shares.z[x][z] is None and shares.z[x][x] is None
    assert "took 75.0% of 40 votes" in shares.customdata[x][y] and shares.customdata[x][z] == ""
    assert list(shares.meta["battles"]) == ["model_a", "model_b"] and list(shares.meta["rows"]) == order
    counts = drawn("pair-counts", study).data[0]
    assert counts.z[x][y] == counts.z[y][x] == 40
    groups = drawn("categories", study).data[0]
    assert groups.z[x][0] == 0.75 and groups.z[x][1] is None and "30 won, 10 lost" in groups.customdata[x][0]


def test_models_without_a_rating_are_not_drawn_as_rated():
    study = STUDIES["full"]
    assert len(drawn("ratings", study).data[0].x) == len(study.board.standings) - 1


# -- tables -------------------------------------------------------------------------------------------------------


def test_every_sheet_travels_as_plain_json(study):
    for name, sheet in SHEETS.items():
        block = sheet_block(study, sheet(study))
        assert "NaN" not in json.dumps(block, allow_nan=False), name
        assert all(column["explain"] and column["title"] for column in block["columns"]), name
        assert all(len(cells) == len(block["columns"]) for cells in block["rows"]), name
        assert len(block["rows"]) == len(block["models"]) == len(block["battles"]) == block["total"], name


def test_a_cell_carries_its_number_its_words_and_its_interval():
    study = STUDIES["full"]
    block = sheet_block(study, SHEETS["standings"](study))
    keys = [column["key"] for column in block["columns"]]
    assert not [key for key in keys if key.endswith(("_lower", "_upper"))]
    first, line = block["rows"][0], study.board.standings[0]
    value, words, ends, low, high = first[keys.index("rating")]
    assert (value, low, high) == pytest.approx((line.rating, line.rating_lower, line.rating_upper), abs=1e-6)
    assert words == f"{line.rating:.0f}" and ends == f"{line.rating_lower:.0f}–{line.rating_upper:.0f}"
    new = block["rows"][block["models"].index(["new"])]
    assert new[keys.index("rating")][:2] == [None, "–"] and new[keys.index("rating")][2].startswith("at most")
    assert first[keys.index("model")] == line.model and block["battles"][0] == {"model_a": line.model}


def test_bare_ends_belong_to_the_number_before_them():
    columns = (Column("what", "what", "."), Column("effect", "effect", ".", "signed"),
               Column("lower", "from", ".", "signed"), Column("upper", "to", ".", "signed"),
               Column("votes", "votes", ".", "count"))  # fmt: skip
    sheet = Sheet("s", "S", "", columns, ({"what": "side", "effect": 2.4, "lower": -1.0, "upper": 5.6, "votes": 9},))
    block = sheet_block(STUDIES["none"], sheet)
    assert [column["key"] for column in block["columns"]] == ["what", "effect", "votes"]
    assert block["rows"] == [["side", [2.4, "+2", "-1 to +6", -1.0, 5.6], [9, "9"]]]


@pytest.mark.parametrize(("low", "high", "kind", "words"), [
    (None, None, "points", ""), (None, 940.2, "points", "at most 940"), (1060.0, None, "points", "at least 1060"),
    (1, 3, "count", "1–3"), (2, 2, "count", "2"), (0.25, 0.5, "share", "25.0%–50.0%"),
])  # fmt: skip
def test_an_interval_in_words(low, high, kind, words):
    assert interval(low, high, kind) == words


def test_sentences_call_models_by_their_names():
    rows = [*battles("m5", "m50", 2, 2), *battles("m5.1", "m5", 1, 1)]
    study = Study(votes_from_rows(rows), models=MODELS | {"m50": {"name": "Fifty"}})
    assert named(study, "4 votes in which m5 beat m50, m5.1 or m500.") == (
        "4 votes in which Model Five beat Fifty, m5.1 or m500.")  # fmt: skip
    assert named(study, "m5 better") == "Model Five better" and named(study, "am5, m5-x") == "am5, m5-x"


# -- the head and the tabs ----------------------------------------------------------------------------------------


def test_the_head_says_what_was_counted_and_what_is_known_of_models():
    found = head(STUDIES["full"])
    assert found["facts"][0][:2] == ["votes counted", "404"]
    assert found["models"]["m5"] == {"name": "Model Five", "organisation": "Us", "licence": "MIT", "parameters_b": 2.6,
                                     "demo": True, "preliminary": False}  # fmt: skip
    assert (
        found["models"]["new"]["preliminary"]
        and next(iter(found["models"])) == STUDIES["full"].board.standings[0].model
    )
    about = head(Study(votes_from_rows([row("x", "y", "tie", created_at=0), row("x", "x", "tie")])))["about"]
    assert about == "Left out 1 vote: 1 a model against itself. Last vote 1970-01-01 00:00 UTC."


def test_an_alarm_is_not_folded_away():
    found = head(Study(votes_from_rows(battles("x", "y", 90, 30))))
    assert len(found["alarms"]) == 1 and "Position alarm" in found["alarms"][0]
    assert not any("Position alarm" in note for note in found["notes"])


def test_every_name_in_the_tabs_is_in_a_table_and_every_sheet_is_in_a_tab():
    parts = [part for tab in TABS for part in tab.parts]
    named = {name for part in parts for name in (*part.sheets, *part.folded)}
    assert set(SHEETS) <= named, set(SHEETS) - named
    assert {name for part in parts for name in part.figures} == set(FIGURES)
    keys = [f"{tab.key}/{part.key}" for tab in TABS for part in tab.parts]
    assert len(keys) == len(set(keys)) and all(re.fullmatch(r"[a-z/-]+", key) for key in keys)


def test_what_no_table_has_is_not_listed():
    found = listed({"standings": None}, {"ratings": FIGURES["ratings"]})
    assert [tab.key for tab in found] == ["overview"]
    assert listed({}, FIGURES) == ()


# -- answers ------------------------------------------------------------------------------------------------------


def ask(pages, what, **more):
    return json.loads(pages.answer({"ask": what, **more}))


def test_every_part_of_every_source_has_an_answer(study):
    pages = Pages(lambda: study)
    for tab in ask(pages, "head")["tabs"]:
        for part in tab["parts"]:
            found = ask(pages, "part", part=part["key"])
            assert found["stamp"] == stamp(study) and found["blocks"], part["key"]


def test_answers_come_again_only_when_votes_came_in():
    live = LiveBoard(simulated(60))
    pages = Pages(live.study)
    seen = ask(pages, "head")["stamp"]
    assert ask(pages, "head", seen=seen) == ask(pages, "part", part="overview/standings", seen=seen) == {"same": True}
    live.add([row("m0", "m1", "tie")])
    again = ask(pages, "head", seen=seen)
    assert again["facts"][0][1] == "61" and again["stamp"] != seen
    live.exclude([{"vote_id": "v000002", "reason": "bot", "created_at": 1}])
    assert "excluded (bot)" in ask(pages, "head", seen=again["stamp"])["about"]
    seen = ask(pages, "head")["stamp"]
    live.exclude([{"vote_id": "v000002", "reason": "spam", "created_at": 2}])
    assert "excluded (spam)" in ask(pages, "head", seen=seen)["about"]  # as many votes as before, another reason


def test_a_sheet_is_computed_once_for_all_readers(monkeypatch):
    made = []
    standings = SHEETS["standings"]
    monkeypatch.setitem(SHEETS, "standings", lambda study: made.append(1) or standings(study))
    pages = Pages(lambda: STUDIES["full"])
    for _ in range(3):
        ask(pages, "part", part="overview/standings"), ask(pages, "part", part="overview/ratings")
    assert made == [1]


def test_readers_who_ask_together_wait_for_one_answer(monkeypatch):
    made = []

    def slow(study):
        made.append(threading.get_ident())
        time.sleep(0.05)
        return SHEETS["verdicts"](study)

    monkeypatch.setitem(SHEETS, "pairs", slow)
    pages = Pages(lambda: STUDIES["full"])
    with ThreadPoolExecutor(8) as readers:
        answers = set(readers.map(lambda _: pages.answer({"ask": "file", "name": "pairs"}), range(8)))
    assert len(answers) == len(made) == 1


def test_one_sheet_that_fails_is_a_message_and_the_others_go_on(monkeypatch):
    def fails(study):
        raise HubError("someone/votes: the Hub is away")

    monkeypatch.setitem(SHEETS, "pairs", fails)
    pages = Pages(lambda: STUDIES["full"])
    assert ask(pages, "part", part="head-to-head/shares") == {"error": "someone/votes: the Hub is away"}
    assert "blocks" in ask(pages, "part", part="overview/standings")


@pytest.mark.parametrize("question", [None, {}, [], {"ask": "votes"}, {"ask": "part"}, {"ask": "part", "part": "x"},
                                      {"ask": "file", "name": "../x"}, {"ask": "battles", "selection": {"voter": "u1"}},
                                      {"ask": "battles", "selection": {"model_a": ["m0"]}}])  # fmt: skip
def test_other_questions_are_refused_in_one_line(question):
    found = json.loads(Pages(lambda: STUDIES["full"]).answer(question))
    assert set(found) == {"error"} and "\n" not in found["error"]


def test_downloads_are_the_sheets_and_the_contract():
    study = STUDIES["full"]
    pages = Pages(lambda: study)
    board = ask(pages, "file", name="board")
    assert json.loads(board["text"]) == study.board.to_json() and board["name"] == "leaderboard.json"
    table = ask(pages, "file", name="standings")
    assert table["text"] == SHEETS["standings"](study).to_csv() and table["name"] == "standings.csv"


def test_a_port_that_is_taken_is_one_clear_line():
    from leaderboard.ui import serve

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unreadable, match=rf"can't listen on 127\.0\.0\.1:{port}"):
            serve(lambda: STUDIES["full"], port=port, block=False)


def test_the_scripts_put_data_on_the_page_as_text_only():
    scripts = Path(page.__file__).parents[1].joinpath("ui", "static").glob("*.js")
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML\s*=(?!=)|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), script
