"""Filling the bank over a Ray cluster: the images that the plain fill makes, made on many machines at once.

Actors hold one backend each and make pictures; they write nothing down. The driver, which is the process that was
started, knows what is missing and alone writes bank and ledger, block by block as they come: one commit a block. So
whatever dies, what was committed stays, and the next run makes only what is missing. A machine that is lost takes the
blocks with it that it had not handed over; Ray makes them again elsewhere, and a picture that comes twice is kept
once. Ray is imported when a fill begins, and nowhere else.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.backends import make_backend, reason
from arena.backends.base import Generated, Request
from arena.bank import Bank, Encoded, encode
from arena.errors import ClusterError, GenerationError, ImageRejected
from arena.records import Image, dumps

if TYPE_CHECKING:
    import pyarrow as pa

    from arena.config import ModelSettings
    from arena.stock import Stock, Wanted

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[1]  # the checkout, which travels to every machine
LEFT_HERE = ("data", "tests", "docs", "benchmarks", "*.sqlite*", "*.png", ".*/")  # what no actor reads of it
ROUND = 4096  # prompts that are finished with all models before the next ones are begun
GIVE_UP = 3  # failures in a row after which an actor asks a model no more
WRITERS = 8  # threads that write pictures: each waits for the disk, not for a processor
REPLICATES = 3  # that are tried of an image before its prompt counts as one that the model does not answer
ON_A_GPU = {"diffusers", "zerogpu"}


@dataclass(slots=True)
class Block:
    """What one block brought: how many images are in the ledger now that were not, and what failed."""

    made: int = 0
    seconds: float = 0.0  # that the models took for them, on all machines together
    failures: list[tuple[str, str]] = field(default_factory=list)  # (model, reason)


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
        again as long as passes bring something; of a rejected picture the next replicate is. What failed stays
        missing, for another run."""
        waiting = dict(enumerate(wanted))
        while waiting:
            before, refused = len(waiting), {}
            try:
                for backend in sorted({self._model(one).backend for one in waiting.values()}):
                    for table in self._made(backend, waiting):
                        yield self._keep(table.to_pylist(), waiting, refused)
            except self._ray.exceptions.RayError as error:
                if len(waiting) == before:
                    raise ClusterError(f"the cluster made nothing: {_first_line(error)}") from error
                log.warning("a pass over the cluster was cut short, and goes on: %s", _first_line(error))
            if len(waiting) == before:
                raise ClusterError(f"the cluster did not answer for {before} images")
            waiting |= refused

    def _model(self, wanted: Wanted) -> ModelSettings:
        return self.stock.contenders[wanted.model]

    def _made(self, backend: str, waiting: Mapping[int, Wanted]) -> Iterator[pa.Table]:
        """Blocks (`made_schema`) as actors hand them over, in any order. Ray Data restarts actors and retries their
        blocks without end: max_restarts and max_task_retries are -1 in its pools."""
        import ray.data

        requests = [(at, self.stock.request(one.prompt, one.model, one.replicate))
                    for at, one in _in_order(waiting) if self._model(one).backend == backend]  # fmt: skip
        rows = [{"at": at, "model": r.model.id, "prompt": r.prompt, "seed": r.seed} for at, r in requests]
        how, models = (
            self.config.cluster,
            {m: row for m, row in self.stock.contenders.items() if row.backend == backend},
        )
        gpus = how.gpus
        if gpus is None:
            gpus = float(backend in ON_A_GPU and self._ray.cluster_resources().get("GPU", 0) > 0)
        maker = {
            "models": models, "backend": backend, "config_dir": _there(self._config_dir),
            "memory_gb": self.config.memory_gb, "share": gpus, "hf_token": self._token, "tokens": _tokens(models),
            "display_px": self.bank.display_px, "folder": str(self.bank.folder.resolve()) if self.shared else None,
        }  # fmt: skip
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=how.actors, max_tasks_in_flight_per_actor=2)
        dataset = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // how.block)).map_batches(
            Maker, batch_size=None, batch_format="pyarrow", compute=pool, fn_constructor_kwargs=maker,
            num_cpus=how.cpus, num_gpus=gpus or None)  # fmt: skip
        return iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))

    def _keep(self, rows: list[dict[str, Any]], waiting: dict[int, Wanted], refused: dict[int, Wanted]) -> Block:
        """A block's pictures into the bank, then its records into the ledger in one commit; what is settled leaves
        `waiting`, and `refused` gets the next replicates of rejected pictures."""
        rows = [row for row in rows if row["at"] in waiting]
        good = [row for row in rows if not row["error"]]
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(self._store, good))
        now = self.stock.ledger.now()
        images = [self._image(row, waiting[row["at"]], now) for row in good]
        added = self.stock.ledger.add_images(images)
        block = Block(added, sum(image.seconds for image in images))
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


