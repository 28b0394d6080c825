"""For how long a GPU is borrowed. What happens to loans in the real `spaces` is in test_backends_zerogpu.py."""

from __future__ import annotations

import pytest

from arena.backends import Request
from arena.backends.loans import ABORTED, BUSY, LONGEST, MARGIN, MOST, SHORT, START, TITLES, Loans, refused
from arena.config import ModelSettings
from arena.errors import BackendBusy, BackendTimeout, GenerationCancelled


def ask(name: str, **more) -> Request:
    settings = {"num_inference_steps": 20}
    model = ModelSettings(id=name, name=name, organisation="o", family="f", licence="MIT", backend="zerogpu",
                          source="a/b", **({"settings": settings} | more))  # fmt: skip
    return Request(model, "x", 1)


def test_a_loan_is_as_long_as_the_same_images_last_took_with_a_margin():
    loans, pair = Loans(), [ask("a"), ask("b")]
    guessed = loans.seconds(pair)
    loans.learn(pair, [1.0, 3.0], spent=6.0)  # two seconds went into moving both to the GPU
    assert loans.seconds(pair) == round(START + MARGIN * 6.0) < guessed
    loans.learn(pair, [1.0, 3.0], spent=4.0)  # the worker had them; the next one may not
    assert loans.seconds(pair) == round(START + MARGIN * 6.0)
    assert loans.seconds([ask("a"), ask("a")]) == round(START + MARGIN * (1.0 + 2 * 1.0)), "weights are moved once"


def test_a_short_loan_holds_as_many_images_as_were_quick():
    loans, quick, slow = Loans(), ask("quick"), ask("slow")
    assert loans.holds(quick.model) >= 1, "nothing is known yet"
    loans.learn([quick], [1.0], spent=3.0)
    loans.learn([slow], [40.0], spent=42.0)
    assert (loans.holds(quick.model), loans.holds(slow.model)) == (MOST, 1)
    loans.learn([quick], [5.0], spent=7.0)
    n = loans.holds(quick.model)
    assert loans.seconds([quick] * n) <= SHORT < loans.seconds([quick] * (n + 1)) and n > 1


def test_a_slower_image_counts_at_once_and_a_quicker_one_by_and_by():
    loans, one = Loans(), [ask("a")]
    for seconds in (2.0, 8.0, 2.0):
        loans.learn(one, [seconds], spent=seconds)
    after = loans.seconds(one)
    assert round(START + MARGIN * 2) < after < round(START + MARGIN * 8)


def test_a_loan_that_was_too_short_is_longer_next_time_until_one_is_enough():
    loans, one = Loans(), [ask("a")]
    loans.learn(one, [4.0], spent=4.0)
    short = loans.seconds(one)
    for _ in range(9):
        found = refused(TitledError("ZeroGPU worker error", "GPU task aborted"), one, loans)
    assert isinstance(found, BackendTimeout) and str(found) == ABORTED
    assert short < loans.seconds(one) <= 8 * short
    loans.learn(one, [4.0], spent=4.0)
    assert loans.seconds(one) == short


def test_no_loan_is_longer_than_a_space_may_ask_for():
    assert Loans().seconds([ask("a", memory_gb=60, settings={"num_inference_steps": 5000})]) == LONGEST


class TitledError(Exception):
    """As `spaces` raises them."""

    def __init__(self, title: str, message: str):
        super().__init__(message)
        self.title, self.message = title, message


@pytest.mark.parametrize("title", TITLES)
def test_every_title_has_its_class_and_sentence(title):
    found = refused(TitledError(title, "so it is"), [ask("secret")], Loans())
    assert (type(found), str(found)) == TITLES[title]
    assert found.any_model and found.model is None and "secret" not in str(found)


def test_whatever_else_is_raised_means_that_there_is_no_gpu_now():
    import httpx

    for error in (
        RuntimeError("Unexpected end of stream"),
        httpx.ConnectError("no"),
        httpx.ReadTimeout("slow"),
        AssertionError(),
    ):
        found = refused(error, [ask("a")], Loans())
        assert type(found) is BackendBusy and str(found) == BUSY
    gone = refused(RuntimeError("Connection closed by visitor while queueing"), [ask("a")], Loans())
    assert type(gone) is GenerationCancelled
    queue = refused(TitledError("ZeroGPU quota exceeded", "No GPU was available after 60s."), [ask("a")], Loans())
    assert type(queue) is BackendBusy, "titled like a quota where the visitor has no token"


def test_the_titles_are_those_that_spaces_has():
    """Read from its source, so that a new version with another title is noticed."""
    import re
    from importlib.util import find_spec
    from pathlib import Path

    folder = Path(find_spec("spaces").submodule_search_locations[0]) / "zero"
    raised = {
        t for path in folder.glob("*.py") for t in re.findall(r"error\(\s*\"(ZeroGPU [^\"]+)\"", path.read_text())
    }
    assert raised == set(TITLES)
