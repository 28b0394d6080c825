"""A Hugging Face Hub in this process, for tests: the real clients talk to it over HTTP.

    with LocalHub() as hub:
        HfApi(endpoint=hub.url, token=hub.token).create_repo("tester/arena", repo_type="dataset")
        hub.down(); hub.up()      # absent for a while, on the same port with the same content
        hub.faults.add(...)       # see faults.py
        hub.behind = 1            # readers see an earlier head
        hub.commits_left = 0      # the hour's commits are used up
        hub.part_bytes = 10_000   # uploads of larger files go in parts
        hub.revoke(); hub.heal()  # the token; everything
        hub.requests              # every request so far

`huggingface_hub` must upload without Xet (`HF_HUB_DISABLE_XET=1`): this Hub stores large files through LFS only.
Parts: store.py (what it remembers), faults.py, server.py (HTTP), routes.py (the Hub's API).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.hub.faults import Faults
from tests.hub.routes import Api
from tests.hub.server import Account, HubServer, Request
from tests.hub.store import Answer, Commit, Store
from tests.ports import free_port

# What huggingface.co answers beyond its limit; there is no Retry-After with it.
QUOTA = ("You have exceeded the rate limit for repository commits (128 per hour). You can retry this action in about "
         "1 hour. If you're a new user, your limits will raise progressively over time.")  # fmt: skip


class LocalHub:
    token = "hf_local_writer"
    reader = "hf_local_reader"

    def __init__(self) -> None:
        self.store, self.faults = Store(), Faults()
        self.accounts = {self.token: Account("tester", "write"), self.reader: Account("reader", "read")}
        self.requests: list[Request] = []
        self.stopping = threading.Event()  # ends requests that hang
        self.behind = 0  # commits that readers of a branch have not heard of yet
        self.commits_left: int | None = None  # of the hour's quota; None: no end of them
        self.part_bytes = 0  # larger files are uploaded in parts of so many bytes; 0: never
        self.parts: dict[tuple[str, int], tuple[str, bytes]] = {}
        self.api = Api(self)
        self._server: HubServer | None = None
        self._port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> LocalHub:
        self.stopping.clear()
        self._server = HubServer(self, self._port)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="local-hub", daemon=True).start()
        return self

    def down(self) -> None:
        if self._server:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server.drop_connections()
            self._server = None

    __enter__ = up

    def __exit__(self, *_: object) -> None:
        self.down()

    # -- troubles that are no fault of one request ----------------------------------------------------------

    def revoke(self) -> None:
        """The writer's token is not valid any more, until `heal`."""
        self.accounts.pop(self.token, None)

    def heal(self) -> None:
        """Whatever was wrong with this Hub is over."""
        self.faults.clear()
        self.accounts[self.token] = Account("tester", "write")
        self.behind, self.commits_left = 0, None
        if self._server is None:
            self.up()

    def spend_commit(self) -> None:
        if self.commits_left is not None:
            if self.commits_left <= 0:
                raise Answer(429, QUOTA)
            self.commits_left -= 1

    # -- what tests ask ------------------------------------------------------------------------------------

    def count(self, match: str) -> int:
        """How many requests there were whose "METHOD /path" matches."""
        return sum(bool(re.search(match, f"{r.method} {r.path}")) for r in self.requests)

    def head(self, repo: str) -> Commit:
        return self.store.repo(repo).at("main")

    def commits(self, repo: str) -> int:
        """Commits after the one that made the repository; 0 where there is none."""
        return sum(1 for _ in self.head(repo).history()) - 1 if repo in self.store.repos else 0

    def files(self, repo: str, suffix: str = ".parquet") -> dict[str, bytes]:
        tree = self.head(repo).tree
        return {path: self.store.read(file) for path, file in sorted(tree.items()) if path.endswith(suffix)}

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """The environment in which another process's clients talk to this Hub, with caches under `home`."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        return {**kept, "HF_ENDPOINT": self.url, "HF_TOKEN": self.token, "HF_HOME": str(home),
                "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "no_proxy": "127.0.0.1", **more}  # fmt: skip

    def client(self, script: str, home: Path, *args: str) -> Any:
        """Run Python with real clients pointed at this Hub; returns the JSON that its last line prints."""
        run = subprocess.run([sys.executable, "-c", script, *args], env=self.environment(home), timeout=400,
                             capture_output=True, text=True)  # fmt: skip
        assert run.returncode == 0, run.stderr[-4000:]
        return json.loads(run.stdout.splitlines()[-1])
