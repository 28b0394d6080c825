"""The guard alone, around an app of four lines: who is known, what passes, what is bounded, which headers go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from arena.guard import VoterKey
from arena.ui.edge import COOKIE, Guard, Limits, name_of_request, voter_of_request

KEY = VoterKey(b"another secret of 32 bytes......")
HOST = "http://arena.test"


class Session:
    """Stands for Gradio's sign-in, which is outside of the guard."""

    def __init__(self, app: Any, info: dict | None):
        self.app, self.info = app, info

    async def __call__(self, scope, receive, send) -> None:
        await self.app({**scope, "session": {"oauth_info": self.info} if self.info else {}}, receive, send)


async def inner(scope, receive, send) -> None:
    request = Request(scope, receive)
    answer: Response
    if request.method == "POST":
        voter, signed_in = voter_of_request(request)
        answer = JSONResponse({"voter": voter, "signed_in": signed_in, "name": name_of_request(request),
                               "bytes": len(await request.body())})  # fmt: skip
    elif request.url.path.startswith("/assets/"):
        answer = PlainTextResponse("asset")
    else:
        answer = HTMLResponse("<p>page</p>" * 1000)
    await answer(scope, receive, send)


class Client:
    """Sends `self.cookie` and keeps no other."""

    def __init__(self, *, info: dict | None = None, peer: str = "203.0.113.9", **options: Any):
        app = Session(Guard(inner, key=KEY, **options), info)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 1)), base_url=HOST)
        self.cookie: str | bytes | None = None

    def request(self, method: str, path: str, headers: Any = None, **kwargs: Any) -> httpx.Response:
        self.http.cookies.clear()
        cookie = {"cookie": self.cookie} if self.cookie is not None else {}
        return asyncio.run(self.http.request(method, path, headers={**cookie, **(headers or {})}, **kwargs))

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def arrive(self) -> Client:
        self.cookie = self.get("/").headers["set-cookie"].split(";")[0]
        return self

    def send(self, path: str = "/arena/next", content: Any = b"{}", **headers: str) -> httpx.Response:
        kind = {"content-type": "application/json"}
        return self.request("POST", path, kind | {k.replace("_", "-"): v for k, v in headers.items()}, content=content)


def code(answer: httpx.Response) -> str:
    return answer.json()["error"]["code"]


def test_page_sets_a_cookie_that_is_then_a_voter():
    client = Client()
    first = client.get("/").headers["set-cookie"]
    assert "HttpOnly" in first and "SameSite=Lax" in first and "Secure" not in first and "Max-Age=31536000" in first
    client.arrive()
    one, two = client.send().json(), client.send().json()
    assert one == two and one["signed_in"] is False and len(one["voter"]) == 32
    again = client.get("/").headers["set-cookie"]
    assert again.split(";")[0] == client.cookie, "a known visitor stays the same one"
    assert Client().arrive().send().json()["voter"] != one["voter"]


def test_pages_travel_compressed_and_nothing_else_does():
    browser = {"accept": "text/html,*/*", "accept-encoding": "gzip"}
    page = Client().request("GET", "/", browser)
    assert page.headers["content-encoding"] == "gzip" and page.text == "<p>page</p>" * 1000
    assert int(page.headers["content-length"]) < 1000 and page.headers["set-cookie"].startswith(COOKIE)
    assert "content-security-policy" in page.headers
    for headers in ({**browser, "accept-encoding": "identity"}, {**browser, "accept": "application/json"}):
        assert "content-encoding" not in Client().request("GET", "/", headers).headers


def test_only_pages_set_cookies():
    assert "set-cookie" not in Client().get("/assets/x.js").headers
    assert "set-cookie" not in Client().request("HEAD", "/").headers
    assert "set-cookie" not in Client().send().headers


def test_no_cookie_no_vote():
    answer = Client().send()
    assert (answer.status_code, code(answer)) == (401, "no_visitor")
    assert "cookies" in answer.json()["error"]["message"]


@pytest.mark.parametrize("forge", [
    lambda c: "me." + c.partition(".")[2],
    lambda c: c[:-1] + ("0" if c[-1] != "0" else "1"),
    lambda c: c.partition(".")[0],
    lambda c: c + "0",
    lambda c: "." + c.partition(".")[2],
    lambda c: "x" * 4000,
    lambda c: "\xe9.\xe9",
    lambda c: '"; arena_visitor=a.b',
])  # fmt: skip
def test_forged_cookie_is_nobody(forge):
    client = Client().arrive()
    client.cookie = f"{COOKIE}={forge(client.cookie.partition('=')[2])}".encode("latin-1")
    assert client.send().status_code == 401


