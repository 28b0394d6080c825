"""`hub`: a fresh local test Hub, to which this process's huggingface_hub talks as it talks to the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from arena.hub_waiting import limit_waiting
from tests.hub.local_hub import LocalHub


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "hub" in item.path.parts[-2:]:
            item.add_marker(pytest.mark.hub)


@pytest.fixture(autouse=True)
def patience() -> None:
    """All of this process shares one client of the Hub, which keeps the timeout that a test before has set."""
    limit_waiting(60)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with LocalHub() as hub:
        yield hub
