"""The visitor's own prompt: drawn live while they go on voting, shown when it suits them."""

from __future__ import annotations

OWN = "a yellow star above a purple unicorn"


def stage_shows(visitor, prompt: str) -> None:
    visitor.page.wait_for_function("p => document.querySelector('.ia-prompt-text').textContent === p", arg=prompt)
    visitor.phase("open")


def test_who_waits_sees_it_at_once(visit, votes, brush):
    visitor = visit()
    page = visitor.page
    page.locator("#ia-own").fill(OWN)
    page.keyboard.press("Enter")
    page.wait_for_function(
        """own => { const strip = document.querySelector('.ia-strip');
        return !strip.hidden && strip.textContent.includes(own) && /about \\d+ s/.test(strip.textContent)
          && document.querySelector('.ia-form').hidden; }""",
        arg=OWN,
    )
    brush.set()
    stage_shows(visitor, OWN)
    assert visitor.said(".ia-chip") == "Your prompt"
    assert "unicorn" in visitor.said(".ia-hint"), "outside of the demonstration models' world"
    assert page.locator(".ia-stage .ia-image").count() == 2
    page.keyboard.press("ArrowRight")
    visitor.reveal()
    [vote] = votes()
    assert (vote["prompt"], vote["prompt_source"], vote["served_from"]) == (OWN, "voter", "live")
    assert page.locator("#ia-own").is_visible() and page.locator("#ia-own").input_value() == ""
    page.keyboard.press("n")
    visitor.phase("open")
    assert visitor.prompt != OWN


def test_who_votes_meanwhile_is_not_interrupted(visit, votes, brush):
    visitor = visit()
    page = visitor.page
    page.locator("#ia-own").fill("a pink fish")
    page.get_by_role("button", name="Generate").click()
    page.keyboard.press("ArrowLeft")  # the box has let go of the keyboard
    visitor.reveal()
    page.keyboard.press("n")
    visitor.phase("open")
    bank = visitor.prompt
    brush.set()
    page.get_by_role("button", name="Show them").wait_for()
    assert visitor.prompt == bank
    page.keyboard.press("ArrowUp")
    visitor.reveal()
    page.get_by_role("button", name="See your images").click()
    stage_shows(visitor, "a pink fish")
    assert [vote["served_from"] for vote in votes()] == ["bank", "bank"]


def test_a_request_can_be_cancelled_and_survives_a_reload(visit, brush):
    visitor = visit()
    visitor.expected = "AbortError|Connection errored out"  # Gradio's, when a page goes while its events come in
    page = visitor.page
    page.locator("#ia-own").fill("a black cat")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("#ia-own").input_value() == "a black cat", "it can be changed and sent again"
    page.locator("#ia-own").fill("a white cat")
    page.keyboard.press("Enter")
    page.wait_for_function("sessionStorage.getItem('image-arena-ticket')")
    visitor.open()
    page.wait_for_selector(".ia-strip", state="visible")
    brush.set()
    stage_shows(visitor, "a white cat")


def test_what_is_wrong_is_said_beside_the_box(visit):
    visitor = visit()
    page = visitor.page
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("Describe an image first").wait_for()
    page.locator("#ia-own").fill("x" * 101)
    assert len(page.locator("#ia-own").input_value()) == 100, "no more than is taken"
    page.locator("#ia-own").evaluate("(box) => { box.maxLength = 500; box.value = 'y'.repeat(101); }")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_function("/100/.test(document.querySelector('.ia-error').textContent)")
    assert page.locator("#ia-own").input_value() == "y" * 101, "what was typed is kept"


def test_surprise_and_examples_fill_the_box(visit):
    visitor = visit()
    page = visitor.page
    page.get_by_role("button", name="Surprise me").click()
    page.wait_for_function("document.getElementById('ia-own').value.includes(': ')")
    page.get_by_role("button", name="a red ball on a blue background").click()
    assert page.locator("#ia-own").input_value() == "a red ball on a blue background"
    assert "demonstration models" in visitor.said(".ia-world")


