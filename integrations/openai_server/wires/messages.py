"""`POST /v1/messages`, the wire of Anthropic's clients: its body, and its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage

from ig_guardrail.integrations.openai_server.answering import Question
from ig_guardrail.integrations.openai_server.faults import Fault, unfit
from ig_guardrail.integrations.openai_server.wires.fields import (
    OURS,
    Fields,
    check_kinds,
    form_names,
    own_options,
    take_names,
    text_of,
    truth_of,
    unread,
)
from ig_guardrail.integrations.openai_server.wires.messages_turns import read_turns
from ig_guardrail.integrations.openai_server.wires.tools import demand_function, listed
from ig_guardrail.types import EFFORTS

TOOL = ("type", "name", "description", "input_schema", "strict")  # what of a tool is read
SAMPLING = ("max_tokens", "temperature", "top_p", "top_k")
FIELDS = Fields(
    honoured=(
        *("model", "messages", "system", "stream", *SAMPLING, "stop_sequences"),
        *("thinking", "tools", "tool_choice", "output_config", OURS),
    ),
    ignored=(
        *("cache_control", "diagnostics", "inference_geo", "metadata"),
        *("service_tier", "speed", "user_profile_id", "workspace_id"),
    ),
    refused={
        "container": "no code is run here",
        "mcp_servers": "no tools are called here; offer them in `tools`",
        "context_management": "nothing is left out of a conversation",
        "output_format": "give `output_config` with a `format`",
    },
)
KINDS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class MessagesAsked:
    """A body that was read. thinks: whether thoughts are asked for, which not every model has"""

    question: Question
    stream: bool
    thinks: bool
    ignored: tuple[str, ...]


def read_question(body: Mapping[str, Any]) -> MessagesAsked:
    """What a body asks. Raises Refused, naming the field, for what cannot be served as asked."""
    given, ignored = FIELDS.read(body)
    check_kinds(given)
    if "max_tokens" not in given:
        raise unfit("field required", "max_tokens")
    turns, passed = read_turns(given.get("system"), given.get("messages"))
    own = own_options(given, ("seed",))
    options: dict[str, Any] = {name: given[name] for name in SAMPLING if name in given}
    if "stop_sequences" in given:
        if not isinstance(given["stop_sequences"], list):
            raise unfit("it is no list of texts", "stop_sequences")
        options["stop"] = given["stop_sequences"]
    options |= _thinking(given.get("thinking"))
    options |= _form(given.get("output_config"))
    effort = (given.get("output_config") or {}).get("effort")
    options |= {"reasoning_effort": effort} if effort in EFFORTS else {}
    options |= _tools(given.get("tools"), given.get("tool_choice"))
    if isinstance(turns[-1], AIMessage) and _has_form(given):
        raise unfit("the last begins the answer, whose form is enforced from its first token", "messages")
    passed = (*passed, *_unread(given))
    named = take_names(own)
    question = Question(text_of(given, "model"), turns, {**options, **own}, **named)
    thinks = options.get("reasoning") in ("show", "hide")
    return MessagesAsked(question, truth_of(given, "stream"), thinks, (*ignored, *passed))


def names_for(question: Question) -> dict[str, str]:
    """What this wire calls the options of a question, in errors."""
    return {
        **form_names(question.options, "tools", "output_config.format"),
        "stop": "stop_sequences",
        "seed": f"{OURS}.seed",
        "response_format": "output_config.format",
        **({"max_reasoning_tokens": "thinking.budget_tokens"} if question.options.get("reasoning") == "show" else {}),
    }


def error_body(fault: Fault) -> dict[str, Any]:
    """A fault in Anthropic's form, which names the field in the message."""
    kind = KINDS.get(fault.status, "invalid_request_error" if fault.status < 500 else "api_error")
    where = f"{fault.param}: " if fault.param and not fault.message.startswith(fault.param) else ""
    return {"type": "error", "error": {"type": kind, "message": where + fault.message, "code": fault.code}}


def _unread(given: Mapping[str, Any]) -> Iterator[str]:
    """Names of what stands in parts of a body that were read, and changes nothing."""
    config = given.get("output_config") or {}
    if config.get("effort") not in (None, *EFFORTS):
        yield "output_config.effort"
    yield from unread(config.get("format") or {}, ("type", "schema", "name"), "output_config.format")
    yield from unread(given.get("thinking") or {}, ("type", "budget_tokens", "display"), "thinking")
    yield from unread(given.get("tool_choice") or {}, ("type", "name", "disable_parallel_tool_use"), "tool_choice")
    for tool in given.get("tools") or ():
        yield from unread(tool, TOOL, "tools")


def _thinking(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    kind = given.get("type") if isinstance(given, Mapping) else None
    if kind == "disabled":
        return {"reasoning": "off"}
    if kind not in ("enabled", "adaptive"):
        raise unfit("its type is enabled, adaptive or disabled", "thinking")
    shown = "hide" if given.get("display") == "omitted" else "show" if kind == "enabled" else "auto"
    if kind == "adaptive":
        return {"reasoning": shown}
    if not isinstance(given.get("budget_tokens"), int) or isinstance(given["budget_tokens"], bool):
        raise unfit("it is no whole number", "thinking.budget_tokens")
    return {"reasoning": shown, "max_reasoning_tokens": given["budget_tokens"]}


def _form(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or set(given) - {"format", "effort"}:
        raise unfit("it has a `format`, and an `effort`", "output_config")
    form = given.get("format")
    if form is None:
        return {}
    if not isinstance(form, Mapping) or form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise unfit("it is of type json_schema, and has a schema", "output_config.format")
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"]}}}


def _has_form(given: Mapping[str, Any]) -> bool:
    """Whether an answer is JSON, or may hold calls."""
    barred = (given.get("tool_choice") or {}).get("type") == "none"
    return bool((given.get("output_config") or {}).get("format")) or bool(given.get("tools") and not barred)


def _tools(tools: Any, choice: Any) -> dict[str, Any]:
    names: set[str] = set()
    offered = () if tools is None else listed(tools)
    found: dict[str, Any] = {"tools": [_tool(tool, names, f"tools[{i}]") for i, tool in enumerate(offered)]}
    if choice is None:
        return found
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind not in ("auto", "any", "tool", "none"):
        raise unfit("its type is auto, any, tool or none", "tool_choice")
    found["tool_choice"] = text_of(choice, "name", "tool_choice.") if kind == "tool" else kind
    if truth_of(choice, "disable_parallel_tool_use"):
        found["parallel_tool_calls"] = False
    return found


def _tool(tool: object, names: set[str], where: str) -> dict[str, Any]:
    if not isinstance(tool, Mapping) or tool.get("type", "custom") not in ("custom", None):
        raise unfit("tools of type 'custom' are called, and no others", where)
    names.add(demand_function(tool, names, where, "input_schema"))
    if not isinstance(tool.get("input_schema"), Mapping):
        raise unfit("it is missing, or is no object", f"{where}.input_schema")
    described = {"name": tool["name"], "description": tool.get("description") or "", "parameters": tool["input_schema"]}
    return {"type": "function", "function": described}
