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
    │   ├── BadFeedback            a rating, word or point that cannot be, or was not asked for
    │   ├── VoteFirst              feedback, or the names, before this voter's vote (or after it was taken back)
    │   ├── AlreadyGiven           this image of the battle has this voter's feedback
    │   ├── WrongAnswer            of a task with a known answer; the message explains it, the answer is on record
    │   ├── TaskFirst              another task of this voter has to be done, or put right, before this
    │   ├── TooFast                a rate limit; `retry_after` is in seconds
    │   └── NoBattle               nothing to serve now (the bank is still empty, or all was seen)
    ├── GenerationError            a model made no usable image; the battle is voided and redrawn
    │   ├── BackendUnavailable     the model cannot be had or run; its kinds carry `advice` for the maintainer
    │   │   ├── OutOfMemory        the device is full, with a batch of one and nothing else loaded
    │   │   ├── ModelMissing       no such folder, repository, revision, file or endpoint
    │   │   ├── Unreachable        the server that has it does not answer at all
    │   │   ├── GatedModel         the repository wants its licence accepted first
    │   │   ├── Unauthorised       a token is missing, wrong or not allowed to do this
    │   │   ├── PaymentRequired    the account behind the token has no credit left
    │   │   ├── BadSettings        the model does not take what its row says
    │   │   ├── BackendBusy        too many requests, still loading, or no GPU free: later it may work
    │   │   ├── QuotaExceeded      the GPU time lent to this visitor or Space is used up
    │   │   ├── BackendTimeout     no picture within the time that the row allows
    │   │   └── BadAnswer          what came back is no picture, or too large to be one
    │   ├── ImageRejected          the image is blank or was blocked; never a loss for its model
    │   │   └── BlockedContent     the model's own filter blocked the prompt or the image
    │   └── GenerationCancelled    the visitor withdrew the request, or the server is stopping
    ├── ClusterError               --ray: no Ray, or no cluster at that address; what was made is kept
    ├── LedgerError                the store of record could not write; the vote was not acknowledged
    ├── PublishError               the Hub did not take a commit; what was pending is kept and tried again
    └── RestoreError               the dataset could not be read; what was taken in stays, the rest is tried again

A visitor sees only `Refused` and `GenerationError` messages; the others are logged and shown generically.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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


class BadFeedback(Refused):
    code, status = "bad_feedback", 422


class VoteFirst(Refused):
    code, status = "vote_first", 409


class AlreadyGiven(Refused):
    code, status = "already_given", 409


class WrongAnswer(Refused):
    code, status = "wrong_answer", 409

    def __init__(self, message: str, about: str | None = None):
        super().__init__(message)
        self.about = about  # what of the feedback is to be put right: "words", "coherence" or "alignment"


class TaskFirst(Refused):
    code, status = "task_first", 409


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
    any_model = False  # whether any other model there would have failed as well: none is at fault
    made: Mapping[int, Any] = {}  # pictures of the same call that were finished before, by their requests' places


class BackendUnavailable(GenerationError):
    code = "backend_unavailable"  # of its kinds too, unless a visitor can do something about it
    advice = ""  # what the maintainer can do, in a line; part of the note that the log gets


class OutOfMemory(BackendUnavailable):
    advice = "disable a model, lower `memory_gb` so that fewer stay loaded, or set `batch: 1`"


class ModelMissing(BackendUnavailable):
    advice = "correct `source`, `revision` or `components` of its row"


class Unreachable(BackendUnavailable):
    advice = "see that this machine has a network and that the address is right"


class GatedModel(BackendUnavailable):
    advice = "accept its licence on its page on the Hub, and set HF_TOKEN to a token of that account"


class Unauthorised(BackendUnavailable):
    advice = "set the variable that `token_env` names (HF_TOKEN for the Hub) to a token that may use this model"


class PaymentRequired(BackendUnavailable):
    advice = "add credit to the account of the token, or disable the model"


class BadSettings(BackendUnavailable):
    advice = "correct `settings` of its row; `python -m arena check` knows most of what can be wrong"


class BackendBusy(BackendUnavailable):
    code = "backend_busy"
    advice = "it may work later by itself; if it never does, lower `in_flight`, or get more of what is short"


class QuotaExceeded(BackendUnavailable):
    code = "quota_exceeded"
    advice = "visitors who sign in have more GPU time; a Space's owner can add credits"


class BackendTimeout(BackendUnavailable):
    advice = "raise `timeout_s` of its row, or look at why the server is slow"


class BadAnswer(BackendUnavailable):
    advice = "see that `source` is a text-to-image endpoint that answers with an image"


class ImageRejected(GenerationError):
    code = "image_rejected"


class BlockedContent(ImageRejected):
    code = "image_rejected"


class GenerationCancelled(GenerationError):
    code = "cancelled"


class ClusterError(ArenaError):
    code = "cluster"


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
