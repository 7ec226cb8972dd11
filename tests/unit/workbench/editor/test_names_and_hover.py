"""Definitions, references, new names and hover texts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.policy.inheritance.parents import MOST
from ig_guardrail.workbench.editor.document import Document, Texts
from ig_guardrail.workbench.editor.findings import find
from ig_guardrail.workbench.editor.hover import hover
from ig_guardrail.workbench.editor.names import definitions, policies, references, renamed
from ig_guardrail.workbench.editor.outline import CharacterSpan
from tests.unit.workbench.editor.texts import CASES, POLICY, at_cursor, none

BOTH = {"bank.yaml": POLICY, "bank_test.yaml": CASES}


def among(files: dict[str, str]) -> Texts:
    return lambda path: files.get(Path(path).name)


def shown(found: list[tuple[Document, CharacterSpan]]) -> list[tuple[str, int, str]]:
    """File, line from 1, and the characters there."""
    return [
        (Path(home.path).name, home.text.count("\n", 0, span.start) + 1, home.text[span.start : span.end])
        for home, span in found
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("max(tone", "max(to|ne", 5),
        ("0.5 * words", "0.5 * words|", 6),
        ("otherwise: words", "otherwise: |words", 6),
        ("  tone: {", "  |tone: {", 5),
    ],
)
def test_the_definition_of_a_cost_model_is_its_entry(old: str, new: str, line: int) -> None:
    document, offset = at_cursor(POLICY.replace(old, new))
    ((_, found, _),) = shown(definitions(document, offset, none))
    assert found == line


def test_the_definitions_of_a_hazard_are_where_it_is_scored() -> None:
    document, offset = at_cursor(POLICY.replace("x.insult], cost", "x.ins|ult], cost"))
    assert shown(definitions(document, offset, none)) == [("bank.yaml", 5, "x.insult"), ("bank.yaml", 6, "x.insult")]


def test_cases_lead_to_their_policy() -> None:
    document, offset = at_cursor(CASES.replace("{tone:", "{|tone:"), "bank_test.yaml")
    assert shown(definitions(document, offset, among(BOTH))) == [("bank.yaml", 5, "tone")]
    document, offset = at_cursor(CASES.replace("kindness", "kind|ness"), "bank_test.yaml")
    assert shown(definitions(document, offset, among(BOTH))) == [("bank.yaml", 8, "kindness")]
    document, offset = at_cursor(CASES.replace("bank.yaml", "bank|.yaml"), "bank_test.yaml")
    assert shown(definitions(document, offset, among(BOTH))) == [("bank.yaml", 1, "")]
    assert definitions(document, offset, none) == []


def test_a_packaged_policy_is_found() -> None:
    document, offset = at_cursor("policy: str|ict\ncases: []\n", "bank_test.yaml")
    ((home, _),) = definitions(document, offset, lambda path: path.read_text())
    assert home.path.endswith("strict.yaml")


@pytest.mark.parametrize("text", ["# only |words", "metadata: {name: ba|nk}", "budgets: [{cost: to|ne}]", "|"])
def test_what_is_defined_nowhere_leads_nowhere(text: str) -> None:
    document, offset = at_cursor(text)
    assert definitions(document, offset, none) == []


def test_references_are_found_in_cases_too() -> None:
    document, offset = at_cursor(POLICY.replace("max(tone", "max(|tone"))
    everywhere = [("bank.yaml", 5, "tone"), ("bank.yaml", 8, "tone"), ("bank_test.yaml", 3, "tone")]
    assert shown(references(document, offset, among(BOTH))) == everywhere
    assert shown(references(document, offset, among(BOTH), definitions=False)) == everywhere[1:]


def test_cases_of_another_policy_are_left_alone() -> None:
    document, offset = at_cursor(POLICY.replace("max(tone", "max(|tone"))
    other = {"bank_test.yaml": CASES.replace("bank.yaml", "strict")}
    assert len(references(document, offset, among(other))) == 2


def test_a_new_name_goes_everywhere_and_the_policy_stays_sound() -> None:
    document, offset = at_cursor(POLICY.replace("id: kindness", "id: |kindness"))
    places = renamed(document, offset, "manners", among(BOTH))
    assert [name for name, *_ in shown(places)] == ["bank.yaml", "bank_test.yaml"]
    document, offset = at_cursor(POLICY.replace("max(tone", "max(|tone"))
    text = document.text
    for _, span in reversed(renamed(document, offset, "voice", none)):
        text = text[: span.start] + "voice" + text[span.end :]
    assert text.count("voice") == 2
    assert find(Document("bank.yaml", text), none) == ()


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("max(tone", "max(|tone", "max"),
        ("max(tone", "max(|tone", "words"),
        ("max(tone", "max(|tone", "Two Words"),
        ("id: kind", "id: |kind", ""),
        ("x.insult], cost", "|x.insult], cost", "hte"),
        ("[hte, x.insult], cost", "[|hte, x.insult], cost", "x.hate"),
        ("threshold", "|threshold", "limit"),
    ],
)
def test_names_that_cannot_be_are_refused(old: str, new: str, name: str) -> None:
    document, offset = at_cursor(POLICY.replace(old, new, 1))
    with pytest.raises(RequestError):
        renamed(document, offset, name, none)


def said(text: str, path: str = "bank.yaml", files: dict[str, str] | None = None) -> str:
    document, offset = at_cursor(text, path)
    found = hover(document, offset, find(document, none), among(files or {}))
    return found[1] if found is not None else ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("threshold:", "thres|hold:", ["only what a score has above it costs anything", "0 to 1 (score)", "required"]),
        ("threshold:", "thres|hold:", ["overdrawn (over 0.05) by one score above 0.45"]),
        ("budget: 0.05", "bud|get: 0.05", ["default: `0.0`", "accumulated cost"]),
        ("id: kindness", "id: kind|ness", ["**kindness**: a budget", "of one answer"]),
        ("max(tone", "max(to|ne", ["kind `latent`", "`toxic-tone`", "insults, demeans or hates", "otherwise `words`"]),
        ("  words:", "  wor|ds:", ["kind `lexical`", "Blind to any wording it has not seen"]),
        ("[hte, x.insult], cost", "[h|te, x.insult], cost", ["**hte**: hate", "`S10`"]),
        ("x.insult], cost", "x.|insult], cost", ["a hazard of your own"]),
        ("head: toxic-tone", "head: toxic|-tone", ["insults, demeans or hates", "**head** of a cost model"]),
        ("kind: lexical", "kind: lex|ical", ["which kind of cost model this is"]),
        ("metadata:", "meta|data:", ["name, version and owners"]),
    ],
)
def test_hover_texts_say_what_a_thing_means(old: str, new: str, words: list[str]) -> None:
    text = said(POLICY.replace(old, new, 1))
    assert [word for word in words if word not in text] == []


def test_a_fault_shows_its_page() -> None:
    text = said(POLICY.replace("threshold", "tres|hold"))
    assert "P013: " in text
    assert "Instead:" in text


def test_a_budget_of_a_broken_policy_shows_its_keys_alone() -> None:
    text = said(POLICY.replace("threshold:", "thres|hold:").replace("name: bank", "nome: bank"))
    assert "only what a score has above it" in text
    assert "overdrawn" not in text


def test_cases_show_what_a_budget_comes_to() -> None:
    text = said(CASES.replace("kindness", "kind|ness"), "bank_test.yaml", BOTH)
    assert "overdrawn (over 0.05)" in text
    assert "the budget that denies it" in text


@pytest.mark.parametrize("text", ["services: {we|b: 1}", "# so|me words", "|"])
def test_nothing_is_said_of_other_texts(text: str) -> None:
    assert said(text, "compose.yaml") == ""


BASE = POLICY.replace("name: bank", "name: base")
CHILD = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: child, version: 1.0.0, owners: [you@example.org]}
extends: ba|se.yaml
budgets:
  - {id: kindness, cost: tone, threshold: 0.3}
"""


