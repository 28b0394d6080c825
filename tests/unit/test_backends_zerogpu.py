"""The ZeroGPU backend as on a Space: the real `spaces` package, its real forks and pickles, and a scheduler of ours.

Only two things are stood in for, in a process of their own: the device API that a Space asks for a GPU, and the
first touch of CUDA in a forked worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from arena.backends import loans

ROOT = Path(__file__).parents[2]

SPACE = """
import json, multiprocessing, os, sys, threading
from pathlib import Path

from arena.backends import Request, make_backend, reason
from arena.config import ModelSettings
from arena.errors import GenerationError
from arena.backends import zerogpu

import torch
if not torch.version.cuda:  # spaces patches a torch that was built for CUDA
    torch.version.cuda, torch._C._cuda_init, torch.cuda._is_in_bad_fork = "13.0", bool, bool

folder = Path(sys.argv[1])
drawing = threading.Event()  # the worker has begun with what was asked for last
backend = make_backend("zerogpu", config_dir=folder, memory_gb=1)

import spaces.zero.torch as lent
lent.init = lent.move = lambda *args, **kwargs: None
real_cuda = lent._patching._cuda_available  # what a worker sees once `spaces` has taken its patches back
assert torch.cuda.is_available() and not real_cuda(), "spaces pretends that there is a GPU in this process"

def row(name, steps=2):
    return ModelSettings(id=name, name=name, organisation="o", family="f", licence="MIT", backend="zerogpu",
                         source=name, settings={"num_inference_steps": steps, "guidance_scale": 4.0, "height": 32,
                                                "width": 32})

def draw(*requests, cancelled=lambda: False):
    heard = []
    drawing.clear()

    def progress(share):
        heard.append(share)
        if share > 0:
            drawing.set()

    try:
        made = backend.generate(requests, progress=progress, cancelled=cancelled)
    except GenerationError as error:
        return {"error": type(error).__name__, "says": str(error), "reason": reason(error), "model": error.model,
                "any_model": error.any_model}
    return {"sizes": [m.picture.size for m in made], "pixels": [hash(m.picture.tobytes()) for m in made],
            "pipelines": [m.settings["pipeline"] for m in made], "dtypes": [m.settings["dtype"] for m in made],
            "heard": heard}

def ask(mode):
    import httpx
    httpx.post(os.environ["SPACES_ZERO_DEVICE_API_URL"] + "/mode/" + mode)

one, two = row("one"), row("two")
told = {"pid": os.getpid(), "first": draw(Request(one, "a circle", 1), Request(two, "a circle", 2))}
told["again"] = draw(Request(two, "a circle", 2), Request(one, "a circle", 1))
told["worker"] = zerogpu._worker is None
told["broken"] = draw(Request(row("missing-model"), "a circle", 1))
bad = one.model_copy(update={"settings": {**one.settings, "guidance_scale": "much"}})
told["bad"] = draw(Request(bad, "a circle", 1))
for mode in ("quota", "pending", "illegal", "nogpu", "expired", "queue", "broken-queue", "down"):
    ask(mode)
    told[mode] = draw(Request(one, "a circle", 1))
ask("hang")
late, zerogpu.QUEUE = zerogpu.QUEUE, -20.0
told["hang"] = draw(Request(one, "a circle", 1))
zerogpu.QUEUE = late
ask("ok")
drawing.clear()
threading.Thread(target=lambda: drawing.wait() and [worker.kill() for worker in multiprocessing.active_children()]).start()
told["died"] = draw(Request(row("one", steps=900), "a circle", 1))
told["patience"] = backend.loans._patience["one"]
told["revived"] = draw(Request(one, "a circle", 1))
told["asked"] = backend.loans.seconds([Request(one, "a circle", 1), Request(two, "a circle", 2)])
told["measured"] = sum(backend.loans._drawing[name] + backend.loans._moving[name] for name in ("one", "two"))
told["cancelled"] = draw(Request(row("one", steps=900), "a circle", 1), cancelled=drawing.is_set)
told["after"] = draw(Request(one, "a circle", 1))
backend.close()
Path(sys.argv[2]).write_text(json.dumps(told))
for worker in multiprocessing.active_children():
    worker.kill()
