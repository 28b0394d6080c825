"""The one composition root: which parts are real is decided here and nowhere else."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from arena.backends import make_backend
from arena.bank import Bank
from arena.config import ArenaConfig, load_config
from arena.costs import measured_seconds
from arena.forget import Eraser
from arena.guard import VoterKey
from arena.ledger import Ledger
from arena.matchmaking import Gains
from arena.pace import Pace
from arena.publisher import HubTarget, Publisher
from arena.restore import NoDataset, Restorer
from arena.salvage import mended
from arena.service import Arena, Ticker
from arena.shards import ShardFolder
from arena.storage import storage_of
from arena.studio import Studio

log = logging.getLogger(__name__)


def build_arena(config_path: str | Path, data_dir: str | Path, *, secret: bytes | None = None,
                hf_token: str | None = None, hf_endpoint: str | None = None, fake: bool = False,
                ticker: Ticker | None = None, gains: Callable[[], Gains | None] | None = None,
                rng: random.Random | None = None) -> Arena:  # fmt: skip
    """An arena on `data_dir`, not yet started (`start`). `fake` draws deterministic patterns in place of every
    model, for tests and for measuring what is not generation. `rng` draws who meets whom; where it is None nobody can
    foretell it. Raises ConfigError, LedgerError."""
    config_path, data_dir = Path(config_path), Path(data_dir)
    config = load_config(config_path)
    ledger = _ledger(config, data_dir)
    bank = Bank(data_dir / "bank", display_px=config.bank.display_px)
    backends = {name: make_backend("fake" if fake else name, config_dir=config_path.resolve().parent,
                                   memory_gb=config.memory_gb, hf_token=hf_token)
                for name in sorted({m.backend for m in config.contenders})}  # fmt: skip
    pace = Pace.of_models(config.contenders, measured_seconds(ledger), memory_gb=config.memory_gb,
                          different_families=config.matchmaking.different_families)  # fmt: skip
    studio = Studio(backends, live_queue=config.limits.live_queue, pace=pace)
    hub = _hub(config, hf_token, hf_endpoint)
    restorer = _restorer(ledger, bank, hub, config)
    publisher = Publisher(ledger, bank, hub, data_dir / "dataset", every_seconds=config.hub.every_seconds,
                          replica=replica_name(data_dir), config=config, know=restorer.know)  # fmt: skip
    world, hint = _demo_world(config)
    arena = Arena(config, ledger=ledger, bank=bank, studio=studio, publisher=publisher,
                  key=VoterKey(secret or load_secret(data_dir)), rng=rng or random.Random(secrets.randbits(128)),
                  restorer=restorer, ticker=ticker, gains=gains, hint=hint, world=world,
                  folder=config_path.resolve().parent)  # fmt: skip
    studio.fill = arena.refill
    restorer.heard, restorer.arrived, restorer.needed = arena.hear, arena.stock.arrived, arena.stock.needs
    return arena


def start(arena: Arena) -> None:
    """Start the threads: the studio's, the restorer's and, as soon as it is known what the dataset has, the
    publisher's. Nothing waits for the Hub but what is sent there. Known tasks that can't be shown are logged."""
    for line in arena.gold.waiting():
        log.warning("%s", line)
    arena.restorer.start(arena.publisher.start)
    arena.studio.start()


def build_restorer(config: ArenaConfig, data_dir: str | Path, *, hf_token: str | None = None,
                   hf_endpoint: str | None = None) -> tuple[Ledger, Restorer | NoDataset]:  # fmt: skip
    """What `python -m arena restore` needs, without models, and without anything that publishes. Raises
    LedgerError."""
    data_dir = Path(data_dir)
    ledger = _ledger(config, data_dir)
    bank = Bank(data_dir / "bank", display_px=config.bank.display_px)
    return ledger, _restorer(ledger, bank, _hub(config, hf_token, hf_endpoint), config)


def build_eraser(config: ArenaConfig, data_dir: str | Path, *, hf_token: str | None = None,
                 hf_endpoint: str | None = None) -> Eraser:  # fmt: skip
    """What `python -m arena forget` needs. Raises LedgerError while another process uses the data folder."""
    data_dir = Path(data_dir)
    ledger = Ledger(data_dir / "ledger.sqlite", alone=True)
    bank, hub = Bank(data_dir / "bank", display_px=config.bank.display_px), _hub(config, hf_token, hf_endpoint)
    folder, replica = data_dir / "dataset", replica_name(data_dir)
    publisher = Publisher(ledger, bank, hub, folder, every_seconds=config.hub.every_seconds, replica=replica,
                          config=config)  # fmt: skip
    return Eraser(ledger, bank, publisher, ShardFolder(folder, ledger=ledger, replica=replica), hub)


def _ledger(config: ArenaConfig, data_dir: Path) -> Ledger:
    path, alone = data_dir / "ledger.sqlite", storage_of(data_dir, config.storage) == "bucket"
    if alone:  # which may have passed on half of a write
        mended(path, data_dir / "dataset", restorable=config.hub.dataset is not None)
    return Ledger(path, alone=alone)


def _hub(config: ArenaConfig, token: str | None, endpoint: str | None) -> HubTarget | None:
    if config.hub.dataset is None:
        return None
    return HubTarget(config.hub.dataset, token=token, endpoint=endpoint, private=config.hub.private)


def _restorer(ledger: Ledger, bank: Bank, hub: HubTarget | None, config: ArenaConfig) -> Restorer | NoDataset:
    return Restorer(ledger, bank, hub, every_seconds=config.hub.read_every_seconds) if hub else NoDataset()


def load_secret(data_dir: Path) -> bytes:
    """The deployment's secret where ARENA_SECRET is not set: a random one, kept beside the ledger. Losing it
    makes every returning visitor a new voter, nothing worse."""
    path = data_dir / "secret"
    try:
        return bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True)
        secret = secrets.token_bytes(32)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret.hex())
        return secret


def replica_name(data_dir: Path) -> str:
    """Tells the shards of several arenas on one dataset apart; says nothing about the machine but that. It is of
    this Space or host and of the data folder, which keeps a random number for it."""
    path = data_dir / "replica"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        scratch = data_dir / f".replica.{os.getpid()}"
        scratch.write_text(secrets.token_hex(16))
        os.replace(scratch, path)
    text = f"{os.environ.get('SPACE_ID') or socket.gethostname()}/{path.read_text().strip()}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _demo_world(config: ArenaConfig):
    """What the demonstration models understand, and the hint for a prompt outside of it; nothing where the
    contenders are real models."""
    if not all(m.demo for m in config.contenders):
        return None, lambda prompt: ""
    from arena.embedded.world import VOCABULARY, understands

    def hint(prompt: str) -> str:
        inside, unknown = understands(prompt)
        if inside:
            return ""
        listed = ", ".join(f"“{word}”" for word in unknown[:5])
        return ("These small demonstration models do not know " + (listed or "this kind of prompt")
                + "; they draw what they can.")  # fmt: skip

    return {group: list(words) for group, words in VOCABULARY.items()}, hint