def test_a_policy_leads_to_the_one_that_it_extends() -> None:
    files = {"base.yaml": BASE}
    for extends in ("ba|se.yaml", "{policy: ba|se.yaml, version: '>=1'}"):
        document, offset = at_cursor(CHILD.replace("ba|se.yaml", extends), "child.yaml")
        assert shown(definitions(document, offset, among(files))) == [("base.yaml", 1, "")]
    document, offset = at_cursor(CHILD.replace("ba|se", "base").replace("tone", "to|ne"), "child.yaml")
    assert shown(definitions(document, offset, among(files))) == [("base.yaml", 5, "tone")]
    assert len(references(document, offset, among(files))) == 3
    assert "insults, demeans" in said(CHILD.replace("ba|se", "base").replace("tone", "to|ne"), "child.yaml", files)
    document, offset = at_cursor(CHILD.replace("ba|se.yaml", "str|ict"), "child.yaml")
    ((home, _),) = definitions(document, offset, lambda path: path.read_text())
    assert home.path.endswith("strict.yaml")


def test_a_name_of_the_parent_is_not_changed_from_its_child() -> None:
    document, offset = at_cursor(CHILD.replace("ba|se", "base").replace("tone", "to|ne"), "child.yaml")
    with pytest.raises(RequestError, match="extends"):
        renamed(document, offset, "voice", among({"base.yaml": BASE}))


def test_policies_that_extend_each_other_are_followed_once() -> None:
    document, offset = at_cursor(CHILD.replace("ba|se.yaml", "child.yaml").replace("tone", "to|ne"), "child.yaml")
    assert len(references(document, offset, among({"child.yaml": document.text}))) == 1


def test_names_are_followed_as_far_as_policies_may_extend_others() -> None:
    texts = {f"/p/{place}.yaml": f"extends: ./{place + 1}.yaml\n" for place in range(MOST + 3)}
    document = Document("/p/0.yaml", texts["/p/0.yaml"])
    line = policies(document, lambda path: texts.get(os.path.normpath(path)))
    assert [Path(one.path).name for one in line] == [f"{place}.yaml" for place in range(MOST + 1)]
