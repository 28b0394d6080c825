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

from tests.faults.apps import DATASET
from tests.faults.crowd import Crowd
from tests.hub.local_hub import LocalHub

KEYS = {"votes": ("vote_id",), "images": ("image_id",), "prompts": ("prompt_id",),
        "exclusions": ("vote_id", "reason", "created_at")}  # fmt: skip
_ARROW = {"string": pa.string(), "bool": pa.bool_(), "int64": pa.int64(), "int8": pa.int8(), "float32": pa.float32(),
          "float64": pa.float64(), "timestamp[ms, tz=UTC]": pa.timestamp("ms", tz="UTC"),
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
    """Rows of votes and exclusions that are in a ledger and not on the Hub yet."""
    return sum(len(_keys(in_ledger(ledger, name), name) - _keys(table(hub, name), name))
               for ledger in ledgers for name in ("votes", "exclusions"))  # fmt: skip


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
    for name in KEYS if alone else ("votes", "exclusions"):
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
            "twice": 0, "withdrawn": len(withdrawn)}  # fmt: skip


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
            wanted = [(column["name"], _ARROW[column["dtype"]]) for column in features[name]]
            keys: list[tuple] = []
            for path, file in files.items():
                if fnmatch(path, pattern.replace("**", "*")):
                    data = hub.store.read(file)
                    assert _columns(data) == dict(wanted), f"{path} does not fit the card"
                    rows = _rows(data, KEYS[name])
                    assert rows, f"{path} is empty"
                    keys += [tuple(row.values()) for row in rows]
            if alone or name in ("votes", "exclusions"):
                assert len(keys) == len(set(keys)), f"{commit.title}: {name} has rows twice"
            assert before.get(name, set()) <= set(keys), f"{commit.title}: {name} has lost rows"
            before[name] = set(keys)
    return len(history) - 1


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
