"""Tasks with a known answer: which comes when, what happens to right and wrong answers, and that nothing counts."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image as pictures

from arena import intake
from arena.campaign_config import AreaTask, WordsTask
from arena.errors import AlreadyGiven, AlreadyVoted, ConfigError, NoBattle, TaskFirst, UnknownBattle, WrongAnswer
from arena.feedback import read
from arena.gold_tasks import area_right, words_right
from arena.records import Point, feedback_id
from arena.tables import feedback_values, kept_columns
from standings import Standings
from tests.unit.conftest import small_config

PROMPT = "a red cat under a moon"


@pytest.fixture
def files(tmp_path):
    """files(n): paths of n pictures, no two alike."""
    rng = np.random.default_rng(3)

    def make(count: int) -> list[str]:
        paths = []
        for k in range(count):
            path = tmp_path / f"gold-{k}.png"
            pictures.fromarray(rng.integers(0, 255, (96, 96, 3), np.uint8)).save(path)
            paths.append(str(path))
        return paths

    return make


def battle_task(one: str, other: str, **more):
    return {"kind": "battle", "images": [one, other], "prompt": PROMPT, "category": "Anime", "winner": "first",
            "why": "The second one has two heads.", **more}  # fmt: skip


def words_task(one: str, other: str, **more):
    return {"kind": "words", "image": one, "beside": other, "prompt": PROMPT, "category": "Anime", "missed": ["moon"],
            "may": ["a", "under"], "why": "There is no moon.", **more}  # fmt: skip


def area_task(one: str, other: str, **more):
    return {"kind": "area", "image": one, "beside": other, "prompt": PROMPT, "category": "Anime",
            "box": [0.5, 0.0, 1.0, 0.5], "why": "The ear is upside down.", **more}  # fmt: skip


def gold(*tasks, first=0, every=None):
    return {"first": first, "every": every, "tasks": list(tasks)}


CAMPAIGN = {"title": "Test", "feedback": "required"}
ALL = {"style": 4, "errors": 2, "alignment": 4, "misaligned_words": [], "coherence_points": None}


def right_winner(arena, blind) -> str:
    battle, row = (
        arena.ledger.battle(blind.battle_id),
        arena.ledger.one("SELECT * FROM battles WHERE battle_id = ?", blind.battle_id),
    )
    return arena.gold.tasks()[row["gold"]].outcome(battle)


def is_gold(arena, blind) -> bool:
    return arena.ledger.one("SELECT gold FROM battles WHERE battle_id = ?", blind.battle_id)["gold"] is not None


def other(winner: str) -> str:
    return {"model_a": "model_b"}.get(winner, "model_a")


def rows_of(arena, table: str) -> list[dict]:
    return [row for _, row in getattr(arena.ledger, f"{table}_after")(0)]


def test_tasks_come_before_the_first_battle_then_now_and_then(make_arena, fill, files):
    a, b, c, d = files(4)
    arena = make_arena(gold=gold(battle_task(a, b), battle_task(c, d), first=2, every=2))
    fill(arena)
    seen = []
    for _ in range(4):
        blind = arena.next_battle("ann")
        seen.append(is_gold(arena, blind))
        arena.cast_vote(blind.battle_id, right_winner(arena, blind) if seen[-1] else "model_a", "ann")
    assert seen[:2] == [True, True] and arena.gold.practice("ann") == (2, 2)
    both = [is_gold(arena, arena.next_battle(f"voter-{k}")) for k in range(5)]
    assert all(both), "everybody begins with them"


def test_how_often_is_a_matter_of_chance_with_the_share_that_was_asked_for(make_arena, files):
    a, b = files(2)
    arena = make_arena(gold=gold(battle_task(a, b), every=4))
    drawn = [arena.gold.draw(f"voter-{k}", None) is not None for k in range(800)]
    assert abs(sum(drawn) / 800 - 0.25) < 0.06, "4 standard errors"
    gaps = np.diff(np.flatnonzero(drawn))
    assert len(set(gaps.tolist())) > 5, "no pattern"


def test_no_task_comes_twice_until_all_were_seen(make_arena, files):
    names = files(6)
    tasks = [battle_task(one, two) for one, two in zip(names[::2], names[1::2], strict=True)]
    arena = make_arena(gold=gold(*tasks, first=0, every=2))
    seen = []
    while len(seen) < 9:
        if battle := arena.gold.draw("ann", None):
            seen.append(frozenset((battle.image_a.image_id, battle.image_b.image_id)))
            arena.ledger.void_battle(battle.battle_id, "skipped")
    for k in range(0, 9, 3):
        assert len(set(seen[k : k + 3])) == 3


def test_who_has_voted_on_everything_gets_no_tasks_on_end(make_arena, fill, files):
    """The page asks again and again whether there is more; tasks alone would also be a way to the top of the ranking."""
    a, b = files(2)
    arena = make_arena(gold=gold(battle_task(a, b), first=1, every=2))
    fill(arena)
    for _ in range(30):
        try:
            blind = arena.next_battle("ann")
        except NoBattle:
            break
        arena.cast_vote(blind.battle_id, right_winner(arena, blind) if is_gold(arena, blind) else "model_a", "ann")
    else:
        raise AssertionError("it never ended")
    for _ in range(40):
        with pytest.raises(NoBattle, match="seen every battle"):
            arena.next_battle("ann")
    assert is_gold(arena, arena.next_battle("bob")), "but for who begins"


def test_a_chosen_category_gets_no_task_of_another(make_arena, fill, files):
    a, b = files(2)
    arena = make_arena(gold=gold(battle_task(a, b), every=2))
    fill(arena)
    assert not any(arena.gold.draw("ann", "Painting") for _ in range(40))
    assert any(arena.gold.draw("ann", "Anime") for _ in range(40))


def test_a_wrong_vote_explains_itself_and_must_be_put_right(make_arena, fill, files):
    a, b = files(2)
    arena = make_arena(gold=gold(battle_task(a, b), first=1))
    fill(arena)
    blind = arena.next_battle("ann")
    ahead = arena.next_battle("ann", after=blind.battle_id)  # the page fetches the next one early
    assert not is_gold(arena, ahead)
    right = right_winner(arena, blind)
    for _ in range(2):
        with pytest.raises(WrongAnswer, match="two heads"):
            arena.cast_vote(blind.battle_id, other(right), "ann", seconds=0)
        assert arena.next_battle("ann", after=blind.battle_id).battle_id == blind.battle_id, "nothing else until then"
        with pytest.raises(TaskFirst):
            arena.cast_vote(ahead.battle_id, "model_a", "ann")
        with pytest.raises(TaskFirst):
            arena.skip(blind.battle_id, "ann")
    with pytest.raises(UnknownBattle):
        arena.cast_vote(blind.battle_id, right, "bob")
    assert rows_of(arena, "votes") == []
    assert arena.cast_vote(blind.battle_id, right, "ann") is None
    [vote] = rows_of(arena, "votes")
    assert vote["winner"] == other(right), "the first answer is what is on record"
    extra = json.loads(vote["extra"])
    assert extra["gold"] == right and extra["gold_tries"] == 3 and vote["prompt"] == PROMPT
    with pytest.raises(AlreadyVoted):
        arena.cast_vote(blind.battle_id, right, "ann")
    told = arena.gold.told(blind.battle_id, "ann")
    assert told == {"right": True, "why": "The second one has two heads.", "tries": 3, "practice": {"done": 1, "of": 1}}
    with pytest.raises(TaskFirst, match="known answer"):
        arena.withdraw(blind.battle_id, "ann")
    assert arena.reveal(blind.battle_id, "ann") == {"right": False}
    assert arena.next_battle("ann").battle_id == ahead.battle_id
    assert arena.cast_vote(ahead.battle_id, "model_a", "ann").crowd["a"] == 1


def test_a_right_answer_is_told_only_before_the_first_battle(make_arena, fill, files):
    names = files(4)
    arena = make_arena(gold=gold(battle_task(*names[:2]), battle_task(*names[2:]), first=1, every=2))
    fill(arena)
    told = []
    for _ in range(30):
        blind = arena.next_battle("ann")
        if not is_gold(arena, blind):
            arena.skip(blind.battle_id, "ann")
            continue
        arena.cast_vote(blind.battle_id, right_winner(arena, blind), "ann")
        told.append(arena.gold.told(blind.battle_id, "ann"))
        if len(told) == 2:
            break
    assert told[0]["practice"] == {"done": 1, "of": 1} and told[1] is None
    assert arena.gold.told(blind.battle_id, "bob") is None


def test_a_restart_in_the_middle_goes_on_where_it_was(make_arena, fill, files):
    a, b = files(2)
    settings = gold(battle_task(a, b), first=1)
    arena = make_arena(gold=settings)
    fill(arena)
    blind = arena.next_battle("ann")
    right = right_winner(arena, blind)
    with pytest.raises(WrongAnswer):
        arena.cast_vote(blind.battle_id, other(right), "ann")
    arena.close()
    again = make_arena(gold=settings)
    assert again.next_battle("ann", after=blind.battle_id).battle_id == blind.battle_id
    again.cast_vote(blind.battle_id, right, "ann")
    assert json.loads(rows_of(again, "votes")[0]["extra"])["gold_tries"] == 2
    assert again.gold.practice("ann") == (1, 1) and not is_gold(again, again.next_battle("ann"))


def test_whoever_walks_away_has_their_first_answer_on_record(make_arena, fill, files, clock):
    a, b = files(2)
    arena = make_arena(gold=gold(battle_task(a, b), first=1))
    fill(arena)
    blind = arena.next_battle("ann")
    right = right_winner(arena, blind)
    with pytest.raises(WrongAnswer):
        arena.cast_vote(blind.battle_id, other(right), "ann")
    clock.now += 3600 * 25
    arena.next_battle("ann")
    [vote] = rows_of(arena, "votes")
    assert vote["winner"] == other(right) and json.loads(vote["extra"])["gold"] == right


def test_gold_images_are_in_no_other_battle_and_count_nowhere(make_arena, fill, clock):
    """Of two images of the bank: others take their places, and neither votes, uses, crowds nor overlap know of them."""
    plain = make_arena()
    fill(plain)
    one, two = [i for i in plain.ledger.banked_images() if plain.ledger.prompt(i.prompt_id).prompt == "a boat at sea"][
        :2
    ]
    plain.close()
    task = {"kind": "battle", "images": [one.image_id, two.image_id], "winner": "both_bad", "why": "Both are empty."}
    arena = make_arena(gold=gold(task, first=1), matchmaking={"overlap": {"voters": 2, "tie_break": None}})
    assert arena.gold.waiting() == [] and fill(arena) == 2, "another picture is made in the place of each"
    shown = Counter()
    for k in range(6):
        voter = f"voter-{k}"
        for _ in range(4):
            blind = arena.next_battle(voter)
            battle = arena.ledger.battle(blind.battle_id)
            images = {battle.image_a.image_id, battle.image_b.image_id}
            if is_gold(arena, blind):
                assert images == {one.image_id, two.image_id} and blind.prompt == "a boat at sea"
                arena.cast_vote(blind.battle_id, "both_bad", voter)
            else:
                assert not images & {one.image_id, two.image_id}
                arena.cast_vote(blind.battle_id, "model_a", voter)
            shown[is_gold(arena, blind)] += 1
    assert shown == {True: 6, False: 18}
    assert sum(arena.ledger.pair_record(one.image_id, two.image_id).values()) == 0
    arena.stock.voted()
    assert arena.stock._uses[one.image_id] == 0
    votes = Counter(frozenset((v["image_a"], v["image_b"])) for v in rows_of(arena, "votes") if v["extra"] == "{}")
    assert arena.stock.shelf.pairs() == (sum(n == 2 for n in votes.values()), len(votes))


def test_the_leaderboard_and_the_ticker_leave_gold_out(make_arena, fill, files):
    a, b = files(2)
    standings = Standings()
    arena = make_arena(gold=gold(battle_task(a, b), first=1), ticker=standings.ticker)
    standings.follow(arena.ledger, arena.config)
    fill(arena)
    for voter in ("ann", "bob"):
        blind = arena.next_battle(voter)
        arena.cast_vote(blind.battle_id, right_winner(arena, blind), voter)
    study = standings.study()
    assert len(study.votes) == 0 and study.votes.left_out == {"gold": 2}
    assert sorted(right for _, _, right in study.votes.gold_tasks) == [True, True]
    assert len({task for _, task, _ in study.votes.gold_tasks}) == 1
    assert standings._elo.ratings == {}


# -- words and areas ---------------------------------------------------------------------------------------


def test_words_are_judged_after_the_vote(make_arena, fill, files):
    a, b = files(2)
    arena = make_arena(campaign=CAMPAIGN, gold=gold(words_task(a, b), first=1))
    fill(arena)
    blind = arena.next_battle("ann")
    battle = arena.ledger.battle(blind.battle_id)
    side = arena.gold.tasks()[arena.ledger.one("SELECT gold FROM battles")["gold"]].side(battle)
    far = "b" if side == "a" else "a"
    assert arena.cast_vote(blind.battle_id, "model_a", "ann") is None
    vote = arena.ledger.vote_of(blind.battle_id)
    assert json.loads(vote.extra)["gold"] == "any" and arena.gold.told(blind.battle_id, "ann") is None
    owed = arena.next_battle("ann")
    assert owed.battle_id == blind.battle_id and owed.owed["sides"] == ["a", "b"]
    with pytest.raises(TaskFirst):
        arena.reveal(blind.battle_id, "ann")
    arena.feedback.give(blind.battle_id, far, ALL, "ann")
    for wrong in ([], [1], [2, 5]):
        with pytest.raises(WrongAnswer, match="no moon"):
            arena.feedback.give(blind.battle_id, side, {**ALL, "style": 2, "misaligned_words": wrong}, "ann")
        assert arena.next_battle("ann").owed["sides"] == [side]
    kept = arena.feedback.give(blind.battle_id, side, {**ALL, "misaligned_words": [4, 5]}, "ann")
    assert kept.misaligned_words == () and kept.style == 2, "the first answer is what is on record"
    extra = json.loads(kept.extra)
    assert extra["gold"]["right"] is False and extra["gold_tries"] == 4
    with pytest.raises(AlreadyGiven):
        arena.feedback.give(blind.battle_id, side, {**ALL, "misaligned_words": [5]}, "ann")
    assert arena.gold.told(blind.battle_id, "ann")["tries"] == 4
    assert arena.reveal(blind.battle_id, "ann") == {"right": False}
    assert [json.loads(r["extra"])["gold"] for r in rows_of(arena, "feedback") if r["image_id"] != kept.image_id] == [
        True
    ]
    assert not is_gold(arena, arena.next_battle("ann"))


def test_an_area_is_judged_by_its_points(make_arena, fill, files):
    a, b = files(2)
    feedback = {"points": "always"}
    arena = make_arena(feedback=feedback, campaign=CAMPAIGN, gold=gold(area_task(a, b), first=1))
    fill(arena)
    blind = arena.next_battle("ann")
    battle = arena.ledger.battle(blind.battle_id)
    side = next(iter(arena.gold.tasks().values())).side(battle)
    arena.cast_vote(blind.battle_id, "both_bad", "ann")
    given = {**ALL, "errors": 5, "alignment_points": []}
    with pytest.raises(WrongAnswer, match="upside down"):
        arena.feedback.give(blind.battle_id, side, {**given, "coherence_points": [[0.2, 0.2]]}, "ann")
    kept = arena.feedback.give(blind.battle_id, side, {**given, "coherence_points": [[0.2, 0.2], [0.75, 0.25]]}, "ann")
    assert kept.coherence_points == (Point(0.2, 0.2),)
    assert kept.feedback_id == feedback_id(arena.ledger.vote_of(blind.battle_id).vote_id, side)


def wrongly_answered(arena):
    """(battle, side) of ann's first task, of words, to which her answer was wrong: there are no mistakes."""
    blind = arena.next_battle("ann")
    side = next(iter(arena.gold.tasks().values())).side(arena.ledger.battle(blind.battle_id))
    arena.cast_vote(blind.battle_id, "model_a", "ann")
    with pytest.raises(WrongAnswer):
        arena.feedback.give(blind.battle_id, side, ALL, "ann")
    return blind, side


