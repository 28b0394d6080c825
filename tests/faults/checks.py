"""What must hold of a dataset and its ledgers, whatever happened: nothing lost, nothing twice, everything loads."""

from __future__ import annotations

import io
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from arena.records import feedback_id
from tests.faults.apps import DATASET
from tests.faults.crowd import Crowd
from tests.hub.local_hub import LocalHub

KEYS = {"votes": ("vote_id",), "images": ("image_id",), "prompts": ("prompt_id",),
        "exclusions": ("vote_id", "reason", "created_at"), "feedback": ("feedback_id",)}  # fmt: skip
OWN = ("votes", "feedback", "exclusions")  # tables with rows that no other arena has too
_ARROW = {"string": pa.string(), "bool": pa.bool_(), "int64": pa.int64(), "int32": pa.int32(), "int8": pa.int8(),
          "float32": pa.float32(), "float64": pa.float64(), "timestamp[ms, tz=UTC]": pa.timestamp("ms", tz="UTC"),
          "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())])}  # fmt: skip


def table(hub: LocalHub, name: str) -> list[dict[str, Any]]:
    """Its rows on the Hub now, without pictures."""
    if DATASET not in hub.store.repos:
        return []
    rows = []
    for path, file in sorted(hub.head(DATASET).tree.items()):
        if path.startswith(f"data/{name}/"):
            rows += _rows(hub.store.read(file), tuple(c for c in _columns(hub.store.read(file)) if c != "image"))
    return rows


def in_ledger(ledger: Path, name: str) -> list[dict[str, Any]]:
    """The rows that this ledger took itself, and may publish."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=20) as db:
        db.row_factory = sqlite3.Row
        columns = {row["name"] for row in db.execute(f"PRAGMA table_info({name})")}
        where = [f"{column} = 0" for column in ("private", "from_hub") if column in columns]
        rows = db.execute(f"SELECT * FROM {name}" + (f" WHERE {' AND '.join(where)}" if where else "")).fetchall()
    db.close()
    return [dict(row) for row in rows]


def missing(hub: LocalHub, ledgers: Iterable[Path]) -> int:
    """Rows of votes, feedback and exclusions that are in a ledger and not on the Hub yet."""
    return sum(len(_keys(in_ledger(ledger, name), name) - _keys(table(hub, name), name))
               for ledger in ledgers for name in OWN)  # fmt: skip


def assert_nothing_lost_and_nothing_twice(hub: LocalHub, ledgers: list[Path], crowds: list[Crowd], *,
                                          alone: bool = True) -> dict[str, int]:  # fmt: skip
    """All that was acknowledged is in a ledger, and every ledger's rows are on the Hub exactly once. `alone` where
    nobody else has the same prompts and images to publish. Returns counts."""
    kept = [row for ledger in ledgers for row in in_ledger(ledger, "votes")]
    by_battle = Counter(row["battle_id"] for row in kept)
    assert max(by_battle.values(), default=1) == 1, "a battle has two votes"
    winners = {row["battle_id"]: row["winner"] for row in kept}
    acknowledged = {battle: winner for crowd in crowds for battle, winner in crowd.votes.items()}
    uncertain = {battle: winner for crowd in crowds for battle, winner in crowd.uncertain.items()}
    lost = {battle for battle, winner in acknowledged.items() if winners.get(battle) != winner}
    assert not lost, f"{len(lost)} acknowledged votes are not in the ledger"
    extra = {battle for battle, winner in winners.items() if {**uncertain, **acknowledged}.get(battle) != winner}
    assert not extra, f"{len(extra)} votes that nobody cast"
    said = _assert_feedback_is_kept(kept, [row for ledger in ledgers for row in in_ledger(ledger, "feedback")], crowds)
    styles = {row["feedback_id"]: row["style"] for row in table(hub, "feedback")}
    assert styles == said, "the dataset has other feedback than the ledgers"
    for name in KEYS if alone else OWN:
        there, here = Counter(_key(row, name) for row in table(hub, name)), set()
        for ledger in ledgers:
            here |= _keys(in_ledger(ledger, name), name)
        twice = [key for key, count in there.items() if count > 1]
        assert not twice, f"{name}: {len(twice)} rows are in the dataset twice"
        assert not here - there.keys(), f"{name}: {len(here - there.keys())} rows never came to the dataset"
        assert not there.keys() - here, f"{name}: {len(there.keys() - here)} rows are in no ledger"
    votes = {row["vote_id"]: row["battle_id"] for row in kept}
    out = {votes[row["vote_id"]] for row in table(hub, "exclusions")}
    withdrawn = {battle for crowd in crowds for battle in crowd.withdrawn}
    assert withdrawn <= out, "a withdrawal that was acknowledged is lost"
    return {"acknowledged": len(acknowledged), "in the dataset": len(table(hub, "votes")), "lost": len(lost),
            "twice": 0, "withdrawn": len(withdrawn), "feedback": len(said)}  # fmt: skip


def _assert_feedback_is_kept(votes: list[dict], kept: list[dict], crowds: list[Crowd]) -> dict[str, int]:
    """All that was acknowledged is in a ledger, and nothing that nobody gave. Returns the style of each by its id."""
    vote_ids = {row["battle_id"]: row["vote_id"] for row in votes}
    styles = {row["feedback_id"]: row["style"] for row in kept}
    assert len(styles) == len(kept), "feedback is kept twice"

    def by_id(given: dict[tuple[str, str], int]) -> dict[str, int]:
        return {feedback_id(vote_ids[battle], side): style for (battle, side), style in given.items()}

    acknowledged, uncertain = {}, {}
    for crowd in crowds:
        acknowledged |= by_id(crowd.said)
        uncertain |= by_id(crowd.unsure)
    lost = {key for key, style in acknowledged.items() if styles.get(key) != style}
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged feedbacks are not in the ledger"
    extra = {key for key, style in styles.items() if {**uncertain, **acknowledged}.get(key) != style}
    assert not extra, f"{len(extra)} feedbacks that nobody gave"
    return styles


def assert_loads_at_every_commit(hub: LocalHub, *, alone: bool = True) -> int:
    """Every config that the card lists has files, every file fits the card, every table with files is listed, no
    commit has a row twice (`alone` as above) and none has fewer rows than the one before. Returns the number of
    commits."""
    history = list(hub.head(DATASET).history())[::-1]
    before: dict[str, set] = {}
    for commit in history:
        card = hub.store.read(commit.tree["README.md"]).decode() if "README.md" in commit.tree else "---\n{}\n---\n"
        meta = yaml.safe_load(re.match(r"\A---\n(.*?)\n---\n", card, re.DOTALL)[1])
        features = {info["config_name"]: info["features"] for info in meta.get("dataset_info", [])}
        listed = {config["config_name"]: config["data_files"][0]["path"] for config in meta.get("configs", [])}
        assert features.keys() == listed.keys()
        files = {path: file for path, file in commit.tree.items() if path.startswith("data/")}
        assert {path.split("/")[1] for path in files} == set(listed), f"{commit.title}: the card lists {set(listed)}"
        for name, pattern in listed.items():
            wanted = [(column["name"], _arrow(column)) for column in features[name]]
            keys: list[tuple] = []
            for path, file in files.items():
                if fnmatch(path, pattern.replace("**", "*")):
                    data = hub.store.read(file)
                    assert _columns(data) == dict(wanted), f"{path} does not fit the card"
                    rows = _rows(data, KEYS[name])
                    assert rows, f"{path} is empty"
                    keys += [tuple(row.values()) for row in rows]
            if alone or name in OWN:
                assert len(keys) == len(set(keys)), f"{commit.title}: {name} has rows twice"
            assert before.get(name, set()) <= set(keys), f"{commit.title}: {name} has lost rows"
            before[name] = set(keys)
    return len(history) - 1


def _arrow(column: dict[str, Any]) -> pa.DataType:
    """The type of a column as the card says it."""
    if "list" not in column:
        return _ARROW[column["dtype"]]
    inside = column["list"]
    if isinstance(inside, str):
        return pa.list_(_ARROW[inside])
    return pa.list_(pa.struct([(field["name"], _ARROW[field["dtype"]]) for field in inside]))


@cache
def _columns(data: bytes) -> dict[str, pa.DataType]:
    schema = pq.read_schema(io.BytesIO(data))
    return dict(zip(schema.names, schema.types, strict=True))


@cache
def _rows(data: bytes, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    return pq.read_table(io.BytesIO(data), columns=list(columns)).to_pylist()


def _keys(rows: list[dict[str, Any]], name: str) -> set[tuple]:
    return {_key(row, name) for row in rows}


def _key(row: dict[str, Any], name: str) -> tuple:
    at = row["created_at"]
    known = {**row, "created_at": at if isinstance(at, int) else round(at.timestamp() * 1000)}
    return tuple(known[column] for column in KEYS[name])
