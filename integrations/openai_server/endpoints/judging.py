"""`POST /v1/moderations` and `POST /v1/guard/check`: what a policy says of texts that exist already."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.judging import judge
from ig_guardrail.integrations.openai_server.server import Server, headers_of, told, unless_left
from ig_guardrail.integrations.openai_server.wires.guard_check import read_check, write_check
from ig_guardrail.integrations.openai_server.wires.moderations import OPENAIS, read_moderation, write_moderation


def routes(server: Server) -> list[Route]:
    """Of what judges, and does not answer."""

    async def moderate(request: Request) -> Response:
        caller, asked = _judged_for(server.caller(request)), await server.asked(request, read_moderation)
        theirs = asked.model.startswith(OPENAIS)
        guardrail, model = await _guardrail(server, caller, "" if theirs else asked.model, asked.policy)
        judged = await unless_left(judge(guardrail, caller, asked.given, "input"), request)
        headers = headers_of(("model",) if theirs else ())
        return JSONResponse(write_moderation(model, guardrail, judged), headers=headers)

    async def check(request: Request) -> Response:
        caller, asked = _judged_for(server.caller(request)), await server.asked(request, read_check)
        guardrail, _ = await _guardrail(server, caller, asked.model, asked.policy, asked.conversation)
        judging = judge(guardrail, caller, asked.given, "inputs", asked.conversation)
        return JSONResponse(write_check(guardrail, asked, await unless_left(judging, request)))

    return [
        Route("/v1/moderations", told(moderate), methods=["POST"]),
        Route("/v1/guard/check", told(check), methods=["POST"]),
    ]


def _judged_for(caller: Caller) -> Caller:
    """A caller who may see scores. Raises Refused for others: scores of texts of one's choice help to probe a guard."""
    if caller.receipt != "full":
        raise unfit("this key is not shown scores", None, "scores_not_shown", 403)
    return caller


async def _guardrail(
    server: Server, caller: Caller, model: str, policy: str | None, conversation: str | None = None
) -> tuple[Guardrail, str]:
    """What judges, and the name of the model. model: "" where the request names none"""
    named = model or server.served.name
    chosen = server.served.policy_for(caller, named, policy)
    return await server.served.guardrail(chosen, conversation, caller.tenant), named
