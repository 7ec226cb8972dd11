"""The policy language `ig-guardrail/v1`: every key, with type, unit, range, default and meaning."""

from __future__ import annotations

from ig_guardrail.policy.expression import FUNCTIONS
from ig_guardrail.policy.hazards import FORM, TAXONOMY
from ig_guardrail.policy.validation.kinds import (
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

API_VERSION = "ig-guardrail/v1"
KIND = "SafetyPolicy"

SEARCHING = (
    "inference_guard",
    "resample",
    "rollback_retry",
    "best_of_n",
    "deal",
    "prov_decode",
    "verifier",
)
PLAIN = ("cut", "trace_shield")  # they decode one stream, and end it at the first denial
BASELINES = (  # rows of comparisons: `ig-guardrail eval` and `run --strategy` know them, policies do not
    "best_of_n_plain",
    "best_of_n_lagrangian",
    "beam",
    "beam_plain",
    "beam_lagrangian",
    "args",
    "args_lagrangian",
    "args_cost",
    "ctrl",
    "ctrl_worst_of_n",
    "re_control",
    "early_exit",
    "speculative_rejection",
    "token_verifier",
)

NAME = FormatKind("a name", r"[a-z][a-z0-9-]{0,63}", "support-bot")
BUDGET_ID = FormatKind("a name", NAME.pattern, "harmful-help")
MODEL_NAME = FormatKind("a name", r"[a-z][a-z0-9_-]{0,63}", "help", reserved=FUNCTIONS)
VERSION = FormatKind("a version of three numbers", r"(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}", "1.0.0")
_PRINTABLE = r"[^\x00-\x1f\x7f]"
ARTIFACT = FormatKind(
    "a packaged name, or a folder path that contains `/`",
    rf"[a-z][a-z0-9-]{{0,63}}|{_PRINTABLE}{{0,500}}/{_PRINTABLE}{{0,500}}",
    "./heads/mine",
)
FOLDER = FormatKind(
    "a folder path that contains `/`", rf"{_PRINTABLE}{{0,500}}/{_PRINTABLE}{{0,500}}", "./indexes/unsafe"
)
SWAP = FormatKind(
    "the name of a packaged swap, or the path of a lexicon that contains `/`",
    rf"[a-z][a-z -]{{0,63}}|{_PRINTABLE}{{0,500}}/{_PRINTABLE}{{0,500}}",
    "gender",
)
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PORT = r"(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})"
_PORT_AND_PATH = rf"(?::{_PORT})?(?:/[A-Za-z0-9._~/-]{{0,200}})?"
_NAME = r"(?=[0-9.-]*[A-Za-z])[A-Za-z0-9.-]{1,253}"
_NUMBERS = (
    rf"(?!0\.|169\.254\.){_BYTE}(?:\.{_BYTE}){{3}}"  # 169.254.* answers for clouds what no text should be sent to
)
ADDRESS = FormatKind(
    "an `https://` address, or an `http://` address of this machine",
    rf"https://(?:{_NAME}|{_NUMBERS}|\[[0-9A-Fa-f:.]{{2,45}}\]){_PORT_AND_PATH}"
    rf"|http://(?:localhost|127(?:\.{_BYTE}){{3}}|\[::1\]){_PORT_AND_PATH}",
    "http://127.0.0.1:8000/v1",
)
OPENAI = "https://api.openai.com/v1"
KEY_NAME = FormatKind(
    "the name of an environment variable that ends in `API_KEY`", r"(?:[A-Z][A-Z0-9_]{0,55})?API_KEY", "OPENAI_API_KEY"
)
HOSTED_MODEL = FormatKind("the name of a model", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "omni-moderation-latest")
HAZARD = FormatKind("a hazard", FORM.pattern, "hte")
CLASSIFIER = FormatKind(
    "a folder path that starts with `./`, `../` or `/`, or a hub name",
    rf"\.{{0,2}}/{_PRINTABLE}{{1,500}}|[A-Za-z0-9][A-Za-z0-9._-]{{0,95}}(?:/[A-Za-z0-9][A-Za-z0-9._-]{{0,95}})?",
    "./classifiers/mine",
)
LABEL = FormatKind("a label", r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,126}[^\x00-\x20\x7f])?", "toxic")
CATEGORY = FormatKind("a category", r"[A-Za-z][A-Za-z0-9_/.-]{0,63}", "hate/threatening")
ENTRY_POINT = FormatKind("the name of an entry point", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", "my-judge")
OPTION = FormatKind("the name of an option", r"[a-z][a-z0-9_]{0,63}", "style")
LANGUAGE = FormatKind("a language tag", r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?", "pt-BR")

TOOL = FormatKind("a tool's name, with `*` for any characters", r"[A-Za-z0-9_.*-]{1,128}", "delete_*")

THRESHOLD = NumberKind(
    0, 1, "score", why="scores lie between 0 (harmless) and 1 (harmful)", help="write a share of 1: for 50 percent, 0.5"
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
}


def _model(kind: str, **own: Field) -> Section:
    tag = Field(ChoiceKind((kind,), code="P021"), "which kind of cost model this is", kind, required=True)
    return Section(f"a cost model of kind `{kind}`", {"kind": tag, **own, **_SHARED})


PATTERN = Section(
    "a pattern",
    {
        "name": Field(NAME, "how receipts call it; without one, by its place in the list", "card-number"),
        "pattern": Field(RegexKind(1000), "a regular expression in RE2's syntax", r"'\b\d{4}-\d{4}\b'", required=True),
    },
)

COST_MODEL = OneOf(
    "a cost model",
    "kind",
    {
        "latent": _model(
            "latent",
            head=Field(
                ARTIFACT,
                "the head on the model's hidden states: packaged name, or folder",
                "harmful-help",
                required=True,
            ),
        ),
        "lexical": _model(
            "lexical",
            model=Field(ARTIFACT, "the bag-of-words model: packaged name, or folder", "words", required=True),
        ),
        "pattern": _model(
            "pattern",
            patterns=Field(
                ListOf(ShortForm(PATTERN, "pattern"), 1, 200),
                "regular expressions in RE2's syntax, each with a `name` for receipts where one is written",
                r"['(?i)\bfoo\w{0,10}']",
                required=True,
            ),
            longest_match=Field(
                IntegerKind(1, 4096, "characters"),
                "matches are looked for in windows of this length; as much text is held back",
                "32",
                required=True,
            ),
            normalise=Field(
                ChoiceKind(("text", "none")),
                "`text` sees through disguises, such as characters that nobody sees or that look like others; `none` "
                "compares code points as they are written",
                "none",
                default="text",
            ),
        ),
        "provenance": _model(
            "provenance",
            unsafe=Field(
                FOLDER,
                "the index of what may not be recited (`ig-guardrail index build`)",
                "./indexes/unsafe",
                required=True,
            ),
            reference=Field(
                FOLDER,
                "the index of harmless text: what is in it as well is free",
                "./indexes/reference",
                required=True,
            ),
            common=Field(
                IntegerKind(0, 256, "tokens"), "runs of this length are free, whoever has them", "6", default=6
            ),
            norm=Field(
                IntegerKind(1, 256, "tokens"), "this much beyond what is free makes a score of 1", "8", default=8
            ),
            hard=Field(
                IntegerKind(1, 256, "tokens"),
                "a run of this length that the reference does not have scores 1; longer runs count as long",
                "12",
                default=12,
            ),
        ),
        "classifier": _model(
            "classifier",
            model=Field(
                CLASSIFIER,
                "a transformers sequence classifier: a folder, relative to the policy, or a hub name",
                "./classifiers/mine",
                required=True,
            ),
            labels=Field(
                MapOf(HAZARD, ListOf(LABEL, 1, 64, unique=True), 1, 64),
                "which of the classifier's labels stand for a hazard; the highest of their scores counts",
                "{hte: [hate, insult]}",
                required=True,
            ),
            scores=Field(
                ChoiceKind(("softmax", "sigmoid")),
                "how logits become scores: `softmax` against each other, `sigmoid` each alone",
                "softmax",
                computed="`sigmoid` for one label, and where the classifier's config says "
                "`multi_label_classification`; else `softmax`",
            ),
            with_prompt=Field(
                BooleanKind(),
                "whether it reads a pair, first the prompt, then the answer; else the answer alone",
                "true",
                default=False,
            ),
        ),
        "openai": _model(
            "openai",
            model=Field(HOSTED_MODEL, "the moderation model", "omni-moderation-latest", required=True),
            base_url=Field(
                ADDRESS,
                "where the moderations endpoint is; answers are sent there",
                "http://127.0.0.1:8000/v1",
                default=OPENAI,
            ),
            api_key_env=Field(
                KEY_NAME,
                "the environment variable that holds the key, which is sent there too; an endpoint at `http://`, on "
                "this machine, may go without",
                "OPENAI_API_KEY",
                computed="`OPENAI_API_KEY` at OpenAI's own address, and no key at another",
            ),
            categories=Field(
                MapOf(HAZARD, ListOf(CATEGORY, 1, 64, unique=True), 1, 64),
                "which of the endpoint's categories stand for a hazard; the highest of their scores counts",
                "{hte: [hate, harassment]}",
                computed="OpenAI's categories, where one fits",
            ),
        ),
        "python": _model(
            "python",
            entry_point=Field(
                ENTRY_POINT,
                "what an installed distribution calls it in the group `ig_guardrail.cost_models`",
                "my-judge",
                required=True,
            ),
            options=Field(MapOf(OPTION, TextKind(1000), 1, 64), "texts that its factory is given", '{style: "strict"}'),
        ),
        "provided": _model("provided"),
    },
)

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
            IntegerKind(0, 128, "rounds"), "further rounds when every candidate of a block is unsafe", "2", default=2
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
_BY_LANGUAGE = MapOf(LANGUAGE, TextKind(2000), 1, 64, needs=("en",))

MESSAGES = Section(
    "the messages",
    {
        "refusal": Field(_BY_LANGUAGE, "shown when nothing of an answer was", f'{{en: "{REFUSAL}"}}', required=True),
        "closing": Field(
            _BY_LANGUAGE, "shown after the safe beginning of an answer", f'{{en: "{CLOSING}"}}', required=True
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
            '[{tool: "transfer*", argument: amount, most: 100}]',
        ),
        "limits": Field(
            ListOf(CALL_LIMIT, 1, 64), "how often tools may be called", '[{id: payments, tool: "pay*", calls: 3}]'
        ),
    },
)

POLICY = Section(
    "a policy",
    {
        "apiVersion": Field(
            ChoiceKind((API_VERSION,), code="P012"), "version of this language", API_VERSION, required=True
        ),
        "kind": Field(ChoiceKind((KIND,), code="P012"), "what the file is", KIND, required=True),
        "metadata": Field(METADATA, "name, version and owners", "{name: support-bot, version: 1.0.0}", required=True),
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
        "messages": Field(MESSAGES, "pre-approved texts", "{refusal: {...}, closing: {...}}", required=True),
        "allow_unguarded": Field(
            BooleanKind(), "whether a caller may switch the guard off (strategy `none`)", "false", default=False
        ),
    },
)

PRESETS = {
    "paper": {"mode": "always", "candidates": 128, "block": 32, "retries": 2, "accept": 1.0},
}
