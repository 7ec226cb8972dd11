"""Findings in the editor: those of `policy check`, of the text as it stands, at the places that editors count."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from ig_guardrail.policy import check_files
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.workbench.editor.document import Document, Encoding, Texts, read_text
from ig_guardrail.workbench.editor.findings import Fix, find, fixes, place
from tests.unit.policy.test_mistakes import MISTAKES
from tests.unit.policy.texts import edited
from tests.unit.workbench.editor.texts import CASES, POLICY, none

ROOT = Path(__file__).resolve().parents[4]
LATER = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
SHADOW = POLICY.replace("budget: 0.05", "budget: 0.05, mode: shadow")
WAIVER = f"waivers:\n  - {{code: P103, path: budgets, reason: measuring, owner: you@example.org, expires: {LATER}}}\n"
LONE = "waivers:\n  - {code: P134, path: budgets, reason: x, owner: me, expires: 2020-01-01}\n"


def opened(files: dict[Path, str]) -> Texts:
    """What is open; all else is read from disk."""
    return lambda path: files.get(path) or read_text(path)


def codes(found: tuple[Diagnostic, ...]) -> list[str]:
    return [one.code for one in found]


def test_findings_are_those_of_the_check(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    for _, old, new, _ in MISTAKES[::5]:
        text = edited((old, new))
        file.write_text(text, encoding="utf-8")
        (report,) = check_files([str(file)]).files
        assert find(Document(str(file), text), none) == report.faults, new


@pytest.mark.parametrize("name", ["default", "strict", "observe"])
def test_warnings_are_those_of_the_check(name: str, tmp_path: Path) -> None:
    text = (ROOT / "policies" / f"{name}.yaml").read_text().replace("threshold: 0.", "threshold: 0.9")
    file = tmp_path / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    (report,) = check_files([file]).files
    assert report.faults
    assert find(Document(str(file), text), none) == report.faults


def test_the_text_in_the_editor_is_judged_and_not_the_file(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("nonsense: [", encoding="utf-8")
    assert find(Document(str(file), POLICY), read_text) == ()
    file.write_text(POLICY, encoding="utf-8")
    assert codes(find(Document(str(file), POLICY.replace("tone, 0.5", "tome, 0.5")), read_text)) == ["P023"]


def test_waivers_count_saved_or_not(tmp_path: Path) -> None:
    file, waivers = tmp_path / "policy.yaml", tmp_path / "waivers.yaml"
    document = Document(str(file), SHADOW)
    assert codes(find(document, read_text)) == ["P103"]
    assert find(document, opened({waivers: WAIVER})) == ()
    waivers.write_text(WAIVER, encoding="utf-8")
    assert find(document, read_text) == ()
    assert codes(find(document, opened({waivers: LONE}))) == ["P103"]


def test_a_file_of_waivers_has_findings_of_its_own(tmp_path: Path) -> None:
    file, waivers = tmp_path / "policy.yaml", tmp_path / "waivers.yaml"
    file.write_text(POLICY, encoding="utf-8")
    assert codes(find(Document(str(waivers), WAIVER), read_text)) == ["P148"]
    assert find(Document(str(waivers), WAIVER), opened({file: SHADOW})) == ()
    assert codes(find(Document(str(waivers), LONE), read_text)) == ["P147"]
    assert codes(find(Document(str(waivers), "waivers:\n  - {code: P103}"), read_text)) == ["P015"] * 4
    assert codes(find(Document(str(tmp_path / "gone" / "waivers.yaml"), LONE), read_text)) in ([], ["P147"])


def test_cases_are_read_against_the_policy_that_is_open(tmp_path: Path) -> None:
    file, cases = tmp_path / "bank.yaml", Document(str(tmp_path / "bank_test.yaml"), CASES)
    assert codes(find(cases, read_text)) == ["T001"]
    assert find(cases, opened({file: POLICY})) == ()
    assert codes(find(cases, opened({file: POLICY.replace("kindness", "other")}))) == ["T003"]
    (broken,) = find(cases, opened({file: POLICY.replace("threshold: 0.4", "")}))
    assert (broken.code, "bank.yaml has faults" in broken.label) == ("T001", True)
    assert codes(find(replace(cases, text="cases: [{name: a}]"), opened({file: POLICY}))) == ["T002", "T002"]


def test_a_policy_that_is_too_long_is_told_so() -> None:
    assert codes(find(Document("bank.yaml", POLICY + "#" * 300_000), none)) == ["P003"]


@pytest.mark.parametrize(
    ("path", "text"),
    [("compose.yaml", "services: {web: {image: x}}"), ("pod.yaml", "apiVersion: v1\nkind: Pod"), ("new.yaml", "")],
)
def test_files_that_are_no_policies_have_none(path: str, text: str) -> None:
    assert find(Document(path, text), none) == ()


@pytest.mark.parametrize(
    ("encoding", "column"), [("utf-8", len("x: 😀é, ".encode()) + 2), ("utf-16", 10), ("utf-32", 9)]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places_are_counted_as_the_editor_counts(encoding: Encoding, column: int, end: str) -> None:
    text = f"{POLICY.replace('metadata: {', 'metadata: {')}x-note: 1\n".replace("\n", end)
    text = text.replace("metadata: {name", "metadata: {x-é: 😀é, nome")
    document = Document("bank.yaml", text, encoding)
    (fault,) = (one for one in find(document, none) if one.code == "P013")
    span = document.span(fault.line, fault.column, fault.length)
    assert text[span.start : span.end] == "nome"
    before = "metadata: {x-é: 😀é, "
    units = {"utf-8": len(before.encode()), "utf-16": len(before.encode("utf-16-le")) // 2, "utf-32": len(before)}
    assert document.line_column(span.start) == (2, units[encoding])
    assert document.offset(2, units[encoding]) == span.start
    assert column


@pytest.mark.parametrize("sign", ["\u2028", "\x85"])
def test_a_line_that_only_yaml_begins_is_refused_where_it_begins(sign: str) -> None:
    text = POLICY.replace("metadata:", f"# one{sign}# two{sign}\nmetadata:")
    document = Document("bank.yaml", text)
    (fault,) = find(document, none)
    assert fault.code == "P002"
    assert document.span(fault.line, fault.column, fault.length).start == text.index(sign)


def test_a_fault_in_a_policy_that_this_one_extends_is_shown_where_that_is_named() -> None:
    text = f"apiVersion: ig-guardrail/v1\nextends: base.yaml\nbudgets:{POLICY.partition('budgets:')[2]}"
    fault = Diagnostic("P013", "error", "budgets[0]", "base.yaml", 90, 5, 3, "unknown key", "", "", "write `cost`")
    document = Document("child.yaml", text)
    span = place(document, fault)
    assert text[span.start : span.end] == "base.yaml"
    assert place(Document("alone.yaml", POLICY), fault) == (0, 0)
    assert fixes(document, fault, none) == []


def mended(document: Document, fix: Fix) -> str:
    span = fix.edit.span
    return document.text[: span.start] + fix.edit.text + document.text[span.end :]


def of_words(document: Document, texts: Texts = none) -> list[tuple[str, str]]:
    """Each fix by its words, and the text after it."""
    found = [fix for fault in find(document, texts) for fix in fixes(document, fault, texts)]
    return [(fix.title, mended(document, fix)) for fix in found if fix.edit.path == document.path]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("threshold: 0.4", "treshold: 0.4"),
        ("tone, 0.5", "tome, 0.5"),
        ("kind: latent", "kind: latnet"),
        ("[hte, x.insult], cost", "[hat, x.insult], cost"),
        ("head: toxic-tone", "head: toxic-tome"),
        ("budget: 0.05", 'budget: "0.05"'),
        ("threshold: 0.4", "threshold: 40%"),
        ("otherwise: words", "otherwise: wods"),
        ("max(tone", "maxi(tone"),
        ("owners: [you@example.org]", "owners: you@example.org"),
    ],
)
def test_a_misspelling_is_mended_by_what_the_check_suggests(old: str, new: str) -> None:
    assert POLICY in [text for _, text in of_words(Document("bank.yaml", POLICY.replace(old, new)))]


def test_a_fix_may_set_another_key() -> None:
    pattern = "  iban: {kind: pattern, hazards: [prv], patterns: ['DE[0-9]{20}'], longest_match: 20}\nbudgets:\n"
    budget = "  - {id: secrets, hazards: [prv], cost: iban, threshold: 0.5, budget: 0}\nmessages:"
    text = POLICY.replace("budgets:\n", pattern).replace("messages:", budget)
    found = of_words(Document("bank.yaml", text))
    assert ("write `longest_match: 22`", text.replace("longest_match: 20", "longest_match: 22")) in found


def test_no_fix_is_offered_that_mends_nothing() -> None:
    """What a help names is not always what the place should hold: each is tried before it is offered."""
    offered = 0
    for _, old, new, _ in MISTAKES[::9]:
        document = Document("policy.yaml", edited((old, new)))
        for fault in find(document, none):
            for fix in fixes(document, fault, none):
                if fix.edit.path == document.path:
                    after = find(replace(document, text=mended(document, fix)), none)
                    assert (fault.code, fault.path, fault.line) not in {(one.code, one.path, one.line) for one in after}
                    offered += 1
    assert offered > 4


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("patterns: ['DE']", "patterns: ['IBAN']", "P130"),
        ("patterns: ['DE']", "patterns: ['.']", "P124"),
        ("owners: [you@example.org]", "owners: []", "P136"),
        ("budget: 0.05}", "budget: 0.05, x: 1}", "P013"),
    ],
)
def test_words_that_only_speak_of_a_place_are_no_fix(old: str, new: str, code: str) -> None:
    iban = "  iban: {kind: pattern, hazards: [hte], patterns: ['DE'], longest_match: 20}\nbudgets:\n"
    text = POLICY.replace("budgets:\n", iban).replace("max(tone", "max(iban, tone").replace(old, new, 1)
    document = Document("bank.yaml", text)
    found = [one for one in find(document, none) if one.code == code]
    assert found
    assert [fix.edit.text for fault in found for fix in fixes(document, fault, none) if not fix.edit.new] == []


def test_a_waiver_is_begun_and_counts_once_it_is_filled_in(tmp_path: Path) -> None:
    file, waivers = tmp_path / "policy.yaml", tmp_path / "waivers.yaml"
    document = Document(str(file), SHADOW)
    (fault,) = find(document, none)
    (fix,) = (one for one in fixes(document, fault, none) if one.title.startswith("waive"))
    assert (fix.edit.path, fix.edit.new) == (str(waivers), True)
    assert codes(find(document, opened({waivers: fix.edit.text}))) == ["P103"]
    assert set(codes(find(Document(str(waivers), fix.edit.text), opened({file: SHADOW})))) == {"P016"}
    filled = fix.edit.text.replace("reason: ", "reason: measuring").replace("owner: ", "owner: me")
    assert find(document, opened({waivers: filled})) == ()


@pytest.mark.parametrize(
    "there",
    ["waivers:\n- {code: P136, path: a, reason: b, owner: c, expires: 2026-01-01}   # so\n", "waivers: []\n", LONE],
)
def test_a_waiver_joins_those_that_are_there(there: str, tmp_path: Path) -> None:
    waivers = tmp_path / "waivers.yaml"
    document, texts = Document(str(tmp_path / "policy.yaml"), SHADOW), opened({waivers: there})
    (fault,) = find(document, texts)
    (fix,) = (one for one in fixes(document, fault, texts) if one.title.startswith("waive"))
    after = mended(Document(str(waivers), there), fix)
    filled = after.replace("reason: ,", "reason: x,").replace("owner: ,", "owner: me,")
    assert find(document, opened({waivers: filled})) == ()
