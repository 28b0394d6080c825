"""The Arena page: one custom widget that is the whole stage, and the event that draws a visitor's own prompt.

The widget's template never changes: `static/*.js` builds the page with `textContent`, since what Gradio puts
into a template is code. Battles and votes go over the JSON routes; only live requests go through Gradio's
queue, because that is where ZeroGPU finds the visitor's quota.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from arena.errors import Refused, TooFast
from arena.ui.edge import voter_of_request
from arena.ui.routes import INTERNAL, blind_json

if TYPE_CHECKING:
    from arena.service import Arena

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
# One scope without a bundler: every file may use what the files before it declare.
SCRIPTS = ("dom.js", "header.js", "api.js", "frame.js", "battle.js", "vote.js", "feedback-draft.js", "feedback-layer.js",
           "feedback-points.js", "feedback-area.js", "feedback-questions.js", "feedback.js", "campaign.js", "live.js",
           "keys.js", "main.js")  # fmt: skip
# The stage must not carry the models' names: they come with the reveal.
STAGE_FACTS = ("title", "tagline", "categories", "examples", "limits", "demo", "world", "hub_dataset", "feedback",
               "campaign")  # fmt: skip


def scripts(*names: str) -> str:
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def facts_for_page(meta: Mapping[str, Any], pages: list[dict[str, str]], here: str) -> dict[str, Any]:
    """What a page's script is told at its start: nothing that names a model."""
    return {"meta": {key: meta.get(key) for key in STAGE_FACTS}, "pages": pages, "here": here}


def render_stage(arena: Arena, pages: list[dict[str, str]]) -> gr.HTML:
    """Put the stage on the current page and connect its live requests."""
    stage = gr.HTML(
        facts_for_page(arena.meta(), pages, ""),
        html_template='<div class="ia"></div>',
        js_on_load=scripts(*SCRIPTS),
        apply_default_css=False,
        elem_id="ia-stage",
    )
    stage.submit(
        live_events(arena),
        inputs=[stage],
        outputs=[stage],
        # As many followers as may wait: the studio's own queue is the one that visitors stand in.
        concurrency_id="live",
        concurrency_limit=arena.config.limits.live_queue + 2,
        trigger_mode="multiple",
        show_progress="hidden",
        api_visibility="private",
    )
    return stage


def live_events(arena: Arena):
    """The handler of a live request. It takes `{"request": {"prompt", "category", "private", "nonce"}}`, or
    `{"request": {"ticket", "nonce"}}` to go on after a reload, and yields `{"live": event}`."""

    def live(given: Any, request: gr.Request) -> Iterator[dict[str, Any]]:
        asked = given.get("request") if isinstance(given, dict) else None
        asked = asked if isinstance(asked, dict) else {}
        nonce = asked.get("nonce") if isinstance(asked.get("nonce"), int | float) else 0

        def told(event: Mapping[str, Any]) -> dict[str, Any]:
            return {"live": {**event, "nonce": nonce}}

        try:
            voter, _ = voter_of_request(request)
            ticket = asked.get("ticket")
            if not isinstance(ticket, str):
                prompt, category = asked.get("prompt"), asked.get("category")
                ticket = arena.request_live(
                    voter,
                    prompt if isinstance(prompt, str) else "",
                    category=category if isinstance(category, str) and category else None,
                    private=asked.get("private") is True,
                )
            for event in arena.follow_live(ticket, voter):
                if event["phase"] == "done":
                    event = {**event, "battle": blind_json(event["battle"])}
                yield told(event)
        except PermissionError:
            yield told({"phase": "error", "code": "no_visitor",
                        "message": "Reload the page. If this stays, allow cookies for it: votes need one."})  # fmt: skip
        except Refused as refused:
            wait = {"retry_after": refused.retry_after} if isinstance(refused, TooFast) else {}
            yield told({"phase": "error", "code": refused.code, "message": str(refused), **wait})
        except Exception:
            log.exception("a live request failed")
            yield told({"phase": "error", **INTERNAL["error"]})

    return live
