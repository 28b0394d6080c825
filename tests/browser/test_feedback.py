"""Why, not only which: ratings, words and marks after a vote, by mouse, keyboard and touch, with and without a line."""

from __future__ import annotations

import json
import statistics

import pytest

from tests.slowness import slowness

MARK_MS = """kind => { const layer = document.querySelector('[data-side=a] .ia-marks'), box = layer.getBoundingClientRect();
  const times = [];
  for (let k = 0; k < 21; k++) {
    const marks = [...layer.querySelectorAll(`.ia-mark[data-kind=${kind}]`)];
    const at = marks.length === 3 ? marks[2] : layer, spot = at.getBoundingClientRect();
    const share = marks.length === 3 ? 0.5 : 0.2 + 0.25 * marks.length;
    const given = { bubbles: true, detail: 1, clientX: spot.left + spot.width * share, clientY: spot.top + spot.height * share };
    const begin = performance.now();
    at.dispatchEvent(new MouseEvent('click', given));
    layer.getBoundingClientRect();  // laid out, as it is painted in the next frame
    times.push(performance.now() - begin);
  }
  return times; }"""


@pytest.fixture
def given(served):
    """The feedback that was given since the test began: (side's image, row of the ledger), in their order."""
    ledger = served.arena.ledger
    before = len(ledger.feedback_after(0))
    return lambda: [row for _, row in ledger.feedback_after(0)][before:]


def vote_and_ask(visitor, *, tap: bool = False) -> None:
    visitor.page.keyboard.press("ArrowLeft")
    visitor.phase("counted")
    button = visitor.page.get_by_role("button", name="Say why")
    button.tap() if tap else button.click()


def step(visitor, name: str) -> None:
    visitor.page.locator(f".ia-step[data-step={name}]").click()
    visitor.page.wait_for_selector(f".ia-step[data-step={name}][aria-current=step]")


def score(visitor, side: str, value: int) -> None:
    visitor.page.locator(f"[data-side={side}] .now .ia-score").nth(value - 1).click()


def mark(visitor, side: str, x: float, y: float) -> None:
    """Click on the picture, at a share of its width and height."""
    box = visitor.box(f"[data-side={side}] .ia-marks")
    visitor.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def kept(visitor) -> list[str]:
    """What this browser keeps of feedback."""
    return visitor.page.evaluate("Object.keys(localStorage).filter((key) => key.includes('feedback'))")


def until(visitor, condition) -> None:
    for _ in range(1800):
        if condition():
            return
        visitor.page.wait_for_timeout(50)
    raise AssertionError("it never came")


def points(row, criterion: str) -> list[tuple[float, float]]:
    return [(round(p["x"], 2), round(p["y"], 2)) for p in row[f"{criterion}_points"]]


def test_reasons_by_mouse(visit, votes, given):
    visitor = visit()
    page = visitor.page
    frame = visitor.box("[data-side=b] .ia-frame")
    vote_and_ask(visitor)
    following = visitor.box(".ia-next")
    assert visitor.box("[data-side=b] .ia-frame") == frame, "the pictures stay where they are"
    score(visitor, "a", 4)
    score(visitor, "b", 2)
    page.wait_for_selector(".ia-step[data-step=coherence][aria-current=step]")  # nothing more to say of the style
    assert page.get_by_role("radiogroup", name="Image A: How many errors?").is_visible()
    where = page.get_by_role("button", name="Click where it is wrong on image A, up to 3 places")
    score(visitor, "b", 1)
    assert not where.is_visible()
    score(visitor, "a", 4)
    assert where.is_visible(), "asked on an image that was rated low"
    for x, y in ((0.2, 0.2), (0.5, 0.6), (0.8, 0.3), (0.9, 0.9)):
        mark(visitor, "a", x, y)
    marks = page.locator("[data-side=a] .ia-mark[data-kind=coherence]")
    assert marks.count() == 3, "three are enough"
    mark(visitor, "a", 0.5, 0.6)
    assert marks.count() == 2, "a click on a marker takes it away"
    page.get_by_role("button", name="Undo on image A").click()
    assert marks.count() == 3
    box = visitor.box("[data-side=a] .ia-marks")
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"], steps=5)
    page.mouse.up()
    assert "70 % from the left" in marks.nth(2).get_attribute("aria-label"), "it can be dragged"
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert marks.count() == 2

    step(visitor, "alignment")
    score(visitor, "a", 2)
    mark(visitor, "a", 0.25, 0.75)
    page.locator("[data-side=a]").get_by_role("button", name=visitor.prompt.split()[1], exact=True).first.click()
    page.locator("[data-side=b]").get_by_role("button", name="No mistakes").click()
    assert page.locator("[data-side=a] [aria-pressed=true]").inner_text() == visitor.prompt.split()[1]
    shapes = page.evaluate("""() => ['coherence', 'alignment'].map((kind) => {
      const style = getComputedStyle(document.querySelector(`[data-side=a] .ia-mark[data-kind=${kind}] i`));
      return [style.backgroundColor, style.borderRadius]; })""")
    assert shapes[0][0] != shapes[1][0] and shapes[0][1] != shapes[1][1], "two kinds, by colour and by shape"
    assert visitor.box(".ia-next") == following, "and so does the button that goes on"
    assert visitor.overflow() <= 0

    page.get_by_role("button", name="Send and reveal").click()
    visitor.phase("revealed")
    assert "Thank you" in visitor.said(".ia-note")
    assert not page.get_by_role("button", name="Say why").is_visible() and kept(visitor) == []
    [vote] = votes()
    a, b = given()
    assert (a["image_id"], b["image_id"]) == (vote["image_a"], vote["image_b"])
    assert (a["style"], a["coherence"], a["alignment"], a["misaligned_words"]) == (4, 2, 2, [1])
    assert (b["style"], b["coherence"], b["alignment"], b["misaligned_words"]) == (2, 5, None, [])
    assert points(a, "coherence") == [(0.2, 0.2), (0.5, 0.6)] and points(a, "alignment") == [(0.25, 0.75)]
    assert b["coherence_points"] is None, "not asked for on an image without errors"
    assert "revealed" not in json.loads(a["extra"] or "{}")


