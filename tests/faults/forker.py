"""Starts the app, or its command line, in processes of their own without importing everything anew each time.

Run as a script: it imports what `app.py` needs, then forks for every line of JSON that it reads:
{"env": {...}, "log": path, "host": name or null, "crash": [step, times] or null, "command": [...] or null}.
It answers with {"started": pid}, and {"ended": pid, "status": code} when a child has ended. The child runs
`app.main()` (or `python -m arena` with the command) to its end, as if it had been started by itself.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable

CRASHED = 86  # the exit status of a process that ended at a step of publishing
# Where publishing can be cut short: (owner, method, whether the process ends before or after the call).
STEPS = {
    "staged": ("Ledger", "record_shard", "before"),  # the shard is on the disk, nobody knows of it
    "recorded": ("Ledger", "record_shard", "after"),
    "placed": ("ShardFolder", "_place", "after"),
    "landed": ("Ledger", "mark_published", "before"),  # the Hub has it, the ledger does not know
    "marked": ("Ledger", "mark_published", "after"),
}


def main() -> Callable[[], int]:
    """In the child only: what it has to run."""
    import gradio  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    from huggingface_hub import CommitOperationAdd, HfApi  # noqa: F401

    import app
    import arena.__main__
    import arena.build
    import arena.ui.pages
    import leaderboard.ui  # noqa: F401
    import standings  # noqa: F401

    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    say({"ready": os.getpid()})
    pending = b""
    while True:
        for ready in select.select([sys.stdin.fileno(), ended], [], [])[0]:
            if ready == ended:
                os.read(ended, 4096)
                reap()
                continue
            read = os.read(ready, 65536)
            if not read:
                sys.exit(0)
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    become(asked)
                    if asked["command"]:
                        return lambda command=asked["command"]: arena.__main__.main(command)
                    return app.main
                say({"started": pid})


def become(asked: dict) -> None:
    os.setsid()
    null, log = os.open(os.devnull, os.O_RDONLY), os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for target, source in enumerate((null, log, log)):
        os.dup2(source, target)
    os.environ.update(asked["env"])
    if asked["host"]:
        socket.gethostname = lambda: asked["host"]
    if asked["crash"]:
        crash(*asked["crash"])


def crash(step: str, times: int) -> None:
    """End this process, as a power cut would, the `times`th time that it comes to `step`."""
    import arena.ledger
    import arena.shards

    name, method, when = STEPS[step]
    owner = {"Ledger": arena.ledger.Ledger, "ShardFolder": arena.shards.ShardFolder}[name]
    original, left = getattr(owner, method), [times]

    def cut_short(*args, **kwargs):
        left[0] -= 1
        if when == "before" and left[0] == 0:
            os._exit(CRASHED)
        result = original(*args, **kwargs)
        if left[0] == 0:
            os._exit(CRASHED)
        return result

    setattr(owner, method, cut_short)


def reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        say({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def say(what: dict) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    run = main()
    sys.exit(run())
