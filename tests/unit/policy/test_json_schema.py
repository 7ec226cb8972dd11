"""The JSON Schema for editors: whole, valid, and with faults at the key that has them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.policy import packaged_names
from ig_guardrail.policy.language.budgets import COST_MODEL
from ig_guardrail.policy.language.names import NOTES
from ig_guardrail.policy.reference.json_schema import json_schema
from ig_guardrail.policy.reference.page import reference
from ig_guardrail.policy.validation.presence import offered_names
from ig_guardrail.types.hazards import HAZARDS
from tests.unit.policy.corpus.bases import all_sections, grown

SCHEMA: dict[str, Any] = json.loads(json_schema())
VALIDATOR = Draft7Validator(SCHEMA)


def parts(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema that describes a value, with the word that it stands under."""
    if isinstance(schema, dict):
        yield name, schema
        for word in ("properties", "patternProperties"):
            for key, one in schema.get(word, {}).items():
                yield from parts(one, f"{word}.{key}")
        for word in ("items", "additionalProperties", "propertyNames", "then", "else"):
            yield from parts(schema.get(word), word)
        for word in ("anyOf", "allOf"):
            for one in schema.get(word, ()):
                yield from parts(one, word)


def model(kind: str) -> dict[str, Any]:
    """A cost model of a kind with every key, as the language's own examples write them."""
    return {key: yaml.safe_load(field.example) for key, field in COST_MODEL.sections[kind].fields.items()}


def refusal(entry: dict[str, Any]) -> Any:
    """What is told of a policy with a cost model."""
    policy = {**SCHEMA["examples"][0], "cost_models": {"own": entry}}
    return best_match(VALIDATOR.iter_errors(policy))


def test_it_is_a_schema_of_a_draft_that_editors_read_and_refers_to_nothing_outside() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft7Validator.META_SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert SCHEMA["$id"].startswith("urn:")
    assert not any("$ref" in part or "oneOf" in part for _, part in parts(SCHEMA))


def test_patterns_mean_the_same_to_editors() -> None:
    patterns = [part["pattern"] for _, part in parts(SCHEMA) if "pattern" in part]
    assert patterns
    assert not any(re.search(r"\(\?[^:=!]|\\[AZz]", pattern) for pattern in patterns)


def test_every_key_has_a_title_a_text_and_an_example_that_fits() -> None:
    schema = {key: part for key, part in SCHEMA.items() if key not in ("if", "then")}  # which tell what is needed
    keys = [(name, part) for name, part in parts(schema) if name.startswith("properties.") and part]
    described = [(name, part) for name, part in keys if part.keys() - {"enum"}]  # what `if` asks is no description
    assert len(described) > 150
    for name, part in described:
        assert part["title"], name
        assert part["description"], name
        assert part["examples"], name
    assert all(part.get("title") for name, part in parts(schema) if name in ("items", "additionalProperties"))
    for name, part in parts(SCHEMA):
        for example in part.get("examples", ()):
            assert list(Draft7Validator(part).iter_errors(example)) == [], name


def test_a_policy_that_extends_another_needs_only_what_each_says_for_itself() -> None:
    head = {key: SCHEMA["examples"][0][key] for key in ("apiVersion", "kind", "metadata")}
    part = {
        "budgets": [{"id": "crimes", "threshold": 0.3}],
        "cost_models": {"help": {"on_error": "closed"}},
        "prompt": {"threshold": 0.5},
        "tools": {"limits": [{"id": "pays", "calls": 1}]},
        "messages": {"refusal": {"de": "Nein."}},
    }
    assert list(VALIDATOR.iter_errors({**head, **part, "extends": "strict"})) == []
    needed = {error.message.split()[0] for error in VALIDATOR.iter_errors({**head, **part})}
    assert needed == {"'hazards'", "'cost'", "'kind'", "'on_exceed'", "'tool'", "'closing'", "'en'"}
    wrong = {**head, "extends": "strict", "budgets": [{"threshold": 2}]}
    assert {error.message.split()[0] for error in VALIDATOR.iter_errors(wrong)} == {"'id'", "2"}


def test_every_key_of_the_language_is_in_the_schema_and_in_the_reference() -> None:
    page = reference()
    known = {frozenset(part["properties"]) for _, part in parts(SCHEMA) if "properties" in part}
    for section in all_sections():
        notes = NOTES if section.notes else {}
        assert {*section.fields, *notes} in known, section.title
        for key, field in section.fields.items():
            assert re.search(rf"^\| `{key}` \|.*{re.escape(field.doc)}", page, re.MULTILINE), (section.title, key)


@pytest.mark.parametrize("name", packaged_names())
def test_packaged_policies_are_valid_against_it(name: str) -> None:
    text = resources.files("ig_guardrail.policies").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) == []


def test_policies_with_every_other_key_are_valid_against_it() -> None:
    for name, text in grown().items():
        assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) == [], name


@pytest.mark.parametrize("kind", KINDS)
def test_a_cost_model_with_every_key_is_valid(kind: str) -> None:
    assert refusal(model(kind)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_misspelt_key_of_a_cost_model_is_named(kind: str) -> None:
    for key in model(kind):
        fault = refusal({f"{name}x" if name == key else name: value for name, value in model(kind).items()})
        assert list(fault.absolute_path) == ["cost_models", "own"]
        assert f"'{key}x'" in fault.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_cost_model_with_a_value_of_another_type_is_named(kind: str) -> None:
    wrong: tuple[Any, ...] = (None, [], {}, 7.5)
    for key, value in itertools.product(model(kind), wrong):
        fault = refusal({**model(kind), key: value})
        assert list(fault.absolute_path)[:3] == ["cost_models", "own", key], (value, fault.message)


@pytest.mark.parametrize(("key", "value"), [("threshold", "high"), ("hazards", ["nrc"]), ("hazards", "everything")])
def test_a_fault_in_a_budget_is_told_at_its_key(key: str, value: object) -> None:
    budget = {**SCHEMA["examples"][0]["budgets"][0], key: value}
    fault = best_match(VALIDATOR.iter_errors({**SCHEMA["examples"][0], "budgets": [budget]}))
    assert fault is not None
    assert list(fault.absolute_path)[:3] == ["budgets", 0, key]


def test_names_that_come_with_the_package_are_completed_and_others_may_stand() -> None:
    branches = SCHEMA["properties"]["cost_models"]["additionalProperties"]["allOf"][1:]
    for branch, kind in zip(branches, KINDS, strict=True):
        for key in KINDS[kind].fields:
            offered = offered_names(kind, key)
            if offered:
                known, form = branch["then"]["properties"][key]["anyOf"]
                assert known == {"enum": list(offered)}
                assert list(Draft7Validator(form).iter_errors("./heads/mine")) == []
    hazards = SCHEMA["properties"]["budgets"]["items"]["properties"]["hazards"]["then"]["items"]
    assert hazards["anyOf"][0]["enum"] == list(HAZARDS)
    assert len(hazards["anyOf"][0]["enumDescriptions"]) == len(HAZARDS)
    swaps = SCHEMA["properties"]["search"]["properties"]["swaps"]["items"]["anyOf"][0]["enum"]
    assert "gender" in swaps
