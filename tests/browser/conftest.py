"""A real Chromium on the real app: Gradio, guard, routes, ledger and leaderboard, over models that are fakes.

Every page that a test opens is watched: an error in its console, an answer of 400 or more that the test did not
announce, or a request to any other host fails the test that opened it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from playwright.sync_api import Browser, Page, Response, sync_playwright

from arena.backends.fake import FakeBackend
from arena.build import build_arena, start
from arena.ui.edge import Limits
from arena.ui.launch import Served, serve
from standings import Standings
from tests.hub.local_hub import LocalHub
from tests.ports import free_port

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
NAMES = ("Zephyr", "Quixote", "Marzipan")  # the models'; nothing else on any page holds these words
MANY = (1e6, 1e6)
LIMITS = Limits(posts=MANY, posts_of_address=MANY, joins=MANY, joins_of_address=MANY, newcomers=MANY)
THINGS = ("a red ball", "a blue box", "a tree", "a boat", "a cat", "a house", "a star", "a ring", "a fish", "a cross")


def write_config(path: Path, **changes: Any) -> Path:
    models = [
        {"id": f"{name.lower()}-1", "name": f"{name} One", "organisation": f"{name} Labs", "backend": "fake",
         "family": f"{name} family", "licence": "apache-2.0", "licence_url": "https://example.org/licence",
         "source": f"models/{name.lower()}", "demo": True,
         "settings": {"num_inference_steps": 30 + k, "width": 64, "height": 64}}
        for k, name in enumerate(NAMES)
    ]  # fmt: skip
    categories = [{"name": name, "sub_categories": [], "prompts": [{"prompt": f"{name.lower()}: {t}"} for t in THINGS]}
                  for name in ("Anime", "Painting")]  # fmt: skip
    path.write_text(yaml.safe_dump({
        "title": "Tests & <b>Trials</b>", "models": models, "categories": categories, "bank": {"display_px": 64},
        "look": {"examples": ["a red ball on a blue background"]},
        "limits": {"votes_per_minute": 1e6, "live_per_hour": 1e6, "prompt_chars": 100}, **changes,
    }))  # fmt: skip
    return path


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts servers: launch(drawing=True, seconds=0.0, publishing_to=None, **changes of arena.yaml). An image takes
    `seconds`; without `drawing` there are none until the test calls `start`."""
    running: list[Served] = []

    def begin(*, drawing: bool = True, seconds: float = 0.0, publishing_to: LocalHub | None = None,
              **changes: Any) -> Served:  # fmt: skip
        from leaderboard.ui import leaderboard_page

        folder = tmp_path_factory.mktemp("arena")
        standings = Standings()
        arena = build_arena(write_config(folder / "arena.yaml", **changes), folder / "data", ticker=standings.ticker,
                            hf_token=publishing_to and publishing_to.token,
                            hf_endpoint=publishing_to and publishing_to.url,
                            rng=random.Random(len(running)))  # fmt: skip
        while drawing and arena.refill(arena.studio):
            pass
        arena.studio.backends["fake"] = FakeBackend(seconds=seconds)
        standings.follow(arena.ledger, arena.config, arena.bank)
        if drawing:
            start(arena)
        served = serve(arena, leaderboard_page=lambda: leaderboard_page(standings.study),
                       port=free_port(), limits=LIMITS, prevent_thread_lock=True)  # fmt: skip
        running.append(served)
        return served

    yield begin
    for served in running:
        served.close()


@pytest.fixture(scope="session")
def served(launch: Callable[..., Served]) -> Served:
    return launch(seconds=0.6)


@pytest.fixture(scope="module")  # not "session": Playwright keeps an event loop running, which later tests may not want
def chromium(served: Served) -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing = "no Chromium here; `make test` installs one"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


STATE = """() => { const stage = document.querySelector('.ia-stage'), text = q => document.querySelector(q)?.innerText;
  return stage && [stage.dataset.phase, text('.ia-prompt-text'), text('.ia-note'), text('.ia-strip'), text('.ia-error')] }"""


def address(page: Page) -> str:
    """Where the page itself says that it is; `page.url` hears of it a little later."""
    return page.evaluate("location.href")


class Visitor:
    """A person with a browser of their own: a page of the arena, and all that came over the line."""

    def __init__(self, page: Page, url: str):
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.answers: list[Response] = []
        self.expected = ""  # a pattern of the errors that the test brings about itself
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.errors.append(f"uncaught: {e}"))
        page.on("request", lambda r: self.hosts.add(urlsplit(r.url).hostname or ""))
        page.on("response", lambda r: self.answers.append(r))

    def open(self, path: str = "/") -> Visitor:
        self.page.goto(self.url + path)
        if path == "/":
            self.phase("open")
        return self

    def phase(self, name: str) -> None:
        """Wait until the stage is in this phase (open, counted, revealed, withdrawn, loading)."""
        self.page.wait_for_selector(f".ia-stage[data-phase={name}]")

    def reveal(self) -> None:
        """Once the vote counts, have the models named."""
        self.phase("counted")
        self.page.get_by_role("button", name="Reveal").click()
        self.phase("revealed")

    @property
    def prompt(self) -> str:
        return self.page.locator(".ia-prompt-text").inner_text()

    def box(self, selector: str) -> dict[str, float]:
        box = self.page.locator(selector).first.bounding_box()
        assert box, f"{selector} is not shown"
        return box

    def said(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    @contextmanager
    def quick(self) -> Iterator[None]:
        """What is pressed within it is pressed at one moment of the page's clock, however slow this machine is."""
        self.page.evaluate("(at => { performance.now = () => at })(performance.now())")
        yield
        self.page.evaluate("delete performance.now")

    def overflow(self) -> int:
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def check(self) -> None:
        wrong = [e for e in self.errors if not (self.expected and re.search(self.expected, e))]
        assert not wrong, f"the console says: {wrong}"
        assert self.hosts <= {"127.0.0.1", ""}, f"asked another host: {self.hosts}"


@pytest.fixture
def votes(served: Served) -> Callable[[], list[dict[str, Any]]]:
    """The votes that were cast since the test began, as rows of the ledger."""
    ledger = served.arena.ledger
    before = len(ledger.votes_after(0))
    return lambda: [row for _, row in ledger.votes_after(0)][before:]


@pytest.fixture
def brush(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While this event is not set, the models draw nothing."""
    backend, moving = served.arena.studio.backends["fake"], threading.Event()
    draw = backend.generate

    def generate(*args: Any, **kwargs: Any) -> Any:
        moving.wait(120)
        return draw(*args, **kwargs)

    monkeypatch.setattr(backend, "generate", generate)
    yield moving
    moving.set()


@pytest.fixture
def names() -> tuple[str, ...]:
    """Words that only the models' names, ids and folders hold."""
    return NAMES


@pytest.fixture
def visit(served: Served, chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """visit(width=..., height=..., **context options): a new visitor, at the arena's page unless `at` says else."""
    people: list[Visitor] = []

    def arrive(
        width: int = 1440, height: int = 900, *, at: str = "/", url: str = served.url, **options: Any
    ) -> Visitor:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(90_000)  # patience for a busy machine; a quiet one needs a tenth of it
        people.append(Visitor(context.new_page(), url))
        return people[-1].open(at)

    yield arrive
    for person in people:
        print(person.page.url, person.page.evaluate(STATE), person.errors)  # pytest shows it where a test failed
        person.page.context.close()
    for person in people:
        person.check()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning"))
