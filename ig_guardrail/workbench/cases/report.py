"""What a run of cases found, for people, for programs, for code hosts (SARIF 2.1.0) and for test runners (JUnit)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ig_guardrail.policy.diagnostics.exports import file_uri, sarif_log
from ig_guardrail.policy.diagnostics.render import printable, printable_lines, render
from ig_guardrail.policy.yaml.decoding import lines
from ig_guardrail.workbench.cases.coverage import Coverage, coverages
from ig_guardrail.workbench.cases.reasons import reasons
from ig_guardrail.workbench.cases.suite import CaseResult, CaseStepResult, FileResult, statuses

MOST_MISSING = 200  # lines of what no case tries


@dataclass(frozen=True, slots=True)
class CaseReport:
    """Files of cases and their results. require: percent of each policy that cases must try; None does not look."""

    files: tuple[FileResult, ...]
    coverage: tuple[Coverage, ...] = ()
    require: float | None = None

    @property
    def exit_code(self) -> int:
        """0: all pass; 1: a case does not, or too little is tried; 2: a file is unusable, or there is none."""
        if not self.files or any(not one.file.usable for one in self.files):
            return 2
        counts = statuses(self.files)
        return 1 if counts["failed"] or counts["error"] or self.short else 0

    @property
    def short(self) -> list[Coverage]:
        """Policies of which too little is tried."""
        return [one for one in self.coverage if self.require is not None and one.share < self.require]

    def as_text(self) -> str:
        """The report for people: what is wrong, then what is not tried, then the counts."""
        parts = [part for one in self.files for part in _told_file(one)]
        parts += [_told_coverage(one) for one in self.coverage]
        parts += [f"{printable(one.policy)}: {self._told_short(one)}" for one in self.short]
        counts = statuses(self.files)
        said = [f"{count} {status}" for status, count in counts.items() if count or status == "passed"]
        unusable = sum(not one.file.usable for one in self.files)
        said += [f"{unusable} unusable file{'s' if unusable > 1 else ''}"] if unusable else []
        total = sum(counts.values())
        return "\n\n".join([*parts, f"{total} case{'' if total == 1 else 's'}: {', '.join(said)}"])

    def _told_short(self, one: Coverage) -> str:
        return f"too little is tried: {one.share:.0f} %, and {self.require:g} % are asked for"

    def as_json(self) -> str:
        """The report for programs."""
        files = [
            {
                "path": one.file.path,
                "policy": str(one.file.source) if one.file.usable else None,
                "unusable": one.file.unusable,
                "faults": [fault.as_dict() for fault in one.file.faults],
                "cases": [_as_dict(one, result) for result in one.results],
            }
            for one in self.files
        ]
        coverage = [
            {"policy": one.policy, "percent": round(one.share, 1), "missing": list(one.missing)}
            for one in self.coverage
        ]
        return json.dumps({"files": files, "coverage": coverage}, indent=2, ensure_ascii=False)

    def as_sarif(self) -> str:
        """One result for each case that fails or cannot be run, and for each fault of a file."""
        return sarif_log("ig-guardrail policy test", [_sarif(*problem) for problem in self._problems()])

    def as_junit(self) -> str:
        """A test suite for each file of cases."""
        root = Element("testsuites")
        for one in self.files:
            suite = SubElement(root, "testsuite", name=printable(one.file.path), tests=str(max(1, len(one.results))))
            for key, status in (("failures", "failed"), ("errors", "error"), ("skipped", "todo")):
                suite.set(key, str(sum(result.status == status for result in one.results)))
            for result in one.results:
                _junit(
                    SubElement(
                        suite, "testcase", name=printable_lines(result.case.name), classname=printable(one.file.path)
                    ),
                    one,
                    result,
                )
            if not one.file.usable:
                suite.set("errors", "1")
                case = SubElement(suite, "testcase", name="the file", classname=printable(one.file.path))
                SubElement(case, "error", message="unusable").text = printable_lines("\n\n".join(_told_file(one)))
        for short in self.short:
            suite = SubElement(root, "testsuite", name=printable(short.policy), tests="1", failures="1")
            case = SubElement(suite, "testcase", name="coverage", classname=printable(short.policy))
            SubElement(case, "failure", message=self._told_short(short)).text = printable_lines(_told_coverage(short))
        indent(root)
        return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode")

    def _problems(self) -> list[tuple[str, str, int, int, str]]:
        found = []
        for one in self.files:
            path = one.file.path
            found += [(fault.code, path, fault.line, fault.column, fault.message) for fault in one.file.faults]
            found += [("unusable", path, 1, 1, one.file.unusable)] if one.file.unusable else []
            for result in one.results:
                if result.status in ("failed", "error"):
                    text = "\n".join([result.case.name, *_why(one, result)])
                    found.append((result.status, path, result.case.line, result.case.column, text))
        return found + [("coverage", one.policy, 1, 1, self._told_short(one)) for one in self.short]


def report_on(files: Sequence[FileResult], require: float | None, cover: bool) -> CaseReport:
    """The report on results, with what no case tries where that is asked for."""
    return CaseReport(tuple(files), tuple(coverages(files)) if cover or require is not None else (), require)


def _told_file(one: FileResult) -> list[str]:
    file = one.file
    if not file.usable:
        told = [render(fault, lines(file.text)) for fault in file.faults]
        return [*told, *([f"{printable(file.path)}: {file.unusable}"] if file.unusable else [])]
    return ["\n".join(_told_case(one, result)) for result in one.results if result.status != "passed"]


def _told_case(one: FileResult, result: CaseResult) -> list[str]:
    case = result.case
    head = f"{result.status}: {printable(one.file.path)}:{case.line}:{case.column}: {printable(case.name)}"
    return [head, *(f"  {line}" for line in _why(one, result))]


def _why(one: FileResult, result: CaseResult) -> list[str]:
    """Why a case did not pass, a line each."""
    if result.case.todo is not None:
        return [f"to do: {printable(result.case.todo)}"]
    told = []
    for place, step in enumerate(result.steps):
        if step.differences:
            turn = f"turn {place + 1}, " if len(result.case.steps) > 1 else ""
            told += [f"{turn}{one.key}: expected {one.expected}, found {one.found}" for one in step.differences]
            told += _reasons(one, step)
    return [*told, *([result.error] if result.error else [])]


def _reasons(one: FileResult, step: CaseStepResult) -> list[str]:
    return reasons(step.step, step.judged, step.trace, step.costs, one.policy)


def _told_coverage(one: Coverage) -> str:
    head = f"{printable(one.policy)}: cases try {len(one.needed) - len(one.missing)} of {len(one.needed)}"
    missing = [f"  no case tries {printable(what)}" for what in one.missing[:MOST_MISSING]]
    rest = len(one.missing) - len(missing)
    return "\n".join([f"{head} ({one.share:.0f} %)", *missing, *([f"  and {rest} more"] if rest else [])])


def _as_dict(one: FileResult, result: CaseResult) -> dict[str, Any]:
    steps = [
        {
            "kind": step.step.kind,
            "outcome": step.trace.outcome,
            "spend": {name: spent["spent"] for name, spent in step.trace.receipt.spend.items()},
            "differences": [{"key": d.key, "expected": d.expected, "found": d.found} for d in step.differences],
            "reasons": _reasons(one, step),
        }
        for step in result.steps
    ]
    case = result.case
    return {
        "name": case.name,
        "line": case.line,
        "column": case.column,
        "status": result.status,
        "todo": case.todo,
        "error": result.error,
        "steps": steps,
    }


def _sarif(rule: str, path: str, line: int, column: int, text: str) -> dict[str, Any]:
    region = {"startLine": max(1, line), "startColumn": max(1, column)}
    place = {"physicalLocation": {"artifactLocation": {"uri": file_uri(path)}, "region": region}}
    return {"ruleId": rule, "level": "error", "message": {"text": text}, "locations": [place]}


def _junit(case: Element, one: FileResult, result: CaseResult) -> None:
    why = printable_lines("\n".join(_why(one, result)))
    if result.status == "todo":
        SubElement(case, "skipped", message=why)
    elif result.status != "passed":
        name = "failure" if result.status == "failed" else "error"
        SubElement(case, name, message=why.partition("\n")[0]).text = f"line {result.case.line}\n{why}"
