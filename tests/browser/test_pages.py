"""The pages as they look: phones, dark and light, the leaderboard that moves, About, and an arena that just started."""

from __future__ import annotations

import pytest

from arena.build import start


def test_a_phone_shows_both_pictures_and_the_choices(visit, votes):
    visitor = visit(390, 844, is_mobile=True, has_touch=True, device_scale_factor=2, color_scheme="dark")
    page = visitor.page
    a, b, choices = (visitor.box(s) for s in ("[data-side=a] .ia-frame", "[data-side=b] .ia-frame", ".ia-choices"))
    assert b["y"] >= a["y"] + a["height"], "one above the other"
    assert a["width"] == b["width"] >= 240
    assert b["y"] + b["height"] <= choices["y"] < choices["y"] + choices["height"] <= 844
    assert visitor.overflow() <= 0
    for button in page.locator(".ia-choice").all():
        assert button.bounding_box()["height"] >= 44, "a thumb's width"
    page.get_by_role("button", name="Both bad").tap()
    visitor.reveal()
    assert [vote["winner"] for vote in votes()] == ["both_bad"]
    assert visitor.overflow() <= 0
    page.get_by_role("button", name="Next").tap()
    visitor.phase("open")

    page.get_by_role("button", name="Your own prompt").tap()
    page.keyboard.type("a green tree")
    page.get_by_role("button", name="Generate").tap()
    page.wait_for_selector(".ia-strip", state="visible")
    page.wait_for_function("document.querySelector('.ia-prompt-text').textContent === 'a green tree'")
    assert visitor.overflow() <= 0


@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_no_page_is_wider_than_the_window(visit, width):
    visitor = visit(width, 800)
    for path, sign in (("/", ".ia-image"), ("/leaderboard", ".lb-page"), ("/about", ".ia-about-page")):
        visitor.open(path)
        visitor.page.wait_for_selector(sign)
        assert visitor.overflow() <= 0, path
        assert visitor.box(".ia-header")["width"] == pytest.approx(width, abs=20)


def test_dark_and_light_are_remembered(visit):
    visitor = visit(color_scheme="light")
    page = visitor.page

    def background() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert background() == "rgb(250, 249, 246)"
    page.get_by_role("button", name="Dark theme").click()
    assert background() == "rgb(19, 19, 21)"
    visitor.open("/about")
    page.wait_for_selector(".ia-about-page")
    assert background() == "rgb(19, 19, 21)"
    page.get_by_role("button", name="Light theme").click()
    assert background() == "rgb(250, 249, 246)"
    page.emulate_media(color_scheme="dark")  # the visitor's own choice goes first
    page.wait_for_timeout(100)
    assert background() == "rgb(250, 249, 246)"


def test_the_system_decides_about_dark(visit):
    visitor = visit(color_scheme="dark")
    assert visitor.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 19, 21)"


def test_the_leaderboard_moves_with_a_vote(visit, served):
    voter, reader = visit(), visit(at="/leaderboard")
    reader.page.wait_for_selector(".lb-page table")

    def votes_shown() -> int:
        """Every vote is in two models' rows."""
        rows = reader.page.locator(".lb-page table").first
        head = [cell.strip().lower() for cell in rows.locator("th").all_inner_texts()]
        at = next(k for k, cell in enumerate(head) if cell.startswith("votes"))
        cells = rows.locator(f"tbody tr > :nth-child({at + 1})").all_inner_texts()
        return sum(int(cell.replace(",", "").replace("\u202f", "") or 0) for cell in cells)

    before = votes_shown()
    for _ in range(3):
        voter.page.keyboard.press("ArrowLeft")
        voter.reveal()
        voter.page.keyboard.press("n")
        voter.phase("open")
    reader.open("/leaderboard")
    reader.page.wait_for_selector(".lb-page table")
    assert votes_shown() == before + 6


def test_about_says_what_happens_to_a_vote(visit, names):
    visitor = visit(at="/about")
    visitor.page.wait_for_selector(".ia-about-page")
    text = visitor.page.locator(".ia-about-page").inner_text()
    for part in ("Tests & <b>Trials</b>", "keyed hash", "withdrawn", "no Hub dataset is configured", "erased", "Guidelines",
                 *(f"{name} One" for name in names)):  # fmt: skip
        assert part in text, part
    assert visitor.page.locator(".ia-about-page b").count() == 0, "a title is text"
    assert visitor.page.locator(".ia-about-page .badge").count() >= len(names)
    visitor.page.get_by_role("link", name="Arena", exact=True).click()
    visitor.phase("open")


def test_an_arena_that_just_started_says_so(visit, launch):
    fresh = launch(drawing=False)
    visitor = visit(url=fresh.url, at="/about")
    visitor.page.goto(fresh.url)
    visitor.page.wait_for_function("/first images/.test(document.querySelector('.ia-prompt-text')?.textContent)")
    assert visitor.page.locator(".ia-choice").first.is_disabled()
    start(fresh.arena)
    visitor.phase("open")
