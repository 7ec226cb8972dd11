"""Policies that extend others: what they come to, what they may not do, and where that is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ig_guardrail.policy import Diagnostic, check_files, compile_text, load_policy
from ig_guardrail.policy.check import files_behind, open_policy
from ig_guardrail.policy.inheritance.charging import scores_as_much
from ig_guardrail.policy.inheritance.origins import flat, origins
from ig_guardrail.policy.inheritance.parents import MOST
from ig_guardrail.policy.inheritance.tightening import FREE
from ig_guardrail.policy.language.budgets import BUDGET
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.types import CompiledPolicy

HEAD = "apiVersion: ig-guardrail/v1\nkind: SafetyPolicy\nmetadata: {name: child, version: 1.0.0}\n"
BASE = r"""apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: base, version: 1.4.0, owners: [safety@example.org]}
loosenable: [budgets.tone.threshold, messages.closing]
cost_models:
  words: {kind: lexical, model: words, hazards: [hte, ncr], on_error: open}
  screen: {kind: lexical, model: screen, hazards: [ncr]}
  mine: {kind: lexical, model: ./heads/mine, hazards: [hte]}
  cards: {kind: pattern, patterns: ['\d{4}-\d', {name: iban, pattern: 'DE\d{20}'}], longest_match: 32, hazards: [prv]}
budgets:
  - {id: crime, hazards: [ncr], cost: words, threshold: 0.5, budget: 0.1}
  - id: tone
    hazards: [hte]
    cost: max(words, mine)
    threshold: 0.5
    accumulate: sum
    budget: 0.3
  - {id: privacy, hazards: [prv], cost: cards, threshold: 0, mode: shadow}
  - {id: long, hazards: [hte], cost: words, threshold: 0.4, scope: conversation, decay: 0.5, window: 5}
prompt: {cost: screen, threshold: 0.8, on_exceed: search}
tools:
  allow: ["pay*", read]
  deny: ["*_all"]
  arguments: [{tool: "pay*", argument: amount, most: 100}]
  limits: [{id: pays, tool: "pay*", calls: 3}]
search: {candidates: 8, restart: Be kind.}
messages:
  refusal: {en: "I cannot help with that."}
  closing: {en: "I will stop here."}