def test_feedback_that_is_never_put_right_goes_on_record(make_arena, fill, files, clock):
    a, b = files(2)
    arena = make_arena(campaign=CAMPAIGN, gold=gold(words_task(a, b), first=1))
    fill(arena)
    wrongly_answered(arena)
    clock.now += 3600 * 25
    arena.next_battle("ann")
    [row] = rows_of(arena, "feedback")
    assert json.loads(row["extra"])["gold"]["right"] is False and row["misaligned_words"] == []


def test_a_wrong_answer_is_not_escaped_by_taking_the_vote_back(make_arena, fill, files):
    a, b = files(2)
    arena = make_arena(campaign=CAMPAIGN, gold=gold(words_task(a, b), first=1))
    fill(arena)
    blind, side = wrongly_answered(arena)
    with pytest.raises(TaskFirst, match="put right first"):
        arena.withdraw(blind.battle_id, "ann")
    assert arena.next_battle("ann").battle_id == blind.battle_id
    arena.feedback.give(blind.battle_id, side, {**ALL, "misaligned_words": [5]}, "ann")


def test_before_anything_is_said_its_vote_is_taken_back_like_any_other(make_arena, fill, files):
    a, b = files(2)
    arena = make_arena(campaign=CAMPAIGN, gold=gold(words_task(a, b), first=1))
    fill(arena)
    blind = arena.next_battle("ann")
    arena.cast_vote(blind.battle_id, "model_a", "ann")
    arena.withdraw(blind.battle_id, "ann")
    again = arena.next_battle("ann")
    assert is_gold(arena, again) and again.battle_id != blind.battle_id, "the tasks at the beginning are still to do"


