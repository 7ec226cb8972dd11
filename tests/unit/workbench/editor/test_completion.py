"""Completion: at many places of half-written files, the words that may stand there, and none that may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ig_guardrail.fields.field import BooleanKind, ChoiceKind, HazardKind, Section
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.language.budgets import BUDGET, COST_MODEL, PROMPT
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.language.search import SEARCH
from ig_guardrail.policy.language.tools import TOOLS
from ig_guardrail.workbench.editor.completion import Completion, complete
from ig_guardrail.workbench.editor.document import Document
from ig_guardrail.workbench.editor.places import leaves
from tests.unit.workbench.editor import texts
from tests.unit.workbench.editor.texts import MODELS, at_cursor, none


def offered(text: str, path: str = "bank.yaml", files: dict[str, str] | None = None) -> dict[str, Completion]:
    document, offset = at_cursor(text, path)
    found = complete(document, offset, lambda path: (files or {}).get(Path(path).name))
    return {one.label: one for one in found}


def keys(section: Section, *without: str) -> set[str]:
    return {name for name in section.fields if name not in without}


BUDGETS = f"{MODELS}budgets:\n"
KEYS = {
    "|": keys(POLICY),
    "ap|": keys(POLICY),
    "apiVersion: ig-guardrail/v1\n|": keys(POLICY, "apiVersion"),
    "|\nbudgets: []\n": keys(POLICY, "budgets"),
    f"{MODELS}|": keys(POLICY, "apiVersion", "kind", "metadata", "cost_models"),
    f"{MODELS}  |": set(),
    f"{BUDGETS}  - |": keys(BUDGET),
    f"{BUDGETS}  -   |": keys(BUDGET),
    f"{BUDGETS}  - |\n  - id: b\n": keys(BUDGET),
    f"{BUDGETS}  - {{|": keys(BUDGET),
    f"{BUDGETS}  - {{id: a, |}}\n": keys(BUDGET, "id"),
    f"{BUDGETS}  - {{|id: a}}\n": keys(BUDGET),
    f"{BUDGETS}  - {{id: a, co|, threshold: 0.5}}\nprompt:": keys(BUDGET, "id", "threshold"),
    f"{BUDGETS}  - {{id: a,\n     |\n  - {{id: b}}\n": keys(BUDGET, "id"),
    f"{BUDGETS}  - id: a\n    |\n    threshold: 0.5\n": keys(BUDGET, "id", "threshold"),
    f"{BUDGETS}  - id: a\n    co|\n    threshold: 0.5\n": keys(BUDGET, "id", "threshold"),
    f"{BUDGETS}  - id: a\n    hazards: [ncr, \n    |": keys(BUDGET, "id", "hazards"),
    f'{BUDGETS}  - id: a\n    cost: "max(a, b\n    |': keys(BUDGET, "id", "cost"),
    f"{BUDGETS}- id: a\n  |": keys(BUDGET, "id"),
    "cost_models:\n  tone:\n    kind: latent\n    |": keys(COST_MODEL.sections["latent"], "kind"),
    "cost_models:\n  tone: {kind: pattern, |}\n": keys(COST_MODEL.sections["pattern"], "kind"),
    "cost_models:\n  tone:\n    |\n  words: {}\n": {"kind", "hazards", "timeout_ms", "on_error", "scale", "otherwise"},
    "search:\n  mode: on_risk\n  |\nbudgets: []": keys(SEARCH, "mode"),
    "search: {|": keys(SEARCH),
    "prompt:\n  |": keys(PROMPT),
    "tools:\n  allow: [a]\n  |": keys(TOOLS, "allow"),
    "tools: {arguments: [{tool: a, |}]}": {"argument", "matches", "least", "most", "one_of"},
    "# a comment |": set(),
    "metadata: {name: a|b c}": set(),
}


@pytest.mark.parametrize("text", KEYS)
def test_keys_that_may_stand_there(text: str) -> None:
    found = {name for name, one in offered(text).items() if one.sort == "key"}
    assert found - {"description", "labels"} == KEYS[text]


VALUES = {
    "kind: |": {"SafetyPolicy"},
    "apiVersion: |": {"ig-guardrail/v1"},
    f"{BUDGETS}  - {{id: a, mode: |}}": {"enforce", "shadow"},
    f"{BUDGETS}  - id: a\n    mode: s|\n    cost: tone": {"enforce", "shadow"},
    f"{BUDGETS}  - {{id: a, cost: |": {"tone", "max", "min", "mean"},
    f"{BUDGETS}  - {{id: a, cost: t|, threshold: 0.5}}": {"tone", "max", "min", "mean"},
    f"{BUDGETS}  - {{id: a, cost: max(tone, |, threshold: 0.5}}": {"tone", "max", "min", "mean"},
    f'{BUDGETS}  - {{id: a, cost: "max(tone, 0.5 * |"}}': {"tone", "max", "min", "mean"},
    f"{BUDGETS}  - id: a\n    cost: to|ne\n": {"tone", "max", "min", "mean"},
    "cost_models:\n  tone: {kind: latent, head: |}": {"toxic-tone", "harmful-help"},
    "cost_models:\n  tone:\n    kind: lexical\n    model: |": {"words", "screen"},
    "cost_models:\n  tone: {kind: |, hazards: [hte]}": {"latent", "lexical", "pattern", "openai"},
    f"{MODELS}  more: {{kind: latent, otherwise: |}}": {"tone", "words"},
    f"{BUDGETS}  - {{id: a, hazards: [|": {"hte", "ssh", "x.insult"},
    f"{BUDGETS}  - {{id: a, hazards: [hte, x.|]}}": {"hte", "x.insult"},
    f"{BUDGETS}  - {{id: a, hazards: |}}": {"all", "hte"},
    f"{BUDGETS}  - id: a\n    hazards:\n      - |": {"hte", "ssh"},
    "allow_unguarded: |": {"true", "false"},
    "search:\n  strategy: |": {"inference_guard", "cut"},
    "search: {swaps: [|]}": {"gender"},
    "output: {on_exceed: [|]}": {"search", "end"},
    "prompt: {on_exceed: |}": {"refuse", "search", "observe"},
    f"{MODELS}prompt:\n  cost: |": {"tone", "words", "max"},
    f"{BUDGETS}  - {{id: a, discount: |": {"1.0"},
    "messages:\n  refusal:\n    |": {"en", "de"},
}


@pytest.mark.parametrize("text", VALUES)
def test_values_that_may_stand_there(text: str) -> None:
    assert offered(text).keys() >= VALUES[text]


def test_a_cost_model_does_not_serve_instead_of_itself() -> None:
    assert "tone" not in offered(f"{MODELS.replace('otherwise: words', 'otherwise: |')}")


@pytest.mark.parametrize(
    ("text", "label", "insert"),
    [
        (f"{BUDGETS}  - id: a\n    |", "cost", "cost: $0"),
        (f"{BUDGETS}  - {{id: a, thr|: 0.5}}", "threshold", "threshold"),
        ("|", "metadata", "metadata:\n  $0"),
        ("|", "budgets", "budgets:\n  - $0"),
        ("apiVersion: ig-guardrail/v1\nsearch: {|", "swaps", "swaps: [$0]"),
        ("cost_models:\n  - |", "x", None),
        (f"{BUDGETS}  - {{id: a, cost: |", "max", '"max(${1:a}, ${2:b})"'),
        (f'{BUDGETS}  - {{id: a, cost: "|"', "max", "max(${1:a}, ${2:b})"),
        (f"{BUDGETS}  - {{id: a, hazards: |", "hte", "[hte]"),
        (f"{BUDGETS}  - {{id: a, hazards: |", "all", "all"),
    ],
)
def test_what_is_inserted(text: str, label: str, insert: str | None) -> None:
    found = offered(text).get(label)
    assert (found.insert if found is not None else None) == insert


def test_the_whole_word_is_replaced() -> None:
    found = offered(f"{BUDGETS}  - {{id: a, tres|hold: 0.5}}")["threshold"]
    begin = len(f"{BUDGETS}  - {{id: a, ")
    assert found.replaces == (begin, begin + len("treshold"))


def test_every_key_says_what_it_means() -> None:
    assert "only what a score has above it costs anything" in offered(f"{BUDGETS}  - {{|")["threshold"].doc
    assert offered(f"{BUDGETS}  - {{|")["threshold"].detail == "required"
    assert offered("search: {|")["candidates"].detail == "default: `4`"
    assert "hate" in offered(f"{BUDGETS}  - {{hazards: [|")["hte"].detail


def filled(insert: str) -> str:
    """A snippet, each place filled with what it holds."""
    text = re.sub(r"\$\{\d+:((?:[^}\\]|\\.)*)\}|\$0", lambda found: found[1] or "", insert)
    return re.sub(r"\\([$}\\])", r"\1", text)


def test_a_policy_made_of_what_is_offered_is_valid() -> None:
    text = filled(offered("|")["new policy"].insert)
    policy, faults = compile_text(text, "new.yaml")
    assert policy is not None, faults


def test_entries_made_of_what_is_offered_are_valid() -> None:
    budget = filled(offered(f"{BUDGETS}  - |")["new budget"].insert).replace("ncr", "hte")
    document = f"{MODELS}budgets:\n  - {budget}\n{texts.POLICY[texts.POLICY.index('messages:') :]}"
    policy, faults = compile_text(document, "new.yaml")
    assert policy is not None, faults
    snippets = {name: one for name, one in offered("cost_models:\n  |").items() if one.sort == "snippet"}
    assert {"new latent: toxic-tone", "new pattern", "new openai", "new python"} <= snippets.keys()
    for name, one in snippets.items():
        entry = f"mine:{filled(one.insert).partition(':')[2]}"
        _, faults = compile_text(texts.POLICY.replace("budgets:", f"  {entry}\nbudgets:"), "new.yaml")
        assert not [fault for fault in faults if fault.severity == "error"], (name, entry, faults)


@pytest.mark.parametrize(
    ("text", "path"),
    [("services:\n  |", "compose.yaml"), ("apiVersion: v1\nkind: Pod\n|", "pod.yaml"), ("- |", "list.yaml")],
)
def test_files_of_other_kinds_are_left_alone(text: str, path: str) -> None:
    assert not offered(text, path)


def test_cases_know_their_policy() -> None:
    files = {"bank.yaml": texts.POLICY}
    head = "cases:\n  - name: a\n    "
    assert "kindness" in offered(f"{head}expect: {{budget: |}}", "bank_test.yaml", files)
    assert offered(f"{head}scores: [{{|", "bank_test.yaml", files).keys() == {"tone", "words"}
    assert {"refusal.en", "closing.en"} <= offered(f"{head}message: |", "bank_test.yaml", files).keys()
    assert {"strict", "default"} <= offered("policy: |\ncases: []", "bank_test.yaml").keys()
    assert {"answer", "turns", "expect"} <= offered(f"{head}|", "bank_test.yaml").keys()


def test_texts_of_hazards_stand_beside_languages() -> None:
    head = "messages:\n  refusal:\n    en: No.\n    "
    assert {"by_hazard", "de"} <= offered(f"{head}|").keys()
    assert {"ssh", "x.insult"} <= offered(f"{head}by_hazard:\n      |").keys()
    assert {"en", "de"} <= offered(f"{head}by_hazard:\n      ssh:\n        |").keys()


def test_waivers_know_the_codes() -> None:
    found = offered("waivers:\n  - {code: |}", "waivers.yaml")
    assert {"P103", "P136"} <= found.keys()
    assert not any(name.startswith("P0") for name in found)
    assert {"code", "path", "expires"} <= offered("waivers:\n  - |", "waivers.yaml").keys()


def test_nothing_is_offered_in_what_is_too_long() -> None:
    document, offset = at_cursor("#" * 300_000 + "\n|")
    assert complete(document, offset, none) == []


def test_a_policy_knows_the_names_of_the_one_that_it_extends() -> None:
    files = {"base.yaml": texts.POLICY.replace("name: bank", "name: base")}
    head = "apiVersion: ig-guardrail/v1\nextends: base.yaml\nbudgets:\n"
    assert {"tone", "words"} <= offered(f"{head}  - {{cost: |}}", "child.yaml", files).keys()
    assert "kindness" in offered(f"{head}  - {{id: |}}", "child.yaml", files)
    assert "kindness" not in offered(f"{head}  - {{id: kindness}}\n  - {{id: |}}", "child.yaml", files)


DEFAULT = (Path(__file__).resolve().parents[4] / "policies" / "default.yaml").read_text()


@pytest.mark.parametrize("goes_on", ["nowhere", "on the next line", "behind the word", "with the word"])
def test_every_word_of_a_policy_is_offered_while_it_is_written(goes_on: str) -> None:
    """Half a key, half a value of few choices; what follows is there or is not yet written."""
    document = Document("default.yaml", DEFAULT)
    tried = 0
    for leaf in leaves(POLICY, document.tree):
        node, known = leaf.node, isinstance(leaf.kind, ChoiceKind | HazardKind | BooleanKind)
        is_of_section = leaf.is_key and leaf.kind is None
        if node.kind != "scalar" or not (known or leaf.path[-1] in ("head", "model") or is_of_section):
            continue
        half, end = node.inner.start + len(node.text) // 2, node.inner.end
        behind = {"nowhere": len(DEFAULT), "on the next line": DEFAULT.index("\n", half)}
        rest = DEFAULT[behind.get(goes_on, half if goes_on == "with the word" else end) :]
        found = complete(Document("default.yaml", DEFAULT[:half] + rest), half, none)
        assert node.text in [one.label for one in found], (leaf.path, node.text, goes_on)
        tried += 1
    assert tried > 100
