"""Several images of a model at once: what is asked for together, what a failure takes with it, and who has to wait."""

from __future__ import annotations

import io
import threading
from collections import Counter
from itertools import pairwise

import pytest

from arena.backends.fake import FakeBackend
from arena.errors import BackendUnavailable, GenerationCancelled, GenerationError, ImageRejected
from arena.fill import fill, in_turns
from arena.making import make
from arena.records import Image
from arena.wanted import AT_ONCE, TURN

LIMITS = {"live_per_hour": 1e6, "votes_per_minute": 1e6}


def things(n):
    return [{"name": "Things", "prompts": [{"prompt": f"thing {k}"} for k in range(n)]}]


class Counting(FakeBackend):
    """Notes what it is asked for, and how often weights would be read, with room for `room` models. `bad` maps texts of
    prompts to the error that they end in, and `gone` is called before each call."""

    def __init__(self, takes=4, room=1, bad=None, gone=lambda: None):
        super().__init__(takes=takes)
        self.room, self.bad, self.gone = room, dict(bad or {}), gone
        self.calls: list[tuple[str, int]] = []  # (model, images)
        self.reads, self.resident = 0, []

    def generate(self, requests, *, progress, cancelled):
        self.gone()
        model = requests[0].model.id
        assert {request.model.id for request in requests} == {model}
        self.calls.append((model, len(requests)))
        if model not in self.resident:
            self.reads += 1
        self.resident = [*(m for m in self.resident if m != model), model][-self.room :]
        for request in requests:
            if request.prompt in self.bad:
                raise self.bad[request.prompt]
        return super().generate(requests, progress=progress, cancelled=cancelled)


@pytest.fixture
def counted(make_arena):
    def build(prompts, *, backend=None, **how):
        backend = backend or Counting(**how)
        return make_arena(backend=backend, categories=things(prompts), limits=LIMITS), backend

    return build


# -- the command ----------------------------------------------------------------------------------------------


def test_fill_asks_for_as_many_as_the_backend_takes_well(counted):
    arena, backend = counted(9, takes=4)
    out = io.StringIO()
    assert fill(arena, in_turns(arena.stock.lacking()), out=out) == 0
    assert Counter(backend.calls) == {(f"model-{c}", n): k for c in "abcd" for n, k in ((4, 2), (1, 1))}
    assert arena.stock.lacking() == [] and "36 images made" in out.getvalue()
    alone, one = counted(9, takes=1)
    assert one is not backend and [i.image_id for i in alone.ledger.banked_images()], "the same folder, filled"


@pytest.mark.parametrize(("room", "reads"), [(1, 4 + 3), (2, 4 + 2)])
def test_a_fill_reads_weights_a_few_times_and_not_for_each_image(counted, room, reads):
    """Four models, two turns; what is in memory at the end of the first begins the second."""
    arena, backend = counted(TURN + 8, takes=4, room=room)
    fill(arena, in_turns(arena.stock.lacking()), out=io.StringIO())
    assert len(backend.made) == 4 * (TURN + 8) and backend.reads == reads
    worst = Counting(room=room)
    for request in sorted(backend.made, key=lambda request: (request.prompt, request.model.id)):  # prompt by prompt
        worst.generate([request], progress=lambda share: None, cancelled=lambda: False)
    assert worst.reads == len(worst.made)


def test_one_failure_in_a_batch_takes_no_other_with_it(counted):
    arena, backend = counted(8, bad={"thing 2": BackendUnavailable("no answer")})
    out = io.StringIO()
    assert fill(arena, in_turns(arena.stock.lacking(models=["model-a"])), out=out) == 1
    assert [w.prompt.prompt for w in arena.stock.lacking(models=["model-a"])] == ["thing 2"]
    assert [n for _, n in backend.calls] == [4, 1, 1, 1, 1, 4]
    assert "7 images made" in out.getvalue() and "1 of model-a are still missing" in out.getvalue()


def test_a_rejected_picture_of_a_batch_is_tried_anew_and_the_others_stay_as_they_are(counted):
    arena, _ = counted(4)
    wanted = arena.stock.lacking(models=["model-b"])
    blocked = arena.stock.request(wanted[1].prompt, "model-b", 0).seed

    class Blocking(Counting):
        def generate(self, requests, **how):
            made = super().generate(requests, **how)
            if blocked in [request.seed for request in requests]:
                raise ImageRejected("blocked")
            return made

    arena.studio.backends = {"fake": Blocking()}
    assert fill(arena, wanted, out=io.StringIO()) == 0
    seeds = {image.prompt_id: image.seed for image in arena.ledger.banked_images()}
    for at, one in enumerate(wanted):
        assert seeds[one.prompt.prompt_id] == arena.stock.request(one.prompt, "model-b", int(at == 1)).seed


def test_what_a_failing_call_had_finished_is_not_drawn_again(counted):
    """As over HTTP, where every picture is a request of its own, and costs money."""

    class Half(Counting):
        def generate(self, requests, **how):
            if len(requests) == 1:
                return super().generate(requests, **how)
            self.calls.append((requests[0].model.id, len(requests)))
            error = BackendUnavailable("one of four")
            error.made = {at: FakeBackend().generate([requests[at]], **how)[0] for at in (0, 3)}
            raise error

    arena, backend = counted(4, backend=Half())
    wanted = arena.stock.lacking(models=["model-a"])
    came = list(make(arena.stock, arena.studio, wanted))
    assert [n for _, n in backend.calls] == [4, 1, 1] and all(isinstance(image, Image) for _, image in came)
    assert {one for one, _ in came} == set(wanted) and arena.stock.lacking(models=["model-a"]) == []
    assert all(one.prompt.prompt_id == image.prompt_id for one, image in came)


