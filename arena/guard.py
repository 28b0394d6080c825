"""Who may do what, how often, and which prompts are taken: the rules that hold before the ledger is asked."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence

from arena.errors import BadPrompt, TooFast


class VoterKey:
    """Turns an identity ("cookie:<id>", "hf:<sub>") into a voter: HMAC-SHA256 with a secret of the deployment,
    cut to 128 bits. Without the secret nobody can go back, or test a guess."""

    def __init__(self, secret: bytes):
        if len(secret) < 16:
            raise ValueError("the secret must have at least 16 bytes")
        self._secret = secret

    def voter(self, identity: str) -> str:
        return hmac.new(self._secret, b"voter\0" + identity.encode(), hashlib.sha256).hexdigest()[:32]

    def derive(self, purpose: str) -> bytes:
        """A key for another use (signing cookies, say) that tells nothing of this one."""
        return hmac.new(self._secret, b"key\0" + purpose.encode(), hashlib.sha256).digest()


class RateLimit:
    """Token buckets, one a key: `rate` a second on average, `burst` at once. At most `keys` are remembered; the
    longest unused is forgotten first, which can only be to its owner's advantage."""

    def __init__(self, rate: float, burst: float, *, keys: int = 20_000, clock: Callable[[], float] = time.monotonic):
        self.rate, self.burst, self.keys, self.clock = rate, burst, keys, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def spend(self, key: str, what: str) -> None:
        """Take one token, or raise TooFast naming `what` was too fast."""
        now = self.clock()
        with self._lock:
            then, left = self._buckets.pop(key, (now, self.burst))
            left = min(self.burst, left + (now - then) * self.rate)
            allowed = left >= 1
            self._buckets[key] = (now, left - 1 if allowed else left)
            if len(self._buckets) > self.keys:
                self._buckets.popitem(last=False)
        if not allowed:
            wait = (1 - left) / self.rate
            raise TooFast(f"That was too fast: {what}. Try again in {max(1, round(wait))} s.", retry_after=wait)


class PromptRules:
    """What a visitor may ask for."""

    def __init__(self, max_chars: int, blocked_words: Sequence[str] = ()):
        self.max_chars = max_chars
        words = [re.escape(word.casefold()) for word in blocked_words]
        self._blocked = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)") if words else None

    def clean(self, text: object) -> str:
        """The prompt in normal form: NFC, no control characters, single spaces. Raises BadPrompt."""
        if not isinstance(text, str):
            raise BadPrompt("The prompt must be text.")
        text = unicodedata.normalize("NFC", text)
        text = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
        text = " ".join(text.split())
        if not text:
            raise BadPrompt("Type what you would like to see first.")
        if len(text) > self.max_chars:
            raise BadPrompt(f"The prompt has {len(text)} characters; at most {self.max_chars} are allowed.")
        if self._blocked and self._blocked.search(text.casefold()):
            raise BadPrompt("This prompt is not allowed here. Please try another one.")
        return text
