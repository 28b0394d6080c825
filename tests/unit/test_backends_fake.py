"""The fake's own switches; what it shares with the real ones is in tests/contract/test_backends.py."""

from __future__ import annotations

import time

import pytest

from arena.backends import Request
from arena.backends.fake import FakeBackend
from arena.config import ModelSettings
from arena.errors import ImageRejected


def row(name: str) -> ModelSettings:
    return ModelSettings(id=name, name=name, organisation="o", family="f", licence="MIT", source="none/needed",
                         backend="fake", settings={"width": 48, "height": 32})  # fmt: skip


def draw(backend, *requests):
    return backend.generate(requests, progress=lambda _: None, cancelled=lambda: False)


def test_it_fails_where_it_is_told_to_and_only_there():
    backend = FakeBackend(failures={"bad": ImageRejected("no")}, problems={"bad": ["source: wrong"]})
    assert draw(backend, Request(row("good"), "x", 1))[0].picture.size == (48, 32)
    with pytest.raises(ImageRejected):
        draw(backend, Request(row("good"), "x", 2), Request(row("bad"), "x", 2))
    assert [(r.model.id, r.seed) for r in backend.made] == [("good", 1), ("good", 2)]
    assert backend.check(row("bad")) == ["source: wrong"] and backend.check(row("good")) == []


def test_it_takes_its_time_and_closes():
    backend = FakeBackend(seconds=0.05)
    began = time.perf_counter()
    draw(backend, Request(row("good"), "x", 1))
    assert time.perf_counter() - began >= 0.05
    backend.close()
    assert backend.closed