def test_cookie_of_another_deployment_is_nobody():
    theirs, ours = Client().arrive(), Client()
    ours.http = httpx.AsyncClient(base_url=HOST, transport=httpx.ASGITransport(
        Guard(inner, key=VoterKey(b"a third secret of 32 bytes......"))))  # fmt: skip
    ours.cookie = theirs.cookie
    assert ours.send().status_code == 401


def test_on_a_space_the_cookie_works_inside_its_frame():
    answer = Client(on_space=True).get("/")
    assert "Secure; SameSite=None; Partitioned" in answer.headers["set-cookie"]
    assert "frame-ancestors 'self' https://huggingface.co" in answer.headers["content-security-policy"]
    local = Client().get("/").headers["content-security-policy"]
    assert local.endswith("frame-ancestors 'self'") and "default-src 'self'" in local


def test_signed_in_counts_on_a_space_only():
    info = {"userinfo": {"sub": "42"}, "expires_at": 4e9}
    signed = Client(info=info, on_space=True).send().json()
    assert signed["signed_in"] is True and signed["voter"] == KEY.voter("hf:42")
    assert Client(info=info, on_space=True).arrive().send().json()["voter"] == signed["voter"]
    assert Client(info=info).send().status_code == 401
    assert Client(info=info | {"expires_at": 1}, on_space=True).send().status_code == 401
    assert Client(info={"userinfo": {}}, on_space=True).send().status_code == 401


def test_only_who_is_signed_in_has_a_name():
    info = {"userinfo": {"sub": "42", "preferred_username": "ann"}, "expires_at": 4e9}
    assert Client(info=info, on_space=True).send().json()["name"] == "ann"
    for client in (Client(info=info), Client(info=info | {"expires_at": 1}, on_space=True),
                   Client(info={"userinfo": {"sub": "42"}, "expires_at": 4e9}, on_space=True)):  # fmt: skip
        assert client.arrive().send().json()["name"] is None


@pytest.mark.parametrize("headers, status", [
    ({}, 200),
    ({"origin": HOST}, 200),
    ({"sec_fetch_site": "same-origin", "origin": "https://renamed.by.a.proxy"}, 200),
    ({"origin": "https://evil.test"}, 403),
    ({"origin": "null"}, 403),
    ({"sec_fetch_site": "cross-site", "origin": HOST}, 403),
    ({"sec_fetch_site": "same-site", "origin": HOST}, 403),
    ({"origin": "https://evil.test", "x_forwarded_host": "evil.test"}, 403),
])  # fmt: skip
def test_other_sites_cannot_post(headers, status):
    assert Client().arrive().send(**headers).status_code == status


def test_the_names_of_a_space_are_our_own():
    client = Client(on_space=True, space_hosts=("me-arena.hf.space",)).arrive()
    assert client.send(origin="https://me-arena.hf.space").status_code == 200
    assert client.send(origin="https://other.hf.space").status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(kind):
    answer = Client().arrive().send(content_type=kind)
    assert (answer.status_code, code(answer)) == (415, "content_type")
    assert Client().arrive().send(content_type="application/json; charset=utf-8").status_code == 200


def test_body_is_bounded_announced_or_not():
    client = Client().arrive()
    assert client.send(content=b"x" * 32_768).json()["bytes"] == 32_768
    assert code(client.send(content=b"x" * 32_769)) == "too_large"
    served = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal served
        for _ in range(1000):
            served += 1
            yield b"x" * 4096

    answer = client.send(content=chunks())
    assert (answer.status_code, code(answer)) == (413, "too_large")
    assert served < 12, "the rest must not be read"


