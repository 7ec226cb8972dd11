"""The policy language `ig-guardrail/v1`: every key, with type, unit, range, default and meaning."""

from __future__ import annotations

from dataclasses import replace

from ig_guardrail.costs.kinds.base import PRINTABLE
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.fields.field import (
    BooleanKind,
    ChoiceKind,
    ExpressionKind,
    Field,
    FormatKind,
    HazardKind,
    HazardsKind,
    IntegerKind,
    ListOf,
    MapOf,
    NumberKind,
    OneOf,
    RegexKind,
    Section,
    ShortForm,
    TextKind,
)
from ig_guardrail.policy.expression import FUNCTIONS
from ig_guardrail.search.registry import METHODS
from ig_guardrail.types.hazards import SEVERITY, TAXONOMY
from ig_guardrail.types.languages import normal_tag

API_VERSION = "ig-guardrail/v1"
KIND = "SafetyPolicy"

_NAMED = [method for name, method in METHODS.items() if name != "none"]  # `allow_unguarded` has a key of its own
SEARCHING = tuple(one.name for one in _NAMED if not one.plain and not one.baseline)
PLAIN = tuple(one.name for one in _NAMED if one.plain)
BASELINES = tuple(one.name for one in _NAMED if one.baseline)

NAME = FormatKind("a name", r"[a-z][a-z0-9-]{0,63}", "support-bot")
BUDGET_ID = FormatKind("a name", NAME.pattern, "harmful-help")
MODEL_NAME = FormatKind("a name", r"[a-z][a-z0-9_-]{0,63}", "help", reserved=FUNCTIONS)
VERSION = FormatKind("a version of three numbers", r"(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}", "1.0.0")
SWAP = FormatKind(
    "the name of a packaged swap, or the path of a lexicon that contains `/`",
    rf"[a-z][a-z -]{{0,63}}|{PRINTABLE}{{0,500}}/{PRINTABLE}{{0,500}}",
    "gender",
)
LANGUAGE = FormatKind(
    "a language tag",
    r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?",
    "pt-BR",
    normal=normal_tag,
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

TOOL = FormatKind("a tool's name, with `*` for any characters", r"[A-Za-z0-9_.*-]{1,128}", "delete_*")

THRESHOLD = NumberKind(
    0, 1, "score", why="scores lie between 0 (harmless) and 1 (harmful)", help="write a share of 1: for 50 percent, 0.5"
)

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
        "the cost model that serves under this name where this one cannot: a head of another model, or what needs "
        "an extra that is not installed. Decided once, at start-up; receipts tell it",
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
            "how much cost one answer may gather; 0 is a ban",
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
            "`refuse` shows the refusal at once; `search` searches warily from the first token; `observe` notes it",
            "search",
            required=True,
        ),
    },
)

OUTPUT = Section(
    "the output rule",
    {
        "on_exceed": Field(
            ListOf(ChoiceKind(("search", "end")), 1, 2),
            "what an unsafe draft leads to: `[search, end]` looks for a safe way on first, `[end]` ends the answer",
            "[search, end]",
            computed="`[end]` with a strategy that decodes plainly (`cut`, `trace_shield`), else `[search, end]`",
        )
    },
)

SEARCH = Section(
    "the search",
    {
        "preset": Field(ChoiceKind(("paper",)), "the paper's settings as defaults for the keys below", "paper"),
        "strategy": Field(
            ChoiceKind((*SEARCHING, *PLAIN), apart=BASELINES),
            "`inference_guard` searches for safe continuations; `cut` decodes plainly and ends at the first denial;"
            " `ig-guardrail strategies` says what the others do, and what they need",
            "inference_guard",
            computed="`cut` with `output.on_exceed: [end]`, else `inference_guard`",
        ),
        "mode": Field(
            ChoiceKind(("on_risk", "always")),
            "`on_risk` searches only where a draft shows risk, `always` in every block",
            "on_risk",
            default="on_risk",
        ),
        "candidates": Field(IntegerKind(1, 512, "candidates"), "continuations drawn for a block", "4", default=4),
        "beams": Field(
            IntegerKind(1, 512, "beams"),
            "continuations kept side by side; at most `candidates`",
            "1",
            default=1,
            computed="1; under `preset: paper` a quarter of `candidates`",
        ),
        "block": Field(IntegerKind(1, 4096, "tokens"), "length of a block", "16", default=16),
        "retries": Field(
            IntegerKind(0, 128, "rounds"),
            "further rounds when every candidate of a block is unsafe; any strategy is stopped after more denials "
            "in a row",
            "2",
            default=2,
        ),
        "hold": Field(
            IntegerKind(0, 4096, "tokens"),
            "how many of the last tokens are held back, to be replaced",
            "16",
            default=16,
        ),
        "trigger": Field(
            NumberKind(0, 1, "share of a budget's threshold", above=True),
            "how high a draft may score before the search starts",
            "1.0",
            default=1.0,
        ),
        "accept": Field(
            NumberKind(0, 1, "share of a budget's threshold", above=True),
            "how high a block may score once the search has started; at most `trigger`",
            "0.7",
            default=0.7,
            computed="0.7, or `trigger` where that is lower",
        ),
        "penalty": Field(
            NumberKind(0, 100, "natural-log units"),
            "how strongly tokens of failed candidates are avoided",
            "3.0",
            default=3.0,
        ),
        "shortest": Field(
            IntegerKind(0, 4096, "tokens"), "a replacement that ends the answer sooner is not taken", "8", default=8
        ),
        "steer": Field(TextKind(2000), "system text under which replacements are drawn", '"Be kind and lawful."'),
        "restart": Field(
            TextKind(2000), "stricter system text for a fresh start, once, if nothing was shown", '"Decline kindly."'
        ),
        "swaps": Field(
            ListOf(SWAP, 1, 16, unique=True),
            "words for groups of people that the strategies `verifier` and `token_verifier` exchange, to compare",
            "[gender, ./swaps.json]",
        ),
    },
)

