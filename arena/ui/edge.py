"""The server's edge: one ASGI middleware that every request to the arena and to Gradio passes first.

It says who the visitor is (a random id in a signed cookie, or the Hugging Face account that they signed in with),
lets through only the routes that the page uses, bounds what one visitor or one address can ask for, and puts the
security and caching headers on what goes out. It knows nothing of battles: `voter_of_request` is all that the
routes and the Gradio handlers take from it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from dataclasses import dataclass
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arena.errors import Refused, TooFast
from arena.guard import RateLimit, VoterKey

COOKIE = "arena_visitor"
YEAR = 365 * 24 * 3600
API = "/gradio_api/"
HEALTH = "/health"

# Gradio's own routes, as the page uses them. All else under /gradio_api (uploads, streams, recordings, component
# servers, deep links, run history, the proxy, code editing) is not there, and neither is what BLOCKED lists.
_GRADIO_GET = ("info", "queue/data", "heartbeat/", "startup-events", "app_id", "theme.css", "login_check", "file=")
_GRADIO_POST = ("queue/join", "run/", "cancel", "reset")
_OUR_POST = "/arena/"
BLOCKED = ("/monitoring", "/docs", "/redoc", "/openapi.json", "/proxy=", "/svelte", "/dev/", "/run-history")

# Gradio's page needs inline scripts and styles, and compiles its templates; nothing comes from another host.
CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
# A Space is shown inside huggingface.co; nobody else may frame the page.
SPACE_FRAMES = " https://huggingface.co https://*.huggingface.co https://*.hf.space"
COMMON_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


@dataclass(frozen=True)
class Limits:
    """(requests a second in the long run, at once). Far above what a person does: how fast one may vote is decided
    by the service, these keep the server up. An address may be a whole school, so its limits are wider."""

    body_bytes: int = 32_768
    posts: tuple[float, float] = (8, 60)
    posts_of_address: tuple[float, float] = (80, 800)
    # Joining Gradio's queue is by far the most expensive request, and unread joins push out other people's events.
    joins: tuple[float, float] = (1, 20)
    joins_of_address: tuple[float, float] = (10, 100)
    # Cookies are free, so new ones for an address are what bounds a flood of fresh visitors.
    newcomers: tuple[float, float] = (2, 300)
    # /health writes to the disk to see whether that works.
    health_of_address: tuple[float, float] = (2, 30)


class Denied(Refused):
    """A request that goes no further."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code = status, code


def voter_of_request(request: Any) -> tuple[str, bool]:
    """(voter, signed in) of a starlette request or a `gr.Request`, as the guard found it. Every POST that passed
    the guard has a voter; raises PermissionError for a request that did not pass it."""
    state = getattr(request, "request", request).scope.get("state", {})
    if not state.get("voter"):
        raise PermissionError("this request has no visitor: it did not pass the guard")
    return state["voter"], state["signed_in"]


def name_of_request(request: Any) -> str | None:
    """The Hugging Face user name of who sent this signed in, as the guard found it; None for everybody else."""
    return getattr(request, "request", request).scope.get("state", {}).get("user_name")


