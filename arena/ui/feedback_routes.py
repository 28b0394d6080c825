"""The JSON routes of the step after a vote: what the voter says of either image, and the models' names.

What a feedback may hold is checked by `arena.feedback`; a second one for the same image answers 409 `already_given`,
which whoever lost the first answer takes for a success.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from arena.feedback import KEYS
from arena.ui.routes import Api, answer


def feedback_routes(api: Api) -> list[Route]:
    async def feedback(request: Request) -> Response:
        given, (voter, _) = await api.given(request, "feedback")
        said = {key: given[key] for key in KEYS}
        kept = await api.call(api.arena.feedback.give, given["battle_id"], given["side"], said, voter)
        told = await api.call(api.arena.gold.told, given["battle_id"], voter) if '"gold":{' in kept.extra else None
        return answer({"feedback": {"feedback_id": kept.feedback_id, "side": given["side"]},
                       **({"check": told} if told else {})})  # fmt: skip

    async def reveal(request: Request) -> Response:
        given, (voter, _) = await api.given(request, "reveal")
        told = await api.call(api.arena.reveal, given["battle_id"], voter)
        return answer({"check": told} if isinstance(told, dict) else {"reveal": told.as_dict()})

    return [
        Route("/arena/feedback", api.guarded(feedback), methods=["POST"]),
        Route("/arena/reveal", api.guarded(reveal), methods=["POST"]),
    ]
