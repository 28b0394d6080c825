"""A campaign: who is asked what, who owes what, and how far it is."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from PIL import Image as pictures

from arena.errors import BadFeedback, ConfigError, TaskFirst, UnknownBattle
from tests.unit.conftest import small_config

REQUIRED = {"title": "Hands", "feedback": "required"}
OPTIONAL = {"title": "Hands", "feedback": "optional"}
ALL = {"style": 4, "errors": 2, "alignment": 4, "misaligned_words": []}


def vote(arena, voter: str, winner: str = "model_a", **more):
    blind = arena.next_battle(voter)
    arena.cast_vote(blind.battle_id, winner, voter, **more)
    return blind.battle_id


def say(arena, battle_id: str, voter: str, **given):
    for side in ("a", "b"):
        arena.feedback.give(battle_id, side, given or ALL, voter)


def test_without_a_campaign_nothing_is_told_or_owed(make_arena, fill):
    arena = make_arena()
    fill(arena)
    vote(arena, "ann")
    assert arena.meta()["campaign"] is None and arena.campaign.progress("ann") is None
    assert arena.next_battle("ann").owed is None


def test_required_feedback_comes_before_the_next_battle(make_arena, fill):
    arena = make_arena(campaign=REQUIRED)
    fill(arena)
    first = arena.next_battle("ann")
    ahead = arena.next_battle("ann", after=first.battle_id)
    assert arena.cast_vote(first.battle_id, "model_b", "ann") is None, "the names wait, whatever was asked for"
    owed = arena.next_battle("ann", after=first.battle_id)
    assert owed.battle_id == first.battle_id and owed.token_a == first.token_a
    assert owed.owed == {"battle_id": first.battle_id, "winner": "model_b", "sides": ["a", "b"]}
    with pytest.raises(TaskFirst, match="First say"):
        arena.cast_vote(ahead.battle_id, "model_a", "ann")
    with pytest.raises(TaskFirst):
        arena.reveal(first.battle_id, "ann")
    arena.feedback.give(first.battle_id, "b", ALL, "ann")
    assert arena.next_battle("ann").owed["sides"] == ["a"]
    arena.feedback.give(first.battle_id, "a", ALL, "ann")
    assert arena.next_battle("ann").battle_id == ahead.battle_id
    assert arena.reveal(first.battle_id, "ann").winner == "model_b"


def test_who_takes_a_vote_back_owes_nothing(make_arena, fill):
    arena = make_arena(campaign=REQUIRED)
    fill(arena)
    battle_id = vote(arena, "ann")
    arena.withdraw(battle_id, "ann")
    assert arena.next_battle("ann").owed is None


@pytest.mark.parametrize(
    "missing, says", [("style", "style"), ("errors", "errors"), ("misaligned_words", "misaligned_words")]
)
def test_every_question_is_to_be_answered(make_arena, fill, missing, says):
    arena = make_arena(campaign=REQUIRED)
    fill(arena)
    battle_id = vote(arena, "ann")
    with pytest.raises(BadFeedback, match=says):
        arena.feedback.give(battle_id, "a", {k: v for k, v in ALL.items() if k != missing}, "ann")


def test_where_it_is_wrong_is_to_be_answered_too_and_nowhere_is_an_answer(make_arena, fill):
    """So that null in a column that was asked for is never a question that was passed over."""
    arena = make_arena(campaign=REQUIRED)
    fill(arena)
    battle_id = vote(arena, "ann")
    low = {**ALL, "errors": 5}
    with pytest.raises(BadFeedback, match="coherence_points: is to be answered here"):
        arena.feedback.give(battle_id, "a", low, "ann")
    assert arena.feedback.give(battle_id, "a", {**low, "coherence_points": []}, "ann").coherence_points == ()
    kept = arena.feedback.give(battle_id, "b", ALL, "ann")
    assert kept.coherence_points is None and json.loads(kept.extra)["rated_high"] == ["coherence", "alignment"]
    painted = make_arena(campaign=REQUIRED, feedback={"area": True})
    battle_id = vote(painted, "bob")
    with pytest.raises(BadFeedback, match="coherence_points: is to be answered here"):
        painted.feedback.give(battle_id, "a", low, "bob")
    mask = {"size": [64, 64], "counts": [0, 1, 4095]}
    assert "coherence_mask" in painted.feedback.give(battle_id, "a", {**low, "coherence_mask": mask}, "bob").extra
    assert painted.feedback.give(battle_id, "b", {**low, "coherence_points": []}, "bob").coherence_points == ()


def test_no_points_are_asked_for_where_nothing_is_rated_that_has_places():
    assert small_config(feedback={"criteria": ["style"]}).feedback.asks() == ["style", "words"]
    with pytest.raises(ConfigError, match='asks for "points", but the section `feedback` does not'):
        small_config(
            campaign={"asks": ["coherence", "points"]}, feedback={"criteria": ["coherence"], "points": "never"}
        )


def test_of_the_images_of_their_own_prompt_a_voter_says_what_they_like(make_arena, fill):
    arena = make_arena(campaign=REQUIRED)
    fill(arena)
    arena.studio.start()
    for hold in (False, True):
        battle = list(arena.follow_live(arena.request_live("ann", f"a zebra {hold}"), "ann"))[-1]["battle"]
        told = arena.cast_vote(battle["battle_id"], "model_a", "ann", hold=hold)
        assert (told is None) == hold, "the names come when they are asked for"
        assert arena.feedback.give(battle["battle_id"], "a", {"style": 3}, "ann").style == 3
        assert arena.campaign.owed("ann") is None
    assert arena.campaign.progress("ann")["you"]["answers"] == 0


def test_optional_feedback_may_be_passed_over(make_arena, fill):
    arena = make_arena(campaign=OPTIONAL)
    fill(arena)
    battle_id = vote(arena, "ann")
    assert arena.next_battle("ann").battle_id != battle_id
    arena.feedback.give(battle_id, "a", {"style": 3}, "ann")


def test_two_tabs_owe_both_their_battles(make_arena, fill):
    """The second tab voted before the first one's feedback was asked for; none is lost and both are asked."""
    arena = make_arena(campaign=REQUIRED)
    fill(arena)
    one = arena.next_battle("ann")
    two = arena.next_battle("ann", after=one.battle_id)
    arena.cast_vote(one.battle_id, "model_a", "ann")
    with pytest.raises(TaskFirst):
        arena.cast_vote(two.battle_id, "model_a", "ann")
    say(arena, one.battle_id, "ann")
    arena.cast_vote(two.battle_id, "model_a", "ann")
    assert arena.next_battle("ann").battle_id == two.battle_id


