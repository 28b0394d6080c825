"""Sources other than our own: text of every kind, folders and patterns of Parquet files, and what is refused of them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaderboard import errors, remote
from leaderboard.live import LiveBoard
from leaderboard.sources import HUB_ID
from leaderboard.votes import read_votes
from tests.leaderboard_rows import simulated

PAIR = {"model1": "flux", "model2": "dalle", "votes_image1": 2, "votes_image2": 1, "prompt": "p",
        "image1": {"bytes": b"pixels" * 100, "path": "1.jpg"}}  # fmt: skip


def shard(path, rows=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([PAIR] * rows), path)


def test_a_json_array_is_read_like_json_lines(tmp_path):
    rows = simulated(40)
    (tmp_path / "v.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "v.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    one, other = read_votes(tmp_path / "v.json"), read_votes(tmp_path / "v.jsonl")
    assert len(one) == 40 and one.winner.tolist() == other.winner.tolist() and one.models == other.models


def test_extra_may_be_an_object_or_the_text_of_one(tmp_path):
    for extra in ({"gold": "model_a"}, '{"gold": "model_a"}'):
        row = {"model_a": "x", "model_b": "y", "winner": "model_a", "voter": "u", "extra": extra}
        (tmp_path / "v.json").write_text(json.dumps([row]))
        assert read_votes(tmp_path / "v.json").gold_tasks == (("u", "task 0", True),)


@pytest.mark.parametrize(("text", "words"), [
    ('{"votes": []}', "one array of objects"), ("[1, 2]", "one array of objects"), ("[]", "no rows"),
    ("[\n{,", "not JSON .line 2"), (b"\xff\xfe[", "not UTF-8"),
])  # fmt: skip
def test_json_that_is_no_table_says_why(tmp_path, text, words):
    (tmp_path / "v.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(errors.Unreadable, match=rf"v\.json: .*{words}"):
        read_votes(tmp_path / "v.json")


def test_a_prompt_may_hold_line_breaks_commas_and_quotes(tmp_path):
    prompt = 'two lines,\nand a "quote"'
    quoted = '"' + prompt.replace('"', '""') + '"'
    (tmp_path / "v.csv").write_text(f"\ufeffmodel_a,model_b,winner,prompt\nx,y,tie,{quoted}\ny,x,tie,z\n", "utf-8")
    votes = read_votes(tmp_path / "v.csv")
    assert len(votes) == 2 and votes.prompt.to_pylist()[0] == prompt
    assert len(set(votes.prompt_id.codes)) == 2, "votes on one prompt belong together"


@pytest.mark.parametrize(("name", "mark"), [("v.tsv", "\t"), ("v.csv", ";"), ("v.csv", "\t")])
def test_tabs_and_semicolons_may_separate(tmp_path, name, mark):
    (tmp_path / name).write_text(f"model_a{mark}model_b{mark}winner\nx, the first{mark}y{mark}tie\n")
    assert read_votes(tmp_path / name).models == ("x, the first", "y")


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "v.csv").write_text("model_a,model_a,model_b,winner\nx,y,z,tie\n")
    cells = pa.array(["x"])
    pq.write_table(
        pa.Table.from_arrays([cells] * 4, ["model_a", "model_a", "model_b", "winner"]), tmp_path / "v.parquet"
    )
    for name in ("v.csv", "v.parquet"):
        with pytest.raises(errors.Unreadable, match=f"{name}: the column model_a is there more than once"):
            read_votes(tmp_path / name)


def test_a_snapshot_of_any_layout_is_read(tmp_path):
    shard(tmp_path / "default" / "deep" / "0000.parquet", 2)
    shard(tmp_path / "default" / "deep" / "0001.parquet")
    votes = read_votes(tmp_path)
    assert len(votes) == 9 and votes.models == ("dalle", "flux")


def test_splits_are_never_mixed_by_accident(tmp_path):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        shard(tmp_path / "data" / f"{name}.parquet")
    with pytest.raises(errors.AmbiguousFormat, match=r"2 parts that may share votes: data/train, data/validation"):
        read_votes(tmp_path)
    assert len(read_votes(tmp_path / "data" / "train-*.parquet")) == 6
    assert len(read_votes(str(tmp_path / "**" / "*.parquet"))) == 9


def test_the_named_format_reaches_every_reader(tmp_path):
    shard(tmp_path / "v.parquet")
    (tmp_path / "v.jsonl").write_text(json.dumps(PAIR, default=str))
    for name in ("v.parquet", "v.jsonl", "."):
        assert len(read_votes(tmp_path / name, source_format="rapidata")) == 3
        with pytest.raises(errors.MissingColumn, match="format arena: model_a, model_b, winner are missing"):
            read_votes(tmp_path / name, source_format="arena")
    with pytest.raises(errors.UnknownChoice, match="no format is called"):
        read_votes(tmp_path / "v.parquet", source_format="vote-file")


def test_a_live_board_starts_from_any_format(tmp_path):
    shard(tmp_path / "v.parquet", 3)
    assert LiveBoard.read(tmp_path / "v.parquet").board().source.counted == 9


@pytest.mark.parametrize(("text", "parts"), [
    ("user/name", ("user/name", None, None)), ("user/name@v1.0", ("user/name", "v1.0", None)),
    ("user/name:data/train_*", ("user/name", None, "data/train_*")), ("u/n@main:a/b", ("u/n", "main", "a/b")),
])  # fmt: skip
def test_a_data_set_on_the_hub_may_name_its_revision_and_a_part(text, parts):
    assert HUB_ID.fullmatch(text).groups() == parts


def test_too_much_to_download_is_refused_with_how_to_go_on():
    remote.refuse_large("u/n", "u/n", "0" * 40, remote.MOST_BYTES)
    with pytest.raises(errors.TooLarge, match=r"u/n: .* 8\.0 GB, and at most 2 GB .*hf download u/n --repo-type data"):
        remote.refuse_large("u/n", "u/n", "0" * 40, 8 * 1024**3)
    with pytest.raises(errors.TooLarge, match="501 files"), remote.opened("u/n", "u/n", "0" * 40, ["x"] * 501):
        pass
