"""The pages as they look: phones, dark and light, the leaderboard that moves, About, and an arena that just started."""

from __future__ import annotations

import pytest

from arena.build import start

# Controls in sight that a thumb, 44 pixels high, misses: what is there is not the control, its label or a part of it. Links
# inside a line of text, such as a licence, are as high as the line.
MISSED = """() => [...document.querySelectorAll('.ia :is(button, a:not(.ia-label a), select, input)')].filter((node) => {
  const own = node.closest('label') || node, box = own.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  if (!node.checkVisibility({ visibilityProperty: true }) || node.disabled || !box.width || y < 22 || y > innerHeight - 22) return false;
  const found = document.elementFromPoint(x, y);
  if (!found || !(own.contains(found) || found.contains(node))) return false;  // behind something, such as the bar below
  return [-21, 21].some((by) => { const hit = document.elementFromPoint(x, y + by); return !hit || !(own.contains(hit) || hit.closest('label') === own); });
}).map((node) => node.className + ' ' + node.innerText)"""


def test_a_thumb_finds_every_control_of_a_phone(visit):
    visitor = visit(390, 844, is_mobile=True, has_touch=True)
    page = visitor.page
    assert page.evaluate(MISSED) == []
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert page.evaluate(MISSED) == []
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("button", name="A is better").tap()
    visitor.phase("counted")
    assert page.evaluate(MISSED) == []
    page.get_by_role("button", name="Say why").tap()
    for name, value in (("style", 4), ("coherence", 4), ("alignment", 2)):
        page.locator(f".ia-step[data-step={name}]").tap()
        page.locator("[data-side=a] .now .ia-score").nth(value - 1).tap()
        page.wait_for_selector(f".ia-step[data-step={name}][aria-current=step]")
        assert page.evaluate(MISSED) == []
    page.get_by_role("button", name="Close the questions").tap()
    page.get_by_role("button", name="Send").tap()
    visitor.phase("revealed")
    assert page.evaluate(MISSED) == []


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
    voter = visit()

    def vote() -> None:
        voter.page.keyboard.press("ArrowLeft")
        voter.reveal()
        voter.page.keyboard.press("n")
        voter.phase("open")

    vote()  # without one there are no standings
    reader = visit(at="/leaderboard")
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
        vote()
    reader.open("/leaderboard")
    reader.page.wait_for_selector(".lb-page table")
    assert votes_shown() == before + 6


def test_links_within_the_leaderboard_stay_on_it(visit, served):
    visitor = visit()
    page = visitor.page
    page.keyboard.press("ArrowLeft")
    visitor.phase("counted")
    page.keyboard.press("w")
    page.keyboard.press("2")
    page.get_by_role("button", name="Next").click()
    visitor.phase("open")
    visitor.open("/leaderboard")
    page.get_by_role("tab", name="Why").click()
    page.wait_for_url("**/leaderboard#why")
    page.reload()
    assert page.get_by_role("tab", name="Why").get_attribute("aria-selected") == "true"
    page.locator(".lb-card h4 a").first.click()
    page.wait_for_selector(".lb-view h3")
    page.wait_for_url("**/leaderboard#why/model/*")
    page.locator(".lb-view .lb-shot").first.click()
    page.wait_for_selector(".lb-large")
    page.wait_for_url("**/leaderboard#why/image/*")
    page.go_back()
    page.go_back()
    page.locator(".lb-card").first.wait_for()
    page.wait_for_url("**/leaderboard#why")
    page.get_by_role("tab", name="Data quality").click()
    page.wait_for_url("**/leaderboard#quality**")


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


LONG = " ".join(f"a lighthouse at dusk with {n} gulls over it," for n in range(9))  # as long as prompts may be


@pytest.fixture(scope="module")
def wordy(launch):
    """An arena whose every prompt is long."""
    prompts = [{"prompt": f"{LONG} view {n}"} for n in range(6)]
    limits = {"votes_per_minute": 1e6, "prompt_chars": 500}
    return launch(categories=[{"name": "Anime", "sub_categories": [], "prompts": prompts}], limits=limits)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1024, 768)])
