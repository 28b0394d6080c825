"""The Space's entry, and `python app.py`: reads the environment, builds the arena, serves it.

ARENA_CONFIG      arena.yaml (default: the one beside this file)
ARENA_DATA_DIR    where the ledger, the image bank and the shards live (default: data/ beside this file)
ARENA_LOG         plain, or json for one object a line
ARENA_SECRET      keys voters' hashes and cookies; by default a random one that is kept in the data folder
HF_TOKEN, HF_ENDPOINT                    for publishing, and for gated models
GRADIO_SERVER_NAME, GRADIO_SERVER_PORT   where to listen (default: 127.0.0.1:7860; 0.0.0.0 on a Space)
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from pathlib import Path

from arena import logs

HERE = Path(__file__).resolve().parent


def main() -> int:
    env, space = os.environ, os.environ.get("SPACE_ID")
    if env.get("ARENA_LOG", "") not in ("", "plain", "json"):
        return fail(f'ARENA_LOG: "{env["ARENA_LOG"]}" is not a kind of log; plain or json')
    logs.set_up(json_lines=env.get("ARENA_LOG") == "json")
    host = env.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if space else "127.0.0.1")
    port = env.get("GRADIO_SERVER_PORT") or "7860"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return fail(f'GRADIO_SERVER_PORT: "{port}" is not a port; a number from 1 to 65535 is expected')
    if space and not env.get("ARENA_SECRET"):
        logging.warning("ARENA_SECRET is not set: when this Space's disk is renewed, returning visitors count as new "
                        "voters. Set it among the Space's secrets.")  # fmt: skip
    env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) - 1)))  # drawing leaves visitors a core
    from arena.build import build_arena, start
    from arena.errors import ConfigError, LedgerError
    from arena.ui.launch import serve
    from standings import Standings

    standings = Standings()

    def leaderboard() -> None:
        from leaderboard.ui import leaderboard_page

        leaderboard_page(standings.study)

    try:
        arena = build_arena(
            Path(env.get("ARENA_CONFIG") or HERE / "arena.yaml"),
            Path(env.get("ARENA_DATA_DIR") or HERE / "data"),
            secret=hashlib.sha256(env["ARENA_SECRET"].encode()).digest() if env.get("ARENA_SECRET") else None,
            hf_token=env.get("HF_TOKEN"),
            hf_endpoint=env.get("HF_ENDPOINT"),
            ticker=standings.ticker, gains=standings.gains,
        )  # fmt: skip
    except (ConfigError, LedgerError) as error:
        return fail(str(error))
    try:
        standings.follow(arena.ledger, arena.config, arena.bank)
        start(arena)  # drawing begins while the page is still being put together
        serve(arena, leaderboard_page=leaderboard, host=host, port=int(port))
    except ConfigError as error:
        return fail(str(error))
    finally:
        arena.close()
    return 0


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # while it was still starting
        sys.exit(130)
