"""Votes in other arenas' formats: each gives the votes that its documentation promises, and refuses what it can't read.

EXAMPLES holds one small source a format, written after the data set's published schema; every row of FORMATS has one.
"""

import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import errors
from leaderboard.board import build
from leaderboard.formats import FORMATS, interesting, recognise
from leaderboard.votes import ALIASES, OUTCOMES, from_arrow, read_votes

DATA = Path(__file__).parents[3] / "shared" / "data"
IMAGE = {"bytes": b"not an image", "path": "a.jpg"}


def oip(number, responses, model_1="dev", model_2="sd", evolution="quality", **more):
    return {"id": f"{number}-{evolution}", "status": "completed",
            "images": {"image_1": f"{number}a.jpg", "image_2": f"{number}b.jpg", "prompt": f"prompt {number}"},
            "model_1": model_1, "model_2": model_2, "evolution": evolution, "category": "Manga",
            "sub_category": "detailed", "preference.responses": responses,
            "preference.responses.users": None if responses is None else [f"u{i}" for i in range(len(responses))],
            "preference.responses.status": None if responses is None else ["submitted"] * len(responses),
            "prompt": [0.5]} | more  # fmt: skip


def pick(label, has_label=True, image="i1", **more):
    return {"model_0": "sdxl", "model_1": "dreamlike", "label_0": label, "label_1": None if label is None else 1 - label,
            "has_label": has_label, "are_different": True, "caption": "a fox", "ranking_id": 7, "user_id": 12,
            "image_0_uid": "i0", "image_1_uid": image, "jpg_0": b"bytes", "jpg_1": b"bytes",
            "created_at": "2023-05-01T10:00:00"} | more  # fmt: skip


EXAMPLES = {
    "arena": [{"model_a": "x", "model_b": "y", "winner": outcome} for outcome in (*OUTCOMES, *ALIASES)],
    "lmarena": [{"model_a": "x", "model_b": "y", "winner": winner, "tstamp": 1.5 + at, "anony": True, "judge": "j",
                 "question_id": f"q{at}", "conversation_a": ["long"]}
                for at, winner in enumerate(("model_a", "model_b", "tie", "tie (bothbad)"))],
    "open-image-preferences": [oip(1, ["both_good", "image_1", "image_1"]),
                               oip(2, ["image_2", "both_bad"], "sd", "dev", "simplified")],
    "open-image-preferences-binarized": [
        {"id": "1-quality", "prompt": "p", "chosen": IMAGE, "rejected": IMAGE, "chosen_model": "dev",
         "rejected_model": "sd", "evolution": "quality", "category": "Manga", "sub_category": "detailed"}],
    "pick-a-pic": [pick(1.0), pick(0.0), pick(0.5)],
    "genai-bench": [{"prompt": "p", "left_model": "SDXL", "right_model": "LCM", "left_image": IMAGE,
                     "right_image": IMAGE, "vote_type": vote}
                    for vote in ("leftvote", "rightvote", "tievote", "bothbad_vote")],
    "genai-bench-sides": [{"idx": 0, "prompt": "p", "human_vote": vote, "vlm:gpt4o": "[[A>B]]"}
                          for vote in ("leftvote", "rightvote", "tievote", "bothbad_vote")],
    "rapidata": [{"prompt": "p", "image1": IMAGE, "image2": IMAGE, "votes_image1": 3, "votes_image2": 1,
                  "model1": "flux", "model2": "dalle", "image1_path": "1.jpg", "image2_path": "2.jpg"},
                 {"prompt": "q", "image1": IMAGE, "image2": IMAGE, "votes_image1": 0, "votes_image2": 2,
                  "model1": "dalle", "model2": "flux", "image1_path": "3.jpg", "image2_path": "4.jpg"}],
    "crowd-comparisons": [{"id": "0", "prompt": "8", "worker": "w", "winner": winner, "left": "x", "right": "y"}
                          for winner in ("left", "right", "tie")],
}  # fmt: skip
OUTCOME_COLUMN = {"arena": "winner", "lmarena": "winner", "open-image-preferences": "preference.responses",
                  "pick-a-pic": "label_0", "genai-bench": "vote_type", "genai-bench-sides": "human_vote",
                  "rapidata": "votes_image1", "crowd-comparisons": "winner"}  # fmt: skip
RECOGNISED = [name for name in FORMATS if name != "genai-bench-sides"]


def table(rows):
    return pa.Table.from_pylist(rows)


