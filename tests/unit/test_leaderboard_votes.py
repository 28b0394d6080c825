"""Reading and checking votes: every source gives the same table; what is wrong is refused, what is left out counted."""

import csv
import json
import random
import sqlite3
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard import arrow as texts
from leaderboard import errors
from leaderboard.columns import NO_TIME, encode
from leaderboard.later import Later
from leaderboard.tally import tally
from leaderboard.votes import OUTCOMES, from_arrow, read_votes, votes_from_rows
from tests.leaderboard_rows import START, battles, row, simulated


def outcomes(votes):
    return [OUTCOMES[code] for code in votes.winner]


def same(first, second):
    assert first.models == second.models and first.left_out == second.left_out and first.total == second.total
    for name in ("model_a", "model_b", "winner", "created_at"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist(), name
    for name in ("category", "sub_category", "complexity", "voter", "vote_id", "prompt_id", "mode"):
        cells = [[column.names[c] if c >= 0 else None for c in column.codes]
                 for column in (getattr(first, name), getattr(second, name))]  # fmt: skip
        assert cells[0] == cells[1], name


# -- outcomes and names -------------------------------------------------------------------------------------------


def test_a_minimal_source_needs_three_columns_and_knows_the_old_words_for_a_draw():
    rows = [{"model_a": "x", "model_b": "y", "winner": w} for w in ("model_a", "tie", "tie (bothbad)", "both_bad")]
    votes = votes_from_rows(rows)
    assert outcomes(votes) == ["model_a", "both_good", "both_bad", "both_bad"]
    assert votes.models == ("x", "y") and votes.total == 4 and votes.left_out == {}


@pytest.mark.parametrize("missing", ["model_a", "model_b", "winner"])
def test_a_missing_column_is_named(missing):
    rows = [{name: "x" for name in ("model_a", "model_b", "winner") if name != missing}]
    with pytest.raises(errors.MissingColumn, match=f"column {missing} is missing"):
        votes_from_rows(rows)


def test_an_unknown_winner_is_refused_with_its_values_and_rows():
    rows = [*battles("x", "y", wins=2), row("x", "y", "draw"), row("x", "y", "draw"), row("x", "y", "left")]
    with pytest.raises(errors.UnknownOutcome, match=r"3 rows .*'draw' \(2 rows\), 'left' \(1 row\)"):
        votes_from_rows(rows)


@pytest.mark.parametrize("winner", [None, "", float("nan")])
def test_an_empty_winner_is_refused(winner):
    with pytest.raises(errors.MissingValue, match="column winner: 1 row is empty"):
        votes_from_rows([row("x", "y", "model_a"), row("x", "y", winner)])


@pytest.mark.parametrize("name", [None, "", "  ", float("nan"), "nan", "NaN", "None"])
@pytest.mark.parametrize("side", ["model_a", "model_b"])
def test_a_vote_without_a_model_is_refused_and_never_credited_to_another(side, name):
    with pytest.raises(errors.MissingValue, match=f"column {side}: 1 row has no model name"):
        votes_from_rows([row("x", "y", "model_a"), row("x", "y", "model_a") | {side: name}])


def test_nan_in_an_arrow_column_is_refused():
    table = pa.table({"model_a": [1.0, float("nan")], "model_b": ["x", "x"], "winner": ["tie", "tie"]})
    with pytest.raises(errors.MissingValue, match="model_a"):
        from_arrow(table)


# -- what is left out ---------------------------------------------------------------------------------------------


def test_what_does_not_count_is_counted_by_reason():
    rows = [row("x", "y", "model_a", vote_id=f"v{n}") for n in range(6)]
    rows += [row("x", "x", "model_a", vote_id="self"), row("x", "y", "tie", vote_id="named", mode="named"),
             row("x", "y", "tie", vote_id="stays", mode="winner_stays"), row("x", "y", "tie", vote_id="?", mode=None),
             rows[0]]  # fmt: skip
    votes = votes_from_rows(rows, exclusions=[{"vote_id": "v1", "reason": "withdrawn", "created_at": 5}])
    assert votes.left_out == {"duplicate": 1, "excluded:withdrawn": 1, "mode:named": 1, "mode:unknown": 1,
                              "mode:winner_stays": 1, "self_battle": 1}  # fmt: skip
    assert len(votes) == 5 and votes.total == len(votes) + sum(votes.left_out.values())


def test_another_mode_can_be_counted():
    rows = [row("x", "y", "model_a", mode="named"), row("x", "y", "model_a")]
    votes = votes_from_rows(rows, mode="named")
    assert len(votes) == 1 and votes.left_out == {"mode:anonymous": 1}


def test_a_source_that_records_no_mode_counts():
    assert len(votes_from_rows([row("x", "y", "model_a", mode=None)])) == 1


@pytest.mark.parametrize(("story", "left_out"), [
    ([("bot", 10)], {"excluded:bot": 1}),
    ([("bot", 10), ("restored", 20)], {}),
    ([("restored", 20), ("bot", 10)], {}),  # the rows' order does not matter, their time does
    ([("bot", 10), ("restored", 20), ("withdrawn", 30)], {"excluded:withdrawn": 1}),
    ([("restored", 10)], {}),
])  # fmt: skip
def test_the_latest_exclusion_stands(story, left_out):
    rows = [row("x", "y", "model_a", vote_id="v"), row("x", "y", "model_a", vote_id="w")]
    exclusions = [{"vote_id": "v", "reason": reason, "created_at": when} for reason, when in story]
    assert votes_from_rows(rows, exclusions).left_out == left_out


def test_an_exclusion_of_no_known_vote_is_reported():
    votes = votes_from_rows([row("x", "y", "tie", vote_id="v")], [{"vote_id": "w", "reason": "bot"}])
    assert votes.left_out == {} and votes.idle_exclusions == 1


def test_one_vote_id_for_two_votes_is_refused():
    with pytest.raises(errors.ConflictingVotes, match=r"1 row repeats .*'v' \(1 row\)"):
        votes_from_rows([row("x", "y", "model_a", vote_id="v"), row("x", "y", "model_b", vote_id="v")])


def test_models_that_only_stand_in_votes_left_out_are_no_contenders():
    assert votes_from_rows([row("x", "y", "tie"), row("z", "z", "tie")]).models == ("x", "y")


# -- time and order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [
    1_000, "1970-01-01T00:00:01Z", "1970-01-01T00:00:01", "1970-01-01 01:00:01+01:00", "1000",
    datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 1),
])  # fmt: skip
def test_moments_come_in_many_forms(moment):
    assert votes_from_rows([row("x", "y", "tie", created_at=moment)]).created_at.tolist() == [1_000]