def test_a_broken_model_is_asked_for_few_more_than_one_batch(counted):
    arena, backend = counted(40, bad={f"thing {k}": BackendUnavailable("no weights") for k in range(40)})
    out = io.StringIO()
    assert fill(arena, in_turns(arena.stock.lacking(models=["model-a", "model-b"])), out=out) == 1
    assert backend.calls == [("model-a", 4)] + [("model-a", 1)] * 3 + [("model-b", 4)] + [("model-b", 1)] * 3
    assert "40 of model-a are still missing: no weights" in out.getvalue()


# -- the running app ------------------------------------------------------------------------------------------


def test_the_app_asks_for_more_at_once_the_longer_nobody_comes(counted):
    arena, backend = counted(30, takes=8)
    while arena.refill(arena.studio):
        pass
    assert arena.missing() == 0 and len(backend.made) == 120
    of_one = [n for model, n in backend.calls if model == "model-c"]
    assert of_one[:3] == [1, 2, AT_ONCE] and max(of_one) == AT_ONCE, "and never so many that a visitor would wait"


def test_the_app_makes_pairs_first_and_then_lets_models_keep_their_weights(counted):
    arena, backend = counted(120, takes=1)
    arena.refill(arena.studio), arena.refill(arena.studio)
    assert sum(arena.stock.shelf.sizes().values()) == 1, "two images are a battle"
    while arena.refill(arena.studio):
        pass
    made = [(request.prompt, request.model.id) for request in backend.made]
    assert len(made) == len(set(made)) == 480
    early, late = (sum(a != b for (_, a), (_, b) in pairwise(made[at : at + 80])) for at in (0, 400))
    assert early > 3 * late, "a turn is as long as what can be served allows"
    prompts: dict[str, list[int]] = {}
    for at, (prompt, _) in enumerate(made):
        prompts.setdefault(prompt, []).append(at)
    assert max(places[1] - places[0] for places in prompts.values()) <= 4 * TURN, "no prompt waits long for a pair"


def test_a_live_request_ends_a_batch_and_the_next_ones_are_smaller(counted):
    arena, backend = counted(30, takes=8)
    for _ in range(16):
        arena.refill(arena.studio)
    missing, busy = arena.missing(), threading.Event()
    backend.calls.clear()
    backend.gone = busy.set  # a visitor comes as soon as it has begun
    arena.studio.busy = busy.is_set
    with pytest.raises(GenerationCancelled):
        arena.refill(arena.studio)
    assert backend.calls[0][1] == AT_ONCE and arena.missing() == missing, "nothing is lost"
    first = arena.stock.wanted.in_order()[:AT_ONCE]
    backend.gone = lambda: None
    busy.clear()
    sizes = []
    while len(sizes) < 2:
        arena.refill(arena.studio)
        sizes += [n for model, n in backend.calls[1:] if model == backend.calls[0][0]][len(sizes) :]
    assert sizes == [AT_ONCE // 2, AT_ONCE]
    assert not any(arena.stock.lacks(*one) for one in first), "what was begun comes first"


def test_the_app_loses_no_image_of_a_batch_to_another(counted):
    arena, backend = counted(20, takes=4, bad={"thing 7": ImageRejected("blocked"), "thing 9": KeyError("a fault")})
    errors = Counter()
    for _ in range(2000):
        try:
            if not arena.refill(arena.studio):
                break
        except (GenerationError, KeyError) as error:
            errors[type(error).__name__] += 1
            arena.studio._rests.clear()
            if errors.total() > 30:
                backend.bad.clear()
    assert errors["ImageRejected"] and errors["KeyError"] and arena.missing() == 0
    assert len(arena.ledger.banked_images()) == 80


def test_a_batch_says_nothing_of_what_a_live_battle_takes(counted):
    arena, _ = counted(4)
    heard = []
    arena.studio.pace.observe = lambda models, seconds, wall: heard.append(models)
    wanted = arena.stock.lacking(models=["model-a"])
    list(make(arena.stock, arena.studio, wanted[:2]))
    list(make(arena.stock, arena.studio, wanted[2:3]))
    assert heard == [["model-a"]]


def test_what_another_process_made_meanwhile_is_kept_and_ours_is_not(make_arena):
    """On a GPU the same request may come out a little different: one generation is on record once."""
    arena = make_arena(categories=things(1))
    [one, *_] = arena.stock.lacking()
    request = arena.stock.request(one.prompt, one.model, one.replicate)
    theirs = arena.stock.keep(one.prompt, request, arena.studio.generate(
        [arena.stock.request(one.prompt, one.model, 99)], lambda share: None, lambda: False)[0], private=False)  # fmt: skip
    generate = arena.studio.generate

    def slow(*given):
        made = generate(*given)
        arena.ledger.add_image(theirs)
        return made

    arena.studio.generate = slow
    [(_, outcome)] = make(arena.stock, arena.studio, [one])
    assert outcome == theirs and arena.ledger.banked_images() == [theirs]
    assert len(list(arena.bank.folder.rglob("*.png"))) == 1 and not arena.stock.lacks(one.prompt, one.model)
    arena.bank.remove(theirs.image_id)  # a picture that was lost is made again all the same
    [(_, again)] = make(arena.stock, arena.studio, [one])
    assert again.image_id != theirs.image_id and arena.bank.has(again.image_id)
