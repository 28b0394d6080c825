"""With an overlap each pair of images gets its voters: two, and a third where they disagree, whatever happens."""

import json
import random
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from scipy.stats import chi2

from arena.errors import ConfigError, NoBattle
from arena.matchmaking import Seen, overlap
from arena.records import Battle, new_id
from tests.unit.conftest import small_config

ROOT = Path(__file__).parents[2]
OVERLAP = {"overlap": {"voters": 2, "tie_break": 3, "lease_minutes": 30}}
ONE = [{"name": "Anime", "prompts": [{"prompt": "a cat"}]}]
FREE = {"votes_per_minute": 1e6}


def things(n, *categories):
    return [
        {"name": name, "prompts": [{"prompt": f"{name} {i}"} for i in range(n)]} for name in categories or ["Things"]
    ]


def overlapping(make_arena, fill, **changes):
    arena = make_arena(**{"matchmaking": OVERLAP, "limits": FREE, **changes})
    fill(arena)
    return arena


def images_of(arena, battle):
    stored = arena.ledger.battle(battle.battle_id)
    return frozenset((stored.image_a.image_id, stored.image_b.image_id))


def served(arena):
    """pair of images -> [(voter, winner as an image's id or a kind of draw, None without a vote)]"""
    rows = arena.ledger.all("SELECT b.*, v.winner FROM battles b LEFT JOIN votes v USING (battle_id) ORDER BY b.rowid")
    pairs = defaultdict(list)
    for row in rows:
        won = {"model_a": row["image_a"], "model_b": row["image_b"]}.get(row["winner"], row["winner"])
        pairs[frozenset((row["image_a"], row["image_b"]))].append((row["voter"], won))
    return pairs


def vote(arena, voter, winner="both_good", battle=None):
    battle = battle or arena.next_battle(voter)
    arena.cast_vote(battle.battle_id, winner, voter)
    return battle


def test_a_pair_goes_to_two_voters_who_agree_and_then_to_nobody(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=ONE)
    first = vote(arena, "ann")
    second = vote(arena, "bob")
    assert images_of(arena, first) == images_of(arena, second), "what is under way comes first"
    third = vote(arena, "cyd")
    assert images_of(arena, third) != images_of(arena, first)


@pytest.mark.parametrize("tie_break", [3, None])
def test_a_third_voter_is_asked_where_the_two_disagree(make_arena, fill, tie_break):
    rule = {"overlap": {"voters": 2, "tie_break": tie_break}}
    arena = overlapping(make_arena, fill, categories=ONE, matchmaking=rule)
    first = vote(arena, "ann", "both_good")
    vote(arena, "bob", "both_bad")
    third = vote(arena, "cyd")
    assert (images_of(arena, third) == images_of(arena, first)) == (tie_break == 3)
    fourth = vote(arena, "dan")
    assert images_of(arena, fourth) != images_of(arena, first)


def test_the_same_image_winning_on_either_side_is_agreement(make_arena, fill):
    """Sides are drawn afresh for every voter, so outcomes are compared by image."""
    for seed in range(6):
        arena = overlapping(make_arena, fill, categories=things(1, f"C{seed}"), seed=seed)
        battle = arena.next_battle("ann")
        winner = arena.ledger.battle(battle.battle_id).image_a
        vote(arena, "ann", "model_a", battle)
        battle = arena.next_battle("bob")
        vote(arena, "bob", "model_a" if arena.ledger.battle(battle.battle_id).image_a == winner else "model_b", battle)
        assert images_of(arena, vote(arena, "cyd")) != images_of(arena, battle)