@pytest.mark.parametrize("late", [False, True])
def test_a_first_answer_stands_though_less_is_asked_by_now(make_arena, fill, files, clock, late):
    """Nobody is locked out by what they answered before arena.yaml was changed."""
    a, b = files(2)
    settings = gold(area_task(a, b), first=1)
    arena = make_arena(campaign=CAMPAIGN, gold=settings)
    fill(arena)
    blind = arena.next_battle("ann")
    side = next(iter(arena.gold.tasks().values())).side(arena.ledger.battle(blind.battle_id))
    arena.cast_vote(blind.battle_id, "model_a", "ann")
    wrong = {**ALL, "errors": 5, "coherence_points": [[0.1, 0.9], [0.2, 0.9], [0.3, 0.9]]}
    with pytest.raises(WrongAnswer):
        arena.feedback.give(blind.battle_id, side, wrong, "ann")
    arena.close()
    asks = {**CAMPAIGN, "asks": ["coherence", "points"]}
    again = make_arena(feedback={"points_at_most": 1}, campaign=asks, gold=settings)
    if late:
        clock.now += 3600 * 25
        again.next_battle("ann")
    else:
        again.feedback.give(blind.battle_id, side, {"errors": 5, "coherence_points": [[0.75, 0.25]]}, "ann")
    [row] = rows_of(again, "feedback")
    assert row["style"] == 4 and len(row["coherence_points"]) == 3
    extra = json.loads(row["extra"])
    assert extra["gold"]["right"] is False and extra["asked"] == ["coherence", "points"]


