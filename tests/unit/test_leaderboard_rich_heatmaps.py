"""Heatmaps against a brute-force oracle, written from the definition and from nothing of the library's."""

import json
import math

import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st

from leaderboard.feedback import feedback_from_rows, read_feedback
from leaderboard.pictures import Picture, Pictures
from leaderboard.rich import Rich
from leaderboard.rich.heatmaps import heatmap, heatmaps, painted
from tests.leaderboard_feedback import world

coordinate = st.floats(0, 1, width=32)


def brute(annotators, rows, columns, width, height):
    """The mean over annotators of the sum of gaussians at each one's points; sigma is 5% of the smaller side."""
    sigma = 0.05 * min(width, height)
    y, x = ((np.arange(count) + 0.5) / count * side for count, side in ((rows, height), (columns, width)))
    y, x = np.meshgrid(y, x, indexing="ij")
    found = np.zeros((rows, columns))
    for points in annotators:
        for at_x, at_y in points:
            squared = (x - at_x * width) ** 2 + (y - at_y * height) ** 2
            found += np.exp(-squared / (2 * sigma**2)) / len(annotators)
    return found


class Shelf:
    """One picture of a size."""

    def __init__(self, width, height):
        self.size = width, height

    def find(self, image_id):
        return Picture(image_id, width=self.size[0], height=self.size[1])


def rich_of(annotators, kind="coherence", size=None, **more):
    rows = [{"image_id": "i", "model": "m", "voter": f"u{at}", f"{kind}_points": points, **more}
            for at, points in enumerate(annotators)]  # fmt: skip
    pictures = Pictures(lambda: Shelf(*size)) if size else None
    return Rich(feedback_from_rows(rows), pictures=pictures, trust={"u0": 0.25})


@settings(max_examples=60, deadline=None)
@given_by(
    st.lists(st.lists(st.tuples(coordinate, coordinate), max_size=3), min_size=1, max_size=5),
    st.integers(4, 24),
    st.tuples(st.integers(16, 2048), st.integers(16, 2048)),
)
def test_it_is_the_mean_over_annotators_of_gaussians(annotators, cells, size):
    found = rich_of(annotators, size=size).heatmap("i", "coherence", cells)
    assert found.dtype == np.float32 and found.shape == (cells, cells)
    assert np.abs(found - brute(annotators, cells, cells, *size)).max() <= 1e-6


def test_sixty_points_at_256_cells_are_exact():
    rng = np.random.default_rng(0)
    points = rng.random((60, 2))
    wanted = brute([points[:30], points[30:]], 256, 256, 1024, 768)
    assert np.abs(heatmap(points, np.full(60, 0.5), size=(1024, 768)) - wanted).max() <= 1e-6
    wide = heatmap(points, np.full(60, 0.5), (32, 64), (1024, 512))
    assert np.abs(wide - brute([points[:30], points[30:]], 32, 64, 1024, 512)).max() <= 1e-6


def test_many_are_each_as_alone_and_no_points_are_zeros():
    rng = np.random.default_rng(1)
    points = [rng.random((count, 2)) for count in (3, 0, 1)]
    weights = [np.full(len(p), 0.5) for p in points]
    sizes = [(10, 20), (1, 1), (30, 10)]
    for at, found in enumerate(heatmaps(points, weights, (16, 16), sizes)):
        assert np.array_equal(found, heatmap(points[at], weights[at], (16, 16), sizes[at]))
    assert not heatmap([], [], (8, 8)).any()


def test_who_was_asked_and_placed_none_counts_and_who_was_not_asked_does_not():
    one = rich_of([[[0.5, 0.5]]]).heatmap("i", "coherence", 64)
    assert np.allclose(rich_of([[[0.5, 0.5]], []]).heatmap("i", "coherence", 64), one / 2)
    assert np.allclose(rich_of([[[0.5, 0.5]], None]).heatmap("i", "coherence", 64), one)
    assert not rich_of([[[0.5, 0.5]]]).heatmap("i", "alignment", 64).any()


def rated(*said, **more):
    """Rich of one image's rows: (rating of coherence, points) or (rating, points, extra) each, by another voter."""
    rows = [{"image_id": "i", "model": "m", "voter": f"u{at}", "coherence": rating, "coherence_points": points,
             "extra": json.dumps(extra[0] if extra else {}), **more} for at, (rating, points, *extra) in enumerate(said)]  # fmt: skip
    return Rich(feedback_from_rows(rows))


ASKED = {"asked": ["style", "coherence", "points"]}


@pytest.mark.parametrize(("said", "heard"), [
    ([(2, [[0.5, 0.5]]), (5, None), (4, None)], 3),  # no row says why it has no points: above 2 nobody was asked
    ([(2, [[0.5, 0.5]]), (3, []), (4, None), (None, None)], 3),
    ([(2, [[0.5, 0.5]]), (5, [])], 2),  # points are asked always,
    ([(2, [[0.5, 0.5]]), (5, []), (3, None)], 2),  # and were not answered
    ([(2, [[0.5, 0.5]]), (2, None)], 1),  # asked and skipped
    ([(2, [[0.5, 0.5]], ASKED), (5, None, ASKED), (5, None, {"asked": ["coherence"]})], 2),  # never asked where
    ([(2, [[0.5, 0.5]], ASKED), (5, None, {"asked": ["style", "points"]})], 1),
    ([(2, [[0.5, 0.5]]), (4, None, {"rated_high": ["coherence"]}), (5, None)], 2),  # the rows say so themselves,
    ([(5, [[0.5, 0.5]]), (4, None, {"rated_high": ["coherence"]})], 2),  # also where `points` was set to always later
    ([(2, [[0.5, 0.5]]), (4, None, {"rated_high": ["alignment"]})], 1),
    ([(2, None, {"coherence_mask": {"size": [2, 2], "counts": [0, 4]}}), (2, []), (4, None)], 3),
])  # fmt: skip
def test_the_mean_is_over_who_could_say_where(said, heard):
    """Who rated too high to be asked points nowhere; who was asked other things, or skipped it, says nothing."""
    rich = rated(*said)
    assert rich.image("i").heard["coherence"] == heard
    assert rich.heatmap("i", "coherence", 65)[32, 32] == pytest.approx(1 / heard, rel=1e-3)