def test_a_private_prompt_is_published_nowhere(visit, votes):
    visitor = visit()
    page = visitor.page
    page.locator("#ia-own").fill("my secret garden")
    page.get_by_label("Keep it private").check()
    page.get_by_role("button", name="Generate").click()
    stage_shows(visitor, "my secret garden")
    page.keyboard.press("ArrowDown")
    visitor.reveal()
    assert [vote["prompt"] for vote in votes()] == [""]


def test_markup_in_a_prompt_is_only_text(visit):
    visitor = visit()
    page, prompt = visitor.page, "<img src=x onerror=alert(1)> ${alert(1)} {{this}}"
    page.locator("#ia-own").fill(prompt)
    page.keyboard.press("Enter")
    stage_shows(visitor, prompt)
    assert page.locator(".ia-prompt img").count() == 0


def test_the_place_in_the_queue_and_a_forecast_are_shown_and_one_can_leave(visit, brush):
    first, second = visit(), visit()
    for visitor, prompt in ((first, "a red cat"), (second, "a blue cat")):
        visitor.page.locator("#ia-own").fill(prompt)
        visitor.page.keyboard.press("Enter")
        visitor.page.wait_for_function("/about/.test(document.querySelector('.ia-strip').textContent)")
    second.page.wait_for_function("/1 request before yours/.test(document.querySelector('.ia-strip').textContent)")
    assert "about" in second.said(".ia-strip-eta")
    bar = second.page.get_by_role("progressbar", name="Progress of your images")
    assert "1 request before yours, about" in bar.get_attribute("aria-valuetext")
    first.page.wait_for_function("/Drawing “a red cat”/.test(document.querySelector('.ia-strip').innerText)")
    second.page.keyboard.press("ArrowLeft")
    second.phase("counted")  # one goes on voting meanwhile
    first.page.get_by_role("button", name="Cancel").click()
    brush.set()
    second.page.get_by_role("button", name="Show them").wait_for()
    second.page.get_by_role("button", name="Show them").click()
    stage_shows(second, "a blue cat")
    assert first.page.locator("#ia-own").input_value() == "a red cat"


def test_the_strip_fits_a_phone(visit, brush):
    visitor = visit(390, 844, has_touch=True)
    page = visitor.page
    page.locator("#ia-own").fill("a very long prompt about a yellow star above a purple boat at sea in the evening")
    page.get_by_role("button", name="Generate").tap()
    page.wait_for_function("/about/.test(document.querySelector('.ia-strip').textContent)")
    strip, eta, cancel = (visitor.box(name) for name in (".ia-strip", ".ia-strip-eta", ".ia-strip button"))
    assert visitor.overflow() <= 0 and cancel["height"] >= 24
    assert strip["x"] <= eta["x"] and eta["x"] + eta["width"] <= cancel["x"] + 1, "the forecast is never cut off"
    brush.set()
    page.get_by_role("button", name="Show them").or_(page.locator(".ia-chip", has_text="Your prompt")).first.wait_for()


def test_the_box_is_as_it_was_once_the_images_came(visit, brush):
    visitor = visit()
    page = visitor.page
    before = visitor.box(".ia-input")
    page.locator(".ia-input").fill("a red ball over a blue box")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-live=busy]")
    brush.set()
    page.wait_for_selector("[data-live=idle]")
    page.wait_for_function("document.querySelector('.ia-chip').innerText === 'Your prompt'")
    page.wait_for_selector(".ia-form")
    assert visitor.box(".ia-input") == before


def test_a_phone_has_room_for_all_buttons_while_images_wait(visit, brush):
    visitor = visit(390, 844, is_mobile=True, has_touch=True)
    page = visitor.page
    page.locator(".ia-input").fill("a red ball over a blue box")
    page.get_by_role("button", name="Generate").tap()
    page.wait_for_selector("[data-live=busy]", state="attached")
    page.locator(".ia-choice[data-winner=model_a]").tap()
    visitor.phase("counted")
    brush.set()
    page.get_by_role("button", name="Show them").wait_for()
    for name in ("Say why", "Reveal", "Next"):
        button = page.get_by_role("button", name=name)
        assert button.evaluate("(node) => node.scrollWidth <= node.clientWidth"), f"{name} is cut off"
    page.get_by_role("button", name="Next").tap()
    page.wait_for_function("document.querySelector('.ia-chip').innerText === 'Your prompt'")
