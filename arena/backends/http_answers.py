"""What a server's answer means: which error it is, whether to ask again, and when."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from arena.backends.problems import blocked, unavailable
from arena.errors import (
    BackendBusy,
    BackendTimeout,
    BackendUnavailable,
    BadAnswer,
    BadSettings,
    BlockedContent,
    GatedModel,
    GenerationError,
    ModelMissing,
    PaymentRequired,
    Unauthorised,
)

MOST_BYTES = 64_000_000  # a PNG of 4096 x 4096 pixels in base64 fits
MOST_PIXELS = 4096 * 4096
# By status; those that are not here are BadSettings from 400 and BackendUnavailable from 500.
KINDS: dict[int, type[BackendUnavailable]] = {
    401: Unauthorised, 402: PaymentRequired, 403: Unauthorised, 404: ModelMissing, 405: ModelMissing,
    408: BackendTimeout, 410: ModelMissing, 425: BackendBusy, 429: BackendBusy, 502: BackendBusy, 503: BackendBusy,
    504: BackendTimeout, 529: BackendBusy,
}  # fmt: skip
# There is no common code for a blocked prompt or image; these are the words that providers use.
_BLOCKED = re.compile(
    r"nsfw[^\"]*(detected|content)|safety[ _-]?(checker|filter|system|polic)|content[ _-]?(polic|filter|moderation|violat)"
    r"|moderation|flagged|sensitive[ _-]content|\"has_nsfw_concepts\"\s*:\s*\[\s*true",
    re.IGNORECASE,
)


class Refusal(Exception):
    """An attempt that gave no image: which error it is, in which words, and whether to try `again`, after `wait`
    seconds (None: whenever it suits)."""

    def __init__(self, kind: type[GenerationError], text: str, *, again: bool = False, wait: float | None = None):
        super().__init__(text)
        self.kind, self.again, self.wait = kind, again, wait

    def error(self, model_id: str) -> GenerationError:
        if issubclass(self.kind, BackendUnavailable):
            return unavailable(model_id, str(self), kind=self.kind)
        return blocked(model_id, str(self))


def judge(status: int, headers: Mapping[str, str], body: str) -> Refusal:
    """What an answer with this status says."""
    text = f"answered {status}: {message(body)}" if body else f"answered {status}"
    if status == 451 or (400 <= status < 500 and status not in (401, 402, 404, 429) and blocks(body)):
        return Refusal(BlockedContent, text)
    if 300 <= status < 400:
        return Refusal(BadAnswer, f"answered {status}, a redirect to {headers.get('location', 'nowhere')}, which is not "
                                  "followed")  # fmt: skip
    if status == 403 and re.search(r"gated|accept|licen[sc]e", body, re.IGNORECASE):
        return Refusal(GatedModel, text)
    kind = KINDS.get(status) or (BadSettings if 400 <= status < 500 else BackendUnavailable)
    return Refusal(kind, text, again=kind is BackendBusy, wait=retry_wait(headers, body))


def blocks(body: str) -> bool:
    """Whether these words say that a filter stopped the prompt or the image."""
    return _BLOCKED.search(body) is not None


def message(body: str) -> str:
    """The words of an error's body, in at most 300 characters."""
    try:
        value = json.loads(body)
    except ValueError:
        value = body
    for _ in range(3):  # {"error": {"message": ...}} and its like
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = next(
                (value[key] for key in ("error", "message", "detail", "msg", "errors") if value.get(key)), value
            )
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.split())[:300]


def retry_wait(headers: Mapping[str, str], body: str = "") -> float | None:
    """Seconds after which the server wants to be asked again: its Retry-After, as a number or a date, or the
    `estimated_time` that the Hub gives while a model is loading."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    if said:
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except (TypeError, ValueError):
            pass
    try:
        value = json.loads(body).get("estimated_time")
        return max(0.0, float(value)) if isinstance(value, int | float) else None
    except (AttributeError, ValueError):
        return None