def test_words_are_judged_by_the_prompt_that_the_voter_saw(make_arena, fill, files):
    """Who changes a task's prompt asks another question: what was said of the earlier one is no answer to it."""
    a, b = files(2)
    arena = make_arena(campaign=CAMPAIGN, gold=gold(words_task(a, b), first=1))
    fill(arena)
    blind = arena.next_battle("ann")
    side = next(iter(arena.gold.tasks().values())).side(arena.ledger.battle(blind.battle_id))
    arena.close()
    changed = words_task(a, b, prompt="a moon", may=[])
    again = make_arena(campaign=CAMPAIGN, gold=gold(changed, first=1))
    again.cast_vote(blind.battle_id, "model_a", "ann")
    kept = again.feedback.give(blind.battle_id, side, {**ALL, "misaligned_words": [4]}, "ann")
    assert json.loads(kept.extra)["gold"] is True
    assert again.gold.practice("ann") == (0, 1) and rows_of(again, "feedback")[0]["misaligned_words"] == [4]


@pytest.mark.parametrize("kept", [False, True])
def test_what_was_shown_as_a_task_is_no_result_though_it_has_left_arena_yaml(make_arena, fill, files, kept):
    plain = make_arena()
    fill(plain)
    one, two = plain.ledger.banked_images()[:2]
    plain.close()
    task = {"kind": "battle", "images": [one.image_id, two.image_id], "winner": "first", "why": "..."}
    arena = make_arena(gold=gold(task, first=1))
    blind = arena.next_battle("ann")
    assert is_gold(arena, blind)
    arena.close()
    again = make_arena(**({"gold": gold(battle_task(*files(2)))} if kept else {}))
    assert again.cast_vote(blind.battle_id, "both_bad", "ann") is None
    [vote] = rows_of(again, "votes")
    assert json.loads(vote["extra"])["gold"] == "any"


