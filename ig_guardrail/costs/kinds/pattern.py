"""Kind `pattern`: regular expressions, looked for in windows of the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import BuildContext, CostKind, Declaration, option_of
from ig_guardrail.fields.field import ChoiceKind, Field, FormatKind, IntegerKind, ListOf, RegexKind, Section, ShortForm
from ig_guardrail.types import CostModelSpec

PATTERN_NAME = FormatKind("a name", r"[a-z][a-z0-9-]{0,63}", "support-bot", coined=True)
PATTERN_ITEM = Section(
    "a pattern",
    {
        "name": Field(PATTERN_NAME, "how receipts call it; without one, by its place in the list", "card-number"),
        "pattern": Field(RegexKind(1000), "a regular expression in RE2's syntax", r"'\b\d{4}-\d{4}\b'", required=True),
    },
)


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The patterns, compiled."""
    from ig_guardrail.costs.pattern import compile_patterns

    patterns = option_of(spec, "patterns", (list, tuple))
    longest = option_of(spec, "longest_match", (int,))
    named = [one if isinstance(one, Mapping) else {"pattern": str(one)} for one in patterns]
    return compile_patterns(
        [str(one["pattern"]) for one in named],
        longest,
        spec.name,
        spec.hazards,
        names=[one.get("name") for one in named],
        normalise=spec.options.get("normalise", "text") != "none",
    )


def _normal(model: Mapping[str, Any]) -> dict[str, Any]:
    """A pattern without a name as its text alone, and no key for what patterns do unless told otherwise."""
    patterns = [one["pattern"] if isinstance(one, dict) and "name" not in one else one for one in model["patterns"]]
    rest = {key: value for key, value in model.items() if (key, value) != ("normalise", "text")}
    return {**rest, "patterns": patterns}


PATTERN = CostKind(
    "pattern",
    {
        "patterns": Field(
            ListOf(ShortForm(PATTERN_ITEM, "pattern"), 1, 200),
            "regular expressions in RE2's syntax, each with a `name` for receipts where one is written",
            r"['(?i)\bfoo\w{0,10}']",
            required=True,
        ),
        "longest_match": Field(
            IntegerKind(1, 4096, "characters"),
            "matches are looked for in windows of this length; as much text is held back",
            "32",
            required=True,
        ),
        "normalise": Field(
            ChoiceKind(("text", "none")),
            "`text` sees through disguises, such as characters that nobody sees or that look like others; `none` "
            "compares code points as they are written",
            "none",
            default="text",
        ),
    },
    build,
    quick=True,
    normal=_normal,
    declares=Declaration(reading="event"),
)
