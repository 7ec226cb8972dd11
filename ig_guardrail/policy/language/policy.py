"""The policy language `ig-guardrail/v1` as a whole: its sections, and what a policy says of itself."""

from __future__ import annotations

from ig_guardrail.fields.field import BooleanKind, ChoiceKind, Field, ListOf, MapOf, Section, TextKind
from ig_guardrail.policy.language.budgets import BUDGET, COST_MODEL, PROMPT
from ig_guardrail.policy.language.inheritance import EXTENDS, PLACE
from ig_guardrail.policy.language.messages import MESSAGES
from ig_guardrail.policy.language.names import MODEL_NAME, NAME, VERSION
from ig_guardrail.policy.language.search import OUTPUT, SEARCH
from ig_guardrail.policy.language.tools import TOOLS
from ig_guardrail.types.hazards import TAXONOMY

API_VERSION = "ig-guardrail/v1"
KIND = "SafetyPolicy"

METADATA = Section(
    "the metadata",
    {
        "name": Field(NAME, "how receipts call the policy", "support-bot", required=True),
        "version": Field(VERSION, "of this policy, raised with every change", "1.0.0", required=True),
        "owners": Field(ListOf(TextKind(200), 0, 64), "who answers for it", "[you@example.org]", default=()),
    },
    notes=True,
)

POLICY = Section(
    "a policy",
    {
        "apiVersion": Field(
            ChoiceKind((API_VERSION,), code="P012"), "version of this language", API_VERSION, required=True
        ),
        "kind": Field(ChoiceKind((KIND,), code="P012"), "what the file is", KIND, required=True),
        "metadata": Field(METADATA, "name, version and owners", "{name: support-bot, version: 1.0.0}", required=True),
        "extends": Field(EXTENDS, "the policy that this one tightens: it need only say what is stricter", "strict"),
        "loosenable": Field(
            ListOf(PLACE, 1, 64, unique=True),
            "what policies that extend this one may loosen, by its place; all else they may only tighten",
            "[budgets.harmful-help.threshold, messages]",
        ),
        "taxonomy": Field(ChoiceKind((TAXONOMY,)), "where hazard ids come from", TAXONOMY, default=TAXONOMY),
        "cost_models": Field(
            MapOf(MODEL_NAME, COST_MODEL, 1, 32),
            "the cost models, under names of your choice",
            "{help: {kind: latent, head: harmful-help, hazards: [ncr]}}",
            required=True,
        ),
        "budgets": Field(
            ListOf(BUDGET, 1, 64),
            "what one answer may spend",
            "[{id: harmful-help, hazards: [ncr], cost: help, threshold: 0.5}]",
            required=True,
        ),
        "prompt": Field(
            PROMPT, "the check of the input; none if left out", "{cost: screen, threshold: 0.8, on_exceed: search}"
        ),
        "tools": Field(
            TOOLS,
            "which tools a model may call, and how; a call that breaks a rule is an unsafe draft",
            '{deny: ["delete_*"]}',
        ),
        "output": Field(OUTPUT, "what an unsafe draft leads to", "{on_exceed: [search, end]}"),
        "search": Field(SEARCH, "how safe continuations are found", "{candidates: 4}"),
        "reasoning": Field(
            ChoiceKind(("charge", "ignore")),
            "whether a thought that is hidden is charged to the budgets; one that is shown always is",
            "ignore",
            default="charge",
        ),
        "messages": Field(MESSAGES, "pre-approved texts", "{refusal: {...}, closing: {...}}", required=True),
        "allow_unguarded": Field(
            BooleanKind(), "whether a caller may switch the guard off (strategy `none`)", "false", default=False
        ),
    },
    notes=True,
)
