"""The dataset card: its figures against counts by hand, when it changes, and that the real parsers take it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from huggingface_hub import DatasetCard

from arena.card_figures import figures, wilson
from arena.dataset_card import ABOUT_TABLES, dataset_card, renewed_card
from arena.publisher import HubTarget
from arena.records import TABLES, Battle, Prompt, new_id
from tests.hub.small_arena import DATASET, START, SmallArena, config


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


@pytest.fixture
def arena(tmp_path) -> SmallArena:
    return SmallArena(tmp_path / "arena")


def cast(arena: SmallArena, voter: str, winner: str, *, prompt: Prompt | None = None, mode: str = "anonymous") -> str:
    """A vote of this voter; its id."""
    (template,) = arena.vote(1)
    arena.ledger.exclude(template.vote_id, "withdrawn")
    prompt = prompt or arena.prompts[0]
    a, b = arena.images[prompt.prompt_id]
    battle = Battle(new_id(), voter, prompt, a, b, mode, "bank", 1.0, template.created_at)
    arena.ledger.add_battle(battle)
    vote = replace(template, vote_id=new_id(), battle_id=battle.battle_id, voter=voter, winner=winner, mode=mode,
                   prompt_id=prompt.prompt_id, category=prompt.category, prompt_source=prompt.prompt_source)  # fmt: skip
    return arena.ledger.cast_vote(battle.battle_id, voter, lambda _: vote, not_before=0).vote_id


def card_of(hub) -> str:
    return hub.files(DATASET, "README.md")["README.md"].decode()


def changes(hub) -> int:
    """Commits that changed the card."""
    oids = [commit.tree["README.md"].oid for commit in hub.head(DATASET).history() if "README.md" in commit.tree]
    return sum(one != two for one, two in zip(oids, [*oids[1:], ""], strict=True))


def test_figures_are_of_the_votes_that_count(arena):
    asked = Prompt.make("a dog", category="Dogs", source="voter", now=1)
    arena.ledger.add_prompts([asked])
    arena.images[asked.prompt_id] = [arena.draw(asked, model) for model in ("tiny-one", "tiny-two")]
    for winner in ["model_a"] * 4 + ["model_b", "both_good", "both_bad"]:
        cast(arena, "busy", winner)
    for k in range(3):
        cast(arena, f"calm{k}", "model_b", prompt=asked)
    back = cast(arena, "calm0", "model_a")
    arena.ledger.exclude(back, "withdrawn")
    arena.ledger.exclude(back, "restored")
    arena.ledger.exclude(cast(arena, "gone", "model_a"), "withdrawn")
    cast(arena, "named", "model_a", mode="named")

    found = figures(arena.ledger)
    assert (found.counted, found.voters, found.prompts, found.models) == (11, 4, 2, 2)
    assert found.most_active == found.busiest_tenth == 7 / 11
    assert (found.decisive, found.side_a) == (9, 5 / 9)
    assert (found.both_good, found.both_bad) == (1 / 11, 1 / 11)
    assert found.categories == (("Animals", 8), ("Dogs", 3))
    assert (found.busiest_prompt, found.by_voters) == (8 / 11, 3 / 11)
    assert found.rows == arena.ledger.counts() and found.first == found.last == "2026-09-10"
    assert figures(arena.ledger) == found


def test_the_interval_is_wilsons():
    assert wilson(0, 0) == (None, None)
    for (successes, trials), expected in {
        (5, 10): (0.2366, 0.7634),
        (0, 20): (0.0, 0.1611),
        (81, 263): (0.2553, 0.3662),
    }.items():
        assert wilson(successes, trials) == pytest.approx(expected, abs=1e-4)


def test_an_arena_without_votes_has_a_card_without_shares(arena):
    card = renewed_card(config(), {"images"}, arena.ledger, dataset=DATASET, now=START, there=None)
    assert "no vote counts yet" in card and "0 votes on 0 models" in card
    assert DatasetCard(card).data.to_dict()["pretty_name"] == "A small arena"


def test_the_card_says_what_a_reader_needs(hub, target, arena):
    for k in range(20):
        cast(arena, f"voter{k // 4}", ("model_a", "model_b", "both_bad", "model_a")[k % 4])
    for side in ("a", "b"):
        arena.say(arena.ledger.last_vote("voter0"), side)
    arena.say(arena.ledger.last_vote("voter1"))
    arena.publisher(target).publish_now()
    card = card_of(hub)
    DatasetCard(card)  # what the Hub reads of it
    assert "As of 2026-09-10: 40 votes on 2 models, cast from 2026-09-10 to 2026-09-10" in card
    assert "counts 20 of them, by 5 voters on 1 prompt." in card
    for line in ("| `votes` | 40 |", "| `feedback` | 3 |", "2 voters said something of 2 images", "| the most active voter | 20.0% of the votes |",
                 "| the most active 10% of voters | 20.0% of the votes |", "| both bad | 25.0% of the votes |",
                 "66.7% of 15 votes for one side, 95% interval 41.7% to 84.8%", "| Animals | 20 | 100.0% |",
                 f"python -m leaderboard {DATASET}", "cc-by-4.0", "## To have your votes erased"):  # fmt: skip
        assert line in card, line
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1].splitlines()
    assert len(code) == 3 and code[0] == "from datasets import load_dataset"
    for table, columns in TABLES.items():
        assert f"## `{table}`" in card and all(f"| `{column}` |" in card for column in columns)


def test_the_card_changes_once_a_day_and_with_the_tables(hub, target, arena):
    publisher = arena.publisher(target)
    publisher.publish_now()
    assert changes(hub) == 1
    arena.vote(12)
    publisher.publish_now()  # a table more
    assert changes(hub) == 2
    for _ in range(3):
        arena.vote(1)
        publisher.publish_now()
    arena.vote(1)
    arena.publisher(target).publish_now()  # as after a restart
    assert changes(hub) == 2 and "12 votes" in card_of(hub)
    arena.sleep(1)
    arena.vote(1)
    publisher.publish_now()
    arena.vote(1)
    publisher.publish_now()
    assert changes(hub) == 3 and "As of 2026-09-11: 17 votes" in card_of(hub)
    arena.vote(40)
    publisher.publish_now()  # so many more that the figures would mislead
    assert changes(hub) == 4
    arena.vote(1)
    arena.publisher(target, licence="cc0-1.0").publish_now()  # another arena.yaml
    assert changes(hub) == 5 and "cc0-1.0" in card_of(hub)


def test_the_same_ledger_makes_the_same_card_and_leaves_it(arena):
    arena.vote(30)
    made = [renewed_card(config(), set(TABLES), arena.ledger, dataset=DATASET, now=START + k, there=None)
            for k in range(2)]  # fmt: skip
    assert made[0] == made[1]
    assert renewed_card(config(), set(TABLES), arena.ledger, dataset=DATASET, now=START, there=made[0]) is None
    again = renewed_card(config(), set(TABLES), arena.ledger, dataset=DATASET, now=START, there="# somebody else's")
    assert again == made[0]


def test_a_card_of_a_later_version_is_left_alone(arena, monkeypatch):
    arena.vote(1)
    with monkeypatch.context() as later:
        later.setitem(TABLES, "votes", {**TABLES["votes"], "dwell": "float32"})
        theirs = dataset_card(config(), TABLES, dataset=DATASET)
    assert renewed_card(config(), {"votes"}, arena.ledger, dataset=DATASET, now=START, there=theirs) is None
    earlier = dataset_card(config(), {"votes"}, dataset=DATASET).replace("- name: extra\n    dtype: string\n", "")
    assert renewed_card(config(), {"votes"}, arena.ledger, dataset=DATASET, now=START, there=earlier)


def test_a_card_with_a_table_of_a_later_version_is_left_alone(arena, monkeypatch, tmp_path):
    with monkeypatch.context() as later:
        later.setitem(TABLES, "remarks", {"remark_id": "string", "created_at": "timestamp", "extra": "json"})
        later.setitem(ABOUT_TABLES, "remarks", "")
        ledger = SmallArena(tmp_path / "later").ledger
        theirs = renewed_card(config(), {"votes", "remarks"}, ledger, dataset=DATASET, now=START, there=None)
    asked = {"dataset": DATASET, "now": START + 5 * 86_400}
    assert renewed_card(config(), {"votes"}, arena.ledger, **asked, there=theirs) is None
    foreign = theirs[: theirs.rindex("<!--")]  # somebody else's, without our last line
    assert "remarks" not in renewed_card(config(), {"votes"}, arena.ledger, **asked, there=foreign)
