"""HTTP for the local test Hub: reads a request whole, lets a fault spoil it, sends what a route answered."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.hub.faults import Fault
from tests.hub.store import Answer

if TYPE_CHECKING:
    from tests.hub.local_hub import LocalHub


@dataclass(frozen=True)
class Account:
    name: str
    role: str  # "write" or "read"


@dataclass(frozen=True)
class Request:
    """What is kept of a request, for tests to count."""

    method: str
    path: str
    status: int  # 0: no answer is sent
    sent: int  # bytes of the client's body
    answered: int = 0  # bytes of the answer's body


@dataclass
class Call:
    """A request, as routes see it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    body: bytes
    account: Account | None

    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def flag(self, name: str) -> bool:
        return self.query.get(name, [""])[0].lower() == "true"


@dataclass
class Reply:
    body: Any = None  # bytes are sent as they are, all else as JSON
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # where it is not the body's (an answer to HEAD)


class _Reset(Exception):
    """The connection ends without an answer."""


class HubServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, hub: LocalHub, port: int):
        self.hub = hub
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request, client_address):
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        """Clients keep connections alive: a Hub that is gone answers on none of them."""
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def handle_error(self, request, client_address):
        pass  # a client that went away


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or else a body waits up to 40 ms for the client's word that it has the head
    server: HubServer

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        body, reply = b"", None
        try:
            fault = self.server.hub.faults.take(f"{self.command} {self.path}")
            if fault and fault.midway:
                self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
                raise _Reset
            body = self._read()
            reply = self._answer(body, fault)
        except _Reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        finally:  # before it is answered: whoever has the answer finds it in the list
            status = reply.status if reply else 0
            answered = len(reply.body) if reply and self.command == "GET" and isinstance(reply.body, bytes) else 0
            self.server.hub.requests.append(Request(self.command, self.path, status, len(body), answered))
        if reply:
            self._send(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def _read(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, body: bytes, fault: Fault | None) -> Reply:
        if fault:
            fault.gone.wait(fault.delay)
            if fault.call:
                fault.call()
            if fault.hang:
                self._wait(fault)
            if (fault.hang and not fault.late) or fault.reset:
                raise _Reset
            if fault.status:
                said = {"X-Error-Message": fault.message}
                return Reply({"error": fault.message}, fault.status, said | fault.headers)
        try:
            reply = self._route(body)
        except Answer as answer:
            codes = {"X-Error-Code": answer.code} if answer.code else {}
            reply = Reply(answer.body, answer.status, {"X-Error-Message": str(answer), **codes})
        if fault and fault.called_after:
            fault.called_after()
        if fault and (fault.after == "reset" or fault.late):
            raise _Reset
        if fault and fault.after:
            return Reply({"error": "a fault of the test, after the work was done"}, int(fault.after))
        return reply

    def _wait(self, fault: Fault) -> None:
        """Until the fault is over: it was cleared, its time has passed, or the Hub goes down."""
        end = time.monotonic() + fault.hang
        while time.monotonic() < end and not fault.gone.wait(0.02):
            if self.server.hub.stopping.is_set():
                raise _Reset

    def _route(self, body: bytes) -> Reply:
        hub, url = self.server.hub, urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if token and token not in hub.accounts:
            raise Answer(401, "Invalid credentials in Authorization header")
        return hub.api(Call(self.command, url.path, parse_qs(url.query), self.headers, body, hub.accounts.get(token)))

    def _send(self, reply: Reply) -> None:
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        kind = "application/octet-stream" if isinstance(reply.body, bytes) else "application/json; charset=utf-8"
        self.send_response(reply.status)
        for name, value in {"Content-Type": kind, "X-Request-Id": uuid.uuid4().hex, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if reply.length is None else reply.length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
