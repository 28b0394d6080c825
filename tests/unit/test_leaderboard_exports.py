"""Exports: what `datasets` and the trainers' own code get is what was voted, and nothing is left out in silence."""

import io
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

from leaderboard import errors, rich
from leaderboard.commands import main
from leaderboard.exports import EXPORTS, Material, export
from leaderboard.feedback import feedback_from_rows
from leaderboard.pictures import open_pictures
from leaderboard.votes import OUTCOMES, read_votes, votes_from_rows
from tests.leaderboard_feedback import picture, world, write

SCORES = ("aesthetics_score", "artifact_score", "misalignment_score", "overall_score")
EXPERTS = Path(__file__).parents[3] / "shared" / "data" / "imagereward" / "test.json"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write(world(seed=3, votes=300, prompts=20), tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def material(source):
    return material_of(source)


def material_of(source, **more):
    votes, pictures = read_votes(source), open_pictures(source)
    return Material(votes, pictures, lambda: rich.of(source, votes, pictures), **more)


def load(folder, split="train"):
    from datasets import load_dataset

    return load_dataset(str(folder), split=split, cache_dir=str(folder.parent / "cache"))


class Shelf:
    """Pictures in memory, all alike: {image id: bytes}."""

    def __init__(self, ids):
        self.bytes = {image: picture(1, at) for at, image in enumerate(ids)}

    def all(self):
        from leaderboard.pictures import Picture

        return [Picture(image) for image in self.bytes]

    def data(self, image):
        return self.bytes.get(image)


def pair_votes(*winners, prompt="a cat", image_a="x", image_b="y", **more):
    return votes_from_rows(
        [{"model_a": "m1", "model_b": "m2", "winner": winner, "prompt": prompt, "image_a": image_a, "image_b": image_b,
          "voter": f"u{at}", "vote_id": f"{image_a}{image_b}{at}", "created_at": 1_700_000_000_000 + at} | more
         for at, winner in enumerate(winners)])  # fmt: skip


@pytest.mark.parametrize(("winners", "verdict"), [
    (("both_good", "model_a", "model_a"), "x"),  # the three to one of the published rule
    (("model_a", "model_b"), None),
    (("model_b", "both_bad"), None),
    (("model_b", "model_b", "both_bad"), "y"),
    (("both_good", "both_good"), None),
    (("both_good", "model_b", "both_bad"), "y"),
    (("both_bad",), None),
])  # fmt: skip
def test_one_rule_makes_a_verdict_of_several_voters(tmp_path, winners, verdict):
    material = Material(pair_votes(*winners), Shelf("xy"))
    pair = material.pairs.pairs[0]
    assert (pair.verdict() and getattr(pair, pair.verdict())) == verdict
    if verdict is None:
        with pytest.raises(errors.NothingToExport, match="1 pairs without a clear winner"):
            export(material, "diffusers-dpo", tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


def test_a_verdict_does_not_depend_on_the_sides(tmp_path):
    straight = Material(pair_votes("model_a", "model_a", "model_b"), Shelf("xy")).pairs.pairs[0]
    turned = Material(pair_votes("model_b", "model_b", "model_a", image_a="y", image_b="x"), Shelf("xy")).pairs.pairs[0]
    assert straight.verdict() == turned.verdict() == "image_1"
    assert (straight.model_1, turned.model_1) == ("m1", "m2")


def test_diffusers_dpo_is_what_its_scripts_read(tmp_path, material):
    from PIL import Image

    written = export(material, "diffusers-dpo", tmp_path / "dpo")
    rows = load(tmp_path / "dpo").to_list()
    assert len(rows) == written.rows > 50
    decided = sum(pair.verdict() is not None for pair in material.pairs.pairs)
    assert material.votes.left_out.keys() == {"excluded:withdrawn", "mode:named"}
    assert written.rows == decided and written.left_out == {
        "pairs without a clear winner": len(material.pairs.pairs) - decided,
        **{f"votes that do not count ({why})": count for why, count in material.votes.left_out.items()},
    }
    for row in rows:  # as preprocess_train does: open both, and put the preferred one first
        both = [Image.open(io.BytesIO(row[name])).convert("RGB") for name in ("jpg_0", "jpg_1")]
        assert both[0].size == both[1].size == (48, 32)
        assert row["label_0"] in (0, 1) and row["label_0"] + row["label_1"] == 1
    assert 0.3 < sum(row["label_0"] for row in rows) / len(rows) < 0.7, "which image is 0 says nothing of who won"


def test_the_chosen_image_is_the_one_that_won(tmp_path, material):
    export(material, "open-image-preferences-binarized", tmp_path / "out")
    from datasets import Image

    data = load(tmp_path / "out")
    assert isinstance(data.features["chosen"], Image) and isinstance(data.features["rejected"], Image)
    assert data[0]["chosen"].size == (48, 32)
    stored = data.cast_column("chosen", Image(decode=False))
    pairs = {pair.pair_id: pair for pair in material.pairs.pairs}
    for row in stored:
        pair = pairs[row["id"]]
        won = getattr(pair, pair.verdict())
        assert row["chosen"]["bytes"] == material.pictures.data(won)
        assert row["chosen_model"] == (pair.model_1 if pair.verdict() == "image_1" else pair.model_2)


@pytest.mark.parametrize("name", ["pick-a-pic", "open-image-preferences", "rapidata"])
def test_our_own_reader_finds_the_same_votes_again(tmp_path, material, name):
    export(material, name, tmp_path / "out")
    again = read_votes(tmp_path / "out")
    draws_kept = name == "open-image-preferences"

    def counts(votes):
        found = {}
        for a, b, winner in zip(votes.model_a, votes.model_b, votes.winner, strict=True):
            outcome = OUTCOMES[winner]
            if outcome.startswith("both"):
                key = (*sorted((votes.models[a], votes.models[b])), outcome if draws_kept else "tie")
            else:
                won, lost = (a, b) if outcome == "model_a" else (b, a)
                key = votes.models[won], votes.models[lost], "beats"
            if not (name == "rapidata" and key[2] == "tie"):
                found[key] = found.get(key, 0) + 1
        return found

    assert counts(again) == counts(material.votes)


def test_pick_a_pic_keeps_sides_voters_and_what_kind_of_tie_it_was(tmp_path, material):
    export(material, "pick-a-pic", tmp_path / "out")
    rows = {row["ranking_id"]: row for row in load(tmp_path / "out").to_list()}
    votes = material.votes
    for at, (vote, a, b, voter) in enumerate(
        zip(*(getattr(votes, name).to_pylist() for name in ("vote_id", "image_a", "image_b", "voter")), strict=True)
    ):
        row = rows[vote]
        assert (row["image_0_uid"], row["image_1_uid"], row["user_id"]) == (a, b, voter)
        assert row["outcome"] == OUTCOMES[votes.winner[at]]
        assert (row["label_0"] == 0.5) == row["outcome"].startswith("both")
        assert row["created_at"].timestamp() * 1000 == votes.created_at[at]
    assert len(rows) == len(votes)


def test_fine_tuning_gets_each_preferred_image_once(tmp_path, material):
    export(material, "lora", tmp_path / "out")
    rows = load(tmp_path / "out").to_list()
    assert all(row["won"] > row["lost"] for row in rows)
    assert len({row["image"]["bytes"] for row in rows}) == len(rows) > 10


def test_rich_feedback_in_rapidatas_columns_is_what_voters_said(tmp_path, material, source):
    written = export(material, "rapidata-rich", tmp_path / "out")
    data = load(tmp_path / "out")
    assert data.features["image"].__class__.__name__ == "Image" and written.rows == len(data)
    assert {name: data.features[name].dtype for name in ("alignment_score", "style_score_norm")} == {
        "alignment_score": "float32", "style_score_norm": "float32"}  # fmt: skip
    rich_of_source = rich.of(source, material.votes, material.pictures)
    feedback = counted_feedback(source)
    by_image = {}
    for row in feedback:
        by_image.setdefault(row["image_id"], []).append(row)
    by_path = {row["image"]["path"].split(".")[0]: row for row in undecoded(data)}
    assert by_path.keys() == by_image.keys()
    for image_id, given in by_image.items():
        row = by_path[image_id]
        # A voter counts once on an image, with the mean of what they said.
        voters = {}
        for one in given:
            voters.setdefault(one["voter"], []).append(one)
        for name in ("style", "coherence", "alignment"):
            mean = np.mean([np.mean([one[name] for one in said]) for said in voters.values()])
            assert row[f"{name}_score"] == pytest.approx(mean, abs=1e-6)
        words = json.loads(row["word_scores"])
        assert [word for word, _ in words] == [*row["prompt"].split(), "[No_mistakes]"]

        def voted(says, voters=voters):
            return pytest.approx(sum(np.mean([says(one) for one in said]) for said in voters.values()), abs=1e-5)

        assert words[-1][1] == voted(lambda one: not one["misaligned_words"])
        for at, (_, count) in enumerate(words[:-1]):
            assert count == voted(lambda one, at=at: at in one["misaligned_words"])
        asked = any(one["coherence_points"] is not None for one in given)
        assert (row["coherence_heatmap"] is not None) == asked
        if asked:
            heat = np.array(row["coherence_heatmap"], np.float32)
            wanted = rich_of_source.heatmap(image_id, "coherence", 128)
            assert heat.shape == (128, 128) and np.abs(heat - wanted).max() < 1e-3 and wanted.any()
    norms = [row["alignment_score_norm"] for row in by_path.values()]
    assert min(norms) == 0 and max(norms) == 1


def test_richhf_labels_have_its_direction_its_sizes_and_its_tokens(tmp_path, material, source):
    from PIL import Image

    export(material, "richhf-18k", tmp_path / "out")
    found = rich.of(source, material.votes, material.pictures)
    rows = undecoded(load(tmp_path / "out"))
    best = max(rows, key=lambda row: row["artifact_score"])
    worst = min(rows, key=lambda row: row["artifact_score"])
    mean = {row["filename"].split(".")[0]: found.image(row["filename"].split(".")[0]) for row in (best, worst)}
    assert [image.scores["coherence"].mean for image in mean.values()] == [
        pytest.approx(1 + 4 * row["artifact_score"], abs=1e-5) for row in (best, worst)]  # fmt: skip
    for row in rows:
        assert all(0 <= row[name] <= 1 for name in SCORES)
        tokens = re.split("|".join(map(re.escape, ',.?!":; ')), row["prompt"])  # as its published script splits
        tokens = [token for token in tokens if token]
        marks = row["prompt_misalignment_label"].split()
        assert len(marks) == len(tokens) and set(marks) <= {"0", "1"}
        image = found.image(row["filename"].split(".")[0])
        missed = {word.text.strip(",.") for word in image.words if word.share >= 0.5}
        assert {token for token, mark in zip(tokens, marks, strict=True) if mark == "0"} == missed
        for name, kind in (("artifact_map", "coherence"), ("misalignment_map", "alignment")):
            assert row[name] is not None and image.heard[kind] == image.voters, "who rated high has nothing to mark"
            grey = Image.open(io.BytesIO(row[name]))
            assert (grey.size, grey.mode) == ((512, 512), "L")
            heat = np.clip(found.heatmap(image.image_id, kind, 512), 0, 1)
            assert np.array_equal(np.asarray(grey), np.rint(heat * 255).astype(np.uint8))
            for x, y in image.points[kind]:
                assert np.asarray(grey)[min(511, int(y * 512)), min(511, int(x * 512))] > 0, "where somebody pointed"


@pytest.mark.parametrize(("prompt", "label"), [
    ("a red cat, two dogs: the end!", "1 1 1 1 1 1 0"),
    ("wait... what?!", "1 0"),
    ("一只红色的猫 在月亮下", "1 0"),
    ("a cat\u00a0sat", "1 0"),  # three words, two tokens
    ("猫\u3000が いる", "1 0"),
    ("one", "0"),
    ("  twice  spaced ", "1 0"),
    ("\U0001f408\u200d\u2b1b it's well-known \"x\"", "1 1 1 0"),
    (", .", ""),
])  # fmt: skip
def test_words_and_tokens_of_any_prompt(tmp_path, prompt, label):
    """One score a word as the arena parts them, as many labels as that data set's own code finds tokens; two of three
    voters miss the last word, and nothing else was asked."""
    words = prompt.split()
    rows = [{"feedback_id": f"f{at}", "battle_id": f"b{at}", "image_id": "x", "model": "m1", "voter": f"u{at}",
             "prompt": prompt, "prompt_id": "p", "misaligned_words": [len(words) - 1] if at else []}
            for at in range(3)]  # fmt: skip
    material = Material(pair_votes("model_a", prompt=prompt), Shelf("xy"), lambda: rich.Rich(feedback_from_rows(rows)))
    for name in ("rapidata-rich", "richhf-18k"):
        export(material, name, tmp_path / name)
    [row] = undecoded(load(tmp_path / "rapidata-rich"))
    assert json.loads(row["word_scores"]) == [*([word, 0] for word in words[:-1]), [words[-1], 2], ["[No_mistakes]", 1]]
    assert row["style_score"] is None and row["coherence_heatmap"] is None and row["prompt"] == prompt
    [row] = undecoded(load(tmp_path / "richhf-18k"))
    tokens = [token for token in re.split("|".join(map(re.escape, ',.?!":; ')), prompt) if token]
    assert row["prompt_misalignment_label"] == label and len(label.split()) == len(tokens)
    assert row["artifact_map"] is None and row["overall_score"] is None


def test_painted_areas_absent_pictures_and_what_is_private(tmp_path):
    """An area is a map of ones; who rated high halves it; the rest is null or counted."""
    half = {"coherence_mask": {"size": [64, 64], "counts": [0, 2048, 2048]}}
    given = [{"image_id": "x", "coherence": 1, "extra": json.dumps(half)},
             {"image_id": "x", "coherence": 5, "extra": json.dumps({"rated_high": ["coherence"]})},
             {"image_id": "y", "style": 3}, {"image_id": "gone", "style": 4},
             {"image_id": "p", "style": 3, "prompt": "", "extra": json.dumps({"private": True})}]  # fmt: skip
    rows = [{"feedback_id": f"f{at}", "battle_id": f"b{at}", "model": "m1", "voter": f"u{at}", "prompt": "a cat"} | row
            for at, row in enumerate(given)]  # fmt: skip
    material = Material(pair_votes("model_a"), Shelf("xyp"), lambda: rich.Rich(feedback_from_rows(rows)))
    for name in ("rapidata-rich", "richhf-18k"):
        written = export(material, name, tmp_path / name)
        assert written.rows == 2
        assert written.left_out == {"images that are private": 1, "images whose pictures are not in the source": 1}
    of = {row["image"]["path"]: row for row in undecoded(load(tmp_path / "rapidata-rich"))}
    heat = np.array(of["x.png"]["coherence_heatmap"])
    assert (heat[:64] == 0.5).all() and not heat[64:].any()
    assert (
        of["x.png"]["coherence_score"] == 3 and of["x.png"]["style_score"] is None and of["y.png"]["style_score"] == 3
    )
    assert of["y.png"]["coherence_heatmap"] is None and of["x.png"]["alignment_heatmap"] is None
    assert {row["word_scores"] for row in of.values()} == {None}
    of = {row["filename"]: row for row in undecoded(load(tmp_path / "richhf-18k"))}
    assert of["x.png"]["artifact_map"] and of["y.png"]["artifact_map"] is None
    assert of["x.png"]["prompt_misalignment_label"] is None


def test_a_source_without_feedback_has_none_to_export(tmp_path, source):
    votes = read_votes(source)
    for name in ("rapidata-rich", "richhf-18k"):
        with pytest.raises(errors.NothingToExport, match="no feedback"):
            export(Material(votes, open_pictures(source)), name, tmp_path / "out")


def read_table(source, table):
    import pyarrow.parquet as pq

    return [
        row for file in sorted((source / "data" / table).rglob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def counted_feedback(source):
    """Rows of feedback whose vote counts."""
    votes = {vote["battle_id"]: vote for vote in read_table(source, "votes")}
    out = {one["vote_id"] for one in read_table(source, "exclusions")}

    def counts(vote):
        return vote["mode"] == "anonymous" and vote["vote_id"] not in out

    return [row for row in read_table(source, "feedback") if counts(votes[row["battle_id"]])]


def undecoded(data):
    from datasets import Image

    return list(data.cast_column("image", Image(decode=False)))


@pytest.mark.skipif(not EXPERTS.exists(), reason="../shared/data/imagereward is not here")
def test_rankings_of_experts_come_back_from_their_pairs(tmp_path):
    """Strict rankings, taken apart into pairs and exported, are the same rankings."""
    prompts = [row for row in json.loads(EXPERTS.read_text()) if len(set(row["ranking"])) == len(row["ranking"])][:40]
    assert len(prompts) == 40
    check_rankings(tmp_path, [(row["prompt"], row["ranking"]) for row in prompts])


def test_rankings_come_back_from_their_pairs(tmp_path):
    rng = random.Random(2)
    check_rankings(tmp_path, [(f"prompt {at}", rng.sample(range(1, 7), 5)) for at in range(8)])


def check_rankings(tmp_path, prompts):
    rows, ids = [], []
    for number, (prompt, ranking) in enumerate(prompts):
        images = [f"{number:03d}-{at}" for at in range(len(ranking))]
        ids += images
        for i in range(len(images)):
            for j in range(i):
                rows.append({"model_a": f"m{i}", "model_b": f"m{j}", "prompt_id": str(number), "prompt": prompt,
                             "winner": "model_a" if ranking[i] < ranking[j] else "model_b", "image_a": images[i],
                             "image_b": images[j]})  # fmt: skip
    export(Material(votes_from_rows(rows), Shelf(ids)), "imagereward", tmp_path / "out")
    found = {row["id"]: row for row in json.loads((tmp_path / "out" / "train.json").read_text())}
    for number, (_, ranking) in enumerate(prompts):
        row = found[str(number)]
        by_image = dict(zip((Path(name).stem for name in row["generations"]), row["ranking"], strict=True))
        given = [by_image[f"{number:03d}-{at}"] for at in range(len(ranking))]
        assert given == [sorted(ranking).index(rank) + 1 for rank in ranking]
        assert all((tmp_path / "out" / name).exists() for name in row["generations"])


@pytest.mark.parametrize("name", list(EXPORTS))
def test_no_prompt_is_in_both_splits(tmp_path, source, name):
    """A held-out prompt whose other images were trained on would be no test."""
    material = material_of(source, holdout=0.4)
    written = export(material, name, tmp_path / "out")
    assert set(written.splits) == {"train", "validation"}
    if name == "imagereward":
        of = {split: {row["prompt"] for row in json.loads((tmp_path / "out" / f"{split}.json").read_text())}
              for split in written.splits}  # fmt: skip
    else:
        column = next(c for c in ("caption", "prompt", "images.prompt") if c in EXPORTS[name].COLUMNS)
        of = {split: set(load(tmp_path / "out", split)[column]) for split in written.splits}
    assert not of["train"] & of["validation"] and all(of.values())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """(source, the images that are only in tasks with a known answer)."""
    found = world(seed=4, votes=200, prompts=12)
    secret = {row["image_id"] for row in found.images[:3]}
    tasks = {vote["battle_id"] for vote in found.votes if secret & {vote["image_a"], vote["image_b"]}}
    for row in (*found.votes, *found.feedback):
        if row["battle_id"] in tasks:
            row["extra"] = json.dumps({"gold": "any", "gold_task": "t"} if "vote_id" in row else {"gold": True})
    assert len(tasks) > 5
    return write(found, tmp_path_factory.mktemp("guarded")), secret


@pytest.mark.parametrize("name", list(EXPORTS))
def test_a_task_with_a_known_answer_is_in_no_export(tmp_path, guarded, name):
    import pyarrow.parquet as pq

    source, secret = guarded
    material = material_of(source)
    written = export(material, name, tmp_path / "out")
    assert written.left_out["votes that do not count (gold)"] == material.votes.left_out["gold"] > 5
    pictures = {image: material.pictures.data(image) for image in (row.image_id for row in material.pictures.all())}
    if name == "imagereward":
        there = {path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()}
    else:
        rows = [row for file in (tmp_path / "out" / "data").iterdir() for row in pq.read_table(file).to_pylist()]
        cells = [cell["bytes"] if isinstance(cell, dict) else cell for row in rows for cell in row.values()]
        there = {cell for cell in cells if isinstance(cell, bytes)}
    found = {image for image, data in pictures.items() if data in there}
    assert secret <= pictures.keys() and len(found) > 5 and not found & secret


def test_what_is_private_or_has_no_picture_is_counted_and_not_written(tmp_path):
    votes = [pair_votes("model_a"), pair_votes("model_a", prompt="", image_a="p", image_b="q"),
             pair_votes("model_b", image_a="x", image_b="gone"), pair_votes("model_b", image_a=None, image_b=None)]  # fmt: skip
    rows = [{name: getattr(one, name).to_pylist()[0] for name in ("prompt", "image_a", "image_b", "vote_id")}
            | {"model_a": "m1", "model_b": "m2", "winner": OUTCOMES[one.winner[0]]} for one in votes]  # fmt: skip
    material = Material(votes_from_rows(rows), Shelf("xypq"))
    written = export(material, "pick-a-pic", tmp_path / "out")
    assert written.rows == 1
    assert written.left_out == {"votes without their prompt (private, or not in the source)": 1, "votes without image ids": 1,
                                "votes whose pictures are not in the source": 1}  # fmt: skip
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "1 votes without image ids" in readme


def test_no_image_is_written_beside_the_folder_whatever_it_is_called(tmp_path):
    ids = ["../../x", "/tmp/y", "a/b", "https://example.org/c.png"]
    votes = pair_votes("model_a", image_a=ids[0], image_b=ids[1]), pair_votes("model_b", image_a=ids[2], image_b=ids[3])
    rows = [{name: getattr(one, name).to_pylist()[0] for name in ("prompt", "image_a", "image_b", "vote_id")}
            | {"model_a": "m1", "model_b": "m2", "winner": OUTCOMES[one.winner[0]]} for one in votes]  # fmt: skip
    (tmp_path / "deep" / "er").mkdir(parents=True)
    out = tmp_path / "deep" / "er" / "out"
    export(Material(votes_from_rows(rows), Shelf(ids)), "imagereward", out)
    [row] = json.loads((out / "train.json").read_text())
    assert len(set(row["generations"])) == 4 and sorted(row["ranking"]) == [1, 1, 2, 2]
    assert sorted(path.relative_to(out).as_posix() for path in tmp_path.rglob("*.png")) == sorted(row["generations"])


def test_an_export_never_overwrites(tmp_path, material):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(errors.Unwritable, match="new or empty"):
        export(material, "lora", tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_the_same_source_gives_the_same_bytes(tmp_path, source):
    for name in ("one", "two"):
        export(Material(read_votes(source), open_pictures(source)), "diffusers-dpo", tmp_path / name)
    one, two = ([p.read_bytes() for p in sorted((tmp_path / name / "data").iterdir())] for name in ("one", "two"))
    assert one == two


def test_the_command(tmp_path, source, capsys):
    assert main(["export", str(source), "--to", "diffusers-dpo", str(tmp_path / "out"), "--holdout", "0.2"]) == 0
    said = capsys.readouterr().out
    assert "rows in train" in said and "rows in validation" in said and "left out" in said
    assert str(source) not in (tmp_path / "out" / "README.md").read_text(), "no folder of somebody's machine"


def test_the_command_lists_every_format(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", "--list"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in EXPORTS)


@pytest.mark.parametrize(("arguments", "what"), [
    (["--to", "nonsense", "OUT"], "known are diffusers-dpo"),
    (["--to", "lora", "OUT", "--holdout", "1"], "--holdout"),
])  # fmt: skip
def test_the_command_refuses_aloud(tmp_path, source, capsys, arguments, what):
    arguments = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    assert main(["export", str(source), *arguments]) == 2
    assert what in capsys.readouterr().err and not (tmp_path / "out").exists()
