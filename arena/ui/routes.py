"""The JSON API: votes, battles and pictures over plain HTTP routes beside Gradio's.

A route checks what came in (types, lengths, no unknown keys), calls one method of the Arena on a thread of its
own pool, and translates: `Refused` becomes its status and `{"error": {"code", "message", "retry_after"?}}`, what
nobody expected becomes a logged traceback and a plain 500. Who asks is the guard's word (`arena.ui.edge`), never
the body's.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from arena.errors import NoBattle, Refused, TooFast
from arena.feedback import KEYS
from arena.health import health
from arena.ui.edge import HEALTH, error_response, name_of_request, voter_of_request

if TYPE_CHECKING:
    from arena.records import BlindBattle
    from arena.service import Arena

log = logging.getLogger(__name__)

IMAGE_PATH = "/arena/image/"
THREADS = 16  # SQLite has one writer and Python one running thread: more would only wait in another place
WAITING = 400  # calls that may wait for a thread; beyond that a quick "busy" serves everybody better
SHARED_SECONDS = 2.0  # how long an answer that is the same for all visitors is kept

INTERNAL = {"error": {"code": "internal", "message": "Something went wrong here; nothing was counted."}}
IMAGE_HEADERS = {  # the same for every picture, so that nothing tells one model's from another's
    "cache-control": "private, max-age=3600, immutable",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


class BadRequest(Refused):
    code, status = "bad_request", 422


class NotJson(Refused):
    code, status = "not_json", 400


class Busy(TooFast):
    code, status = "busy", 503


class NotSignedIn(Refused):
    code, status = "not_signed_in", 403


class Field:
    """One key of a body: what it may hold, and whether it must be there."""

    def __init__(self, kind: type, *, chars: int = 0, optional: bool = False):
        self.kind, self.chars, self.optional = kind, chars, optional

    def check(self, name: str, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if self.kind is object:  # whatever it is, the service checks it
            return value
        if self.kind is bool:
            if not isinstance(value, bool):
                raise BadRequest(f"{name}: true or false is expected.")
            return value
        if self.kind is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
                raise BadRequest(f"{name}: a number from 0 to 1e9 is expected.")
            return float(value)
        if not isinstance(value, str):
            raise BadRequest(f"{name}: text is expected.")
        if not 0 < len(value) <= self.chars or not value.isprintable():
            raise BadRequest(f"{name}: 1 to {self.chars} printable characters are expected.")
        return value


# The whole vocabulary of the JSON bodies. Ids are opaque here: whether one exists is the service's to say.
_ID = Field(str, chars=64)
_CATEGORY = Field(str, chars=200, optional=True)
BODIES: dict[str, dict[str, Field]] = {
    "next": {"category": _CATEGORY, "after": Field(str, chars=64, optional=True)},
    "vote": {
        "battle_id": _ID,
        "winner": Field(str, chars=32),
        "seconds": Field(float, optional=True),
        "hold": Field(bool, optional=True),
    },
    "reveal": {"battle_id": _ID},
    "feedback": {"battle_id": _ID, "side": Field(str, chars=1), **{key: Field(object, optional=True) for key in KEYS}},
    "withdraw": {"battle_id": _ID},
    "skip": {"battle_id": _ID},
    "cancel": {"ticket": _ID},
    "named": {"named": Field(bool)},
}


def parse(body: bytes, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The checked values of a JSON body. Raises NotJson or BadRequest with a message that names the key."""
    try:
        given = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NotJson("The body is not valid JSON.") from None
    if not isinstance(given, dict):
        raise BadRequest("The body must be a JSON object.")
    for name in given:
        if name not in fields:
            raise BadRequest(f"{name[:40]}: unknown key; one of {', '.join(fields)}.")
    for name, field in fields.items():
        if name not in given and not field.optional:
            raise BadRequest(f"{name}: is missing.")
    return {name: field.check(name, given.get(name)) for name, field in fields.items()}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def blind_json(battle: BlindBattle | Mapping[str, Any]) -> dict[str, Any]:
    """A blind battle as the page gets it: pictures by URL, and no key that it does not need."""
    row = dict(asdict(battle) if is_dataclass(battle) else battle)
    return {
        **{key: row[key] for key in ("battle_id", "prompt", "category", "sub_category", "complexity")},
        "image_a": IMAGE_PATH + row["token_a"],
        "image_b": IMAGE_PATH + row["token_b"],
        "served_from": row["served_from"],
        "hint": row["hint"],
        **({"owed": {key: row["owed"][key] for key in ("winner", "sides")}} if row["owed"] else {}),
    }


