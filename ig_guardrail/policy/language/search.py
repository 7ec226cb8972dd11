"""What an unsafe draft leads to, and how safe continuations are found."""

from __future__ import annotations

from ig_guardrail.fields.field import ChoiceKind, Field, IntegerKind, ListOf, NumberKind, Section, TextKind
from ig_guardrail.policy.language.names import SWAP
from ig_guardrail.search.registry import METHODS

_NAMED = [method for name, method in METHODS.items() if name != "none"]  # `allow_unguarded` has a key of its own
SEARCHING = tuple(one.name for one in _NAMED if not one.plain and not one.baseline)
PLAIN = tuple(one.name for one in _NAMED if one.plain)
BASELINES = tuple(one.name for one in _NAMED if one.baseline)

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

PRESETS = {
    "paper": {"mode": "always", "candidates": 128, "block": 32, "retries": 2, "accept": 1.0},
}