@pytest.mark.parametrize("marked, right", [
    ([5], True), ([4, 5], True), ([3, 5], True), ([0], False), ([], False), (None, False), ([1, 5], False)])  # fmt: skip
def test_right_words(marked, right):
    row = WordsTask(**words_task("x.png", "y.png"))
    assert words_right(row, PROMPT.split(), None if marked is None else tuple(marked)) is right


def test_an_image_that_misses_nothing():
    row = WordsTask(**words_task("x.png", "y.png", missed=[], may=[]))
    assert words_right(row, PROMPT.split(), ()) and not words_right(row, PROMPT.split(), (1,))


def test_right_areas():
    box = AreaTask(**area_task("x.png", "y.png"))
    triangle = AreaTask(**area_task("x.png", "y.png", box=None, polygon=[(0, 0), (1, 0), (0, 1)]))
    for row, inner, outer in ((box, (0.75, 0.25), (0.25, 0.25)), (triangle, (0.2, 0.2), (0.8, 0.8))):
        assert area_right(row, (Point(*inner),), None) and not area_right(row, (Point(*outer),), None)
        assert area_right(row, (Point(*outer), Point(*inner)), None) and not area_right(row, (), None)

    def painted(left, top, right, bottom):
        grid = np.zeros((64, 64), bool)
        grid[top:bottom, left:right] = True
        flat = grid.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate(([False], flat)).astype(int)))
        counts = np.diff(np.concatenate(([0], edges, [4096]))).tolist()
        return {"size": [64, 64], "counts": counts}

    assert area_right(box, (), painted(40, 0, 64, 20)) and area_right(box, (), painted(20, 0, 64, 32))
    assert not area_right(box, (), painted(0, 0, 64, 64)), "painting everything tells nothing"
    assert not area_right(box, (), painted(0, 40, 20, 60)) and not area_right(box, (), painted(0, 0, 0, 0))


