"""What a feedback may hold, given what is asked; and who may give one, when, and how often."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

import arena as arena_package
from arena import intake
from arena.config import FeedbackSettings
from arena.errors import AlreadyGiven, BadFeedback, ConfigError, TooFast, UnknownBattle, VoteFirst
from arena.feedback import KEYS, read
from arena.records import TABLES, Feedback, Point, arrow_schema, feedback_id
from arena.shards import to_parquet
from arena.tables import to_feedback
from tests.unit.conftest import small_config

ASKED = FeedbackSettings()
ALWAYS = FeedbackSettings(points="always", area=True)
MASK = {"size": [64, 64], "counts": [0, 4096]}


def said(asked: FeedbackSettings = ASKED, words: int = 4, **given) -> dict:
    return read(given, words=words, asked=asked)[0]


def refused(asked: FeedbackSettings = ASKED, words: int = 4, **given) -> str:
    with pytest.raises(BadFeedback) as error:
        read(given, words=words, asked=asked)
    return str(error.value)


# -- what it may hold ---------------------------------------------------------------------------------------------


def test_errors_are_asked_and_coherence_is_kept():
    assert [said(errors=k)["coherence"] for k in (1, 2, 3, 4, 5)] == [5, 4, 3, 2, 1]
    assert said(style=1, alignment=5) == {"style": 1, "coherence": None, "alignment": 5, "misaligned_words": None,
                                          "coherence_points": None, "alignment_points": None}  # fmt: skip


@pytest.mark.parametrize("key", ["style", "errors", "alignment"])
@pytest.mark.parametrize("value", [0, 6, -1, 3.0, 2.5, True, "3", [3], {}, 10**400, math.nan])
def test_a_rating_is_a_whole_number_from_1_to_5(key, value):
    assert refused(**{key: value}) == f"{key}: a whole number from 1 to 5 is expected."


def test_words_are_places_in_the_prompt_and_none_is_there_twice():
    assert said(misaligned_words=[])["misaligned_words"] == ()
    assert said(misaligned_words=[3, 0])["misaligned_words"] == (0, 3)
    for wrong in ([4], [-1], [True], ["0"], [0.0], "01", {"0": 1}, 0):
        assert refused(misaligned_words=wrong) == "misaligned_words: a list of places from 0 to 3 is expected."
    assert "twice" in refused(misaligned_words=[1, 1])
    assert said(words=0, misaligned_words=[])["misaligned_words"] == ()
    assert refused(words=0, misaligned_words=[0])


def test_the_page_parts_a_prompt_into_words_as_the_server_does():
    """A word's place is counted by both: the same characters part words, and no others."""
    page = (Path(arena_package.__file__).parent / "ui/static/feedback-questions.js").read_text()
    [spaces] = re.findall(r"^const SPACES = /(\[.+\])\+/;$", page, re.M)
    assert {c for c in map(chr, range(0x110000)) if c.isspace()} == set(
        re.findall(spaces, "".join(map(chr, range(0x10000))))
    )
    for prompt in (
        "  twice  spaced ",
        "well-known, \u201cquoted\u201d \u2014 it's",
        "一只 猫\u3000が",
        "\ufeffa\u200bb\u00a0c",
    ):
        assert prompt.split() == [word for word in re.split(f"{spaces}+", prompt) if word]


def test_points_are_asked_for_on_images_rated_low():
    place = [[0.25, 0.75]]
    assert said(errors=3, coherence_points=place)["coherence_points"] == (Point(0.25, 0.75),)
    assert "only where coherence is low" in refused(errors=2, coherence_points=place)
    assert "only where coherence is low" in refused(alignment=1, coherence_points=place)
    assert said(alignment=3, alignment_points=[])["alignment_points"] == ()
    assert "only where alignment is low" in refused(alignment=4, alignment_points=place)
    lower = FeedbackSettings(points_below=2)
    assert said(lower, alignment=1, alignment_points=place) and refused(lower, alignment=2, alignment_points=place)
    assert said(ALWAYS, coherence_points=place)["coherence_points"] == (Point(0.25, 0.75),)
    assert "not asked for here" in refused(FeedbackSettings(points="never"), alignment=1, alignment_points=place)