def test_a_marker_is_there_with_the_click(visit):
    visitor = visit()
    vote_and_ask(visitor)
    step(visitor, "coherence")
    score(visitor, "a", 5)
    times = visitor.page.evaluate(MARK_MS, "coherence")
    print(f"a marker after {statistics.median(times):.2f} ms (median of {len(times)}, at most {max(times):.2f})")
    assert visitor.page.locator("[data-side=a] .ia-mark").count() == 3
    assert statistics.median(times) < 16 * slowness()


def test_reasons_by_keyboard_alone(visit, votes, given):
    visitor = visit()
    page, press = visitor.page, visitor.page.keyboard.press
    press("ArrowRight")
    visitor.phase("counted")
    press("w")
    press("4")  # image A; the keyboard goes on to B by itself
    press("5")
    page.wait_for_selector(".ia-step[data-step=coherence][aria-current=step]")
    press("5")
    press("Tab")
    press("Enter")  # "Click where": the crosshair, in the middle
    page.wait_for_function("document.activeElement.matches('[data-side=a] .ia-marks[role=application]')")
    press("Enter")
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowUp", "Enter", "ArrowDown", "ArrowDown", "Enter", "Backspace"):
        press(key)
    page.wait_for_function("document.querySelector('[role=status].ia-sr').textContent.includes('Undone')")
    names = [m.get_attribute("aria-label") for m in page.locator("[data-side=a] .ia-mark").all()]
    assert "50 % from the left, 50 % from the top" in names[0] and "46 % from the left, 40 % from the top" in names[1]
    press("Escape")  # back to the question
    press("Enter")  # on to the next
    page.wait_for_selector(".ia-step[data-step=alignment][aria-current=step]")
    press("b")
    press("ArrowRight")  # 2, a low rating: "Click where" follows
    press("Tab")
    press("Tab")  # "Nowhere"
    press("Space")
    press("Tab")  # "No mistakes"
    press("Tab")
    press("Space")  # the first word of image B
    assert page.locator("[data-side=b] .ia-word[aria-pressed=true]").count() == 1
    press("a")
    press("Enter")
    visitor.phase("revealed")
    press("Space")
    visitor.phase("open")
    a, b = given()
    assert (a["style"], a["coherence"], a["alignment"], len(a["coherence_points"])) == (4, 1, None, 2)
    assert (b["style"], b["alignment"], b["misaligned_words"], b["alignment_points"]) == (5, 2, [0], [])
    assert [vote["winner"] for vote in votes()] == ["model_b"]