# -- who is asked what -------------------------------------------------------------------------------------

SHARES = {"title": "Hands", "feedback": "required", "shares": [
    {"share": 3, "asks": ["style", "words"]}, {"share": 1, "asks": ["coherence", "points"]}]}  # fmt: skip


def test_voters_are_spread_over_the_questions_and_stay_with_theirs(make_arena):
    arena = make_arena(campaign=SHARES)
    asked = {f"voter-{k}": tuple(arena.campaign.asks(f"voter-{k}")) for k in range(800)}
    assert all(tuple(arena.campaign.asks(voter)) == asks for voter, asks in asked.items())
    shares = Counter(asked.values())
    assert set(shares) == {("style", "words"), ("coherence", "points")}
    assert abs(shares["style", "words"] / 800 - 0.75) < 0.062, "4 standard errors"
    other = make_arena(campaign={**SHARES, "title": "Feet"})
    assert any(tuple(other.campaign.asks(voter)) != asks for voter, asks in asked.items()), "another campaign, anew"


def test_null_means_not_asked(make_arena, fill):
    arena = make_arena(campaign=SHARES)
    fill(arena)
    for voter in (f"voter-{k}" for k in range(8)):
        battle_id, asks = vote(arena, voter), arena.campaign.asks(voter)
        with pytest.raises(BadFeedback, match="not asked for here"):
            arena.feedback.give(battle_id, "a", ALL, voter)
        say(arena, battle_id, voter, **({"style": 3, "misaligned_words": []} if "style" in asks else {"errors": 1}))
    rows = [row for _, row in arena.ledger.feedback_after(0)]
    assert len(rows) == 16
    for row in rows:
        asked = json.loads(row["extra"])["asked"]
        assert asked == list(arena.campaign.asks(row["voter"]))
        answered = [name for name in ("style", "coherence", "alignment") if row[name] is not None]
        assert answered == [name for name in asked if name in ("style", "coherence", "alignment")]
        assert (row["misaligned_words"] is not None) == ("words" in asked)


# -- how far it is -----------------------------------------------------------------------------------------


