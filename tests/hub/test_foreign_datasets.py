"""The leaderboard reads other people's data sets on the Hub: only the columns with votes leave it."""

from __future__ import annotations

import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

READ = """
import json, sys
from leaderboard import errors
from leaderboard.votes import read_votes
try:
    votes = read_votes(sys.argv[1])
    print(json.dumps({"votes": len(votes), "models": votes.models, "revision": votes.revision}))
except errors.LeaderboardError as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


def shard(rows: int = 10, picture: int = 200_000) -> bytes:
    table = pa.table({"model1": ["flux"] * rows, "model2": ["dalle"] * rows, "votes_image1": [2] * rows,
                      "votes_image2": [1] * rows, "prompt": ["p"] * rows,
                      "image1": [os.urandom(picture) for _ in range(rows)]})  # fmt: skip
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=5, compression="none")
    return out.getvalue()


@pytest.fixture
def repo(hub):
    def made(name: str, files: dict[str, bytes]) -> str:
        api = HfApi(endpoint=hub.url, token=hub.token)
        api.create_repo(f"tester/{name}", repo_type="dataset")
        api.create_commit(f"tester/{name}", [CommitOperationAdd(path, data) for path, data in files.items()],
                          commit_message="test", repo_type="dataset")  # fmt: skip
        return f"tester/{name}"

    return made


def read(hub, tmp_path, source: str, monkeypatch) -> dict:
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    return hub.client(READ, tmp_path, source)


def test_votes_beside_images_are_read_without_the_images(hub, repo, tmp_path, monkeypatch):
    source = repo("pairs", {"data/train-00000-of-00002.parquet": shard(), "data/train-00001-of-00002.parquet": shard()})
    before = len(hub.requests)
    found = read(hub, tmp_path, source, monkeypatch)
    assert found == {"votes": 60, "models": ["dalle", "flux"], "revision": hub.head(source).oid}
    fetched = sum(request.answered for request in hub.requests[before:] if "/resolve/" in request.path)
    assert 1_000 < fetched < 1_000_000 < 2 * len(shard()), "images stay on the Hub"
    assert not any(path.suffix == ".parquet" for path in tmp_path.rglob("*"))


def test_files_of_little_but_votes_are_read_ahead(hub, repo, tmp_path, monkeypatch):
    """Thousands of row groups would be as many requests otherwise."""
    rows = 3000
    table = pa.table({"model1": ["flux"] * rows, "model2": [f"m{at % 7}" for at in range(rows)],
                      "votes_image1": [2] * rows, "votes_image2": [1] * rows,
                      "prompt": [os.urandom(20).hex() for _ in range(rows)]})  # fmt: skip
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=20)
    source = repo("many", {"data/train-00000-of-00001.parquet": out.getvalue()})
    before = len(hub.requests)
    assert read(hub, tmp_path, source, monkeypatch)["votes"] == 3 * rows
    assert sum(request.method == "GET" and "/resolve/" in request.path for request in hub.requests[before:]) < 12


def test_a_hub_that_fails_meanwhile_is_said_to(hub, repo, tmp_path, monkeypatch):
    source = repo("pairs", {"data/train-00000-of-00001.parquet": shard(10, 10)})
    hub.faults.add("GET .*/resolve/.*parquet", status=403, times=50)
    assert read(hub, tmp_path, source, monkeypatch)["error"].startswith(f"HubError: {source}: the Hub did not answer")
    hub.faults.clear()
    broken = repo("broken", {"data/train-00000-of-00001.parquet": b"PAR1 no"})
    assert "Unreadable: " in (error := read(hub, tmp_path, broken, monkeypatch)["error"]), error
    assert "not a readable Parquet file" in error


def test_a_part_of_a_data_set_can_be_named(hub, repo, tmp_path, monkeypatch):
    small = shard(4, 10)
    source = repo("parts", {"image/test-00000-of-00001.parquet": small, "video/test-00000-of-00001.parquet": small,
                            "README.md": b"# Parts"})  # fmt: skip
    whole = read(hub, tmp_path, source, monkeypatch)
    assert "AmbiguousFormat" in whole["error"] and "image/test, video/test" in whole["error"]
    assert f"{source}:PATH" in whole["error"]
    assert read(hub, tmp_path, f"{source}:image", monkeypatch)["votes"] == 12
    assert read(hub, tmp_path, f"{source}@main:*/test", monkeypatch)["votes"] == 24
    assert "no data/votes" in read(hub, tmp_path, f"{source}:audio", monkeypatch)["error"]


def test_a_data_set_without_votes_says_so(hub, repo, tmp_path, monkeypatch):
    assert "SourceNotFound" in read(hub, tmp_path, repo("empty", {"README.md": b"# Empty"}), monkeypatch)["error"]
    out = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), out)
    source = repo("other", {"data/x.parquet": out.getvalue()})
    assert "MissingColumn: tester/other: columns model_a" in read(hub, tmp_path, source, monkeypatch)["error"]
    assert "SourceNotFound" in read(hub, tmp_path, "tester/absent", monkeypatch)["error"]
