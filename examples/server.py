"""Serves one diffusers pipeline by the Hub's text-to-image contract, for the arena's `http` backend.

    python examples/server.py MODEL [--port 8000] [--queue 16] [--batch 1]

MODEL is a pipeline folder or a Hub repository. A picture is asked for by

    POST /   {"inputs": "a red heart", "parameters": {"seed": 7, "num_inference_steps": 12}}

and comes as PNG. `parameters` are arguments of the pipeline's call; equal requests give equal pictures. A wrong request
is answered 400, one without the right token 401, and one that finds the queue full, or the model still loading, 503 with
Retry-After; errors are JSON, {"error": "..."}. GET /health says how it stands: 200 when pictures are drawn, else 503.

Where the variable SERVER_TOKEN is set, requests have to bring it (Authorization: Bearer ...). Anything but the loopback
is listened to only with a token. One process holds one pipeline on one device: for more GPUs start more of them, with
CUDA_VISIBLE_DEVICES, behind a load balancer that tries another one after a 503.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import inspect
import io
import json
import logging
import math
import os
import secrets
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

log = logging.getLogger("server")
MOST_BYTES = 64_000  # of a request
MOST = {"num_inference_steps": 200, "width": 4096, "height": 4096}  # so that nobody holds the device for an hour
# Arguments of a call that are the server's own business, or that JSON cannot carry.
OURS = {"self", "prompt", "generator", "latents", "output_type", "return_dict", "num_images_per_prompt", "callback",
        "callback_steps", "callback_on_step_end", "callback_on_step_end_tensor_inputs", "args", "kwargs"}  # fmt: skip


class Refusal(Exception):
    """An answer that is no picture: its status, its words, and the seconds after which to ask again."""

    def __init__(self, status: int, text: str, again_after: float | None = None):
        super().__init__(text)
        self.status, self.again_after = status, again_after


class Gone(Exception):
    """Nobody waits for these pictures any more."""


@dataclass(eq=False)
class Job:
    prompt: str
    seed: int
    parameters: dict[str, Any]
    done: Future[bytes] = field(default_factory=Future)
    gone: bool = False  # its client has hung up
    alone: bool = False  # not in a batch again: one with it failed


class Painter:
    """A pipeline, and the one thread that draws with it. `load()` gives the pipeline and takes its time; at most
    `queue` requests wait, and up to `batch` that differ in prompt and seed alone are drawn in one call."""

    def __init__(self, load, *, name: str, queue: int = 16, batch: int = 1):
        self.name, self.queue, self.batch = name, queue, batch
        self.pipeline, self.failed, self.drawn = None, "", 0
        self.seconds = 5.0  # that a picture takes, as a moving average
        self._load, self._waiting, self._drawing = load, deque[Job](), 0
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="painter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(10)

    def health(self) -> dict[str, Any]:
        status = "failed" if self.failed else "loading" if self.pipeline is None else "ready"
        return {"status": status, "model": self.name, "waiting": len(self._waiting), "drawing": self._drawing,
                "drawn": self.drawn, "seconds": round(self.seconds, 3), "error": self.failed or None}  # fmt: skip

    def submit(self, prompt: str, parameters: dict[str, Any]) -> Job:
        """Queue a picture. Raises Refusal where it cannot be drawn, or not now."""
        if self.failed:
            raise Refusal(500, "the model could not be loaded; the server's log says why")
        if self.pipeline is None:
            raise Refusal(503, "the model is still loading", again_after=5)
        job = Job(prompt, *self._checked(parameters))
        with self._changed:
            if len(self._waiting) >= self.queue:
                ahead = (len(self._waiting) + self._drawing) / self.batch
                raise Refusal(503, "too many requests wait already", again_after=ahead * self.seconds)
            self._waiting.append(job)
            self._changed.notify()
        return job

    def _checked(self, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(seed, the other arguments). Raises Refusal for what the pipeline's call does not take."""
        given = {key: value for key, value in parameters.items() if value is not None}
        seed = given.pop("seed", secrets.randbits(31))
        if type(seed) is not int or not 0 <= seed < 2**63:
            raise Refusal(400, "parameters.seed: a whole number from 0 to 2**63 - 1 is expected")
        known = set(inspect.signature(type(self.pipeline).__call__).parameters) - OURS
        for key, value in given.items():
            if key not in known:
                raise Refusal(400, f"parameters.{key}: unknown; one of seed, {', '.join(sorted(known))}")
            if key in MOST and not (type(value) is int and 1 <= value <= MOST[key]):
                raise Refusal(400, f"parameters.{key}: a whole number from 1 to {MOST[key]} is expected")
            if isinstance(value, list) and len(value) > MOST["num_inference_steps"]:  # such as the steps' own times
                raise Refusal(400, f"parameters.{key}: at most {MOST['num_inference_steps']} values are expected")
        return seed, given

    # -- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self.pipeline = self._load()
        except Exception as error:
            log.exception("%s could not be loaded", self.name)
            self.failed = f"{type(error).__name__}: {error}"
            return
        log.info("%s is loaded", self.name)
        while jobs := self._next():
            try:
                pictures = self._draw(jobs)
            except Gone:
                continue
            except Exception as error:
                if len(jobs) > 1:  # perhaps one alone goes well: too much memory for all, or one that is wrong
                    self._put_back(jobs)
                    continue
                jobs[0].done.set_exception(_meaning(error))
                continue
            for job, picture in zip(jobs, pictures, strict=True):
                job.done.set_result(picture)
            self.drawn += len(jobs)
        for job in self._waiting:
            job.done.set_exception(Refusal(503, "the server is stopping", again_after=10))

    def _next(self) -> list[Job]:
        """What is drawn next, in one call; waits for it. Nothing when the server stops."""
        with self._changed:
            self._drawing = 0
            while True:
                while self._waiting and self._waiting[0].gone:
                    self._waiting.popleft()
                if self._waiting or self._closed:
                    break
                self._changed.wait()
            if self._closed:
                return []
            first = self._waiting.popleft()
            alike = [job for job in self._waiting if job.parameters == first.parameters and not (job.alone or job.gone)]
            jobs = [first, *([] if first.alone else alike[: self.batch - 1])]
            self._waiting = deque(job for job in self._waiting if job not in jobs)
            self._drawing = len(jobs)
            return jobs

    def _put_back(self, jobs: list[Job]) -> None:
        with self._changed:
            for job in jobs:
                job.alone = True
            self._waiting.extendleft(reversed(jobs))

    def _draw(self, jobs: list[Job]) -> list[bytes]:
        import torch

        def at_step_end(pipeline, step, time, tensors):
            if all(job.gone for job in jobs):
                raise Gone
            return tensors

        takes = inspect.signature(type(self.pipeline).__call__).parameters
        hook = {"callback_on_step_end": at_step_end} if "callback_on_step_end" in takes else {}
        # The noise comes from the CPU, so that it is the same on every device and beside every other picture.
        noise = [torch.Generator("cpu").manual_seed(job.seed) for job in jobs]
        prompts, given = [job.prompt for job in jobs], dict(jobs[0].parameters)
        if len(jobs) == 1:
            prompts, noise = prompts[0], noise[0]
        elif isinstance(given.get("negative_prompt"), str):
            given["negative_prompt"] = [given["negative_prompt"]] * len(jobs)
        begun = time.perf_counter()
        with torch.inference_mode():
            drawn = self.pipeline(prompt=prompts, generator=noise, **given, **hook)
        self.seconds += 0.3 * ((time.perf_counter() - begun) - self.seconds)
        blocked = getattr(drawn, "nsfw_content_detected", None) or [False] * len(jobs)
        if any(blocked):
            if len(jobs) > 1:
                raise ValueError("a picture of the batch was blocked")
            raise Refusal(451, "the model's safety checker blocked this picture")
        return [_png(picture) for picture in drawn.images]


