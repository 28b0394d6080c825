"""Waiting for the Hub: how long a request may take, and how long the Hub asks us to stay away.

huggingface_hub waits for an answer for ever, and where it is told to come back in an hour it sleeps for that hour
in the middle of a request. Here every read and write has a timeout, and a long wait ends the request with an error
that says how long it is (`told_to_wait`), so that whoever asked decides what to do meanwhile.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

SLEPT_THROUGH = 5.0  # seconds: a shorter wait is left to huggingface_hub, which sleeps and asks again
LONGEST = 6 * 3600.0  # no wait that the Hub asks for is believed beyond this
_UNITS = {"second": 1, "minute": 60, "hour": 3600}
_IN_WORDS = re.compile(r"retry this action in (?:about )?(\d+|an?) (second|minute|hour)")


def limit_waiting(seconds: float) -> None:
    """Give the HTTP client that huggingface_hub shares between all threads a timeout of `seconds` for every read
    and write."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    longest = {"connect": min(10.0, seconds), "read": seconds, "write": seconds, "pool": seconds}

    def limit(request: Any) -> None:
        """Some calls of huggingface_hub, listings for one, ask for no timeout by name."""
        asked = {k: v for k, v in request.extensions.get("timeout", {}).items() if v is not None}
        request.extensions = {**request.extensions, "timeout": {**longest, **asked}}

    def factory():
        client = default_client_factory()
        client.timeout = tuple(longest.values())
        client.event_hooks["request"] = [*client.event_hooks.get("request", ()), limit]
        client.event_hooks["response"] = [*client.event_hooks.get("response", ()), _end_long_waits]
        return client

    set_client_factory(factory)


def told_to_wait(error: BaseException) -> float:
    """Seconds for which the Hub asked us not to come back, with the answer behind this error; 0 if it did not."""
    response = getattr(error, "response", None)
    if response is None or response.status_code not in (429, 503):
        return 0.0
    wait = _in_headers(response.headers)
    if not wait and (found := _IN_WORDS.search(str(getattr(error, "server_message", None) or error))):
        wait = float(found[1] if found[1].isdigit() else 1) * _UNITS[found[2]]
    return min(wait, LONGEST)


def _in_headers(headers: Mapping[str, str]) -> float:
    from huggingface_hub.utils import parse_ratelimit_headers

    asked = headers.get("retry-after", "").strip()
    if asked.isdigit():
        return float(asked)
    if asked:
        try:
            return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
        except ValueError:
            pass
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else 0.0


def _end_long_waits(response: Any) -> None:
    """Datasets only: whoever downloads a model waits as before."""
    from huggingface_hub.utils import hf_raise_for_status

    ours = "/datasets/" in response.request.url.path
    if ours and response.status_code in (429, 503) and _in_headers(response.headers) > SLEPT_THROUGH:
        response.read()
        hf_raise_for_status(response)