def test_a_served_pair_is_leased_and_goes_to_another_when_the_lease_is_over(make_arena, fill, clock):
    arena = overlapping(make_arena, fill, categories=ONE)
    slow = arena.next_battle("ann")
    also = arena.next_battle("bob")
    assert images_of(arena, slow) == images_of(arena, also), "two voters may have it at once"
    other = arena.next_battle("cyd")
    assert images_of(arena, other) != images_of(arena, slow), "both places are taken"
    vote(arena, "bob", battle=also)
    clock.now += 31 * 60
    late = arena.next_battle("dan")
    assert images_of(arena, late) == images_of(arena, slow)
    vote(arena, "ann", battle=slow)  # late, and counted all the same
    vote(arena, "dan", battle=late)
    assert len(served(arena)[images_of(arena, slow)]) == 3


def test_leases_and_what_is_under_way_survive_a_restart(make_arena, fill, clock):
    arena = overlapping(make_arena, fill, categories=ONE)
    done, held = vote(arena, "ann"), arena.next_battle("bob")
    assert images_of(arena, done) == images_of(arena, held)
    arena.close()
    again = make_arena(matchmaking=OVERLAP, limits=FREE, categories=ONE, seed=7)
    assert images_of(again, again.next_battle("cyd")) != images_of(again, done), "one vote and one lease"
    clock.now += 31 * 60
    assert images_of(again, again.next_battle("dan")) == images_of(again, done)


def test_a_skipped_battle_frees_its_place_at_once(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=ONE)
    first = vote(arena, "ann")
    skipped = arena.next_battle("bob")
    arena.skip(skipped.battle_id, "bob")
    assert images_of(arena, arena.next_battle("cyd")) == images_of(arena, first)
    again = arena.next_battle("bob")
    assert not images_of(arena, again) & images_of(arena, first), "who skipped it does not get its images again"


def test_a_vote_that_was_taken_back_is_asked_of_another_voter(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=ONE)
    first = vote(arena, "ann")
    arena.withdraw(first.battle_id, "ann")
    vote(arena, "bob")
    third = vote(arena, "cyd")
    assert images_of(arena, third) == images_of(arena, first)
    other = vote(arena, "dan")
    assert images_of(arena, other) != images_of(arena, first)
    assert images_of(arena, vote(arena, "fay")) == images_of(arena, other)
    vote_id = arena.ledger.vote_of(third.battle_id).vote_id
    arena.ledger.exclude(vote_id, "withdrawn")
    assert images_of(arena, vote(arena, "eve")) == images_of(arena, first), "an exclusion asks for one more"


def test_a_pair_is_finished_though_its_images_retire_meanwhile(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=ONE, bank={"retire_after": 1})
    first = vote(arena, "ann")
    assert arena.missing() == 2 and fill(arena) == 2
    assert images_of(arena, arena.next_battle("bob")) == images_of(arena, first)
    fresh = {i for b in (arena.next_battle("cyd"), arena.next_battle("dan")) for i in images_of(arena, b)}
    assert not fresh & (images_of(arena, first)), "but is not begun again"


def test_the_ones_that_wait_for_one_vote_come_before_those_that_wait_for_two(make_arena, fill, clock):
    arena = overlapping(make_arena, fill, categories=things(3))
    left = arena.next_battle("ann")  # never answered
    voted = arena.next_battle("ann", after=left.battle_id)
    vote(arena, "ann", battle=voted)
    clock.now += 31 * 60
    order = [images_of(arena, vote(arena, "bob")) for _ in range(2)]
    assert order == [images_of(arena, voted), images_of(arena, left)]


def test_when_every_pair_has_its_votes_the_visitor_is_told_kindly(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=ONE)
    for k in range(100):
        try:
            vote(arena, f"voter {k}")
        except NoBattle as none:
            assert "every battle" in str(none)
            break
    pairs = served(arena)
    assert len(pairs) == 6 and {len(voters) for voters in pairs.values()} == {2}