def test_a_phone_shows_one_picture_at_a_time(visit, given):
    visitor = visit(390, 844, is_mobile=True, has_touch=True, device_scale_factor=2)
    page = visitor.page
    vote_and_ask(visitor, tap=True)
    a, b = page.locator("[data-side=a] .ia-image"), page.locator("[data-side=b] .ia-image")
    assert a.is_visible() and not b.is_visible()
    page.locator("[data-side=a] .now .ia-score").nth(2).tap()
    page.wait_for_selector(".ia-step[data-step=coherence][aria-current=step]")
    page.locator("[data-side=a] .now .ia-score").nth(4).tap()
    box = visitor.box("[data-side=a] .ia-marks")
    page.touchscreen.tap(box["x"] + 80, box["y"] + 120)
    assert page.locator("[data-side=a] .ia-mark").count() == 1
    for node in page.locator(
        ".now .ia-score:visible, .ia-step:visible, .ia-mark:visible, .ia-reveal, .ia-next, .ia-back"
    ).all():
        size = node.bounding_box()
        assert min(size["width"], size["height"]) >= 44, f"a thumb's width: {node}"
    assert visitor.overflow() <= 0
    page.get_by_role("button", name="Continue").tap()
    for node in page.locator("[data-side=a] .ia-word").all():
        assert node.bounding_box()["height"] >= 40
    # A finger that begins on the picture scrolls the page, also while places can be marked on it.
    page.evaluate("document.querySelector('.ia-stage').style.paddingBottom = '900px'")
    page.locator("[data-side=a] .now .ia-score").first.tap()
    page.evaluate("scrollTo(0, 0)")
    box = visitor.box("[data-side=a] .ia-marks")
    line, x, y = page.context.new_cdp_session(page), box["x"] + 150, box["y"] + 250
    for event, up in (("touchStart", 0), *(("touchMove", 20 * k) for k in range(1, 11)), ("touchEnd", None)):
        touches = [] if up is None else [{"x": x, "y": y - up}]
        line.send("Input.dispatchTouchEvent", {"type": event, "touchPoints": touches})
        page.wait_for_timeout(16)
    page.wait_for_function("scrollY > 80")
    assert page.locator("[data-side=a] .ia-mark[data-kind=alignment]").count() == 0, "no mark where one only scrolled"
    page.evaluate("document.querySelector('.ia-stage').style.paddingBottom = ''")
    page.get_by_role("button", name="Image B").last.tap()
    assert b.is_visible() and not a.is_visible()
    page.locator(".ia-step[data-step=alignment]").tap()
    page.get_by_role("button", name="Send").tap()
    visitor.phase("revealed")
    [row] = given()
    assert (row["style"], row["coherence"], row["alignment"], len(row["coherence_points"])) == (3, 1, 1, 1)


def test_a_draft_survives_a_reload(visit, given, names):
    visitor = visit()
    page, prompt = visitor.page, visitor.prompt
    vote_and_ask(visitor)
    score(visitor, "b", 5)
    step(visitor, "coherence")
    score(visitor, "a", 4)
    mark(visitor, "a", 0.4, 0.4)
    assert not any(name.lower() in page.evaluate("JSON.stringify(localStorage)").lower() for name in names)
    page.reload()
    page.wait_for_selector(".ia-stage.asking[data-phase=counted]")
    assert visitor.prompt == prompt and page.locator("[data-side=a] .ia-mark").count() == 1
    assert page.locator("[data-side=b] [data-step=style] input").nth(4).is_checked()
    assert not any(name in page.locator(".ia-stage").inner_text() for name in names)
    page.get_by_role("button", name="Next").click()  # who goes on has said it
    visitor.phase("open")
    assert visitor.prompt != prompt
    until(visitor, lambda: len(given()) == 2 and kept(visitor) == [])
    assert [(row["style"], row["coherence"]) for row in given()] == [(None, 2), (5, None)]
    old = json.dumps({"at": 0, "battle": {"battle_id": "1" * 32}, "answers": {"a": {"style": 1}, "b": {}}})
    page.evaluate("old => localStorage.setItem('image-arena-feedback-' + '1'.repeat(32), old)", old)
    visitor.open()
    assert kept(visitor) == [], "what is too old to be taken is not kept"


def test_a_dead_line_keeps_what_was_said(visit, given):
    visitor = visit()
    visitor.expected = "ERR_|409"
    page, lost = visitor.page, []

    def lose(route):  # it arrives, and its answer does not
        if not lost:
            lost.append(route.fetch())
        route.abort()

    page.route("**/arena/feedback", lose)
    vote_and_ask(visitor)
    score(visitor, "a", 1)
    page.keyboard.press("n")
    visitor.phase("open")
    until(visitor, lambda: len(lost) == 1 and len(kept(visitor)) == 1)
    page.unroute("**/arena/feedback")
    page.evaluate("dispatchEvent(new Event('online'))")
    until(visitor, lambda: kept(visitor) == [])
    assert [row["style"] for row in given()] == [1], "once, however often it was sent"