def test_progress_counts_what_stands(make_arena, fill, clock):
    arena = make_arena(campaign={**OPTIONAL, "target": 100, "overlap": {"voters": 2, "tie_break": None}})
    fill(arena)
    for voter in ("ann", "ann", "bob"):
        last = vote(arena, voter)
    told = arena.campaign.progress("ann")
    assert told["you"] == {"answers": 2, "today": 2}
    assert told["campaign"] == {"answers": 3, "target": 100, "voters": 2,
                                "pairs": dict(zip(("complete", "begun"), arena.stock.shelf.pairs(), strict=True))}  # fmt: skip
    arena.withdraw(last, "bob")
    assert arena.campaign.progress("bob")["you"] == {"answers": 0, "today": 0}
    assert arena.campaign.progress("ann")["campaign"]["answers"] == 2
    arena.ledger.exclude(arena.ledger.vote_of(last).vote_id, "restored")
    assert arena.campaign.progress("bob")["you"]["answers"] == 1
    clock.now += 86_400
    assert arena.campaign.progress("ann")["you"] == {"answers": 2, "today": 0}
    vote(arena, "ann")
    assert arena.campaign.progress("ann")["you"] == {"answers": 3, "today": 1}
    again = make_arena(campaign=OPTIONAL)
    assert again.campaign.progress("ann")["you"] == {"answers": 3, "today": 1}, "it follows from the ledger"


@pytest.mark.parametrize("at_once", [1, 2, 20_000])
def test_where_feedback_is_required_an_answer_has_it(make_arena, fill, monkeypatch, at_once):
    """Whatever comes first here, and however much is read together."""
    monkeypatch.setattr("arena.campaign.AT_ONCE", at_once)
    arena = make_arena(campaign=REQUIRED)
    fill(arena)

    def answers() -> tuple[int, int, int]:
        told = arena.campaign.progress("ann")
        assert make_arena(campaign=REQUIRED).campaign.progress("ann") == told, "it follows from the ledger"
        return told["you"]["answers"], told["campaign"]["answers"], told["campaign"]["voters"]

    first = vote(arena, "ann")
    assert answers() == (0, 0, 0), "who walks away after the vote has answered nothing"
    arena.feedback.give(first, "a", ALL, "ann")
    assert answers() == (0, 0, 0)
    arena.feedback.give(first, "b", ALL, "ann")
    assert answers() == (1, 1, 1)
    for voter in ("ann", "bob"):
        say(arena, last := vote(arena, voter), voter)
    assert answers() == (2, 3, 2)
    arena.withdraw(last, "bob")
    assert answers() == (2, 2, 1)
    arena.ledger.exclude(arena.ledger.vote_of(last).vote_id, "restored")
    assert answers() == (2, 3, 2)
    half = vote(arena, "cyd")
    arena.feedback.give(half, "b", ALL, "cyd")
    arena.withdraw(half, "cyd")
    assert answers() == (2, 3, 2)
    optional = make_arena(campaign=OPTIONAL)
    assert optional.campaign.progress("ann")["campaign"]["answers"] == 3, "there the votes that stand"


def test_an_answer_whose_feedback_came_before_its_vote_counts_once(make_arena, fill):
    """As rows of another replica may come."""
    arena = make_arena(campaign=REQUIRED)
    fill(arena)
    say(arena, battle_id := vote(arena, "ann"), "ann")
    with arena.ledger.transaction() as db:
        db.execute("CREATE TEMP TABLE later AS SELECT * FROM votes")
        db.execute("DELETE FROM votes")
        assert arena.campaign.progress("ann")["campaign"]["answers"] == 0
        db.execute("INSERT INTO votes SELECT * FROM later")
        db.execute("UPDATE votes SET seq = seq + 7")
        assert arena.campaign.progress("ann")["campaign"]["answers"] == 1
    say(arena, vote(arena, "ann"), "ann")
    assert arena.campaign.progress("ann")["campaign"]["answers"] == 2 and arena.ledger.vote_of(battle_id)