class Api:
    """The routes and the threads on which they call the Arena."""

    def __init__(self, arena: Arena, *, threads: int = THREADS, waiting: int = WAITING):
        self.arena = arena
        self.limit = threads + waiting
        # Threads that stay: the ledger keeps one connection a thread.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="arena-api")
        self._lock = threading.Lock()
        self._running = 0
        self._closed = False
        self._began = time.monotonic()
        self._shared: dict[str, tuple[float, Any]] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/arena/next", self.guarded(self.next), methods=["POST"]),
            Route("/arena/vote", self.guarded(self.vote), methods=["POST"]),
            Route("/arena/withdraw", self.guarded(self.withdraw), methods=["POST"]),
            Route("/arena/skip", self.guarded(self.skip), methods=["POST"]),
            Route("/arena/cancel", self.guarded(self.cancel), methods=["POST"]),
            Route("/arena/named", self.guarded(self.set_named), methods=["POST"]),
            Route("/arena/me", self.guarded(self.me)),
            Route("/arena/prompt", self.guarded(self.prompt)),
            Route("/arena/meta", self.guarded(self.meta)),
            Route(IMAGE_PATH + "{token}", self.guarded(self.image)),
            Route(HEALTH, self.guarded(self.health)),
        ]

    def close(self, deadline: float = 3.0) -> bool:
        """Take in nothing more, and wait up to `deadline` seconds for what runs; True if all of it ended."""
        self._closed = True
        end = time.monotonic() + deadline
        while self._running and time.monotonic() < end:
            time.sleep(0.01)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return not self._running

    # -- the routes --------------------------------------------------------------------------------------

    async def next(self, request: Request) -> Response:
        given, (voter, _) = await self.given(request, "next")
        try:
            battle = await self.call(self.arena.next_battle, voter, category=given["category"], after=given["after"])
        except NoBattle as none:  # an answer, not a failure: the page asks again while the bank fills
            return answer({"battle": None, "error": {"code": none.code, "message": str(none)}})
        return answer({"battle": blind_json(battle)})

    async def vote(self, request: Request) -> Response:
        given, (voter, signed_in) = await self.given(request, "vote")
        reveal = await self.call(self.arena.cast_vote, given["battle_id"], given["winner"], voter,
                                  seconds=given["seconds"], signed_in=signed_in,
                                  user_name=name_of_request(request), hold=bool(given["hold"]))  # fmt: skip
        if reveal is None:
            told = await self.call(self.arena.gold.told, given["battle_id"], voter)
            return answer({"counted": True, "battle_id": given["battle_id"], **({"check": told} if told else {})})
        return answer({"reveal": reveal.as_dict()})

    async def withdraw(self, request: Request) -> Response:
        given, (voter, _) = await self.given(request, "withdraw")
        await self.call(self.arena.withdraw, given["battle_id"], voter)
        return answer({"ok": True})

    async def skip(self, request: Request) -> Response:
        given, (voter, _) = await self.given(request, "skip")
        await self.call(self.arena.skip, given["battle_id"], voter)
        return answer({"ok": True})

    async def cancel(self, request: Request) -> Response:
        given, (voter, _) = await self.given(request, "cancel")
        await self.call(self.arena.cancel_live, given["ticket"], voter)
        return answer({"ok": True})

    async def me(self, request: Request) -> Response:
        """The visitor's own voter id and account, and whether its name goes with their votes."""
        name = name_of_request(request)
        named = bool(name) and await self.call(self.arena.is_named, voter_of_request(request)[0])
        return answer({"user_name": name, "named": named, "voter": request.scope.get("state", {}).get("voter")})

    async def set_named(self, request: Request) -> Response:
        given, (voter, _) = await self.given(request, "named")
        if name_of_request(request) is None:
            raise NotSignedIn("Sign in first: without an account there is no name to show.")
        await self.call(self.arena.set_named, voter, given["named"])
        return answer({"named": given["named"]})

    async def prompt(self, request: Request) -> Response:
        category = _CATEGORY.check("category", request.query_params.get("category") or None)
        return answer(await self.call(self.arena.random_prompt, category))

    async def image(self, request: Request) -> Response:
        token = _ID.check("token", request.path_params["token"])
        data, media_type = await self.call(self.arena.image, token)
        return Response(data, media_type=media_type, headers=IMAGE_HEADERS)

    async def meta(self, request: Request) -> Response:
        return answer(await self._call_shared("meta", self.arena.meta))

    async def health(self, request: Request) -> Response:
        """For monitors and the About page: 200 while votes can be taken, 503 when the ledger can't be written."""
        report = await self._call_shared("health", self._health)
        return answer(report, 200 if report["ok"] else 503)

    # -- inside ------------------------------------------------------------------------------------------

    def _health(self) -> dict[str, Any]:
        return health(self.arena, uptime=time.monotonic() - self._began, running=self._running)

    async def given(self, request: Request, name: str) -> tuple[dict[str, Any], tuple[str, bool]]:
        return parse(await request.body(), BODIES[name]), voter_of_request(request)

    async def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the Arena on a thread of the pool: the event loop serves others meanwhile."""
        with self._lock:
            if self._closed:
                raise Busy("The arena is restarting; try again in a moment.", 5.0)
            if self._running >= self.limit:
                raise Busy("Too many visitors at this moment; try again.", 2.0)
            self._running += 1

        def run() -> Any:
            try:
                return method(*args, **kwargs)
            finally:
                self._ended()

        try:
            future = self._pool.submit(run)
        except RuntimeError:  # closed in between
            self._ended()
            raise Busy("The arena is restarting; try again in a moment.", 5.0) from None
        return await asyncio.wrap_future(future)

    def _ended(self) -> None:
        with self._lock:
            self._running -= 1

    async def _call_shared(self, name: str, method: Callable[[], Any]) -> Any:
        """The same answer for everybody, asked anew after SHARED_SECONDS."""
        made, value = self._shared.get(name, (-math.inf, None))
        if time.monotonic() - made > SHARED_SECONDS:
            value = await self.call(method)
            self._shared[name] = (time.monotonic(), value)
        return value

    def guarded(self, route: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """What a route raises, as an answer."""

        @functools.wraps(route)
        async def answered(request: Request) -> Response:
            try:
                return await route(request)
            except Refused as refused:
                return error_response(refused)
            except Exception:
                log.exception("%s %s failed", request.method, request.url.path.split("/image/")[0])
                return answer(INTERNAL, 500)

        return answered


def answer(value: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(value, status, {"cache-control": "no-store"})
