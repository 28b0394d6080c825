"""The leaderboard shows the images of a published data set, and downloads them only where it is asked to."""

from __future__ import annotations

import os

from arena.publisher import HubTarget
from tests.hub.small_arena import DATASET, SmallArena

READ = """
import hashlib, json, sys
from leaderboard.pictures import open_pictures
without, pictures = open_pictures(sys.argv[1]), open_pictures(sys.argv[1], images=True)
found = {p.image_id: [p.model, hashlib.sha256(pictures.data(p.image_id)).hexdigest()[:32]] for p in pictures.all()}
print(json.dumps({"without": len(without), "found": found}))
"""


def test_images_are_downloaded_only_when_they_are_asked_for(hub, tmp_path, monkeypatch):
    arena = SmallArena(tmp_path / "arena")
    arena.vote(2)
    arena.publisher(HubTarget(DATASET, token=hub.token, endpoint=hub.url)).publish_now()
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    found = hub.client(READ, tmp_path, DATASET)
    made = [image for images in arena.images.values() for image in images]
    assert found == {"without": 0, "found": {image.image_id: [image.model, image.image_id] for image in made}}