def test_every_pair_gets_two_votes_or_three_under_a_crowd_at_once(make_arena, fill):
    """Forty voters on eight threads: nobody gets a pair that has its voters, and nobody an image twice."""
    arena = overlapping(make_arena, fill, categories=things(12, "One", "Two"))
    failed = []

    def crowd(part):
        rng = random.Random(part)
        try:
            for turn in range(10):
                for voter in (f"{part}-{k}" for k in range(5)):
                    battle = arena.next_battle(voter)
                    if turn % 4 == 3 and rng.random() < 0.5:
                        arena.skip(battle.battle_id, voter)
                    else:
                        vote(arena, voter, rng.choice(("model_a", "model_b", "both_good")), battle)
        except NoBattle:
            pass
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=crowd, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    shown = Counter()
    for pair, battles in served(arena).items():
        won = [winner for _, winner in battles if winner]
        assert len(won) <= (2 if len(set(won[:2])) == 1 else 3), won
        assert len({voter for voter, _ in battles}) == len(battles)
        for voter, _ in battles:
            shown.update((voter, image) for image in pair)
    assert max(shown.values()) == 1
    assert sum(len([w for _, w in b if w]) for b in served(arena).values()) >= 200
    waiting = [len([w for _, w in b if w]) for b in served(arena).values()]
    assert waiting.count(1) <= 40, "begun pairs are finished before others are begun"


def test_categories_stay_balanced(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=things(8, "One", "Two"))
    drawn = Counter(vote(arena, f"voter {k}").category for k in range(120))
    assert (drawn["One"] - drawn["Two"]) ** 2 / 120 < chi2.ppf(0.999, 1)


def test_a_pair_keeps_the_probability_of_its_first_draw(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=things(6))
    for k in range(60):
        vote(arena, f"voter {k}", random.Random(k).choice(("model_a", "both_bad")))
    rows = arena.ledger.all("SELECT image_a, image_b, pair_probability AS p FROM battles ORDER BY rowid")
    declared = defaultdict(set)
    for row in rows:
        declared[frozenset((row["image_a"], row["image_b"]))].add(row["p"])
    assert {len(found) for found in declared.values()} == {1} and len(rows) > len(declared)


def test_first_draws_come_as_often_as_they_declare(make_arena, fill):
    """Of a prompt whose pairs are begun one after the other: given those before, the next is as likely as declared."""
    families = [{"id": f"m{k}", "name": f"M{k}", "organisation": "O", "family": f"f{k % 2}", "licence": "mit",
                 "backend": "fake", "source": "s"} for k in range(4)]  # fmt: skip
    config = {"models": families, "matchmaking": {**OVERLAP, "different_families": True}}
    arena = overlapping(make_arena, fill, categories=things(40), **config)
    shelf, rng = arena.stock.shelf, random.Random(3)
    draws, chances = Counter(), {}
    for prompt in arena.stock.curated:
        row, before = shelf._images[prompt.prompt_id], ()
        for _ in range(3):
            for _ in range(100):
                draw = shelf._draw_of(rng, Seen(), prompt.prompt_id)
                pair = tuple(sorted((draw.image_a.model, draw.image_b.model)))
                draws[before, pair] += 1
                chances[before, pair] = draw.probability
            arena.ledger.add_battle(Battle(new_id(), new_id(), prompt, draw.image_a, draw.image_b, "anonymous", "bank",
                                           draw.probability, arena.ledger.now()))  # fmt: skip
            shelf.overlap.follow()
            before = tuple(sorted(shelf.overlap.begun(prompt.prompt_id, row)))
    histories = {before for before, _ in draws}
    for history in histories:
        n = sum(count for (before, _), count in draws.items() if before == history)
        expected = {pair: n * p for (before, pair), p in chances.items() if before == history}
        assert sum(expected.values()) == pytest.approx(n)
        statistic = sum((draws[history, pair] - e) ** 2 / e for pair, e in expected.items())
        assert statistic < chi2.ppf(0.9999, max(1, len(expected) - 1)) or len(expected) == 1
        assert not {pair for before, pair in draws if before == history} & set(history)
    assert len(histories) > 1


