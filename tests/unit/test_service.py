"""Arena, the facade: the loop from battle to reveal, and that nothing is told before the vote."""

import json
import threading

import pytest

from arena.backends.base import Generated
from arena.errors import (
    AlreadyVoted,
    BackendUnavailable,
    BadPrompt,
    BadVote,
    BattleExpired,
    NoBattle,
    NothingToWithdraw,
    TooFast,
    UnknownBattle,
    UnknownCategory,
)  # fmt: skip


class Painter:
    """A backend whose failures are told to it."""

    def __init__(self):
        self.failing: set[str] = set()
        self.blank: set[str] = set()
        self.calls: list[tuple[str, ...]] = []

    def generate(self, requests, *, progress, cancelled):
        from PIL import Image

        self.calls.append(tuple(r.model.id for r in requests))
        made = []
        for i, request in enumerate(requests):
            if request.model.id in self.failing:
                error = BackendUnavailable("out of memory")
                error.model = request.model.id
                raise error
            picture = Image.new("RGB", (64, 64), (9, 9, 9))
            if request.model.id not in self.blank:
                picture.paste((request.seed % 200 + 50, 10, 90), (8, 8, 40, 40))
                picture.paste((10, request.seed // 7 % 200 + 50, 90), (20, 20, 60, 60))
                picture.putpixel((0, 0), (request.seed // 999 % 255, request.seed // 31 % 255, 1))
            made.append(Generated(picture, 0.1, {"num_inference_steps": 4}, "rev", "CPU"))
            progress((i + 1) / len(requests))
        return made

    def takes(self, model):
        return 1

    def check(self, model):
        return []

    def close(self):
        pass


def live(arena, voter="ann", prompt="a green dog", **how):
    """Ask for a live battle and serve it as the studio's thread would; returns its events."""
    arena.studio._thread.is_alive() or arena.studio.start()
    return list(arena.follow_live(arena.request_live(voter, prompt, **how), voter))


def test_the_whole_loop(make_arena, fill):
    arena = make_arena()
    assert fill(arena) == 12  # three prompts, four models
    battle = arena.next_battle("ann")
    data, kind = arena.image(battle.token_a)
    assert kind == "image/webp" and data != arena.image(battle.token_b)[0]
    reveal = arena.cast_vote(battle.battle_id, "model_a", "ann", seconds=0.0)
    assert {reveal.a.model, reveal.b.model} < {f"model-{c}" for c in "abcd"}
    assert reveal.crowd == {"a": 1, "b": 0, "both_good": 0, "both_bad": 0}
    assert reveal.a.settings["seed"] >= 0 and reveal.a.licence == "apache-2.0"
    [(_, row)] = arena.ledger.votes_after(0)
    assert (row["model_a"], row["model_b"], row["winner"]) == (reveal.a.model, reveal.b.model, "model_a")
    assert row["pair_probability"] == pytest.approx(1 / 6) and row["served_from"] == "bank"


def test_nothing_of_a_model_is_told_before_the_vote(make_arena, fill):
    arena = make_arena()
    fill(arena)
    for i in range(12):
        battle = arena.next_battle(f"voter{i}")
        told = json.dumps(battle.as_dict()) + str(arena.image(battle.token_a)[0]) + str(arena.image(battle.token_b)[0])
        stored = arena.ledger.battle(battle.battle_id)
        for image in (stored.image_a, stored.image_b):
            for secret in (image.model, image.image_id, image.model_revision + "/", str(image.seed)):
                assert secret not in told


def test_a_battle_survives_a_restart_and_is_the_same(make_arena, fill):
    first = make_arena()
    fill(first)
    battle = first.next_battle("ann")
    first.close()
    again = make_arena(seed=99)
    assert again.missing() == 0, "the bank survives, too"
    assert again.next_battle("ann") == battle
    assert again.cast_vote(battle.battle_id, "both_bad", "ann").winner == "both_bad"


def test_the_next_battle_can_be_fetched_before_the_vote_on_this_one(make_arena, fill):
    arena = make_arena()
    fill(arena)
    now = arena.next_battle("ann")
    ahead = arena.next_battle("ann", after=now.battle_id)
    assert ahead.battle_id != now.battle_id
    assert arena.next_battle("ann", after=now.battle_id) == ahead, "asking again draws nothing new"
    assert arena.next_battle("ann") == now
    arena.cast_vote(now.battle_id, "model_b", "ann")
    assert arena.next_battle("ann") == ahead


@pytest.mark.parametrize("winner", ["A", "tie", "", "MODEL_A", None, 1])
def test_an_unknown_outcome_is_refused(make_arena, winner, fill):
    arena = make_arena()
    fill(arena)
    battle = arena.next_battle("ann")
    with pytest.raises(BadVote, match="model_a, model_b, both_good, both_bad"):
        arena.cast_vote(battle.battle_id, winner, "ann")
    assert arena.ledger.counts()["votes"] == 0


def test_what_may_not_be_voted(make_arena, clock, fill):
    arena = make_arena()
    fill(arena)
    battle = arena.next_battle("ann")
    with pytest.raises(UnknownBattle):
        arena.cast_vote(battle.battle_id, "model_a", "bob")
    with pytest.raises(UnknownBattle):
        arena.skip(battle.battle_id, "bob")
    clock.now += 25 * 3600
    with pytest.raises(BattleExpired):
        arena.cast_vote(battle.battle_id, "model_a", "ann")
    fresh = arena.next_battle("ann")
    assert fresh.battle_id != battle.battle_id
    arena.cast_vote(fresh.battle_id, "model_a", "ann")
    with pytest.raises(AlreadyVoted):
        arena.cast_vote(fresh.battle_id, "model_b", "ann")
    assert arena.ledger.counts()["votes"] == 1


def test_a_skipped_battle_takes_no_vote_and_does_not_come_back(make_arena, fill):
    arena = make_arena()
    fill(arena)
    battle = arena.next_battle("ann")
    arena.skip(battle.battle_id, "ann")
    assert arena.next_battle("ann").battle_id != battle.battle_id
    with pytest.raises(BattleExpired):
        arena.cast_vote(battle.battle_id, "model_a", "ann")


def test_a_slip_can_be_taken_back_until_the_next_vote(make_arena, fill):
    arena = make_arena()
    fill(arena)
    first = arena.next_battle("ann")
    arena.cast_vote(first.battle_id, "model_a", "ann")
    arena.withdraw(first.battle_id, "ann")
    second = arena.next_battle("ann")
    assert second.battle_id != first.battle_id
    arena.cast_vote(second.battle_id, "model_a", "ann")
    with pytest.raises(NothingToWithdraw):
        arena.withdraw(first.battle_id, "ann")


def test_no_more_time_is_believed_than_has_passed(make_arena, clock, fill):
    arena = make_arena()
    fill(arena)
    for said, passed, kept in ((3.0, 10, 3.0), (99.0, 10, 10.0), (-5.0, 10, 0.0), (None, 10, 10.0)):
        battle = arena.next_battle("ann")
        clock.now += passed
        arena.cast_vote(battle.battle_id, "model_a", "ann", seconds=said)
        assert arena.ledger.vote_of(battle.battle_id).seconds_to_vote == kept


def test_a_name_goes_with_a_vote_only_while_its_voter_agrees_and_is_signed_in(make_arena, fill):
    arena = make_arena()
    fill(arena)

    def extra(voter="ann", **how):
        battle = arena.next_battle(voter)
        arena.cast_vote(battle.battle_id, "model_a", voter, **how)
        return arena.ledger.vote_of(battle.battle_id).extra

    assert extra(signed_in=True, user_name="ann") == "{}"
    arena.set_named("ann", True)
    assert arena.is_named("ann") and not arena.is_named("bob")
    assert json.loads(extra(signed_in=True, user_name="ann")) == {"voter_name": "ann"}
    assert extra(signed_in=False, user_name="ann") == extra(signed_in=True) == "{}"
    assert extra("bob", signed_in=True, user_name="bob") == "{}"
    arena.set_named("ann", False)
    assert extra(signed_in=True, user_name="ann") == "{}"


def test_categories(make_arena, fill):
    arena = make_arena()
    fill(arena)
    assert {arena.next_battle("ann", category="Painting").category} == {"Painting"}
    with pytest.raises(UnknownCategory, match="Anime, Painting, Empty"):
        arena.next_battle("ann", category="Nope")
    with pytest.raises(NoBattle):
        arena.next_battle("ann", category="Empty")
    assert arena.random_prompt("Painting") == {"prompt": "a boat at sea", "category": "Painting"}
    with pytest.raises(NoBattle):
        arena.random_prompt("Empty")


def test_an_empty_bank_says_that_it_is_filling(make_arena):
    with pytest.raises(NoBattle, match="being drawn"):
        make_arena().next_battle("ann")


def test_two_images_are_enough_for_the_first_battle(make_arena):
    arena = make_arena()
    arena.refill(arena.studio)
    arena.refill(arena.studio)
    assert arena.next_battle("ann")


def test_a_half_filled_bank_favours_no_model(make_arena):
    """The first two models that each prompt gets must differ from prompt to prompt."""
    arena = make_arena(categories=[{"name": "C", "prompts": [{"prompt": f"thing {i}"} for i in range(60)]}])
    first = {}
    for prompt, model in arena.stock.wanted.in_order():
        first.setdefault(prompt.prompt_id, model)
    counts = [list(first.values()).count(f"model-{c}") for c in "abcd"]
    assert min(counts) >= 6


def test_rate_limits(make_arena, fill):
    arena = make_arena(limits={"votes_per_minute": 20}, categories=[
        {"name": "C", "prompts": [{"prompt": f"thing {i}"} for i in range(12)]}])  # fmt: skip
    fill(arena)
    with pytest.raises(TooFast) as refused:
        for _ in range(12):
            arena.cast_vote(arena.next_battle("ann").battle_id, "model_a", "ann")
    assert refused.value.retry_after > 0 and arena.ledger.counts()["votes"] == 10
    arena.cast_vote(arena.next_battle("bob").battle_id, "model_a", "bob")


def test_a_live_battle_from_prompt_to_vote(make_arena):
    arena = make_arena(backend=Painter())
    events = live(arena, prompt="  a  green dog ", category="Anime")
    assert events[-1]["phase"] == "done" and {e["phase"] for e in events} <= {"queued", "drawing", "done"}
    battle = events[-1]["battle"]
    assert battle["prompt"] == "a green dog" and battle["served_from"] == "live"
    arena.cast_vote(battle["battle_id"], "both_good", "ann")
    [(_, row)] = arena.ledger.votes_after(0)
    assert row["prompt_source"] == "voter" and row["pair_probability"] == pytest.approx(1 / 6)
    # Others can vote on it too, once it is on the shelf.
    assert any(p.prompt == "a green dog" for p in arena.ledger.prompts(source="voter"))


def test_a_follower_always_hears_the_end(make_arena):
    """Even of a job that ends between two looks at it."""
    arena = make_arena(backend=Painter(), bank={"fill": False}, limits={"live_per_hour": 1000})
    assert [live(arena)[-1]["phase"] for _ in range(30)] == ["done"] * 30


def test_a_private_prompt_leaves_no_trace_but_the_vote(make_arena, clock):
    arena = make_arena(backend=Painter(), bank={"fill": False})
    battle = live(arena, prompt="my secret", private=True)[-1]["battle"]
    arena.cast_vote(battle["battle_id"], "model_a", "ann")
    published = json.dumps([arena.ledger.unsealed(t, 100) for t in ("votes", "images", "prompts")])
    assert "secret" not in published and '"private' in published
    with pytest.raises(NoBattle):
        arena.next_battle("bob")
    clock.now += 25 * 3600
    live(arena, prompt="another", private=True)
    with pytest.raises(UnknownBattle):
        arena.image(battle["token_a"])


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 501])
def test_bad_prompts_are_refused_at_once(make_arena, prompt):
    with pytest.raises(BadPrompt):
        make_arena().request_live("ann", prompt)
    with pytest.raises(UnknownCategory):
        make_arena().request_live("ann", "fine", category="Nope")


@pytest.mark.parametrize("fault", ["failing", "blank"])
def test_a_model_that_fails_is_redrawn_and_loses_nothing(make_arena, fault):
    painter = Painter()
    getattr(painter, fault).update({"model-a", "model-b"})
    arena = make_arena(backend=painter, bank={"fill": False})
    for i in range(6):
        event = live(arena, voter=f"v{i}")[-1]
        assert event["phase"] == "done"
        shown = arena.ledger.battle(event["battle"]["battle_id"])
        assert {shown.image_a.model, shown.image_b.model} == {"model-c", "model-d"}
    assert arena.ledger.counts()["votes"] == 0


def test_when_all_models_fail_the_visitor_is_told_in_plain_words(make_arena):
    painter = Painter()
    painter.failing.update(f"model-{c}" for c in "abcd")
    arena = make_arena(backend=painter, bank={"fill": False})
    event = live(arena)[-1]
    assert event["phase"] == "error" and "try again" in event["message"]
    assert "memory" not in event["message"] and "model-" not in json.dumps(event)
    painter.failing.clear()
    assert live(arena)[-1]["phase"] == "done"


def test_the_bank_fills_around_a_failing_model_and_heals(make_arena, fill):
    painter = Painter()
    painter.failing.add("model-a")
    arena = make_arena(backend=painter)
    for _ in range(30):
        arena.studio._fill_one()
    assert arena.missing() == 3 and arena.studio.resting() == {"model-a"}
    painter.failing.clear()
    arena.studio._rests.clear()
    assert fill(arena) == 3


def test_somebody_elses_ticket_tells_nothing(make_arena):
    arena = make_arena(backend=Painter())
    ticket = arena.request_live("ann", "a dog")
    [event] = arena.follow_live(ticket, "bob")
    assert event["code"] == "unknown_ticket"
    arena.cancel_live(ticket, "bob")
    arena.studio.start()
    assert list(arena.follow_live(ticket, "ann"))[-1]["phase"] == "done"


def test_a_queued_request_can_be_cancelled(make_arena):
    arena = make_arena(backend=Painter())
    ticket = arena.request_live("ann", "a dog")
    arena.cancel_live(ticket, "ann")
    [event] = arena.follow_live(ticket, "ann")
    assert (event["phase"], event["code"]) == ("error", "cancelled")
    assert arena.studio.waiting() == 0


def test_a_running_request_can_be_cancelled(make_arena):
    begun = threading.Event()

    class Slow(Painter):
        def generate(self, requests, *, progress, cancelled):
            from arena.errors import GenerationCancelled

            begun.set()
            for _ in range(12_000):
                if cancelled():
                    raise GenerationCancelled("cancelled")
                threading.Event().wait(0.01)
            raise AssertionError("it was never cancelled")

    arena = make_arena(backend=Slow(), bank={"fill": False})
    arena.studio.start()
    ticket = arena.request_live("ann", "a dog")
    assert begun.wait(60)
    arena.cancel_live(ticket, "ann")
    assert list(arena.follow_live(ticket, "ann"))[-1]["code"] == "cancelled"


def test_too_many_live_requests_are_turned_away_kindly(make_arena):
    arena = make_arena(backend=Painter(), limits={"live_queue": 2})
    arena.request_live("a", "dog")
    arena.request_live("b", "dog")
    with pytest.raises(NoBattle, match="vote on a ready battle"):
        arena.request_live("c", "dog")


def test_live_requests_go_before_the_bank(make_arena):
    painter = Painter()
    arena = make_arena(backend=painter)
    ticket = arena.request_live("ann", "a dog")
    arena.studio.start()
    list(arena.follow_live(ticket, "ann"))
    assert len(painter.calls[0]) == 2, "the live pair was drawn first"


def test_the_ticker_sees_every_vote_and_its_change_is_revealed(make_arena, fill):
    seen = []

    def ticker(row):
        seen.append(row)
        return {"a": {"before": 1000.0, "after": 1002.0}, "b": {"before": 1000.0, "after": 998.0}}

    arena = make_arena(ticker=ticker)
    fill(arena)
    battle = arena.next_battle("ann")
    reveal = arena.cast_vote(battle.battle_id, "model_a", "ann")
    assert reveal.a.rating["after"] == 1002.0 and seen[0]["battle_id"] == battle.battle_id


def test_meta_is_json_and_counts_what_is_ready(make_arena, fill):
    arena = make_arena()
    fill(arena)
    meta = json.loads(json.dumps(arena.meta()))
    assert {c["name"]: c["prompts"] for c in meta["categories"]} == {"Anime": 2, "Painting": 1, "Empty": 0}
    assert len(meta["models"]) == 4 and meta["hub_dataset"] is None
