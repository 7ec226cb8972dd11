"""What the rules of tools leave of a form: tools that may be called at all, and schemas of what they may be given.

Only what is drawn first is better for it: the rules themselves are judged as ever. What a JSON schema cannot say of a
rule is left to them.

RE2 expressions as the regular expressions of grammars, which know neither borders of words nor flags like `m`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ig_guardrail.costs.calls.rules import ArgumentRule, ToolRules
from ig_guardrail.extras import require
from ig_guardrail.text.calls import ResponseFormat, Tool
from ig_guardrail.types import ToolCall

_JOINED = frozenset({"allOf", "not", "if", "then", "else", "dependentSchemas", "unevaluatedProperties"})
_BEYOND = _JOINED | {"$ref", "anyOf", "oneOf", "patternProperties", "propertyNames"}
_NOTES = frozenset({"title", "description", "default", "examples", "deprecated"})
_DEEPEST = 8  # references and choices within each other


def offered(form: ResponseFormat, rules: ToolRules | None) -> ResponseFormat:
    """The form of which a model is told, and that it follows, under the rules of a policy, if it has any."""
    if rules is None:
        return form
    kept = [(tool, narrowed(tool, rules)) for tool in form.tools]
    allowed = tuple(one for _, one in kept if one is not None)
    return replace(form, tools=allowed, untold=tuple(tool for tool, one in kept if one is None))


def narrowed(tool: Tool, rules: ToolRules) -> Tool | None:
    """A tool with a schema of the arguments it may be given; None if it may never be called."""
    if not rules.may_call(tool.name):
        return None
    parameters = tool.parameters
    mine = [rule for rule in rules.arguments if rule.tool.fullmatch(tool.name) is not None]
    for argument in dict.fromkeys(rule.argument for rule in mine):
        limits = _Limits(tool.name, argument, [rule for rule in mine if rule.argument == argument])
        within = _within(parameters, limits)
        if within is None:
            return None
        parameters = within
    return tool if parameters is tool.parameters else replace(tool, accepted=parameters)


class _Limits:
    """What one argument may be, by all rules on it."""

    def __init__(self, tool: str, argument: str, rules: Sequence[ArgumentRule]) -> None:
        self.argument = argument
        self._tool = tool
        self._rules = rules
        self.expressions = [rule.matches.pattern for rule in rules if rule.matches is not None]
        self.texts = next((rule.one_of for rule in rules if rule.one_of is not None), None)
        self.least = max((rule.least for rule in rules if rule.least is not None), default=None)
        self.most = min((rule.most for rule in rules if rule.most is not None), default=None)

    @property
    def of_texts(self) -> bool:
        return bool(self.expressions) or self.texts is not None

    @property
    def of_numbers(self) -> bool:
        return self.least is not None or self.most is not None

    def admit(self, value: Any) -> bool:
        """Whether a call may be given the value."""
        call = ToolCall(self._tool, {self.argument: value})
        return not any(rule.breaks(call) for rule in self._rules)


def _within(parameters: Mapping[str, Any], limits: _Limits) -> Mapping[str, Any] | None:
    """The schema of a tool's arguments where one of them has limits; None if no call can keep them."""
    named, rest = parameters.get("properties", {}), parameters.get("additionalProperties")
    if _BEYOND & parameters.keys() or not isinstance(named, Mapping):
        return parameters
    closed = rest is False or (rest is None and "properties" in parameters)
    if closed and limits.argument not in named:
        return parameters
    kept = _narrow(named.get(limits.argument, True if rest is None else rest), limits, parameters, 0)
    if kept is None and limits.argument in parameters.get("required", ()):
        return None
    properties = {**named, limits.argument: False if kept is None else kept}
    if kept is None and closed:
        del properties[limits.argument]
    others = False if closed else True if rest is None else rest
    return {**parameters, "properties": properties, "additionalProperties": others}


def _narrow(schema: Any, limits: _Limits, root: Mapping[str, Any], depth: int) -> Any:
    """A schema of what both a schema and the limits take; None if that is nothing. The same where it cannot be said."""
    if schema is True:
        schema = {}
    if not isinstance(schema, Mapping):
        return None if schema is False else schema
    if _JOINED & schema.keys() or depth > _DEEPEST:
        return schema
    if "$ref" in schema:
        target = _target(root, schema["$ref"])
        alone = schema.keys() <= _NOTES | {"$ref"}
        return _narrow(target, limits, root, depth + 1) if alone and target is not None else schema
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), Sequence):
            ways = [_narrow(way, limits, root, depth + 1) for way in schema[key]]
            left = [way for way in ways if way is not None]
            return {**schema, key: left} if left else None
    if "const" in schema:
        return schema if limits.admit(schema["const"]) else None
    if "enum" in schema:
        values = [value for value in schema["enum"] if limits.admit(value)]
        return {**schema, "enum": values} if values else None
    if limits.of_texts and limits.of_numbers:  # nothing is both
        return None
    kept = _texts(schema, limits) if limits.of_texts else _numbers(schema, limits)
    fault = None if kept is None else unfit(kept)
    if fault is not None:
        return None if "nsatisfiable" in fault else schema
    return kept


