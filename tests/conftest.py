"""What every suite shares: a clean environment, and a small arena of fake models.

Nothing of the machine's owner is used: no token, no login, no cache of the Hub, no settings of an arena.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml

for name in [*os.environ]:
    if name.startswith(("ARENA_", "HF_", "HUGGING", "SPACE", "GRADIO_")):
        del os.environ[name]

_HOME = tempfile.mkdtemp(prefix="image-arena-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ |= {
    "HF_HOME": _HOME,
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",
}


@pytest.fixture
def tiny_config(tmp_path: Path) -> Path:
    """The path of an arena.yaml with three fake models, two categories and four prompts."""
    models = [
        {"id": f"fake-{name}", "name": f"Fake {name.title()}", "organisation": "Tests", "family": f"Family {k % 2}",
         "licence": "apache-2.0", "backend": "fake", "source": "fake", "demo": True,
         "settings": {"num_inference_steps": 2, "guidance_scale": 1.0, "width": 64, "height": 64}}
        for k, name in enumerate(("one", "two", "three"))
    ]  # fmt: skip
    categories = [
        {"name": "Anime", "sub_categories": ["vibrant"], "prompts": [
            {"simplified": "a red ball", "complex": "a red ball left of a blue box", "sub_category": "vibrant"}]},
        {"name": "Painting", "prompts": [{"prompt": "a white boat at sea"}, {"prompt": "a green tree"}]},
    ]  # fmt: skip
    path = tmp_path / "arena.yaml"
    path.write_text(yaml.safe_dump({"title": "Tests", "models": models, "categories": categories}), encoding="utf-8")
    return path
