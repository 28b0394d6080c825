"""Ports for servers that must know theirs before they listen, or that keep it over a restart.

The kernel takes the ports of outgoing connections from a range of its own: one of those that was free a moment ago may
be somebody's by the time a server asks for it. Ours lie below that range.
"""

from __future__ import annotations

import itertools
import os
import socket

FIRST, MOST = 20_000, 10_000
_next = itertools.count(os.getpid() * 61)  # so that two runs on one machine begin at different ones


def free_port() -> int:
    """A port of the loopback on which nobody listens; another one at every call."""
    for _ in range(MOST):
        port = FIRST + next(_next) % MOST
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise OSError(f"all ports from {FIRST} to {FIRST + MOST - 1} are taken")