@pytest.mark.parametrize("kind", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_arrow_timestamps_of_any_unit(kind, zone):
    moment = pa.array([1], pa.timestamp("s", zone)).cast(pa.timestamp(kind, zone))
    table = pa.table({"model_a": ["x"], "model_b": ["y"], "winner": ["tie"], "created_at": moment})
    assert from_arrow(table).created_at.tolist() == [1_000]


@pytest.mark.parametrize("moment", ["yesterday", True, 1_790_000_000_000_000, 10**30])
def test_what_names_no_moment_is_refused(moment):
    with pytest.raises(errors.BadTime, match="column created_at: 1 row"):
        votes_from_rows([row("x", "y", "tie", created_at=moment), row("x", "y", "tie", created_at=0)])


def test_order_is_by_time_then_id_whatever_the_order_of_the_rows():
    rows = [row("x", "y", "model_a", vote_id=name, created_at=when)
            for name, when in (("d", 3), ("b", 2), ("c", 2), ("a", 7))]  # fmt: skip
    for order in (rows, rows[::-1]):
        votes = votes_from_rows(order)
        assert [votes.vote_id.names[code] for code in votes.vote_id.codes] == ["b", "c", "d", "a"]


def test_rows_without_a_time_stay_behind_their_neighbour():
    rows = [row("x", "y", "model_a", created_at=5), row("x", "y", "model_b"), row("x", "y", "tie", created_at=1)]
    votes = votes_from_rows(rows)
    assert outcomes(votes) == ["both_good", "model_a", "model_b"] and votes.created_at[2] == NO_TIME


# -- sources ------------------------------------------------------------------------------------------------------

EXCLUSIONS = [{"vote_id": "v000003", "reason": "bot", "created_at": START},
              {"vote_id": "v000004", "reason": "bot", "created_at": START},
              {"vote_id": "v000004", "reason": "restored", "created_at": START + 1}]  # fmt: skip


def arrow(rows):
    table = pa.Table.from_pylist(rows)
    place = table.column_names.index("created_at")
    return table.set_column(place, "created_at", table["created_at"].cast(pa.timestamp("ms", "UTC")))


def write_dataset(folder, rows, exclusions, shards=3):
    size = len(rows) // shards + 1
    for config, parts in (("votes", [rows[at:at + size] for at in range(0, len(rows), size)]),
                          ("exclusions", [exclusions])):  # fmt: skip
        for number, part in enumerate(parts):
            target = folder / "data" / config / f"2026-{number:02d}" / f"{number}.parquet"
            target.parent.mkdir(parents=True)
            pq.write_table(arrow(part), target)
    return folder


def write_ledger(path, rows, exclusions):
    connection = sqlite3.connect(path)
    for table, cells in (("votes", rows), ("exclusions", exclusions)):
        names = list(cells[0])
        connection.execute(f"CREATE TABLE {table} ({', '.join(names)}, extra TEXT)")
        connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                               [tuple(cell.values()) for cell in cells])  # fmt: skip
    connection.commit()
    connection.close()
    return path