def _texts(schema: Mapping[str, Any], limits: _Limits) -> Mapping[str, Any] | None:
    if "string" not in _kinds(schema, "string"):
        return None
    text = {**schema, "type": "string"}
    if "pattern" in schema or "format" in schema:
        return text
    if limits.texts is not None:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        texts = [one for one in limits.texts if limits.admit(one) and least <= len(one) <= most]
        return {**text, "enum": texts} if texts else None
    patterns = [grammar_pattern(expression) for expression in limits.expressions]
    return {**text, "pattern": patterns[0]} if len(patterns) == 1 and patterns[0] is not None else text


def _numbers(schema: Mapping[str, Any], limits: _Limits) -> Mapping[str, Any] | None:
    kinds = [kind for kind in _kinds(schema, "number") if kind in ("integer", "number")]
    if not kinds:
        return None
    lows = [low for low in (schema.get("minimum"), limits.least) if low is not None]
    highs = [high for high in (schema.get("maximum"), limits.most) if high is not None]
    low, high = max(lows, default=-math.inf), min(highs, default=math.inf)
    whole = kinds == ["integer"]
    if low > high or (whole and math.isfinite(low) and math.isfinite(high) and math.ceil(low) > math.floor(high)):
        return None
    bounds = {"minimum": low if lows else None, "maximum": high if highs else None}
    said = {key: int(value) if value == int(value) else value for key, value in bounds.items() if value is not None}
    return {**schema, "type": kinds[0] if len(kinds) == 1 else kinds, **said}


def _kinds(schema: Mapping[str, Any], usual: str) -> Sequence[str]:
    """The types a schema allows; `usual` where it allows all."""
    kinds = schema.get("type", usual)
    return [kinds] if isinstance(kinds, str) else kinds


def _target(root: Mapping[str, Any], reference: Any) -> Any:
    """What a reference within the schema stands for; None for any other."""
    found: Any = root
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    for name in reference[2:].split("/"):
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


KEPT = 1_000  # expressions

_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)"
    r"|(?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[pP](?:\{\^?\w+\}|\w)|.))"
    r"|(?P<group>\((?:\?(?:P?<\w+>|[is]*:|[is]+\)))?)"
    r"|(?P<set>\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\])"
    r"|(?P<times>\{\d+(?:,\d*)?\})"
    r"|(?P<other>.)",
    re.DOTALL,
)
_IN_SET = re.compile(r"\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[pP](?:\{\^?\w+\}|\w)|.)|\[:\^?\w+:\]|.", re.DOTALL)


@lru_cache(KEPT)
def grammar_pattern(expression: str) -> str | None:
    """An expression for the texts that match `expression` as a whole in RE2; None where grammars cannot say it."""
    inner = re.sub(r"^(?:\^|\\A)", "", expression)
    inner = re.sub(r"(?<!\\)((?:\\\\)*)(?:\$|\\z)$", r"\1", inner)
    parts = [_said(found) for found in _TOKEN.finditer(inner)]
    if None in parts:
        return None
    pattern = f"^(?:{''.join(part for part in parts if part is not None)})$"
    return pattern if unfit({"type": "string", "pattern": pattern}) is None else None


def _said(found: re.Match[str]) -> str | None:
    """One part of an expression; None for one that has no like."""
    text = found[0]
    if found["quoted"] is not None:
        return "".join(map(_plain, found["quoted"]))
    if found["escape"]:
        if text[1] in "dwsDWS":
            return f"[{'^' if text[1].isupper() else ''}{_CLASSES[text[1].lower()]}]"
        return _escape(text)
    if found["group"]:
        return "(?:" if "<" in text else text
    if found["set"]:
        return _set(text)
    return None if text in "^$" or (text == "(" or text == "[") else text


def _set(text: str) -> str | None:
    head = re.match(r"\[\^?\]?", text)
    opening = head[0] if head else "["
    parts = [opening.replace("]", r"\]")]
    for found in _IN_SET.finditer(text, len(opening), len(text) - 1):
        part = found[0]
        if part[0] == "\\" and part[1] in "DWS":
            return None
        if part[0] == "\\":
            said = _CLASSES[part[1]] if part[1] in "dws" else _escape(part)
            if said is None:
                return None
            parts.append(said)
        else:
            parts.append(_plain(part) if part in "[&~" else part)
    return "".join(parts) + "]"


def _escape(text: str) -> str | None:
    """An escape that is no class: RE2 takes one before any mark, grammars only where it means something."""
    sign = text[1]
    if sign in "aftnrvxpP":
        return text
    return None if sign.isalnum() else _plain(sign)


def _plain(sign: str) -> str:
    return re.escape(sign) if sign in r"\.+*?()|[]{}^$#&-~" else sign


def unfit(schema: Mapping[str, Any]) -> str | None:
    """Why grammars do not take a schema; None if they do."""
    require("local", "llguidance", by="an answer in a given form", where="tools")
    from llguidance import LLMatcher

    return LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(dict(schema))) or None
