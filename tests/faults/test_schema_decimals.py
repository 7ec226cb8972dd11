"""Decimals of pydantic, whose expressions look ahead in some of its releases, and formats that only pydantic has."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from pydantic import UUID4, BaseModel, IPvAnyAddress

from ig_guardrail.errors import RequestError
from ig_guardrail.schemas import fault_in, followable
from ig_guardrail.schemas.expressions import without_look_around
from ig_guardrail.text.calls import ResponseFormat
from tests.faults.schema_answers import babbled, takes

HEAD = r"^(?!^[-+.]*$)[+-]?0*"
ANY = HEAD + r"\d*\.?\d*$"
PRICE = HEAD + r"(?:\d{0,3}|(?=[\d.]{1,6}0*$)\d{0,3}\.\d{0,2}0*$)"  # of 5 digits, 2 of them behind the point
PATTERNS = [
    ANY,
    HEAD + r"\d*\.?\d{0,1}0*$",
    HEAD + r"\d*\.?\d{0,2}0*$",
    PRICE,
    HEAD + r"(?:\d{0,2}|(?=[\d.]{1,4}0*$)\d{0,2}\.\d{0,1}0*$)",
    HEAD + r"(?:\d{0,0}|(?=[\d.]{1,3}0*$)\d{0,0}\.\d{0,3}0*$)",
    HEAD + r"(?:\d{0,3}|(?=[\d.]{1,4}0*$)\d*\.\d*0*$)",
]
SHORT = ["".join(signs) for size in range(6) for signs in itertools.product("01.+-", repeat=size)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_text_is_one_that_the_schema_means(pattern: str) -> None:
    said = re.compile(without_look_around(pattern), re.ASCII)
    kept = [text for text in SHORT if said.search(text)]
    assert kept
    assert all(re.search(pattern, text, re.ASCII) and Decimal(text).is_finite() for text in kept)


def test_where_there_is_no_limit_all_of_them_are_there() -> None:
    said = re.compile(without_look_around(ANY), re.ASCII)
    assert all(bool(said.search(text)) is bool(re.search(ANY, text, re.ASCII)) for text in SHORT)


@pytest.mark.parametrize("schema", [{"type": "string"}, {"anyOf": [{"type": "number"}, {"type": "string"}]}])
def test_a_decimal_is_followed_and_checked(schema: dict[str, Any]) -> None:
    part = {"type": "string", "pattern": PRICE}
    price = {"anyOf": [{"type": "number"}, part]} if "anyOf" in schema else part
    for checked in ({}, {"not": {"const": "7"}}):
        assert takes({**price, **checked}, "12.50")
        assert not takes({**price, **checked}, "12.505")
        assert not takes({**price, **checked}, "+.")
    assert fault_in(price, "12.50") is None
    assert fault_in(price, "a lot") is not None


@pytest.mark.parametrize("pattern", ["(?=a)", "^(?!a)b$", HEAD + "x$", ANY + "|a"])
def test_other_look_around_is_refused(pattern: str) -> None:
    with pytest.raises(RequestError, match="cannot be followed"):
        followable({"type": "string", "pattern": pattern}, 64)


class Parts(BaseModel):
    """What pydantic has formats of its own for."""

    id: UUID4
    host: IPvAnyAddress


def test_formats_of_pydantic_are_followed() -> None:
    for seed in range(3):
        text, finish = babbled(ResponseFormat(schema=Parts.model_json_schema()), seed, 150)
        assert finish == "stop"
        assert Parts.model_validate_json(text)
    right, wrong = str(uuid.uuid4()), str(uuid.uuid1())
    assert takes(Parts.model_json_schema(), {"id": right, "host": "::1"})
    assert not takes(Parts.model_json_schema(), json.loads(json.dumps({"id": wrong, "host": "::1"})))
