"""The leaderboard's pages in a real Chromium, alone on a CSV file whose names and prompts are hostile."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.ui import serve
from leaderboard.votes import read_votes, votes_from_rows
from tests.browser.conftest import address
from tests.leaderboard_rows import battles, row, simulated
from tests.ports import free_port

HOSTILE = '<img src=x onerror="document.title=1">${6*7}{{6*7}}'
MODELS = {
    "m0": {
        "name": "Zero",
        "organisation": "Alpha Labs",
        "licence": "apache-2.0",
        "family": "Even",
        "parameters_b": 0.9,
    },
    "m1": {"name": "One", "organisation": "Beta Labs", "licence": "mit", "family": "Odd", "parameters_b": 12},
    "m2": {"name": "Two", "organisation": "Alpha Labs", "licence": "mit", "family": "Even", "parameters_b": 2.6},
    "m3": {"name": HOSTILE, "organisation": HOSTILE, "licence": "mit", "family": "Odd"},
}


class Source:
    """What the pages are served from; a test may put another Study in."""

    def __init__(self, path: Path):
        rows = [*simulated(500, models=4), *battles("new", "m0", losses=4)]
        for number, vote in enumerate(rows):
            vote |= {"prompt": f"{HOSTILE} {number}", "category": vote.get("category", HOSTILE)}
        names = sorted({key for vote in rows for key in vote})
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        self.rows, self.path = rows, path
        self.study = Study(read_votes(path), models=MODELS)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    return Source(tmp_path_factory.mktemp("votes") / "votes.csv")


@pytest.fixture(scope="module")
def alone(source):
    port = free_port()
    demo = serve(lambda: source.study, port=port, title="votes.csv", block=False)
    yield f"http://127.0.0.1:{port}"
    demo.close(verbose=False)


@pytest.fixture
def look(visit, alone):
    """look(width=..., at="/#tab"): a page with the tabs drawn."""

    def open_page(width: int = 1280, at: str = "/#overview", **options):
        visitor = visit(width, 900, at=at, url=alone, **options)
        visitor.page.wait_for_selector(".lb-tab[aria-selected=true]")
        return visitor

    return open_page


def asked(visitor) -> list[str]:
    """The parts that this page has asked for so far."""
    posts = [answer.request.post_data_json for answer in visitor.answers if answer.url.endswith("/run/leaderboard")]
    return [post["data"][0]["part"] for post in posts if post["data"][0]["ask"] == "part"]


def names(page) -> list[str]:
    return page.locator("#lb-panel-overview tbody th > span:first-child").all_inner_texts()


def test_a_tab_is_computed_when_it_is_opened_and_has_its_own_address(look):
    visitor = look()
    page = visitor.page
    page.wait_for_selector("#lb-panel-overview tbody tr")
    assert {part.split("/")[0] for part in asked(visitor)} == {"overview"}
    page.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#lb-panel-categories tbody tr")
    assert (
        address(page).endswith("#categories")
        and page.get_by_role("tab", name="Categories").get_attribute("aria-selected") == "true"
    )
    assert {part.split("/")[0] for part in asked(visitor)} == {"overview", "categories"}
    page.get_by_role("tab", name="Head to head").click()
    page.wait_for_selector("#lb-panel-head-to-head .js-plotly-plot .heatmaplayer image, #lb-panel-head-to-head .hm")
    page.go_back()
    page.wait_for_selector("#lb-panel-categories:not([hidden])")
    assert asked(visitor).count("categories/verdicts") == 1, "nothing is computed twice"

    deep = look(at="/#quality/fragility").page
    deep.wait_for_selector("[id='lb-part-quality/fragility'][open] tbody tr")
    assert deep.locator("details.lb-part[open]").count() == 1


def test_search_and_facets_hide_rows_and_marks_and_stay_in_the_address(look, source):
    page = look().page
    page.wait_for_selector("#lb-panel-overview .js-plotly-plot .yaxislayer-above text")
    rating = {
        line["model"]: f"{line['rating']:.0f}" for line in SHEETS["standings"](source.study).rows if line["rating"]
    }
    page.get_by_label("Search models").fill("alpha")
    page.wait_for_function("document.querySelectorAll('#lb-panel-overview tbody tr').length === 2")
    assert set(names(page)) == {"Zero", "Two"} and "2 of 5 models shown" in page.locator(".lb-said").inner_text()
    shown = page.locator("#lb-panel-overview tbody .lb-value").all_inner_texts()
    assert {rating["m0"], rating["m2"]} <= set(shown), "no number changes"
    page.wait_for_function("document.querySelectorAll('#lb-panel-overview .ytick').length === 2")
    page.get_by_label("Licence").select_option("mit")
    page.wait_for_function("document.querySelectorAll('#lb-panel-overview tbody tr').length === 1")
    assert "q=alpha" in address(page) and "licence=mit" in address(page)
    page.reload()
    page.wait_for_selector("#lb-panel-overview tbody tr")
    assert names(page) == ["Two"] and page.get_by_label("Search models").input_value() == "alpha"
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("document.querySelectorAll('#lb-panel-overview tbody tr').length === 5")
    page.get_by_label("established only").check()
    page.wait_for_function("document.querySelectorAll('#lb-panel-overview tbody tr').length === 4")


def test_columns_sort_and_unknown_numbers_stay_last(look):
    page = look().page
    page.wait_for_selector("#lb-panel-overview tbody tr")
    first = names(page)
    head = page.locator("#lb-panel-overview th", has=page.get_by_role("button", name="rating"))
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending" and names(page) == first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending" and names(page) == [*first[:-1][::-1], "new"]
    assert page.evaluate("document.activeElement.textContent") == "rating", "the focus stays"


def test_a_number_explains_itself_by_keyboard_pointer_and_tap(look):
    page = look().page
    page.wait_for_selector("#lb-panel-overview tbody tr")
    tip = page.locator("[role=tooltip]")
    page.locator(".lb-scroll").first.focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("Boolean(document.activeElement.closest('tbody'))"):
            break
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('href')").startswith("#why/model/m"), "the model's page"
    page.keyboard.press("ArrowRight")
    tip.wait_for(state="visible")
    cell = page.evaluate("document.activeElement.getAttribute('aria-describedby')")
    assert cell == tip.get_attribute("id") and "Elo scale" in tip.inner_text() and "won" in tip.inner_text()
    page.keyboard.press("Escape")
    tip.wait_for(state="hidden")
    page.get_by_role("button", name="win rate").hover()
    tip.wait_for(state="visible")
    assert "half the draws" in tip.inner_text()

    phone = look(390, is_mobile=True, has_touch=True).page
    phone.wait_for_selector("#lb-panel-overview tbody tr")
    phone.locator("#lb-panel-overview tbody .lb-drawn").first.tap()
    phone.locator("[role=tooltip]").wait_for(state="visible")
    box = phone.locator("[role=tooltip]").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    for _ in range(20):  # a browser that is very busy lets a tap go by
        phone.locator("h1").tap()
        phone.wait_for_timeout(250)
        if not phone.locator("[role=tooltip]").is_visible():
            break
    phone.locator("[role=tooltip]").wait_for(state="hidden")


def test_a_cell_opens_its_battles_as_text(look, source):
    visitor = look(at="/#head-to-head")
    page = visitor.page
    page.locator("#lb-panel-head-to-head summary").first.click()
    button = page.locator("#lb-panel-head-to-head tbody .lb-open").first
    words = button.get_attribute("aria-label")
    button.click()
    drawer = page.get_by_role("dialog")
    drawer.locator("li").first.wait_for()
    assert f"{words.split()[0]} battles" in drawer.inner_text() and drawer.locator("li").count() == 20
    assert HOSTILE in drawer.locator(".lb-prompt").first.inner_text() and drawer.locator("img").count() == 0
    drawer.get_by_role("button", name="Show more").click()
    page.wait_for_function("document.querySelectorAll('.lb-battles li').length > 20")
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))"
        )
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.className") == "lb-open", "the focus goes back"

    plot = page.locator("#lb-panel-head-to-head .nsewdrag").first.bounding_box()
    page.mouse.click(plot["x"] + plot["width"] * 0.3, plot["y"] + plot["height"] * 0.1)  # row 1, column 2 of five
    drawer.locator("li").first.wait_for()
    order = [line.model for line in source.study.board.standings]
    title = drawer.locator("h2").inner_text()
    assert title == f"{source.study.name(order[0])} against {source.study.name(order[1])}"
    page.go_back()
    drawer.wait_for(state="hidden")
    assert address(page).endswith("#head-to-head")


def test_downloads_are_made_when_they_are_asked_for(look, source):
    page = look().page
    page.wait_for_selector("#lb-panel-overview .js-plotly-plot .point")

    def saved(button) -> tuple[str, bytes]:
        with page.expect_download() as waiting:
            button.click()
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()

    table = saved(page.get_by_role("button", name="Download Standings as CSV"))
    assert table == ("standings.csv", SHEETS["standings"](source.study).to_csv().encode())
    name, board = saved(page.get_by_role("button", name="the whole board as JSON"))
    assert name == "leaderboard.json" and json.loads(board) == source.study.board.to_json()
    name, picture = saved(page.get_by_role("button", name="Download Ratings as PNG"))
    assert name == "ratings.png" and picture.startswith(b"\x89PNG") and int.from_bytes(picture[16:20], "big") == 2400


def test_new_votes_change_the_page_without_moving_the_reader(look, source):
    before = source.study
    try:
        page = look().page
        page.wait_for_selector("#lb-panel-overview tbody tr")
        page.get_by_role("button", name="All columns").click()
        page.locator("#lb-panel-overview tbody .lb-open").first.click()
        page.locator(".lb-battles li").first.wait_for()
        source.study = Study(votes_from_rows([*source.rows, row("m0", "m1", "tie")]), models=MODELS)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_function("document.querySelector('.lb-facts').innerText.includes('505')")
        page.wait_for_function("document.querySelector('#lb-panel-overview table').innerText.includes('both bad')")
        assert page.get_by_role("dialog").is_visible() and page.locator(".lb-battles li").count() == 20
        assert page.locator("#lb-panel-overview [aria-pressed=true]").count() == 1, "still all columns"
    finally:
        source.study = before


def test_on_a_phone_the_standings_are_on_the_first_screen(look):
    visitor = look(390, is_mobile=True, has_touch=True)
    page = visitor.page
    page.wait_for_selector("#lb-panel-overview tbody tr")
    assert visitor.box("#lb-panel-overview tbody tr")["y"] < 500, "with the warnings folded away above them"
    fine = page.locator(".lb-fine > summary")
    assert fine.inner_text().endswith(("about the data", "About these numbers"))
    assert not page.locator(".lb-lead").is_visible()
    fine.tap()
    page.locator(".lb-lead").wait_for()
    assert page.locator(".lb-notes").is_visible() and visitor.overflow() <= 0
    page.set_viewport_size({"width": 1024, "height": 768})
    page.locator(".lb-fine").wait_for(state="detached")
    assert page.locator(".lb-lead").is_visible(), "with room, nothing is folded away"


def test_a_phone_never_scrolls_sideways_and_hostile_names_stay_text(look):
    visitor = look(390, is_mobile=True, has_touch=True)
    page = visitor.page
    for tab in page.get_by_role("tab").all():
        tab.evaluate("tab => tab.click()")
        page.wait_for_function("!document.querySelector('.lb-panel:not([hidden]) section [aria-busy=true]')")
        assert visitor.overflow() <= 0, tab.inner_text()
    assert page.locator(".lb img").count() == 0 and page.title() == "votes.csv"
    assert HOSTILE in page.locator("#lb-panel-overview").evaluate("panel => panel.textContent")
    page.get_by_role("tab", name="Overview").evaluate("tab => tab.click()")
    page.get_by_role("button", name="Filters").tap()
    page.get_by_label("Licence").select_option("mit")
    page.get_by_role("tab", name="Head to head").evaluate("tab => tab.click()")
    page.wait_for_function(
        "document.querySelectorAll('#lb-panel-head-to-head .js-plotly-plot')[0]?.layout.yaxis.tickvals.length === 3"
    )


def test_alone_it_follows_the_system_and_a_strict_policy(look, alone):
    visitor = look(color_scheme="dark")
    page = visitor.page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 19, 21)"
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(250, 249, 246)"
    page.reload()
    page.wait_for_selector(".lb-tab")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(250, 249, 246)"
    policy = next(a for a in visitor.answers if urlsplit(a.url).path == "/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "connect-src 'self';" in policy
    for path in ("/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/component_server"):
        assert page.request.post(alone + path, data="{}").status == 404, path
    levels = page.evaluate(
        "[...document.querySelectorAll('.lb h1, .lb h2, .lb h3')].filter(h => h.offsetParent).map(h => +h.tagName[1])"
    )
    assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels)), levels