def test_points_lie_in_the_image_and_are_three_at_most():
    assert said(ALWAYS, coherence_points=[[0, 1], [1, 0], [0.12345, 0.5]])["coherence_points"] == (
        Point(0, 1), Point(1, 0), Point(0.1235, 0.5))  # fmt: skip
    assert "at most 3 points" in refused(ALWAYS, coherence_points=[[0, 0]] * 4)
    assert "at most 1 points" in refused(
        FeedbackSettings(points="always", points_at_most=1), coherence_points=[[0, 0]] * 2
    )
    for wrong in ([0, 0], [[0]], [[0, 0, 0]], [[0, 1.0001]], [[-0.1, 0]], [[math.nan, 0]], [[0, math.inf]], [["0", 0]],
                  [[True, 0]], [{"x": 0, "y": 0}], [None], [[0, 10**400]]):  # fmt: skip
        assert refused(ALWAYS, alignment_points=wrong) == "alignment_points: a point is [x, y], both from 0 to 1."
    for wrong in ("", {}, 3):
        assert "a list of at most 3 points" in refused(ALWAYS, alignment_points=wrong)


@drawn(st.binary(min_size=512, max_size=512))
def test_any_painted_area_is_taken_as_run_lengths(cells):
    painted = [bool(byte >> bit & 1) for byte in cells for bit in range(8)]
    runs = [(value, len(list(run))) for value, run in itertools.groupby(painted)]
    mask = {"size": [64, 64], "counts": [0] * runs[0][0] + [length for _, length in runs]}
    assert read({"coherence_mask": mask}, words=1, asked=ALWAYS)[1] == {"coherence_mask": mask}


@pytest.mark.parametrize("wrong", [
    {"size": [64, 64]}, {"size": [64, 64], "counts": []}, {"size": [64, 64], "counts": [4095]},
    {"size": [64, 64], "counts": [4097]}, {"size": [64, 64], "counts": [2048, 0, 2048]},
    {"size": [64, 64], "counts": [-1, 4097]}, {"size": [64, 64], "counts": [4096, 0]},
    {"size": [64, 64], "counts": [4096.0]}, {"size": [64, 64], "counts": [True, 4095]},
    {"size": [32, 128], "counts": [4096]}, {"size": 64, "counts": [4096]}, {"size": [64, 64], "counts": "4096"},
    {"size": [64, 64], "counts": [4096], "order": "F"}, [4096], "x",
], ids=str)  # fmt: skip
def test_a_mask_is_of_the_grid_and_its_runs_add_up(wrong):
    assert refused(ALWAYS, alignment_mask=wrong).startswith("alignment_mask")


def test_areas_are_a_setting_and_are_asked_for_where_points_are():
    assert "areas are not asked for here" in refused(FeedbackSettings(points="always"), coherence_mask=MASK)
    low = FeedbackSettings(area=True)
    assert read({"errors": 5, "coherence_mask": MASK}, words=1, asked=low)[1] == {"coherence_mask": MASK}
    assert "only where coherence is low" in refused(low, errors=1, coherence_mask=MASK)


def test_what_was_not_asked_is_refused_by_its_name():
    only_style = FeedbackSettings(criteria=["style"], words=False, points="always")
    for key, value in (("errors", 3), ("alignment", 3), ("misaligned_words", []), ("coherence_points", [])):
        assert refused(only_style, style=3, **{key: value}).startswith(f"{key}: ")
    assert "unknown key" in refused(style=3, comment="nice")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner),
    max_leaves=8,
)


@drawn(st.dictionaries(st.sampled_from(KEYS), JSON | st.integers(1, 5)))
def test_whatever_is_sent_is_a_feedback_or_refused_in_words(sent):
    try:
        columns, masks = read(sent, words=3, asked=ALWAYS)
    except BadFeedback as refusal:
        assert str(refusal).endswith(".")
    else:
        Feedback("f", 1, "b", "i", "p", "three little words", "m", "v", **columns)
        assert any(value is not None for value in columns.values()) or masks


