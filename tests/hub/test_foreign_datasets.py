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
found = []
for source in sys.argv[1:]:
    try:
        votes = read_votes(source)
        found.append({"votes": len(votes), "models": votes.models, "revision": votes.revision})
    except errors.LeaderboardError as error:
        found.append({"error": f"{type(error).__name__}: {error}"})
print(json.dumps(found))
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


@pytest.fixture
def read(hub, tmp_path, monkeypatch):
    """Sources, read by another process -> what it found, a dict each."""
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    return lambda *sources: hub.client(READ, tmp_path, *sources)


def test_votes_beside_images_are_read_without_the_images(hub, repo, read, tmp_path):
    source = repo("pairs", {"data/train-00000-of-00002.parquet": shard(), "data/train-00001-of-00002.parquet": shard()})
    before = len(hub.requests)
    (found,) = read(source)
    assert found == {"votes": 60, "models": ["dalle", "flux"], "revision": hub.head(source).oid}
    fetched = sum(request.answered for request in hub.requests[before:] if "/resolve/" in request.path)
    assert 1_000 < fetched < 1_000_000 < 2 * len(shard()), "images stay on the Hub"
    assert not any(path.suffix == ".parquet" for path in tmp_path.rglob("*"))


def test_files_of_little_but_votes_are_read_ahead(hub, repo, read, tmp_path):
    """Thousands of row groups would be as many requests otherwise."""
    rows = 3000
    table = pa.table({"model1": ["flux"] * rows, "model2": [f"m{at % 7}" for at in range(rows)],
                      "votes_image1": [2] * rows, "votes_image2": [1] * rows,
                      "prompt": [os.urandom(20).hex() for _ in range(rows)]})  # fmt: skip
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=20)
    source = repo("many", {"data/train-00000-of-00001.parquet": out.getvalue()})
    before = len(hub.requests)
    assert read(source)[0]["votes"] == 3 * rows
    assert sum(request.method == "GET" and "/resolve/" in request.path for request in hub.requests[before:]) < 12


def test_a_hub_that_fails_meanwhile_is_said_to(hub, repo, read):
    source = repo("pairs", {"data/train-00000-of-00001.parquet": shard(10, 10)})
    hub.faults.add("GET .*/resolve/.*train.*parquet", status=403, times=50)
    broken = repo("broken", {"data/broken.parquet": b"PAR1 no"})
    failed, torn = read(source, broken)
    assert failed["error"].startswith(f"HubError: {source}: the Hub did not answer")
    assert torn["error"].startswith("Unreadable: ") and "broken.parquet: not a readable Parquet file" in torn["error"]


UNANSWERED = """
import json, sys
from leaderboard import errors, remote
remote.PATIENCE = 1
try:
    remote.parquet_files(sys.argv[1], sys.argv[1], None)
except errors.HubError as error:
    print(json.dumps(str(error)))
"""


def test_a_hub_that_never_answers_is_not_waited_for(hub, repo, tmp_path):
    source = repo("pairs", {"data/train-00000-of-00001.parquet": shard(10, 10)})
    hub.faults.add("GET /api/datasets/", hang=600, times=-1)
    assert "timed out" in hub.client(UNANSWERED, tmp_path / "home", source)


def test_a_part_of_a_data_set_can_be_named(repo, read):
    small = shard(4, 10)
    source = repo("parts", {"image/test-00000-of-00001.parquet": small, "video/test-00000-of-00001.parquet": small,
                            "README.md": b"# Parts"})  # fmt: skip
    whole, image, both, audio = read(source, f"{source}:image/test-*.parquet", f"{source}@main:*/test",
                                     f"{source}:audio")  # fmt: skip
    assert "AmbiguousFormat" in whole["error"] and "image/test, video/test" in whole["error"]
    assert f"{source}:PATH" in whole["error"]
    assert image["votes"] == 12 and both["votes"] == 24
    assert "no data/votes" in audio["error"] and "refs/convert/parquet" in audio["error"]


def test_a_data_set_without_votes_says_so(repo, read):
    out = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), out)
    empty, other, absent = read(repo("empty", {"README.md": b"# Empty"}), repo("other", {"x.parquet": out.getvalue()}),
                                "tester/absent")  # fmt: skip
    assert empty["error"].startswith("SourceNotFound: tester/empty: this data set has no data/votes")
    assert other["error"].startswith("MissingColumn: tester/other: columns model_a")
    assert absent["error"].startswith("SourceNotFound: tester/absent: neither a file")
