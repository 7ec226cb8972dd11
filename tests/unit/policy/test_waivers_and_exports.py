"""Warnings that fail, warnings that somebody answers for, and reports for other programs."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from ig_guardrail.policy import check_files, compile_text
from ig_guardrail.policy.diagnostics.exports import junit, sarif
from ig_guardrail.policy.reference.json_schema import json_schema
from tests.unit.policy.test_doubts import policy

OPEN = policy(allow_unguarded="true")
WAIVER = "{code: P144, path: allow_unguarded, reason: measured, owner: me@example.org, expires: 2999-12-31}"


def folder(tmp_path: Path, *waivers: str, text: str = OPEN) -> Path:
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    if waivers:
        listed = "".join(f"  - {one}\n" for one in waivers)
        (tmp_path / "waivers.yaml").write_text(f"waivers:\n{listed}", encoding="utf-8")
    return tmp_path


def told(place: Path, **how: bool) -> list[tuple[str, str]]:
    return [(Path(one.path).name, fault.code) for one in check_files([place], **how).files for fault in one.faults]


def test_warnings_fail_where_it_is_asked_for(tmp_path: Path) -> None:
    place = folder(tmp_path)
    assert check_files([place]).exit_code == 0
    assert check_files([place], strict=True).exit_code == 1
    (tmp_path / "p.yaml").write_text(policy(), encoding="utf-8")
    assert check_files([place], strict=True).exit_code == 0


def test_a_waived_warning_is_told_with_its_reason_and_does_not_fail(tmp_path: Path) -> None:
    report = check_files([folder(tmp_path, WAIVER)], strict=True)
    assert report.exit_code == 0
    text = report.as_text(color=False)
    assert "waived: P144 at allow_unguarded: measured" in text
    assert "1 file, 1 valid, 0 errors, 0 warnings, 1 waived" in text
    assert json.loads(report.as_json())["files"][0]["waived"][0]["reason"] == "measured"


def test_waivers_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    file = tmp_path / "w.yml"
    file.write_text(f"waivers: [{WAIVER.replace('}', ', file: policies/p.yaml}')}]", encoding="utf-8")
    report = check_files([folder(tmp_path / "policies")], strict=True, waivers=str(file))
    assert report.exit_code == 0
    assert check_files([tmp_path / "policies"], waivers=str(tmp_path / "none.yaml")).exit_code == 2


@pytest.mark.parametrize(
    ("waiver", "found"),
    [
        (WAIVER.replace("2999", "2020"), [("p.yaml", "P144"), ("waivers.yaml", "P147")]),
        (WAIVER.replace("allow_unguarded", "budgets"), [("p.yaml", "P144"), ("waivers.yaml", "P148")]),
        (WAIVER.replace("P144", "P101"), [("p.yaml", "P144"), ("waivers.yaml", "P148")]),
        (WAIVER.replace("P144", "P044"), [("p.yaml", "P144"), ("waivers.yaml", "P020")]),
        (WAIVER.replace("reason: measured, ", ""), [("p.yaml", "P144"), ("waivers.yaml", "P015")]),
        (WAIVER.replace("2999-12-31", "2999-02-30"), [("p.yaml", "P144"), ("waivers.yaml", "P020")]),
        (WAIVER.replace("}", ", file: q.yaml}"), [("p.yaml", "P144")]),
        ("nonsense", [("p.yaml", "P144"), ("waivers.yaml", "P016")]),
    ],
)
def test_a_waiver_that_is_over_idle_or_faulty_waives_nothing_and_is_told(
    tmp_path: Path, waiver: str, found: list[tuple[str, str]]
) -> None:
    assert told(folder(tmp_path, waiver)) == found


def test_a_waiver_for_a_policy_that_was_not_checked_is_not_called_idle(tmp_path: Path) -> None:
    folder(tmp_path, WAIVER.replace("allow_unguarded", "budgets"))
    (tmp_path / "q.yaml").write_text(policy(), encoding="utf-8")
    assert told(tmp_path / "q.yaml") == []
    assert ("waivers.yaml", "P148") in told(tmp_path)


def test_an_error_cannot_be_waived(tmp_path: Path) -> None:
    text = policy(allow_unguarded="maybe")
    assert ("p.yaml", "P016") in told(folder(tmp_path, WAIVER, text=text))


def test_folders_are_searched_to_their_end(tmp_path: Path) -> None:
    for name in ("a.yml", "sub/deep/b.yaml", ".hidden/c.yaml", "p_test.yaml", "waivers.yml", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" if name != "waivers.yml" else f"waivers: [{WAIVER}]", encoding="utf-8")
    searched = [Path(one.path).name for one in check_files([tmp_path]).files if one.policy]
    assert searched == ["a.yml", "b.yaml"]
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    assert check_files([tmp_path / "empty"]).exit_code == 2


def test_standard_input_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(OPEN.encode())))
    (report,) = check_files(["-"]).files
    assert (report.path, [fault.code for fault in report.faults]) == ("<stdin>", ["P144"])


def test_sarif_has_the_parts_that_readers_need(tmp_path: Path) -> None:
    folder(tmp_path, WAIVER)
    (tmp_path / "bad é.yaml").write_text(policy(budgets="[]"), encoding="utf-8")
    (tmp_path / "cut.yaml").write_text("a: [", encoding="utf-8")
    log = json.loads(sarif(check_files([tmp_path, tmp_path / "none.yaml"], strict=True)))
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    assert all(rule["shortDescription"]["text"] and rule["help"]["text"] for rule in driver["rules"])
    assert {result["ruleId"] for result in run["results"]} == set(ids) >= {"P001", "P004", "P027", "P144"}
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        (place,) = result["locations"]
        region = place["physicalLocation"].get("region")
        assert place["physicalLocation"]["artifactLocation"]["uri"].isascii()
        assert region is None or (region["startLine"] > 0 and region["endColumn"] > region["startColumn"] > 0)
    (waived,) = [result for result in run["results"] if "suppressions" in result]
    assert (waived["ruleId"], waived["suppressions"]) == ("P144", [{"kind": "external", "justification": "measured"}])


def test_junit_counts_what_fails(tmp_path: Path) -> None:
    folder(tmp_path, WAIVER)
    (tmp_path / "bad\x01.yaml").write_text(policy(budgets="[]", allow_unguarded="true"), encoding="utf-8")
    suites = ElementTree.fromstring(junit(check_files([tmp_path])))
    bad, good = suites
    assert (good.get("failures"), good.get("skipped"), good.get("tests")) == ("0", "1", "2")
    assert (bad.get("failures"), len(bad)) == ("1", 1)
    failure = bad.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "P027"
    strict = ElementTree.fromstring(junit(check_files([tmp_path], strict=True)))
    assert [suite.get("failures") for suite in strict] == ["1", "0"]
    (tmp_path / "waivers.yaml").unlink()
    strict = ElementTree.fromstring(junit(check_files([tmp_path], strict=True)))
    assert [suite.get("failures") for suite in strict] == ["1", "1"]


NOTES = "description: For us., labels: {team: shop, a.b/c: d}, x-ticket: [1, {a: null}]"


def test_notes_are_allowed_where_people_put_them_and_are_in_no_hash() -> None:
    bare, _ = compile_text(policy(), "p.yaml")
    text = policy().replace("owners: [you@example.org]", f"owners: [you@example.org], {NOTES}")
    text = text.replace("model: words,", f"model: words, {NOTES},").replace("id: words,", f"id: words, {NOTES},")
    noted, faults = compile_text(f"{text}x-team: {{a: b}}\ndescription: All of it.\n", "p.yaml")
    assert noted is not None, faults
    assert bare is not None
    assert faults == ()
    assert noted.normal_form == bare.normal_form


@pytest.mark.parametrize(
    ("note", "code"), [("description: []", "P016"), ("labels: {a: {}}", "P016"), ("descripton: a", "P013")]
)
def test_notes_have_a_form(note: str, code: str) -> None:
    text = policy().replace("id: words,", f"id: words, {note},")
    assert [fault.code for fault in compile_text(text, "p.yaml")[1]] == [code]


def test_notes_are_not_allowed_elsewhere() -> None:
    assert [fault.code for fault in compile_text(policy(search="{x-a: 1}"), "p.yaml")[1]] == ["P013"]


def test_the_schema_knows_notes() -> None:
    schema = json.loads(json_schema())
    for part in (schema, schema["properties"]["metadata"], schema["properties"]["budgets"]["items"]):
        assert {"description", "labels"} <= part["properties"].keys()
        assert part["patternProperties"].keys() == {"^x-"}
