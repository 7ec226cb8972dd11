"""Every key of the language: where it is changed, a comparison says so, and in which direction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from ig_guardrail.fields.field import ListOf, MapOf, OneOf, Section, ShortForm
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.language.names import NOTES
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.meaning.differences import Differences, differences
from ig_guardrail.workbench.meaning.wording import as_dict, as_text

SAYS_NOTHING = {  # of what is decided: the file's form, and names that are told and compared with nothing
    *((one,) for one in ("apiVersion", "kind", "taxonomy", "extends")),
    *(("extends", one) for one in ("policy", "version")),
    *(("metadata", one) for one in ("version", "owners")),
    ("cost_models", "kind"),
}

MODELS: dict[str, dict[str, Any]] = {
    "a": {"kind": "lexical", "model": "words", "hazards": ["hte", "ncr"]},
    "b": {"kind": "lexical", "model": "screen", "hazards": ["ncr"]},
    "p": {"kind": "pattern", "patterns": ["foo"], "longest_match": 8, "hazards": ["hte"]},
    "g": {"kind": "guard", "model": "x/y", "format": "qwen3guard", "hazards": ["hte"]},
    "s": {
        "kind": "guard", "model": "y", "format": "qwen3guard", "hazards": ["hte"],
        "base_url": "https://x.example/v1", "api_key_env": "A_API_KEY",
    },
    "c": {"kind": "classifier", "model": "x/y", "labels": {"hte": ["hate"]}, "hazards": ["hte"]},
    "o": {"kind": "openai", "model": "m", "hazards": ["hte"]},
    "e": {"kind": "encoder", "head": "toxic-tone", "hazards": ["hte"]},
    "h": {"kind": "encoder", "head": "toxic-tone", "encoder": "x/y", "hazards": ["hte"]},
    "l": {"kind": "latent", "head": "toxic-tone", "hazards": ["hte"]},
    "v": {"kind": "provenance", "unsafe": "./u", "reference": "./r", "hazards": ["hte"]},
    "y": {"kind": "python", "entry_point": "judge", "hazards": ["hte"]},
}  # fmt: skip
NO, STOP = {"en": "No.", "de": "Nein.", "by_hazard": {"hte": {"en": "Bad."}}}, {"en": "Enough.", "de": "Genug."}
APPROVED = {"text": "No.", "approved": {"owner": "x@y", "reason": "read"}}
RULES: dict[str, Any] = {
    "allow": ["pay", "read_*"],
    "deny": ["read_secret"],
    "arguments": [
        {"tool": "pay", "argument": "amount", "least": 0, "most": 10},
        {"tool": "pay", "argument": "to", "one_of": ["a", "b"]},
        {"tool": "pay", "argument": "iban", "matches": "DE[0-9]+"},
    ],
    "limits": [{"id": "pays", "tool": "pay", "calls": 3}],
}


def written(budget: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ig-guardrail/v1",
        "kind": "SafetyPolicy",
        "metadata": {"name": "tried", "version": "1.0.0"},
        "cost_models": deepcopy(MODELS),
        "budgets": [{"id": "x", "hazards": "all", "cost": "a", "threshold": 0.5, **budget}],
        "messages": {"refusal": deepcopy(NO), "closing": deepcopy(STOP)},
        **deepcopy(sections),
    }


Case = tuple[dict[str, Any], tuple[Any, ...], Any, str]  # a policy, a path, what stands there instead, B's direction
BUDGET = ("budgets", 0)
SHARED = {"budget": 0.2, "scope": "conversation"}
CHECK = {"cost": "b", "threshold": 0.5, "on_exceed": "refuse"}
CASES: list[Case] = [
    (written(SHARED), (*BUDGET, "id"), "z", "looser"),
    (written({"hazards": ["hte"]}), (*BUDGET, "hazards"), ["ncr"], "other"),
    (written({"hazards": ["hte"]}), (*BUDGET, "hazards"), ["hte", "ncr"], "other"),
    (written({}), (*BUDGET, "cost"), "max(a, b)", "stricter"),
    (written({}), (*BUDGET, "threshold"), 0.6, "looser"),
    (written({"budget": 0.2}), (*BUDGET, "weight"), 2, "stricter"),
    (written({}), (*BUDGET, "budget"), 0.1, "looser"),
    (written({"budget": 0.2, "accumulate": "sum"}), (*BUDGET, "discount"), 0.99, "looser"),
    (written({"budget": 0.2}), (*BUDGET, "accumulate"), "sum", "stricter"),
    (written({}), (*BUDGET, "every"), 8, "stricter"),
    (written({}), (*BUDGET, "mode"), "shadow", "looser"),
    (written({"mode": "shadow"}), (*BUDGET, "threshold"), 0.6, "other"),
    *(
        (written({"budget": granted, "cost": cost}), (*BUDGET, "scope"), scope, "stricter")
        for granted in (0, 0.2)
        for cost in ("a", "p")
        for scope in ("conversation", "tenant")
    ),
    (written({"scope": "conversation"}), (*BUDGET, "scope"), "tenant", "other"),
    (written({"scope": "tenant"}), (*BUDGET, "scope"), "response", "looser"),
    (written({"scope": "conversation"}), (*BUDGET, "scope"), "tool", "looser"),
    (written({"scope": "tool"}), (*BUDGET, "tool"), "pay", "looser"),
    (written(SHARED), (*BUDGET, "decay"), 0.5, "looser"),
    (written(SHARED), (*BUDGET, "window"), 3, "looser"),
    (written(SHARED), ("metadata", "name"), "other", "looser"),
    (written({}, tools=RULES), ("metadata", "name"), "other", "looser"),
    (written({}, tools=RULES), ("tools", "allow"), ["pay"], "stricter"),
    (written({}, tools=RULES), ("tools", "allow"), None, "looser"),
    (written({}, tools=RULES), ("tools", "deny"), ["read_secret", "pay"], "stricter"),
    (written({}, tools=RULES), ("tools", "arguments", 0, "tool"), "*", "stricter"),
    (written({}, tools=RULES), ("tools", "arguments", 0, "argument"), "sum", "looser"),
    (written({}, tools=RULES), ("tools", "arguments", 0, "least"), 1, "stricter"),
    (written({}, tools=RULES), ("tools", "arguments", 0, "most"), 10.00000001, "looser"),
    (written({}, tools=RULES), ("tools", "arguments", 1, "one_of"), ["a"], "stricter"),
    (written({}, tools=RULES), ("tools", "arguments", 2, "matches"), "DE[0-9]{20}", "looser"),  # not decided
    (written({}, tools=RULES), ("tools", "limits", 0, "id"), "others", "looser"),
    (written({}, tools=RULES), ("tools", "limits", 0, "calls"), 4, "looser"),
    (written({}, tools=RULES), ("tools", "limits", 0, "tool"), "*", "stricter"),
    (written({}, tools=RULES), ("tools",), None, "looser"),
    (written({}), ("messages", "refusal", "en"), "No!", "other"),
    (written({}), ("messages", "refusal", "en"), {"text": "No!"}, "other"),
    (written({}), ("messages", "closing", "de"), None, "other"),
    (written({}), ("messages", "refusal", "by_hazard"), None, "other"),
    (written({}), ("messages", "severity"), ["hte", "ncr"], "other"),
    (written({}), ("messages", "refusal", "en"), APPROVED, "looser"),
    (written({}), ("messages", "refusal", "by_hazard", "hte", "en"), APPROVED, "looser"),
    (written({}, prompt=CHECK), ("prompt", "on_exceed"), "observe", "looser"),
    (written({}, prompt=CHECK), ("prompt", "threshold"), 0.4, "stricter"),
    (written({}, prompt=CHECK), ("prompt", "cost"), "a", "looser"),  # not comparable
    (written({}), ("reasoning",), "ignore", "looser"),
    (written({}, allow_unguarded=True), ("allow_unguarded",), None, "stricter"),
    (written({}), ("loosenable",), ["messages"], "looser"),
    (written({}), ("output",), {"on_exceed": ["end"]}, "other"),
    *(
        (written({}, search={}), ("search", key), value, "other")
        for key, value in {
            "preset": "paper", "strategy": "resample", "mode": "always", "candidates": 8, "beams": 2, "block": 8,
            "retries": 3, "hold": 8, "trigger": 0.9, "accept": 0.5, "penalty": 1, "shortest": 4, "steer": "x",
            "restart": "y", "swaps": ["gender"],
        }.items()
    ),
    (written({}), ("cost_models", "a", "timeout_ms"), 3000, "other"),
    (written({"cost": "o"}), ("cost_models", "o", "otherwise"), "p", "looser"),
    (written({}), ("cost_models", "a", "on_error"), "open", "looser"),
    (written({}), ("cost_models", "a", "scale"), {"from": 0.5, "to": 0.6}, "looser"),  # not comparable
    (written({}), ("cost_models", "a", "hazards"), ["hte"], "looser"),
    (written({"cost": "p"}), ("cost_models", "p", "patterns"), ["foo", "bar"], "stricter"),
    (written({"cost": "p"}), ("cost_models", "p", "patterns"), [{"name": "n", "pattern": "foo"}], "other"),
    *(
        (written({"cost": name}), ("cost_models", name, key), value, "looser")  # not comparable
        for name, key, value in [
            ("a", "model", "screen"), ("p", "longest_match", 9), ("p", "normalise", "none"),
            ("g", "model", "x/z"), ("g", "format", "llamaguard3"), ("g", "categories", {"hte": ["Violent"]}),
            ("g", "with_prompt", False), ("s", "base_url", "https://z.example/v1"), ("s", "api_key_env", "B_API_KEY"),
            ("c", "model", "./z"), ("c", "revision", "main"), ("c", "labels", {"hte": ["hate", "rude"]}),
            ("c", "scores", "softmax"), ("c", "with_prompt", True), ("o", "model", "n"),
            ("o", "base_url", "https://x.example/v1"), ("o", "api_key_env", "B_API_KEY"),
            ("o", "categories", {"hte": ["violence"]}), ("e", "head", "harmful-help"), ("e", "reads", "exchange"),
            ("e", "encoder", "x/y"), ("h", "revision", "v1"), ("l", "head", "harmful-help"), ("v", "unsafe", "./w"),
            ("v", "reference", "./w"), ("v", "common", 7), ("v", "norm", 9), ("v", "hard", 13),
            ("y", "entry_point", "other"), ("y", "options", {"a": "b"}),
        ]
    ),
]  # fmt: skip


def compiled(policy: dict[str, Any]) -> CompiledPolicy:
    made, faults = compile_text(json.dumps(policy), "tried.yaml", warn=False)
    assert made is not None, faults
    return made


def changed(policy: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copied = deepcopy(policy)
    inner: Any = copied
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copied


def direction_of(found: Differences) -> str:
    told = {
        found.together.verdict,
        found.prompt.verdict,
        found.calls.verdict,
        *(one.direction for one in found.changes),
    }
    return "looser" if found.loosened else "stricter" if "stricter" in told else "other"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{'.'.join(map(str, case[1]))}={case[2]}"[:60])
def test_no_change_of_a_key_means_the_same(case: Case) -> None:
    policy, path, value, direction = case
    a, b = compiled(policy), compiled(changed(policy, path, value))
    found = differences(a, b)
    if a.normal_form == b.normal_form and not found.changes:
        assert value == {"text": "No!"}
        return
    assert not found.same
    assert direction_of(found) == direction
    assert "B means something else than A" in as_text(a, b, found, ("a", "b"))
    assert as_dict(a, b, found)["same"] is False


def test_every_key_of_the_language_is_among_them() -> None:
    tried = {path for case in CASES for path in _parts(case[1], case[2])}
    alike = {tuple("refusal" if one == "closing" else one for one in path) for path in _keys(POLICY, ())}
    assert {path for path in alike if path not in SAYS_NOTHING and path[-1] not in NOTES} <= tried


def test_a_renamed_budget_of_single_answers_means_the_same_and_its_names_are_told() -> None:
    a, b = compiled(written({})), compiled(written({"id": "z"}))
    found = differences(a, b)
    assert found.same
    assert as_text(a, b, found, ("a", "b")).endswith("receipts, metrics and cases name x of A, and z of B")


def test_a_ban_that_a_conversation_shares_is_told_with_what_it_denies() -> None:
    a, b = compiled(written({})), compiled(written({"scope": "conversation"}))
    text = as_text(a, b, differences(a, b), ("a", "b"))
    assert "A shows and B denies any answer of a conversation with an earlier one, given elsewhere, that scores" in text
    assert 'requests must name: with "conversation"' in text


def _keys(kind: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every key of a section, by the keys on the way to it."""
    match kind:
        case Section():
            for name, field in kind.fields.items():
                yield (*path, name)
                yield from _keys(field.kind, (*path, name))
        case OneOf():
            for section in kind.sections.values():
                yield from _keys(section, path)
        case ShortForm():
            yield from _keys(kind.section, path)
        case ListOf():
            yield from _keys(kind.item, path)
        case MapOf():
            yield from _keys(kind.value, path)
            for name, field in kind.beside.items():
                yield (*path, name)
                yield from _keys(field.kind, (*path, name))


def _parts(path: tuple[Any, ...], value: Any) -> Iterator[tuple[str, ...]]:
    """The keys that a case changes: those on its path, without names of its own, and those in its value."""
    own = {*MODELS, "en", "de", "hte"}
    keys = tuple(step for step in path if isinstance(step, str) and step not in own)
    yield from (keys[:end] for end in range(1, len(keys) + 1))
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            for key, inner in part.items():
                yield from _parts((*keys, key), inner)
