"""Weights from the Hub through its real client, against a server on loopback: what is fetched, and what is refused."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from arena.backends import Request, reason
from arena.backends.diffusers_backend import DiffusersBackend
from arena.config import ModelSettings
from arena.errors import GatedModel, ModelMissing

COMMIT = "c" * 40
SETTINGS = {"num_inference_steps": 2, "guidance_scale": 4.0, "height": 32, "width": 32}


def row(source: str, **more) -> ModelSettings:
    return ModelSettings(id="one", name="one", organisation="o", family="f", licence="MIT", source=source,
                         **({"settings": SETTINGS} | more))  # fmt: skip


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Two repositories with equal encoders, lab/one and lab/two, and lab/gated. Yields the paths that were asked for."""
    from huggingface_hub import close_session, constants, hf_api

    from tests.tiny_pipelines import build

    folders = {f"lab/{name}": build("StableDiffusionPipeline", tmp_path / name) for name in ("one", "two")}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            asked.append(path)
            if path.startswith("/api/models/"):
                repo = "/".join(path.split("/")[3:5])
                return self.tree(repo) if "/tree/" in path else self.about(repo, path.partition("/revision/")[2])
            repo, _, rest = path.strip("/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            if (error := self.refused(repo, revision)) is not None:
                return error
            where = folders[repo] / file
            if not where.is_file():
                return self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            data = where.read_bytes()
            tag = hashlib.sha256(data).hexdigest() if where.suffix == ".safetensors" else hashlib.sha1(data).hexdigest()
            self.reply(200, data, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})

        do_HEAD = do_GET  # noqa: N815

        def refused(self, repo, revision):
            if repo == "lab/gated":
                self.reply(403, b"", {"X-Error-Code": "GatedRepo"})
            elif repo not in folders:
                self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("", "main", COMMIT):
                self.reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
            else:
                return None
            return True

        def about(self, repo, revision):
            if self.refused(repo, revision) is None:
                files = [str(path.relative_to(folders[repo])) for path in folders[repo].rglob("*") if path.is_file()]
                said = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
                self.reply(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

        def tree(self, repo):
            rows = [{"type": "file", "path": str(path.relative_to(folders[repo])), "size": path.stat().st_size,
                     "oid": hashlib.sha1(path.read_bytes()).hexdigest()} for path in folders[repo].rglob("*.*")]  # fmt: skip
            self.reply(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

        def reply(self, status, data, headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(hf_api.api, "endpoint", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    yield asked
    server.shutdown()
    server.server_close()
    close_session()


def draw(folder: Path, model: ModelSettings):
    backend = DiffusersBackend(folder, memory_gb=1, device="cpu")
    try:
        return backend.generate([Request(model, "x", 1)], progress=lambda _: None, cancelled=lambda: False)[0]
    finally:
        backend.close()


@pytest.mark.parametrize(("source", "more", "kind", "words"), [
    ("lab/gated", {}, GatedModel, "https://huggingface.co/lab/gated"),
    ("lab/none", {}, ModelMissing, "there is no lab/none on the Hub"),
    ("lab/one", {"revision": "v9"}, ModelMissing, "no such revision"),
    ("lab/one", {"pipeline": {"components": {"vae": {"source": "lab/two", "file": "x.safetensors"}}}}, ModelMissing,
     "lacks a file"),
])  # fmt: skip
def test_what_the_hub_refuses_is_told_by_its_class(hub, tmp_path, source, more, kind, words):
    with pytest.raises(kind) as caught:
        draw(tmp_path / "elsewhere", row(source, **more))
    assert type(caught.value) is kind and words in reason(caught.value) and kind.advice in reason(caught.value)
    assert "lab/" not in str(caught.value)


def test_models_of_two_repositories_share_what_is_equal_and_name_their_commit(hub, tmp_path):
    backend = DiffusersBackend(tmp_path / "elsewhere", memory_gb=1, device="cpu")
    first, second = backend.loaded(row("lab/one")), backend.loaded(row("lab/two"))
    assert first.revision == second.revision == COMMIT
    assert first.pipeline is not second.pipeline and first.pipeline.unet is second.pipeline.unet
    assert backend.shelf.bytes == sum(first.sizes.values())
    asked = len(hub)
    backend.close()
    assert draw(tmp_path / "elsewhere", row("lab/one", revision=COMMIT)).model_revision == COMMIT
    assert not any("safetensors" in path for path in hub[asked:]), "what is in the cache is not fetched again"
