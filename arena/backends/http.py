"""Images over HTTP: Inference Providers, Inference Endpoints, and any server that keeps the Hub's contract, which is
POST {"inputs": prompt, "parameters": {...}} and an image as the answer.

`huggingface_hub` knows how to reach a provider; what it leaves open is settled here: a token goes to the Hub or to
whom the row names it for and to nobody else, an answer has a largest size and a latest time, a server that is full or
still loading is asked again, and a withdrawn request closes its connection. Every image has a thread with an event
loop of its own, so that both images of a battle are drawn at once and nobody waits for a server that hangs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import queue
import re
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from arena.backends.base import Cancelled, Generated, Progress, Request
from arena.backends.http_answers import MOST_BYTES, MOST_PIXELS, Refusal, blocks, judge
from arena.backends.problems import line, unavailable
from arena.backends.telling import Told
from arena.errors import (
    BackendTimeout,
    BackendUnavailable,
    BadAnswer,
    GenerationCancelled,
    GenerationError,
    ModelMissing,
    Unauthorised,
    Unreachable,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from arena.config import ModelSettings

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
TIMEOUT, IN_FLIGHT = 120.0, 4  # where a row says nothing
ATTEMPTS = 4
BACKOFF, LONGEST_BACKOFF = 1.0, 20.0  # seconds before the second attempt, doubled for each further one
POLL = 0.05  # seconds between two looks at whether the request was withdrawn
GRACE = 2.0  # seconds over its time limit after which a call that does not end by itself is left behind
SEED = 2**31 - 1  # servers take 31 bits of a seed; more are cut off in various ways


class HttpBackend:
    """`hf_token` goes to the Hub's router alone. `environ` is where rows' `token_env` are looked up; `backoff` is the
    first pause in seconds."""

    def __init__(self, hf_token: str | None = None, *, environ: Mapping[str, str] = os.environ,
                 backoff: float = BACKOFF):  # fmt: skip
        self._hf_token, self._environ, self._backoff = hf_token, environ, backoff
        self._usual = 5.0  # seconds that an image takes here, whichever model; for the progress

    def generate(self, requests: Sequence[Request], *, progress: Progress, cancelled: Cancelled) -> list[Generated]:
        told = Told(progress)
        told(0.0)
        waiting, running = list(range(len(requests))), dict[int, _Call]()
        results, begun, ended = dict[int, Generated](), time.monotonic(), queue.SimpleQueue()
        try:
            while len(results) < len(requests):
                if cancelled():
                    raise GenerationCancelled("The request was withdrawn.")
                self._start(requests, waiting, running, ended)
                with suppress(queue.Empty):
                    i, outcome = ended.get(timeout=POLL)
                    del running[i]
                    if isinstance(outcome, BaseException):
                        raise outcome
                    results[i] = outcome
                self._end_late(requests, running)
                # By the clock and by what is done; never by which model it is.
                passed = time.monotonic() - begun
                told(max(0.9 * passed / (passed + self._usual), 0.9 * len(results) / len(requests)))
        except GenerationError as error:
            error.made = results
            raise
        finally:
            for call in running.values():
                call.stop()
        told(1.0)
        return [results[i] for i in range(len(requests))]

    def takes(self, model: ModelSettings) -> int:
        return model.in_flight or IN_FLIGHT

    def check(self, model: ModelSettings) -> list[str]:
        from huggingface_hub.inference._providers import PROVIDERS

        found, url = [], is_url(model.source)
        if not url and not HUB_ID.fullmatch(model.source):
            found.append(f"source: {model.source} is neither a URL (https://...) nor a Hub repository id")
        if url and model.provider:
            found.append("provider: belongs to a Hub repository id; a URL is asked directly")
        offering = sorted(name for name, tasks in PROVIDERS.items() if "text-to-image" in tasks)
        if model.provider not in (None, "auto", *offering):
            found.append(f'provider: unknown "{model.provider}"; one of {", ".join(offering)}')
        if model.token_env and not self._environ.get(model.token_env):
            found.append(f"token_env: the environment variable {model.token_env} is not set")
        if not url and not self._token(model):
            found.append(
                "source: Inference Providers want a token; set HF_TOKEN, or name another variable in token_env"
            )
        if url and self._token(model) and in_the_clear(model.source):
            found.append("source: a token would travel unencrypted; use https://")
        for key in ("inputs", "prompt", "seed", "model", "num_images"):
            if key in model.settings:
                found.append(f"settings.{key}: the backend sets this itself")
        return found

    def close(self) -> None:
        pass

    def _token(self, model: ModelSettings) -> str | None:
        if model.token_env:
            return self._environ.get(model.token_env)
        return None if is_url(model.source) else self._hf_token

    def _start(self, requests: Sequence[Request], waiting: list[int], running: dict[int, _Call],
               ended: queue.SimpleQueue) -> None:  # fmt: skip
        for i in list(waiting):
            model = requests[i].model
            if sum(requests[k].model.id == model.id for k in running) < self.takes(model):
                waiting.remove(i)
                running[i] = _Call(i, self._draw(requests[i]), ended)
                running[i].start()

    def _end_late(self, requests: Sequence[Request], running: dict[int, _Call]) -> None:
        for i, call in running.items():
            limit = requests[i].model.timeout_s or TIMEOUT
            if call.age() > limit + GRACE:
                raise unavailable(requests[i].model.id, f"no image within {limit:g} s", kind=BackendTimeout)

    async def _draw(self, request: Request) -> Generated:
        """One image, asked for until it comes, its time is over, or asking again makes no sense."""
        model = request.model
        limit = model.timeout_s or TIMEOUT
        until, pause, refusal = time.monotonic() + limit, self._backoff, None
        try:
            async with asyncio.timeout(limit):
                for attempt in range(1, ATTEMPTS + 1):
                    try:
                        return await self._ask(request, attempt)
                    except Refusal as error:
                        refusal = error
                    if not refusal.again or attempt == ATTEMPTS:
                        break
                    wait = pause if refusal.wait is None else refusal.wait
                    if time.monotonic() + wait > until:
                        break
                    await asyncio.sleep(wait)
                    pause = min(2 * pause, LONGEST_BACKOFF)
        except TimeoutError:
            detail = f"no image within {limit:g} s" + (f"; before that: {refusal}" if refusal else "")
            raise unavailable(model.id, detail, kind=BackendTimeout) from refusal
        assert refusal is not None
        raise refusal.error(model.id) from refusal

    async def _ask(self, request: Request, attempt: int) -> Generated:
        import huggingface_hub

        model, token = request.model, self._token(request.model)
        if token is None and not is_url(model.source):
            raise Refusal(Unauthorised, f"there is no token in {model.token_env or 'HF_TOKEN'}")
        client = _client_class()(token, model)
        arguments = {**model.settings, "seed": request.seed & SEED}
        begun = time.perf_counter()
        try:
            answer = await client.text_to_image(request.prompt, model=model.source, extra_body=arguments)
            picture = self._picture(answer)
        except (GenerationError, Refusal):
            raise
        except Exception as error:  # what the helpers of two dozen providers raise
            raise _refusal(error, client) from error
        if blocks(client.said):
            raise judge(451, {}, client.said)
        seconds = time.perf_counter() - begun
        self._usual += 0.3 * (seconds - self._usual)
        where = "an endpoint" if is_url(model.source) else f"Inference Provider {client.provider or 'auto'}"
        settings = {
            "pipeline": "text-to-image over HTTP", "arguments": arguments, "attempts": attempt,
            "versions": {"huggingface_hub": huggingface_hub.__version__},
            **({} if is_url(model.source) else {"model": model.source, "provider": client.provider or "auto"}),
        }  # fmt: skip
        return Generated(picture, seconds, settings, model.revision or "not told by the server", where)

    def _picture(self, answer: Picture) -> Picture:
        if answer.width * answer.height > MOST_PIXELS:
            raise Refusal(BadAnswer, f"its image of {answer.width} x {answer.height} pixels is larger than any that "
                                     "belongs here")  # fmt: skip
        return answer.convert("RGB")  # decodes it, and fails where half of it is missing


class _Call(threading.Thread):
    """One image on its way: a coroutine in a loop of its own; (number, result or error) is put into `ended`."""

    def __init__(self, number: int, work: Coroutine[Any, Any, Generated], ended: queue.SimpleQueue):
        super().__init__(name="http-backend", daemon=True)
        self._number, self._ended, self._begun = number, ended, time.monotonic()
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(work)

    def age(self) -> float:
        return time.monotonic() - self._begun

    def run(self) -> None:
        try:
            outcome = self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            return
        except Exception as error:
            outcome = error
        finally:
            self._loop.close()
        self._ended.put((self._number, outcome))

    def stop(self) -> None:
        """Close its connection soon; never waits."""
        with suppress(RuntimeError):  # it has ended by itself meanwhile
            self._loop.call_soon_threadsafe(self._task.cancel)


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def in_the_clear(url: str) -> bool:
    """Whether what is sent there crosses a public network unencrypted."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return False
    host = parts.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_private
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".lan"))


