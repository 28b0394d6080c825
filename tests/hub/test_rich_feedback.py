"""Feedback of a published data set on the Hub: read without its images, and the same as from a folder."""

from __future__ import annotations

import os

import pytest
from huggingface_hub import HfApi

from leaderboard import rich
from tests.leaderboard_feedback import world, write

READ = """
import json, sys
from leaderboard import errors, rich
try:
    found = rich.of(sys.argv[1])
    print(json.dumps({"rows": len(found), "left_out": found.feedback.left_out, "revision": found.feedback.revision,
                      "means": {part.model: part.scores["overall"].mean for part in found.models()}}))
except errors.LeaderboardError as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


def test_the_hubs_feedback_is_the_folders_and_no_image_is_fetched(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    folder = write(world(votes=200), tmp_path / "published")
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("tester/rich", repo_type="dataset")
    api.upload_folder(repo_id="tester/rich", repo_type="dataset", folder_path=folder)
    before = len(hub.requests)
    found = hub.client(READ, tmp_path, "tester/rich")
    local = rich.of(folder)
    assert found["means"] == pytest.approx({part.model: part.scores["overall"].mean for part in local.models()})
    assert (found["rows"], found["left_out"]) == (len(local), local.feedback.left_out)
    assert found["revision"] == hub.head("tester/rich").oid
    assert not [request.path for request in hub.requests[before:] if "data/images" in request.path]
    assert "SourceNotFound" in hub.client(READ, tmp_path, "tester/nothing")["error"]