def test_a_new_day_reads_nothing_again(make_arena, fill, clock, monkeypatch):
    monkeypatch.setattr("arena.campaign.AT_ONCE", 2)
    arena = make_arena(campaign=OPTIONAL)
    fill(arena)
    for voter in ("ann", "bob", "ann", "ann", "cyd"):
        vote(arena, voter)
    assert arena.campaign.progress("ann")["you"] == {"answers": 3, "today": 3}
    assert arena.campaign.progress("ann")["campaign"]["voters"] == 3
    asked, reading = [], arena.ledger.all
    monkeypatch.setattr(arena.ledger, "all", lambda sql, *values: asked.append((sql, values)) or reading(sql, *values))
    clock.now += 86_400
    assert arena.campaign.progress("ann")["you"] == {"answers": 3, "today": 0}
    assert all(values[0] > 0 for sql, values in asked if "FROM votes WHERE seq > ?" in sql)


def test_earlier_votes_are_not_the_campaigns(make_arena, fill, clock):
    arena = make_arena(campaign=OPTIONAL)
    fill(arena)
    vote(arena, "ann")
    clock.now += 86_400
    today = datetime.fromtimestamp(clock.now, UTC).date().isoformat()
    arena = make_arena(campaign={**OPTIONAL, "since": today})
    assert arena.campaign.progress("ann")["campaign"]["answers"] == 0
    vote(arena, "ann")
    assert arena.campaign.progress("ann")["campaign"]["answers"] == 1


def test_only_who_agreed_is_named(make_arena, fill):
    arena = make_arena(campaign=OPTIONAL)
    fill(arena)
    arena.set_named("ann", True)
    arena.set_named("cy", True)
    for voter, votes in (("ann", 2), ("bob", 3), ("cy", 2), ("dee", 1)):
        for _ in range(votes):
            vote(arena, voter, signed_in=True, user_name=voter.title())
    told = arena.campaign.progress("cy")["ranking"]
    assert told == {"named": [{"place": 1, "name": "Ann", "answers": 2, "you": False},
                              {"place": 1, "name": "Cy", "answers": 2, "you": True}], "others": 2}  # fmt: skip
    assert "Bob" not in json.dumps(arena.campaign.progress("ann"))
    arena.set_named("ann", False)
    assert [row["name"] for row in arena.campaign.progress("ann")["ranking"]["named"]] == ["Cy"], "taken back at once"
    quiet = make_arena(campaign={**OPTIONAL, "ranking": False})
    assert "ranking" not in quiet.campaign.progress("ann")


def test_who_is_named_finds_themselves_below_the_first(make_arena, fill, monkeypatch):
    monkeypatch.setattr("arena.campaign.RANKED", 2)
    arena = make_arena(campaign=OPTIONAL)
    fill(arena)
    for voter, votes in (("ann", 3), ("bob", 2), ("cy", 1), ("dee", 1)):
        arena.set_named(voter, True)
        for _ in range(votes):
            vote(arena, voter, signed_in=True, user_name=voter.title())
    told = {voter: arena.campaign.progress(voter)["ranking"] for voter in ("ann", "dee", "eve")}
    assert [(row["place"], row["name"], row["you"]) for row in told["dee"]["named"]] == [
        (1, "Ann", False), (2, "Bob", False), (3, "Dee", True)]  # fmt: skip
    assert (
        [row["name"] for row in told["ann"]["named"]] == [row["name"] for row in told["eve"]["named"]] == ["Ann", "Bob"]
    )
    assert (told["dee"]["others"], told["ann"]["others"]) == (1, 2)


def test_what_is_erased_is_not_counted_any_more(make_arena, fill):
    arena = make_arena(campaign=OPTIONAL)
    fill(arena)
    for voter in ("ann", "bob", "ann"):
        vote(arena, voter)
    arena.withdraw(arena.ledger.last_vote("bob").battle_id, "bob")
    assert arena.campaign.progress("ann")["campaign"]["answers"] == 2
    vote_id = arena.ledger.last_vote("ann").vote_id
    with arena.ledger.transaction() as db:
        db.execute("DELETE FROM votes WHERE vote_id = ?", (vote_id,))
        arena.ledger._exclude(db, vote_id, "erased")
    told = arena.campaign.progress("ann")
    assert (told["campaign"]["answers"], told["you"]["answers"]) == (1, 1)


# -- guidelines and arena.yaml -----------------------------------------------------------------------------