def _refusal(error: Exception, client: Any) -> Refusal:
    """What an error of the client, of a provider's helper or of Pillow means."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):  # the Hub, asked which provider has the model
        response = error.response
        return judge(response.status_code, response.headers, str(error))
    if isinstance(error, httpx2.TimeoutException):
        return Refusal(BackendTimeout, f"the server stopped answering ({line(error)})")
    if isinstance(error, httpx2.TransportError):
        return Refusal(Unreachable, f"cannot be reached ({line(error)})", again=True)
    if client.answered:
        if blocks(client.said):
            return judge(451, {}, client.said)
        return Refusal(BadAnswer, f"answered with no image ({line(error)}): {client.said[:200]}")
    if isinstance(error, ValueError) and "api_key" in str(error):
        return Refusal(Unauthorised, line(error))
    if isinstance(error, ValueError | StopIteration):
        return Refusal(ModelMissing, line(error))
    return Refusal(BackendUnavailable, line(error))


def _client_class() -> type:
    """huggingface_hub's client with its one network call replaced: see `post` for what is different."""
    from huggingface_hub import AsyncInferenceClient

    class Client(AsyncInferenceClient):
        answered, said = False, ""

        def __init__(self, token: str | None, model: ModelSettings):
            # Without a token of its own it would send the machine's HF_TOKEN, to whomever `source` names.
            bare = {} if token else {"authorization": None}
            super().__init__(provider=None if is_url(model.source) else model.provider or "auto", token=token or "none",
                             headers=bare)  # fmt: skip

        async def _inner_post(self, request_parameters, *, stream: bool = False) -> bytes:
            """Like the original, but no redirect is followed (a token stays where it was meant for), the answer has a
            largest size and comes as it is (a compressed kilobyte may be gigabytes), and what it said is kept to tell
            of."""
            import httpx2

            headers = {"accept": "image/png", **request_parameters.headers, "accept-encoding": "identity"}
            async with (
                httpx2.AsyncClient(timeout=None) as client,
                client.stream("POST", request_parameters.url, json=request_parameters.json,
                              content=request_parameters.data, headers=headers) as response,
            ):  # fmt: skip
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise Refusal(BadAnswer, "its answer is compressed, which was not asked for")
                body = bytearray()
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise Refusal(BadAnswer, f"its answer is larger than {MOST_BYTES // 1_000_000} MB")
            self.answered = True
            if response.status_code != 200 or "json" in response.headers.get("content-type", ""):
                self.said = (body if len(body) < 8000 else body[:4000] + body[-4000:]).decode("utf-8", "replace")
            if response.status_code != 200:
                raise judge(response.status_code, response.headers, self.said)
            return bytes(body)

    return Client