def test_what_is_read_is_what_is_judged():
    said, masks = read({"misaligned_words": [5]}, words=6, asked=small_config().feedback)
    assert (
        words_right(WordsTask(**words_task("x.png", "y.png")), PROMPT.split(), said["misaligned_words"]) and not masks
    )


# -- arena.yaml --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section, says", [
    (gold(), "gold.tasks"),
    (gold(battle_task("x.png", "y.png", winner="model_a")), 'unknown "model_a"'),
    (gold(battle_task("x.png", "x.png")), "the two images are the same"),
    (gold(battle_task("x.png", "y.png", prompt=None)), "x.png is a file: give `prompt` and `category`"),
    (gold(battle_task("x.png", "y.png", category="Cats")), 'gold.tasks[0].category: unknown "Cats"; one of Anime'),
    (gold(battle_task("x.png", "y.png", why="")), "gold.tasks[0].why: string should"),
    (gold({**battle_task("x.png", "y.png"), "kind": "taste"}), "gold.tasks[0]"),
    (gold(words_task("x.png", "y.png", missed=["dog"])), 'missed: the prompt has no word "dog"'),
    (gold(words_task("x.png", "y.png", may=["dog"])), 'may: the prompt has no word "dog"'),
    (gold(words_task("x.png", "y.png", may=["Moon"])), 'may: "moon" is in `missed` too'),
    (gold(area_task("x.png", "y.png", box=None)), "give either `box` or `polygon`"),
    (gold(area_task("x.png", "y.png", box=[0.9, 0, 0.1, 1])), "box: left, top, right, bottom"),
    (gold(area_task("x.png", "y.png", box=None, polygon=[[0, 0], [0.5, 0.5], [1, 1]])), "polygon: its corners enclose"),
    (gold({"images": ["x.png", "y.png"]}), "gold.tasks[0].kind: is missing"),
    (gold({"kind": "taste"}), 'gold.tasks[0].kind: unknown "taste"; one of battle, words, area'),
    (gold(words_task("x.png", "y.png")), "`campaign.feedback` has to be required"),
    ({**gold(battle_task("x.png", "y.png")), "often": 3}, "gold.often: unknown key"),
    (gold(battle_task("x.png", "y.png"), battle_task("y.png", "x.png")), "tasks[1]: asks the same as tasks[0]"),
])  # fmt: skip
def test_mistakes_are_named_with_their_place(section, says):
    with pytest.raises(ConfigError) as caught:
        small_config(gold=section)
    assert says in str(caught.value), str(caught.value)


