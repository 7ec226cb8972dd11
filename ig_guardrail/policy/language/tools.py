"""Which tools a model may call, and how."""

from __future__ import annotations

import re

from ig_guardrail.fields.field import Field, FormatKind, IntegerKind, ListOf, NumberKind, RegexKind, Section, TextKind
from ig_guardrail.policy.language.names import BUDGET_ID, TOOL
from ig_guardrail.text.normalisation import folded, seen


def argument_hint(text: str) -> str:
    """What to write instead of a path into an argument, or of several."""
    inside = re.search(r"[.\[\]/$]", text)
    return "name one argument of the call: what is inside of it cannot be limited" if inside or "*" in text else ""


def argument_name(text: str) -> str | None:
    """The name of an argument in any script; None where letters of another script, or unseen ones, disguise it."""
    alike = folded(seen(text))
    return None if alike != text and alike.isascii() else text


ARGUMENT = FormatKind(
    "the name of an argument",
    r"[A-Za-z_\u00aa-\uffff][A-Za-z0-9_.\u00aa-\uffff-]{0,127}",
    "amount",
    normal=argument_name,
    hint=argument_hint,
)
_TEXTS = "texts alone are compared, and numbers are limited by `least` and `most`"
LOWEST, HIGHEST = -(2**63), 2**64 - 1  # of whole numbers of 64 bits, with a sign or without
_LIMIT = NumberKind(LOWEST, HIGHEST, "the argument's own unit")

ARGUMENT_RULE = Section(
    "an argument rule",
    {
        "tool": Field(TOOL, "the tools it is for", '"transfer*"', default="*"),
        "argument": Field(ARGUMENT, "which argument it limits, where a call has it", "amount", required=True),
        "matches": Field(RegexKind(1000), "what the whole text must match, in RE2's syntax", "'docs/[a-z]+'"),
        "least": Field(_LIMIT, "the lowest number it may be", "1"),
        "most": Field(_LIMIT, "the highest number it may be", "100"),
        "one_of": Field(
            ListOf(TextKind(1000, note=_TEXTS), 1, 1000, unique=True), "the texts it may be", "[read, list]"
        ),
    },
)

CALL_LIMIT = Section(
    "a limit of calls",
    {
        "id": Field(BUDGET_ID, "how receipts and errors call it", "payments", required=True),
        "tool": Field(TOOL, "the tools it is for, together", '"pay*"', required=True),
        "calls": Field(
            IntegerKind(0, 1_000_000, "calls"), "how many of them a conversation may hold", "3", required=True
        ),
    },
)

TOOLS = Section(
    "the tool rules",
    {
        "allow": Field(
            ListOf(TOOL, 1, 1000, unique=True),
            "the only tools that may be called",
            '[search, "read_*"]',
            computed="every tool that is not denied",
        ),
        "deny": Field(ListOf(TOOL, 1, 1000, unique=True), "tools that may not be called", '["delete_*"]'),
        "arguments": Field(
            ListOf(ARGUMENT_RULE, 1, 1000),
            "what arguments must be",
            '[{tool: "transfer*", argument: amount, least: 0, most: 100}]',
        ),
        "limits": Field(
            ListOf(CALL_LIMIT, 1, 64), "how often tools may be called", '[{id: payments, tool: "pay*", calls: 3}]'
        ),
    },
)