@pytest.mark.parametrize("wrong, says", [
    ({"criteria": ["style", "style"]}, "feedback: criteria: one is there twice"),
    ({"criteria": [], "words": False}, "feedback: nothing is asked"),
    ({"criteria": ["colour"]}, 'feedback.criteria[0]: unknown "colour"; one of style, coherence, alignment'),
    ({"points": "often"}, 'feedback.points: unknown "often"; one of low, always, never'),
    ({"points_at_most": 4}, "feedback.points_at_most"), ({"points_below": 1}, "feedback.points_below"),
    ({"reveal": "never"}, 'feedback.reveal: unknown "never"; one of after, before'),
    ({"colour": True}, "feedback.colour: unknown key"),
], ids=str)  # fmt: skip
def test_a_mistake_in_what_is_asked_is_named(wrong, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        small_config(feedback=wrong)


@pytest.mark.parametrize("given", [{}, dict.fromkeys(KEYS)])
def test_nothing_is_no_feedback(given):
    assert "Nothing was given" in refused(**given)


@pytest.mark.parametrize("wrong", [
    {"style": 0}, {"alignment": 6}, {"misaligned_words": (0, 0)}, {"misaligned_words": (-1,)}, {"misaligned_words": (2,)},
    {"coherence_points": (Point(0, 0),) * 4}, {"alignment_points": (Point(0, 1.5),)},
    {"alignment_points": (Point(math.nan, 0),)},
], ids=str)  # fmt: skip
def test_the_record_itself_holds_nothing_impossible(wrong):
    empty = dict.fromkeys(
        ["style", "coherence", "alignment", "misaligned_words", "coherence_points", "alignment_points"]
    )
    with pytest.raises(ValueError):
        Feedback("f", 1, "b", "i", "p", "two words", "m", "v", **{**empty, **wrong})


def test_its_columns_are_the_published_ones():
    assert list(Feedback.__slots__) == list(TABLES["feedback"]) == arrow_schema("feedback").names


# -- who may give it ----------------------------------------------------------------------------------------------


@pytest.fixture
def arena(make_arena, fill):
    arena = make_arena()
    fill(arena)
    return arena


def vote(arena, voter="ann", hold=True):
    battle = arena.next_battle(voter)
    told = arena.cast_vote(battle.battle_id, "model_a", voter, hold=hold)
    assert (told is None) == hold
    return arena.ledger.vote_of(battle.battle_id)


def test_it_is_of_the_image_on_its_side(arena):
    cast = vote(arena)
    a = arena.feedback.give(cast.battle_id, "a", {"style": 4}, "ann")
    b = arena.feedback.give(cast.battle_id, "b", {"errors": 1}, "ann")
    assert (a.image_id, a.model, b.image_id, b.model) == (cast.image_a, cast.model_a, cast.image_b, cast.model_b)
    assert (a.prompt, a.prompt_id, a.voter) == (cast.prompt, cast.prompt_id, "ann") and a.feedback_id != b.feedback_id
    assert [to_feedback(row) for row in arena.ledger.all("SELECT * FROM feedback ORDER BY seq")] == [a, b]
    assert a.feedback_id == feedback_id(cast.vote_id, "a") != feedback_id(cast.vote_id, "b")


def test_only_its_voter_after_the_vote_and_once(arena):
    open_battle = arena.next_battle("ann").battle_id
    with pytest.raises(VoteFirst):
        arena.feedback.give(open_battle, "a", {"style": 4}, "ann")
    with pytest.raises(UnknownBattle):
        arena.feedback.give(open_battle, "a", {"style": 4}, "bob")
    arena.cast_vote(open_battle, "both_bad", "ann", hold=True)
    for battle_id, voter in ((open_battle, "bob"), ("no such battle", "ann")):
        with pytest.raises(UnknownBattle):
            arena.feedback.give(battle_id, "a", {"style": 4}, voter)
    with pytest.raises(BadFeedback):
        arena.feedback.give(open_battle, "c", {"style": 4}, "ann")
    first = arena.feedback.give(open_battle, "a", {"style": 4}, "ann")
    for again in ({"style": 4}, {"style": 1, "errors": 2}):
        with pytest.raises(AlreadyGiven):
            arena.feedback.give(open_battle, "a", again, "ann")
    assert [row["style"] for _, row in arena.ledger.feedback_after(0)] == [4] and first.style == 4


def test_none_goes_with_a_vote_that_was_taken_back(arena):
    cast = vote(arena)
    arena.feedback.give(cast.battle_id, "a", {"style": 4}, "ann")
    arena.withdraw(cast.battle_id, "ann")
    with pytest.raises(VoteFirst, match="took back"):
        arena.feedback.give(cast.battle_id, "b", {"style": 4}, "ann")
    assert arena.ledger.counts()["feedback"] == 1, "what was given stays; readers leave it out"


def test_it_says_whether_the_names_were_known(arena):
    cast = vote(arena)
    before = arena.feedback.give(cast.battle_id, "a", {"style": 4}, "ann")
    reveal = arena.reveal(cast.battle_id, "ann")
    after = arena.feedback.give(cast.battle_id, "b", {"style": 4}, "ann")
    assert (before.extra, after.extra) == ("{}", '{"revealed":true}')
    assert (reveal.a.model, reveal.b.model, reveal.winner) == (cast.model_a, cast.model_b, "model_a")
    at_once = vote(arena, hold=False)
    assert json.loads(arena.feedback.give(at_once.battle_id, "a", {"style": 4}, "ann").extra) == {"revealed": True}


def test_names_are_told_to_the_voter_who_voted_and_to_nobody_else(arena):
    battle = arena.next_battle("ann").battle_id
    with pytest.raises(VoteFirst):
        arena.reveal(battle, "ann")
    arena.cast_vote(battle, "model_b", "ann", hold=True)
    for battle_id, voter in ((battle, "bob"), ("no such battle", "ann")):
        with pytest.raises(UnknownBattle):
            arena.reveal(battle_id, voter)
    assert arena.reveal(battle, "ann") == arena.reveal(battle, "ann")
    assert arena.reveal(battle, "ann").withdrawable
    vote(arena)
    assert not arena.reveal(battle, "ann").withdrawable, "only the last vote can be taken back"


def test_a_reveal_has_the_change_of_the_ratings_that_the_vote_made(make_arena, fill):
    change = {"a": {"before": 1000.0, "after": 1016.0}, "b": {"before": 1000.0, "after": 984.0}}
    arena = make_arena(ticker=lambda row: change)
    fill(arena)
    cast = vote(arena)
    reveal = arena.reveal(cast.battle_id, "ann")
    assert (reveal.a.rating, reveal.b.rating) == (change["a"], change["b"])


def test_of_a_private_battle_the_prompt_stays_here_and_its_words_are_known(arena):
    arena.studio.start()
    ticket = arena.request_live("ann", "a zebra for nobody else", private=True)
    battle = list(arena.follow_live(ticket, "ann"))[-1]["battle"]
    arena.cast_vote(battle["battle_id"], "model_a", "ann", hold=True)
    with pytest.raises(BadFeedback, match="0 to 4"):
        arena.feedback.give(battle["battle_id"], "a", {"misaligned_words": [5]}, "ann")
    kept = arena.feedback.give(battle["battle_id"], "a", {"misaligned_words": [1, 4]}, "ann")
    assert (kept.prompt, kept.misaligned_words, kept.extra) == ("", (1, 4), '{"private":true}')


def test_it_can_be_switched_off_and_is_limited_by_voter(make_arena, fill):
    arena = make_arena(feedback={"enabled": False}, limits={"votes_per_minute": 2})
    fill(arena)
    cast = vote(arena)
    with pytest.raises(BadFeedback, match="not asked for here"):
        arena.feedback.give(cast.battle_id, "a", {"style": 4}, "ann")
    arena.feedback.asked = FeedbackSettings()
    arena.feedback.give(cast.battle_id, "a", {"style": 4}, "ann")
    with pytest.raises(TooFast):
        for _ in range(30):
            with pytest.raises(AlreadyGiven):
                arena.feedback.give(cast.battle_id, "a", {"style": 4}, "ann")


# -- as rows of the dataset ---------------------------------------------------------------------------------------


def row(**changes) -> dict:
    return {"feedback_id": feedback_id("v", "a"), "created_at": 1_789_000_000_000, "battle_id": "b", "image_id": "i",
            "prompt_id": "p", "prompt": "a blue cat", "model": "m", "voter": "w", "style": None, "coherence": 5,
            "alignment": None, "misaligned_words": [0, 2], "coherence_points": [{"x": 0.3333, "y": 0.1}],
            "alignment_points": None, "extra": "{}", **changes}  # fmt: skip


def taken(*rows: dict) -> list[dict]:
    """As the ledger gets them from a shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(to_parquet("feedback", rows)))
    return [dict(zip(TABLES["feedback"], values, strict=True)) for values in intake.rows_of("feedback", table)]


def test_a_row_comes_back_from_a_shard_as_it_was():
    for given in (row(), row(misaligned_words=[], coherence_points=[]), row(misaligned_words=None, style=1)):
        [back] = taken(given)
        opened = to_feedback(back)
        assert {name: getattr(opened, name) for name in ("style", "coherence", "alignment")} == {
            name: given[name] for name in ("style", "coherence", "alignment")}  # fmt: skip
        for name in ("misaligned_words", "coherence_points", "alignment_points"):
            assert (back[name] is None) == (given[name] is None)
            assert back[name] is None or json.loads(back[name]) == given[name]


@pytest.mark.parametrize("wrong", [
    {"style": 9}, {"coherence": 0}, {"misaligned_words": [3]}, {"misaligned_words": [1, 1]}, {"misaligned_words": [None]},
    {"coherence_points": [{"x": 2.0, "y": 0.5}]}, {"coherence_points": [None]}, {"coherence_points": [{"x": None, "y": 0}]},
    {"coherence_points": [{"x": 0.5, "y": 0.5}] * 4}, {"image_id": ""},
], ids=str)  # fmt: skip
def test_a_row_that_no_arena_of_ours_took_is_left_out(wrong):
    assert len(taken(row(), row(**wrong), row(style=3))) == 2
