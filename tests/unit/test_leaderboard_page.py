"""What a visitor sees: figures of every board, escaped tables, and components that draw only when votes came in."""

import base64
import json
import re

import gradio as gr
import pytest

from leaderboard import page
from leaderboard.board import build
from leaderboard.errors import HubError
from leaderboard.figures import FIGURES
from leaderboard.live import LiveBoard
from leaderboard.ui import CSS, leaderboard_page
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

NASTY = '<img src=x onerror="alert(1)">${6*7}{{7*7}}`'
BOARDS = {
    "none": [],
    "one vote": [row("x", "y", "model_a")],
    "no category": battles("x", "y", 3, 2),
    "full": [*simulated(400), *battles("new", "m0", losses=4)],
    "many": [cell for a in range(18) for b in range(a) for cell in battles(f"a long model's name {a}", f"b{b}", 1, 1)],
    "nasty": [*battles(NASTY, "y", 40, 30, category=NASTY), *battles(NASTY, "z", 1, 1, category="b")],
}


@pytest.fixture(params=BOARDS)
def board(request):
    models = {NASTY: {"name": NASTY, "organisation": NASTY, "licence": NASTY, "demo": True}}
    return build(votes_from_rows(BOARDS[request.param]), models=models)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_every_board(board, name):
    view = FIGURES[name]
    text = view.draw(board).to_json()
    assert "NaN" not in text and view.title and view.caption
    assert json.loads(text)["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_figures_hold_the_boards_numbers():
    board = build(votes_from_rows([*battles("x", "y", 30, 10, category="c"), *battles("y", "z", 20, 20, category="d")]))
    order = [line.model for line in board.standings]
    drawn = FIGURES["standings"].draw(board).data[0]
    assert list(drawn.x) == [line.rating for line in board.standings]
    assert [x + e for x, e in zip(drawn.x, drawn.error_x.array, strict=True)] == pytest.approx(
        [line.rating_upper for line in board.standings])  # fmt: skip
    x, y, z = (order.index(name) for name in "xyz")
    shares = FIGURES["win-fractions"].draw(board).data[0]
    assert shares.z[x][y] == 0.75 and shares.z[y][x] == 0.25 and shares.z[x][z] is None and shares.z[x][x] is None
    assert "took 75.0% of 40 votes" in shares.customdata[x][y] and shares.customdata[x][z] == ""
    counts = FIGURES["pair-counts"].draw(board).data[0]
    assert counts.z[x][y] == counts.z[y][x] == 40
    groups = FIGURES["categories"].draw(board).data[0]
    assert groups.z[x][0] == 0.75 and groups.z[x][1] is None and "30 won, 10 lost" in groups.customdata[x][0]


def test_models_without_a_rating_are_not_drawn_as_rated():
    board = build(votes_from_rows(BOARDS["full"]))
    assert len(FIGURES["standings"].draw(board).data[0].x) == len(board.standings) - 1


def test_what_comes_from_data_never_becomes_markup(board):
    for part in (page.status, page.standings, page.groups, page.notes):
        html = part(board)
        assert "<img" not in html and "${" not in html and "{{" not in html and "`" not in html
        assert not set(re.findall(r"<(/?\w+)", html)) & {"script", "img", "iframe", "style", "a"}
    for view in FIGURES.values():
        assert "<img" not in view.draw(board).to_json()


def test_the_tables_are_accessible():
    board = build(votes_from_rows(BOARDS["full"]))
    for html in (page.standings(board), page.groups(board)):
        assert "<caption>" in html and html.count('scope="row"') == len(board.standings)
        assert html.count("<th") - html.count("<thead") == html.count("scope=") and 'role="region"' in html


def test_the_standings_say_what_the_board_says():
    models = {"m5": {"name": "Model Five", "organisation": "Us", "licence": "MIT", "demo": True}}
    board = build(votes_from_rows(BOARDS["full"]), models=models)
    html = page.standings(board)
    for words in ("Model Five", "Us · MIT", ">demo<", ">preliminary<", "at most"):
        assert words in html
    for line in board.standings:
        assert f"{line.win_rate:.1%}" in html and (line.rating is None or f">{line.rating:.0f}<" in html)
    assert html.index("Model Five") < html.index(">new<")
    status = page.status(build(votes_from_rows([row("x", "y", "tie", created_at=0), row("x", "x", "tie")])))
    assert "Left out 1 vote: 1 a model against itself. Last vote 1970-01-01 00:00 UTC." in status


def test_an_empty_board_invites():
    board = build(votes_from_rows([]))
    assert "No votes yet" in page.standings(board) and page.groups(board) == page.download(board) == ""


def test_the_download_is_the_standings():
    board = build(votes_from_rows(BOARDS["full"]))
    data = re.search(r'href="data:text/csv;base64,([^"]+)"', page.download(board)).group(1)
    assert base64.b64decode(data).decode() == board.to_csv() and board.to_csv().count("\n") == 8


# -- components ---------------------------------------------------------------------------------------------------


def refresher(demo):
    functions = {dependency.fn for dependency in demo.fns.values()}
    assert len(functions) == 1
    return functions.pop()


def built(load):
    with gr.Blocks() as demo:
        gr.Markdown("home")
    with demo.route("Leaderboard", "/leaderboard"):
        parts = leaderboard_page(load)
    return demo, parts


def test_the_page_draws_when_votes_came_in_and_else_sends_nothing():
    live = LiveBoard(simulated(60))
    demo, parts = built(live.board)
    refresh = refresher(demo)
    first = refresh("")
    assert len(first) == len(parts) - 1 and "60" in first[1]
    assert refresh(first[0]) == gr.skip()
    live.add([row("m0", "m1", "tie")])
    again = refresh(first[0])
    assert "61" in again[1] and again[0] != first[0]


def test_an_exclusion_redraws_too():
    live = LiveBoard(simulated(60))
    refresh = refresher(built(live.board)[0])
    stamp = refresh("")[0]
    live.exclude([{"vote_id": "v000002", "reason": "bot", "created_at": 1}])
    assert "excluded (bot)" in refresh(stamp)[1]
    stamp = refresh(stamp)[0]
    live.exclude([{"vote_id": "v000002", "reason": "spam", "created_at": 2}])
    assert "excluded (spam)" in refresh(stamp)[1]  # as many votes as before, but another reason


def test_the_page_lives_on_its_route_and_its_events_are_private_and_unqueued():
    demo, _ = built(LiveBoard().board)
    assert {dependency.page for dependency in demo.fns.values()} == {"leaderboard"}
    assert all(dependency.queue is False and dependency.api_visibility == "private" for dependency in demo.fns.values())


def test_a_source_that_fails_is_a_message():
    def load():
        raise HubError("someone/votes: the Hub is away")

    with pytest.raises(gr.Error, match="the Hub is away"):
        refresher(built(load)[0])("")


def test_the_css_touches_nothing_but_ours():
    rules = re.findall(r"(?:^|\})\s*([^{}@]+)\{", re.sub(r"@media[^{]*\{", "}", CSS))
    selectors = [selector.strip() for rule in rules for selector in rule.split(",")]
    assert len(selectors) > 20 and all(re.match(r"(\.dark )?\.lb", selector) for selector in selectors)
