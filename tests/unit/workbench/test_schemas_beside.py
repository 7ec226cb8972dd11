"""The JSON Schemas of files of cases and of waivers: valid, exact about the place, of one mind with the reader."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from ig_guardrail.policy import load_policy
from ig_guardrail.policy.reference.json_schema import json_schema
from ig_guardrail.policy.sources import PolicySource
from ig_guardrail.policy.waivers import waivers_of
from ig_guardrail.workbench.cases.reading import cases_in
from ig_guardrail.workbench.schemas import cases_schema, waivers_schema

PACKAGED = sorted(
    one.name for one in resources.files("ig_guardrail.policies").iterdir() if one.name.endswith("_test.yaml")
)
WAIVERS = """\
waivers:
  - {code: P103, path: budgets, file: observe.yaml, reason: measured, owner: me@example.org, expires: "2027-06-30"}
  - {code: P134, path: "tools.arguments[0].most", reason: reviewed, owner: you@example.org, expires: "2027-06-30"}
"""
TURNS = """\
policy: strict
cases:
  - name: a conversation
    turns:
      - {answer: Yes., scores: [{help: 0.1}], expect: {outcome: completed}}
      - {call: {refund: {amount: 5}}, expect: {outcome: denied, budget: tools}}
    language: de
    expect: {outcome: denied}
  - {name: not yet, message: refusal.en, todo: later}
  - {name: a question, prompt: How, expect: {action: none, fired: []}}
"""
SCHEMAS = {"cases": json.loads(cases_schema()), "waivers": json.loads(waivers_schema())}
VALIDATORS = {name: Draft7Validator(schema) for name, schema in SCHEMAS.items()}
POLICY = load_policy("default")
OF_THE_POLICY = ("T003",)  # the policy is not known to a schema


def packaged(name: str) -> Any:
    return yaml.safe_load((resources.files("ig_guardrail.policies") / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_they_are_schemas_that_editors_read_and_refer_to_nothing_outside(name: str) -> None:
    schema = SCHEMAS[name]
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == json.loads(json_schema())["$schema"]
    assert schema["$id"] == f"urn:ig-guardrail:schema:{name}:v1"
    assert schema["description"]
    assert "$ref" not in json.dumps(schema)
    (key,) = set(schema["required"])
    fields = schema["properties"][key]["items"]["properties"]
    assert all(one["title"] and one["description"] and one["examples"] for one in fields.values())
    for validator, example in ((VALIDATORS[name], one) for one in schema["examples"]):
        assert list(validator.iter_errors(example)) == []


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_cases_are_valid(name: str) -> None:
    assert list(VALIDATORS["cases"].iter_errors(packaged(name))) == []


def test_other_cases_and_waivers_are_valid() -> None:
    assert list(VALIDATORS["cases"].iter_errors(yaml.safe_load(TURNS))) == []
    assert list(VALIDATORS["waivers"].iter_errors(yaml.safe_load(WAIVERS))) == []


@pytest.mark.parametrize(
    ("of", "text", "place"),
    [
        ("cases", TURNS.replace("language: de", "langauge: de"), ["cases", 0]),
        ("cases", TURNS.replace("{outcome: denied}", "{outcme: denied}"), ["cases", 0, "expect"]),
        ("cases", TURNS.replace("budget: tools", "bugdet: tools"), ["cases", 0, "turns", 1, "expect"]),
        (
            "cases",
            TURNS.replace("outcome: completed", "outcome: complete"),
            ["cases", 0, "turns", 0, "expect", "outcome"],
        ),
        ("waivers", WAIVERS.replace("owner:", "ownr:", 1), ["waivers", 0]),
        ("waivers", WAIVERS.replace("P103", "P1x3"), ["waivers", 0, "code"]),
    ],
)
def test_a_fault_is_told_at_its_key(of: str, text: str, place: list[Any]) -> None:
    faults = list(VALIDATORS[of].iter_errors(yaml.safe_load(text)))
    assert place in [list(fault.absolute_path) for fault in faults], faults
    best = best_match(faults)
    assert list(best.absolute_path)[: len(place)] == place


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from spots(one, (*path, key))


def changed(value: Any, draw: random.Random) -> Any:
    """A document with one edit: something taken out, renamed, or replaced by a value of another kind or range."""
    told = copy.deepcopy(value)
    *path, last = draw.choice([path for path in spots(told) if path])
    home = told
    for step in path:
        home = home[step]
    match draw.randrange(4):
        case 0:
            del home[last]
        case 1 if isinstance(home, dict):
            key = draw.choice(sorted(map(str, home)))
            items = list(home.items())
            home.clear()
            home |= {f"{name}s" if str(name) == key else name: one for name, one in items}
        case 2 if isinstance(home, dict):
            home[draw.choice(["answer", "prompt", "call", "scores", "expect", "todo", "action", "owner", "x"])] = "some"
        case _:
            home[last] = draw.choice([True, -1, 7, 1.5, 1e9, "some", "x" * 300, [], {}, [1], {"outcome": "denied"}])
    return told


def read_cases(told: Any) -> bool:
    found = cases_in(yaml.safe_dump(told).encode(), "default_test.yaml", lambda _: POLICY)
    return not [one for one in found.faults if one.code not in OF_THE_POLICY]


def read_waivers(told: Any) -> bool:
    return not waivers_of(PolicySource("waivers.yaml", yaml.safe_dump(told).encode())).report.faults


@pytest.mark.parametrize(
    ("of", "documents", "reads"),
    [
        ("cases", [yaml.safe_load(TURNS)], read_cases),
        ("waivers", [yaml.safe_load(WAIVERS)], read_waivers),
    ],
)
def test_schema_and_reader_are_of_one_mind(of: str, documents: list[Any], reads: Callable[[Any], bool]) -> None:
    draw, refused = random.Random(16), 0
    for _ in range(150):
        told = changed(draw.choice(documents), draw)
        valid = VALIDATORS[of].is_valid(told)
        assert valid == reads(told), (told, [one.message for one in VALIDATORS[of].iter_errors(told)])
        refused += not valid
    assert 75 < refused < 150
