"""Why, not only which, in a real Chromium: cards, the pages of a model and of an image, over a data set whose truth is
known, whose names and prompts are hostile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from leaderboard.feedback import feedback_from_rows
from leaderboard.pictures import open_pictures
from leaderboard.study import Study
from leaderboard.ui import serve
from leaderboard.votes import votes_from_rows
from tests.browser.conftest import address
from tests.leaderboard_feedback import world, write
from tests.leaderboard_rows import battles
from tests.ports import free_port

HOSTILE = '<img src=x onerror="document.title=1">${6*7}{{6*7}}'
MODELS = {"m0": {"name": HOSTILE}, "m3": {"name": "Three"}}


def study_of(made, pictures, feedback=None):
    given = feedback_from_rows(made.feedback if feedback is None else feedback, made.votes, made.exclusions)
    edition = str(len(given))
    return Study(votes_from_rows(made.votes), feedback=given, pictures=pictures, models=MODELS, edition=edition)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    made = world(seed=2, votes=400)
    for rows in (made.votes, made.images, made.prompts, made.feedback):
        for row in rows:
            row["prompt"] += f" {HOSTILE}"
    pictures = open_pictures(write(made, tmp_path_factory.mktemp("why")))
    return SimpleNamespace(made=made, pictures=pictures, study=study_of(made, pictures))


@pytest.fixture(scope="module")
def alone(source):
    port = free_port()
    demo = serve(lambda: source.study, port=port, title="data", block=False)
    yield f"http://127.0.0.1:{port}"
    demo.close(verbose=False)


@pytest.fixture
def look(visit, alone):
    """look(width=..., at="/#why"): a page with the tabs drawn."""

    def open_page(at: str = "/#why", width: int = 1440, **options):
        visitor = visit(width, 900, at=at, url=alone, **options)
        visitor.page.wait_for_selector(".lb-tab[aria-selected=true]")
        return visitor

    return open_page


@pytest.fixture
def worst(source):
    """The image of which most is said to be wrong."""
    return source.study.rich.ranked_images("m0")[0]


PAINTED = """selector => { const canvas = document.querySelector(selector); if (!canvas || !canvas.width) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let n = 0; for (let at = 3; at < data.length; at += 4) n += data[at] > 20; return n; }"""
LARGE = ".lb-large canvas"
# Text whose colour stands out less than 4.5 to 1 from what is behind it (WCAG 2.1, 1.4.3), controls without a name, ids
# that are there twice, headings that leave out a level, and pictures without a word.
FAULTS = r"""() => {
  const lit = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4).reduce((s, c, k) => s + c * [.2126, .7152, .0722][k], 0);
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = colour => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1); const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const behind = node => { const layers = []; for (let at = node; at; at = at.parentElement) { const c = rgba(getComputedStyle(at).backgroundColor); layers.push(c); if (c[3] > .99) break; }
    return layers.reverse().reduce((under, [r, g, b, a]) => [r, g, b].map((c, k) => c * a + under[k] * (1 - a)), [255, 255, 255]); };
  const shown = node => node.checkVisibility && node.checkVisibility() && node.getClientRects().length;
  const found = [], root = document.querySelector('.lb');
  for (const node of root.querySelectorAll('*')) {
    if (!shown(node)) continue;
    const text = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (text && !node.closest('.lb-sr, caption, legend, option, svg, input')) {
      const back = behind(node), [r, g, b, a] = rgba(getComputedStyle(node).color);
      const fore = [r, g, b].map((c, k) => c * a + back[k] * (1 - a)), [one, two] = [lit(fore), lit(back)].sort((x, y) => y - x);
      if ((one + .05) / (two + .05) < 4.45) found.push(`contrast ${((one + .05) / (two + .05)).toFixed(2)}: ${node.className} ${node.textContent.slice(0, 30)}`);
    }
    if (node.matches('a, button, input, select, summary') && !(node.textContent.trim() || node.ariaLabel || node.labels?.length || node.title || node.querySelector('img[alt]:not([alt=""])'))) found.push(`no name: ${node.outerHTML.slice(0, 80)}`);
    if (node.matches('img') && !node.hasAttribute('alt')) found.push('a picture without alt');
  }
  const ids = [...document.querySelectorAll('.lb [id]')].map(node => node.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach(id => found.push(`twice: ${id}`));
  const levels = [...root.querySelectorAll('h1, h2, h3, h4')].filter(shown).map(h => +h.tagName[1]);
  levels.forEach((level, at) => { if (at && level - levels[at - 1] > 1) found.push(`h${levels[at - 1]} is followed by h${level}`); });
  return found; }"""


def test_from_the_cards_to_a_model_to_an_image_and_back(look, source, worst):
    visitor = look()
    page = visitor.page
    page.locator(".lb-card").first.wait_for()
    names = page.locator(".lb-card h4").all_inner_texts()
    assert names == [source.study.name(part.model) for part in source.study.rich.models()]
    page.wait_for_function(PAINTED, arg=".lb-card:last-child canvas")
    assert page.locator(".lb-card:last-child .lb-shot").count() == 4
    value = source.study.rich.models()[-1].scores["coherence"].mean
    row = page.locator(".lb-card:last-child .lb-row", has_text="coherence")
    assert row.locator("b").inner_text() == f"{value:.2f}"
    page.locator(".lb-card:last-child h4 a").click()
    page.wait_for_selector(".lb-view h3")
    assert address(page).endswith("#why/model/m0") and page.locator(".lb-view h3").inner_text() == HOSTILE
    assert page.evaluate("document.activeElement.tagName") == "H3", "a screen reader begins there"
    page.wait_for_selector(".lb-place")
    assert not page.locator(".lb-card").first.is_visible()
    page.locator(".lb-view .lb-shot").first.click()
    page.wait_for_selector(".lb-large")
    assert address(page).endswith(f"#why/image/{worst}")
    page.wait_for_function(PAINTED, arg=LARGE)
    page.go_back()
    page.wait_for_selector(".lb-place")
    assert address(page).endswith("#why/model/m0")
    page.go_back()
    page.locator(".lb-card").first.wait_for()
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#why/model/m0", "the focus goes back"
    assert page.title() == "data" and page.locator(".lb img:not([src^='data:image/webp'])[src]").count() == 0


def test_an_images_page_opens_by_its_address_and_heat_is_the_readers_choice(look, source, worst):
    page = look(f"/#why/image/{worst}").page
    page.wait_for_function(PAINTED, arg=LARGE)
    both = page.evaluate(PAINTED, LARGE)
    told = source.study.rich.image(worst)
    assert f"{told.voters} voters rated it" in page.locator(".lb-where").inner_text()
    page.get_by_role("radio", name="Both").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([f, s, all]) => { const n = eval(f)(s); return n > 0 && n < all }", arg=[PAINTED, LARGE, both]
    )
    assert page.locator(".lb-where li").count() == 1 and "Errors" in page.locator(".lb-where").inner_text()
    page.get_by_role("radio", name="None").check(force=True)
    page.wait_for_function("([f, s]) => eval(f)(s) === 0", arg=[PAINTED, LARGE])
    page.get_by_role("radio", name="Both").check(force=True)
    page.wait_for_function(PAINTED, arg=LARGE)
    drawn = "selector => document.querySelector(selector).toDataURL()"
    before = page.evaluate(drawn, LARGE)
    page.get_by_label("points").check()
    page.wait_for_function(f"before => ({drawn})('{LARGE}') !== before", arg=before)
    page.get_by_label("Opacity").fill("40")
    assert page.evaluate("document.querySelector('.lb-large canvas').style.opacity") == "0.4"
    page.get_by_text("How it was made").click()
    assert "48 × 32" in page.locator(".lb-made").inner_text()
    assert page.locator(".lb-section .lb-shot").count() == 3, "what other models made of the prompt"


def test_a_word_says_its_share_by_number_by_keyboard_and_by_tap(look, source, worst):
    word = max(source.study.rich.words(worst), key=lambda word: word.share or 0)
    page = look(f"/#why/image/{worst}").page
    found = page.locator(".lb-words .lb-marked", has_text=word.text).first
    assert found.inner_text() == f"{word.text}{word.share:.0%}"
    assert HOSTILE.split()[0] in page.locator(".lb-words").inner_text()
    found.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    tip = page.locator("[role=tooltip]")
    tip.wait_for(state="visible")
    assert f"{word.share:.1%} ({word.lower:.1%}–{word.upper:.1%})" in tip.inner_text()
    assert f"{word.marked} of {word.asked} answers" in tip.inner_text() and "Trust-weighted" in tip.inner_text()
    assert found.get_attribute("aria-describedby") == tip.get_attribute("id")

    phone = look(f"/#why/image/{worst}", 390, is_mobile=True, has_touch=True).page
    phone.locator(".lb-words .lb-marked", has_text=word.text).first.tap()
    phone.locator("[role=tooltip]").wait_for(state="visible")
    box = phone.locator("[role=tooltip]").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_the_standings_and_the_battles_lead_here(look):
    page = look("/#overview").page
    page.locator("#lb-panel-overview tbody th a", has_text="Three").click()
    page.wait_for_selector(".lb-view h3:has-text('Three')")
    assert (
        address(page).endswith("#why/model/m3")
        and page.get_by_role("tab", name="Why").get_attribute("aria-selected") == "true"
    )
    page.get_by_role("button", name="votes").first.click()
    picture = page.locator(".lb-battles li .lb-side a").first
    picture.wait_for()
    to = picture.get_attribute("href")
    picture.click()
    page.wait_for_selector(".lb-large img[src]")
    assert address(page).endswith(to) and not page.get_by_role("dialog").is_visible()
    page.go_back()
    page.wait_for_selector(".lb-view h3:has-text('Three')")
    page.go_back()
    page.wait_for_selector("#lb-panel-overview:not([hidden]) tbody tr")

    page.goto(address(page).split("#")[0] + to)
    page.get_by_role("button", name="Look at the").click()
    page.locator(".lb-battles li").first.wait_for()
    assert page.get_by_role("dialog").get_by_role("heading").inner_text() == "The battles of this image"


def test_new_feedback_comes_to_an_open_page_without_moving_the_reader(look, source, worst):
    before = source.study
    try:
        source.study = study_of(source.made, source.pictures, source.made.feedback[:400])
        page = look(f"/#why/image/{worst}").page
        page.wait_for_selector(".lb-large")
        few = source.study.rich.image(worst).feedback
        page.get_by_text(f"{few} answers by").wait_for()
        page.get_by_role("button", name="Trust-weighted").focus()
        source.study = before
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_text(f"{before.rich.image(worst).feedback} answers by").wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Trust-weighted"
        page.keyboard.press("Enter")
        page.wait_for_selector("[aria-pressed=true]")
        assert page.evaluate("document.activeElement.textContent") == "Trust-weighted"
    finally:
        source.study = before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_readable_in_either_theme_and_never_scrolls_sideways(look, worst, scheme):
    for width, options in ((1440, {}), (390, {"is_mobile": True, "has_touch": True})):
        visitor = look("/#why", width, color_scheme=scheme, **options)
        page = visitor.page
        for at, ready in (
            ("why", ".lb-card img[src]"),
            ("why/model/m0", ".lb-place"),
            (f"why/image/{worst}", ".lb-large img[src]"),
        ):
            page.evaluate("at => { location.hash = at }", at)
            page.wait_for_selector(ready)
            assert visitor.overflow() <= 0, at
            assert page.evaluate(FAULTS) == [], (at, width)


def test_tables_are_a_click_away(look, source):
    page = look("/#why/model/m0").page
    page.wait_for_selector(".lb-tables")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download words as JSON").click()
    assert waiting.value.suggested_filename == "words.json"
    page.locator(".lb-tables a", has_text="words").click()
    page.wait_for_selector("[id='lb-part-why/words'][open] tbody tr")
    assert not page.locator(".lb-view").is_visible() and page.locator(".lb-card").first.is_visible()


def test_in_a_running_arena_feedback_is_on_the_page_within_seconds(visit, served):
    reader = visit(at="/leaderboard#why")
    page = reader.page
    page.wait_for_selector(".lb-cards")
    arena, voter = served.arena, "f" * 32
    rated = {row["image_id"] for _, row in arena.ledger.feedback_after(0)}  # by other visitors of this arena
    for _ in range(20):
        battle = arena.next_battle(voter)
        arena.cast_vote(battle.battle_id, "model_a", voter)
        if arena.ledger.vote_of(battle.battle_id).image_a not in rated:
            break
    given = arena.feedback.give(
        battle.battle_id, "a", {"style": 5, "errors": 4, "coherence_points": [[0.5, 0.5]]}, voter
    )
    page.wait_for_function("() => document.querySelector('.lb-card h4')")
    page.evaluate("at => { location.hash = at }", f"why/image/{given.image_id}")
    page.wait_for_function(PAINTED, arg=LARGE)
    assert "1 voter rated it" in page.locator(".lb-where").inner_text()
    assert page.locator(".lb-large img").evaluate("image => image.naturalWidth") == 64
    assert reader.overflow() <= 0


def test_without_feedback_the_page_says_how_to_give_it(look, source):
    before = source.study
    try:
        source.study = Study(
            votes_from_rows(battles("x", "y", 40, 30, image_a="i", image_b="j", prompt="a cat")), models={}
        )
        page = look().page
        page.locator(".lb-cards", has_text="Nobody has said why yet").wait_for()
        page.goto(address(page).split("#")[0] + "#why/image/i")
        page.wait_for_selector(".lb-image")
        assert (
            "40 won, 30 lost" in page.locator(".lb-beside").inner_text()
            and "a cat" in page.locator(".lb-prompt").inner_text()
        )
        page.evaluate("location.hash = 'why/image/nothing'")
        page.get_by_text("There is no image of this id that may be shown").wait_for()
    finally:
        source.study = before
