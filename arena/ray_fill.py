"""Filling the bank over a Ray cluster: the images that the plain fill makes, made on many machines at once.

Actors (`arena.ray_maker`) hold one backend each and make pictures. The driver, which is the process that was started,
knows what is missing and alone writes bank and ledger, block by block as they come: one commit a block. So whatever
dies, what was committed stays, and the next run makes only what is missing. A machine that is lost takes the blocks with
it that it had not handed over; Ray makes them again elsewhere, and a picture that comes twice is kept once. Ray is
imported when a fill begins, and nowhere else.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from arena.bank import Encoded
from arena.errors import ClusterError
from arena.fill import Bar, Forecast
from arena.ray_maker import Maker, Tally, first_line
from arena.records import Image

if TYPE_CHECKING:
    import pyarrow as pa

    from arena.config import ModelSettings
    from arena.service import Arena
    from arena.stock import Stock, Wanted

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[1]  # the checkout, which travels to every machine
LEFT_HERE = ("/data/", "/tests/", "/docs/", "/benchmarks/", "*.sqlite*", ".*/")  # what no actor reads of it
ROUND = 4096  # prompts that are finished with all models before the next ones are begun
WRITERS = 8  # threads that write pictures: each waits for the disk, not for a processor
DEATHS = 3  # of an actor over one block, after which a pass goes on without it
REPLICATES = 3  # that are tried of an image before its prompt counts as one that the model does not answer
ON_A_GPU = {"diffusers", "zerogpu"}


@dataclass(slots=True)
class Block:
    """What one block brought: the images that are in the ledger now and were not, and what failed."""

    images: list[Image]
    failures: list[tuple[str, str]] = field(default_factory=list)  # (model, reason)


class FarTally:
    """A Tally as the makers ask it: by the handle of its actor."""

    def __init__(self, actor: Any):
        self._actor = actor

    def begin(self, block: int) -> bool:
        import ray

        return ray.get(self._actor.begin.remote(block))

    def end(self, block: int) -> None:
        self._actor.end.remote(block)


class RayFill:
    """Makes wanted images of `stock` over the cluster at `address` ("auto", or host:port of its head).

    `shared` says that the bank's folder is on storage that every machine has at the same path: then actors write the
    pictures there, and only their records come here. Raises ClusterError where Ray or the cluster cannot be had.
    """

    def __init__(self, address: str, stock: Stock, config_dir: Path, *, hf_token: str | None = None,
                 shared: bool = False):  # fmt: skip
        self.stock, self.config, self.bank, self.shared = stock, stock.config, stock.bank, shared
        self._config_dir, self._token = config_dir.resolve(), hf_token
        self._ray = _connect(address, self.bank.folder)

    def close(self) -> None:
        """Leave the cluster; its actors end."""
        self._ray.shutdown()

    def machines(self) -> str:
        """What the cluster has, in words."""
        have, nodes = self._ray.cluster_resources(), sum(node["Alive"] for node in self._ray.nodes())
        return f"{nodes} machines, {have.get('CPU', 0):g} processors, {have.get('GPU', 0):g} GPUs"

    def fill(self, wanted: Sequence[Wanted]) -> Iterator[Block]:
        """Make them, and yield what each block brought once it is on disk. What a pass did not bring is asked for
        again as long as passes bring something; of a rejected picture the next replicate is. Blocks that actors died of
        are asked for one by one, and given up where actors die of them again. What failed stays missing, for another
        run."""
        waiting, alone = dict(enumerate(wanted)), set[int]()
        while waiting:
            before, refused = len(waiting), {}
            try:
                for some, one_by_one in ((waiting.keys() - alone, False), (waiting.keys() & alone, True)):
                    for backend in sorted({self._model(waiting[at]).backend for at in some}):
                        asked = {at: waiting[at] for at in some & waiting.keys()}
                        for table in self._made(backend, asked, one_by_one=one_by_one):
                            yield self._keep(table.to_pylist(), waiting, refused)
            except self._ray.exceptions.RayError as error:
                if len(waiting) == before:
                    raise ClusterError(f"the cluster made nothing: {first_line(error)}") from error
                log.warning("a pass over the cluster was cut short, and goes on: %s", first_line(error))
            else:
                if again := alone & waiting.keys():
                    yield Block([], [(waiting.pop(at).model, f"{2 * DEATHS} actors died of it") for at in again])
                alone = set(waiting)
                if alone:
                    log.warning("actors died of %d images, which are asked for one by one", len(alone))
            waiting |= refused

    def _model(self, wanted: Wanted) -> ModelSettings:
        return self.stock.contenders[wanted.model]

    def _made(self, backend: str, waiting: Mapping[int, Wanted], *, one_by_one: bool) -> Iterator[pa.Table]:
        """Blocks (`made_schema`) as actors hand them over, in any order. Ray restarts actors, and gives them their blocks
        again, without end: that one kills them is for `Tally` to see."""
        import ray.data

        requests = [(at, self.stock.request(one.prompt, one.model, one.replicate))
                    for at, one in _in_order(waiting) if self._model(one).backend == backend]  # fmt: skip
        rows = [{"at": at, "model": r.model.id, "prompt": r.prompt, "seed": r.seed} for at, r in requests]
        how = self.config.cluster
        models = {m: row for m, row in self.stock.contenders.items() if row.backend == backend}
        gpus = how.gpus
        if gpus is None:
            gpus = float(backend in ON_A_GPU and self._ray.cluster_resources().get("GPU", 0) > 0)
        maker = {
            "models": models, "backend": backend, "config_dir": _there(self._config_dir),
            "memory_gb": self.config.memory_gb, "hf_token": self._token, "tokens": _tokens(models),
            "display_px": self.bank.display_px, "folder": str(self.bank.folder.resolve()) if self.shared else None,
            "tally": self._tally(),
        }  # fmt: skip
        blocks = len(rows) if one_by_one else -(-len(rows) // how.block)
        room = sum(_room(node["Resources"], how.cpus, gpus) for node in self._ray.nodes() if node["Alive"])
        if not room:
            log.warning("no machine has room for an actor (%g processors, %g GPUs): waiting for one", how.cpus, gpus)
        at_once = max(1, min(room, blocks, how.actors or room))  # more are added where machines join later
        pool = ray.data.ActorPoolStrategy(min_size=1, initial_size=at_once, max_size=how.actors,
                                          max_tasks_in_flight_per_actor=2)  # fmt: skip
        dataset = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            Maker, batch_size=None, batch_format="pyarrow", compute=pool, fn_constructor_kwargs=maker,
            num_cpus=how.cpus, num_gpus=gpus or None)  # fmt: skip
        return iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))

    def _tally(self) -> FarTally:
        """A new tally, of one pass; on the driver's own machine, so that it is lost with the driver alone."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        return FarTally(self._ray.remote(Tally).options(num_cpus=0, scheduling_strategy=here).remote(DEATHS))

    def _keep(self, rows: list[dict[str, Any]], waiting: dict[int, Wanted], refused: dict[int, Wanted]) -> Block:
        """A block's pictures into the bank, then its records into the ledger in one commit; what is settled leaves
        `waiting`, and `refused` gets the next replicates of rejected pictures."""
        rows = [row for row in rows if row["at"] in waiting and not row["died"]]
        good = [row for row in rows if not row["error"]]
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(self._store, good))
        now = self.stock.ledger.now()
        images = [self._image(row, waiting[row["at"]], now) for row in good]
        block = Block(self.stock.ledger.add_images(images))
        for row in rows:
            one = waiting.pop(row["at"])
            if row["rejected"] and one.replicate + 1 < REPLICATES:
                refused[row["at"]] = replace(one, replicate=one.replicate + 1)
            elif row["error"]:
                block.failures.append((one.model, row["error"]))
        return block

    def _image(self, row: Mapping[str, Any], wanted: Wanted, now: int) -> Image:
        return Image(row["image_id"], wanted.prompt.prompt_id, wanted.model, row["model_revision"], row["seed"],
                     row["width"], row["height"], row["settings"], row["seconds"], row["hardware"], now,
                     self._model(wanted).licence)  # fmt: skip

    def _store(self, row: Mapping[str, Any]) -> None:
        if not self.shared:
            self.bank.store(Encoded(row["image_id"], row["data"], row["shown"]))
        elif not self.bank.has(row["image_id"]):
            raise ClusterError(f"{self.bank.folder}: a picture that another machine wrote is not there; "
                               "--shared wants a folder that every machine has at the same path")  # fmt: skip


