"""The JSON routes of a campaign: how far voter and campaign are, and the pictures of the guidelines."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from arena.campaign import EXAMPLE_PATH
from arena.ui.routes import IMAGE_HEADERS, Api, answer


def campaign_routes(api: Api) -> list[Route]:
    async def progress(request: Request) -> Response:
        voter = request.scope.get("state", {}).get("voter") or ""  # who has no cookie has no answers
        return answer({"campaign": await api.call(api.arena.campaign.progress, voter)})

    async def example(request: Request) -> Response:
        data, media_type = api.arena.campaign.example(request.path_params["place"])
        return Response(data, media_type=media_type, headers=IMAGE_HEADERS)

    return [
        Route("/arena/campaign", api.guarded(progress)),
        Route(EXAMPLE_PATH + "{place:int}", api.guarded(example)),
    ]
