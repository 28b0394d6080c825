"""The part of the Hub's API that huggingface_hub and datasets use on dataset repositories.

A route is a method of `Api` under `@route(methods, pattern)`; `{repo}`, `{rev}`, `{path}` and `{oid}` of its
pattern are its arguments. It returns a `Reply`, or raises an `Answer`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import yaml

from tests.hub.server import Call, Reply
from tests.hub.store import Answer, Commit, File, Repo

if TYPE_CHECKING:
    from tests.hub.local_hub import LocalHub

PAGE = 1000  # entries of a listing in one answer
_PARTS = {"repo": "[^/]+/[^/]+", "rev": "[^/]+", "path": ".+", "oid": "[0-9a-f]{64}", "number": r"\d+"}
_ROUTES: list[tuple[set[str], re.Pattern[str], Callable[..., Reply]]] = []


def route(methods: str, pattern: str):
    regex = re.sub(r"\\{(\w+)\\}", lambda m: f"(?P<{m[1]}>{_PARTS[m[1]]})", re.escape(pattern))

    def register(handler: Callable[..., Reply]):
        _ROUTES.append((set(methods.split()), re.compile(regex + r"\Z"), handler))
        return handler

    return register


class Api:
    def __init__(self, hub: LocalHub):
        self.hub, self.store = hub, hub.store

    def __call__(self, call: Call) -> Reply:
        for methods, pattern, handler in _ROUTES:
            if call.method in methods and (match := pattern.match(call.path)):
                return handler(self, call, **{name: unquote(part) for name, part in match.groupdict().items()})
        raise Answer(404, f"No such route: {call.method} {call.path}")

    # -- who may what --------------------------------------------------------------------------------------

    def _repo(self, call: Call, name: str) -> Repo:
        repo = self.store.repo(name)
        if repo.private and not call.account:  # what may not be seen is not said to exist
            raise Answer(401, "Repository not found", "RepoNotFound")
        return repo

    def _writer(self, call: Call) -> str:
        if call.account is None:
            raise Answer(401, "Invalid username or password.")
        if call.account.role != "write":
            raise Answer(403, "You don't have the rights to write here")
        return call.account.name

    # -- accounts and repositories -------------------------------------------------------------------------

    @route("GET", "/api/whoami-v2")
    def whoami(self, call: Call) -> Reply:
        if call.account is None:
            raise Answer(401, "Invalid username or password.")
        access = {"type": "access_token", "accessToken": {"displayName": "test", "role": call.account.role}}
        return Reply({"type": "user", "id": "1", "name": call.account.name, "fullname": call.account.name,
                      "isPro": False, "orgs": [], "auth": access})  # fmt: skip

    @route("POST", "/api/repos/create")
    def create(self, call: Call) -> Reply:
        asked, author = call.json(), self._writer(call)
        name = f"{asked.get('organization') or author}/{asked['name']}"
        about = {"url": f"{self.hub.url}/datasets/{name}", "name": name, "id": name}
        if not self.store.create(name, private=asked.get("visibility") == "private", author=author):
            raise Answer(409, "You already created this dataset repo", **about)
        return Reply(about)

    @route("POST", "/api/validate-yaml")
    def validate(self, call: Call) -> Reply:
        """What the Hub says of a card before it takes it."""
        front = re.match(r"\A---\n(.*?)\n---\n", call.json()["content"], re.DOTALL)
        try:
            card = yaml.safe_load(front[1]) if front else {}
            wrong = "" if isinstance(card, dict) else "the front matter is no mapping"
        except yaml.YAMLError as error:
            wrong = str(error)
        body = {"errors": [{"message": wrong}] if wrong else [], "warnings": []}
        return Reply(body, 400 if wrong else 200)

    # -- what a repository holds ---------------------------------------------------------------------------

    @route("GET", "/api/datasets/{repo}")
    @route("GET", "/api/datasets/{repo}/revision/{rev}")
    def info(self, call: Call, repo: str, rev: str = "main") -> Reply:
        known = self._repo(call, repo)
        commit = known.read(rev, self.hub.behind)
        return Reply({"_id": "1", "id": repo, "author": repo.split("/")[0], "sha": commit.oid, "tags": [],
                      "lastModified": commit.date, "createdAt": commit.date, "private": known.private,
                      "gated": False, "disabled": False, "downloads": 0, "likes": 0, "cardData": None,
                      "siblings": [{"rfilename": path} for path in sorted(commit.tree)]})  # fmt: skip

    @route("GET", "/api/datasets/{repo}/refs")
    def refs(self, call: Call, repo: str) -> Reply:
        known = self._repo(call, repo)
        branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": known.read(name, self.hub.behind).oid}
                    for name in known.branches]  # fmt: skip
        return Reply({"branches": branches, "tags": [], "converts": []})

    @route("GET", "/api/datasets/{repo}/commits/{rev}")
    def commits(self, call: Call, repo: str, rev: str) -> Reply:
        listed = [{"id": c.oid, "title": c.title, "message": "", "date": c.date, "authors": [{"user": c.author}]}
                  for c in self._repo(call, repo).read(rev, self.hub.behind).history()]  # fmt: skip
        return Reply(listed, headers={"X-Total-Count": str(len(listed))})

    @route("GET", "/api/datasets/{repo}/tree/{rev}")
    @route("GET", "/api/datasets/{repo}/tree/{rev}/{path}")
    def tree(self, call: Call, repo: str, rev: str, path: str = "") -> Reply:
        commit = self._repo(call, repo).read(rev, self.hub.behind)
        base = path.rstrip("/") + "/" if path else ""
        listed: dict[str, dict[str, Any]] = {}
        for name, file in sorted(commit.tree.items()):
            if name.startswith(base):
                folders = name[len(base) :].split("/")[:-1]
                for depth in range(1, len(folders) + 1 if call.flag("recursive") else min(len(folders), 1) + 1):
                    folder = base + "/".join(folders[:depth])
                    listed.setdefault(folder, _folder_entry(folder, commit, call.flag("expand")))
                if not folders or call.flag("recursive"):
                    listed[name] = _file_entry(name, file, commit, call.flag("expand"))
        if base and not listed:
            raise Answer(404, f"{path} does not exist on {rev}", "EntryNotFound")
        start = int(call.query.get("cursor", ["0"])[0])
        more = {"Link": f'<{self.hub.url}{call.path}?recursive={call.flag("recursive")}&expand={call.flag("expand")}'
                        f'&cursor={start + PAGE}>; rel="next"'} if start + PAGE < len(listed) else {}  # fmt: skip
        return Reply(list(listed.values())[start : start + PAGE], headers={"X-Repo-Commit": commit.oid, **more})

    @route("POST", "/api/datasets/{repo}/paths-info/{rev}")
    def paths_info(self, call: Call, repo: str, rev: str) -> Reply:
        form, commit = parse_qs(call.body.decode()), self._repo(call, repo).read(rev, self.hub.behind)
        expand, found = form.get("expand", ["false"])[0].lower() == "true", []
        for path in (p.strip("/") for p in form.get("paths", [])):
            if path in commit.tree:
                found.append(_file_entry(path, commit.tree[path], commit, expand))
            elif any(name.startswith(path + "/") for name in commit.tree):
                found.append(_folder_entry(path, commit, expand))
        return Reply(found)

    @route("GET HEAD", "/datasets/{repo}/resolve/{rev}/{path}")
    def resolve(self, call: Call, repo: str, rev: str, path: str) -> Reply:
        commit = self._repo(call, repo).read(rev, self.hub.behind)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        file = commit.tree.get(path)
        if file is None:
            return Reply({"error": "Entry not found"}, 404, {**headers, "X-Error-Code": "EntryNotFound"})
        headers["ETag"] = f'"{file.etag}"'
        if file.sha256:
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(file.size)}
        data = self.store.read(file)
        if call.method == "HEAD":
            return Reply(b"", 200, headers, length=file.size)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("Range") or "")
        if not wanted:
            return Reply(data, 200, headers)
        first, last = wanted.groups()
        start = int(first) if first else max(0, file.size - int(last))
        end = min(int(last) + 1, file.size) if first and last else file.size
        if start >= file.size:
            return Reply(b"", 416, {**headers, "Content-Range": f"bytes */{file.size}"})
        return Reply(data[start:end], 206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{file.size}"})

    # -- writing -------------------------------------------------------------------------------------------

    @route("POST", "/api/datasets/{repo}/preupload/{rev}")
    def preupload(self, call: Call, repo: str, rev: str) -> Reply:
        self._writer(call)
        tree, answers = self._repo(call, repo).read(rev, self.hub.behind).tree, []
        for file in call.json()["files"]:
            path = file["path"]
            answers.append({"path": path, "uploadMode": "lfs" if self.store.is_large(path, file["size"]) else "regular",
                            "shouldIgnore": self.store.is_ignored(tree, path),
                            **({"oid": tree[path].etag} if path in tree else {})})  # fmt: skip
        return Reply({"files": answers})

    @route("POST", "/datasets/{repo}.git/info/lfs/objects/batch")
    def lfs_batch(self, call: Call, repo: str) -> Reply:
        self._writer(call)
        self._repo(call, repo)
        objects = []
        asked = call.json()
        several = "multipart" in asked.get("transfers", ())
        for known in asked["objects"]:
            url, size = f"{self.hub.url}/lfs/{known['oid']}", self.hub.part_bytes
            upload = {"href": url, "header": {}}
            if several and size and known["size"] > size:
                parts = {f"{k + 1:05}": f"{url}/part/{k + 1}" for k in range(-(-known["size"] // size))}
                upload = {"href": url + "/complete", "header": {"chunk_size": str(size), **parts}}
            actions = {"upload": upload, "verify": {"href": url + "/verify", "header": {}}}
            objects.append({**known, **({} if self.store.has_large(known["oid"]) else {"actions": actions})})
        kind = {"Content-Type": "application/vnd.git-lfs+json"}
        return Reply({"transfer": "multipart" if several else "basic", "objects": objects}, headers=kind)

    @route("PUT", "/lfs/{oid}")
    def lfs_put(self, call: Call, oid: str) -> Reply:
        self.store.add_large(oid, call.body)
        return Reply(headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})

    @route("PUT", "/lfs/{oid}/part/{number}")
    def lfs_part(self, call: Call, oid: str, number: str) -> Reply:
        etag = hashlib.md5(call.body).hexdigest()
        self.hub.parts[oid, int(number)] = (etag, call.body)
        return Reply(headers={"ETag": etag})

    @route("POST", "/lfs/{oid}/complete")
    def lfs_complete(self, call: Call, oid: str) -> Reply:
        given = sorted(call.json()["parts"], key=lambda part: part["partNumber"])
        parts = [self.hub.parts.pop((oid, part["partNumber"]), ("", b"")) for part in given]
        if [etag for etag, _ in parts] != [part["etag"] for part in given]:
            raise Answer(400, "A part is missing or is not what was uploaded")
        self.store.add_large(oid, b"".join(data for _, data in parts))
        return Reply({})

    @route("POST", "/lfs/{oid}/verify")
    def lfs_verify(self, call: Call, oid: str) -> Reply:
        if not self.store.has_large(oid):
            raise Answer(404, "Object not found")
        return Reply({})

    @route("POST", "/api/datasets/{repo}/commit/{rev}")
    def commit(self, call: Call, repo: str, rev: str) -> Reply:
        author, known = self._writer(call), self._repo(call, repo)
        header, *operations = (json.loads(line) for line in call.body.splitlines() if line.strip())
        added: dict[str, File] = {}
        deleted: list[str] = []
        for operation in operations:
            what, value = operation["key"], operation["value"]
            if what == "file":
                added[value["path"]] = self.store.add_blob(base64.b64decode(value["content"]))
            elif what == "lfsFile":
                added[value["path"]] = self.store.large(value["oid"], value["path"])
            elif what in ("deletedFile", "deletedFolder"):
                deleted.append(value["path"])
            else:
                raise Answer(400, f"Unknown operation: {what}")
        self.hub.spend_commit()
        made = self.store.commit(known, rev, added, deleted, header["value"]["summary"], author,
                                 header["value"].get("parentCommit"))  # fmt: skip
        url = f"{self.hub.url}/datasets/{repo}/commit/{made.oid}"
        return Reply({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})

    @route("POST", "/api/datasets/{repo}/super-squash/{rev}")
    def squash(self, call: Call, repo: str, rev: str) -> Reply:
        author = self._writer(call)
        self.store.squash(self._repo(call, repo), rev, call.json().get("message") or "squash", author)
        return Reply({})


def _file_entry(path: str, file: File, commit: Commit, expand: bool) -> dict[str, Any]:
    large = {"lfs": {"oid": file.sha256, "size": file.size, "pointerSize": 134}} if file.sha256 else {}
    return {"type": "file", "path": path, "oid": file.oid, "size": file.size, **large, **_last(commit, expand)}


def _folder_entry(path: str, commit: Commit, expand: bool) -> dict[str, Any]:
    oid = hashlib.sha1(path.encode()).hexdigest()
    return {"type": "directory", "path": path, "oid": oid, "size": 0, **_last(commit, expand)}


def _last(commit: Commit, expand: bool) -> dict[str, Any]:
    return {"lastCommit": {"id": commit.oid, "title": commit.title, "date": commit.date}} if expand else {}