def test_nothing_to_mark_is_an_answer_and_what_is_passed_over_is_none(visit, given):
    visitor = visit()
    page = visitor.page
    vote_and_ask(visitor)
    step(visitor, "coherence")
    score(visitor, "a", 4)
    score(visitor, "b", 4)  # and not a word of where
    nowhere = page.locator("[data-side=a] .now").get_by_role("button", name="Nowhere")
    nowhere.click()
    assert nowhere.get_attribute("aria-pressed") == "true"
    mark(visitor, "a", 0.5, 0.5)
    assert not nowhere.is_visible(), "a place is marked after all"
    mark(visitor, "a", 0.5, 0.5)
    assert nowhere.get_attribute("aria-pressed") == "false", "taken away again, which says nothing"
    nowhere.click()
    nowhere.click()
    assert nowhere.get_attribute("aria-pressed") == "false", "a second click takes it back"
    nowhere.press("Enter")
    step(visitor, "alignment")
    page.locator("[data-side=b]").get_by_role("button", name="No mistakes").click()
    page.reload()
    page.wait_for_selector(".ia-stage.asking")
    step(visitor, "coherence")
    assert nowhere.get_attribute("aria-pressed") == "true", "it survives a reload"
    page.keyboard.press("n")
    until(visitor, lambda: len(given()) == 2)
    a, b = given()
    assert (a["coherence_points"], a["alignment_points"], a["misaligned_words"]) == ([], None, None)
    assert (b["coherence_points"], b["alignment_points"], b["misaligned_words"]) == (None, None, [])


def test_who_wants_the_names_at_once_has_them(visit, given):
    visitor = visit()
    page = visitor.page
    page.keyboard.press("ArrowLeft")
    visitor.phase("counted")
    page.get_by_label("Always reveal right away").check()
    page.keyboard.press("n")
    visitor.phase("open")
    page.keyboard.press("ArrowLeft")
    visitor.phase("revealed")
    visitor.open()
    page.keyboard.press("ArrowLeft")
    visitor.phase("revealed")
    assert page.get_by_label("Always reveal right away").is_checked()
    page.keyboard.press("w")
    page.keyboard.press("2")
    page.locator(".ia-step[data-step=alignment]").click()
    page.get_by_role("button", name="Send").click()
    until(visitor, lambda: len(given()) == 1)
    [row] = given()
    assert row["style"] == 2 and json.loads(row["extra"])["revealed"] is True
    page.keyboard.press("Space")
    visitor.phase("open")


def test_an_area_is_painted_where_the_arena_asks_for_one(visit, launch):
    served = launch(feedback={"area": True, "reveal": "before", "criteria": ["coherence"], "words": False})
    visitor = visit(url=served.url)
    page = visitor.page
    page.keyboard.press("ArrowLeft")
    visitor.phase("revealed")
    page.get_by_role("button", name="Say why").click()
    score(visitor, "a", 3)
    box = visitor.box("[data-side=a] .ia-marks")
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"], steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Erase on image A").click()
    mark(visitor, "a", 0.5, 0.5)
    mark(visitor, "a", 0.75, 0.5)
    page.get_by_role("button", name="Undo on image A").click()
    page.get_by_role("button", name="Erase on image A").click()
    page.get_by_role("button", name="Paint where it is wrong on image A").press("Enter")
    for key in ("Shift+ArrowUp", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    score(visitor, "b", 4)
    page.get_by_role("button", name="Nowhere: there is no place to mark on image B").click()
    page.get_by_role("button", name="Send").click()
    until(visitor, lambda: len(served.arena.ledger.feedback_after(0)) == 2)
    (_, row), (_, other) = served.arena.ledger.feedback_after(0)
    assert other["coherence_points"] == [] and "coherence_mask" not in json.loads(other["extra"])
    assert row["coherence_points"] is None
    mask = json.loads(row["extra"])["coherence_mask"]
    assert mask["size"] == [64, 64] and row["coherence"] == 3
    cells = [k % 2 for k, run in enumerate(mask["counts"]) for _ in range(run)]
    assert len(cells) == 64 * 64
    rows = [cells[64 * y : 64 * y + 64] for y in range(64)]
    assert rows[31][20] and rows[31][47] and not rows[31][32], "painted along the middle, and erased in its middle"
    assert rows[21][47] and not any(rows[50]), "and ten cells above the last click, by the keyboard"
    assert {y for y in range(64) if rows[y][20]} <= set(range(28, 36))
