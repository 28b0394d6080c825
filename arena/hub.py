"""The Hub dataset that shards are published to, and what stands in for it where none is configured.

`push` puts a batch of shards and the dataset card on the Hub in one commit, and returns only when the Hub itself
lists every shard with the hash that was sealed. That holds however a request ends: a commit can land although
the client saw an error, and a repository's .gitignore can drop files from a commit that succeeds.
Pushing the same shards again is harmless: equal files at equal paths make no new commit.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from arena.errors import PublishError
from arena.records import TABLES, Shard

log = logging.getLogger(__name__)

FILES_A_COMMIT = 50
Card = Callable[[set[str]], str]  # the dataset card for these tables


@dataclass(frozen=True, slots=True)
class HubTarget:
    dataset: str  # user/name
    token: str | None = field(default=None, repr=False)  # None: the one that `hf auth login` saved
    endpoint: str | None = None  # None: huggingface.co, or HF_ENDPOINT
    private: bool = False
    timeout: float = 60  # seconds that any one read or write may take


class Nowhere:
    """No Hub is configured: shards stay pending, and are published from the day that a dataset is."""

    dataset = None
    least_seconds = 60.0  # nobody waits for local shards, and each is a file

    def batches(self, pending: Sequence[Shard]) -> Iterator[Sequence[Shard]]:
        return iter(())

    def push(self, shards: Sequence[Shard], files: Sequence[Path], card: Card) -> None:
        raise PublishError("no Hub dataset is configured")


class Hub:
    """Make it before other threads use huggingface_hub: its shared HTTP client gets timeouts here. Needs no
    network until the first `push`."""

    least_seconds = 0.0

    def __init__(self, target: HubTarget):
        from huggingface_hub import HfApi

        self.dataset = target.dataset
        self._target = target
        self._api = HfApi(endpoint=target.endpoint, token=target.token, library_name="image-arena")
        self._exists = False
        self._card = ""  # as this process last put it there
        _limit_waiting(target.timeout)

    def batches(self, pending: Sequence[Shard]) -> Iterator[Sequence[Shard]]:
        return (pending[i : i + FILES_A_COMMIT] for i in range(0, len(pending), FILES_A_COMMIT))

    def push(self, shards: Sequence[Shard], files: Sequence[Path], card: Card) -> None:
        """Raises PublishError; then some or all of `shards` may be on the Hub, or none."""
        try:
            self._commit(shards, files, card)
        except PublishError:
            raise
        except Exception as error:  # huggingface_hub, its HTTP client and hf_xet raise many kinds
            log.info("committing to %s ended in an error; asking what it holds", self.dataset, exc_info=True)
            if not self._holds_after_error(shards, files):
                raise PublishError(f"{self.dataset}: {_in_a_line(error)}") from error

    def _commit(self, shards: Sequence[Shard], files: Sequence[Path], card: Card) -> None:
        from huggingface_hub import CommitOperationAdd

        if not self._exists:
            self._api.create_repo(self.dataset, repo_type="dataset", private=self._target.private, exist_ok=True)
            self._exists = True
        text = card(self._tables() | {shard.table for shard in shards})
        operations = [CommitOperationAdd(shard.path, str(file)) for shard, file in zip(shards, files, strict=True)]
        if text != self._card:
            operations.append(CommitOperationAdd("README.md", text.encode()))
        # No parent_commit: shards have paths of their own, so commits of several replicas never conflict.
        with _without_progress_bars():
            made = self._api.create_commit(
                self.dataset, operations, commit_message=_message(shards), repo_type="dataset"
            )
        if not (self._holds(shards, files, made.oid) or self._holds(shards, files, "main")):
            raise PublishError(f"{self.dataset}: the Hub took a commit, but not every shard in it; "
                               "does the dataset's .gitignore leave out data/?")  # fmt: skip
        self._card = text

    def _tables(self) -> set[str]:
        """Those with shards on the Hub already, from wherever: an earlier ledger or another replica."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        try:
            listed = list(self._api.list_repo_tree(self.dataset, "data", repo_type="dataset"))
        except RemoteEntryNotFoundError:
            return set()
        return {entry.path.removeprefix("data/") for entry in listed} & TABLES.keys()

    def _holds(self, shards: Sequence[Shard], files: Sequence[Path], revision: str) -> bool:
        paths = [shard.path for shard in shards]
        listed = self._api.get_paths_info(self.dataset, paths, repo_type="dataset", revision=revision)
        large = {info.path: info.lfs.sha256 for info in listed if getattr(info, "lfs", None)}
        small = {info.path: info.blob_id for info in listed if hasattr(info, "blob_id")}
        return all(large[shard.path] == shard.sha256 if shard.path in large
                   else shard.path in small and small[shard.path] == _git_oid(file)
                   for shard, file in zip(shards, files, strict=True))  # fmt: skip

    def _holds_after_error(self, shards: Sequence[Shard], files: Sequence[Path]) -> bool:
        try:
            return self._holds(shards, files, "main")
        except Exception:  # then we do not know, and the next try finds out
            log.debug("%s could not be asked", self.dataset, exc_info=True)
            return False


def _limit_waiting(seconds: float) -> None:
    """huggingface_hub waits for ever by default, and one unanswered request would end all publishing."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def factory():
        client = default_client_factory()
        client.timeout = (min(10.0, seconds), seconds, seconds, seconds)  # connect, read, write, pool
        return client

    set_client_factory(factory)


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """A server's log needs none for every shard; other threads' downloads show theirs again afterwards."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _message(shards: Sequence[Shard]) -> str:
    rows = {table: sum(shard.rows for shard in shards if shard.table == table) for table in TABLES}
    return "Add " + ", ".join(f"{n} {table if n > 1 else table[:-1]}" for table, n in rows.items() if n)


def _git_oid(file: Path) -> str:
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _in_a_line(error: BaseException) -> str:
    """What went wrong, in a line for a log and a status page; without the request's id."""
    response = getattr(error, "response", None)
    said = getattr(error, "server_message", None) or str(error).strip().split("\n")[0]
    return f"{type(error).__name__}{f' {response.status_code}' if response is not None else ''}: {said}"[:300]
