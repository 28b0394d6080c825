"""The Hub dataset that shards are published to, and what stands in for it where none is configured.

`push` puts a batch of shards and the dataset card on the Hub in one commit, and returns only when the Hub itself
lists every shard with the hash that was sealed. That holds however a request ends: a commit can land although
the client saw an error, and a repository's .gitignore can drop files from a commit that succeeds.
Pushing the same shards again is harmless: equal files at equal paths make no new commit, and those that were made
part of a large shard meanwhile (`replace`) are found in its list of sources.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arena.errors import PublishError
from arena.hub_files import MOST_RACES, HubFiles, git_oid, in_a_line, outrun, over_http, without_progress_bars
from arena.hub_waiting import limit_waiting, told_to_wait
from arena.records import TABLES, Shard

log = logging.getLogger(__name__)

FILES_A_COMMIT = 50
# The dataset card for these tables, given the one that is there (None: there is none); None: leave it.
Card = Callable[[set[str], str | None], str | None]


@dataclass(frozen=True, slots=True)
class HubTarget:
    dataset: str  # user/name
    token: str | None = field(default=None, repr=False)  # None: the one that `hf auth login` saved
    endpoint: str | None = None  # None: huggingface.co, or HF_ENDPOINT
    private: bool = False
    timeout: float = 60  # seconds that any one read or write may take


NOWHERE = "no Hub dataset is configured (hub.dataset in arena.yaml)"


class Nowhere:
    """No Hub is configured: shards stay pending, and are published from the day that a dataset is."""

    dataset = None
    # Nobody waits for local shards, as the ledger has every row, and each is a file: one an hour and table at most, so
    # they need no compaction, which would have to change what is still to be published.
    least_seconds = 3600.0

    def batches(self, pending: Sequence[Shard]) -> Iterator[Sequence[Shard]]:
        return iter(())

    def push(self, shards: Sequence[Shard], files: Sequence[Path], card: Card, *, tried: bool = False) -> None:
        raise PublishError(NOWHERE)

    def has(self, shard: Shard) -> bool:
        return False


class Hub:
    """Make it before other threads use huggingface_hub: its shared HTTP client gets timeouts here. Needs no
    network until the first `push`."""

    least_seconds = 0.0

    def __init__(self, target: HubTarget):
        from huggingface_hub import HfApi

        self.dataset = target.dataset
        self._target = target
        self._api = HfApi(endpoint=target.endpoint, token=target.token, library_name="image-arena")
        self.files = HubFiles(self._api, target.dataset)
        self._exists = False
        self._card: str | None = None  # as it is there, as far as we know; None: not looked at, or there is none
        limit_waiting(target.timeout)

    def batches(self, pending: Sequence[Shard]) -> Iterator[Sequence[Shard]]:
        return (pending[i : i + FILES_A_COMMIT] for i in range(0, len(pending), FILES_A_COMMIT))

    def push(self, shards: Sequence[Shard], files: Sequence[Path], card: Card, *, tried: bool = False) -> None:
        """`tried`: an earlier push of these, by whatever process, may have landed without anybody hearing of it, and
        they may have been compacted since. Raises PublishError; then some or all may be on the Hub, or none."""
        try:
            if tried:
                self._commit_what_is_missing(shards, files, card)
            else:
                self._commit(shards, files, card)
        except PublishError:
            raise
        except Exception as error:  # huggingface_hub and its HTTP client raise many kinds
            log.info("committing to %s ended in an error; asking what it holds", self.dataset, exc_info=True)
            if not self._holds_after_error(shards, files):
                raise PublishError(f"{self.dataset}: {in_a_line(error)}", told_to_wait(error)) from error

    def has(self, shard: Shard) -> bool:
        """Whether the dataset holds `shard`, by itself or inside a large one. Raises PublishError."""
        self.make()
        with self.files.asking():
            head = self.files.head()
            return bool(self._held([shard], [None], head) or self.files.compacted([shard], head))

    def make(self) -> None:
        """See to it that there is such a dataset. Raises PublishError."""
        if not self._exists:
            with self.files.asking():
                self._api.create_repo(self.dataset, repo_type="dataset", private=self._target.private, exist_ok=True)
            self._exists = True

    def _commit_what_is_missing(self, shards: Sequence[Shard], files: Sequence[Path], card: Card) -> None:
        """As `_commit`, of those alone that are neither there nor inside a large shard, and only as the very next
        commit after the one in which that was looked up: nobody can compact them in between."""
        self.make()
        for race in range(MOST_RACES):
            head = self.files.head()
            there = self._held(shards, files, head)
            there |= self.files.compacted([shard for shard in shards if shard.path not in there], head)
            left = [(shard, file) for shard, file in zip(shards, files, strict=True) if shard.path not in there]
            if not left:
                return
            try:
                return self._commit([shard for shard, _ in left], [file for _, file in left], card, parent=head)
            except Exception as error:
                if not outrun(error) or race == MOST_RACES - 1:
                    raise

    def _commit(self, shards: Sequence[Shard], files: Sequence[Path], card: Card, parent: str | None = None) -> None:
        """In one commit; where `parent` is given, as the very next one after it."""
        self.make()
        for race in range(MOST_RACES):
            try:
                return self._commit_after(parent or self.files.head(), shards, files, card, follow=parent is not None)
            except Exception as error:
                if parent or not outrun(error) or race == MOST_RACES - 1:
                    raise
                self._card = None

    def _commit_after(self, head: str, shards: Sequence[Shard], files: Sequence[Path], card: Card, *,
                      follow: bool) -> None:  # fmt: skip
        if self._card is None:
            self._card = self.files.text("README.md", head)
        text = card(self._tables(head) | {shard.table for shard in shards}, self._card)
        added: dict[str, Path | bytes] = {shard.path: file for shard, file in zip(shards, files, strict=True)}
        if text is not None:
            added["README.md"] = text.encode()
        with without_progress_bars(), over_http(added) as operations:
            self._api.preupload_lfs_files(self.dataset, operations, repo_type="dataset")
            if any(
                operation._should_ignore for operation in operations
            ):  # the card would name files that are not there
                raise PublishError(f"{self.dataset}: its .gitignore leaves out shards; take data/ out of it")
            # Shards have paths of their own, so commits of several replicas never conflict; a card has to follow the
            # commit whose tables it lists.
            made = self._api.create_commit(self.dataset, operations, commit_message=_message(shards),
                                           repo_type="dataset",
                                           parent_commit=head if follow or text is not None else None)  # fmt: skip
        if not (self._holds(shards, files, made.oid) or self._holds(shards, files, "main")):
            raise PublishError(f"{self.dataset}: the Hub took a commit, but not every shard in it")
        self._card = text or self._card

    def _tables(self, revision: str) -> set[str]:
        """Those with shards on the Hub already, from wherever: an earlier ledger or another replica."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        try:
            listed = list(self._api.list_repo_tree(self.dataset, "data", repo_type="dataset", revision=revision))
        except RemoteEntryNotFoundError:
            return set()
        return {entry.path.removeprefix("data/") for entry in listed} & TABLES.keys()

    def _holds(self, shards: Sequence[Shard], files: Sequence[Path], revision: str) -> bool:
        return len(self._held(shards, files, revision)) == len(shards)

    def _held(self, shards: Sequence[Shard], files: Sequence[Path | None], revision: str) -> set[str]:
        """The paths of those that are there just as they were sealed."""
        paths = [shard.path for shard in shards]
        listed = self._api.get_paths_info(self.dataset, paths, repo_type="dataset", revision=revision)
        large = {info.path: info.lfs.sha256 for info in listed if getattr(info, "lfs", None)}
        small = {info.path: info.blob_id for info in listed if hasattr(info, "blob_id")}
        return {shard.path for shard, file in zip(shards, files, strict=True)
                if (large[shard.path] == shard.sha256 if shard.path in large
                    else shard.path in small and file is not None and small[shard.path] == git_oid(file))}  # fmt: skip

    def _holds_after_error(self, shards: Sequence[Shard], files: Sequence[Path]) -> bool:
        try:
            return self._holds(shards, files, "main")
        except Exception:  # then we do not know, and the next try finds out
            log.debug("%s could not be asked", self.dataset, exc_info=True)
            return False


def _message(shards: Sequence[Shard]) -> str:
    rows = {table: sum(shard.rows for shard in shards if shard.table == table) for table in TABLES}
    return "Add " + ", ".join(f"{n} {table if n > 1 else table[:-1]}" for table, n in rows.items() if n)
