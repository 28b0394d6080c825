"""A real server for the whole loop: Gradio, guard and routes over fake models, on a free port of the loopback."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from arena.build import build_arena, start
from arena.service import Arena
from arena.ui.edge import Limits
from arena.ui.launch import Served, serve
from leaderboard.ui import leaderboard_page
from standings import Standings
from tests.ports import free_port as a_free_port

SECRET = b"a secret for the tests, 32 bytes"
SECRET_WORDS = ("zephyr", "quixote", "marzipan", "ostrich")  # nothing but the models' names holds them
MANY = (1e6, 1e6)
UNLIMITED = Limits(posts=MANY, posts_of_address=MANY, joins=MANY, joins_of_address=MANY, newcomers=MANY)


def write_config(path: Path, **changes: Any) -> Path:
    """An arena.yaml of four fake models, two categories and twelve prompts, and no limit that a test would meet."""
    models = [
        {"id": f"{word}-v{k}", "name": f"{word.title()} {k}", "organisation": f"{word.title()} Labs", "backend": "fake",
         "family": f"{word} family", "licence": "apache-2.0", "source": f"models/{word}", "demo": True,
         "settings": {"num_inference_steps": 30 + k, "width": 64, "height": 64}}
        for k, word in enumerate(SECRET_WORDS)
    ]  # fmt: skip
    categories = [
        {"name": name, "prompts": [{"prompt": f"{name.lower()}: {thing}"} for thing in
                                   ("a red ball", "a blue box", "a tree", "a boat", "a cat", "a house")]}
        for name in ("Anime", "Painting")
    ]  # fmt: skip
    path.write_text(yaml.safe_dump({
        "title": "Tests", "models": models, "categories": categories, "bank": {"display_px": 64},
        "limits": {"votes_per_minute": 1e6, "live_per_hour": 1e6, "prompt_chars": 100}, **changes,
    }))  # fmt: skip
    return path


class Visitor:
    """A browser of few words: a cookie jar, and the JSON calls that the page makes."""

    def __init__(self, url: str):
        self.http = httpx.Client(base_url=url, timeout=120)

    def open(self, path: str = "/") -> Visitor:
        assert self.http.get(path).status_code == 200
        return self

    def post(self, path: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        return self.http.post(path, json={} if body is None else body, **kwargs)

    def next(self, **body: Any) -> dict[str, Any]:
        answer = self.post("/arena/next", body)
        assert answer.status_code == 200, answer.text
        return answer.json()["battle"]

    def vote(self, battle: dict[str, Any], winner: str = "model_a", **more: Any) -> httpx.Response:
        return self.post("/arena/vote", {"battle_id": battle["battle_id"], "winner": winner, **more})

    def live(self, request: Any) -> Iterator[dict[str, Any]]:
        """What comes back for a live request, sent as the page's stage sends it: through Gradio's queue."""
        config = self.http.get("/config").json()
        event = next(d for d in config["dependencies"] if d["api_name"] == "live")
        session = secrets.token_hex(6)
        given = {"data": [{"request": request}], "fn_index": event["id"], "session_hash": session}
        joined = self.post("/gradio_api/queue/join", given)
        assert joined.status_code == 200, joined.text
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    message = json.loads(line[6:])
                    yield message
                    if message["msg"] == "close_stream":
                        return


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:  # Gradio leaves them when it starts
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning"))


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts servers: launch(data_dir=..., edge=..., filled=True, **changes of arena.yaml)."""
    running: list[Served] = []

    def begin(data_dir: Path | None = None, *, edge: Limits = UNLIMITED, filled: bool = True, **changes: Any) -> Served:
        folder = tmp_path_factory.mktemp("arena")
        standings = Standings()
        arena = build_arena(write_config(folder / "arena.yaml", **changes), data_dir or folder / "data", secret=SECRET,
                            ticker=standings.ticker, rng=random.Random(len(running)))  # fmt: skip
        while filled and arena.refill(arena.studio):
            pass
        standings.follow(arena.ledger, arena.config, arena.bank)
        start(arena)
        served = serve(arena, leaderboard_page=lambda: leaderboard_page(standings.study),
                       port=a_free_port(), limits=edge, prevent_thread_lock=True)  # fmt: skip
        served.standings = standings
        running.append(served)
        return served

    yield begin
    for served in running:
        served.close()


@pytest.fixture(scope="session")
def served(launch: Callable[..., Served]) -> Served:
    return launch()


@pytest.fixture
def arena(served: Served) -> Arena:
    return served.arena


@pytest.fixture
def visit() -> Iterator[Callable[[str], Visitor]]:
    """A new visitor to a server's address, with the page open and its cookie set."""
    people: list[Visitor] = []

    def arrive(url: str) -> Visitor:
        people.append(Visitor(url))
        return people[-1].open()

    yield arrive
    for person in people:
        person.http.close()


@pytest.fixture
def visitor(served: Served, visit: Callable[[str], Visitor]) -> Visitor:
    return visit(served.url)


@pytest.fixture
def stranger(served: Served, visit: Callable[[str], Visitor]) -> Visitor:
    return visit(served.url)


@pytest.fixture
def arena_yaml() -> Callable[..., Path]:
    return write_config


@pytest.fixture
def free_port() -> Callable[[], int]:
    return a_free_port
