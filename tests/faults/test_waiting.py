"""The pace of publishing: how often, how soon, how long a request may take, and when the Hub asks us to wait."""

from __future__ import annotations

import random
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest

from arena.errors import PublishError
from arena.hub import HubTarget
from arena.hub_waiting import limit_waiting
from arena.publisher import Publisher
from tests.hub.local_hub import LocalHub
from tests.hub.small_arena import DATASET, SmallArena, config


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with LocalHub() as hub:
        yield hub


@pytest.fixture
def arena(tmp_path) -> SmallArena:
    return SmallArena(tmp_path / "arena")


def target(hub: LocalHub, timeout: float = 10) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url, timeout=timeout)


@pytest.mark.parametrize("route", [r"POST .*/commit/", r"POST .*/preupload/", r"PUT /lfs/", r"POST .*/paths-info/"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_and_does_not_keep_a_thread_asleep(hub, arena, route, status):
    publisher = arena.publisher(target(hub))
    name = "/lfs/objects/batch" if "PUT" in route else route
    hub.faults.add(name, status=status, headers={"Retry-After": "600"}, times=-1)
    begun = time.monotonic()
    with pytest.raises(PublishError) as refused:
        publisher.publish_now()
    assert time.monotonic() - begun < 100  # of the 600 s that were asked for
    if "paths-info" not in route:  # there the commit itself was taken, and is only not known to be
        assert refused.value.retry_after == 600
        assert publisher._pace.next - time.monotonic() > 590
    begun = time.monotonic()
    assert not publisher.close(deadline=8)
    assert time.monotonic() - begun < 100
    hub.faults.clear()
    arena.publisher(target(hub)).publish_now()


@pytest.mark.parametrize("headers, message, seconds", [
    ({"Retry-After": "a date"}, "", 1800),
    ({"RateLimit": '"api";r=0;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}, "", 55),
    ({"Retry-After": "999999999"}, "", 6 * 3600),
    ({"Retry-After": "soon"}, "", 0),
    ({}, "You can retry this action in about 1 hour.", 3600),
    ({}, "You can retry this action in 28 minutes.", 28 * 60),
    ({}, "You can retry this action in about an hour.", 3600),
])  # fmt: skip
def test_the_hub_says_how_long_to_wait_in_several_ways(hub, arena, headers, message, seconds):
    if headers.get("Retry-After") == "a date":
        headers = {"Retry-After": formatdate(time.time() + seconds, usegmt=True)}
    hub.faults.add(r"POST .*/commit/", status=429, headers=headers, message=message or "Too many requests")
    with pytest.raises(PublishError) as refused:
        arena.publisher(target(hub)).publish_now()
    assert refused.value.retry_after == pytest.approx(seconds, abs=60)


def test_used_up_commits_are_waited_for(hub, arena):
    hub.commits_left, publisher, votes = 1, arena.publisher(target(hub)), arena.vote(2)
    publisher.publish_now()
    votes += arena.vote(3)
    with pytest.raises(PublishError, match="rate limit for repository commits"):
        publisher.publish_now()
    assert 3500 < publisher._pace.next - time.monotonic() < 3700
    assert publisher.status().pending_rows == 3
    hub.heal()
    publisher.publish_now()
    assert publisher.status().pending_rows == 0


ROUTES = ["POST /api/repos/create", "GET .*/refs", "GET .*/README.md", "GET .*/tree/", "POST .*/preupload/",
          "POST .*/objects/batch", r"PUT /lfs/\w+$", r"POST /lfs/\w+/verify", "POST .*/validate-yaml",
          "POST .*/commit/", "POST .*/paths-info/"]  # fmt: skip
IMPATIENT = 0.5  # seconds


def test_no_request_waits_for_ever(hub, arena, monkeypatch):
    """Every request that publishing makes is left without an answer once."""
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", IMPATIENT)  # its own, of ten seconds
    publisher = arena.publisher(target(hub, timeout=IMPATIENT))
    for route in ROUTES:
        arena.vote(2)
        if route in ("POST /api/repos/create", "GET .*/README.md", "POST .*/validate-yaml"):
            publisher = arena.publisher(target(hub, timeout=IMPATIENT))
            hub.store.repos.clear()  # so that all of them are made again
        fault = hub.faults.add(route, hang=600)
        limit_waiting(IMPATIENT)
        for _ in range(5):  # on a busy machine another request may be late too, before this one is come to
            begun = time.monotonic()
            try:
                publisher.publish_now()
            except PublishError as error:
                assert "Timeout" in str(error) or "timed out" in str(error), (route, error)
            assert time.monotonic() - begun < 200, route  # of the 600 s that the answer would take
            if fault.times == 0:
                break
        assert fault.times == 0, f"{route} was never asked"
        hub.faults.clear()
        limit_waiting(60)
        publisher.publish_now()


class Simulated:
    """A Hub, and a clock, on which a commit takes as long as it is said to."""

    least_seconds, dataset = 0.0, DATASET

    def __init__(self, files_a_commit: int = 50):
        self.now, self.commits, self.fails, self.each = 0.0, [], lambda: False, files_a_commit

    def batches(self, pending):
        return (pending[i : i + self.each] for i in range(0, len(pending), self.each))

    def push(self, shards, files, card, *, tried=False):
        self.commits.append(self.now)
        self.now += 3
        if self.fails():
            raise PublishError("the Hub fails", 0)


def simulate(arena: SmallArena, monkeypatch, every: float, hub: Simulated) -> Publisher:
    clock = SimpleNamespace(monotonic=lambda: hub.now, time=lambda: hub.now, sleep=lambda seconds: None)
    monkeypatch.setattr("arena.publisher.time", clock)
    publisher = arena.publisher(every_seconds=every)
    publisher._hub = hub
    publisher._pace = type(publisher._pace)(every, hub.now)
    return publisher


@pytest.mark.parametrize("every, failing", [(1, 0.0), (1, 0.3), (20, 0.1)])
def test_at_most_sixty_commits_in_any_hour_whatever_the_load(arena, monkeypatch, every, failing):
    rng, hub = random.Random(3), Simulated(files_a_commit=2)
    hub.fails = lambda: rng.random() < failing
    publisher = simulate(arena, monkeypatch, every, hub)
    while hub.now < 2 * 3600:
        hub.now = max(hub.now, publisher._pace.next)
        arena.vote(1)
        if rng.random() < 0.05:
            publisher._may_commit()  # as compaction does
        try:
            publisher._round(commits=publisher._pace.left(hub.now), images=True)
        except PublishError:
            pass
    assert all(sum(start <= at < start + 3600 for at in hub.commits) <= 60 for start in hub.commits)
    assert len(hub.commits) > 60


def test_a_vote_is_published_within_ninety_seconds_at_the_default_schedule(arena, monkeypatch):
    hub, waits, last, compactions = Simulated(), [], -1.0, 0
    publisher = simulate(arena, monkeypatch, config().hub.every_seconds, hub)
    while hub.now < 2.5 * 3600:
        begun = hub.now = max(hub.now, publisher._pace.next)
        if begun > 3600 * (compactions + 1):
            compactions += publisher._may_commit()
        arena.vote(1)
        publisher._round(commits=publisher._pace.left(hub.now), images=True)
        waits.append(hub.now - last)  # of a vote that came just after the round before had begun
        last = begun
    assert max(waits) <= 90 and compactions == 2


def test_a_restart_does_not_begin_a_new_hour(hub, arena, monkeypatch):
    arena.publisher(target(hub)).publish_now()
    monkeypatch.setattr("arena.publisher.COMMITS_AN_HOUR", 1)
    again = arena.publisher(target(hub))
    arena.vote(1)
    again.start()
    time.sleep(0.3)
    assert again.status().pending_rows == 1 and hub.commits(DATASET) == 1
    assert again.close()  # the last chance is not rationed
    assert hub.commits(DATASET) == 2