"""


def test_nothing_is_fetched() -> None:
    address = "https://example.org/policies/strict.yaml"
    _, (fault,) = compile_text(f"{HEAD}extends: {address}\n", "policy.yaml")
    (found,) = check_files([address]).files[0].faults
    for one, code in ((fault, "P050"), (found, "P001")):
        assert (one.code, one.label) == (code, "it is an address, and nothing is fetched")
        assert one.help == "keep a copy as a file, and name that"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base" / "policy.yaml"
    path.parent.mkdir()
    path.write_text(BASE)
    (tmp_path / "child").mkdir()
    return path


def child(base: Path, text: str, name: str = "../base/policy.yaml") -> tuple[CompiledPolicy | None, list[Diagnostic]]:
    file = base.parents[1] / "child" / "policy.yaml"
    file.write_text(f"{HEAD}extends: {name}\n{text}")
    policy, faults = compile_text(file.read_bytes(), str(file), warn=False)
    return policy, list(faults)


def taken(base: Path, text: str) -> CompiledPolicy:
    policy, faults = child(base, text)
    assert policy is not None, faults
    return policy


TIGHTER = [
    "",
    "budgets: [{id: crime, threshold: 0.4}]",
    "budgets: [{id: crime, budget: 0}]",
    "budgets: [{id: crime, weight: 2}]",
    "budgets: [{id: crime, accumulate: sum}]",
    "budgets: [{id: crime, every: 8}]",
    "budgets: [{id: crime, hazards: all}]",
    "budgets: [{id: crime, hazards: [S2, hte]}]",
    'budgets: [{id: crime, cost: "max(words, screen)"}]',
    'budgets: [{id: crime, cost: "0.2 + words"}]',
    "budgets: [{id: privacy, mode: enforce}]",
    "budgets: [{id: long, decay: 0.7}]",
    "budgets: [{id: long, window: 0}]",
    "budgets: [{id: tone, threshold: 0.9}]  # loosenable",
    "budgets: [{id: more, hazards: [hte], cost: mine, threshold: 0.1, mode: shadow}]",
    "cost_models: {words: {on_error: closed}}",
    "cost_models: {words: {timeout_ms: 9000}}",
    "cost_models: {screen: {timeout_ms: 10}}",
    "cost_models: {cards: {patterns: ['\\d{3} \\d{3}']}}",
    "cost_models: {cards: {patterns: ['\\d{4}-\\d']}}  # which is there already",
    "prompt: {threshold: 0.5}",
    "prompt: {on_exceed: refuse}",
    'prompt: {cost: "max(screen, words)"}',
    "tools: {allow: [pay_small, read]}",
    "tools: {deny: [read, '*_all']}",
    "tools: {arguments: [{argument: amount, least: 0}]}",
    "tools: {limits: [{id: pays, calls: 0}, {id: reads, tool: read, calls: 5}]}",
    "search: {candidates: 2, hold: 0}",
    "search: {strategy: cut}\noutput: {on_exceed: [end]}\nprompt: {on_exceed: refuse}",
    'messages: {refusal: {de: "Dabei kann ich nicht helfen."}}',
    'messages: {closing: {en: "That is all."}}  # loosenable',
]

LOOSER = [
    ("budgets: [{id: crime, threshold: 0.6}]", "budgets[0].threshold", "0.5", 11),
    ("budgets: [{id: crime, budget: 0.2}]", "budgets[0].budget", "0.1", 11),
    ("budgets: [{id: crime, weight: 0.5}]", "budgets[0].weight", "1.0", 11),
    ("budgets: [{id: crime, discount: 0.99}]", "budgets[0].discount", "1.0", 11),
    ("budgets: [{id: crime, mode: shadow}]", "budgets[0].mode", "enforce", 11),
    ("budgets: [{id: crime, every: 10}]", "budgets[0].every", "16", 11),
    ("budgets: [{id: crime, every: 32}]", "budgets[0].every", "16", 11),
    ("budgets: [{id: crime, scope: conversation}]", "budgets[0].scope", "response", 11),
    ("budgets: [{id: crime, cost: screen}]", "budgets[0].cost", "words", 11),
    ('budgets: [{id: crime, cost: "min(words, screen)"}]', "budgets[0].cost", "words", 11),
    ('budgets: [{id: crime, cost: "0.9 * words"}]', "budgets[0].cost", "words", 11),
    ("budgets: [{id: crime, hazards: [hte]}]", "budgets[0].hazards", '["ncr"]', 11),
    ("budgets: [{id: tone, accumulate: max}]", "budgets[1].accumulate", "sum", 16),
    ("budgets: [{id: privacy, every: 8}]  # a match may be cut", "budgets[2].every", "16", 18),
    ('budgets: [{id: privacy, cost: "max(cards, words)"}]', "budgets[2].cost", "cards", 18),
    ("budgets: [{id: long, decay: 0.4}]", "budgets[3].decay", "0.5", 19),
    ("budgets: [{id: long, window: 4}]", "budgets[3].window", "5", 19),
    ("cost_models: {words: {model: screen}}", "cost_models.words.model", "words", 6),
    ("cost_models: {words: {hazards: [hte, ncr, vcr]}}", "cost_models.words.hazards", '["hte", "ncr"]', 6),
    ("cost_models: {words: {timeout_ms: 10}}", "cost_models.words.timeout_ms", "2000", 6),
    ("cost_models: {words: {otherwise: spare}, spare: {kind: lexical, model: screen, hazards: [hte, ncr]}}",
     "cost_models.words.otherwise", "nothing", 6),
    ("cost_models: {words: {scale: {from: 0.5, to: 0.6}}}", "cost_models.words.scale", "nothing", 6),
    ("cost_models: {screen: {on_error: open}}", "cost_models.screen.on_error", "closed", 7),
    ("cost_models: {mine: {kind: python, entry_point: judge, hazards: [hte]}}", "cost_models.mine.kind", "lexical", 8),
    ("cost_models: {cards: {patterns: [{name: iban, pattern: 'XX'}]}}", "cost_models.cards.patterns", "", 9),
    ("cost_models: {cards: {normalise: none}}", "cost_models.cards.normalise", "nothing", 9),
    ("cost_models: {cards: {longest_match: 40}}", "cost_models.cards.longest_match", "32", 9),
    ("prompt: {threshold: 0.9}", "prompt.threshold", "0.8", 20),
    ("prompt: {on_exceed: observe}", "prompt.on_exceed", "search", 20),
    ("prompt: {cost: words}", "prompt.cost", "screen", 20),
    ("tools: {allow: ['*']}", "tools.allow", "", 22),
    ("tools: {limits: [{id: pays, calls: 4}]}", "tools.limits[0].calls", "3", 25),
    ("tools: {limits: [{id: pays, tool: pay_small}]}", "tools.limits[0].tool", "pay*", 25),
    ("reasoning: ignore", "reasoning", "charge", 0),
    ("allow_unguarded: true", "allow_unguarded", "false", 0),
    ('messages: {refusal: {en: "No."}}', "messages.refusal.en", "I cannot help with that.", 28),
]  # fmt: skip


@pytest.mark.parametrize("text", TIGHTER)
def test_what_is_stricter_is_taken(base: Path, text: str) -> None:
    taken(base, text)


@pytest.mark.parametrize(("text", "place", "says", "line"), LOOSER, ids=[row[0] for row in LOOSER])
def test_what_is_not_shown_to_be_as_strict_is_refused_with_both_places(
    base: Path, text: str, place: str, says: str, line: int
) -> None:
    policy, faults = child(base, text)
    assert policy is None
    (fault,) = faults
    assert (fault.code, fault.path, fault.line) == ("P052", place, 5), fault
    assert fault.file.endswith("child/policy.yaml")
    assert f"the parent says {says}" in fault.label
    assert not line or fault.label.endswith(f"{base}:{line}")
    assert fault.help.endswith("under `loosenable`")
    assert fault.message.endswith("the parent's")


def test_every_key_of_the_language_has_a_rule_or_is_free() -> None:
    said = {row[1].replace("[0]", "").replace("[1]", "").replace("[2]", "").replace("[3]", "") for row in LOOSER}
    budgets = {place.split(".")[1] for place in said if place.startswith("budgets.")}
    assert {*BUDGET.fields} - budgets == {"id", "tool"}  # it is stricter to stay the same
    sections = {place.split(".")[0] for place in said}
    assert set(POLICY.fields) - sections == {*FREE - {"swaps"}, "extends", "loosenable"}


def test_a_part_that_is_not_known_here_stays_the_same() -> None:
    assert not scores_as_much("words", "max(words, screen)")
    assert scores_as_much("max(screen, words + 0.1)", "max(words, 0.5 * screen)") is False  # though it is so
    assert scores_as_much("mean(max(a, b), c)", "mean(a, c)")
    assert scores_as_much("0.6 * a", "0.5 * a")
    assert not scores_as_much("a", "min(a, b)"), "b's failure would not be seen"


def test_a_child_and_the_same_policy_written_out_have_the_same_hash(base: Path) -> None:
    for text in TIGHTER:
        taken(base, text)
        found, policy = open_policy(base.parents[1] / "child" / "policy.yaml")
        assert found.tree is not None
        whole = flat(found.tree)
        assert "extends" not in yaml.safe_load(whole)
        again, faults = compile_text(whole, str(base.parents[1] / "child" / "whole.yaml"), warn=False)
        assert again is not None, (faults, whole)
        assert again.sha256 == policy.sha256
        assert again == policy


def test_nothing_but_a_name_gives_the_parent_under_that_name(base: Path) -> None:
    policy, parent = taken(base, ""), load_policy(base)
    assert (policy.name, policy.version, policy.owners) == ("child", "1.0.0", ())
    assert policy.budgets == parent.budgets
    assert policy.cost_models == parent.cost_models, "paths start where they did"
    assert policy.parents == (str(base),)
    assert "extends" not in json.loads(policy.normal_form)


def test_paths_of_a_parent_start_at_its_folder(base: Path) -> None:
    policy = taken(base, "")
    assert json.loads(policy.normal_form)["cost_models"]["mine"]["model"] == "../base/heads/mine"
    (mine,) = [one for one in policy.cost_models if one.name == "mine"]
    assert mine.options["model"] == str(base.parent / "heads" / "mine")


def test_a_packaged_policy_is_extended_by_name() -> None:
    policy, faults = compile_text(f"{HEAD}extends: strict\nbudgets: [{{id: toxic-tone, threshold: 0.3}}]", "p.yaml")
    assert policy is not None, faults
    assert faults == ()
    assert [one.threshold for one in policy.budgets] == [0.4, 0.3]


@pytest.mark.parametrize(
    ("extends", "code", "words"),
    [
        ("strcit", "P050", "did you mean `strict`?"),
        ("./none.yaml", "P050", "there is no such file"),
        ("none.yaml", "P050", "there is no such file"),
        ("./", "P050", "it is not a file"),
        ("policy.yaml", "P050", "it extends itself"),
        ('{policy: ../base/policy.yaml, version: ">=2"}', "P051", "it is 1.4.0, and `>=2` is asked for"),
        ('{policy: ../base/policy.yaml, version: ">=1.0,<1.4"}', "P051", "it is 1.4.0"),
        ('{policy: ../base/policy.yaml, version: "~1.4"}', "P020", "a range of versions"),
        ("{version: '>=1'}", "P015", "`policy` is missing"),
        ("[strict]", "P016", "a list"),
        ("Strict", "P020", "not a packaged policy"),
    ],
)
def test_a_parent_that_cannot_be_had_is_told_at_extends(base: Path, extends: str, code: str, words: str) -> None:
    policy, faults = child(base, "", extends)
    assert policy is None
    (fault,) = faults
    assert (fault.code, fault.line) == (code, 4)
    assert words in f"{fault.message} {fault.label} {fault.help}"


@pytest.mark.parametrize("versions", [">=1.0,<2", "==1.4", ">1.3.9 , <=1.4.0", ">=1.4.0"])
def test_a_parent_of_a_version_that_is_asked_for_is_taken(base: Path, versions: str) -> None:
    policy, faults = child(base, "", f'{{policy: ../base/policy.yaml, version: "{versions}"}}')
    assert policy is not None, faults


def test_a_circle_is_told_once_where_it_closes(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"{HEAD}extends: ./{other}.yaml\n")
    _, faults = compile_text((tmp_path / "a.yaml").read_bytes(), str(tmp_path / "a.yaml"))
    assert [(Path(one.file).name, one.code) for one in faults] == [("a.yaml", "P050"), ("b.yaml", "P050")]
    assert "by way of its parents, it extends itself" in faults[1].label


def test_a_long_line_of_parents_ends(tmp_path: Path) -> None:
    (tmp_path / "p0.yaml").write_text(f"{HEAD}extends: strict\n")
    for place in range(1, MOST + 2):
        (tmp_path / f"p{place}.yaml").write_text(f"{HEAD}extends: p{place - 1}.yaml\n")
    taken_, refused = (load(tmp_path / f"p{place}.yaml") for place in (MOST - 1, MOST))
    assert taken_ is not None
    assert refused is None


def load(path: Path) -> CompiledPolicy | None:
    return compile_text(path.read_bytes(), str(path), warn=False)[0]


def test_standard_input_has_no_folder_for_a_parent(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    monkeypatch.chdir(base.parent)
    policy, (fault,) = compile_text(f"{HEAD}extends: ./policy.yaml\n", "<stdin>")
    assert policy is None
    assert (fault.code, fault.label) == ("P050", "standard input has no folder for it to start at")
    assert compile_text(f"{HEAD}extends: strict\n", "<stdin>")[0] is not None


def test_faults_of_a_parent_are_told_in_its_file(base: Path) -> None:
    base.write_text(BASE.replace("threshold: 0.8", "treshold: 0.8"))
    policy, faults = child(base, "")
    assert policy is None
    assert [(Path(one.file).parent.name, one.code, one.line) for one in faults] == [
        ("child", "P050", 4),
        ("base", "P013", 20),
    ]
    report = check_files([str(base.parents[1] / "child" / "policy.yaml")])
    assert "20 | prompt: {cost: screen, treshold: 0.8, on_exceed: search}" in report.as_text(color=False)


def test_warnings_of_a_parent_are_its_own(base: Path) -> None:
    file = base.parents[1] / "child" / "policy.yaml"
    file.write_text(
        f"{HEAD}extends: ../base/policy.yaml\ncost_models:\n  idle: {{kind: lexical, model: words, hazards: [hte]}}\n"
    )
    alone = compile_text(base.read_bytes(), str(base))[1]
    assert alone
    own = compile_text(file.read_bytes(), str(file))[1]
    assert [(one.code, one.file) for one in own if one.code == "P101"] == [("P101", str(file))]
    assert not set(own) & set(alone)


@pytest.mark.parametrize(
    "text",
    [
        "tools: {allow: [read]}",
        "tools: {deny: [read, 'pay*']}",
        "tools: {arguments: [{tool: 'pay*', argument: amount, least: 0, most: 50}]}",
        "budgets: [{id: mine, hazards: [ncr], cost: words, threshold: 0.4}]",
        "cost_models: {cards: {patterns: ['DE']}}",
        "search: {strategy: cut}\noutput: {on_exceed: [end]}\nprompt: {on_exceed: refuse}",
    ],
)
def test_what_it_makes_idle_in_a_parent_is_no_doubt(base: Path, text: str) -> None:
    base.write_text(
        BASE.replace(", restart: Be kind.", "").replace(
            "mine: {kind: lexical, model: ./heads/mine", "mine: {kind: provided"
        )
    )
    file = base.parents[1] / "child" / "policy.yaml"
    file.write_text(f"{HEAD}extends: ../base/policy.yaml\n{text}")
    found, faults = compile_text(file.read_bytes(), str(file))
    assert found is not None, faults
    assert [(fault.code, fault.file, fault.line) for fault in faults] == []


def test_a_strategy_that_does_not_fit_the_parents_prompt_check_is_told_where_it_is_written(base: Path) -> None:
    _, faults = child(base, "output: {on_exceed: [end]}\nsearch: {restart: Be kind.}")
    (fault,) = [fault for fault in faults if "prompt.on_exceed" in fault.message]
    assert (fault.code, fault.file, fault.line) == ("P031", str(base.parents[1] / "child" / "policy.yaml"), 5)
    assert fault.help.startswith("write `prompt: {on_exceed: refuse}` too")


def test_a_misspelt_key_is_known_though_the_parent_writes_the_right_one(base: Path) -> None:
    _, (fault,) = child(base, "budgets: [{id: crime, thresold: 0.3}]")
    assert (fault.code, fault.label) == ("P013", "did you mean `threshold`?")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("budgets: [{id: crmie, threshold: 0.3}]", "did you mean `crime`?"),
        ("cost_models: {wrods: {on_error: closed}}", "did you mean `words`?"),
    ],
)
def test_a_change_to_what_the_parent_does_not_have_is_told(base: Path, text: str, meant: str) -> None:
    _, faults = child(base, text)
    assert [(one.code, one.help) for one in faults] == [("P054", meant)]


@pytest.mark.parametrize(
    ("place", "meant"),
    [("budgets.tonne.threshold", "budgets.tone.threshold"), ("search.candidates", ""), ("budgets.tone.thresold", "")],
)
def test_loosenable_names_something(base: Path, place: str, meant: str) -> None:
    base.write_text(BASE.replace("budgets.tone.threshold", place))
    policy, faults = compile_text(base.read_bytes(), str(base), warn=False)
    assert policy is None
    (fault,) = faults
    assert (fault.code, fault.line, fault.path) == ("P053", 4, "loosenable[0]")
    assert meant in fault.help


def test_leave_to_loosen_is_each_ancestors_own(base: Path) -> None:
    middle = base.parent / "middle.yaml"
    middle.write_text(
        f"{HEAD}extends: ./policy.yaml\nloosenable: [budgets.crime]\nbudgets: [{{id: crime, threshold: 0.3}}]\n"
    )
    for threshold, fine in ((0.4, True), (0.5, True), (0.6, False)):
        policy, faults = child(base, f"budgets: [{{id: crime, threshold: {threshold}}}]", "../base/middle.yaml")
        assert (policy is not None) is fine, faults
        assert fine or faults[0].label == f"the parent says 0.5, {base}:11"
    policy, _ = child(base, "budgets: [{id: tone, threshold: 0.9}]", "../base/middle.yaml")
    assert policy is None, "the one in the middle does not say so again"


def test_leave_to_loosen_changes_no_hash(base: Path) -> None:
    without = BASE.replace("loosenable: [budgets.tone.threshold, messages.closing]\n", "")
    found = [compile_text(one, "p.yaml", warn=False)[0] for one in (BASE, without)]
    assert len({one.sha256 for one in found if one is not None}) == 1
    assert None not in found


def test_it_is_told_which_file_says_what(base: Path) -> None:
    taken(base, "budgets: [{id: crime, threshold: 0.4}]\nreasoning: charge\n")
    found, _ = open_policy(base.parents[1] / "child" / "policy.yaml")
    assert found.tree is not None
    told = {one.place: (one.value, Path(one.file).parent.name, one.line) for one in origins(found.tree, found.file)}
    assert told["budgets.crime.threshold"] == ("0.4", "child", 5)
    assert told["budgets.crime.budget"] == ("0.1", "base", 11)
    assert told["budgets.tone"] == ("", "base", 12)
    assert told["reasoning"] == ("charge", "child", 6)
    assert told["search.candidates"] == ("8", "base", 26)


def test_the_files_behind_a_policy_are_known_even_if_they_are_not_there(base: Path) -> None:
    child(base, "", "../base/none.yaml")
    file = base.parents[1] / "child" / "policy.yaml"
    assert files_behind(file) == (str(base.parent / "none.yaml"),)
    (base.parent / "none.yaml").write_text(f"{HEAD}extends: ./policy.yaml")
    assert files_behind(file) == (str(base.parent / "none.yaml"), str(base))


ODD: list[Any] = [
    "[]",
    "{}",
    "7",
    "''",
    "null",
    "&a [*a]",
    "budgets: {a: 1}",
    "cost_models: [1]",
    "tools: 3",
    "budgets: [3, [], {}]",
]


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_never_raise(base: Path, text: str) -> None:
    policy, faults = child(base, text)
    assert policy is not None or faults
    assert child(base, "", text)[0] is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("budgets: []", "budgets"),
        ("cost_models: {}", "cost_models"),
        ("messages: {}", "messages"),
        ("messages: {refusal: {}}", "messages.refusal"),
        ("prompt: {}", "prompt"),
        ("tools: {deny: []}", "tools.deny"),
        ("cost_models: {cards: {patterns: []}}", "cost_models.cards.patterns"),
    ],
)
def test_what_is_written_as_if_it_emptied_a_part_of_the_parent_is_refused(base: Path, text: str, place: str) -> None:
    file = base.parents[1] / "child" / "policy.yaml"
    file.write_text(f"{HEAD}extends: ../base/policy.yaml\n{text}\n")
    found, faults = compile_text(file.read_bytes(), str(file))
    assert found is None
    assert [(one.code, one.path, one.label) for one in faults] == [("P027", place, "all that the parent says holds")]


def test_no_text_is_approved_that_the_parent_did_not_approve(base: Path) -> None:
    approved = '{text: "No.", approved: {owner: me@example.org, reason: "ours"}}'
    _, faults = child(base, f"messages: {{refusal: {{de: {approved}}}}}")
    assert [(one.code, one.path) for one in faults] == [("P052", "messages.refusal.de.approved")]
    taken(base, f"messages: {{closing: {{de: {approved}}}}}  # loosenable")
    taken(base, 'messages: {refusal: {by_hazard: {ncr: {en: "Not that."}}}}')