os._exit(0)
"""


@pytest.fixture(scope="module")
def api():
    """The device API, as far as `spaces` uses it; POST /mode/NAME says how the next requests fare."""
    log: list[tuple[str, dict]] = []
    mode, over = ["ok"], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            url = urlsplit(self.path)
            log.append((url.path, {key: values[0] for key, values in parse_qs(url.query).items()}))
            if url.path.startswith("/mode/"):
                mode[0] = url.path.removeprefix("/mode/")
            if url.path == "/schedule":
                return self.schedule()
            self.answer(200, {})

        def schedule(self):
            if mode[0] == "quota":
                self.answer(429, {"left": 3, "wait": 3600}, {"X-Approve-Result": "quota-exceeded"})
            elif mode[0] == "illegal":
                self.answer(429, {"left": 3, "wait": -1}, {"X-Approve-Result": "illegal-duration"})
            elif mode[0] == "pending":
                self.answer(429, {"left": 3, "wait": 3600}, {"X-Approve-Result": "pending-overquota-exceeded"})
            elif mode[0] == "nogpu":
                self.answer(503, {})
            elif mode[0] == "expired":
                self.answer(401, {})
            elif mode[0] == "down":
                self.answer(500, {})
            elif mode[0] == "broken-queue":
                self.reply(200, b"", {"Content-Type": "text/event-stream"})
            elif mode[0] == "hang":
                over.wait(5)
                self.answer(503, {})
            elif mode[0] == "queue":
                self.reply(200, b"event: failed\n\n", {"Content-Type": "text/event-stream"})
            else:
                self.answer(200, {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"})

        def answer(self, status, body, headers=None):
            self.reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | (headers or {}))

        def reply(self, status, body, headers):
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            with contextlib.suppress(BrokenPipeError):  # who asked may be gone
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", log
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def told(api, tmp_path_factory):
    """What a whole life of such a Space told, from the first images to a withdrawn request."""
    from tests.tiny_pipelines import build

    url, _ = api
    folder = tmp_path_factory.mktemp("space")
    build("StableDiffusionPipeline", folder / "one")
    build("StableDiffusionXLPipeline", folder / "two")
    env = os.environ | {
        "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": url, "HOME": str(folder), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0",
    }  # fmt: skip
    answer, log = folder / "told.json", folder / "log.txt"
    # Its output goes to a file: a forked worker that outlived it would keep a pipe open for ever.
    with log.open("w") as out:
        subprocess.run([sys.executable, "-c", SPACE, str(folder), str(answer)], env=env, cwd=folder, stdout=out,
                       stderr=subprocess.STDOUT, timeout=600, check=False)  # fmt: skip
    assert answer.exists(), log.read_text()[-4000:]
    return json.loads(answer.read_text())


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ZeroGPU forks, and reads /proc"),
    pytest.mark.slow,
    pytest.mark.timeout(620),
]


def test_both_images_come_from_one_loan_of_a_gpu(told, api):
    _, log = api
    assert told["first"]["sizes"] == [[32, 32], [32, 32]]
    assert told["first"]["pipelines"] == ["StableDiffusionPipeline", "StableDiffusionXLPipeline"]
    first = [path for path, _ in log if path in ("/schedule", "/allow", "/release")]
    assert first[:3] == ["/schedule", "/allow", "/release"]
    assert first[3:5] == ["/schedule", "/release"], "the second call finds the worker still there"


def test_the_worker_took_over_what_the_parent_had_read(told):
    assert told["first"]["dtypes"] == ["bfloat16", "bfloat16"], "the GPU's type, on the way through main memory"
    assert told["worker"], "nothing is drawn in the process that has no GPU"


def test_pictures_are_the_same_in_whatever_order_they_are_asked_for(told):
    assert told["again"]["pixels"] == told["first"]["pixels"][::-1]


def test_progress_comes_back_from_the_worker(told):
    heard = told["first"]["heard"]
    assert heard[0] == 0 and heard[-1] == 1 and heard == sorted(heard)


def test_the_time_asked_for_is_short(told, api):
    _, log = api
    asked = [int(query["durationSeconds"]) for path, query in log if path == "/schedule"]
    assert asked and all(1 <= seconds <= 120 for seconds in asked)


def test_a_model_that_is_missing_or_fails_in_the_worker_is_named_to_the_maintainer_alone(told):
    for name, model, kind in (("broken", "missing-model", "ModelMissing"), ("bad", "one", "BadSettings")):
        assert told[name]["error"] == kind and told[name]["model"] == model and not told[name]["any_model"]
        assert model in told[name]["reason"].split(":")[0] and "missing" not in told[name]["says"]


@pytest.mark.parametrize(("mode", "kind", "title", "says"), [
    ("quota", "QuotaExceeded", "ZeroGPU quota exceeded", loans.USED_UP),
    ("pending", "QuotaExceeded", "ZeroGPU pending credits exceeded", loans.USED_UP),
    ("illegal", "QuotaExceeded", "ZeroGPU illegal duration", loans.TOO_LONG),
    ("nogpu", "BackendBusy", "ZeroGPU client error", loans.BUSY),
    ("expired", "BackendBusy", "Expired ZeroGPU proxy token", loans.BUSY),
    ("queue", "BackendBusy", "No GPU was available after 60s", loans.QUEUE),
    ("broken-queue", "BackendBusy", "Unexpected end of stream", loans.BUSY),
    ("down", "BackendBusy", "ZeroGPU API /schedule error", loans.BUSY),
    ("hang", "BackendTimeout", "neither a GPU nor an answer", loans.BUSY),
    ("died", "BackendTimeout", "GPU task aborted", loans.ABORTED),
])  # fmt: skip
def test_every_refused_loan_reads_like_a_sentence_for_the_visitor_and_is_no_models_fault(told, mode, kind, title, says):
    assert told[mode]["error"] == kind and told[mode]["says"] == says
    assert title in told[mode]["reason"]
    assert told[mode]["model"] is None and told[mode]["any_model"]
    assert "ready battle" in says.lower()


def test_after_a_worker_died_more_time_is_asked_for_and_the_next_image_is_made(told):
    assert told["patience"] == 2 and told["revived"]["pixels"] == told["first"]["pixels"][:1]


def test_what_was_measured_makes_the_loans_tight(told):
    assert told["asked"] == round(loans.START + loans.MARGIN * told["measured"]), "guessed at first, it would be 10"


def test_a_withdrawn_request_ends_soon_and_the_next_one_is_served(told):
    assert told["cancelled"]["error"] == "GenerationCancelled"
    assert told["after"]["pixels"] == told["first"]["pixels"][:1]
