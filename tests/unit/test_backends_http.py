"""Images over HTTP, from a real server on loopback with the faults that such servers have."""

from __future__ import annotations

import threading
import time

import pytest

from arena.backends import Request, reason
from arena.backends.http import HttpBackend, in_the_clear
from arena.backends.http_answers import blocks, judge, message, retry_wait
from arena.config import ModelSettings
from arena.errors import (
    BackendBusy,
    BackendTimeout,
    BackendUnavailable,
    BadAnswer,
    BadSettings,
    BlockedContent,
    ConfigError,
    GatedModel,
    GenerationCancelled,
    ModelMissing,
    PaymentRequired,
    Unauthorised,
    Unreachable,
)
from tests.image_server import ImageServer

PROMPT = 60  # seconds: the servers that are not waited for would take for ever
SETTINGS = {"num_inference_steps": 3, "guidance_scale": 4.0, "height": 32, "width": 32}


def row(source: str, name="one", **more) -> ModelSettings:
    return ModelSettings(id=name, name=name, organisation="nobody", family="tiny", licence="MIT", backend="http",
                         source=source, **({"settings": SETTINGS} | more))  # fmt: skip


@pytest.fixture
def server():
    with ImageServer() as one:
        yield one


@pytest.fixture
def backend(monkeypatch):
    """As on a machine that has a token of the Hub, which no server here may ever see."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return HttpBackend("hf_secret", environ={"LAB_TOKEN": "lab-secret"}, backoff=0.01)


def draw(backend, *models, cancelled=lambda: False, seed=5):
    requests = [Request(model, "a red circle", seed) for model in models]
    return backend.generate(requests, progress=lambda _: None, cancelled=cancelled)


# What is sent ---------------------------------------------------------------------------------------------------


def test_the_hubs_contract_is_kept(server, backend):
    made = draw(backend, row(server.url + "/one"), seed=2**63 - 1)[0]
    path, headers, body = server.asked[0]
    assert path == "/one" and headers["content-type"] == "application/json" and headers["accept"] == "image/png"
    assert headers["accept-encoding"] == "identity"
    assert body == {"inputs": "a red circle", "parameters": {**SETTINGS, "seed": 2**31 - 1}}
    assert made.settings["arguments"] == body["parameters"], "the seed that was sent is the one that is recorded"
    assert server.url not in str(made.settings) + made.hardware, "a laboratory's address is published to nobody"


def test_the_hubs_token_goes_to_no_other_server(server, backend):
    draw(backend, row(server.url + "/one"))
    assert "authorization" not in server.asked[0][1] and "secret" not in str(server.asked)


def test_a_token_that_the_row_names_goes_where_the_row_says(server, backend):
    draw(backend, row(server.url + "/one", token_env="LAB_TOKEN"))
    assert server.asked[0][1]["authorization"] == "Bearer lab-secret"


def test_no_redirect_is_followed_with_a_token(server, backend):
    with pytest.raises(BadAnswer) as caught:
        draw(backend, row(server.url + "/redirect", token_env="LAB_TOKEN"))
    assert len(server.asked) == 1 and "redirect" in reason(caught.value)


def test_a_provider_is_reached_through_the_hubs_router(server, monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.hf_api import InferenceProviderMapping
    from huggingface_hub.inference._providers import _common

    monkeypatch.setattr(constants, "INFERENCE_PROXY_TEMPLATE", server.url + "/{provider}")
    known = InferenceProviderMapping(provider="nscale", providerId="lab/sdxl", hf_model_id="lab/sdxl", status="live",
                                     task="text-to-image")  # fmt: skip
    monkeypatch.setitem(_common.HARDCODED_MODEL_INFERENCE_MAPPING["nscale"], "lab/sdxl", known)
    backend = HttpBackend("hf_secret", environ={}, backoff=0.01)
    model = row("lab/sdxl", provider="nscale")
    assert backend.check(model) == []
    made = draw(backend, model)[0]
    assert made.picture.size == (48, 32), "as it came, whatever was asked for"
    assert made.settings["provider"] == "nscale" and made.settings["model"] == "lab/sdxl"
    path, headers, body = server.asked[0]
    assert path.startswith("/nscale/") and headers["authorization"] == "Bearer hf_secret"
    assert body["prompt"] == "a red circle" and body["model"] == "lab/sdxl"


def test_without_a_token_a_provider_is_not_asked(server):
    with pytest.raises(Unauthorised) as caught:
        draw(HttpBackend(None, environ={}), row("lab/sdxl"))
    assert "HF_TOKEN" in reason(caught.value) and server.asked == []


# What comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "kind", "words"), [
    ("/status/400", BadSettings, "height must be divisible by 8"), ("/status/401", Unauthorised, "Invalid credentials"),
    ("/status/402", PaymentRequired, "monthly included credits"), ("/status/403", Unauthorised, "token"),
    ("/status/404", ModelMissing, "Model not found"), ("/status/422", BlockedContent, "NSFW content detected"),
    ("/status/429", BackendBusy, "Too many requests"), ("/status/500", BackendUnavailable, "CUDA error"),
    ("/status/504", BackendTimeout, "504"), ("/status/451", BlockedContent, "451"),
    ("/text", BadAnswer, "no image"), ("/json/queued", BadAnswer, "queued"), ("/json/nsfw", BlockedContent, "flagged"),
    ("/truncated", BadAnswer, "no image"), ("/bomb", BadAnswer, "6000 x 6000"), ("/huge", BadAnswer, "larger than"),
    ("/zipped", BadAnswer, "compressed, which was not asked for"),
])  # fmt: skip
def test_every_bad_answer_is_an_error_of_its_own_that_names_no_model(server, backend, path, kind, words):
    with pytest.raises((BackendUnavailable, BlockedContent)) as caught:
        draw(backend, row(server.url + path, "secret-name"))
    assert type(caught.value) is kind and caught.value.model == "secret-name"
    assert words in reason(caught.value) and "secret-name" in reason(caught.value)
    assert "secret" not in str(caught.value)
    again = server.counts[path]
    assert again == (4 if kind is BackendBusy else 1), "only what may pass is asked again"


def test_a_server_that_is_loading_is_asked_again(server, backend):
    made = draw(backend, row(server.url + "/loading/2"))[0]
    assert made.settings["attempts"] == 3 and server.counts["/loading/2"] == 3


def test_a_connection_that_breaks_is_tried_again(server, backend):
    assert draw(backend, row(server.url + "/reset"))[0].settings["attempts"] == 2


def test_it_waits_as_long_as_it_is_told_to(server, backend):
    began = time.monotonic()
    draw(backend, row(server.url + "/later/1"))
    assert 1.0 <= time.monotonic() - began < PROMPT


def test_it_does_not_wait_beyond_its_time(server, backend):
    began = time.monotonic()
    with pytest.raises(BackendBusy):
        draw(backend, row(server.url + "/later/3600", timeout_s=5))
    assert time.monotonic() - began < PROMPT


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_a_server_that_never_ends_is_left_when_the_time_is_over(server, backend, path):
    began = time.monotonic()
    with pytest.raises(BackendTimeout) as caught:
        draw(backend, row(server.url + path, timeout_s=0.5))
    assert time.monotonic() - began < PROMPT and "0.5 s" in reason(caught.value)


def test_a_server_that_is_not_there(backend):
    with pytest.raises(Unreachable) as caught:
        draw(backend, row("http://127.0.0.1:9/none"))
    assert "cannot be reached" in reason(caught.value)


# At the same time -----------------------------------------------------------------------------------------------


def test_both_images_of_a_battle_are_drawn_at_once(server, backend):
    draw(backend, row(server.url + "/together/2/a", "a"), row(server.url + "/together/2/b", "b"))
    assert server.most == 2


def test_no_more_requests_are_in_flight_than_the_row_allows(server, backend):
    model = row(server.url + "/together/2", in_flight=2)
    requests = [Request(model, "x", seed) for seed in range(6)]
    made = backend.generate(requests, progress=lambda _: None, cancelled=lambda: False)
    assert server.most == 2 and len({one.picture.tobytes() for one in made}) == 6


def test_a_withdrawn_request_ends_at_once_and_hangs_up(server, backend):
    began, stop = time.monotonic(), threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(GenerationCancelled):
        draw(backend, row(server.url + "/hang"), cancelled=stop.is_set)
    assert time.monotonic() - began < PROMPT
    end = time.monotonic() + PROMPT
    while server.hung_up == 0 and time.monotonic() < end:
        time.sleep(0.02)
    assert server.hung_up == 1, "the server is not left drawing for nobody"


def test_when_one_image_fails_the_other_is_not_waited_for(server, backend):
    began = time.monotonic()
    with pytest.raises(BadSettings):
        draw(backend, row(server.url + "/hang", "a"), row(server.url + "/status/400", "b"))
    assert time.monotonic() - began < PROMPT


# Rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "line"), [
    ({"source": "no/such/folder"}, "source: no/such/folder is neither a URL"),
    ({"source": "a/b"}, "source: Inference Providers want a token"),
    ({"provider": "fal-ai"}, "provider: belongs to a Hub repository id"),
    ({"source": "a/b", "provider": "nobody"}, 'provider: unknown "nobody"; one of black-forest-labs, fal-ai'),
    ({"token_env": "UNSET"}, "token_env: the environment variable UNSET is not set"),
    ({"source": "http://lab.example.org/draw", "token_env": "LAB_TOKEN"}, "source: a token would travel unencrypted"),
    ({"settings": {"seed": 3}}, "settings.seed: the backend sets this itself"),
])  # fmt: skip
def test_check_says_where_a_row_is_wrong(change, line):
    backend = HttpBackend(None, environ={"LAB_TOKEN": "x"})
    found = backend.check(row("https://lab.example.org/draw").model_copy(update=change))
    assert any(text.startswith(line.split("; one of")[0]) for text in found), found


def test_check_is_content_with_good_rows():
    backend = HttpBackend("hf_x", environ={"LAB_TOKEN": "x"})
    for model in (row("https://lab.example.org/draw", token_env="LAB_TOKEN"), row("a/b", provider="fal-ai"),
                  row("http://10.1.2.3:8000/draw", token_env="LAB_TOKEN"), row("http://ray-head:8000/")):  # fmt: skip
        assert backend.check(model) == []


def test_which_addresses_are_in_the_clear():
    assert in_the_clear("http://lab.example.org/") and in_the_clear("http://8.8.8.8/")
    for url in (
        "https://lab.example.org/",
        "http://127.0.0.1:1/",
        "http://192.168.1.4/",
        "http://node7/",
        "http://a.local/",
    ):
        assert not in_the_clear(url)


@pytest.mark.parametrize("wrong", [{"backend": "diffusers", "provider": "fal-ai"}, {"backend": "http", "batch": 2},
                                   {"backend": "zerogpu", "timeout_s": 3}, {"backend": "http", "timeout_s": 0},
                                   {"token_env": "hf_abc def"}])  # fmt: skip
def test_a_key_that_would_do_nothing_is_refused(wrong):
    from arena.config import parse_config

    model = row("a/b").model_dump(exclude={"pipeline"}) | wrong
    with pytest.raises(ConfigError, match=r"says nothing to|timeout_s|token_env"):
        parse_config({"models": [model, model | {"id": "two"}], "categories": [{"name": "x"}]})


# Words ----------------------------------------------------------------------------------------------------------


def test_when_to_ask_again():
    assert retry_wait({"retry-after": "7"}) == 7 and retry_wait({"retry-after": "0.5"}) == 0.5
    soon = retry_wait({"retry-after": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3600))})
    assert 3540 <= soon <= 3601
    assert retry_wait({}, '{"error": "loading", "estimated_time": 20.5}') == 20.5
    for headers, body in (({}, ""), ({"retry-after": "soon"}, "[]"), ({}, '{"estimated_time": "x"}')):
        assert retry_wait(headers, body) is None


def test_what_an_error_says_is_found_in_every_usual_form():
    for body in (
        '{"error": "x y"}',
        '{"error": ["x y"]}',
        '{"error": {"message": "x  y"}}',
        '{"detail": [{"msg": "x y"}]}',
        "x\ny",
    ):
        assert message(body) == "x y"
    assert len(message("x" * 5000)) == 300


def test_blocked_content_is_told_from_bad_settings():
    for body in ("NSFW content detected", "Your request was rejected by our safety system", "content_policy_violation",
                 '{"has_nsfw_concepts": [true]}', "The prompt was flagged", "content moderation"):  # fmt: skip
        assert blocks(body) and judge(400, {}, body).kind is BlockedContent
    for body in ("height must be a multiple of 8", '{"has_nsfw_concepts": [false]}', "unknown parameter nsfw_filter"):
        assert not blocks(body) and judge(400, {}, body).kind is BadSettings
    assert judge(403, {}, "Please accept the licence of this gated model").kind is GatedModel