def test_an_image_that_all_rated_high_has_a_map_of_zeros():
    rich = rated((5, None, {"rated_high": ["coherence"]}), (4, None, {"rated_high": ["coherence"]}))
    assert (rich.image("i").asked["coherence"], rich.image("i").heard["coherence"]) == (0, 2)
    assert not rich.heatmap("i", "coherence", 8).any()


@pytest.mark.parametrize("area", [False, True])
def test_an_arena_writes_down_who_could_say_where(make_arena, fill, tmp_path, area):
    """One voter points or paints, one marks nothing, one skips it, one rates high, one is asked about style alone."""
    shares = [{"share": 1, "asks": ["coherence", "points"]}, {"share": 1, "asks": ["style"]}]
    arena = make_arena(feedback={"area": area}, matchmaking={"overlap": {"voters": 20, "tie_break": None}},
                       categories=[{"name": "Anime", "prompts": [{"prompt": "a cat"}]}],
                       campaign={"shares": shares, "feedback": "optional"})  # fmt: skip
    fill(arena)
    where = {"coherence_points": [[0.5, 0.5]]}
    if area:
        where = {"coherence_mask": {"size": [64, 64], "counts": [0, 64 * 64]}}
    answers = [where | {"errors": 4}, {"errors": 4, "coherence_points": []}, {"errors": 4}, {"errors": 1}]
    voters = (f"voter-{at}" for at in range(1000))
    first, image = None, ""
    for said in [*answers, {"style": 2}]:
        voter = next(v for v in voters if ("style" in arena.campaign.asks(v)) == ("style" in said))
        battle = arena.next_battle(voter).battle_id
        arena.cast_vote(battle, "both_good", voter, hold=True)
        vote = arena.ledger.vote_of(battle)
        image = image or vote.image_a
        side = "a" if vote.image_a == image else "b"
        assert {image} <= {vote.image_a, vote.image_b}, "all see the same pair"
        arena.feedback.give(battle, side, said, voter)
        first = first or voter
    found = Rich(read_feedback(tmp_path / "ledger.sqlite"))
    about = found.image(image)
    assert (about.feedback, about.asked["coherence"], about.heard["coherence"]) == (5, 2, 3)
    assert found.heatmap(image, "coherence", 65)[32, 32] == pytest.approx(1 / 3, rel=1e-3)


def test_a_voter_asked_twice_counts_once_and_trust_weighs():
    rows = [{"image_id": "i", "model": "m", "voter": voter, "alignment_points": points}
            for voter, points in (("u", [[0.2, 0.2]]), ("u", []), ("v", [[0.8, 0.8]]))]  # fmt: skip
    found = Rich(feedback_from_rows(rows), trust={"v": 0.25})
    plain, trusted = (found.heatmap("i", "alignment", 50, trusted=weighs) for weighs in (False, True))
    assert plain[10, 10] == pytest.approx(0.25, rel=0.05) and plain[40, 40] == pytest.approx(0.5, rel=0.05)
    assert trusted[10, 10] == pytest.approx(0.4, rel=0.05) and trusted[40, 40] == pytest.approx(0.2, rel=0.05)


def test_a_painted_area_is_the_map_of_who_painted():
    mask = {"size": [64, 64], "counts": [0, 64 * 16, 64 * 48]}  # the upper quarter
    rows = [{"image_id": "i", "model": "m", "voter": "u", "extra": {"coherence_mask": mask}},
            {"image_id": "i", "model": "m", "voter": "v", "coherence_points": [[0.5, 0.75]]}]  # fmt: skip
    found = Rich(feedback_from_rows(rows)).heatmap("i", "coherence", 256)
    assert np.allclose(found[:64], 0.5) and found[64:100, 0].max() < 1e-6
    assert found[192, 128] == pytest.approx(0.5, abs=1e-3)
    half = np.zeros((64, 64), bool)
    half[:, 32:] = True
    for cells in (50, 64, 200):
        assert painted(half, (cells, cells)).mean() == 0.5


def test_both_is_the_larger_of_the_two():
    rows = [
        {
            "image_id": "i",
            "model": "m",
            "voter": "u",
            "coherence_points": [[0.2, 0.2]],
            "alignment_points": [[0.8, 0.5]],
        }
    ]
    found = Rich(feedback_from_rows(rows))
    parts = [found.heatmap("i", kind, 32) for kind in ("coherence", "alignment")]
    assert np.array_equal(found.heatmap("i", "both", 32), np.maximum(*parts))


def test_points_of_a_simulated_world_gather_at_the_flaw():
    made = world(seed=4, votes=900, prompts=6)
    found = Rich(feedback_from_rows(made.feedback))
    near = 0
    for image in found.images():
        if found.image(image).asked["coherence"] >= 5:
            row, column = np.unravel_index(found.heatmap(image, "coherence", 64).argmax(), (64, 64))
            x, y = made.flaw[image]["coherence"]
            near += math.hypot((column + 0.5) / 64 - x, (row + 0.5) / 64 - y) < 0.08
    assert near >= 0.9 * sum(found.image(image).asked["coherence"] >= 5 for image in found.images()) > 5
