"""The stock: images retire and are made anew, nobody is shown one twice, and only what may be shown comes in."""

import threading
import time
from collections import Counter, defaultdict
from itertools import combinations

import pytest
from scipy.stats import chi2

from arena.backends.fake import FakeBackend
from arena.errors import BadPrompt, GenerationError, ImageRejected, NoBattle
from standings import Standings

ONE = [{"name": "Anime", "prompts": [{"prompt": "a cat"}]}]
FREE = {"votes_per_minute": 1e6, "live_per_hour": 1e6}


def things(n):
    return [{"name": "Things", "prompts": [{"prompt": f"thing {k}"} for k in range(n)]}]


def shown(arena, voter):
    """Images that this voter was shown, as often as they were."""
    return Counter(image for _, *pair in arena.ledger.all(
        "SELECT battle_id, image_a, image_b FROM battles WHERE voter = ?", voter) for image in pair)  # fmt: skip


def play(arena, voter, battles=10_000, winner="model_a"):
    """Vote until nothing is left; the NoBattle that said so, or None."""
    for _ in range(battles):
        try:
            arena.cast_vote(arena.next_battle(voter).battle_id, winner, voter)
        except NoBattle as none:
            return none
    return None


def live(arena, voter="ann", prompt="a green dog", **how):
    arena.studio._thread.is_alive() or arena.studio.start()
    return list(arena.follow_live(arena.request_live(voter, prompt, **how), voter))


# -- no image twice -------------------------------------------------------------------------------------------


def test_who_has_seen_all_while_more_is_drawn_is_told_so(make_arena):
    arena = make_arena(limits=FREE, categories=things(2))
    while not arena.stock.shelf.sizes():
        arena.refill(arena.studio)
    assert "More images are being drawn." in str(play(arena, "ann"))


def test_who_has_seen_everything_is_told_kindly_and_others_go_on(make_arena, fill):
    arena = make_arena(limits=FREE)
    fill(arena)
    said = play(arena, "ann")
    assert "You have seen every battle" in str(said) and "prompt of your own" in str(said)
    assert max(shown(arena, "ann").values()) == 1 and shown(arena, "ann").total() == 12, (
        "three prompts, four images each"
    )
    assert arena.next_battle("bob")


def test_skipped_and_unanswered_battles_are_seen_too_and_a_restart_forgets_nothing(make_arena, fill, clock):
    arena = make_arena(limits=FREE, categories=things(4))
    fill(arena)
    skipped, left = arena.next_battle("ann"), None
    arena.skip(skipped.battle_id, "ann")
    left = arena.next_battle("ann")
    clock.now += 25 * 3600  # it expires
    arena.next_battle("ann")
    arena.close()
    again = make_arena(limits=FREE, categories=things(4), seed=5)
    play(again, "ann")
    assert set(shown(again, "ann").values()) == {1} and left is not None


