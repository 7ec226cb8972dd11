"""Reports for other programs: SARIF 2.1.0 for code scanning, JUnit's XML for build servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.diagnostics.rules import rules

if TYPE_CHECKING:
    from ig_guardrail.policy.diagnostics.report import FileReport, Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
NOT_STARTED = "start"  # the rule that a policy which does not start breaks
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sarif(report: Report) -> str:
    """The report as one SARIF run; warnings that are waived are suppressed results."""
    used = {fault.code for one in report.files for fault in (*one.faults, *(waived for waived, _ in one.waived))}
    book = [_rule(code) for code in sorted(used)]
    if any(one.start for one in report.files):
        text = {"text": "a valid policy that does not start"}
        book.append({"id": NOT_STARTED, "name": NOT_STARTED, "shortDescription": text})
    places = {rule["id"]: index for index, rule in enumerate(book)}
    results = [result for one in report.files for result in _results(one, places, report.strict)]
    return sarif_log("ig-guardrail policy check", results, book)


def sarif_log(tool: str, results: Sequence[Mapping[str, Any]], book: Sequence[Mapping[str, Any]] | None = None) -> str:
    """Results of one tool as a SARIF log. book: its rules, where they have pages."""
    driver = {"name": tool, **({} if book is None else {"rules": book})}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def file_uri(path: str) -> str:
    """A path as SARIF wants it: relative with slashes, or a file URI."""
    if not PurePath(path).is_absolute():
        return quote(PurePath(path).as_posix(), errors="replace")
    return Path(path).as_uri() if path.isprintable() else quote(path, errors="replace")


def junit(report: Report) -> str:
    """The report as XML: a suite a file, in it a failed case a fault, and one that passes where nothing fails."""
    suites = ElementTree.Element("testsuites", name="ig-guardrail policy check")
    for one in report.files:
        failing = [fault for fault in one.faults if report.strict or fault.severity == "error"]
        cases = [*_cases(one, failing)]
        failures = len(failing) + bool(one.start)
        skipped = sum(case.find("skipped") is not None for case in cases)
        counts = {
            "name": _xml(one.path),
            "tests": str(len(cases)),
            "failures": str(failures),
            "errors": "0",
            "skipped": str(skipped),
        }
        ElementTree.SubElement(suites, "testsuite", counts).extend(cases)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _rule(code: str) -> dict[str, Any]:
    page = rules()[code]
    return {
        "id": code,
        "name": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.why},
        "help": {"text": page.page()},
        "defaultConfiguration": {"level": page.severity},
    }


def _results(one: FileReport, places: dict[str, int], strict: bool) -> Iterator[dict[str, Any]]:
    for fault in one.faults:
        yield _result(fault, places, "error" if strict else fault.severity)
    for fault, reason in one.waived:
        suppression = {"kind": "external", "justification": reason}
        yield {**_result(fault, places, fault.severity), "suppressions": [suppression]}
    if one.start:
        place = {"physicalLocation": {"artifactLocation": {"uri": file_uri(one.path)}}}
        text = {"text": one.start}
        yield {
            "ruleId": NOT_STARTED, "ruleIndex": places[NOT_STARTED], "level": "error", "message": text,
            "locations": [place],
        }  # fmt: skip


def _result(fault: Diagnostic, places: dict[str, int], level: str) -> dict[str, Any]:
    region = {"startLine": fault.line, "startColumn": fault.column, "endColumn": fault.column + fault.length}
    place: dict[str, Any] = {"artifactLocation": {"uri": file_uri(fault.file)}} | (
        {"region": region} if fault.line else {}
    )
    logical = [{"fullyQualifiedName": fault.path}]
    return {
        "ruleId": fault.code,
        "ruleIndex": places[fault.code],
        "level": level,
        "message": {"text": _said(fault)},
        "locations": [{"physicalLocation": place, "logicalLocations": logical}],
    }


def _cases(one: FileReport, failing: Sequence[Diagnostic]) -> Iterator[ElementTree.Element]:
    for fault in failing:
        name = _xml(f"{fault.code} {fault.path}")
        case = ElementTree.Element("testcase", classname=_xml(one.path), name=name)
        failure = ElementTree.SubElement(case, "failure", type=fault.code, message=_xml(fault.message))
        failure.text = _xml(f"{fault.file}:{fault.line}:{fault.column}: {_said(fault)}")
        yield case
    for fault, reason in one.waived:
        case = ElementTree.Element("testcase", classname=_xml(one.path), name=_xml(f"{fault.code} {fault.path}"))
        ElementTree.SubElement(case, "skipped", message=_xml(f"waived: {reason}"))
        yield case
    case = ElementTree.Element("testcase", classname=_xml(one.path), name="starts" if one.start else "valid")
    if one.start:
        ElementTree.SubElement(case, "failure", type=NOT_STARTED, message="does not start").text = _xml(one.start)
    if one.start or not failing:
        notes = [fault for fault in one.faults if fault not in failing]
        if notes:
            lines = [f"{fault.severity} {fault.code} {fault.line}:{fault.column}: {_said(fault)}" for fault in notes]
            ElementTree.SubElement(case, "system-out").text = _xml("\n".join(lines))
        yield case


def _said(fault: Diagnostic) -> str:
    label = f": {fault.label}" if fault.label else ""
    return f"{fault.message}{label}. {fault.why}. {fault.help}".rstrip()


def _xml(text: str) -> str:
    """Text that XML can hold."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
