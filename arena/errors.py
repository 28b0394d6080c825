"""The error tree. Everything that this package raises on purpose is one of these.

    ArenaError                     base; `str(error)` is fit for a visitor, and `code` for a program
    ├── ConfigError                arena.yaml is wrong: says where, what was found and what is allowed
    ├── Refused                    a visitor asked for what they may not have; nothing was changed
    │   ├── UnknownBattle          no such battle, or it was served to somebody else
    │   ├── AlreadyVoted           this battle has its vote
    │   ├── BattleExpired          it was served too long ago, or was voided
    │   ├── BadVote                the winner is none of the four outcomes
    │   ├── BadPrompt              empty, too long, or not allowed here
    │   ├── UnknownCategory        not one of the configured categories
    │   ├── NothingToWithdraw      the vote is not this voter's last one
    │   ├── TooFast                a rate limit; `retry_after` is in seconds
    │   └── NoBattle               nothing to serve now (the bank is still empty, or all was seen)
    ├── GenerationError            a model made no usable image; the battle is voided and redrawn
    │   ├── BackendUnavailable     weights missing, gated, out of memory, endpoint down
    │   ├── ImageRejected          the image is blank or was blocked; never a loss for its model
    │   └── GenerationCancelled    the visitor withdrew the request, or the server is stopping
    ├── LedgerError                the store of record could not write; the vote was not acknowledged
    ├── PublishError               the Hub did not take a commit; what was pending is kept and tried again
    └── RestoreError               the dataset could not be read; what was taken in stays, the rest is tried again

A visitor sees only `Refused` and `GenerationError` messages; the others are logged and shown generically.
"""

from __future__ import annotations


class ArenaError(Exception):
    code = "error"


class ConfigError(ArenaError):
    code = "config"


class Refused(ArenaError):
    code = "refused"
    status = 400  # the HTTP status with which the entry points translate it


class UnknownBattle(Refused):
    code, status = "unknown_battle", 404


class AlreadyVoted(Refused):
    code, status = "already_voted", 409


class BattleExpired(Refused):
    code, status = "battle_expired", 410


class BadVote(Refused):
    code, status = "bad_vote", 422


class BadPrompt(Refused):
    code, status = "bad_prompt", 422


class UnknownCategory(Refused):
    code, status = "unknown_category", 422


class NothingToWithdraw(Refused):
    code, status = "nothing_to_withdraw", 409


class TooFast(Refused):
    code, status = "too_fast", 429

    def __init__(self, message: str, retry_after: float):
        super().__init__(message)
        self.retry_after = retry_after


class NoBattle(Refused):
    code, status = "no_battle", 503


class GenerationError(ArenaError):
    code = "generation"
    model: str | None = None  # the id of the model at fault, where it is known; for the log, never for a visitor


class BackendUnavailable(GenerationError):
    code = "backend_unavailable"


class ImageRejected(GenerationError):
    code = "image_rejected"


class GenerationCancelled(GenerationError):
    code = "cancelled"


class LedgerError(ArenaError):
    code = "ledger"


class PublishError(ArenaError):
    code = "publish"

    def __init__(self, message: str, retry_after: float = 0):
        super().__init__(message)
        self.retry_after = retry_after  # seconds for which the Hub asks us to wait


class RestoreError(ArenaError):
    code = "restore"

    def __init__(self, message: str, retry_after: float = 0):
        super().__init__(message)
        self.retry_after = retry_after  # seconds for which the Hub asks us to wait