def _meaning(error: Exception) -> Refusal:
    """What a client is told of a picture that could not be drawn."""
    import torch

    if isinstance(error, Refusal):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        return Refusal(507, "the device has too little memory for this picture")
    if isinstance(error, TypeError | ValueError):
        return Refusal(400, f"the pipeline does not take this: {error}")
    log.error("a picture could not be drawn", exc_info=error)
    return Refusal(500, "the picture could not be drawn; the server's log says why")


def _png(picture) -> bytes:
    out = io.BytesIO()
    picture.convert("RGB").save(out, "PNG", compress_level=3)
    return out.getvalue()


# -- HTTP ------------------------------------------------------------------------------------------------------------


async def answer(painter: Painter, token: str, request: Request) -> Response:
    """A picture, or why there is none."""
    try:
        if not _may(request, token):
            raise Refusal(401, "a token is needed: Authorization: Bearer ...")
        job = painter.submit(*await _read(request))
        watch = asyncio.ensure_future(_hung_up(request))
        picture = asyncio.wrap_future(job.done)
        try:
            await asyncio.wait({watch, picture}, return_when=asyncio.FIRST_COMPLETED)
            if picture.done():
                return Response(picture.result(), media_type="image/png", headers={"x-seed": str(job.seed)})
            return Response(status_code=499)
        finally:
            job.gone = True
            watch.cancel()
    except Refusal as error:
        headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
        if error.again_after is not None:
            headers["retry-after"] = str(max(1, math.ceil(error.again_after)))
        return JSONResponse({"error": str(error)}, error.status, headers)
    except ClientDisconnect:
        return Response(status_code=499)


