"""The command `gold`: what it offers as tasks, and what it says of those that are there."""

from __future__ import annotations

import pytest
import yaml
from PIL import Image as pictures

from arena.__main__ import main

SETTINGS = {"feedback": {"points": "low"}, "matchmaking": {"overlap": {"voters": 4, "tie_break": None}},
            "categories": [{"name": "Anime", "prompts": [{"prompt": "a red moon"}]}]}  # fmt: skip


@pytest.fixture
def asked(make_arena, fill, tmp_path, capsys):
    """asked(*arguments, gold=None) -> (exit code, the rows that are printed, what is said of them, what is said of
    arena.yaml) by `python -m arena gold` on the ledger of `make_arena`."""

    def ask(*arguments: str, **sections):
        models = [{"id": f"model-{c}", "name": c, "organisation": "O", "family": c, "licence": "mit", "backend": "fake",
                   "source": "x/y"} for c in "abcd"]  # fmt: skip
        path = tmp_path / "arena.yaml"
        path.write_text(yaml.safe_dump({"models": models, **SETTINGS, **sections}))
        code = main(["--config", str(path), "--data-dir", str(tmp_path), "gold", *arguments])
        said = capsys.readouterr()
        return code, yaml.safe_load(said.out) or [], said.out, said.err

    return ask


def agree_on(arena, *answers):
    """Every one of four voters sees one pair of images, and says an answer of the same image; that image and the other."""
    for k, answer in enumerate(answers):
        blind = arena.next_battle(f"voter-{k}")
        battle = arena.ledger.battle(blind.battle_id)
        images = sorted((battle.image_a.image_id, battle.image_b.image_id))
        side = "a" if battle.image_a.image_id == images[0] else "b"
        arena.cast_vote(blind.battle_id, "both_good", f"voter-{k}")
        arena.feedback.give(blind.battle_id, side, answer, f"voter-{k}")
    return images


def test_an_area_is_the_box_around_what_voters_point_at(make_arena, fill, asked):
    arena = make_arena(**SETTINGS)
    fill(arena)
    near = ([0.7, 0.3], [0.75, 0.35], [0.8, 0.25])
    image, other = agree_on(
        arena, *({"errors": 4, "coherence_points": [[0.1, k / 4], spot]} for k, spot in enumerate(near))
    )
    code, [row], said, _ = asked("--kind", "area")
    assert code == 0 and "# 3 of 3 voters agree" in said
    assert (row["kind"], row["image"], row["beside"], row["criterion"]) == ("area", image, other, "coherence")
    assert row["box"] == pytest.approx([0.65, 0.2, 0.85, 0.4])


def test_who_rated_high_or_pointed_elsewhere_does_not_agree(make_arena, fill, asked):
    arena = make_arena(**SETTINGS)
    fill(arena)
    spot = {"errors": 4, "coherence_points": [[0.7, 0.3]]}
    agree_on(arena, spot, spot, {"errors": 1}, {"style": 3})
    assert asked("--kind", "area")[0] == 1, "two of the three who could say"
    code, [row], said, _ = asked("--kind", "area", "--agree", "0.6")
    assert code == 0 and "# 2 of 3 voters agree" in said and row["box"] == [0.65, 0.25, 0.75, 0.35]


def test_a_row_that_is_offered_is_a_task_once_its_why_is_written(make_arena, fill, asked):
    arena = make_arena(**SETTINGS)
    fill(arena)
    given = {"errors": 5, "alignment": 1, "misaligned_words": [2], "coherence_points": [[0, 1]], "alignment_points": []}
    agree_on(arena, *[given] * 3)
    _, rows, _, _ = asked()
    assert [row["kind"] for row in rows] == ["battle", "words", "area"]
    assert rows[1]["missed"] == ["moon"] and rows[2]["box"] == [0, 0.95, 0.05, 1]
    for row in rows:
        section = {"tasks": [{**row, "why": "Look at the moon."}]}
        arena = make_arena(**SETTINGS, gold=section, campaign={"title": "Moons"})
        assert arena.gold.waiting() == [] and len(arena.gold.tasks()) == 1
        code, rows, _, said = asked("--kind", row["kind"], gold=section, campaign={"title": "Moons"})
        assert (code, rows) == (1, []) and said.startswith("nothing that 3 voters saw"), "it is offered no more"


def test_it_says_which_tasks_cannot_be_shown(make_arena, fill, asked, tmp_path):
    arena = make_arena(**SETTINGS)
    fill(arena)
    one, two = [image.image_id for image in arena.ledger.banked_images()][:2]
    for k in range(2):
        pictures.linear_gradient("L").rotate(90 * k).save(tmp_path / f"{k}.png")
    tasks = [
        {"kind": "battle", "images": ["0.png", "1.png"], "prompt": "a cat", "category": "Anime", "winner": "first", "why": "w"},
        {"kind": "words", "image": one, "beside": two, "missed": ["sun"], "why": "w"},
        {"kind": "area", "image": "0" * 32, "beside": one, "polygon": [[0, 0], [1, 0], [0, 1]], "why": "w"},
    ]  # fmt: skip
    *_, said = asked(gold={"tasks": tasks}, campaign={"title": "Moons"})
    assert said.splitlines()[:2] == [
        'arena.yaml: gold.tasks[1]: its prompt has no word "sun"',
        f"arena.yaml: gold.tasks[2]: the image {'0' * 32} is not here",
    ]


@pytest.mark.parametrize("arguments", [("--agree", "0"), ("--agree", "nan"), ("--voters", "0"), ("--limit", "0")])
def test_what_cannot_be_asked_for_is_refused(asked, arguments):
    code, rows, _, said = asked(*arguments)
    assert (code, rows) == (2, []) and "--agree: a share over 0" in said


def test_without_a_ledger_it_says_so(asked, tmp_path):
    code, _, _, said = asked()
    assert code == 2 and "there is no ledger; --data-dir names another folder" in said
