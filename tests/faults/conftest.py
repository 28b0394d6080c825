"""`apps`: the app in real processes; one prepared data folder and one forking process serve the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from arena.hub_waiting import limit_waiting
from tests.faults.apps import Apps, prepare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "faults" in item.path.parts[-2:]:
            item.add_marker(pytest.mark.hub)


@pytest.fixture(autouse=True)
def patience() -> None:
    """All of this process shares one client of the Hub, which keeps the timeout that a test before has set."""
    limit_waiting(60)


@pytest.fixture(scope="session")
def every_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    apps = Apps(prepare(tmp_path_factory.mktemp("prepared")))
    yield apps
    apps.close()


@pytest.fixture
def apps(every_app: Apps) -> Iterator[Apps]:
    yield every_app
    every_app.end()