class Guard:
    """`key` signs the cookies and hashes the visitors; `on_space` says that the page is served over HTTPS, framed
    by huggingface.co and behind Hugging Face's proxies, under the names `space_hosts`."""

    def __init__(self, app: ASGIApp, *, key: VoterKey, on_space: bool = False, space_hosts: tuple[str, ...] = (),
                 limits: Limits = Limits()):  # fmt: skip
        self.app, self.key, self.on_space, self.space_hosts, self.limits = app, key, on_space, space_hosts, limits
        # Gradio compresses its files and leaves out its pages, which hold all of our scripts. No page holds a secret that
        # its compressed length could tell.
        self.pages = GZipMiddleware(app, minimum_size=2000, compresslevel=6)
        self.cookie_key = key.derive("visitor cookie")
        self.csp = CSP + (SPACE_FRAMES if on_space else "")
        self.posts, self.posts_of_address = RateLimit(*limits.posts), RateLimit(*limits.posts_of_address)
        self.joins, self.joins_of_address = RateLimit(*limits.joins), RateLimit(*limits.joins_of_address)
        self.newcomers, self.health_of_address = RateLimit(*limits.newcomers), RateLimit(*limits.health_of_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        known = self.visitor_of_cookie(headers)
        address = self.address(scope, headers)
        account = self.account(scope)
        voter, signed_in = self.identify(account, known)
        name = account.get("preferred_username") if account else None
        scope.setdefault("state", {}).update(voter=voter, signed_in=signed_in, user_name=name or None)
        send = self._finish(scope, send, known, address)
        try:
            self._admit_path(scope)
            if scope["method"] == "POST":
                self._admit_post(scope, headers, voter, address)
                receive = replay(await read_body(headers, receive, self.limits.body_bytes), receive)
            elif scope["path"] == HEALTH:
                self.health_of_address.spend(address, "so many looks at the server's health from one place")
        except Refused as refused:
            return await error_response(refused, gradio=scope["path"].startswith(API))(scope, receive, send)
        page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        await (self.pages if page else self.app)(scope, receive, send)

    # -- who ---------------------------------------------------------------------------------------------

    def sign(self, visitor: str) -> str:
        return f"{visitor}.{hmac.new(self.cookie_key, visitor.encode(), hashlib.sha256).hexdigest()[:32]}"

    def visitor_of_cookie(self, headers: Headers) -> str | None:
        """The id in the visitor's cookie, or None where there is none or it was not signed here."""
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        visitor = cookie.rpartition(".")[0]
        good = visitor and len(cookie) < 128 and hmac.compare_digest(self.sign(visitor).encode(), cookie.encode())
        return visitor if good else None

    def account(self, scope: Scope) -> dict[str, Any] | None:
        """What Hugging Face said of who is signed in. Gradio's sign-in counts only on a Space: elsewhere it is a
        mock that makes every visitor the token's owner."""
        info = scope.get("session", {}).get("oauth_info") if self.on_space else None
        if info and info.get("expires_at", time.time()) >= time.time() and info.get("userinfo", {}).get("sub"):
            return info["userinfo"]
        return None

    def identify(self, account: dict[str, Any] | None, visitor: str | None) -> tuple[str | None, bool]:
        """(voter, signed in)."""
        if account:
            return self.key.voter(f"hf:{account['sub']}"), True
        return (self.key.voter(f"cookie:{visitor}") if visitor else None), False

    def address(self, scope: Scope, headers: Headers) -> str:
        """What the limits of an address are kept under. On a Space the proxies append to X-Forwarded-For: the
        last public address in it is what they saw; anything further left is what the client made up."""
        found = (scope.get("client") or ("",))[0]
        if self.on_space:
            for part in reversed(headers.get("x-forwarded-for", "").split(",")):
                try:
                    if ipaddress.ip_address(part.strip()).is_global:
                        found = part.strip()
                        break
                except ValueError:
                    break
        try:
            address = ipaddress.ip_address(found)
        except ValueError:
            return found
        # An IPv6 customer owns a whole /64.
        return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)

    # -- what may pass -----------------------------------------------------------------------------------

    def _admit_path(self, scope: Scope) -> None:
        path, method = scope["path"], scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            raise Denied(405, "method", "This method is not used here.")
        if path.startswith(API):
            rest = path.removeprefix(API)
            known = rest.startswith(_GRADIO_POST if method == "POST" else _GRADIO_GET)
            # `file=` fetches any URL that it is given; only files of the page itself are wanted.
            known = known and not (rest.startswith("file=") and ":" in rest)
        else:
            known = not path.startswith(BLOCKED) and (method != "POST" or path.startswith(_OUR_POST))
        if not known:
            raise Denied(404, "not_found", "There is nothing here.")

    def _admit_post(self, scope: Scope, headers: Headers, voter: str | None, address: str) -> None:
        if not self.same_origin(headers):
            raise Denied(403, "cross_site", "This was sent by another site's page.")
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise Denied(415, "content_type", "Send JSON, with content-type: application/json.")
        if voter is None:
            raise Denied(401, "no_visitor", "Reload the page. If this stays, allow cookies for it: votes need one.")
        self.posts.spend(voter, "so many requests")
        self.posts_of_address.spend(address, "so many requests from one place")
        if scope["path"].startswith(API + "queue/join"):
            self.joins.spend(voter, "so many events")
            self.joins_of_address.spend(address, "so many events from one place")

    def same_origin(self, headers: Headers) -> bool:
        """Whether our own page sent this, as browsers tell it; other clients say nothing and have no cookie that
        could be misused. Sec-Fetch-Site goes first: unlike Host it survives a proxy that renames the host."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site:
            return site in ("same-origin", "none")
        return origin is None or urlsplit(origin).netloc in (headers.get("host"), *self.space_hosts)

    # -- what goes out -----------------------------------------------------------------------------------

    def _finish(self, scope: Scope, send: Send, visitor: str | None, address: str) -> Send:
        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                kind = headers.get("content-type", "")
                for name, value in COMMON_HEADERS.items():
                    headers.setdefault(name, value)
                if kind.startswith(("text/html", "image/svg")):
                    headers["content-security-policy"] = self.csp
                if kind.startswith("text/html"):
                    headers["cache-control"] = "private, no-cache"
                    if scope["method"] == "GET" and message["status"] == 200:
                        self._set_cookie(headers, scope, visitor, address)
                elif scope["path"].startswith(("/assets/", "/static/")) and message["status"] == 200:
                    # Gradio names its files by content, and compresses them anew for every request.
                    headers["cache-control"] = "public, max-age=31536000, immutable"
            await send(message)

        return finished

    def _set_cookie(self, headers: MutableHeaders, scope: Scope, visitor: str | None, address: str) -> None:
        """With every page, so that the year begins anew. Where an address asks for cookies too fast the page comes
        without one, and can be read."""
        if visitor is None:
            try:
                self.newcomers.spend(address, "so many new visitors from one place")
            except TooFast:
                return
            visitor = secrets.token_urlsafe(16)
        # Inside huggingface.co's frame only a partitioned third-party cookie is kept.
        framed = self.on_space or scope.get("scheme") == "https"
        kind = "Secure; SameSite=None; Partitioned" if framed else "SameSite=Lax"
        headers.append("set-cookie", f"{COOKIE}={self.sign(visitor)}; Path=/; Max-Age={YEAR}; HttpOnly; {kind}")


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The whole body, whether its length was announced or it comes in chunks. Raises Denied beyond `limit`."""
    too_large = Denied(413, "too_large", f"A request may have {limit} bytes at most.")
    announced = headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > limit:
        raise too_large
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large
        if not message.get("more_body"):
            return body


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read already, then whatever comes after it (the disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def error_response(refused: Refused, *, gradio: bool = False) -> JSONResponse:
    """A refusal as every route answers it; `gradio` adds the key where Gradio's own client looks."""
    said = str(refused).encode(errors="replace").decode()  # it may quote half a character of what came
    error: dict[str, Any] = {"code": refused.code, "message": said}
    headers = {"cache-control": "no-store"}
    if about := getattr(refused, "about", None):
        error["about"] = about
    retry_after = getattr(refused, "retry_after", None)
    if retry_after is not None:
        error["retry_after"] = round(retry_after, 2)
        headers["retry-after"] = str(ceil(retry_after))
    return JSONResponse({"error": error, **({"detail": said} if gradio else {})}, refused.status, headers)