def test_guidelines_come_with_their_pictures(make_arena, tmp_path):
    pictures.new("RGB", (30, 20), "red").save(tmp_path / "good.png")
    example = {"text": "Five fingers.", "good": str(tmp_path / "good.png")}
    arena = make_arena(campaign={**OPTIONAL, "guidelines": [{"text": "Look at the hands.", "examples": [example]}]})
    told = arena.meta()["campaign"]
    assert told["guidelines"] == [{"title": None, "text": "Look at the hands.", "examples": [
        {"text": "Five fingers.", "good": "/arena/guide/0", "bad": None}]}]  # fmt: skip
    data, kind = arena.campaign.example(0)
    assert kind == "image/webp" and data[:4] == b"RIFF"
    for place in (-1, 1):
        with pytest.raises(UnknownBattle):
            arena.campaign.example(place)
    another = make_arena(campaign={**OPTIONAL, "guidelines": [{"text": "Look at the feet."}]})
    assert another.meta()["campaign"]["version"] != told["version"], "who read the others is shown them"


@pytest.mark.parametrize("section, says", [
    ({"title": "x", "asks": ["taste"]}, 'unknown "taste"'),
    ({"title": "x", "asks": ["style", "style"]}, 'asks: "style" is there twice'),
    ({"title": "x", "asks": ["points"]}, "points go with a rating"),
    ({"title": "x", "asks": ["style", "words", "points"]}, "asks: points go with a rating; ask for coherence or alignment"),
    ({"title": "x", "shares": [{"asks": ["style", "points"]}]}, "shares[0].asks: points go with a rating"),
    ({"title": "x", "asks": ["style"], "shares": [{"asks": ["words"]}]}, "asks, shares: give one of them"),
    ({"title": "x", "shares": [{"asks": []}]}, "campaign.shares[0].asks"),
    ({"title": "x", "shares": [{"asks": ["style"], "share": float("inf")}]}, "campaign.shares[0].share"),
    ({"title": "x", "feedback": "always"}, 'campaign.feedback: unknown "always"; one of required, optional'),
    ({"title": "x", "asks": []}, "campaign"),
    ({"title": "x", "target": 0}, "campaign.target"),
    ({"title": "x", "pay": 3}, "campaign.pay: unknown key"),
    ({"title": "x", "overlap": {"voters": 3, "tie_break": 3}}, "campaign.overlap: tie_break"),
    ({"title": "x", "guidelines": [{"text": ""}]}, "campaign.guidelines[0].text"),
])  # fmt: skip
def test_mistakes_are_named_with_their_place(section, says):
    with pytest.raises(ConfigError) as caught:
        small_config(campaign=section)
    assert says in str(caught.value), str(caught.value)


def test_sections_must_fit_each_other():
    with pytest.raises(ConfigError, match='asks for "words", but the section `feedback` does not'):
        small_config(campaign={"title": "x", "asks": ["words"]}, feedback={"words": False})
    with pytest.raises(ConfigError, match=r"campaign.overlap, matchmaking.overlap: give one"):
        small_config(campaign={"title": "x", "overlap": {}}, matchmaking={"overlap": {}})
    with pytest.raises(ConfigError, match="nothing is asked"):
        small_config(campaign={"title": "x"}, feedback={"enabled": False})
    with pytest.raises(ConfigError, match="has to be after"):
        small_config(campaign={"title": "x"}, feedback={"reveal": "before"})
    assert small_config(campaign=OPTIONAL, feedback={"reveal": "before"}).feedback.reveal == "before"
    assert small_config(campaign={"title": "x", "overlap": {"voters": 4, "tie_break": None}}).overlap.voters == 4


def test_a_file_that_is_missing_is_named(tmp_path):
    import yaml

    from arena.config import load_config

    raw = {"models": [{"id": f"m-{c}", "name": c, "organisation": "O", "family": c, "licence": "mit", "backend": "fake",
                       "source": "x"} for c in "ab"], "categories": [{"name": "A", "prompts": [{"prompt": "a cat"}]}],
           "campaign": {"title": "x", "guidelines": [{"text": "t", "examples": [{"text": "e", "bad": "no.png"}]}]},
           "gold": {"tasks": [{"kind": "battle", "images": ["a.png", "b.png"], "prompt": "a", "category": "A",
                               "winner": "second", "why": "w"}]}}  # fmt: skip
    path = tmp_path / "arena.yaml"
    path.write_text(yaml.safe_dump(raw))
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).splitlines() == [
        "arena.yaml: campaign.guidelines[0].examples[0].bad: no.png: no such file",
        "arena.yaml: gold.tasks[0].images[1]: b.png: no such file",
    ]
