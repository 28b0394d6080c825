"""Reading feedback: every source gives the same table, what does not count is counted, what can't be trusted is refused."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from leaderboard import errors
from leaderboard.feedback import feedback_from_rows, read_feedback
from leaderboard.rich import Rich
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import OUTCOMES, read_votes, votes_from_rows
from tests.leaderboard_feedback import world, write, write_ledger

MADE = world(votes=120, prompts=8, voters=10)


def given(**more):
    """One row of feedback."""
    return {"image_id": "i", "model": "m", "voter": "u", "prompt": "a red cat", "style": 4} | more


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(MADE, tmp_path_factory.mktemp("published"))


def same(one, other):
    assert one.created_at.tolist() == other.created_at.tolist() and one.left_out == other.left_out
    assert np.array_equal(one.scores, other.scores, equal_nan=True)
    assert one.winner.tolist() == other.winner.tolist() and one.side.tolist() == other.side.tolist()
    for name in ("image", "model", "voter", "battle", "prompt_id", "prompt", "category"):
        assert getattr(one, name).to_pylist() == getattr(other, name).to_pylist(), name
    for mine, theirs in ((one.words, other.words), *((one.points[k], other.points[k]) for k in one.points)):
        assert np.array_equal(mine.asked, theirs.asked) and np.array_equal(mine.row, theirs.row)
        assert np.allclose(mine.value, theirs.value, atol=1e-7)


# -- sources ------------------------------------------------------------------------------------------------------


def test_the_published_data_set_the_ledger_and_rows_in_memory_are_one_table(folder, tmp_path):
    found = read_feedback(folder)
    same(found, read_feedback(write_ledger(MADE, tmp_path / "ledger.sqlite")))
    same(found, feedback_from_rows(MADE.feedback, MADE.votes, MADE.exclusions, MADE.prompts))


def test_a_file_of_feedback_alone_is_read_in_every_form(folder, tmp_path):
    rows = MADE.feedback[:50]
    (tmp_path / "f.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "f.json").write_text(json.dumps(rows), encoding="utf-8")
    with open(tmp_path / "f.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)
    wanted = feedback_from_rows(rows)
    for name in ("f.jsonl", "f.json", "f.csv"):
        same(read_feedback(tmp_path / name), wanted)
    part = next((folder / "data/feedback").rglob("*.parquet"))
    assert len(read_feedback(part)) == len(MADE.feedback) / 2, "every other row is in one shard"


def test_a_source_of_votes_alone_has_no_feedback(tmp_path):
    made = world(votes=20, prompts=3, given=0.0)
    assert len(read_feedback(write(made, tmp_path))) == read_feedback(tmp_path).total == 0
    (tmp_path / "votes.csv").write_text("model_a,model_b,winner\nx,y,model_a\n")
    assert len(read_feedback(tmp_path / "votes.csv")) == 0


def test_what_a_real_ledger_holds_is_read(make_arena, fill, tmp_path):
    arena = make_arena(feedback={"area": True})
    fill(arena)
    mask = {"size": [64, 64], "counts": [64 * 32, 64 * 32]}  # the lower half
    battle = arena.next_battle("ann")
    arena.cast_vote(battle.battle_id, "model_a", "ann", hold=True)
    arena.feedback.give(battle.battle_id, "a", {"style": 5, "errors": 1, "misaligned_words": []}, "ann")
    points = {"errors": 4, "coherence_points": [[0.25, 0.5], [1, 0]], "misaligned_words": [1]}
    arena.feedback.give(battle.battle_id, "b", points | {"alignment": 1, "alignment_mask": mask}, "ann")
    vote = arena.ledger.vote_of(battle.battle_id)
    found = read_feedback(tmp_path / "ledger.sqlite")
    place = {image: row for row, image in enumerate(found.image.to_pylist())}
    a, b = place[vote.image_a], place[vote.image_b]
    assert found.scores[a].tolist()[:2] == [5, 5] and found.scores[b].tolist()[1:] == [2, 1]
    assert found.words.asked.tolist() == [True, True] and found.words.row.tolist() == [b]
    assert found.points["coherence"].asked[b] and not found.points["coherence"].asked[a]
    assert found.points["coherence"].value.tolist() == [[0.25, 0.5], [1, 0]]
    assert list(found.painted["alignment"]) == [b] and found.painted["alignment"][b].mean() == 0.5
    assert not found.painted["alignment"][b][0].any() and found.painted["alignment"][b][-1].all()
    assert (
        found.category.to_pylist() == [vote.category] * 2 and found.winner.tolist() == [OUTCOMES.index("model_a")] * 2
    )
    arena.withdraw(battle.battle_id, "ann")
    assert read_feedback(tmp_path / "ledger.sqlite").left_out == {"excluded:withdrawn": 2}


@pytest.mark.parametrize("image_id", ["", "secret"])
def test_a_private_image_counts_for_its_model_and_shows_itself_nowhere(image_id):
    hidden = given(image_id=image_id, prompt="", prompt_id="p9", voter="v", misaligned_words=[7], style=1,
                   extra='{"private":true}', battle_id="b")  # fmt: skip
    rich = Rich(feedback_from_rows([hidden, given(), given(voter="w")]))
    assert rich.images() == ("i",) and rich.ranked_images() == ("i",)
    assert rich.models()[0].scores["style"].mean == pytest.approx(3.0)
    for name in rich.feedback.image.names:
        if name != "i":
            with pytest.raises(errors.UnknownChoice):
                rich.image(name)


# -- what counts --------------------------------------------------------------------------------------------------


def test_feedback_goes_with_its_vote(folder):
    found, votes = read_feedback(folder), read_votes(folder)
    assert found.left_out == {"excluded:withdrawn": 10, "mode:named": 10}, "two rows a vote"
    assert {why: 2 * count for why, count in votes.left_out.items()} == found.left_out
    assert found.total == len(MADE.feedback) == len(found) + 20
    lifted = [{"vote_id": row["vote_id"], "reason": "restored", "created_at": row["created_at"] + 1}
              for row in MADE.exclusions]  # fmt: skip
    again = feedback_from_rows(MADE.feedback, MADE.votes, MADE.exclusions + lifted)
    assert again.left_out == {"mode:named": 10}
    assert feedback_from_rows(MADE.feedback, MADE.votes, mode="named").left_out == {"mode:anonymous": 230}


VOTE = {"vote_id": "v", "battle_id": "b", "voter": "u", "mode": "anonymous", "model_a": "m", "model_b": "n",
        "winner": "model_a", "image_a": "i", "image_b": "j"}  # fmt: skip


@pytest.mark.parametrize(("rows", "vote", "left_out"), [
    ([given(feedback_id="f"), given(feedback_id="f")], VOTE, {"duplicate": 1}),
    ([given(battle_id="b", feedback_id="f"), given(battle_id="b", feedback_id="g")], VOTE, {"repeated": 1}),
    ([given(battle_id="b"), given(battle_id="b", image_id="j", model="n")], VOTE, {}),
    ([given(battle_id="other")], VOTE, {"no_vote": 1}),
    ([given(battle_id="b", voter="somebody")], VOTE, {"another_voter": 1}),
    ([given(battle_id="b")], VOTE | {"extra": '{"gold":"model_a"}'}, {"gold": 1}),
    ([given(extra='{"gold":true}')], VOTE, {"gold": 1}),
    ([given(battle_id="b")], VOTE | {"model_b": "m"}, {"self_battle": 1}),
    ([given(battle_id="")], VOTE, {}),
    ([given(battle_id="none", extra='{"gold":true}')], VOTE, {"no_vote": 1}),
    ([given(battle_id="b", voter="somebody", extra='{"gold":{"task":"t","right":true}}')], VOTE, {"another_voter": 1}),
])  # fmt: skip
def test_every_row_that_does_not_count_is_counted_with_its_reason(rows, vote, left_out):
    found = feedback_from_rows(rows, [vote])
    assert found.left_out == left_out and found.total == len(rows) == len(found) + sum(left_out.values())


@pytest.mark.parametrize(("wrong", "says"), [
    ({"style": 6}, "column style: 1 row holds a value that is no rating: '6'"),
    ({"alignment": 2.5}, "whole numbers from 1 to 5"),
    ({"coherence": "bad"}, "no number"),
    ({"model": ""}, "column model: 1 row is empty"),
    ({"misaligned_words": [3]}, "word 3 of a prompt of 3 words: 'a red cat'"),
    ({"misaligned_words": [-1]}, "column misaligned_words"),
    ({"misaligned_words": "[0"}, "column misaligned_words"),
    ({"coherence_points": [[0.5, 1.5]]}, "column coherence_points"),
    ({"alignment_points": [{"x": 0.5}]}, "column alignment_points"),
    ({"extra": "[1]"}, "column extra"),
    ({"extra": {"asked": "style"}}, "asked is no list of names"),
    ({"extra": {"rated_high": {"coherence": 1}}}, "rated_high is no list of names"),
    ({"extra": {"coherence_mask": {"size": [2, 2], "counts": [3]}}}, "coherence_mask is no run-length mask"),
    ({"extra": {"coherence_mask": {"size": [2, 2], "counts": [5, -1]}}}, "coherence_mask is no run-length mask"),
])  # fmt: skip
def test_what_can_not_be_trusted_is_refused_in_one_line(wrong, says):
    with pytest.raises(errors.BadFeedback) as found:
        feedback_from_rows([given(**wrong)], source="here")
    assert says in str(found.value) and str(found.value).startswith("here, feedback: ") and "\n" not in str(found.value)


def test_null_says_not_asked_and_an_empty_list_says_no_mistakes():
    found = feedback_from_rows(
        [given(), given(misaligned_words=[], voter="v"), given(misaligned_words="[]", voter="w")]
    )
    assert found.words.asked.tolist() == [False, True, True] and not len(found.words.row)
    assert not found.points["coherence"].asked.any()


def test_an_excluded_answer_to_a_known_task_says_nothing_of_its_voter():
    rows = [given(battle_id="b", extra='{"gold":{"task":"t","right":false}}')]
    vote = VOTE | {"extra": '{"gold":"any"}'}
    excluded = [{"vote_id": "v", "reason": "moderation", "created_at": 1}]
    assert feedback_from_rows(rows, [vote]).gold_tasks == (("u", "t", False),)
    found = feedback_from_rows(rows, [vote], excluded)
    assert found.gold_tasks == () and found.left_out == {"excluded:moderation": 1}


def test_feedback_with_votes_that_settle_a_disagreement_is_left_out_where_pairs_count_alike(folder):
    """30 pairs of images, two voters each and a third where they differ; every one of them rates both images."""
    votes, rows = [], []
    for pair in range(30):
        for voter, winner in enumerate(("model_a", "model_b", "model_a") if pair % 2 else ("model_a", "model_a")):
            number = f"{pair}-{voter}"
            vote = {"vote_id": f"v{number}", "battle_id": f"b{number}", "voter": f"u{number}", "mode": "anonymous",
                    "winner": winner, "model_a": "m", "model_b": "n", "image_a": f"{pair}m", "image_b": f"{pair}n",
                    "created_at": len(votes), "prompt_id": f"p{pair}"}  # fmt: skip
            votes.append(vote)
            rows += [{"battle_id": f"b{number}", "voter": f"u{number}", "image_id": f"{pair}{model}", "model": model,
                      "prompt_id": f"p{pair}", "prompt": "a red cat", "style": 5 if voter == 2 else 2,
                      "misaligned_words": [0, 2] if voter == 2 else [1], "coherence_points": [[0.5, 0.5]] * (voter + 1),
                      "extra": {"alignment_mask": {"size": [1, 2], "counts": [1, 1]}}} for model in "mn"]  # fmt: skip
    feedback, checked = feedback_from_rows(rows, votes), votes_from_rows(votes)
    served, reweighted = (Rich(feedback, checked, sampling=sampling) for sampling in ("as-served", "reweighted"))
    assert served.settling == 30 and len(served) == 150
    assert len(reweighted) == 120 and reweighted.feedback.left_out == {"settles": 30} and reweighted.settling == 0
    assert served.models()[0].scores["style"].mean == pytest.approx((2 * 60 + 5 * 15) / 75)
    assert reweighted.models()[0].scores["style"].mean == 2.0
    alone = feedback_from_rows([row for row in rows if not row["battle_id"].endswith("-2")], votes)
    same(reweighted.feedback, replace(alone, left_out={"settles": 30}))
    assert {row: mask.tolist() for row, mask in reweighted.feedback.painted["alignment"].items()} == {
        row: mask.tolist() for row, mask in alone.painted["alignment"].items()
    }
    word = reweighted.words("1m")
    assert [part.marked for part in word] == [0, 2, 0] and served.words("1m")[0].marked == 1
    notes = SHEETS["scores"](Study(checked, feedback=served)).notes
    assert any("30 rows go with votes that settle a disagreement" in note for note in notes)
    study = Study(checked, feedback=feedback, sampling="reweighted")
    assert any("left out: 30 settles" in note for note in SHEETS["scores"](study).notes)
    plain = Rich(read_feedback(folder), read_votes(folder), sampling="reweighted")
    assert plain.feedback.left_out == read_feedback(folder).left_out, "nobody settles anything there"