def fill_over(address: str, arena: Arena, wanted: Sequence[Wanted], config_dir: Path, *, hf_token: str | None = None,
              shared: bool = False, out: TextIO | None = None) -> int:  # fmt: skip
    """Make these images over the cluster, with the plain fill's progress; the exit code of the command: 0 when all of
    them are there, 1 otherwise. Raises ClusterError."""
    out, forecast, failed, stopped = out or sys.stderr, Forecast(wanted), Counter[tuple[str, str]](), ""
    if not wanted:
        print("nothing is missing", file=out)
        return 0
    filling = RayFill(address, arena.stock, config_dir, hf_token=hf_token, shared=shared)
    print(f"{len(wanted)} images to make on {filling.machines()}", file=out)
    bar, paces = Bar(forecast, out, time.monotonic), dict[str, tuple[float, int]]()
    try:
        for block in filling.fill(wanted):
            for image in block.images:
                # The whole cluster's seconds for an image of this model. Its first one only starts the clock: what was
                # before it is the start of actors, and of weights.
                begun, n = paces.setdefault(image.model, (time.monotonic(), 0))
                paces[image.model] = begun, n + 1
                forecast.add(image.model, (time.monotonic() - begun) / max(1, n), arena.bank.size(image.image_id))
            for model, why in block.failures:
                failed[model, why] += 1
                forecast.drop(model)
            bar.show()
    except KeyboardInterrupt:
        stopped = "stopped; what was made is kept, and the same command goes on from there. "
    finally:
        bar.close()
        filling.close()
    print(f"{stopped}{forecast.made} images made, {forecast.bytes / 1e6:.1f} MB", file=out)
    for (model, why), times in failed.most_common():
        print(f"{times} of {model} are still missing: {why}", file=out)
    return 1 if failed or stopped else 0


