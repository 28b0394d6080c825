"""The files of the dataset on the Hub: what is there at a commit, and one commit that replaces some by others.

A replacement has to follow a commit that still holds all that it deletes: where another replica commits in between,
the Hub refuses it (412), and it is looked at and tried again. So however many commit at once, no row is lost or
doubled. What was replaced stays known by the lists of sources under compacted/ (`arena.layout`).
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arena.errors import PublishError
from arena.hub_waiting import told_to_wait
from arena.layout import may_hold
from arena.logs import without_secrets
from arena.records import Shard

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

log = logging.getLogger(__name__)

MOST_RACES = 4  # tries of a commit that has to follow what was looked at, while others commit in between
AT_ONCE = 4  # downloads; more would be felt by voters


@dataclass(frozen=True, slots=True)
class Held:
    """A file of the dataset: its size in bytes, and its SHA-256, or where it is kept as a git blob ("") that one's id."""

    size: int
    sha256: str
    blob_id: str = ""

    def is_at(self, path: Path) -> bool:
        """Whether the file on the disk has this content."""
        try:
            if path.stat().st_size != self.size:
                return False
            if not self.sha256:
                return git_oid(path) == self.blob_id
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


class HubFiles:
    def __init__(self, api: HfApi, dataset: str):
        self._api, self.dataset = api, dataset

    def head(self) -> str:
        """The commit at the end of the main branch."""
        branches = self._api.list_repo_refs(self.dataset, repo_type="dataset").branches
        return next(branch.target_commit for branch in branches if branch.name == "main")

    def files(self, folder: str, revision: str) -> dict[str, Held]:
        """What is under `folder` at `revision`, by path."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        try:
            listed = list(self._api.list_repo_tree(self.dataset, folder, recursive=True, revision=revision,
                                                   repo_type="dataset"))  # fmt: skip
        except RemoteEntryNotFoundError:
            return {}
        return {entry.path: Held(entry.size, entry.lfs.sha256 if entry.lfs else "", entry.blob_id)
                for entry in listed if hasattr(entry, "size")}  # fmt: skip

    def download(self, paths: Sequence[str], revision: str, folder: Path) -> list[Path]:
        """Those files, under `folder`; as they come, whoever asks looks whether they are whole."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda path: self._fetch(path, revision, folder / path), paths))

    def _fetch(self, path: str, revision: str, target: Path) -> Path:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

        url = hf_hub_url(self.dataset, path, repo_type="dataset", revision=revision, endpoint=self._api.endpoint)
        headers = build_hf_headers(token=self._api.token, library_name="image-arena")
        target.parent.mkdir(parents=True, exist_ok=True)
        with http_stream_backoff("GET", url, headers=headers) as answer:
            if answer.is_error:
                answer.read()
            hf_raise_for_status(answer)
            with open(target, "wb") as file:
                for part in answer.iter_bytes():
                    file.write(part)
        return target

    def sources(self, manifest: str, revision: str) -> dict[str, list[str]]:
        """What a large shard was made from: `sources`, the files that it replaced, and `shards`, the paths of all
        small shards inside of it."""
        return json.loads(self.text(manifest, revision) or "{}")

    def replace(self, added: Mapping[str, Path | bytes], deleted: Sequence[str], message: str) -> bool:
        """Add and delete all these files in one commit, which has to follow a commit that holds every deleted one.
        False where some are gone: somebody else was quicker, and nothing changed. Raises PublishError."""
        from huggingface_hub import CommitOperationDelete

        deletions = [CommitOperationDelete(path) for path in deleted]
        folders = sorted({"/".join(path.split("/")[:2]) for path in deleted})
        with self.asking(), without_progress_bars(), over_http(added) as additions:
            self._api.preupload_lfs_files(self.dataset, additions, repo_type="dataset")  # what takes long
            if any(addition._should_ignore for addition in additions):
                raise PublishError(f"{self.dataset}: its .gitignore leaves out large shards, so small ones stay")
            for race in range(MOST_RACES):
                head = self.head()
                there = {path for folder in folders for path in self.files(folder, head)}
                if not there.issuperset(deleted):
                    return False
                try:
                    self._api.create_commit(self.dataset, [*additions, *deletions], commit_message=message,
                                            repo_type="dataset", parent_commit=head)  # fmt: skip
                    return True
                except Exception as error:
                    if outrun(error) and race < MOST_RACES - 1:
                        continue
                    if self._replaced(folders, added, deleted):
                        return True
                    raise
        return False

    def _replaced(self, folders: Sequence[str], added: Mapping[str, object], deleted: Sequence[str]) -> bool:
        """Whether a commit landed although its answer was an error."""
        try:
            head = self.head()
            there = {path for folder in {*folders, "compacted"} for path in self.files(folder, head)}
        except Exception:
            log.debug("%s could not be asked", self.dataset, exc_info=True)
            return False
        return there.issuperset(path for path in added if "/" in path) and there.isdisjoint(deleted)

    def squash(self) -> None:
        """Make the whole history one commit. Raises PublishError."""
        with self.asking():
            self._api.super_squash_history(self.dataset, repo_type="dataset")

    def compacted(self, shards: Sequence[Shard], revision: str) -> set[str]:
        """The paths of those that are inside a large shard."""
        found: set[str] = set()
        for table in sorted({shard.table for shard in shards}):
            wanted = {shard.path for shard in shards if shard.table == table}
            for manifest in self.files(f"compacted/{table}", revision):
                if any(may_hold(manifest, path) for path in wanted - found):
                    found |= wanted & set(self.sources(manifest, revision).get("shards", ()))
        return found

    def text(self, path: str, revision: str) -> str | None:
        """The text of a file; None where there is none. Never from a cache."""
        from huggingface_hub.errors import EntryNotFoundError

        with tempfile.TemporaryDirectory() as folder:
            try:
                return self.download([path], revision, Path(folder))[0].read_text(encoding="utf-8")
            except EntryNotFoundError:
                return None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Whatever the client raises, as a PublishError."""
        try:
            yield
        except PublishError:
            raise
        except Exception as error:
            raise PublishError(f"{self.dataset}: {in_a_line(error)}", told_to_wait(error)) from error


@contextmanager
def over_http(added: Mapping[str, Path | bytes]) -> Iterator[list[CommitOperationAdd]]:
    """Operations that add these files, for as long as this lasts. Open files go up by plain HTTP, where every request
    has our timeouts; what has a path or is bytes would go through hf_xet's own client, which has some without any."""
    from huggingface_hub import CommitOperationAdd

    logging.getLogger("huggingface_hub._commit_api").addFilter(_not_of_xet)
    with ExitStack() as opened:
        yield [CommitOperationAdd(path, io.BytesIO(file) if isinstance(file, bytes) else opened.enter_context(open(file, "rb")))
               for path, file in added.items()]  # fmt: skip


def _not_of_xet(record: logging.LogRecord) -> bool:
    """That plain HTTP is used is meant so, and not worth a line a commit."""
    return "not supported by Xet" not in str(record.msg)


def git_oid(file: Path) -> str:
    """The id that git gives to the content of a file."""
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def without_progress_bars() -> Iterator[None]:
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


def outrun(error: BaseException) -> bool:
    """Whether a commit was refused because another one came before it."""
    return getattr(getattr(error, "response", None), "status_code", None) == 412


def in_a_line(error: BaseException) -> str:
    """What went wrong, in a line for a log and a status page; without the request's id and any secret."""
    response = getattr(error, "response", None)
    said = getattr(error, "server_message", None) or str(error).strip().split("\n")[0]
    status = f" {response.status_code}" if response is not None else ""
    return without_secrets(f"{type(error).__name__}{status}: {said}")[:300]
