"""What /health tells a monitor, and the one line that the About page shows of it.

Both are public: they hold no secret, no path of the machine and nothing of a voter. Which models rest is only
counted, as their names would tell which ones a live battle can't hold.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from arena.errors import LedgerError
from arena.logs import without_secrets

if TYPE_CHECKING:
    from arena.service import Arena

FREE_STEP = 100_000_000  # bytes
_PATHS = re.compile(r"""(?<![\w:/.])(?:/|[A-Za-z]:\\)(?:[^\s/\\'"]+[/\\])*(?=[^\s/\\'":,;)]+)""")


def health(arena: Arena, *, uptime: float, running: int) -> dict[str, Any]:
    """The state of the arena; `ok` says whether it can take votes. `uptime` is in seconds, `running` the calls
    under way. Times are milliseconds since 1970, sizes bytes."""
    trouble = arena.ledger.trouble()
    report: dict[str, Any] = {"ok": trouble is None}
    try:
        report |= arena.status()
    except LedgerError:
        report |= {"ok": False, "hub": None}
    report["resting_models"] = len(report.get("resting_models", ()))
    for part in filter(None, (report["hub"], report.get("restore"), (report["hub"] or {}).get("compaction"))):
        part["last_error"] = safe(part["last_error"]) if part["last_error"] else None
    report |= {
        "uptime_seconds": round(uptime, 1),
        "requests_running": running,
        "ledger": {"writable": trouble is None, "error": safe(trouble) if trouble else None,
                   "storage": "bucket" if arena.ledger.alone else "disk"},
        "disk_free_bytes": arena.still("disk", lambda: _free(arena)),
    }  # fmt: skip
    report["line"] = line(report, arena.ledger.now())
    return report


def line(report: Mapping[str, Any], now: int) -> str:
    """The report in one sentence, for people. `now` is in milliseconds."""
    if not report["ok"]:
        return "Votes can’t be taken at this moment: the server’s disk can’t be written."
    hub = report["hub"]
    if not hub["dataset"]:
        return "Votes are kept on this server; no dataset on the Hub is configured."
    pending, last, due = hub["pending_rows"], hub["last_commit_at"], hub["next_try_at"]
    if not pending:
        return "All votes are published" + (f", the last ones {_span(now - last)} ago." if last else ".")
    wait = f"{pending:,} new row{'s wait' if pending > 1 else ' waits'} for the Hub"
    soon = _span(due - now) if due and due > now else ""
    if hub["last_error"]:
        return f"{wait}; {f'next try in {soon}' if soon else 'trying now'}: {_why(hub['last_error'])}."
    return f"{wait}; the next commit is {f'in {soon}' if soon else 'due now'}."


def safe(text: str) -> str:
    """An error's text without tokens, queries of URLs and folders of this machine, in at most 300 characters."""
    return _PATHS.sub("", re.sub(r"\?\S+", "", without_secrets(" ".join(text.split()))))[:300]


def _why(error: str) -> str:
    answered = re.search(r"\b([45]\d\d):", error)
    if answered:
        return f"the Hub answers {answered[1]}"
    if re.search(r"Connect|Timeout|RemoteProtocol|ReadError|WriteError|unanswered", error):
        return "the Hub can’t be reached"
    return "the last try failed"


def _span(milliseconds: int) -> str:
    seconds = max(1, round(milliseconds / 1000))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _free(arena: Arena) -> int | None:
    """In steps that a picture does not show in: two more of them, and how large they are, would say something of a
    battle that has no vote yet."""
    try:
        return shutil.disk_usage(arena.ledger.path.parent).free // FREE_STEP * FREE_STEP
    except OSError:
        return None
