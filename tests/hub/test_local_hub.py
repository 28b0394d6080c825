"""The local test Hub answers the real huggingface_hub as the real Hub does."""

from __future__ import annotations

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

REPO = "tester/things"


@pytest.fixture
def api(hub) -> HfApi:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(REPO, repo_type="dataset")
    return api


def commit(api: HfApi, files: dict[str, bytes], **more):
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(REPO, operations, commit_message="test", repo_type="dataset", **more)


def test_accounts_and_repositories(hub, api):
    assert api.whoami()["name"] == "tester"
    assert api.create_repo(REPO, repo_type="dataset", exist_ok=True).repo_id == REPO
    with pytest.raises(HfHubHTTPError, match="already created"):
        api.create_repo(REPO, repo_type="dataset")
    assert api.repo_exists(REPO, repo_type="dataset")
    assert not api.repo_exists("tester/nothing", repo_type="dataset")
    with pytest.raises(HfHubHTTPError):
        HfApi(endpoint=hub.url, token=hub.reader).create_repo("reader/x", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="Invalid"):
        HfApi(endpoint=hub.url, token="hf_of_nobody").whoami()


def test_a_private_repository_shows_itself_to_nobody_without_a_token(hub, api):
    api.create_repo("tester/secret", repo_type="dataset", private=True)
    assert api.dataset_info("tester/secret").private
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=hub.url, token=False).dataset_info("tester/secret")


def test_small_and_large_files_round_trip(hub, api, tmp_path):
    files = {"README.md": b"# Hello\n", "data/a.parquet": b"PAR1" * 5000, "data/deep/b.txt": b"b"}
    made = commit(api, files)
    assert api.dataset_info(REPO).sha == made.oid
    assert set(api.list_repo_files(REPO, repo_type="dataset")) == {*files, ".gitattributes"}
    folder = api.snapshot_download(REPO, repo_type="dataset", cache_dir=tmp_path / "cache")
    for path, data in files.items():
        with open(f"{folder}/{path}", "rb") as file:
            assert file.read() == data
    large, small = api.get_paths_info(REPO, ["data/a.parquet", "README.md"], repo_type="dataset")
    assert large.lfs.sha256 == hub.head(REPO).tree["data/a.parquet"].sha256 and small.lfs is None
    assert [c.title for c in api.list_repo_commits(REPO, repo_type="dataset")] == ["test", "initial commit"]
    assert api.list_repo_refs(REPO, repo_type="dataset").branches[0].target_commit == made.oid
    listed = [x.path for x in api.list_repo_tree(REPO, "data", repo_type="dataset")]
    assert listed == ["data/a.parquet", "data/deep"]


def test_ranges_of_a_file(hub, api):
    from huggingface_hub import HfFileSystem

    commit(api, {"data/a.parquet": bytes(range(256)) * 40})
    with HfFileSystem(endpoint=hub.url, token=hub.token).open(f"datasets/{REPO}/data/a.parquet", block_size=64) as file:
        file.seek(300)
        assert file.read(10) == bytes(range(44, 54))
        file.seek(-6, 2)
        assert file.read() == bytes(range(250, 256))


def test_the_same_files_again_make_no_commit_and_deletions_do(hub, api):
    commit(api, {"data/a.parquet": b"PAR1", "b.txt": b"b"})
    commit(api, {"data/a.parquet": b"PAR1", "b.txt": b"b"})
    assert hub.commits(REPO) == 1
    api.create_commit(REPO, [CommitOperationDelete("data/")], commit_message="less", repo_type="dataset")
    assert hub.files(REPO) == {}
    api.super_squash_history(REPO, repo_type="dataset")
    assert hub.commits(REPO) == 0 and "b.txt" in hub.head(REPO).tree


def test_what_is_not_there_is_said_in_the_hubs_words(hub, api, tmp_path):
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(REPO, "nothing.txt", repo_type="dataset", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(REPO, revision="nothing")
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("tester/nothing")
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(REPO, "data", repo_type="dataset"))
    old = api.dataset_info(REPO).sha
    commit(api, {"a.txt": b"a"})
    with pytest.raises(HfHubHTTPError, match="412"):
        commit(api, {"b.txt": b"b"}, parent_commit=old)
    with pytest.raises(ValueError, match="front matter"):
        commit(api, {"README.md": b"---\n- a list\n---\n"})


def test_faults(hub, api):
    hub.faults.add(r"/commit/", status=503)
    with pytest.raises(HfHubHTTPError, match="503"):
        commit(api, {"a.txt": b"a"})
    assert hub.commits(REPO) == 0
    hub.faults.add(r"/commit/", after=500)
    with pytest.raises(HfHubHTTPError, match="500"):
        commit(api, {"a.txt": b"a"})
    assert hub.commits(REPO) == 1
    for fault in ({"reset": True}, {"after": "reset"}, {"hang": 0.05}):
        hub.faults.add(r"/commit/", **fault)
        with pytest.raises(Exception, match=r"[Dd]isconnect|reset|closed"):
            commit(api, {f"{fault}.txt": b"x"})
    assert hub.commits(REPO) == 2
    hub.down()
    with pytest.raises(Exception, match=r"refused"):
        api.whoami()
    hub.up()
    assert api.whoami()["name"] == "tester"
    assert hub.count(r"POST .*/commit/main") == 5


def test_large_files_go_up_in_parts_where_the_hub_asks_for_it(hub, api):
    hub.part_bytes = 1000
    data = bytes(range(256)) * 20
    commit(api, {"a.parquet": data, "b.parquet": data[:1000]})
    assert hub.files(REPO) == {"a.parquet": data, "b.parquet": data[:1000]}
    assert hub.count(r"PUT /lfs/\w+/part/") == 6


def test_a_head_that_lags_and_commits_that_are_used_up(hub, api):
    first = commit(api, {"a.txt": b"a"}).oid
    hub.behind = 1
    commit(api, {"b.txt": b"b"})
    assert api.dataset_info(REPO).sha == first and not api.file_exists(REPO, "b.txt", repo_type="dataset")
    hub.behind = 0
    assert api.file_exists(REPO, "b.txt", repo_type="dataset")
    hub.commits_left = 1
    commit(api, {"c.txt": b"c"})
    with pytest.raises(HfHubHTTPError, match="rate limit for repository commits") as refused:
        commit(api, {"d.txt": b"d"})
    assert refused.value.response.status_code == 429 and hub.commits(REPO) == 3


def test_a_revoked_token_and_what_is_late(hub, api):
    hub.revoke()
    with pytest.raises(HfHubHTTPError, match="401"):
        commit(api, {"a.txt": b"a"})
    hub.heal()
    called = []
    hub.faults.add(r"/commit/", hang=0.05, late=True, call=lambda: called.append("before"),
                   called_after=lambda: called.append(hub.commits(REPO)))  # fmt: skip
    with pytest.raises(Exception, match=r"[Dd]isconnect|reset|closed"):
        commit(api, {"b.txt": b"b"})
    assert called == ["before", 1]
    hub.faults.add(r"PUT /lfs/", midway=True)
    commit(api, {"c.parquet": b"PAR1" * 5000})  # the client sends it again by itself
    assert hub.count(r"PUT /lfs/") == 2 and len(hub.files(REPO)) == 1
