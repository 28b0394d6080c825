"""A Ray cluster on the loopback, for what runs on one."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}


class Raylets:
    """A head and, with `second` and until it is killed, one more raylet, each a machine of one processor. `environ` is
    for the processes of the cluster. Nothing of it is left when it is closed."""

    def __init__(self, *, second: bool = True, environ: dict[str, str] | None = None) -> None:
        # The second one is Ray's word for: stay on the loopback. Drivers and actors have both from here.
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        from ray.cluster_utils import Cluster

        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # sockets lie in it, whose paths must be short
        (self.folder / "ray").mkdir()
        # Where it notes the address, in a folder that it expects to be there.
        self._given = {"RAY_TMPDIR": str(self.folder), **(environ or {})}
        os.environ |= self._given
        common = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 120_000_000, "node_ip_address": "127.0.0.1",
                  "include_dashboard": False}  # fmt: skip
        self.cluster = Cluster(initialize_head=True, head_node_args={
            **common, "_system_config": QUICK, "temp_dir": str(self.folder)})  # fmt: skip
        self.second = self.cluster.add_node(**common) if second else None
        self.address = self.cluster.address

    def processes(self) -> list[Any]:
        """All that belongs to it: what names its folder on the command line, and what inherited it (a worker calls
        itself by another name)."""
        import psutil

        ours, found = str(self.folder), []
        for process in psutil.process_iter():
            try:
                named = any(ours in word for word in process.cmdline())
                if named or process.environ().get("RAY_TMPDIR") == ours:
                    found.append(process)
            except psutil.Error:  # it is gone, or somebody else's
                continue
        return found

    def kill_the_second(self) -> None:
        os.kill(self.second.all_processes["raylet"][0].process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.cluster.shutdown()
        end = time.monotonic() + 60
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.2)
        for process in left:
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in self._given:
            del os.environ[name]
        assert not left, f"these outlived the cluster: {left}"
