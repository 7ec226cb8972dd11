"""What scores a text, what a budget of it allows, and the check of the input."""

from __future__ import annotations

from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.fields.field import (
    ChoiceKind,
    ExpressionKind,
    Field,
    HazardKind,
    HazardsKind,
    IntegerKind,
    ListOf,
    NumberKind,
    OneOf,
    Section,
)
from ig_guardrail.policy.language.names import BUDGET_ID, MODEL_NAME, THRESHOLD, TOOL

SCALE = Section(
    "a scale",
    {
        "from": Field(NumberKind(0, 1, "score", above=True), "a score of this cost model", "0.82", required=True),
        "to": Field(NumberKind(0, 1, "score", above=True), "the score that it counts as", "0.69", required=True),
    },
)

_SHARED = {
    "hazards": Field(
        ListOf(HazardKind(), 1, 64, unique=True),
        "the hazards it scores",
        "[ncr, vcr]",
        required=True,
    ),
    "timeout_ms": Field(
        IntegerKind(1, 60_000, "milliseconds"),
        "how long one scoring may take before it counts as failed",
        "2000",
        default=2000,
    ),
    "on_error": Field(
        ChoiceKind(("closed", "open")),
        "what a failure does: `closed` shows nothing more; `open` goes on without this model, and receipts say so",
        "closed",
        default="closed",
    ),
    "scale": Field(
        SCALE,
        "sets its scores beside those of other cost models: `from` counts as `to`, and what lies between in proportion",
        "{from: 0.82, to: 0.69}",
    ),
    "otherwise": Field(
        MODEL_NAME,
        "the cost model that serves under this name, from the start on, where this one does not fit: a head of another "
        "model, or what needs an extra that is not installed. It is no fallback: where one fails, `on_error` decides",
        "help-in-words",
    ),
}


def _model(kind: str, **own: Field) -> Section:
    tag = Field(ChoiceKind((kind,), code="P021"), "which kind of cost model this is", kind, required=True)
    return Section(f"a cost model of kind `{kind}`", {"kind": tag, **own, **_SHARED}, notes=True)


COST_MODEL = OneOf("a cost model", "kind", {name: _model(name, **kind.fields) for name, kind in KINDS.items()})

BUDGET = Section(
    "a budget",
    {
        "id": Field(BUDGET_ID, "how receipts and errors call it", "harmful-help", required=True),
        "hazards": Field(
            HazardsKind(),
            "the hazards it limits, parts included (`spc` covers `spc.hlt`); `all`: every hazard its cost models name",
            "[ncr]",
            required=True,
        ),
        "cost": Field(
            ExpressionKind(), "which cost models score it, and how they combine", "max(help, words)", required=True
        ),
        "threshold": Field(THRESHOLD, "only what a score has above it costs anything", "0.5", required=True),
        "weight": Field(
            NumberKind(0, 100, "cost for each unit of score above the threshold", above=True),
            "how much a score above the threshold costs",
            "1.0",
            default=1.0,
        ),
        "budget": Field(
            NumberKind(
                0,
                1_000_000,
                "accumulated cost of one answer",
                why="with less than nothing to spend, every answer would be refused",
                help="to ban the hazard, write `budget: 0`",
            ),
            "how much cost may gather in one answer, or in what `scope` names; 0 is a ban",
            "0.05",
            default=0.0,
        ),
        "discount": Field(
            NumberKind(
                0.99,
                1,
                "per token",
                why="under 0.99 a cost is forgotten within a few sentences",
                help="write 1 to count early and late costs alike",
            ),
            "how much of its weight a cost keeps from token to token; 1: early and late costs count alike",
            "1.0",
            default=1.0,
        ),
        "accumulate": Field(
            ChoiceKind(("max", "sum")),
            "for a cost model that judges the whole answer so far: `max` charges the rise above its highest score yet, "
            "`sum` charges the excess at every charge point",
            "max",
            default="max",
        ),
        "every": Field(IntegerKind(1, 4096, "tokens"), "the distance between charge points", "16", default=16),
        "mode": Field(
            ChoiceKind(("enforce", "shadow")),
            "`shadow` records what it would cost and holds nothing back",
            "enforce",
            default="enforce",
        ),
        "scope": Field(
            ChoiceKind(("response", "conversation", "tool", "tenant")),
            "over what the cost gathers: one answer, a conversation, calls of a tool in a conversation, or all that "
            "a tenant is answered (a ledger keeps what was spent)",
            "response",
            default="response",
        ),
        "tool": Field(TOOL, "with scope `tool`: the tools whose calls are charged", '"pay*"', default="*"),
        "decay": Field(
            NumberKind(
                0, 1, "per turn", above=True, why="at 0 nothing would be remembered", help="write 1 to forget nothing"
            ),
            "with a scope over turns: how much of its weight a cost keeps from turn to turn",
            "0.8",
            default=1.0,
        ),
        "window": Field(
            IntegerKind(0, 10_000, "turns"),
            "with a scope over turns: after how many turns a cost is forgotten; 0: never",
            "20",
            default=0,
        ),
    },
    notes=True,
)

PROMPT = Section(
    "the prompt check",
    {
        "cost": Field(
            ExpressionKind(),
            "cost models that score each input turn; they must read text (no `latent` ones)",
            "screen",
            required=True,
        ),
        "threshold": Field(THRESHOLD, "a turn that scores above it exceeds", "0.8", required=True),
        "on_exceed": Field(
            ChoiceKind(("refuse", "search", "observe")),
            "`refuse` shows the refusal at once; `search` keeps the margin of `accept` at once; `observe` notes it",
            "search",
            required=True,
        ),
    },
)