def _in_order(waiting: Mapping[int, Wanted]) -> list[tuple[int, Wanted]]:
    """Model after model, so that an actor seldom changes its weights, in rounds of prompts, so that a fill which is
    stopped leaves no model far behind."""
    prompts = dict.fromkeys(one.prompt.prompt_id for one in waiting.values())
    place = {prompt_id: at // ROUND for at, prompt_id in enumerate(prompts)}
    return sorted(waiting.items(), key=lambda item: (place[item[1].prompt.prompt_id], item[1].model, item[0]))


def _connect(address: str, bank: Path):
    """Ray, connected. The checkout is sent along, so that actors run this code and find its folders."""
    if address.startswith("ray://"):
        raise ClusterError(f"{address}: start this command on a machine of the cluster and say --ray auto, or "
                           "the host:port of its head; Ray Data does not run through Ray's remote client")  # fmt: skip
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
        "RAY_BACKEND_LOG_LEVEL": "fatal",  # else its log goes into the progress line
        "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": "",  # LEFT_HERE says them
    }
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise ClusterError("--ray needs Ray, here and on every machine of the cluster: "
                           f"pip install -r requirements-ray.txt ({error})") from None  # fmt: skip
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what a pass lost, `fill` says itself
    bank = bank.resolve()
    inside = [f"/{bank.parent.relative_to(ROOT)}/"] if bank.is_relative_to(ROOT) else []
    sent = {"working_dir": str(ROOT), "excludes": [*LEFT_HERE, *inside],
            "env_vars": {name: os.environ[name] for name in ("HF_ENDPOINT",) if name in os.environ}}  # fmt: skip
    try:
        if ":" in address:  # Ray itself would knock for minutes
            host, port = address.rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=sent)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(f"{address}: no Ray cluster can be had there ({first_line(error)})") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _room(machine: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many actors have room on a machine."""
    return int(min(machine.get("CPU", 0) / cpus, machine.get("GPU", 0) / gpus if gpus else math.inf))


def _there(folder: Path) -> str:
    """A folder as actors find it: within the checkout that was sent along, else at the same path as here."""
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)


def _tokens(models: Mapping[str, ModelSettings]) -> dict[str, str]:
    """The tokens that rows name by their environment variable. They go to the actors alone, into no log of Ray's."""
    names = {row.token_env for row in models.values() if row.token_env}
    return {name: os.environ[name] for name in names if name in os.environ}