def test_a_long_prompt_leaves_both_pictures_on_the_screen(visit, wordy, width, height):
    visitor = visit(width, height, url=wordy.url, has_touch=width < 720)
    page = visitor.page
    assert len(visitor.prompt) > 330
    places = lambda: [visitor.box(s) for s in ("[data-side=a] .ia-frame", "[data-side=b] .ia-frame", ".ia-choices")]  # noqa: E731
    first, second, choices = places()
    assert max(first["y"] + first["height"], second["y"] + second["height"]) <= choices["y"] + 1
    assert choices["y"] + choices["height"] <= height and first["width"] >= 240
    whole = page.get_by_role("button", name="Whole prompt")
    assert whole.get_attribute("aria-expanded") == "false"
    whole.focus()
    page.keyboard.press("Enter")
    text, frame = visitor.box(".ia-prompt-text"), visitor.box("[data-side=a] .ia-frame")
    assert text["y"] + text["height"] <= frame["y"]
    assert page.evaluate("(n => n.scrollHeight <= n.clientHeight + 1)(document.querySelector('.ia-prompt-text'))")
    page.get_by_role("button", name="Less").press("Enter")
    assert places() == [first, second, choices]


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_the_questions_on_a_long_prompt_are_seen_without_scrolling(visit, wordy, width, height):
    visitor = visit(width, height, url=wordy.url, has_touch=width < 720)
    page = visitor.page
    page.keyboard.press("ArrowLeft")
    visitor.phase("counted")
    page.get_by_role("button", name="Say why").click()
    for step in ("style", "coherence"):
        page.locator(f".ia-step[data-step={step}]").click()
        scale, dock = visitor.box("[data-side=a] .now .ia-scale"), visitor.box(".ia-dock")
        assert scale["y"] + scale["height"] <= dock["y"]
    page.locator(".ia-step[data-step=alignment]").click()
    if width > 720:
        word, dock = page.locator("[data-side=a] .ia-word").last.bounding_box(), visitor.box(".ia-dock")
        assert word["y"] + word["height"] <= dock["y"] + 1
    assert visitor.box("[data-side=a] .ia-frame")["width"] >= 189


def test_the_switch_for_names_at_once_is_in_sight_on_a_phone(visit, votes):
    visitor = visit(390, 844, is_mobile=True, has_touch=True)
    visitor.page.get_by_role("button", name="Both good").tap()
    visitor.phase("counted")
    switch = visitor.page.get_by_label("Always reveal")
    box = visitor.box(".ia-at-once")
    assert box["y"] >= 0 and box["y"] + box["height"] <= visitor.box("[data-side=a] .ia-frame")["y"] + 1
    switch.tap()
    visitor.phase("revealed")  # who wants the names with every vote wants these too
    visitor.page.get_by_role("button", name="Next").tap()
    visitor.phase("open")
    visitor.page.get_by_role("button", name="Both bad").tap()
    visitor.phase("revealed")


def test_the_keys_are_the_same_in_the_dialog_and_on_the_about_page(visit):
    visitor = visit()
    visitor.page.keyboard.press("?")
    rows = visitor.page.locator(".ia-keys dl")
    told = (
        [row.lower() for row in rows.locator("kbd").all_inner_texts()],
        [row.lower() for row in rows.locator("dd").all_inner_texts()],
    )
    visitor.open("/about")
    visitor.page.wait_for_selector(".ia-about-page")
    tables = visitor.page.locator(".ia-about-page table:has(kbd)")
    assert [row.lower() for row in tables.locator("kbd").all_inner_texts()] == told[0]
    assert len(told[0]) == len(told[1]) >= 18
    assert "Say why" in visitor.page.locator(".ia-about-page ol").inner_text()
    assert "misaligned_words" in visitor.page.locator(".ia-about-page").inner_text()


def test_a_phone_can_cancel_what_is_being_drawn(visit, brush):
    brush.clear()
    visitor = visit(390, 844, is_mobile=True, has_touch=True)
    page = visitor.page
    page.get_by_role("button", name="Your own prompt").tap()
    page.keyboard.type("a red ball with a very long tail of words that no strip has room for")
    page.get_by_role("button", name="Generate").tap()
    cancel = page.locator(".ia-strip").get_by_role("button", name="Cancel")
    cancel.wait_for(state="visible")
    box = cancel.bounding_box()
    assert box["x"] + box["width"] <= 390 - 10
    frame = visitor.box("[data-side=b] .ia-frame")
    assert frame["y"] + frame["height"] <= visitor.box(".ia-strip")["y"] + 1, "it lies under the pictures, not on them"
    cancel.tap()
    page.wait_for_selector(".ia-strip", state="hidden")
