"""Feedback goes the way of votes: published exactly once, loaded by the datasets library, read back, erased."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest

from arena.bank import Bank
from arena.ledger import Ledger
from arena.publisher import HubTarget
from arena.restore import Restorer
from tests.hub.small_arena import DATASET, SmallArena

LOAD = """
import json, sys
from datasets import load_dataset
table = load_dataset(sys.argv[1], "feedback", split="train")
rows = [{**row, "created_at": round(row["created_at"].timestamp() * 1000)} for row in table]
print(json.dumps({"rows": rows, "features": str(table.features)}))
"""


@pytest.fixture
def arena(tmp_path) -> SmallArena:
    return SmallArena(tmp_path / "arena")


@pytest.fixture
def target(hub) -> HubTarget:
    return HubTarget(DATASET, token=hub.token, endpoint=hub.url)


def test_what_was_given_is_what_the_datasets_library_loads(hub, arena, target, tmp_path):
    first, second = arena.vote(2)
    whole = arena.say(first)
    brief = arena.say(second, "b", misaligned_words=[])
    publisher = arena.publisher(target)
    publisher.publish_now()
    assert publisher.status().pending_rows == 0 and arena.ledger.counts()["feedback"] == 2
    loaded = hub.client(LOAD, tmp_path / "home", DATASET)
    one, two = sorted(loaded["rows"], key=lambda row: row["created_at"])
    assert one["feedback_id"] == whole.feedback_id and one["created_at"] == whole.created_at
    assert (one["battle_id"], one["image_id"], one["model"]) == (first.battle_id, first.image_a, first.model_a)
    assert (one["prompt"], one["voter"]) == (first.prompt, first.voter)
    assert (one["style"], one["coherence"], one["alignment"]) == (2, 1, 3)
    assert one["misaligned_words"] == [1] and one["alignment_points"] == []
    image = arena.ledger.image(first.image_a)  # pointed at in the square, kept as shares of a picture of 4 to 3
    assert image.width * 3 == image.height * 4
    assert [(round(p["x"], 4), round(p["y"], 4)) for p in one["coherence_points"]] == [(0.1, 0.1), (1, 0)]
    assert two["feedback_id"] == brief.feedback_id and (two["image_id"], two["model"]) == (
        second.image_b,
        second.model_b,
    )
    assert two["misaligned_words"] == [] and two["coherence_points"] is None and two["style"] is None
    assert "List({'x': Value('float32'), 'y': Value('float32')})" in loaded["features"]


def test_it_is_read_back_as_it_was_given_and_not_published_again(hub, arena, target, tmp_path):
    for vote in arena.vote(3):
        arena.say(vote)
        arena.say(vote, "b", alignment=5, alignment_points=[[1 / 3, 2 / 3]])
    arena.publisher(target).publish_now()
    other = SmallArena(tmp_path / "other")
    Restorer(other.ledger, other.bank, target, every_seconds=3600).read_now()
    there, here = other.ledger.feedback_after(0), arena.ledger.feedback_after(0)
    assert [row for _, row in there] == [row for _, row in here] and len(here) == 6
    publisher = other.publisher(target, replica="other")
    publisher.publish_now()
    assert other.ledger.unsealed("feedback", -1) == [] and publisher.status().pending_rows == 0
    fresh = Ledger(tmp_path / "third" / "ledger.sqlite")
    Restorer(fresh, Bank(tmp_path / "third" / "bank"), target, every_seconds=3600).read_now(pictures=False)
    assert fresh.counts()["feedback"] == 6
    fresh.close()


def test_given_at_two_replicas_before_they_read_of_each_other_it_counts_once(hub, arena, target, tmp_path):
    """Here and, by the same voter on the same image, at a replica that had read their vote only."""
    (vote,) = arena.vote(1)
    arena.publisher(target).publish_now()
    other = SmallArena(tmp_path / "other")
    restorer = Restorer(other.ledger, other.bank, target, every_seconds=3600)
    restorer.read_now()
    first = arena.say(vote, style=1)
    second = other.say(vote, style=5)
    assert first.feedback_id == second.feedback_id
    arena.publisher(target).publish_now()
    restorer.read_now()
    other.publisher(target, replica="other").publish_now()
    [(_, kept)] = other.ledger.feedback_after(0)
    assert kept["style"] == 1, "what was published first stands"
    rows = [row for path, data in hub.files(DATASET).items() if path.startswith("data/feedback/")
            for row in pq.read_table(io.BytesIO(data)).to_pylist()]  # fmt: skip
    assert [row["style"] for row in rows] == [1]