class Maker:
    """An actor of the pool: one backend, whose weights are read at the first request; called with blocks of rows
    (at, model, prompt, seed)."""

    def __init__(self, models: Mapping[str, ModelSettings], backend: str, config_dir: str, memory_gb: float | None,
                 share: float, hf_token: str | None, tokens: Mapping[str, str], display_px: int,
                 folder: str | None):  # fmt: skip
        os.environ.update(tokens)
        if memory_gb is None and 0 < share < 1:
            memory_gb = _share_of_the_gpu(share)
        self.models, self.display_px = models, display_px
        self.backend = make_backend(backend, config_dir=Path(config_dir), memory_gb=memory_gb, hf_token=hf_token)
        self.bank = Bank(folder, display_px=display_px) if folder else None
        self.failed: dict[str, int] = {}  # model -> failures in a row

    def __call__(self, block: pa.Table) -> pa.Table:
        import pyarrow as pa

        made: list[dict[str, Any]] = []
        for model, rows in itertools.groupby(block.to_pylist(), key=lambda row: row["model"]):
            made += self._group(model, list(rows))
        return pa.Table.from_pylist(made, schema=made_schema())

    def _group(self, model: str, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Rows of one model, in one call if that goes well; else one by one, so that only those fail that must."""
        requests = [Request(self.models[model], row["prompt"], row["seed"]) for row in rows]
        try:
            pictures: list[Generated | None] = [*self._generate(requests)]
        except GenerationError:
            pictures = [None] * len(rows)
        for row, request, picture in zip(rows, requests, pictures, strict=True):
            yield {"at": row["at"], "seed": row["seed"], "rejected": False} | self._finished(request, picture)

    def _finished(self, request: Request, picture: Generated | None) -> dict[str, Any]:
        model = request.model.id
        if self.failed.get(model, 0) >= GIVE_UP:
            return {"error": f"not asked any more after {GIVE_UP} failures in a row"}
        try:
            made = picture or self._generate([request])[0]
            files = encode(made.picture, self.display_px)
            if self.bank is not None:
                self.bank.store(files)
        except ImageRejected as error:
            return {"error": reason(error), "rejected": True}
        except GenerationError as error:
            self.failed[model] = self.failed.get(model, 0) + 1
            return {"error": reason(error)}
        self.failed.pop(model, None)
        width, height = made.picture.size
        sent = {} if self.bank is not None else {"data": files.data, "shown": files.shown}
        return {**sent, "image_id": files.image_id, "width": width, "height": height, "hardware": made.hardware,
                "model_revision": made.model_revision, "settings": dumps(made.settings),
                "seconds": round(made.seconds, 4)}  # fmt: skip

    def _generate(self, requests: Sequence[Request]) -> list[Generated]:
        """Raises GenerationError, and nothing else: an actor that dies of one picture would be asked for it again."""
        try:
            return self.backend.generate(requests, progress=lambda share: None, cancelled=lambda: False)
        except GenerationError:
            raise
        except Exception as error:
            log.exception("images of %s could not be made", requests[0].model.id)  # goes into the actor's log
            raise GenerationError(f"{type(error).__name__}: {_first_line(error)}") from error


def made_schema() -> pa.Schema:
    """The columns of a finished block. A row has an `error` or the rest, and with a shared bank never any bytes."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema({"at": number, "seed": number, "rejected": pa.bool_(), "error": text, "image_id": text,
                      "data": pa.binary(), "shown": pa.binary(), "width": number, "height": number,
                      "model_revision": text, "settings": text, "seconds": pa.float64(), "hardware": text})  # fmt: skip


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
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    bank = bank.resolve()
    inside = [str(bank.parent.relative_to(ROOT))] if bank.is_relative_to(ROOT) else []
    sent = {"working_dir": str(ROOT), "excludes": [*LEFT_HERE, *inside],
            "env_vars": {name: os.environ[name] for name in ("HF_ENDPOINT",) if name in os.environ}}  # fmt: skip
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=sent)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(f"{address}: no Ray cluster can be had there ({_first_line(error)})") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _there(folder: Path) -> str:
    """A folder as actors find it: within the checkout that was sent along, else at the same path as here."""
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)


def _tokens(models: Mapping[str, ModelSettings]) -> dict[str, str]:
    """The tokens that rows name by their environment variable. They go to the actors alone, into no log of Ray's."""
    names = {row.token_env for row in models.values() if row.token_env}
    return {name: os.environ[name] for name in names if name in os.environ}


def _share_of_the_gpu(share: float) -> float | None:
    """Gigabytes for weights in a share of the GPU; a tenth is for the work itself."""
    import torch

    return 0.9 * share * torch.cuda.mem_get_info()[1] / 1e9 if torch.cuda.is_available() else None


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
