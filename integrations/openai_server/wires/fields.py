"""The fields of a request's body: each is honoured, refused by name, or told in a header as passed over."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ig_guardrail.integrations.openai_server.faults import FORM, unfit
from ig_guardrail.types import EFFORTS

OURS = "ig_guardrail"  # the field of what only this server knows
OWN = ("policy", "strategy", "language", "conversation", "reasoning", "max_reasoning_tokens", "prompt_cache")


@dataclass(frozen=True, slots=True)
class Fields:
    """What an endpoint does with each field.

    honoured  read by the wire
    ignored   without meaning for what is answered; passed over, and told in a header
    refused   field by field, why
    """

    honoured: Collection[str]
    ignored: Collection[str]
    refused: Mapping[str, str]

    def read(self, body: Mapping[str, Any], where: str = "") -> tuple[dict[str, Any], tuple[str, ...]]:
        """The fields that are honoured and not null, and the names of those that are passed over.

        where: the place of the object, where it is a part of the body
        Raises Refused for a field that is refused or unknown.
        """
        given = {name: value for name, value in body.items() if value is not None}
        at = f"{where}." if where else ""
        for name in given:
            if name in self.refused:
                raise unfit(f"'{name}' is not supported: {self.refused[name]}", at + name, "unsupported_parameter")
            if name not in self.honoured and name not in self.ignored:
                near = difflib.get_close_matches(name[:100], [*self.honoured, *self.ignored], n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise unfit(f"unknown parameter '{name:.100}'{hint}", at + name[:100], "unknown_parameter")
        passed = tuple(sorted(name for name in given if name in self.ignored))
        return {name: value for name, value in given.items() if name in self.honoured}, passed


def own_options(given: Mapping[str, Any], more: Collection[str] = ()) -> dict[str, Any]:
    """What stands under `ig_guardrail`. Raises Refused for what is no option there.

    more: options of one wire alone
    """
    own = given.get(OURS, {})
    if not isinstance(own, Mapping):
        raise unfit("it is no object", OURS)
    for name in own:
        if name not in (*OWN, *more):
            there = ", ".join((*OWN, *more))
            raise unfit(f"unknown option '{name!s:.100}'; there are {there}", OURS, "unknown_parameter")
    for name in ("policy", "conversation", "strategy", "language", "reasoning"):
        if own.get(name) is not None and not isinstance(own[name], str):
            raise unfit("it is no text", f"{OURS}.{name}")
    told = {name: value for name, value in own.items() if value is not None}
    demand_whole(told, "seed", "max_reasoning_tokens", at=f"{OURS}.")
    truth_of(told, "prompt_cache", at=f"{OURS}.")
    return told


def unread(given: Mapping[str, Any], known: Collection[str], at: str) -> tuple[str, ...]:
    """The names of what stands in a part of a body, is not empty, and changes nothing. at: the part's place"""
    return tuple(f"{at}.{name}" for name in sorted(given) if given[name] and name not in known)


def form_names(options: Mapping[str, Any], tools: str, form: str) -> dict[str, str]:
    """What a wire calls the options of its own field, and the part of a request that a form stands in.

    tools, form: the fields that offer tools and ask for a schema
    """
    own = {name: f"{OURS}.{name}" for name in OWN}
    shaped = (options.get("response_format") or {}).get("type", "text") != "text"
    return {**own, FORM: form if shaped else tools}


def take_names(own: dict[str, Any]) -> dict[str, str]:
    """The policy and the conversation that are named, which are no options of decoding; they are taken out."""
    return {name: own.pop(name) for name in ("policy", "conversation") if name in own}


def text_of(given: Mapping[str, Any], name: str, at: str = "") -> str:
    """A field that has to be there, as text. Raises Refused otherwise. at: as of `truth_of`"""
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise unfit(f"'{name}' is missing, or is no text", at + name)
    return value


def truth_of(given: Mapping[str, Any], name: str, at: str = "") -> bool:
    """A field that is true or false; false where it is left out. Raises Refused for anything else.

    at: what stands before its name, where it is a part of another field
    """
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise unfit(f"'{name}' is neither true nor false", at + name)
    return value


def effort_options(effort: object) -> dict[str, str]:
    """The options of an effort of thinking, as it is asked for; none for what is no such effort."""
    if effort == "none":
        return {"reasoning": "off"}
    return {"reasoning_effort": str(effort)} if effort in EFFORTS else {}


NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
WHOLE = ("max_tokens", "max_completion_tokens", "max_output_tokens", "top_k", "seed", "n", "top_logprobs")
TRUTHS = ("stream", "logprobs", "parallel_tool_calls")


def check_kinds(given: Mapping[str, Any]) -> None:
    """Raises Refused for a field that is there and of another kind than its name says."""
    demand_whole(given, *WHOLE)
    for name in NUMBERS:
        if name in given and (isinstance(given[name], bool) or not isinstance(given[name], int | float)):
            raise unfit("it is no number", name)
    for name in TRUTHS:
        truth_of(given, name)


def demand_whole(given: Mapping[str, Any], *names: str, at: str = "") -> None:
    """Raises Refused for one of these fields that is there, and no whole number. at: as of `truth_of`"""
    for name in names:
        if name in given and (isinstance(given[name], bool) or not isinstance(given[name], int)):
            raise unfit("it is no whole number", at + name)
