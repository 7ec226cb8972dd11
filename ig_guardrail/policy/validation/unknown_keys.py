"""Keys that a section does not have: which one was meant, by its spelling, its value, or what others call it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ig_guardrail.fields.field import ChoiceKind, ListOf, MapOf, OneOf, Section, ShortForm
from ig_guardrail.policy.diagnostics.diagnostic import listed
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.language.names import NOTES, OWN
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.yaml.decoding import WIDE_SPACES
from ig_guardrail.policy.yaml.scalars import DISGUISED
from ig_guardrail.policy.yaml.tree import Scalar, Table, YamlEntry
from ig_guardrail.text.normalisation import folded, seen
from ig_guardrail.types.languages import normal_tag

# Keys that other guardrails, and other languages, have for the same; a key is meant where its section has it.
ELSEWHERE = {
    "least": "min minimum gte ge min_value",
    "most": "max maximum lte le max_value",
    "limits": "limit rate_limit rate_limits quota quotas max_calls calls budgets",
    "arguments": "rules parameters params args argument",
    "calls": "max maximum limit count max_calls",
    "one_of": "enum values choices in allowed_values equals equal eq value",
    "matches": "regex pattern regexp format",
    "pattern": "regex regexp",
    "patterns": "regex regexes pattern words keywords",
    "tool": "function tool_name",
    "id": "name title",
    "allow": "whitelist allowlist permit",
    "deny": "blacklist blocklist denylist forbid block",
    "prompt": "input inputs input_rails user_prompt",
    "extends": "inherits inherit parent base include includes from",
    "cost": "model models scorer",
    "head": "model",
    "model": "head",
    "hazards": "categories category hazard taxonomy",
    "budget": "limit max_cost",
    "budgets": "rules guardrails thresholds rails",
    "threshold": "cutoff min_score score_threshold confidence",
    "messages": "responses texts replies",
    "refusal": "blocked denied rejection refused blocked_message",
    "mode": "enforcement",
    "answer": "response reply output completion draft assistant",
    "expect": "expected expectation assert want",
    "outcome": "decision verdict result status",
    "on_error": "fail_open fail_closed fail_on_error on_failure failure_mode unreachable_fallback",
    "on_exceed": "action on_violation on_fail on_block",
    "scope": "per gathers_over shared_by",
    "longest_match": "window max_length",
}
_FAILING = re.compile("(?i)(?:fallback|failover|backup)s?")  # keys of a cost model that nothing here has, either
_INSTEAD = {  # keys that nothing here has, and what does the same
    "ignore_?case|case_?(?:in)?sensitive|flags": "write `(?i)` in front of a pattern for letters of either case",
    "enabled|disabled|active|shadow|dry_?run|monitor(?:_only)?": "write `mode: shadow` in each budget that should "
    "record and deny nothing, and delete what is not wanted",
    "remove|delete|disable|without|exclude": "name nothing to be taken away: a policy that extends another adds to "
    "it, and tightens it",
    "//|_?comments?|_?notes?": "write a comment behind `#`, or a key of your own, which begins with `x-`",
}
_WHERE_IT_FAILS = (
    "say what a failure does by `on_error`, and have others judge at all times by a budget's `cost: max(a, b)`; "
    "`otherwise` names what serves from the start on where this one does not fit"
)
_ABOUT_POLICY = {  # what a policy's own keys are called where they stand beside its sections
    "name": "name policy policy_name title id",
    "version": "version policy_version",
    "owners": "owners owner authors author team",
}
_OF_ITS_OWN = (  # a key of the section, keys that are sought beside it, and what there is instead
    ("refusal", "by_hazard", "write it inside of each message: `refusal: {en: ..., by_hazard: {ssh: {en: ...}}}`"),
    (
        "messages",
        "languages?|locales?",
        "a policy has the languages that its messages have: `messages: {refusal: {en: ...}, closing: {en: ...}}`",
    ),
    (
        "messages",
        "model|llm|engine|audit|log(?:s|ging)?|rate_limits?|quotas?|max_tokens|stream(?:ing)?|temperature|api_keys?",
        "delete it: models, logs and limits of requests are set where the policy is served (docs/server.md)",
    ),
    (
        "messages",
        "system|system_(?:prompt|message)|instructions",
        "delete it: the system message is the application's; what a search is told besides is `search: {steer: ...}`",
    ),
    (
        "decay",
        "actions?|on_exceed|on_violation|on_fail|redact|mask|replace",
        "delete it: `output: {on_exceed: [...]}` says for all budgets what follows; no part of a text is blanked out",
    ),
    (
        "decay",
        "reset|resets?_(?:after|at|every)|ttl|expires?|expiry|period|interval",
        "what is spent is forgotten over turns, not over time: write `decay` or `window`",
    ),
    (
        "allow",
        "default|default_action|otherwise|fallback",
        "delete it: with `allow`, what it does not name is denied; without, what `deny` does not name is allowed",
    ),
    (
        "allow",
        "approvals?|approve|confirm(?:ation)?|ask|(?:require|needs?)_(?:approval|confirmation)|human.*|review",
        "a policy asks nobody: deny the tool, limit its `arguments`, or by `limits` how often it is called",
    ),
    (
        "allow",
        "results?|outputs?|returns?|responses?",
        "delete it: what tools return is judged by `prompt`, as what users write is",
    ),
    (
        "calls",
        "scope|per|window|period|interval|reset|every|seconds|minutes|hours|days",
        "delete it: a limit counts the calls of a conversation, and neither those of a tenant nor those of a time",
    ),
    (
        "argument",
        "required|optional|present|must_exist|nullable",
        "delete it: a rule limits an argument where it is given; what must be given is said by the tool's own schema",
    ),
    (
        "argument",
        "not|none_of|not_in|not_one_of|forbidden|forbid|deny|denied|block|except|excluded?|not_matches",
        "a rule says what an argument may be: write `one_of`, `matches`, `least` or `most`",
    ),
    (
        "argument",
        "type|schema|max_?length|min_?length",
        "limit a number by `least` and `most`, and a text by `matches`, such as `'(?s).{0,100}'` for its length",
    ),
)
KINDS_ELSEWHERE = {
    "provided": "given",
    "pattern": "regex regexp keyword keywords words blocklist denylist pii secrets",
    "guard": "llm llama-guard llamaguard judge",
    "openai": "moderation moderations",
    "classifier": "transformers huggingface hf toxicity",
}


def about_unknown(section: Section, entry: YamlEntry, written: set[str]) -> tuple[str | None, str, str]:
    """The key that was meant, if one is close and not written; the words beside the carets; the advice."""
    name = entry.key.text
    if name[:1] in WIDE_SPACES:
        return None, "the spaces before it are no plain ones", f"indent with plain spaces, and write `{name.strip()}`"
    home = _HOMES.get(name)
    keys = (*section.fields, *NOTES) if section.notes else tuple(section.fields)
    free = [known for known in keys if known not in written]
    begun = name.partition(":")[0]
    if begun != name and begun in free:
        return begun, "there is no space behind its colon", f"write `{begun}: {seen(name[len(begun) + 1 :]).strip()}`"
    disguised = next((known for known in free if not name.isascii() and folded(name) == known), None)
    if disguised is not None:
        return disguised, DISGUISED, f"write `{disguised}`"
    if "on_error" in section.fields and _FAILING.fullmatch(name):
        return None, "nothing steps in while one fails", _WHERE_IT_FAILS
    if "refusal" in section.fields and isinstance(entry.value, Table) and normal_tag(name) is not None:
        advice = f"write it under each message: `refusal: {{{name}: ...}}`, `closing: {{{name}: ...}}`"
        return None, "languages stand below messages", advice
    if _FAILING.fullmatch(name) and section.fields.keys() & {"messages", "refusal"}:
        return None, f"not a key of {section.title}", "what is shown instead are the texts `refusal` and `closing`"
    inner = next((key for key, words in _ABOUT_POLICY.items() if name.lower() in words.split()), None)
    if inner is not None and "metadata" in section.fields:
        text = entry.value.text if isinstance(entry.value, Scalar) else ""
        value = text if re.fullmatch(r"\w[\w.@ -]*", text) else "..."
        value = f"[{value}]" if inner == "owners" else value
        return None, f"not a key of {section.title}", f"write it under `metadata`: `metadata: {{{inner}: {value}}}`"
    lowered = name.lower()
    own = next((said for key, words, said in _OF_ITS_OWN if key in section.fields and re.fullmatch(words, lowered)), "")
    if own:
        return None, f"not a key of {section.title}", own
    told = next((advice for words, advice in _INSTEAD.items() if re.fullmatch(words, name.lower())), None)
    if told is not None and section.notes:
        return None, f"not a key of {section.title}", told
    if section.notes and name.lower().startswith(OWN):
        return None, "keys of your own begin with a small `x-`", f"write `{name.lower()}`"
    close = (
        _by_its_word(section, entry, free)
        or _elsewhere(name, section, free)
        or suggest(name, free, 0.8 if home else 0.6)
    )
    if close is not None:
        return close, f"did you mean `{close}`?", f"write `{close}`"
    if name.isdigit() and isinstance(entry.value, Scalar) and not entry.value.text:
        advice = "write thousands without a comma" if len(name) == 3 else "for a fraction write a point, such as 0.5"
        return None, "a comma separates keys here", advice
    if home is not None:
        return None, f"not a key of {section.title}", f"`{name}` is a key of {home}"
    return None, f"not a key of {section.title}", f"its keys are {listed(tuple(section.fields), 'and')}"


def _elsewhere(name: str, section: Section, free: Sequence[str]) -> str | None:
    """The key that an unknown one is in other languages, if just one of those that are not written is."""
    keys = [key for key in free if key in section.fields and name.lower() in ELSEWHERE.get(key, "").split()]
    return keys[0] if len(keys) == 1 else None


def _by_its_word(section: Section, entry: YamlEntry, free: Sequence[str]) -> str | None:
    """The one key of those that are not written which takes the word that stands under an unknown key."""
    word = entry.value.text if isinstance(entry.value, Scalar) else None
    kinds = {key: section.fields[key].kind for key in free if key in section.fields}
    taking = [key for key, kind in kinds.items() if isinstance(kind, ChoiceKind) and word in (*kind.words, *kind.apart)]
    return taking[0] if len(taking) == 1 else None


def misspelt(name: str, table: Table) -> Scalar | None:
    """The key of a mapping that `name` was probably meant by."""
    strange = (entry.key for entry in table.entries if entry.key.text not in _HOMES)
    return next((key for key in strange if suggest(key.text, [name])), None)


def _sections(kind: Any) -> Iterator[Section]:
    """Every section of a language, outermost first."""
    match kind:
        case Section():
            yield kind
            for one in kind.fields.values():
                yield from _sections(one.kind)
        case OneOf():
            for section in kind.sections.values():
                yield from _sections(section)
        case ShortForm():
            yield from _sections(kind.section)
        case ListOf():
            yield from _sections(kind.item)
        case MapOf():
            yield from _sections(kind.value)
            for one in kind.beside.values():
                yield from _sections(one.kind)


_HOMES = {name: section.title for section in reversed(list(_sections(POLICY))) for name in section.fields}
