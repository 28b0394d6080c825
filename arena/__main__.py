"""The maintainer's command line: python -m arena check | fill | publish | compact | restore | forget | gold | simulate."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

from arena import check as check_command
from arena import fill as fill_command
from arena import gold_command
from arena.config import load_config
from arena.errors import ArenaError, ConfigError
from arena.simulate import command as simulation


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m arena", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(os.environ.get("ARENA_CONFIG", "arena.yaml")))
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("ARENA_DATA_DIR", "data")))
    commands = parser.add_subparsers(dest="command", required=True)
    check_command.add_parser(commands)
    fill = fill_command.add_parser(commands)
    fill.add_argument("--ray", metavar="ADDRESS", help="make them on a Ray cluster: auto, or host:port of its head")
    fill.add_argument("--shared", action="store_true", help="with --ray: the data folder is on every machine's disk")
    commands.add_parser("publish", help="seal what is new and commit it now")
    compact = commands.add_parser("compact", help="make small shards of the dataset into large ones")
    compact.add_argument("--today", action="store_true", help="also those of today, however few")
    restore = commands.add_parser("restore", help="take in what the dataset has and this disk lacks")
    restore.add_argument("--no-pictures", action="store_true", help="leave the pictures for the app to fetch")
    forget = commands.add_parser("forget", help="erase a voter from ledger and dataset; the app must be stopped")
    whom = forget.add_mutually_exclusive_group(required=True)
    whom.add_argument("voter", nargs="?", metavar="VOTER", help="the hash in the dataset's column voter")
    whom.add_argument("--user", metavar="NAME", help="the user name that a voter agreed to have on their votes")
    whom.add_argument(
        "--account", metavar="ID", help="the id of the account with which a voter signs in (OpenID's sub)"
    )
    forget.add_argument("--yes", action="store_true", help="do not ask first")
    gold_command.add_parser(commands)
    simulation.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        return {"check": check_command.run, "fill": _fill, "publish": _publish, "compact": _compact,
                "restore": _restore, "forget": _forget, "gold": gold_command.run,
                "simulate": simulation.run}[arguments.command](arguments)  # fmt: skip
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except ArenaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _build(arguments: argparse.Namespace):
    from arena.build import build_arena

    return build_arena(arguments.config, arguments.data_dir, hf_token=os.environ.get("HF_TOKEN"),
                       hf_endpoint=os.environ.get("HF_ENDPOINT"))  # fmt: skip


def _fill(arguments: argparse.Namespace) -> int:
    arena = _build(arguments)
    try:
        wanted = fill_command.chosen(arena, arguments)
        if not arguments.ray:
            return fill_command.fill(arena, wanted)
        from arena.ray_fill import fill_over

        return fill_over(arguments.ray, arena, wanted, arguments.config.parent, shared=arguments.shared,
                         hf_token=os.environ.get("HF_TOKEN"))  # fmt: skip
    finally:
        arena.close()


def _publish(arguments: argparse.Namespace) -> int:
    arena = _build(arguments)
    try:
        arena.publisher.publish_now()
        print(json.dumps(arena.status()["hub"], indent=1))
    finally:
        arena.close()
    return 0


def _compact(arguments: argparse.Namespace) -> int:
    arena = _build(arguments)
    try:
        print(json.dumps(asdict(arena.publisher.compact_now(today=arguments.today)), indent=1))
    finally:
        arena.ledger.close()
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from arena.build import build_restorer

    config = load_config(arguments.config)
    if config.hub.dataset is None:
        raise ConfigError(f"{arguments.config.name}: hub.dataset is not set; there is nothing to restore from")
    ledger, restorer = build_restorer(config, arguments.data_dir, hf_token=os.environ.get("HF_TOKEN"),
                                      hf_endpoint=os.environ.get("HF_ENDPOINT"))  # fmt: skip
    try:
        print(json.dumps(asdict(restorer.read_now(pictures=not arguments.no_pictures)), indent=1))
    finally:
        ledger.close()
    return 0


def _forget(arguments: argparse.Namespace) -> int:
    from arena.build import build_eraser

    config = load_config(arguments.config)
    eraser = build_eraser(config, arguments.data_dir, hf_token=os.environ.get("HF_TOKEN"),
                          hf_endpoint=os.environ.get("HF_ENDPOINT"))  # fmt: skip
    try:
        voters = _voters(arguments, eraser)
        where = f"this disk and of {config.hub.dataset}, whose history goes too" if config.hub.dataset else "this disk"
        for voter in voters:
            print(f"{voter}: {eraser.count(voter)} votes in the ledger. They are erased for good, of {where}.")
        if not arguments.yes and input("Go on? Type yes: ").strip().lower() != "yes":
            print("nothing was changed")
            return 1
        for voter in voters:
            print(_about(eraser.erase(voter)))
    except EOFError:
        print("\nnothing was changed; --yes does not ask")
        return 1
    finally:
        eraser.ledger.close()
    return 0


def _voters(arguments: argparse.Namespace, eraser) -> list[str]:
    """Whom the command means."""
    if arguments.account:
        from arena.build import load_secret
        from arena.guard import VoterKey

        given = os.environ.get("ARENA_SECRET")
        secret = hashlib.sha256(given.encode()).digest() if given else load_secret(arguments.data_dir)
        return [VoterKey(secret).voter(f"hf:{arguments.account}")]
    if arguments.user:
        if found := eraser.voters_named(arguments.user):
            return found
        raise ConfigError(f"{arguments.user}: no vote here carries this name. Names are kept with the votes of those who "
                          "agreed to it; any other account is found by its id (--account) or its hash")  # fmt: skip
    if not re.fullmatch(r"[0-9a-f]{32}", arguments.voter):
        raise ConfigError(f'"{arguments.voter}" is not a voter\'s hash: 32 hexadecimal digits are expected')
    return [arguments.voter]


def _about(done) -> str:
    """What was erased, and what remains where."""
    rows = ", ".join(f"{n} {table}" for table, n in done.rows.items() if n) or "nothing"
    lines = [
        f"ledger: {rows} erased, and the file written anew",
        f"local shards, and ledgers set aside: {done.local_files} removed or made again",
    ]
    if done.dataset:
        lines.append(
            f"{done.dataset}: {done.dataset_rows} rows in {done.dataset_files} shards erased, history squashed"
        )
    lines.append("""what remains:
  the ids of the erased votes, as exclusions with the reason erased, which name nobody
  prompts that the voter typed and their images, unless private: nothing ties them to the voter any more
  backups of this disk, and copies that others have downloaded""")
    if done.dataset:
        lines.append("""  other replicas drop the votes when they next read the dataset; their local shards follow after hub.keep_days
  files of old revisions, until the Hub clears its storage: remove them under LFS files in the dataset's settings""")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