def test_every_source_gives_the_same_table(tmp_path):
    rows = simulated(200)
    expected = votes_from_rows(rows, EXCLUSIONS)
    assert expected.left_out == {"excluded:bot": 1}
    same(read_votes(write_ledger(tmp_path / "ledger.sqlite", rows, EXCLUSIONS)), expected)
    same(read_votes(write_dataset(tmp_path / "dataset", rows, EXCLUSIONS)), expected)
    same(read_votes(tmp_path / "dataset" / "data"), expected)
    plain = votes_from_rows(rows)
    pq.write_table(arrow(rows), tmp_path / "v.parquet")
    same(read_votes(tmp_path / "v.parquet"), plain)
    (tmp_path / "folder").mkdir()
    pq.write_table(arrow(rows[:50]), tmp_path / "folder" / "a.parquet")
    pq.write_table(arrow(rows[50:]), tmp_path / "folder" / "b.parquet")
    same(read_votes(tmp_path / "folder"), plain)
    (tmp_path / "v.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    same(read_votes(tmp_path / "v.jsonl"), plain)
    with open(tmp_path / "v.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    same(read_votes(tmp_path / "v.csv"), plain)
    same(from_arrow(arrow(rows)), plain)


def test_dictionary_encoded_columns_and_other_columns_are_welcome():
    rows = simulated(60)
    table = arrow(rows)
    coded = pa.table({name: table[name].dictionary_encode() if table[name].type == pa.string() else table[name]
                      for name in table.column_names} | {"image": pa.array([b"png"] * 60)})  # fmt: skip
    same(from_arrow(pa.concat_tables([coded.slice(0, 20), coded.slice(20)])), votes_from_rows(rows))


CELLS = st.lists(st.sampled_from([None, "", "a", "b", "cc", "dd", "ee", "ü"]), max_size=40)


@settings(max_examples=150, deadline=None)
@given(CELLS, st.integers(1, 12), st.booleans(), st.sampled_from([0, 3, 100]))
def test_a_column_of_arrow_has_the_cells_of_the_same_list(cells, size, dictionary, few):
    kind = pa.dictionary(pa.int8(), pa.string()) if dictionary else pa.string()
    parts = [pa.array(cells[at : at + size], kind) for at in range(0, len(cells), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "FEW", few)  # above it names stay in Arrow
        found, expected = encode(pa.chunked_array(parts, kind)), encode(cells)
        assert found.to_pylist() == expected.to_pylist() and len(set(found.names)) == len(found.names)
        assert found.compact().names == expected.compact().names
        assert [found.names[code] for code in found.present()] == [*dict.fromkeys(cell for cell in cells if cell)]
        wanted = ["cc", "zz", "a"]
        assert [wanted[at] if at >= 0 else None for at in found.places(wanted)] == [
            name if name in wanted else None for name in found.names
        ]
        ranks = found.ranks(found.present())
        assert [name for _, name in sorted(zip(ranks, found.names, strict=True))] == sorted(found.names)
        assert found.names == expected.names


def test_a_dictionary_may_repeat_itself_and_hold_names_that_never_occur():
    codes = pa.array([3, 0, None, 1, 4, 0], pa.int32())
    for few in (0, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(texts, "FEW", few)
            names = pa.array(["x", "y", "never", "x", ""])
            found = encode(pa.chunked_array([pa.DictionaryArray.from_arrays(codes, names)]))
            assert found.to_pylist() == ["x", "x", None, "y", None, "x"]
            assert found.names == ("x", "y", "never") and found.names[0] == "x" and found.names[1:] == ("y", "never")


def test_texts_are_taken_for_different_only_where_that_is_proven():
    rng = random.Random(0)
    ids = [f"{rng.getrandbits(128):032x}" for _ in range(20_000)]
    assert texts.all_distinct(pa.array(ids)) and texts.all_distinct(pa.array(ids).slice(700, 900))
    assert not texts.all_distinct(pa.array([*ids, ids[17]]))
    for other in ([*ids, "short"], [*ids, None], [""] * 5, []):
        assert not texts.all_distinct(pa.array(other, pa.string()))
    for width in (1, 7, 8, 9, 36):
        assert texts.all_distinct(pa.array([f"{n:0{width}d}" for n in range(10)]))


@pytest.mark.parametrize("name", ["{:032x}", "{}"], ids=["one length", "many lengths"])
def test_ids_that_stay_in_arrow_order_exclude_and_repeat_as_any_others(name, tmp_path):
    rows = simulated(5000)
    for number, cell in enumerate(rows):
        cell["vote_id"] = name.format((number * 7919) % 10_007)
        cell["created_at"] = START + number // 3  # ties of time, which the ids decide
    rows.append(dict(rows[17]))
    random.Random(0).shuffle(rows)
    out = [{"vote_id": rows[at]["vote_id"], "reason": "bot", "created_at": START} for at in (3, 99)]
    out.append({"vote_id": "of no vote", "reason": "bot", "created_at": START})
    expected, found = votes_from_rows(rows, out), from_arrow(arrow(rows), arrow(out))
    assert expected.left_out["duplicate"] == 1 and found.idle_exclusions == expected.idle_exclusions == 1
    same(found, expected)
    write_dataset(tmp_path / "set", rows, out)
    same(read_votes(tmp_path / "set"), expected)
    rows[4] = rows[4] | {"vote_id": rows[5]["vote_id"]}
    with pytest.raises(errors.ConflictingVotes, match="1 row repeats"):
        from_arrow(arrow(rows))


def test_columns_that_nobody_reads_are_never_encoded(tmp_path, monkeypatch):
    rows = [cell | {"prompt": f"text {number}"} for number, cell in enumerate(simulated(50))]
    write_dataset(tmp_path / "set", rows, EXCLUSIONS)
    encoded, coded = [], texts.coded
    monkeypatch.setattr("leaderboard.columns.coded", lambda column: encoded.append(column[0].as_py()) or coded(column))
    votes = read_votes(tmp_path / "set").where(np.arange(10))
    assert "text 0" not in encoded and "v000000" in encoded
    assert votes.prompt.to_pylist()[0] == "text 0" and "text 0" in encoded


def test_votes_are_split_by_group_in_their_order():
    votes = votes_from_rows(simulated(300))
    codes = votes.category.codes
    for group, part in enumerate(votes.split(codes, 5)):
        same(part, votes.where(codes == group))
        assert len(part) == (codes == group).sum() and part.total == 300


def test_a_field_that_is_worked_out_later_is_a_field_like_any_other():
    asked = []

    @dataclass(frozen=True)
    class Row:
        name: str
        value: float = Later()
        other: int = Later(7)

    row = Row("x", lambda: asked.append(1) or 2.5)
    assert not asked and row.value == row.value == 2.5 and asked == [1]
    assert asdict(row) == {"name": "x", "value": 2.5, "other": 7} and replace(row, other=8) == Row("x", 2.5, 8)
    with pytest.raises(TypeError, match="value"):
        Row("x")


def test_the_ledger_is_never_written(tmp_path):
    path = write_ledger(tmp_path / "ledger.sqlite", simulated(20), EXCLUSIONS)
    path.chmod(0o444)
    before = path.read_bytes()
    assert len(read_votes(path)) == 19
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_numbers_as_model_names_stay_what_they_were(tmp_path):
    (tmp_path / "v.csv").write_text("model_a,model_b,winner\n007,12,tie\n", encoding="utf-8")
    assert read_votes(tmp_path / "v.csv").models == ("007", "12")


def test_lmarena_files_are_understood():
    table = pa.table({"model_a": ["x", "x"], "model_b": ["y", "y"], "winner": ["tie (bothbad)", "model_a"],
                      "tstamp": [2.5, 1.0], "anony": [True, False], "judge": ["j", "k"],
                      "question_id": ["q", "r"]})  # fmt: skip
    votes = from_arrow(table)
    assert votes.left_out == {"mode:named": 1} and votes.created_at.tolist() == [2500]
    assert votes.voter.names[votes.voter.codes[0]] == "j" and outcomes(votes) == ["both_bad"]


def test_sources_that_cannot_be_read_say_why(tmp_path):
    (tmp_path / "v.txt").write_text("x")
    (tmp_path / "v.parquet").write_text("x")
    (tmp_path / "v.jsonl").write_text('{"model_a": 1}\nnope\n')
    (tmp_path / "list.jsonl").write_text("[1]\n")
    (tmp_path / "none.jsonl").write_text("")
    (tmp_path / "v.csv").write_text("")
    (tmp_path / "v.sqlite").write_text("no database" * 200)
    sqlite3.connect(tmp_path / "bare.sqlite").execute("CREATE TABLE other (x)").connection.close()
    (tmp_path / "empty").mkdir()
    for name, kind, words in (
        ("v.txt", errors.UnknownFileType, r"can't read \.txt"), ("v.parquet", errors.Unreadable, "not a readable Parq"),
        ("v.jsonl", errors.Unreadable, "line 2 is not JSON"), ("list.jsonl", errors.Unreadable, "line 1 is not"),
        ("none.jsonl", errors.Unreadable, "no rows"), ("v.csv", errors.Unreadable, "not a readable CSV"),
        ("v.sqlite", errors.Unreadable, "not a readable SQLite"), ("bare.sqlite", errors.Unreadable, "no table"),
        ("empty", errors.SourceNotFound, r"no \.parquet"), ("gone.parquet", errors.SourceNotFound, "no such file"),
    ):  # fmt: skip
        with pytest.raises(kind, match=words):
            read_votes(tmp_path / name)


def test_an_error_names_the_source(tmp_path):
    (tmp_path / "v.csv").write_text("model_a,model_b,winner\nx,y,draw\n")
    with pytest.raises(errors.UnknownOutcome, match=r"v\.csv: column winner"):
        read_votes(tmp_path / "v.csv")


def test_a_hub_dataset_is_read_at_its_revision(tmp_path, monkeypatch):
    import huggingface_hub

    rows = simulated(50)
    folder = write_dataset(tmp_path / "0123abcd", rows, EXCLUSIONS)
    asked = {}

    def download(repo, **options):
        asked.update(options, repo=repo)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    votes = read_votes("someone/arena-votes")
    assert votes.revision == "0123abcd" and votes.source == "someone/arena-votes" and len(votes) == 49
    assert asked["repo"] == "someone/arena-votes" and asked["repo_type"] == "dataset" and asked["revision"] is None
    assert asked["allow_patterns"] == ["data/votes/**", "data/exclusions/**"]
    read_votes("someone/arena-votes@v1.0")
    assert asked["revision"] == "v1.0" and asked["repo"] == "someone/arena-votes"


def test_a_hub_that_fails_is_a_typed_error(tmp_path, monkeypatch):
    import huggingface_hub

    def download(repo, **options):
        raise ConnectionError("no\nroute")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.HubError, match="no route"):
        read_votes("someone/arena-votes")


# -- tally --------------------------------------------------------------------------------------------------------


def test_a_tally_counts_groups_sides_and_outcomes_and_adds_up():
    rows = battles("x", "y", wins=2, both_bad=1, category="art") + battles("y", "x", losses=1, category="photo")
    rows += battles("x", "z", both_good=1)
    counts = tally(votes_from_rows(rows))
    assert counts.groups == ("art", "photo", "(none)") and counts.models == ("x", "y", "z")
    assert counts.counts[0, 0, 1].tolist() == [2, 0, 0, 1] and counts.counts[1, 1, 0].tolist() == [0, 1, 0, 0]
    assert counts.counts[2, 0, 2].tolist() == [0, 0, 1, 0] and counts.total().sum() == 5
    halves = tally(votes_from_rows(rows[:2])).add(tally(votes_from_rows(rows[2:])))
    order = [halves.groups.index(name) for name in counts.groups]
    assert halves.models == counts.models and (halves.counts[order] == counts.counts).all()


def test_an_unknown_grouping_is_refused():
    with pytest.raises(errors.UnknownChoice, match="can't group by 'colour'"):
        tally(votes_from_rows([]), by="colour")