# Example messages that pass the packaged cost models; shorter ones may not.
REFUSAL = "I'm sorry, I can't help with that."
CLOSING = "Let me stop here. Please feel free to ask me something else, and I will be happy to help."

APPROVAL = Section(
    "an approval",
    {
        "owner": Field(TextKind(200), "who lets the text stand", "you@example.org", required=True),
        "reason": Field(
            TextKind(500), "why it may, whatever the budgets say", "read by our crisis team", required=True
        ),
    },
)

MESSAGE = Section(
    "a message",
    {
        "text": Field(TextKind(2000), "what is shown", REFUSAL, required=True),
        "approved": Field(
            APPROVAL, "that no budget is asked about it", "{owner: you@example.org, reason: read by our crisis team}"
        ),
    },
)

_BY_LANGUAGE = MapOf(LANGUAGE, ShortForm(MESSAGE, "text"), 1, 64, needs=("en",))
_OF_HAZARDS = Field(
    MapOf(HazardKind(), _BY_LANGUAGE, 1, 64),
    "shown instead where that hazard was denied; of several, the most severe that has a text",
    '{ssh: {en: "I am glad that you wrote. Please call 116 123: somebody is there, day and night."}}',
)
_PART = replace(_BY_LANGUAGE, beside={"by_hazard": _OF_HAZARDS})

MESSAGES = Section(
    "the messages",
    {
        "refusal": Field(_PART, "shown when nothing of an answer was", f'{{en: "{REFUSAL}"}}', required=True),
        "closing": Field(_PART, "shown after the safe beginning of an answer", f'{{en: "{CLOSING}"}}', required=True),
        "severity": Field(
            ListOf(HazardKind(), 1, 64, unique=True),
            "which hazard's text is shown where several were denied: the first of these; what is not named follows",
            "[ssh, x.insult]",
            computed=f"`[{', '.join(SEVERITY)}]`, then those of your own",
        ),
    },
)

METADATA = Section(
    "the metadata",
    {
        "name": Field(NAME, "how receipts call the policy", "support-bot", required=True),
        "version": Field(VERSION, "of this policy, raised with every change", "1.0.0", required=True),
        "owners": Field(ListOf(TextKind(200), 0, 64), "who answers for it", "[you@example.org]", default=()),
    },
    notes=True,
)

ARGUMENT = FormatKind("the name of an argument", r"[A-Za-z_][A-Za-z0-9_.-]{0,127}", "amount")
_LIMIT = NumberKind(-1e15, 1e15, "the argument's own unit")

ARGUMENT_RULE = Section(
    "an argument rule",
    {
        "tool": Field(TOOL, "the tools it is for", '"transfer*"', default="*"),
        "argument": Field(ARGUMENT, "which argument it limits, where a call has it", "amount", required=True),
        "matches": Field(RegexKind(1000), "what the whole text must match, in RE2's syntax", "'docs/[a-z]+'"),
        "least": Field(_LIMIT, "the lowest number it may be", "1"),
        "most": Field(_LIMIT, "the highest number it may be", "100"),
        "one_of": Field(ListOf(TextKind(1000), 1, 1000, unique=True), "the texts it may be", "[read, list]"),
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


def is_parent_path(name: str) -> bool:
    """Whether `extends` names a file, and not a packaged policy."""
    return "/" in name or name.endswith((".yaml", ".yml"))


PARENT = FormatKind(
    "a packaged policy, or the path of a file, which contains `/` or ends with `.yaml`",
    rf"[a-z][a-z0-9-]{{0,63}}|(?=.*(?:/|\.ya?ml$)){PRINTABLE}{{1,1000}}",
    "strict",
    is_path=is_parent_path,
)
_COMPARISON = r"(?:>=|<=|==|>|<)\s*(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){0,2}"
VERSIONS = FormatKind("a range of versions", rf"{_COMPARISON}(?:\s*,\s*{_COMPARISON}){{0,7}}", ">=1.0,<2")
EXTENDS = ShortForm(
    Section(
        "the parent",
        {
            "policy": Field(PARENT, "the policy that this one tightens", "../base/policy.yaml", required=True),
            "version": Field(VERSIONS, "the versions of it that this one fits", '">=1.0,<2"'),
        },
    ),
    "policy",
)
PLACE = FormatKind(
    "the place of a key, with budgets by their ids",
    r"[a-z][A-Za-z_]{0,31}(?:\.[A-Za-z][A-Za-z0-9_-]{0,63}){0,7}",
    "budgets.harmful-help.threshold",
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

PRESETS = {
    "paper": {"mode": "always", "candidates": 128, "block": 32, "retries": 2, "accept": 1.0},
}