def test_tasks_that_nobody_could_answer_are_refused():
    asks = {"title": "x", "asks": ["style"]}
    with pytest.raises(ConfigError, match="nobody is asked for words"):
        small_config(campaign=asks, gold=gold(words_task("x.png", "y.png")))


def test_a_file_that_is_no_picture_is_refused(make_arena, files, tmp_path):
    [one] = files(1)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"gold.tasks\[0\]: .*text.png: is no picture"):
        make_arena(gold=gold(battle_task(one, str(tmp_path / "text.png"))))


def test_an_image_that_is_not_here_yet_is_said_and_its_task_waits(make_arena, fill):
    task = {"kind": "battle", "images": ["0" * 32, "1" * 32], "winner": "first", "why": "..."}
    arena = make_arena(gold=gold(task, first=1))
    fill(arena)
    assert arena.gold.waiting() == ["gold.tasks[0]: the image 00000000000000000000000000000000 is not here"]
    assert not is_gold(arena, arena.next_battle("ann")), "nobody is kept from voting by it"


def test_after_a_lost_disk_the_dataset_tells_what_was_done(make_arena, fill, files, tmp_path):
    """Rows of a known task come back as any other; the voter is not asked again what they did, and nothing counts."""
    a, b, c, d = files(4)
    settings = gold(battle_task(a, b), words_task(c, d), first=2)
    arena = make_arena(campaign=CAMPAIGN, gold=settings)
    fill(arena)
    for _ in range(2):
        blind = arena.next_battle("ann")
        task = arena.gold.tasks()[
            arena.ledger.one("SELECT gold FROM battles WHERE battle_id = ?", blind.battle_id)["gold"]
        ]
        battle = arena.ledger.battle(blind.battle_id)
        arena.cast_vote(blind.battle_id, "model_a" if task.needs else task.outcome(battle), "ann")
        for side in ("a", "b"):
            asked = task.needs and task.side(battle) == side
            arena.feedback.give(blind.battle_id, side, {**ALL, "misaligned_words": [5] if asked else []}, "ann")
    shown, done = arena.gold.shown("ann"), arena.gold.done("ann")
    rows = {table: rows_of(arena, table) for table in ("votes", "feedback")}
    assert len(done) == 2 and arena.gold.practice("ann") == (2, 2)
    arena.close()
    (tmp_path / "ledger.sqlite").unlink()
    again = make_arena(campaign=CAMPAIGN, gold=settings)
    for table, found in rows.items():
        stored = [feedback_values(row) if table == "feedback" else row for row in found]
        intake.take(again.ledger, table, [tuple(row[c] for c in kept_columns(table)) for row in stored])
    assert again.gold.shown("ann") == shown and sorted(again.gold.done("ann")) == sorted(done)
    assert again.gold.practice("ann") == (2, 2) and again.gold.practice("bob") == (0, 2)
    assert again.ledger.unpublished() == again.ledger.counts()["prompts"], "what came from there is not published again"