def test_two_tabs_at_once_get_no_image_twice(make_arena, fill):
    arena = make_arena(limits=FREE, categories=things(10))
    fill(arena)
    threads = [threading.Thread(target=lambda: [arena.stock.serve(arena.rng, "ann") for _ in range(4)])
               for _ in range(6)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(shown(arena, "ann").values()) == {1} and shown(arena, "ann").total() == 40


def test_images_of_ones_own_live_battle_are_not_shown_again(make_arena):
    arena = make_arena(limits=FREE, categories=things(1), bank={"fill": False})
    assert live(arena)[-1]["phase"] == "done"
    arena.cast_vote(arena.next_battle("ann").battle_id, "model_a", "ann")  # the live one, which waited
    with pytest.raises(NoBattle):
        arena.next_battle("ann")
    assert arena.next_battle("bob").prompt == "a green dog"


def test_what_was_served_fits_what_was_declared(make_arena, fill):
    """Worked out again from the ledger alone: which pairs this voter could have got of this prompt."""
    families = [{"id": f"m{k}", "name": f"M{k}", "organisation": "O", "family": f"f{k % 2}", "licence": "mit",
                 "backend": "fake", "source": "s"} for k in range(5)]  # fmt: skip
    arena = make_arena(limits=FREE, categories=things(8), models=families)
    fill(arena)
    images = defaultdict(dict)
    for image in arena.ledger.banked_images()[:-6]:  # a bank that is not quite full
        images[image.prompt_id][image.model] = image.image_id
    for prompt in arena.stock.curated:
        for model, image_id in {i.model: i.image_id for i in arena.ledger.banked_images()[-6:]
                                if i.prompt_id == prompt.prompt_id}.items():  # fmt: skip
            assert arena.stock.shelf.remove(prompt.prompt_id, image_id) and model
    served = [b for k in range(60) for b in (arena.stock.serve(arena.rng, f"voter {k}") for _ in range(12)) if b]
    seen, drawn = defaultdict(set), defaultdict(Counter)
    for battle in served:
        known, prompt = seen[battle.voter], battle.prompt.prompt_id
        left = sorted(m for m, image in images[prompt].items() if image not in known)
        offered = [(a, b) for a, b in combinations(left, 2) if int(a[1]) % 2 != int(b[1]) % 2]
        pair = tuple(sorted((battle.image_a.model, battle.image_b.model)))
        assert battle.pair_probability == pytest.approx(1 / len(offered)), (left, pair)
        drawn[len(offered)][offered.index(pair)] += 1
        known |= {battle.image_a.image_id, battle.image_b.image_id}
    assert len(served) > 600 and len(drawn) >= 3
    for n, counts in drawn.items():
        statistic = sum((counts[k] - counts.total() / n) ** 2 / (counts.total() / n) for k in range(n))
        assert n == 1 or statistic < chi2.ppf(0.999, n - 1)


# -- retirement -----------------------------------------------------------------------------------------------


def test_an_image_retires_after_its_votes_and_the_next_replicate_is_made(make_arena, fill):
    arena = make_arena(limits=FREE, categories=ONE, bank={"retire_after": 3})
    assert fill(arena) == 4
    first = {image.model: image for image in arena.ledger.banked_images()}
    for k in range(12):
        play(arena, f"voter {k}", 1)
    uses = Counter(image for _, row in arena.ledger.votes_after(0) for image in (row["image_a"], row["image_b"]))
    retired = {image_id for image_id, n in uses.items() if n >= 3}
    assert retired and max(uses.values()) == 3, "an image that has its votes is drawn no more"
    wanted = arena.stock.lacking()
    assert {(w.model, w.replicate) for w in wanted} == {(m, 1) for m, i in first.items() if i.image_id in retired}
    assert arena.missing() == len(wanted) == fill(arena)
    fresh = {i.model: i for i in arena.ledger.banked_images() if i.image_id not in {f.image_id for f in first.values()}}
    for wanted_one in wanted:
        request = arena.stock.request(wanted_one.prompt, wanted_one.model, 1)
        assert fresh[wanted_one.model].seed == request.seed != first[wanted_one.model].seed
    for k in range(100, 140):
        play(arena, f"voter {k}", 1)
    again = Counter(i for _, row in arena.ledger.votes_after(0) for i in (row["image_a"], row["image_b"]))
    assert max(again.values()) == 3
    assert all(arena.bank.has(image_id) for image_id in retired), "they stay in the bank"
    published = {row["image_id"] for _, row in arena.ledger.unsealed("images", 1000)}
    assert retired <= published, "and in the dataset"


def test_what_retired_stays_retired_after_a_restart(make_arena, fill):
    config = {"limits": FREE, "categories": ONE, "bank": {"retire_after": 2}}
    arena = make_arena(**config)
    fill(arena)
    for k in range(4):
        play(arena, f"voter {k}", 1)
    wanted = [(w.model, w.replicate) for w in arena.stock.lacking()]
    assert wanted
    arena.close()
    again = make_arena(**config, seed=9)
    assert [(w.model, w.replicate) for w in again.stock.lacking()] == wanted and again.missing() == len(wanted)
    fill(again)
    again.close()
    last = make_arena(**config, seed=10)
    assert last.stock.lacking() == [] and last.missing() == 0, "replicates are found again"


def test_a_withdrawn_vote_is_a_use_all_the_same(make_arena, fill):
    arena = make_arena(limits=FREE, categories=ONE, bank={"retire_after": 1})
    fill(arena)
    battle = arena.next_battle("ann")
    arena.cast_vote(battle.battle_id, "model_a", "ann")
    arena.withdraw(battle.battle_id, "ann")
    assert arena.missing() == 2


def test_without_a_number_nothing_retires(make_arena, fill):
    arena = make_arena(limits=FREE, categories=ONE, bank={"retire_after": None})
    fill(arena)
    for k in range(60):
        play(arena, f"voter {k}", 2)
    assert arena.missing() == 0 and arena.stock.lacking() == []


def test_the_running_app_makes_replicates_while_nobody_waits(make_arena):
    arena = make_arena(limits=FREE, categories=ONE, bank={"retire_after": 2})
    arena.studio.start()
    end = time.monotonic() + 120
    votes = 0
    while votes < 30 and time.monotonic() < end:
        try:
            votes += play(arena, f"voter {votes}", 1) is None
        except NoBattle:
            pass
        time.sleep(0.01)
    assert votes == 30 and arena.ledger.counts()["images"] >= 4 + 30 * 2 // 2 - 4


def test_the_first_two_images_of_a_prompt_can_meet(make_arena):
    """A bank that is being filled serves pairs of different families from the second image of a prompt on."""
    families = [{"id": f"m{k}", "name": f"M{k}", "organisation": "O", "family": f"f{k // 3}", "licence": "mit",
                 "backend": "fake", "source": "s"} for k in range(6)]  # fmt: skip
    arena = make_arena(categories=things(60), models=families)
    order = defaultdict(list)
    for prompt, model in arena.stock.wanted.in_order():
        order[prompt.prompt_id].append(model)
    assert all(arena.stock.pairing.mixed(models[:2]) and len(models) == 6 for models in order.values())
    early = Counter(model for models in order.values() for model in models[:2])
    assert min(early.values()) >= 8, "and none of them is favoured"


# -- what joins the bank --------------------------------------------------------------------------------------


class Careful(FakeBackend):
    """Its safety checker blocks what `blocked` models draw."""

    def __init__(self):
        super().__init__()
        self.blocked: set[str] = set()

    def generate(self, requests, *, progress, cancelled):
        for request in requests:
            if request.model.id in self.blocked:
                error = ImageRejected("its own safety checker blocked the image")
                error.model = request.model.id
                raise error
        return super().generate(requests, progress=progress, cancelled=cancelled)


def bob_gets(arena):
    """The prompts of all that another voter can be served."""
    found = set()
    while True:
        try:
            battle = arena.next_battle("bob")
        except NoBattle:
            return found
        found.add(battle.prompt)
        arena.skip(battle.battle_id, "bob")


def test_a_visitors_images_join_the_bank_only_if_they_allow_it(make_arena):
    arena = make_arena(limits=FREE, categories=things(1), bank={"fill": False})
    battle = live(arena, prompt="keep this to me", private=True)[-1]["battle"]
    live(arena, prompt="share this")
    arena.cast_vote(battle["battle_id"], "model_a", "ann")
    assert bob_gets(arena) == {"share this"}
    assert all(w.prompt.prompt != "keep this to me" for w in arena.stock.lacking()), "and it is drawn by nobody else"
    arena.close()
    again = make_arena(limits=FREE, categories=things(1), bank={"fill": False}, seed=3)
    assert "keep this to me" not in {w.prompt.prompt for w in again.stock.lacking()}
    assert "keep this to me" not in bob_gets(again)
    rows = str([again.ledger.unsealed(table, 1000) for table in ("votes", "images", "prompts")])
    assert "share this" in rows and "keep this to me" not in rows


def test_a_visitors_prompt_is_completed_by_the_other_models_also_after_a_restart(make_arena, fill):
    arena = make_arena(limits=FREE, categories=things(1), bank={"fill": False})
    live(arena, prompt="share this")
    arena.close()
    again = make_arena(limits=FREE, categories=things(1), seed=3)
    assert Counter(w.prompt.prompt for w in again.stock.lacking()) == {"thing 0": 4, "share this": 2}
    assert again.missing() == fill(again) == 6 and again.stock.lacking() == []
    with again.ledger.transaction() as db:
        db.execute("UPDATE prompts SET from_hub = 1 WHERE prompt_source = 'voter'")
        db.execute("DELETE FROM images")
    again.close()
    other = make_arena(limits=FREE, categories=things(1), seed=4)
    assert {w.prompt.prompt for w in other.stock.lacking()} == {"thing 0"}, "what was typed elsewhere is made there"


def test_a_prompt_that_is_not_allowed_reaches_no_model(make_arena):
    arena = make_arena(limits={**FREE, "blocked_words": ["gore"]}, categories=things(1))
    before = arena.ledger.counts()
    for prompt in ("some GORE, please", "x" * 501, "  "):
        with pytest.raises(BadPrompt):
            arena.request_live("ann", prompt)
    assert arena.ledger.counts() == before and arena.studio.waiting() == 0
    from arena.errors import ConfigError

    with pytest.raises((BadPrompt, ConfigError)):
        make_arena(limits={"blocked_words": ["gore"]}, categories=[{"name": "C", "prompts": [{"prompt": "gore"}]}])


def test_a_blocked_image_is_neither_banked_nor_shown_nor_published(make_arena):
    backend = Careful()
    backend.blocked = {"model-a", "model-b"}
    arena = make_arena(backend=backend, limits=FREE, categories=things(1))
    while True:
        try:
            if not arena.refill(arena.studio):
                break
        except GenerationError:
            pass
    assert live(arena, prompt="a visitor's wish")[-1]["phase"] == "done"
    end = time.monotonic() + 120
    while arena.studio.waiting() and time.monotonic() < end:
        time.sleep(0.02)
    images = arena.ledger.banked_images()
    assert {i.model for i in images} == {"model-c", "model-d"}
    assert len(list(arena.bank.folder.rglob("*.png"))) == len(images)
    assert bob_gets(arena) <= {"thing 0", "a visitor's wish"}


# -- active sampling from the ratings -------------------------------------------------------------------------


def test_active_sampling_learns_from_the_votes_and_declares_what_it_does(make_arena, fill, monkeypatch):
    monkeypatch.setattr("standings.GAINS_SECONDS", 0.0)
    standings = Standings()
    rule = {"sampling": "active", "floor": 0.4}
    arena = make_arena(limits=FREE, categories=things(40), matchmaking=rule, gains=standings.gains)
    fill(arena)
    assert arena.stock.serve(arena.rng, "early").pair_probability == pytest.approx(1 / 6), "nothing is known yet"
    standings.follow(arena.ledger, arena.config)
    while arena.ledger.counts()["votes"] < 60:  # model-d stays new: its battles are skipped
        for voter in ("ann", "bob", "cyd"):
            battle = arena.next_battle(voter)
            stored = arena.ledger.battle(battle.battle_id)
            if "model-d" in (stored.image_a.model, stored.image_b.model):
                arena.skip(battle.battle_id, voter)
            else:
                arena.cast_vote(battle.battle_id, "both_good", voter)
    end = time.monotonic() + 120
    standings.gains()
    while time.monotonic() < end:
        found = standings.gains()
        if found and min(found[p] for p in found if "model-d" in p) > 2 * max(
            found[p] for p in found if "model-d" not in p
        ):
            break
        time.sleep(0.02)
    monkeypatch.setattr(arena.stock.pairing, "_gains", lambda: found)  # whatever is being worked out now
    arena.rng.seed(7)
    drawn = [arena.stock.serve(arena.rng, f"voter {k}") for k in range(400)]
    with_new = [b for b in drawn if "model-d" in (b.image_a.model, b.image_b.model)]
    expected = sum({frozenset((b.image_a.model, b.image_b.model)): b.pair_probability for b in with_new}.values())
    assert expected > 0.65 and abs(len(with_new) - 400 * expected) < 4 * (400 * expected * (1 - expected)) ** 0.5
    assert min(b.pair_probability for b in drawn) >= 0.4 / 6