async def _read(request: Request) -> tuple[str, dict[str, Any]]:
    """(prompt, parameters) of a request. Raises Refusal."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refusal(413, f"a request has at most {MOST_BYTES} bytes")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, 'JSON is expected: {"inputs": "...", "parameters": {...}}') from None
    prompt = given.get("inputs") if isinstance(given, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refusal(400, "inputs: a prompt is expected")
    parameters = given.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise Refusal(400, "parameters: an object is expected")
    return prompt, parameters


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _may(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return not token or hmac.compare_digest(given.encode(), token.encode())


def make_app(painter: Painter, token: str = "") -> Starlette:
    """The ASGI application; the painter works while it runs."""

    async def draw(request: Request) -> Response:
        return await answer(painter, token, request)

    async def health(request: Request) -> Response:
        state = painter.health()
        return JSONResponse(state, 200 if state["status"] == "ready" else 503)

    @asynccontextmanager
    async def running(app: Starlette):
        painter.start()
        yield
        painter.close()

    routes = [Route("/", draw, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, lifespan=running)


def loader(model: str, *, revision: str | None = None, device: str | None = None, dtype: str | None = None):
    """A function that reads the pipeline, when it is called."""

    def load():
        import torch
        from diffusers import DiffusionPipeline

        there = device or (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
        kind = getattr(torch, dtype or ("float32" if there == "cpu" else "bfloat16"))
        pipeline = DiffusionPipeline.from_pretrained(model, revision=revision, dtype=kind).to(there)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a pipeline folder or a Hub repository")
    parser.add_argument("--revision", help="the commit or tag of a Hub repository")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--queue", type=int, default=16, help="requests that may wait; more are answered 503")
    parser.add_argument("--batch", type=int, default=1, help="pictures in one call at most")
    parser.add_argument("--device", help="cuda, cuda:1, mps or cpu; by default what there is")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], help="float32 on a CPU, else bfloat16")
    options = parser.parse_args()
    token = os.environ.get("SERVER_TOKEN", "")
    if not token and options.host not in ("127.0.0.1", "::1", "localhost"):
        sys.exit(
            f"{options.host} is reached from other machines: set SERVER_TOKEN, so that not everybody can draw here"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    import uvicorn

    load = loader(options.model, revision=options.revision, device=options.device, dtype=options.dtype)
    painter = Painter(load, name=options.model, queue=options.queue, batch=options.batch)
    uvicorn.run(make_app(painter, token), host=options.host, port=options.port, log_level="warning",
                timeout_graceful_shutdown=30)  # fmt: skip


if __name__ == "__main__":
    main()