def test_agreement_is_measured_from_the_first_day(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=things(8))
    for k in range(48):  # everybody likes the same image best, but every sixth, who finds all of them bad
        battle = arena.next_battle(f"voter {k}")
        stored = arena.ledger.battle(battle.battle_id)
        best = "model_a" if stored.image_a.image_id < stored.image_b.image_id else "model_b"
        vote(arena, f"voter {k}", best if k % 6 else "both_bad", battle)
    path, pairs = arena.ledger.path, served(arena)
    arena.close()
    ran = subprocess.run([sys.executable, "-m", "leaderboard", "agreement", str(path), "--format", "json"], cwd=ROOT,
                         capture_output=True, text=True, timeout=400)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    row = json.loads(ran.stdout)["sheets"]["agreement"]["rows"][0]
    several = [Counter(winner for _, winner in battles) for battles in pairs.values() if len(battles) > 1]
    agreed = [sum(n * (n - 1) for n in won.values()) / (won.total() * (won.total() - 1)) for won in several]
    assert (row["votes"], row["pairs"], row["overlap_pairs"]) == (48, len(pairs), len(several))
    assert row["overlap_pairs"] >= row["pairs"] - 1, "a pair is finished before the next is begun"
    assert row["agreement"] == pytest.approx(sum(agreed) / len(agreed), abs=1e-6) and row["agreement"] > row["chance"]


def test_an_overlap_that_says_nothing_is_refused():
    for wrong in ({"voters": 1}, {"voters": 3, "tie_break": 3}, {"lease_minutes": 0}, {"voter": 2}):
        with pytest.raises(ConfigError):
            small_config(matchmaking={"overlap": wrong})


def erase(path, *vote_ids):
    """As another replica's erasure comes, by a process of its own on the same data folder."""
    code = ("import sys; from arena import intake; from arena.ledger import Ledger; path, *votes = sys.argv[1:]; "
            "intake.take(Ledger(path), 'exclusions', [(vote, 'erased', 1, '{}') for vote in votes])")  # fmt: skip
    subprocess.run([sys.executable, "-c", code, str(path), *vote_ids], cwd=ROOT, check=True, timeout=60)


def test_an_erased_vote_is_no_part_of_its_pair_any_more(make_arena, fill):
    """Nobody knows any more which pair it was on: all are counted anew, without a restart."""
    arena = overlapping(make_arena, fill, categories=ONE)
    first, second = vote(arena, "ann"), vote(arena, "bob")
    assert images_of(arena, first) == images_of(arena, second) and arena.stock.shelf.pairs() == (1, 1)
    pair, votes = images_of(arena, second), [arena.ledger.vote_of(b.battle_id).vote_id for b in (first, second)]
    erase(arena.ledger.path, votes[0])
    assert arena.ledger.vote_of(first.battle_id) is None
    arena.refill(arena.studio)
    assert arena.stock.shelf.pairs() == (0, 1)
    assert images_of(arena, vote(arena, "cyd")) == pair and arena.stock.shelf.pairs() == (1, 1)
    erase(arena.ledger.path, votes[1], arena.ledger.last_vote("cyd").vote_id)
    arena.refill(arena.studio)
    assert arena.stock.shelf.pairs() == (0, 0) and vote(arena, "dan"), "as if nobody had ever seen it"
    again = make_arena(matchmaking=OVERLAP, limits=FREE, categories=ONE)
    assert again.stock.shelf.pairs() == arena.stock.shelf.pairs() == (0, 1)


def test_an_erasure_of_votes_that_were_never_here_changes_nothing(make_arena, fill):
    arena = overlapping(make_arena, fill, categories=ONE)
    first = vote(arena, "ann")
    erase(arena.ledger.path, new_id())
    arena.refill(arena.studio)
    assert images_of(arena, vote(arena, "bob")) == images_of(arena, first) and arena.stock.shelf.pairs() == (1, 1)


def state(overlap):
    """What waits where, and which pairs have been begun."""
    waiting = {place: set(pairs) for place, pairs in overlap._waiting.items() if pairs}
    return waiting, {prompt: set(pairs) for prompt, pairs in overlap._of_prompt.items() if pairs}