def votes_of(rows, name=None, tmp_path=None, kind="parquet"):
    path = tmp_path / f"votes.{kind}"
    if kind == "parquet":
        pq.write_table(table(rows), path)
    elif kind == "json":
        path.write_text(json.dumps(rows, default=str))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    else:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return read_votes(path, source_format=name)


def shown(votes):
    """The votes as text, a tuple a vote."""
    return [
        (votes.models[a], votes.models[b], OUTCOMES[w])
        for a, b, w in zip(votes.model_a, votes.model_b, votes.winner, strict=True)
    ]


def text(column):
    return column.to_pylist()


# -- every format ---------------------------------------------------------------------------------------------------


def test_every_format_has_an_example():
    assert set(EXAMPLES) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_what_it_is(name):
    form = FORMATS[name]
    assert name == form.NAME and 20 < len(form.ABOUT) < 120 and form.NEEDS <= form.COLUMNS
    assert interesting() >= form.COLUMNS


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_and_accounts_for_its_rows(name, tmp_path):
    votes = votes_of(EXAMPLES[name], name, tmp_path)
    assert len(votes) > 0 and len(votes.models) == 2 and votes.total == len(votes) + sum(votes.left_out.values())
    board = build(votes)
    json.dumps(board.to_json(), allow_nan=False)
    assert all(note in board.notes for note in votes.notes)


@pytest.mark.parametrize("name", RECOGNISED)
def test_every_format_is_recognised_by_its_columns_in_every_kind_of_file(name, tmp_path):
    expected = shown(votes_of(EXAMPLES[name], name, tmp_path))
    for kind in ("parquet", "json", "jsonl"):
        assert shown(votes_of(EXAMPLES[name], None, tmp_path, kind)) == expected, kind
    assert shown(from_arrow(table(EXAMPLES[name]))) == expected


@pytest.mark.parametrize("name", [name for name in RECOGNISED if name != "open-image-preferences"])
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_flat_formats_are_read_from_text_too(name, kind, tmp_path):
    rows = EXAMPLES[name]
    assert shown(votes_of(rows, None, tmp_path, kind)) == shown(votes_of(rows, name, tmp_path))


@pytest.mark.parametrize("name", FORMATS)
def test_a_named_format_whose_columns_are_missing_says_which(name, tmp_path):
    with pytest.raises(errors.MissingColumn, match=r"votes\.jsonl: .*(is|are) missing"):
        votes_of([{"nothing": 1, "prompt": "p"}], name, tmp_path, "jsonl")


@pytest.mark.parametrize("name", OUTCOME_COLUMN)
def test_an_outcome_that_means_nothing_is_refused_with_column_value_and_rows(name, tmp_path):
    column = OUTCOME_COLUMN[name]
    bad = ["draw"] if name == "open-image-preferences" else "draw"
    more = (
        {"preference.responses.users": ["u"], "preference.responses.status": ["submitted"]} if bad == ["draw"] else {}
    )
    rows = [row | {column: bad} | more for row in (EXAMPLES[name] * 3)[:3]]
    kind = errors.BadVotes if name == "rapidata" else errors.UnknownOutcome
    with pytest.raises(kind, match=rf"{column}.*3 rows.*draw"):
        votes_of(rows, name, tmp_path, "jsonl")


KNOWN = {*OUTCOMES, *ALIASES, "image_1", "image_2", "leftvote", "rightvote", "tievote", "bothbad_vote", "left", "right"}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Nd", "Cc"]), min_size=1, max_size=12)


@given(
    st.sampled_from(sorted(set(OUTCOME_COLUMN) & set(RECOGNISED))),
    TEXT.filter(lambda text: text not in KNOWN),
    st.integers(1, 4),
)
def test_no_unknown_outcome_passes_whatever_it_is(name, value, times):
    row = EXAMPLES[name][0] | {OUTCOME_COLUMN[name]: value}
    if name == "open-image-preferences":
        row |= {OUTCOME_COLUMN[name]: [value], "preference.responses.users": ["u"],
                "preference.responses.status": ["submitted"]}  # fmt: skip
    with pytest.raises(errors.BadVotes) as refused:
        from_arrow(table([row] * times))
    message = str(refused.value)
    assert OUTCOME_COLUMN[name] in message and f"{times} row" in message
    assert repr(value)[1:-1] in message


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_without_rows_is_empty_and_no_error(name, tmp_path):
    pq.write_table(table(EXAMPLES[name]).slice(0, 0), tmp_path / "v.parquet")
    votes = read_votes(tmp_path / "v.parquet", source_format=name)
    assert len(votes) == votes.total == 0 and votes.left_out == {}


