"""What the local test Hub remembers: dataset repositories, their commits, and files by the hash of their content.

Like the real Hub, a file is either a git blob (known by its git SHA-1) or a large file (known by its SHA-256,
with a small pointer as its blob), a commit holds a whole tree, and a branch names a commit.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch

GIT_ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n*.arrow filter=lfs diff=lfs merge=lfs -text\n"
LARGE_PATTERNS = ("*.parquet", "*.arrow")
LARGE_BYTES = 10 * 1024 * 1024


class Answer(Exception):
    """An HTTP answer other than success, raised from wherever it is found out."""

    def __init__(self, status: int, message: str, code: str = "", **body: str):
        super().__init__(message)
        self.status, self.code, self.body = status, code, {"error": message, **body}


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class File:
    oid: str  # the git blob's
    size: int
    sha256: str = ""  # of the content, for a large file

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: Commit | None
    tree: dict[str, File]
    title: str
    author: str
    date: str

    def history(self) -> Iterator[Commit]:
        commit: Commit | None = self
        while commit:
            yield commit
            commit = commit.parent


@dataclass
class Repo:
    name: str
    private: bool
    branches: dict[str, Commit] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def read(self, revision: str, behind: int) -> Commit:
        """As a reader sees it from a server that has not heard of the last `behind` commits of a branch."""
        commit = self.at(revision)
        for _ in range(behind if revision not in self.commits else 0):
            commit = commit.parent or commit
        return commit

    def at(self, revision: str) -> Commit:
        commit = self.branches.get(revision.removeprefix("refs/heads/")) or self.commits.get(revision)
        if commit is None:
            raise Answer(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit


class Store:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self._blobs: dict[str, bytes] = {}  # by git SHA-1
        self._large: dict[str, bytes] = {}  # by SHA-256
        self._count = itertools.count()

    # -- repositories --------------------------------------------------------------------------------------

    def create(self, name: str, *, private: bool, author: str) -> bool:
        """Whether it is new."""
        with self.lock:
            if name in self.repos:
                return False
            repo = self.repos[name] = Repo(name, private)
            self._commit(repo, "main", {".gitattributes": self.add_blob(GIT_ATTRIBUTES)}, "initial commit", author)
            return True

    def repo(self, name: str) -> Repo:
        if name not in self.repos:
            raise Answer(404, "Repository not found", "RepoNotFound")
        return self.repos[name]

    # -- files ---------------------------------------------------------------------------------------------

    def add_blob(self, data: bytes) -> File:
        oid = git_oid(data)
        self._blobs[oid] = data
        return File(oid, len(data))

    def add_large(self, sha256: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Answer(400, "The content does not have the hash that it was announced with")
        self._large[sha256] = data

    def has_large(self, sha256: str) -> bool:
        return sha256 in self._large

    def large(self, sha256: str, path: str) -> File:
        if sha256 not in self._large:
            raise Answer(400, f"LFS pointer pointed to a file that does not exist: {path}")
        size = len(self._large[sha256])
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return File(git_oid(pointer.encode()), size, sha256)

    def read(self, file: File) -> bytes:
        return self._large[file.sha256] if file.sha256 else self._blobs[file.oid]

    @staticmethod
    def is_large(path: str, size: int) -> bool:
        return size > LARGE_BYTES or any(fnmatch(path, pattern) for pattern in LARGE_PATTERNS)

    def is_ignored(self, tree: dict[str, File], path: str) -> bool:
        """Whether the repository's own .gitignore drops this path from commits."""
        if ".gitignore" not in tree:
            return False
        lines = self.read(tree[".gitignore"]).decode().splitlines()
        return any(fnmatch(path, p) or fnmatch(path.rsplit("/", 1)[-1], p) for p in filter(None, lines))

    # -- commits -------------------------------------------------------------------------------------------

    def commit(self, repo: Repo, branch: str, added: dict[str, File], deleted: list[str], title: str, author: str,
               parent: str | None) -> Commit:  # fmt: skip
        """Atomic: the branch moves to a tree with all changes, or nothing happens."""
        with self.lock:
            head = repo.at(branch)
            if parent and not head.oid.startswith(parent):
                raise Answer(412, "A commit has happened since. Please refresh and try again.")
            tree = dict(head.tree)
            for path in deleted:
                gone = [p for p in tree if p == path or (path.endswith("/") and p.startswith(path))]
                if not gone:
                    raise Answer(404, "A file with this name doesn't exist", "EntryNotFound")
                for p in gone:
                    del tree[p]
            return self._commit(repo, branch, {**tree, **added}, title, author)

    def squash(self, repo: Repo, branch: str, title: str, author: str) -> None:
        with self.lock:
            tree = repo.at(branch).tree
            repo.commits.clear()
            del repo.branches[branch]
            self._commit(repo, branch, tree, title, author)

    def _commit(self, repo: Repo, branch: str, tree: dict[str, File], title: str, author: str) -> Commit:
        # Never the same id twice, as clients keep what they read of a commit for ever.
        oid = hashlib.sha1(f"{repo.name} {next(self._count)} {sorted(tree.items())}".encode()).hexdigest()
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        commit = Commit(oid, repo.branches.get(branch), tree, title, author, date)
        repo.commits[oid] = repo.branches[branch] = commit
        return commit
