"""A visitor's own prompt when no GPU is to be had: told as it is, nothing counted, and no model left out for it."""

from __future__ import annotations

from arena.backends.fake import FakeBackend
from arena.errors import BackendBusy, BackendUnavailable, QuotaExceeded


def last_event(arena) -> dict:
    arena.studio.start()
    voter = "v" * 32
    return list(arena.follow_live(arena.request_live(voter, "a cat"), voter))[-1]


def failing(error) -> FakeBackend:
    return FakeBackend(failures={f"model-{c}": error for c in "abcd"})


def test_a_failure_that_any_model_would_have_met_is_told_in_its_own_words(make_arena):
    for error in (QuotaExceeded("The GPU time is used up. Ready battles cost none."), BackendBusy("No GPU is free.")):
        error.any_model = True
        backend = failing(error)
        arena = make_arena(backend=backend, bank={"fill": False, "display_px": 96})
        event = last_event(arena)
        assert event == {"phase": "error", "ticket": event["ticket"], "code": error.code,
                         "message": f"{error} Nothing was counted."}  # fmt: skip
        assert arena.studio.resting() == set()
        arena.close()


def test_a_models_own_failure_is_told_without_saying_what_failed(make_arena):
    error = BackendUnavailable("One of the models cannot make images right now.")
    arena = make_arena(backend=failing(error), bank={"fill": False, "display_px": 96})
    event = last_event(arena)
    assert event["code"] == "backend_unavailable" and "ready battle" in event["message"]
    assert arena.studio.resting(), "another pair is drawn, and these models rest"
