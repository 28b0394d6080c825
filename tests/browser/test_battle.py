"""A stranger's first minutes: a battle, votes by mouse, touch and keyboard, the reveal, and taking a slip back."""

from __future__ import annotations

import json

import pytest

CHOICES = {"ArrowLeft": "model_a", "ArrowRight": "model_b", "ArrowUp": "both_good", "ArrowDown": "both_bad"}


def test_a_battle_fits_the_first_screen(visit):
    visitor = visit(1440, 900)
    a, b = (visitor.box(f"[data-side={side}] .ia-frame") for side in "ab")
    assert a["y"] == b["y"] and a["width"] == b["width"] == pytest.approx(a["height"], abs=1)
    assert a["width"] > 500, "the pictures are the page"
    choices = visitor.box(".ia-choices")
    assert choices["y"] + choices["height"] <= 900
    assert visitor.prompt.partition(": ")[0] in ("anime", "painting")
    for side in "ab":
        picture = visitor.page.get_by_alt_text(f"Image {side.upper()}", exact=True)
        assert picture.evaluate("i => i.complete && i.naturalWidth") == 64
    assert visitor.overflow() <= 0
    assert visitor.page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "no scrolling"
    assert visitor.page.locator("footer").count() == 0 or not visitor.page.locator("footer").is_visible()


def test_a_vote_by_mouse_is_revealed_in_place(visit, votes, names, served):
    visitor = visit()
    page, first = visitor.page, visitor.prompt
    frame, dock = visitor.box("[data-side=a] .ia-frame"), visitor.box(".ia-dock")
    with visitor.quick():
        page.get_by_role("button", name="B is better").dblclick()
        visitor.phase("counted")
    visitor.reveal()
    [vote] = votes()
    assert vote["winner"] == "model_b" and vote["prompt"] == first
    for side in "ab":
        name = visitor.said(f"[data-side={side}] .ia-name")
        assert name == vote[f"model_{side}"].split("-")[0].title() + " One"
        about = visitor.said(f"[data-side={side}] .ia-line2")
        assert "Labs" in about and "apache-2.0" in about and "demo" in about
        assert "Elo" in visitor.said(f"[data-side={side}] .ia-elo")
    others = sum(served.arena.ledger.pair_record(vote["image_a"], vote["image_b"]).values()) - 1
    assert ("first to judge" in visitor.said(".ia-said")) == (others == 0), (
        "other visitors of this arena may have voted"
    )
    assert (visitor.box("[data-side=a] .ia-frame"), visitor.box(".ia-dock")) == (frame, dock), "nothing jumps"
    assert visitor.said(".ia-tally").startswith("1 vote")

    page.get_by_role("button", name="How image A was made").click()
    sheet = visitor.said("[data-side=a] .ia-sheet")
    assert "Family" in sheet and "Steps" in sheet and "Seed" in sheet

    page.get_by_role("button", name="Next").click()
    visitor.phase("open")
    assert visitor.prompt != first
    assert not any(name in page.locator(".ia-stage").inner_text() for name in names), "blind again"
    assert visitor.box("[data-side=a] .ia-frame") == frame


def test_the_keyboard_does_it_all(visit, votes):
    visitor = visit()
    keyboard, seen = visitor.page.keyboard, []
    for key, asking, following in zip(
        CHOICES, ("Space", "Enter", "Space", ""), ("n", "Space", "Space", "n"), strict=True
    ):
        seen.append(visitor.prompt)
        keyboard.press(key)
        keyboard.press(key)  # a second press finds the battle voted
        visitor.phase("counted")
        if asking:  # who is in a hurry goes on without the names
            keyboard.press(asking)
            visitor.phase("revealed")
        keyboard.press(following)
        visitor.phase("open")
    assert [vote["winner"] for vote in votes()] == list(CHOICES.values())
    assert len(set(seen)) == 4
    keyboard.press("?")
    assert visitor.page.get_by_role("dialog", name="Keys").is_visible()
    keyboard.press("ArrowLeft")  # not behind the sheet
    keyboard.press("Escape")
    assert not visitor.page.get_by_role("dialog").is_visible()
    for combination in ("Control+ArrowLeft", "Alt+ArrowUp", "Shift+ArrowRight"):
        keyboard.press(combination)
    visitor.page.locator("#ia-own").focus()
    for key in ("ArrowLeft", "ArrowUp", "n", "u", "?"):
        keyboard.press(key)
    assert len(votes()) == 4 and visitor.page.locator("#ia-own").input_value() == "nu?"


def test_the_keyboard_goes_on_from_what_it_pressed(visit, votes):
    visitor = visit()
    visitor.page.get_by_role("button", name="Both good").focus()
    visitor.page.keyboard.press("Enter")
    visitor.phase("counted")
    assert visitor.page.evaluate("document.activeElement.className").split()[-1] == "ia-reveal"
    visitor.page.wait_for_function(
        "document.querySelector('[role=status].ia-sr').textContent.includes('both are good')"
    )
    visitor.page.keyboard.press("Space")
    visitor.phase("revealed")
    assert "ia-next" in visitor.page.evaluate("document.activeElement.className").split()
    visitor.page.keyboard.press("Space")
    visitor.phase("open")
    visitor.page.keyboard.press("Space")  # pressed once too often: it votes for nobody
    assert [vote["winner"] for vote in votes()] == ["both_good"]


