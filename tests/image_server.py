"""A text-to-image server that keeps the Hub's contract on loopback, and every way in which such a server can fail.

The path says what it does: /status/404, /loading/2 (503 twice, then images), /hang, /together/2, /huge, /bomb, /zipped,
/text, /truncated, /reset, /redirect, /json/nsfw; anything else answers with an image drawn from path, prompt and seed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import threading
import time
import zlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image as Pillow

BODIES = {400: {"error": ["height must be divisible by 8"]}, 401: {"error": "Invalid credentials"},
          402: {"error": "You have exceeded your monthly included credits"}, 404: {"error": "Model not found"},
          403: {"error": "This token may not call Inference Providers"}, 422: {"error": "NSFW content detected"},
          429: {"error": "Too many requests"}, 500: {"error": {"message": "CUDA error"}}}  # fmt: skip


class ImageServer:
    """`asked` are the requests so far: (path, headers, body). `open` counts those being answered, `most` its largest
    value, `hung_up` the connections that a client closed while it waited."""

    def __init__(self):
        self.asked: list[tuple[str, dict[str, str], dict]] = []
        self.counts: Counter[str] = Counter()
        self.open = self.most = self.hung_up = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> ImageServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"here": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    here: ImageServer

    def do_POST(self) -> None:
        here = self.here
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with here._lock:
            here.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            here.counts[self.path] += 1
            here.open += 1
            here.most = max(here.most, here.open)
        try:
            name, _, value = self.path.strip("/").partition("/")
            getattr(self, f"do_{name}", self.draw)(value, body)
        except (BrokenPipeError, ConnectionResetError):
            here.hung_up += 1
        finally:
            with here._lock:
                here.open -= 1

    def draw(self, _: str, body: dict) -> None:
        key = json.dumps([self.path, body["inputs"], body["parameters"]["seed"]])
        colours = hashlib.shake_256(key.encode()).digest(3 * 16)
        size = body["parameters"].get("width", 64), body["parameters"].get("height", 64)
        picture, file = Pillow.frombytes("RGB", (4, 4), colours).resize(size, Pillow.Resampling.NEAREST), io.BytesIO()
        picture.save(file, "PNG")
        self.reply(200, file.getvalue(), "image/png")

    def do_nscale(self, value: str, body: dict) -> None:
        """As that Inference Provider answers: JSON with the image in base64."""
        file = io.BytesIO()
        Pillow.new("RGB", (48, 32), "teal").save(file, "PNG")
        said = {"data": [{"b64_json": base64.b64encode(file.getvalue()).decode()}]}
        self.reply(200, json.dumps(said).encode(), "application/json")

    def do_status(self, value: str, body: dict) -> None:
        status = int(value.split("/")[0])
        self.reply(status, json.dumps(BODIES.get(status, {"error": "no"})).encode(), "application/json")

    def do_loading(self, value: str, body: dict) -> None:
        if self.here.counts[self.path] <= int(value.split("/")[0]):
            said = {"error": "Model is currently loading", "estimated_time": 0.01}
            return self.reply(503, json.dumps(said).encode(), "application/json")
        self.draw("", body)

    def do_later(self, value: str, body: dict) -> None:
        if self.here.counts[self.path] == 1:
            return self.reply(429, b"", "text/plain", {"Retry-After": value})
        self.draw("", body)

    def do_together(self, value: str, body: dict) -> None:
        """Waits until so many were open at once, and then for a moment in which one more could come."""
        end = time.monotonic() + 60
        while self.here.most < int(value.split("/")[0]) and time.monotonic() < end:
            self.here.stopping.wait(0.01)
        self.here.stopping.wait(0.1)
        self.draw("", body)

    def do_hang(self, value: str, body: dict) -> None:
        """Answers never, and notices when nobody waits any more."""
        self.connection.settimeout(0.05)
        while not self.here.stopping.is_set():
            try:
                if self.connection.recv(1) == b"":
                    self.here.hung_up += 1
                    return
            except TimeoutError:
                pass

    def do_drip(self, value: str, body: dict) -> None:
        """An image that comes byte by byte, for ever."""
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        while not self.here.stopping.is_set():
            self.wfile.write(b"x")
            time.sleep(0.05)

    def do_huge(self, value: str, body: dict) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(bytes(1_000_000))

    def do_zipped(self, value: str, body: dict) -> None:
        """A few hundred bytes that are 200 million."""
        import brotli

        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Encoding", "br")
        self.end_headers()
        self.wfile.write(brotli.compress(bytes(200_000_000), quality=1))

    def do_bomb(self, value: str, body: dict) -> None:
        """A PNG of a few bytes that says it has 36 million pixels."""

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", 6000, 6000, 8, 2, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        self.reply(200, png, "image/png")

    def do_text(self, value: str, body: dict) -> None:
        self.reply(200, b"<html>Welcome to nginx</html>", "text/html")

    def do_json(self, value: str, body: dict) -> None:
        said = {"error": "Safety filter: flagged"} if value == "nsfw" else {"status": "queued"}
        self.reply(200, json.dumps(said).encode(), "application/json")

    def do_truncated(self, value: str, body: dict) -> None:
        file = io.BytesIO()
        Pillow.effect_noise((64, 64), 90).convert("RGB").save(file, "PNG")
        self.reply(200, file.getvalue()[:2000], "image/png")

    def do_reset(self, value: str, body: dict) -> None:
        """The first connection ends without an answer; later ones are served."""
        if self.here.counts[self.path] > 1:
            self.draw("", body)
        self.close_connection = True

    def do_redirect(self, value: str, body: dict) -> None:
        self.reply(307, b"", "text/plain", {"Location": self.here.url + "/one"})

    def reply(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)), "Content-Type": kind} | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
