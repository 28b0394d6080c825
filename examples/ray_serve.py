"""The same server on a Ray cluster: replicas of one pipeline behind one address, by Ray Serve.

    pip install "ray[serve]==2.60.0"            # on every machine, beside requirements.txt
    MODEL=arena/models/tiny-unet serve run examples.ray_serve:app

On a cluster that runs already, add `--address auto --working-dir .`, which sends this checkout to its machines.

MODEL is a pipeline folder (at the same path on every machine) or a Hub repository, REPLICAS how many of it (1), GPUS the
share of a GPU for each (1; 0 draws on processors), QUEUE how many requests may wait at each, BATCH how many pictures are
drawn in one call: all of them as this command finds them, whatever the machines' own variables say. The contract, the
errors and SERVER_TOKEN are those of server.py, whose painter each replica holds: an arena's row names the address of
Serve's proxy, http://HOST:8000/. One application is one model; run several under routes of their own (`serve run
--route-prefix /sdxl --name sdxl ...`), and let each row's source end with its route.
"""

from __future__ import annotations

import os
from pathlib import Path

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.server import Painter, answer, loader

GPUS = float(os.environ.get("GPUS", "1"))
QUEUE = int(os.environ.get("QUEUE", "16"))
BATCH = int(os.environ.get("BATCH", "1"))


@serve.deployment(
    num_replicas=int(os.environ.get("REPLICAS", "1")),
    ray_actor_options={"num_gpus": GPUS, "num_cpus": 1},
    max_ongoing_requests=2
    * (QUEUE + BATCH),  # more than a painter takes: it is the painter that says when to come again
    max_queued_requests=QUEUE,
    health_check_timeout_s=60,
)
class Model:
    def __init__(self, model: str, token: str, *, device: str, queue: int, batch: int):
        self.painter = Painter(loader(model, device=device), name=model, queue=queue, batch=batch)
        self.token = token
        self.painter.start()

    def check_health(self) -> None:
        """Serve starts a replica anew whose pipeline could not be loaded."""
        if self.painter.failed:
            raise RuntimeError(self.painter.failed)

    async def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            state = self.painter.health()
            return JSONResponse(state, 200 if state["status"] == "ready" else 503)
        return await answer(self.painter, self.token, request)


def found(model: str) -> str:
    """A folder by its whole path, since a replica works in another folder than this command; else what it was."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


app = Model.bind(found(os.environ.get("MODEL", "arena/models/tiny-unet")), os.environ.get("SERVER_TOKEN", ""),
                 device="cuda" if GPUS else "cpu", queue=QUEUE, batch=BATCH)  # fmt: skip
