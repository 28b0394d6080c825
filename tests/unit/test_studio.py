"""The one queue of generation: whose turn it is, what a visitor sees of it, and that nothing is known before it is shown."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import pytest

from arena.backends.fake import FakeBackend
from arena.errors import ImageRejected
from arena.health import health
from arena.pace import Pace

SLOW = {f"model-{c}": 30.0 for c in "abcd"}  # so that a battle is shown after 60 seconds


@pytest.fixture
def arena(make_arena, clock, fill):
    """An arena whose studio runs by hand (`step`) on the turning clock; every live battle is shown after 60 seconds."""
    arena = make_arena(limits={"live_per_hour": 1e6})
    fill(arena)
    arena.studio.clock, arena.studio.pace = clock, Pace(SLOW)
    return arena


def ask(arena, voter="ann", prompt="a dog", **more):
    ticket = arena.request_live(voter, prompt, **more)
    return arena.studio._jobs[ticket]


def seen(arena, job):
    return {key: value for key, value in arena.studio.event(job).items() if key != "ticket"}


def public(arena) -> str:
    """All that anybody may ask for, but for the queue itself."""
    status = {key: value for key, value in arena.status().items() if key not in ("live_waiting", "restore")}
    return json.dumps([arena.meta(), status], sort_keys=True, default=str)


def test_neither_the_disk_nor_a_model_that_rests_tells_of_a_battle_that_is_held(arena, clock, monkeypatch):
    def told():
        return {**health(arena, uptime=0, running=0), "live_waiting": 0, "line": ""}

    free = itertools.count(50 * 10**9, -(10**9))  # every look finds less
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=next(free)))
    before = told()
    assert before["disk_free_bytes"] == 50 * 10**9
    job = ask(arena)
    arena.studio.step()
    for _ in range(3):  # longer each time
        arena.studio.rest("model-a")
    assert job.drawn and told() == before
    clock.now += 61
    arena.studio.step()
    after = told()
    assert after["disk_free_bytes"] < before["disk_free_bytes"] and after["resting_models"] == 1


def test_two_pictures_more_do_not_show_in_what_is_free_on_the_disk(arena, monkeypatch):
    sizes = iter([50 * 10**9 + 90_000_000, 50 * 10**9 + 84_000_000])
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=next(sizes)))
    assert len({health(arena, uptime=0, running=0)["disk_free_bytes"] for _ in range(2)}) == 1


@pytest.fixture(autouse=True)
def published(monkeypatch):
    from dataclasses import make_dataclass

    from tests.unit.conftest import NoPublisher

    status = make_dataclass("Status", [("pending_rows", int, 0), ("dataset", str, ""), ("last_error", str, "")])
    monkeypatch.setattr(NoPublisher, "status", lambda self: status(), raising=False)


def test_what_is_drawn_is_known_to_nobody_until_it_is_shown(arena, clock):
    before = public(arena)
    job = ask(arena)
    assert seen(arena, job) == {"phase": "drawing", "progress": 0.0, "eta": 60}
    assert arena.studio.step(), "it is drawn now"
    assert job.drawn and public(arena) == before
    assert all(b.served_from == "bank" for b in arena.ledger.open_battles("ann", 0))
    assert all(p.prompt != "a dog" for p in arena.ledger.prompts())
    clock.now += 59.9
    arena.studio.step()
    assert seen(arena, job)["phase"] == "drawing"
    clock.now += 0.2
    arena.studio.step()
    assert seen(arena, job)["phase"] == "done"
    [battle] = arena.ledger.open_battles("ann", 0)
    assert (battle.served_from, battle.prompt.prompt) == ("live", "a dog")
    assert public(arena) != before


def test_the_bank_is_filled_while_a_battle_is_held_and_no_count_tells(arena, clock):
    first = ask(arena)
    arena.studio.step()
    clock.now += 61
    assert arena.studio.step() and seen(arena, first)["phase"] == "done"
    assert arena.missing() == 1, "the others' images of a public prompt are wanted, and the first is made"
    before = public(arena)
    second = ask(arena, "bob", "a cow", private=True)
    arena.studio.step()
    assert second.drawn and not arena.studio.busy()
    assert arena.studio.step() and arena.missing() == 0, "the second is made meanwhile"
    assert public(arena) == before
    clock.now += 61
    arena.studio.step()
    assert seen(arena, second)["phase"] == "done" and public(arena) != before


def test_places_in_the_queue_move_when_battles_are_shown_not_when_they_are_drawn(arena, clock):
    jobs = [ask(arena, f"voter {k}") for k in range(3)]
    assert [seen(arena, job) for job in jobs[1:]] == [
        {"phase": "queued", "position": 1, "eta": 120},
        {"phase": "queued", "position": 2, "eta": 180},
    ]
    arena.studio.step()
    clock.now += 10
    assert [seen(arena, job)["eta"] for job in jobs] == [50, 110, 170]
    assert [seen(arena, job).get("position") for job in jobs] == [None, 1, 2]
    clock.now += 51
    arena.studio.step()
    assert seen(arena, jobs[1]) == {"phase": "drawing", "progress": 0.0, "eta": 60}, "its clock begins at its turn"
    assert seen(arena, jobs[2]) == {"phase": "queued", "position": 1, "eta": 120}


def test_who_cancels_leaves_at_once_and_nothing_remains(arena, clock):
    files = set(arena.bank.folder.rglob("*.*"))
    drawn, waiting, last = (ask(arena, f"voter {k}", private=k == 0) for k in range(3))
    arena.studio.step()
    assert set(arena.bank.folder.rglob("*.*")) > files
    arena.cancel_live(waiting.ticket, "voter 1")
    assert seen(arena, waiting)["code"] == "cancelled" and seen(arena, last)["position"] == 1
    arena.cancel_live(drawn.ticket, "voter 0")
    assert seen(arena, drawn)["code"] == "cancelled"
    assert set(arena.bank.folder.rglob("*.*")) == files, "its pictures are gone"
    assert seen(arena, last)["phase"] == "drawing"
    clock.now += 100
    arena.studio.step()
    arena.cancel_live(last.ticket, "somebody else")
    arena.studio.step()
    clock.now += 100
    arena.studio.step()
    assert seen(arena, last)["phase"] == "done"
    arena.cancel_live(last.ticket, "voter 2")
    assert seen(arena, last)["phase"] == "done", "too late"
    assert [b.voter for v in range(3) for b in arena.ledger.open_battles(f"voter {v}", 0)] == ["voter 2"]


def test_a_restart_shows_what_is_drawn(arena):
    job = ask(arena)
    arena.studio.step()
    arena.studio.close()
    assert seen(arena, job)["phase"] == "done"
    assert [b.served_from for b in arena.ledger.open_battles("ann", 0)] == ["live"]


def test_a_restart_lets_nobody_wait_for_what_will_not_come(arena):
    jobs = [ask(arena, f"voter {k}") for k in range(2)]
    arena.studio.close()
    assert [seen(arena, job)["code"] for job in jobs] == ["cancelled"] * 2
    assert [list(arena.follow_live(job.ticket, job.voter))[-1]["code"] for job in jobs] == ["cancelled"] * 2


def test_a_failure_on_the_way_takes_time_but_is_no_other_sight(arena, clock):
    """The pair is drawn again; what the visitor sees until then is what everybody sees."""
    shy = ImageRejected("The model answered with a blank image.")
    shy.model = "model-a"
    backend = FakeBackend(failures={"model-a": shy})
    arena.studio.backends = {"fake": backend}
    for k in itertools.count():
        job = ask(arena, f"voter {k}")
        arena.studio.step()
        assert seen(arena, job) == {"phase": "drawing", "progress": 0.0, "eta": 60}
        clock.now += 61
        arena.studio.step()
        battle = arena.ledger.battle(seen(arena, job)["battle"]["battle_id"])
        assert "model-a" not in (battle.image_a.model, battle.image_b.model)
        if "model-a" in arena.studio.resting() or k > 30:
            break
    assert "model-a" in arena.studio.resting()


def test_what_takes_longer_than_was_expected_comes_at_the_next_multiple(arena, clock):
    job = ask(arena)
    draw = job.work

    def late(cancelled):
        clock.now += 70
        return draw(cancelled)

    job.work = late
    arena.studio.step()
    assert job.due - job.started == pytest.approx(120)
    assert seen(arena, job)["eta"] == 50


def test_a_follower_hears_the_end_soon_after_it_is_shown(make_arena, fill):
    """On the real clock, with the thread."""
    import time

    arena = make_arena()
    fill(arena)
    arena.studio.pace = Pace(dict.fromkeys(SLOW, 0.25))
    arena.studio.start()
    began = time.monotonic()
    events = list(arena.follow_live(arena.request_live("ann", "a dog"), "ann"))
    took = time.monotonic() - began
    assert events[-1]["phase"] == "done" and 0.5 <= took < 60
    drawing = [event for event in events if event["phase"] == "drawing"]
    assert [event["progress"] for event in drawing] == sorted(event["progress"] for event in drawing)


def test_who_waits_is_told_no_newer_forecast_when_somebody_else_is_done(arena):
    """What was learnt from a battle would say when it was drawn, before it is shown."""
    _, waiting = ask(arena), ask(arena, "bob")
    before = seen(arena, waiting)
    for _ in range(100):
        arena.studio.pace.observe(["model-a", "model-b"], [300.0, 300.0], 600.0)
    arena.studio.step()
    assert arena.studio.pace.plan().mean > 60 and seen(arena, waiting) == before