@pytest.mark.parametrize("name", FORMATS)
def test_only_the_columns_that_are_needed_are_read(name, tmp_path, monkeypatch):
    """Images beside the votes stay on the disk."""
    read = []
    original = pq.ParquetFile.read

    def watched(self, columns=None, **options):
        found = original(self, columns=columns, **options)
        read.extend(found.column_names)
        return found

    monkeypatch.setattr(pq.ParquetFile, "read", watched)
    votes_of([row | {"conversation": "long"} for row in EXAMPLES[name]], name, tmp_path)
    assert read and not set(read) & {"chosen", "rejected", "jpg_0", "jpg_1", "image1", "image2", "left_image",
                                     "right_image", "conversation", "conversation_a", "vlm:gpt4o"}  # fmt: skip


# -- which format ---------------------------------------------------------------------------------------------------


def test_columns_of_several_formats_are_refused_with_what_matched():
    with pytest.raises(
        errors.AmbiguousFormat, match=r"arena \(.*crowd-comparisons \(left, right, winner\).*--source-f"
    ):
        recognise({"model_a", "model_b", "winner", "left", "right"})
    assert recognise({"model_a", "model_b", "winner", "left", "right"}, "arena").NAME == "arena"


def test_unknown_formats_and_columns_list_the_known():
    with pytest.raises(errors.UnknownChoice, match=r"no format is called 'argilla'.*pick-a-pic"):
        recognise({"model_a"}, "argilla")
    with pytest.raises(errors.MissingColumn, match=r"columns model_a, model_b, winner are missing.*rapidata"):
        recognise({"x", "y"})


@given(st.sets(st.sampled_from(sorted(interesting() | {"x"}))))
def test_any_columns_have_one_format_or_a_clear_refusal(names):
    try:
        assert recognise(names).matches(names)
    except (errors.MissingColumn, errors.AmbiguousFormat) as error:
        assert "\n" not in str(error)


# -- one by one -----------------------------------------------------------------------------------------------------


def test_open_image_preferences_gives_one_vote_a_response(tmp_path):
    votes = votes_of(EXAMPLES["open-image-preferences"], None, tmp_path)
    dev, sd = "black-forest-labs/FLUX.1-dev", "stabilityai/stable-diffusion-3.5-large"
    assert shown(votes) == [(dev, sd, "both_good"), (dev, sd, "model_a"), (dev, sd, "model_a"),
                            (sd, dev, "model_b"), (sd, dev, "both_bad")]  # fmt: skip
    assert text(votes.complexity) == ["complex"] * 3 + ["simplified"] * 2
    assert text(votes.pair_id) == ["1-quality"] * 3 + ["2-simplified"] * 2
    assert text(votes.prompt) == ["prompt 1"] * 3 + ["prompt 2"] * 2 == text(votes.prompt_id)
    assert text(votes.image_a)[0] == "1a.jpg" and text(votes.image_b)[4] == "2b.jpg"
    assert text(votes.voter) == ["u0", "u1", "u2", "u0", "u1"]
    assert set(text(votes.category)) == {"Manga"} and set(text(votes.sub_category)) == {"detailed"}


def test_open_image_preferences_flattened_or_nested_is_the_same(tmp_path):
    rows = EXAMPLES["open-image-preferences"]
    expected = votes_of(rows, None, tmp_path)
    flattened = [{f"images.{key}": cell for key, cell in row["images"].items()}
                 | {key: cell for key, cell in row.items() if key != "images"} for row in rows]  # fmt: skip
    nested = [{key: cell for key, cell in row.items() if not key.startswith("preference")}
              | {"preference": {"responses": row["preference.responses"], "users": row["preference.responses.users"]}}
              for row in rows]  # fmt: skip
    for variant in (flattened, nested):
        for kind in ("parquet", "jsonl"):
            votes = votes_of(variant, None, tmp_path, kind)
            assert shown(votes) == shown(expected) and text(votes.prompt) == text(expected.prompt)
            assert text(votes.voter) == text(expected.voter)


def test_responses_that_are_no_votes_are_counted(tmp_path):
    draft = oip(3, ["image_1", None, "image_2"])
    draft["preference.responses.status"] = ["submitted", "draft", "discarded"]
    votes = votes_of([draft, oip(4, None)], None, tmp_path, "jsonl")
    assert len(votes) == 1 and votes.left_out == {"no_response": 1, "response:discarded": 1, "response:draft": 1}
    assert votes.total == 4


