"""A whole campaign in the browser: guidelines, tasks with a known answer, labelling, progress, and who takes part."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image as pictures

from tests.noon import at_noon

PROMPT = "a red ball under a moon"


@pytest.fixture(scope="module")
def labelling(launch, tmp_path_factory):
    """An arena with a campaign: one known battle and one with a known word come first."""
    folder, rng = tmp_path_factory.mktemp("gold"), np.random.default_rng(5)
    for name in ("one", "two", "three", "four", "good"):
        pictures.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f"{name}.png")

    def path(name: str) -> str:
        return str(folder / f"{name}.png")

    about = {"prompt": PROMPT, "category": "Anime"}
    served = launch(
        campaign={"title": "Hands and feet", "target": 40, "asks": ["style", "alignment", "words"],
                  "overlap": {"voters": 2, "tie_break": None},
                  "guidelines": [{"title": "Count the fingers", "text": "Five each.", "examples": [
                      {"text": "A hand.", "good": path("good"), "bad": path("one")}]}]},
        gold={"first": 2, "every": None, "tasks": [
            {"kind": "battle", "images": [path("one"), path("two")], "winner": "first", **about,
             "why": "The other one has two moons."},
            {"kind": "words", "image": path("three"), "beside": path("four"), "missed": ["moon"], "may": ["a", "under"],
             "why": "There is no moon in it.", **about}]},
    )  # fmt: skip
    at_noon(served.arena.ledger)
    return served


def right_of(arena, battle_id: str) -> tuple[str, str]:
    """(kind of the task, its right outcome or the side that it is about) of a gold battle."""
    row = arena.ledger.one("SELECT gold FROM battles WHERE battle_id = ?", battle_id)
    task, battle = arena.gold.tasks()[row["gold"]], arena.ledger.battle(battle_id)
    return task.row.kind, task.outcome(battle) if task.row.kind == "battle" else task.side(battle)


def open_battle(page, arena) -> str:
    """The battle that the page shows, which need not be the first that was drawn for its voter."""
    token = page.locator("[data-side=a] .ia-frame img").first.get_attribute("src").rpartition("/")[2]
    return arena.ledger.one("SELECT battle_id FROM battles WHERE token_a = ?", token)["battle_id"]


def answer(page, word: str | None = None, *, word_side: str = "") -> None:
    """All questions on both pictures; the last one marks `word` on one side, and else says that there are no mistakes."""
    for _ in range(2):
        step = page.locator(".ia-step[aria-current]").get_attribute("data-step")
        for side in ("a", "b"):
            zone = page.locator(f"[data-side={side}] .ia-ask-step.now")
            zone.locator(".ia-score input").nth(3).check(force=True)
            if step == "alignment":
                said = word if side == word_side and word else "No mistakes"
                button = zone.get_by_role("button", name=said, exact=True)
                if button.get_attribute("aria-pressed") != "true":
                    button.click()
        if step == "style":
            page.wait_for_selector(".ia-step[data-step=alignment][aria-current]")
    page.get_by_role("button", name="Send", exact=True).click()


def votes_of(arena) -> list[dict]:
    return [row for _, row in arena.ledger.votes_after(0)]


def test_a_whole_campaign(labelling, visit):
    arena = labelling.arena
    visitor = visit(url=labelling.url)
    visitor.expected = "409"  # what a wrong answer comes back with
    page = visitor.page
    guide = page.get_by_role("dialog", name="Guidelines")
    assert guide.is_visible() and "Count the fingers" in guide.inner_text()
    assert page.evaluate("document.querySelectorAll('.ia-guide img').length") == 2
    page.keyboard.press("ArrowLeft")
    assert votes_of(arena) == [], "no key votes behind the guidelines"
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('.ia-stage')"), "the focus stays in it"
    page.keyboard.press("Escape")
    guide.wait_for(state="hidden")
    page.reload()
    visitor.phase("open")
    assert not guide.is_visible(), "it is remembered that they were read"

    def told(done: int) -> str:
        page.wait_for_function(f"() => document.querySelector('.ia-note').innerText.includes('{done} of 2 tasks')")
        return visitor.said(".ia-note")

    kinds, lines = [], []
    for _ in range(2):
        visitor.phase("open")
        battle_id = open_battle(page, arena)
        kind, known = right_of(arena, battle_id)
        kinds.append(kind)
        assert PROMPT in visitor.prompt
        if kind == "battle":
            wrong, right = ("ArrowRight", "ArrowLeft") if known == "model_a" else ("ArrowLeft", "ArrowRight")
            page.keyboard.press(wrong)
            again = page.get_by_role("dialog", name="Look again")
            again.wait_for()
            assert "two moons" in again.inner_text() and votes_of(arena) == votes_of(arena)
            page.keyboard.press("Enter")
            again.wait_for(state="hidden")
            assert page.locator(".ia-stage").get_attribute("data-phase") == "open"
            page.keyboard.press(right)
            page.wait_for_selector(".ia-stage.asking")
            lines.append(told(len(kinds)))
            answer(page)
        else:
            page.keyboard.press("ArrowUp")
            page.wait_for_selector(".ia-stage.asking")
            assert not page.get_by_role("button", name="Next").is_visible(), "feedback comes first"
            page.keyboard.press("n")
            assert page.locator(".ia-stage.asking").is_visible()
            answer(page)
            again = page.get_by_role("dialog", name="Look again")
            again.wait_for()
            assert "no moon" in again.inner_text()
            page.keyboard.press("Escape")
            again.wait_for(state="hidden")
            page.wait_for_selector(f"[data-side={known}] .ia-ask-step.now[data-step=alignment]")
            zone = page.locator(f"[data-side={known}] .ia-ask-step.now")
            zone.get_by_role("button", name="moon", exact=True).click()
            page.get_by_role("button", name="Send", exact=True).click()
            lines.append(told(len(kinds)))
        page.wait_for_selector(".ia-stage:not(.asking)[data-phase=open]")
    assert sorted(kinds) == ["battle", "words"]
    assert lines[0].startswith("Right now, thank you. 1 of 2") and lines[1].endswith("From here on your answers count.")

    first = {json.loads(row["extra"])["gold"]: row for row in votes_of(arena)}
    assert len(first) == 2 and "any" in first
    golden = next(row for gold, row in first.items() if gold != "any")
    assert golden["winner"] != json.loads(golden["extra"])["gold"], "the wrong answer is what is on record"
    marked = [json.loads(row["extra"])["gold"] for _, row in arena.ledger.feedback_after(0)]
    assert [gold["right"] for gold in marked if isinstance(gold, dict)] == [False]

    visitor.phase("open")  # now it counts
    assert PROMPT not in visitor.prompt
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".ia-stage.asking")
    page.reload()
    page.wait_for_selector(".ia-stage.asking")  # what is owed is asked again after a reload
    answer(page, "red", word_side="b") if "red" in visitor.prompt.split() else answer(page)
    page.wait_for_function("() => document.querySelector('.ia-camp-all').innerText.startsWith('1 of 40')")
    assert re.search(r"3 by you.*3 today", visitor.said(".ia-camp-you"))
    visitor.phase("open")
    page.locator(".ia-camp-far").click()
    sheet = page.get_by_role("dialog", name="Progress")
    assert "1 of 40 answers" in sheet.inner_text() and re.search(r"0 of \d begun", sheet.inner_text())
    assert "none by name" in sheet.inner_text() and "whatever they were" in sheet.inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Guidelines").click()
    assert guide.is_visible()
    guide.get_by_role("button", name="Back to the task").click()
    assert visitor.overflow() == 0
    voter = arena.ledger.one("SELECT voter FROM votes LIMIT 1")["voter"]
    arena.set_named(voter, True)
    assert arena.campaign.progress(voter)["ranking"] == {"named": [], "others": 1}, (
        "nobody by name who was not signed in"
    )


@pytest.fixture(scope="module")
def pointing(launch, tmp_path_factory):
    """A campaign whose first task has a known place: the upper left of one picture is wrong."""
    folder, rng = tmp_path_factory.mktemp("places"), np.random.default_rng(6)
    for name in ("wrong", "beside"):
        pictures.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f"{name}.png")
    return launch(
        campaign={"title": "Where", "asks": ["style", "coherence", "points", "words"]},
        gold={"first": 1, "every": None, "tasks": [
            {"kind": "area", "image": str(folder / "wrong.png"), "beside": str(folder / "beside.png"), "prompt": PROMPT,
             "category": "Anime", "criterion": "coherence", "box": [0, 0, 0.5, 0.5], "why": "The corner is melted."}]},
    )  # fmt: skip


@pytest.mark.parametrize("width", [1440, 390])
def test_a_wrong_place_leads_back_to_its_question(pointing, visit, width):
    visitor = visit(width, 844, url=pointing.url, has_touch=width < 700, is_mobile=width < 700)
    visitor.expected = "409"
    page = visitor.page
    page.locator(".ia-choice[data-winner=both_good]").click()
    page.wait_for_selector(".ia-stage.asking")

    def at(side: str, name: str):
        if width < 700:
            page.locator(f".ia-turn[data-turn={side}]").click()
        page.locator(f".ia-step[data-step={name}]").click()
        zone = page.locator(f"[data-side={side}] .ia-ask-step.now[data-step={name}]")
        zone.wait_for()
        return zone

    for side in ("a", "b"):
        at(side, "style").locator(".ia-score").nth(2).click()
        at(side, "coherence").locator(".ia-score").nth(3).click()
        at(side, "alignment").get_by_role("button", name="No mistakes").click()
    send = page.locator(".ia-reveal")
    send.click()
    page.wait_for_function("() => document.querySelector('.ia-note').innerText.includes('or say “Nowhere”')")
    assert page.locator(".ia-step[aria-current]").get_attribute("data-step") == "coherence", "places are a question too"
    for side in ("a", "b"):
        at(side, "coherence").get_by_role("button", name="Nowhere").click()
    assert send.inner_text() == "Send", "nothing is missing, whichever question is on"
    send.click()
    again = page.get_by_role("dialog", name="Look again")
    again.wait_for()
    assert "The corner is melted." in again.inner_text()
    page.keyboard.press("Enter")
    again.wait_for(state="hidden")
    task = pointing.arena.ledger.one("SELECT battle_id FROM votes ORDER BY seq DESC LIMIT 1")["battle_id"]
    _, side = right_of(pointing.arena, task)
    page.locator(f"[data-side={side}] .ia-ask-step.now.again[data-step=coherence]").wait_for()
    page.wait_for_function("() => (document.activeElement.ariaLabel || '').includes('where it is wrong')")
    assert page.locator(".ia-ask-step.again").count() == 1
    assert visitor.said(".ia-note") == f"Image {side.upper()}: The corner is melted."
    box = visitor.box(f"[data-side={side}] .ia-marks")
    page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.locator(".ia-ask-step.again").wait_for(state="detached")
    assert visitor.said(".ia-note") == ""
    assert send.inner_text() == "Send"
    send.click()
    page.wait_for_selector(".ia-stage:not(.asking)[data-phase=open]")
    [row] = [row for _, row in pointing.arena.ledger.feedback_after(0)
             if row["battle_id"] == task and isinstance(json.loads(row["extra"]).get("gold"), dict)]  # fmt: skip
    assert json.loads(row["extra"])["gold"]["right"] is False and row["coherence_points"] == [], (
        "the first answer counts"
    )


def test_on_a_phone(labelling, visit):
    visitor = visit(390, 844, url=labelling.url, has_touch=True, is_mobile=True)
    page = visitor.page
    page.get_by_role("dialog", name="Guidelines").get_by_role("button", name="Start").tap()
    visitor.phase("open")
    assert visitor.overflow() == 0
    strip, pair = visitor.box(".ia-camp"), visitor.box(".ia-pair")
    assert strip["height"] <= 40 and pair["y"] > strip["y"]
    page.locator(".ia-camp-far").tap()
    assert page.get_by_role("dialog", name="Progress").is_visible() and visitor.overflow() == 0
