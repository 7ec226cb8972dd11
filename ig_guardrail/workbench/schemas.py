"""The JSON Schemas of what stands beside a policy, for editors: files of cases, and of waivers."""

from __future__ import annotations

from typing import Any

import yaml

from ig_guardrail.policy import waivers
from ig_guardrail.policy.reference.json_schema import as_text, schema_of
from ig_guardrail.workbench.cases.reading import FILE, JUDGED, OF_PROMPT

CASES_ABOUT = (
    "What a policy's answers, calls and messages come to. `ig-guardrail policy test` runs it, and is stricter."
)
CASES_EXAMPLE = """
cases:
  - {name: an insult is held back, answer: "You are stupid.", expect: {outcome: denied, budget: toxic-tone}}
  - {name: a large refund is denied, call: {refund: {amount: 500}}, expect: {outcome: denied, budget: tools}}
"""
WAIVERS_ABOUT = (
    "Warnings that somebody answers for, until a date. `ig-guardrail policy check` reads it, and is stricter."
)
WAIVERS_EXAMPLE = """
waivers:
  - {code: P134, path: "tools.arguments[0].most", reason: reviewed, owner: you@example.org, expires: "2027-06-30"}
"""
SAID: dict[str, Any] = {"required": ["expect"], "properties": {"expect": {"minProperties": 1}}}


def waivers_schema() -> str:
    """The schema of `waivers.yaml`, as JSON text."""
    return as_text(schema_of("waivers", waivers.LANGUAGE, WAIVERS_ABOUT, yaml.safe_load(WAIVERS_EXAMPLE)))


def cases_schema() -> str:
    """The schema of `*_test.yaml`, as JSON text."""
    schema = schema_of("cases", FILE, CASES_ABOUT, yaml.safe_load(CASES_EXAMPLE))
    case = schema["properties"]["cases"]["items"]
    turn = case["properties"]["turns"]["items"]["then"]
    case |= {**_one_of(JUDGED), "allOf": [_expecting(), _scored(), _of_prompts()]}
    turn |= _one_of(("answer", "call"))
    return as_text(schema)


def _one_of(keys: tuple[str, ...]) -> dict[str, Any]:
    """One of some keys, and no two."""
    none_beside = {key: {"not": {"anyOf": [{"required": [other]} for other in keys if other != key]}} for key in keys}
    return {"anyOf": [{"required": [key]} for key in keys], "dependencies": none_beside}


def _expecting() -> dict[str, Any]:
    """A case that counts expects something, or a turn of it does."""
    of_a_turn = {"required": ["turns"], "properties": {"turns": {"contains": {"type": "object", **SAID}}}}
    return {"if": {"not": {"required": ["todo"]}}, "then": {"anyOf": [SAID, of_a_turn]}}


def _scored() -> dict[str, Any]:
    """Scores are a turn's, where there are turns."""
    return {"if": {"required": ["turns"]}, "then": {"not": {"required": ["scores"]}}}


def _of_prompts() -> dict[str, Any]:
    """What is expected of a prompt, and of nothing else."""
    of_prompt = {"expect": {"propertyNames": {"enum": list(OF_PROMPT)}}}
    return {"if": {"required": ["prompt"]}, "then": {"properties": of_prompt}, "else": _no_action()}


def _no_action() -> dict[str, Any]:
    return {"properties": {"expect": {"not": {"required": ["action"]}}}}