def test_a_slip_is_taken_back(visit, votes, served):
    visitor = visit()
    page, ledger = visitor.page, served.arena.ledger
    page.keyboard.press("ArrowLeft")
    visitor.phase("counted")
    page.get_by_role("button", name="Take back").click()
    visitor.phase("withdrawn")
    assert "does not count" in visitor.said(".ia-said") and "names are known" not in visitor.said(".ia-said")
    assert not page.locator(".ia-tally").is_visible()
    page.keyboard.press("n")
    visitor.phase("open")

    page.keyboard.press("ArrowRight")
    visitor.reveal()
    page.keyboard.press("Space")
    visitor.phase("open")
    page.keyboard.press("u")  # from the next battle, which stays
    page.wait_for_selector(".ia-note.full")
    assert "taken back" in visitor.said(".ia-note")
    page.keyboard.press("u")
    excluded = {row["vote_id"]: row["reason"] for _, row in ledger.exclusions_after(0)}
    assert [excluded.get(vote["vote_id"]) for vote in votes()] == ["withdrawn", "withdrawn"]
    assert page.locator(".ia-stage").get_attribute("data-phase") == "open"


def test_a_reload_goes_on_with_the_same_battle(visit):
    visitor = visit()
    before = visitor.prompt, visitor.page.get_by_alt_text("Image A", exact=True).get_attribute("src")
    visitor.open()
    assert (visitor.prompt, visitor.page.get_by_alt_text("Image A", exact=True).get_attribute("src")) == before


def test_skipping_and_choosing_a_category(visit, votes):
    visitor = visit()
    first = visitor.prompt
    visitor.page.get_by_role("button", name="Skip").click()
    visitor.page.wait_for_function(
        "first => document.querySelector('.ia-prompt-text').textContent !== first", arg=first
    )
    visitor.phase("open")
    for category in ("Painting", "Anime", "Painting"):
        visitor.page.get_by_label("Category").select_option(category)
        visitor.page.wait_for_function("c => document.querySelector('.ia-chip').textContent === c", arg=category)
        visitor.phase("open")
        visitor.page.keyboard.press("ArrowLeft")
        visitor.reveal()
        visitor.page.keyboard.press("n")
        visitor.phase("open")
        assert visitor.said(".ia-chip") == category
    assert [vote["category"] for vote in votes()] == ["Painting", "Anime", "Painting"]


def test_nothing_names_a_model_before_the_vote(visit, names):
    visitor = visit()
    for _ in range(1800):  # until the next battle is here too
        if sum("/arena/image/" in answer.url for answer in visitor.answers) == 4:
            break
        visitor.page.wait_for_timeout(50)

    def told() -> str:
        texts = [visitor.page.content(), visitor.page.evaluate("JSON.stringify([localStorage, sessionStorage])")]
        for answer in visitor.answers:
            texts += [answer.url, json.dumps(answer.all_headers())]
            endless = answer.headers.get("content-type", "").startswith("text/event-stream")
            if "/assets/" not in answer.url and answer.ok and not endless:
                texts.append(answer.body().decode("latin-1"))
        return "\n".join(texts).lower()

    assert not [name for name in names if name.lower() in told()]
    visitor.page.keyboard.press("ArrowLeft")
    visitor.phase("counted")
    visitor.page.keyboard.press("w")
    visitor.page.keyboard.press("4")
    visitor.page.wait_for_timeout(100)
    assert not [name for name in names if name.lower() in told()], "a vote tells no name until it is asked for"
    visitor.page.keyboard.press("Escape")
    visitor.reveal()
    assert [name for name in names if name.lower() in told()], "the reveal is what this test would have found"


def test_a_dead_line_loses_nothing(visit, votes):
    visitor = visit()
    visitor.expected = "ERR_INTERNET_DISCONNECTED"
    page, first = visitor.page, visitor.prompt
    page.context.set_offline(True)
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Send it again").wait_for()
    assert "not counted yet" in visitor.said(".ia-note") and visitor.prompt == first and votes() == []
    page.context.set_offline(False)
    page.get_by_role("button", name="Send it again").click()
    visitor.reveal()
    assert [vote["prompt"] for vote in votes()] == [first]
    page.keyboard.press("n")
    visitor.phase("open")


def test_a_vote_whose_answer_was_lost_counts_once(visit, votes):
    visitor = visit(at="/about")  # routes are watched from before the page is there
    visitor.expected = "ERR_FAILED|409"
    page, lost = visitor.page, []

    def lose(route):
        if not lost:
            lost.append(route.fetch())
            route.abort()
        else:
            route.continue_()

    page.route("**/arena/vote", lose)
    visitor.open()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Send it again").click()
    visitor.phase("counted")
    assert "has your vote already" in visitor.said(".ia-said")
    assert len(votes()) == 1
    visitor.reveal()


@pytest.mark.parametrize("choice", ["A is better", "B is better"])
def test_a_double_click_on_a_choice_presses_nothing_that_came_in_its_place(visit, votes, choice):
    visitor = visit()
    box = visitor.page.get_by_role("button", name=choice).bounding_box()
    end = 40 if choice.startswith("A") else box["width"] - 40  # where Take back, or Next, comes up
    with visitor.quick():
        visitor.page.mouse.dblclick(box["x"] + end, box["y"] + 25, delay=30)
        visitor.phase("counted")
    visitor.page.wait_for_timeout(600)
    assert visitor.page.locator(".ia-stage").get_attribute("data-phase") == "counted"
    assert len(votes()) == 1
    visitor.page.mouse.click(box["x"] + end, box["y"] + 25)
    visitor.phase("withdrawn" if choice.startswith("A") else "open")