@pytest.mark.parametrize("path", [
    "/monitoring", "/monitoring/summary", "/docs", "/redoc", "/openapi.json", "/svelte/x", "/proxy=http://x",
    "/gradio_api/upload_progress", "/gradio_api/stream/a/b/c/playlist.m3u8", "/gradio_api/deep_link",
    "/gradio_api/runs", "/gradio_api/openapi.json", "/gradio_api/proxy=http://x", "/gradio_api/vibe-code",
    "/gradio_api/call/live/1", "/gradio_api/file=http://127.0.0.1/", "/gradio_api/file=C:/x",
    "/gradio_api/token", "/gradio_api/dev/reload",
    "/gradio_api/run-history/records", "/gradio_api/custom_component/a/b/c/d", "/gradio_api/profiling/traces",
])  # fmt: skip
def test_what_the_page_does_not_use_is_not_there(path):
    answer = Client().arrive().get(path)
    assert (answer.status_code, code(answer)) == (404, "not_found")


@pytest.mark.parametrize("path", [
    "/", "/login", "/gradio_api/upload", "/gradio_api/component_server", "/gradio_api/api/live",
    "/gradio_api/call/live", "/gradio_api/process_recording", "/gradio_api/vibe-edit", "/gradio_api/stream/x",
    "/gradio_api/run-history/connect",
])  # fmt: skip
def test_nothing_else_can_be_posted(path):
    assert Client().arrive().send(path).status_code == 404


@pytest.mark.parametrize("path", ["/leaderboard", "/gradio_api/info", "/gradio_api/queue/data",
                                  "/gradio_api/heartbeat/x", "/config", "/theme.css",
                                  "/login/huggingface", "/gradio_api/file=/logo.svg"])  # fmt: skip
def test_what_the_page_uses_is_there(path):
    assert Client().get(path).status_code == 200


def test_other_methods_are_refused():
    assert Client().request("PUT", "/arena/next").status_code == 405
    assert Client().request("DELETE", "/").status_code == 405


def test_a_visitor_is_slowed_down_and_told_for_how_long():
    client = Client(limits=Limits(posts=(0.5, 3))).arrive()
    assert [client.send().status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = client.send()
    assert code(answer) == "too_fast" and 0 < answer.json()["error"]["retry_after"] <= 2
    assert answer.headers["retry-after"] in ("1", "2")


def test_fresh_cookies_do_not_get_round_the_address():
    client = Client(limits=Limits(posts_of_address=(0.1, 4), newcomers=(0.1, 3)))
    cookies = [client.get("/").headers.get("set-cookie", "").split(";")[0] for _ in range(5)]
    assert [bool(cookie) for cookie in cookies] == [True] * 3 + [False] * 2, "the page comes, the cookie does not"
    assert [client.send(cookie=cookie).status_code for cookie in cookies] == [200, 200, 200, 401, 401]
    assert [client.send(cookie=cookie).status_code for cookie in cookies[:2]] == [200, 429]


def test_joining_the_queue_is_dearer():
    client = Client(limits=Limits(joins=(0.1, 2))).arrive()
    answers = [client.send("/gradio_api/queue/join") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[-1].json()["detail"], "Gradio's client shows this"
    assert client.send("/gradio_api/run/x").status_code == 200


@pytest.mark.parametrize("space, forwarded, address", [
    (False, "198.51.100.7", "203.0.113.9"),
    (True, "", "203.0.113.9"),
    (True, "8.8.8.8", "8.8.8.8"),
    (True, "1.1.1.1, 8.8.8.8", "8.8.8.8"),
    (True, "1.1.1.1, 8.8.8.8, 10.0.3.4", "8.8.8.8"),
    (True, "8.8.8.8, nonsense, 10.0.3.4", "203.0.113.9"),
    (True, "2606:4700:4700::1111", "2606:4700:4700::/64"),
])  # fmt: skip
def test_address_is_what_the_proxies_saw(space, forwarded, address):
    guard = Guard(inner, key=KEY, on_space=space)
    headers = httpx.Headers({"x-forwarded-for": forwarded})
    assert guard.address({"client": ("203.0.113.9", 1)}, headers) == address


def test_headers_that_every_answer_has():
    page, asset, refusal = Client().get("/"), Client().get("/assets/x.js"), Client().get("/docs")
    for answer in (page, asset, refusal):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert page.headers["cache-control"] == "private, no-cache"
    assert refusal.headers["cache-control"] == "no-store"
    assert "content-security-policy" not in asset.headers


def test_a_request_that_did_not_pass_the_guard_has_no_voter():
    with pytest.raises(PermissionError):
        voter_of_request(Request({"type": "http", "headers": []}))