def test_lists_of_responses_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(errors.BadVotes, match=r"preference\.responses\.users: in 1 rows"):
        votes_of([oip(1, ["image_1"]) | {"preference.responses.users": ["u", "v"]}], None, tmp_path, "jsonl")
    with pytest.raises(errors.BadVotes, match="'image_1', which is no list"):
        votes_of([oip(1, "image_1")], None, tmp_path, "jsonl")


def test_a_binarised_source_says_so(tmp_path):
    votes = votes_of(EXAMPLES["open-image-preferences-binarized"], None, tmp_path)
    assert shown(votes)[0][2] == "model_a" and "binarised" in " ".join(build(votes).notes)


def test_pick_a_pic_leaves_out_what_was_never_judged_and_says_how_many(tmp_path):
    rows = [*EXAMPLES["pick-a-pic"], pick(0.0, has_label=False), pick(None, has_label=False), pick(1.0, image="i0")]
    votes = votes_of(rows, None, tmp_path)
    assert [outcome for *_, outcome in shown(votes)] == ["model_a", "model_b", "both_good"]
    assert votes.left_out == {"no_label": 2, "same_image": 1} and votes.total == 6
    assert text(votes.voter) == ["12"] * 3 and text(votes.image_b) == ["i1"] * 3
    assert votes.created_at[0] == 1_682_935_200_000
    assert any("acceptability says nothing" in note for note in votes.notes)


def test_pick_a_pic_labels_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(errors.UnknownOutcome, match=r"label_0 and label_1: 2 rows hold .*'1.* and 1.*' \(2 rows\)"):
        votes_of([pick(1.0), pick(1.0, label_1=1.0), pick(1.0, label_1=1.0)], None, tmp_path)


def test_genai_bench_without_models_is_not_ranked(tmp_path):
    rows = EXAMPLES["genai-bench-sides"]
    for named in (None, "genai-bench"):
        with pytest.raises(errors.MissingColumn, match=r"left_model and right_model are missing.*genai-bench-sides"):
            votes_of(rows, named, tmp_path, "json")
    votes = votes_of(rows, "genai-bench-sides", tmp_path, "json")
    assert votes.models == ("left", "right") and any("sides of the screen" in note for note in votes.notes)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=20))
def test_rapidatas_counts_become_that_many_votes(counts):
    rows = [EXAMPLES["rapidata"][at % 2] | {"votes_image1": first, "votes_image2": second, "prompt": f"p{at}"}
            for at, (first, second) in enumerate(counts)]  # fmt: skip
    votes = from_arrow(table(rows))
    assert len(votes) == votes.total == sum(map(sum, counts))
    found = Counter(zip(text(votes.pair_id), [outcome for *_, outcome in shown(votes)], strict=True))
    for at, (first, second) in enumerate(counts):
        assert found[f"pair {at}", "model_a"] == first and found[f"pair {at}", "model_b"] == second


@pytest.mark.parametrize("count", [-1, 2.5, "many", "nan"])
def test_counts_that_are_no_counts_are_refused(count, tmp_path):
    with pytest.raises((errors.BadVotes, errors.MissingValue), match=r"votes_image1: 1 row"):
        votes_of([EXAMPLES["rapidata"][0] | {"votes_image1": count}], None, tmp_path, "jsonl")


# -- real data ------------------------------------------------------------------------------------------------------


def real(name):
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not here: the real data sets are no part of this repository")
    return DATA / name


def test_llmfaos_votes_are_all_read():
    votes = read_votes(real("llmfao/crowd-comparisons.csv"))
    assert Counter(outcome for *_, outcome in shown(votes)) == {"model_a": 2911, "model_b": 2549, "both_good": 3471}
    assert len(votes) == votes.total == 8931 and not votes.left_out and len(votes.models) == 59
    assert len(set(text(votes.voter))) == 124 and len(set(text(votes.pair_id))) == 2139


def test_genai_benchs_votes_compare_the_sides():
    path = real("genai_bench/image_generation_votes.json")
    with pytest.raises(errors.MissingColumn, match="no model can be ranked"):
        read_votes(path)
    votes = read_votes(path, source_format="genai-bench-sides")
    assert Counter(outcome for *_, outcome in shown(votes)) == {"model_a": 643, "model_b": 663, "both_good": 156,
                                                                "both_bad": 273}  # fmt: skip
