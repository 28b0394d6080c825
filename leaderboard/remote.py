"""Owns the Hub's client: what of a data set is downloaded, and Parquet files read in place, range by range.

Our own data sets keep their votes apart from their images, so those are downloaded and cached. Others keep images
beside the votes: of them only the columns that are needed are fetched.
"""

from contextlib import contextmanager
from pathlib import Path

from leaderboard import errors

OURS = ["data/votes/**", "data/exclusions/**"]
MOST_BYTES = 2 * 1024**3  # of the columns that are needed
MOST_FILES = 500  # each costs a request or two before anything is known of it
PATIENCE = 30  # seconds that any one read may take: without it, huggingface_hub waits for ever


@contextmanager
def _asking(name):
    """Whatever the client raises, as our errors; its progress bars stay quiet."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    _limit_waiting()
    quiet = are_progress_bars_disabled()
    disable_progress_bars()  # standard error is for the one line that says what is wrong
    try:
        yield
    except errors.LeaderboardError:
        raise
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise errors.SourceNotFound(f"{name}: neither a file here nor a data set that the Hub shows us") from error
    except Exception as error:  # the Hub's client raises its transport's own kinds too
        said = " ".join(str(error).split()) or type(error).__name__
        raise errors.HubError(f"{name}: the Hub did not answer as hoped ({said[:200]})") from error
    finally:
        if not quiet:
            enable_progress_bars()


def _limit_waiting():
    """Give the Hub's client timeouts, unless somebody in this process has set up a client of their own."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    if _http._GLOBAL_CLIENT_FACTORY is not _http.default_client_factory:
        return
    longest = {"connect": 10, "read": PATIENCE, "write": PATIENCE, "pool": PATIENCE}

    def limit(request):  # some calls ask for no timeout by name
        asked = {k: v for k, v in request.extensions.get("timeout", {}).items() if v is not None}
        request.extensions = {**request.extensions, "timeout": {**longest, **asked}}

    def factory():
        client = _http.default_client_factory()
        client.event_hooks["request"] = [*client.event_hooks["request"], limit]
        return client

    set_client_factory(factory)


def download(name, repo, revision, patterns=OURS):
    """Those files of one of our data sets (its votes and exclusions) -> the folder of its snapshot, named after its
    commit."""
    from huggingface_hub import snapshot_download

    with _asking(name):
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=patterns))


def parquet_files(name, repo, revision):
    """(commit, paths of all Parquet files) of a data set."""
    from huggingface_hub import HfApi

    with _asking(name):
        found = HfApi().dataset_info(repo, revision=revision)
        return found.sha, sorted(file.rfilename for file in found.siblings if file.rfilename.endswith(".parquet"))


@contextmanager
def opened(name, repo, commit, paths, in_order=False):
    """These files of a data set as open, seekable files; each read is a request for those bytes alone, or, where they
    are read `in_order` and nearly whole, for some megabytes ahead."""
    from huggingface_hub import HfFileSystem

    if len(paths) > MOST_FILES:
        raise errors.TooLarge(f"{name}: its votes lie in {len(paths):,} files; {_instead(repo, commit)}")
    with _asking(name):
        system, cache = HfFileSystem(), "readahead" if in_order else "none"
        files = [system.open(f"datasets/{repo}@{commit}/{path}", cache_type=cache) for path in paths]
        try:
            yield files
        finally:
            for file in files:
                file.close()


def refuse_large(name, repo, commit, size):
    """Raises TooLarge where the needed columns are `size` bytes and that is too much."""
    if size > MOST_BYTES:
        raise errors.TooLarge(
            f"{name}: the columns with the votes are {size / 1024**3:.1f} GB, and at most "
            f"{MOST_BYTES / 1024**3:.0f} GB are read over the network; {_instead(repo, commit)}"
        )


def _instead(repo, commit):
    return (
        f"name a part of it (user/name:PATH), or download it with `hf download {repo} --repo-type dataset "
        f"--revision {commit[:12]} --local-dir FOLDER` and read FOLDER"
    )
