"""What the body of `POST /v1/responses` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.wires.fields import (
    OURS,
    Fields,
    check_kinds,
    effort_options,
    own_options,
    take_names,
    text_of,
    truth_of,
    unread,
)
from ig_guardrail.integrations.openai_server.wires.tools import allowed_tools, demand_functions, unread_of_tools
from ig_guardrail.types import EFFORTS

LOGPROBS = "message.output_text.logprobs"
SEALED = "reasoning.encrypted_content"  # what a caller keeps of a thought; here thoughts are shown, and stored
SAMPLING = (
    *("temperature", "top_p", "frequency_penalty", "presence_penalty"),
    *("top_k", "min_p", "repetition_penalty", "logit_bias", "stop", "seed"),  # not in OpenAI's API, as for chats
)
FIELDS = Fields(
    honoured=(
        *("model", "input", "instructions", "stream", "stream_options", "store", "previous_response_id", "metadata"),
        *("tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "include", "top_logprobs"),
        *("max_output_tokens", "truncation", "background", OURS),
        *SAMPLING,
    ),
    ignored=(
        *("max_tool_calls", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "user"),
    ),
    refused={
        "conversation": "go on by `previous_response_id`; budgets are shared by `conversation` in `ig_guardrail`",
        "prompt": "no templates are kept here; write it into `instructions` and `input`",
        "moderation": "ask `/v1/moderations`; what was charged stands in `ig_guardrail`",
        "context_management": "conversations are never shortened",
        "n": "a response has one answer",
    },
)


@dataclass(frozen=True, slots=True)
class ResponseAsked:
    """A body that was read.

    options       of the question, by the names of `call_options`
    policy        the caller's choice among those of his key
    conversation  named by the caller
    previous      the id of the response that this one goes on from
    told          fields of the response that say what was asked
    background    whether it is given though nobody waits for it
    summed        whether thoughts are shown as summaries
    ignored       names of fields that are passed over
    """

    model: str
    input: object
    instructions: str | None
    options: Mapping[str, Any]
    policy: str | None
    conversation: str | None
    previous: str | None
    stream: bool
    store: bool
    told: Mapping[str, Any]
    background: bool
    summed: bool
    ignored: tuple[str, ...]


def read_response(body: Mapping[str, Any]) -> ResponseAsked:
    """What a body asks. Raises Refused, naming the field, for what cannot be served as asked."""
    given, ignored = FIELDS.read(body)
    check_kinds(given)
    own, stream = own_options(given), truth_of(given, "stream")
    background, store = truth_of(given, "background"), truth_of({"store": True, **given}, "store")
    if background and not store:
        raise unfit("what is given in the background is kept; leave `store` out", "background")
    format_, unheeded = _text(given.get("text", {}))
    thinking, passed = _reasoning(given.get("reasoning", {}))
    tools, choice = given.get("tools", []), given.get("tool_choice", "auto")
    options: dict[str, Any] = {name: given[name] for name in SAMPLING if name in given}
    options |= {"response_format": format_} if format_ else {}
    options |= {"max_tokens": given["max_output_tokens"]} if "max_output_tokens" in given else {}
    options |= effort_options(thinking["effort"])
    options |= _tools(tools, choice) | {n: given[n] for n in ("parallel_tool_calls",) if n in given}
    options |= _logprobs(given)
    sealed = [f"include.{SEALED}"] if SEALED in given.get("include", ()) else []
    named = take_names(own)
    return ResponseAsked(
        model=text_of(given, "model"),
        input=given.get("input"),
        instructions=_instructions(given),
        options={**options, **own},
        policy=named.get("policy"),
        conversation=named.get("conversation"),
        previous=text_of(given, "previous_response_id") if "previous_response_id" in given else None,
        stream=stream,
        store=store,
        told={
            "background": background,
            "instructions": given.get("instructions"),
            "max_output_tokens": given.get("max_output_tokens"),
            "metadata": _metadata(given.get("metadata", {})),
            "parallel_tool_calls": given.get("parallel_tool_calls", True),
            "previous_response_id": given.get("previous_response_id"),
            "reasoning": thinking,
            "store": given.get("store", True),
            "text": _told_text(given.get("text", {})),
            "tool_choice": choice,
            "tools": [{"description": None, "parameters": None, "strict": None, **tool} for tool in tools],
            "top_logprobs": given.get("top_logprobs", 0),
            "frequency_penalty": given.get("frequency_penalty", 0),
            "presence_penalty": given.get("presence_penalty", 0),
        },
        background=background,
        summed=thinking["summary"] is not None,
        ignored=tuple(
            sorted([*ignored, *unheeded, *passed, *sealed, *_unheeded(given, stream), *_unread(given, tools, choice)])
        ),
    )


def _unheeded(given: Mapping[str, Any], stream: bool) -> list[str]:
    """Names of what is known, and changes nothing."""
    asked = given.get("stream_options", {})
    if not isinstance(asked, Mapping) or set(asked) - {"include_obfuscation"}:
        raise unfit("`include_obfuscation` is the option there is", "stream_options")
    if asked and not stream:
        raise unfit("it is an option of streams", "stream_options")
    if given.get("truncation", "disabled") not in ("auto", "disabled"):
        raise unfit("it is 'auto' or 'disabled'", "truncation")
    return [
        *(["stream_options.include_obfuscation"] if asked.get("include_obfuscation") else []),
        *(["truncation"] if given.get("truncation") == "auto" else []),
    ]


def _unread(given: Mapping[str, Any], tools: Any, choice: Any) -> list[str]:
    """Names of what stands in parts of a body that were read, and is not read."""
    form, counted = given.get("text", {}).get("format") or {}, LOGPROBS in given.get("include", ())
    return [
        *unread_of_tools(tools, flat=True),
        *(unread(choice, ("type", "name", "mode", "tools"), "tool_choice") if isinstance(choice, Mapping) else ()),
        *unread(form, ("type", "name", "schema", "strict"), "text.format"),
        *(["top_logprobs"] if given.get("top_logprobs") and not counted else []),
    ]


def _tools(tools: Any, choice: Any) -> dict[str, Any]:
    """Tools and the choice among them, as chat completions name them."""
    demand_functions(tools, flat=True)
    nested = [{"type": "function", "function": {key: tool[key] for key in tool if key != "type"}} for tool in tools]
    asked = {"tools": nested} if nested else {}
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        return allowed_tools(nested, choice, "tool_choice")
    if isinstance(choice, Mapping):
        if choice.get("type") != "function" or not isinstance(choice.get("name"), str):
            raise unfit("it names a function by `type` and `name`", "tool_choice")
        return {**asked, "tool_choice": {"type": "function", "function": {"name": choice["name"]}}}
    if choice not in ("auto", "none", "required"):
        raise unfit("it is 'auto', 'none', 'required', or names a function", "tool_choice")
    return {**asked, "tool_choice": choice}


def _text(asked: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """The form of the text, as chat completions name it, and what is passed over."""
    if not isinstance(asked, Mapping) or set(asked) - {"format", "verbosity"}:
        raise unfit("there are `format` and `verbosity`", "text")
    unread = ["text.verbosity"] if asked.get("verbosity") is not None else []
    form = asked.get("format")
    if form is None:
        return None, unread
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind in ("text", "json_object"):
        return {"type": kind}, unread
    if kind != "json_schema" or not isinstance(form.get("schema"), Mapping):
        raise unfit("it is of type 'text', 'json_object', or 'json_schema' with a `schema`", "text.format")
    return {"type": kind, kind: {key: form[key] for key in form if key != "type"}}, unread


def _told_text(asked: Mapping[str, Any]) -> dict[str, Any]:
    form = asked.get("format") or {"type": "text"}
    if form["type"] == "json_schema":
        form = {"name": "answer", "description": None, "strict": True, **form}
    return {"format": form, **({"verbosity": asked["verbosity"]} if asked.get("verbosity") is not None else {})}


def _reasoning(asked: Any) -> tuple[dict[str, Any], list[str]]:
    """How thoughts are asked for, and what of that changes nothing: an effort that no model has."""
    if not isinstance(asked, Mapping) or set(asked) - {"effort", "summary", "generate_summary"}:
        raise unfit("there are `effort` and `summary`", "reasoning")
    effort, summary = asked.get("effort"), asked.get("summary") or asked.get("generate_summary")
    if not isinstance(effort, str | None) or summary not in (None, "auto", "concise", "detailed"):
        raise unfit("an effort is a text; a summary is 'auto', 'concise' or 'detailed'", "reasoning")
    unknown = effort not in (None, "none", *EFFORTS)
    return {"effort": effort, "summary": summary}, ["reasoning.effort"] if unknown else []


def _logprobs(given: Mapping[str, Any]) -> dict[str, Any]:
    include = given.get("include", [])
    if not isinstance(include, list) or not all(one in (LOGPROBS, SEALED) for one in include):
        raise unfit(f"there are '{LOGPROBS}' and '{SEALED}'", "include")
    return {"logprobs": True, "top_logprobs": given.get("top_logprobs", 0)} if LOGPROBS in include else {}


def _metadata(asked: Any) -> Mapping[str, str]:
    fits = (
        isinstance(asked, Mapping)
        and len(asked) <= 16
        and all(len(key) <= 64 and isinstance(value, str) and len(value) <= 512 for key, value in asked.items())
    )
    if not fits:
        raise unfit("it has at most 16 names of at most 64 characters, with texts of at most 512", "metadata")
    return dict(asked)


def _instructions(given: Mapping[str, Any]) -> str | None:
    """None where they are left out or empty."""
    return None if given.get("instructions", "") == "" else text_of(given, "instructions")
