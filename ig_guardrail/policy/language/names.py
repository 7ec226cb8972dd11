"""Names, numbers and notes that many sections take."""

from __future__ import annotations

import re

from ig_guardrail.costs.kinds.base import PRINTABLE
from ig_guardrail.fields.field import Field, FormatKind, MapOf, NumberKind, TextKind
from ig_guardrail.policy.expression import FUNCTIONS
from ig_guardrail.types.hazards import canonical
from ig_guardrail.types.languages import meant_tag, normal_tag

NAME = FormatKind("a name", r"[a-z][a-z0-9-]{0,63}", "support-bot", coined=True)
BUDGET_ID = FormatKind("a name", NAME.pattern, "harmful-help", coined=True)
MODEL_NAME = FormatKind("a name", r"[a-z][a-z0-9_-]{0,63}", "help", reserved=FUNCTIONS, coined=True)
VERSION = FormatKind("a version of three numbers", r"(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}", "1.0.0")
SWAP = FormatKind(
    "the name of a packaged swap, or the path of a lexicon that contains `/`",
    rf"[a-z][a-z -]{{0,63}}|{PRINTABLE}{{0,500}}/{PRINTABLE}{{0,500}}",
    "gender",
)


def tag_hint(text: str) -> str:
    """What to write instead of a hazard, a country, or the name of a language."""
    if canonical(text) is not None:
        return f"texts for one hazard stand under `by_hazard: {{{canonical(text)}: ...}}`"
    meant = meant_tag(text)
    return f"write `{meant}`, the tag of the language" if meant else ""


LANGUAGE = FormatKind(
    "a language tag",
    r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?",
    "pt-BR",
    normal=normal_tag,
    hint=tag_hint,
)

# For readers alone: they are in no normal form and no hash. Keys that begin with `x-` hold whatever their author likes.
NOTES = {
    "description": Field(TextKind(2000), "what it is for", "For the shop."),
    "labels": Field(
        MapOf(FormatKind("a label", r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}", "team"), TextKind(200), 0, 64),
        "what sorts it, for other programs",
        "{team: shop}",
    ),
}
OWN = "x-"


def tool_hint(text: str) -> str:
    """What to write instead of what is no tool's name: its name is the tool's own, so none is made up."""
    if re.search(r"[,;|{(] *\w", text):
        return "write each tool as an item of its own, by the name that it has"
    if re.search(r"[\^$?\[\]{}+!\\]", text):
        return "write the name that the tool has; `*` alone stands for any characters, and no other sign has a meaning"
    if re.search(r"[^\w.* -]|[^\x00-\x7f]", text):
        return "write the name that the tool has, with `*` for letters and signs beyond `A-Z a-z 0-9 _ . -`"
    return "write the name that the tool has, and nothing else" if text else ""


TOOL = FormatKind("a tool's name, with `*` for any characters", r"[A-Za-z0-9_.*-]{1,128}", "delete_*", hint=tool_hint)

THRESHOLD = NumberKind(
    0, 1, "score", why="scores lie between 0 (harmless) and 1 (harmful)", help="write a share of 1: for 50 percent, 0.5"
)
