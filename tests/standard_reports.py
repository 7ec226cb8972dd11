"""The parts of SARIF 2.1.0 and of JUnit's XML that reports here may have, after the formats' own schemas.

SARIF: OASIS Standard, sections 3.13 to 3.51: every object is closed, so that a key that is none is a fault. JUnit: the
schema that build servers go by (`testsuites`, `testsuite`, `testcase` with at most one outcome).
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

from jsonschema import Draft7Validator

_TEXT = {"type": "string", "minLength": 1}
_PLACE = {"type": "integer", "minimum": 1}


def _closed(required: list[str], **keys: Any) -> dict[str, Any]:
    return {"type": "object", "properties": keys, "required": required, "additionalProperties": False}


_MESSAGE = _closed(["text"], text=_TEXT)
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_URI = {"type": "string", "pattern": r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+$"}
_REGION = _closed(["startLine"], startLine=_PLACE, startColumn=_PLACE, endLine=_PLACE, endColumn=_PLACE)
_RULE = _closed(
    ["id"],
    id=_TEXT,
    name=_TEXT,
    shortDescription=_MESSAGE,
    fullDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_closed(["level"], level=_LEVEL),
)
_LOCATION = _closed(
    ["physicalLocation"],
    physicalLocation=_closed(["artifactLocation"], artifactLocation=_closed(["uri"], uri=_URI), region=_REGION),
    logicalLocations={"type": "array", "items": _closed(["fullyQualifiedName"], fullyQualifiedName=_TEXT)},
)
_RESULT = _closed(
    ["message"],
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    message=_MESSAGE,
    locations={"type": "array", "items": _LOCATION},
    suppressions={
        "type": "array",
        "items": _closed(["kind"], kind={"enum": ["inSource", "external"]}, justification=_TEXT),
    },
)
_RUN = _closed(
    ["tool"],
    tool=_closed(["driver"], driver=_closed(["name"], name=_TEXT, rules={"type": "array", "items": _RULE})),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": _RESULT},
)
_LOG = _closed(
    ["version", "runs"],
    **{"$schema": _URI},
    version={"const": "2.1.0"},
    runs={"type": "array", "minItems": 1, "items": _RUN},
)


def faults_of_sarif(text: str) -> list[str]:
    """What in a text is against SARIF 2.1.0."""
    log = json.loads(text)
    told = [f"{list(one.absolute_path)}: {one.message}" for one in Draft7Validator(_LOG).iter_errors(log)]
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