@pytest.mark.parametrize("seed", range(3))
def test_what_waits_is_the_same_after_a_restart_whatever_was_excluded_when(make_arena, fill, clock, monkeypatch, seed):
    monkeypatch.setattr(overlap, "_ROWS", 3)  # read in many pieces
    arena = overlapping(make_arena, fill, categories=things(3, "Anime", "Painting"))
    rng = random.Random(seed)
    for n in range(60):
        voter = f"voter {n % 9}"
        try:
            battle = arena.next_battle(voter)
        except NoBattle:
            continue
        done = rng.random()
        if done < 0.1:
            arena.skip(battle.battle_id, voter)
        elif done < 0.8:
            arena.cast_vote(battle.battle_id, rng.choice(("model_a", "model_b", "both_good")), voter)
            vote_id = arena.ledger.vote_of(battle.battle_id).vote_id
            if done < 0.2:
                arena.ledger.exclude(vote_id, "withdrawn")
            if done < 0.15:
                clock.now += 1
                arena.ledger.exclude(vote_id, "restored")
        clock.now += rng.choice((1, 300))
    again = make_arena(matchmaking=OVERLAP, limits=FREE, categories=things(3, "Anime", "Painting"), seed=7)
    for one in (arena, again):
        one.stock.shelf.follow()
    assert state(arena.stock.shelf.overlap) == state(again.stock.shelf.overlap)
    assert arena.stock.shelf.pairs() == again.stock.shelf.pairs()
    assert again.stock.shelf.pairs()[1] == len(arena.ledger.all("SELECT DISTINCT MIN(image_a, image_b), "
        "MAX(image_a, image_b) FROM battles b WHERE voided IS NULL"))  # fmt: skip


def test_who_has_had_everything_that_waits_begins_a_pair_without_a_search_through_all(make_arena, fill, monkeypatch):
    monkeypatch.setattr(overlap, "_LOOKS", 5)
    arena = overlapping(make_arena, fill, categories=things(20))
    for _ in range(10):
        vote(arena, "ann")
    looked, waiting = [], arena.stock.shelf.overlap._waiting

    class Watched(dict):
        def values(self):
            for begun in super().values():
                looked.append(begun)
                yield begun

    waiting.update({place: Watched(pairs) for place, pairs in waiting.items()})
    vote(arena, "ann")
    assert len(looked) == 5, "and not all ten"


def test_what_is_finished_or_long_ago_is_not_kept_as_a_lease(make_arena, fill, clock):
    arena = overlapping(make_arena, fill, categories=things(4))
    for n in range(6):
        vote(arena, f"voter {n}")
    open_ = arena.next_battle("ann")
    again = make_arena(matchmaking=OVERLAP, limits=FREE, categories=things(4), seed=7).stock.shelf
    again.follow()
    assert list(again.overlap._leases) == [open_.battle_id]
    clock.now += 31 * 60
    again.follow()
    assert not again.overlap._leases


def test_a_vote_that_comes_while_the_others_are_taken_in_leaves_no_place_free(make_arena, fill, monkeypatch):
    arena = overlapping(make_arena, fill, categories=ONE)
    vote(arena, "ann")
    also = arena.next_battle("bob")
    found, read = arena.stock.shelf.overlap, arena.ledger.all

    def slow(sql, *values):
        if "FROM battles b JOIN" in sql and arena.ledger.vote_of(also.battle_id) is None:
            monkeypatch.setattr(found, "follow", lambda: None)  # the voter's thread waits for its turn with the shelf
            arena.cast_vote(also.battle_id, "both_good", "bob")
            monkeypatch.undo()
        return read(sql, *values)

    monkeypatch.setattr(arena.ledger, "all", slow)
    assert images_of(arena, arena.next_battle("cyd")) != images_of(arena, also)
    assert arena.ledger.vote_of(also.battle_id), "it came in between"
