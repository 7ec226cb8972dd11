"""JSON schemas: every open end is bounded, every answer closes in its room, and every word holds or is refused."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from ig_guardrail.engine.grammar import compiling
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.schemas import followable
from ig_guardrail.schemas.formats import FORMATS
from ig_guardrail.text.calls import ResponseFormat, Tool, parse_calls
from tests.examples import examples
from tests.faults.schema_answers import BYTES, babbled, most, takes

WHOLE: dict[str, Any] = {"type": "integer"}
TEXT: dict[str, Any] = {"type": "string"}
ROOM = 64


def having(part: Any, **more: Any) -> dict[str, Any]:
    """An object with one key, `a`."""
    return {"type": "object", "properties": {"a": part}, "required": ["a"], **more}


# ------------------------------------------------------------------------------------------------------ bounded ends


@pytest.mark.parametrize(
    ("schema", "before", "unit"),
    [
        ({}, "", "7"),
        ({}, "", "["),
        ({}, '"', "x"),
        ({}, '"', "é"),
        (having(WHOLE), '{"a": ', "7"),
        (having(WHOLE), '{"a": -', "7"),
        (having({"type": "integer", "minimum": 1}), '{"a": ', "7"),
        (having({"type": "number"}), '{"a": 0.', "3"),
        (having({"type": "number"}), '{"a": 1e', "3"),
        (having({"type": "number"}), '{"a": 1E-', "3"),
        (having({"type": "number", "minimum": 0}), '{"a": 0.', "3"),
        (having({"type": "string", "pattern": "^[a-z]+$"}), '{"a": "', "x"),
        (having({"type": "string", "format": "uri"}), '{"a": "https://', "x"),
        (having({"type": "string", "format": "email"}), '{"a": "', "x"),
        ({"type": "object"}, '{"', "x"),
        ({"type": "object", "additionalProperties": WHOLE}, '{"a": 1', ', "b": 1'),
        ({"type": "array", "items": WHOLE}, "[1", ", 1"),
        ({"type": "array"}, "[", "["),
        ({"type": "object"}, "", '{"a": '),
        ({"$defs": {"x": having({"anyOf": [{"$ref": "#/$defs/x"}, WHOLE]})}, "$ref": "#/$defs/x"}, "", '{"a": '),
    ],
)
def test_nothing_goes_on_without_end(schema: Any, before: str, unit: str) -> None:
    assert most(schema, before, unit, ROOM) < 4 * ROOM


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1" * 400, "1E+999"])
@pytest.mark.parametrize("schema", [{}, {"type": "number"}, {"type": ["number", "null"]}])
def test_numbers_are_finite(schema: Any, text: str) -> None:
    assert most(schema, "", text, ROOM) == 0


# --------------------------------------------------------------------------------------------- closed within the room

leaves = st.one_of(
    st.sampled_from(
        [
            {},
            WHOLE,
            TEXT,
            {"type": "number"},
            {"type": "boolean"},
            {"type": ["integer", "null"]},
            {"type": "object"},
            {"type": "array"},
            {"type": "string", "pattern": "^[a-z]+-[0-9]{2}$"},
            {"type": "string", "pattern": "ab|c$"},
            {"type": "string", "pattern": "^[A-Z]", "minLength": 3, "maxLength": 5},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            {"type": "integer", "multipleOf": 7, "minimum": 50},
            {"enum": ["x", "ü ü", 3, None, {"b": [1]}]},
            {"$ref": "#/$defs/tree"},
        ]
    ),
    st.sampled_from(sorted(FORMATS)).map(lambda name: {"type": "string", "format": name}),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-500, 500),
        st.integers(0, 99),
    ),
    st.builds(
        lambda low, more: {**TEXT, "minLength": low, "maxLength": low + more}, st.integers(0, 9), st.integers(0, 9)
    ),
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(("id", "größe", "allOf", "a b")), max_size=3, unique=True))
    required = [name for name in names if draw(st.booleans())]
    free = draw(st.sampled_from([{}, {"additionalProperties": WHOLE}, {"additionalProperties": False}]))
    return {"type": "object", "properties": {name: draw(inner) for name in names}, "required": required, **free}


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = st.builds(
        lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 2)
    )
    joined = st.builds(
        lambda one, other: {"allOf": [having(one), {"required": ["b"], "properties": {"b": other}}]}, inner, inner
    )
    return st.one_of(
        objects(inner), arrays, st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner), joined
    )


TREE = {
    "type": "object",
    "properties": {"v": WHOLE, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    "required": ["kids"],
}
schemas = st.recursive(leaves, branches, max_leaves=4).map(lambda schema: {**schema, "$defs": {"tree": TREE}})
sparing = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def closed_or_refused(form: ResponseFormat, seed: int, room: int) -> str | None:
    """An answer, which ended by itself; None where the room is refused with what it takes, which is more."""
    try:
        text, finish = babbled(form, seed, room)
    except RequestError as error:
        refused = error.what
    else:
        assert finish == "stop"
        return text
    assert int(refused.split("it takes ")[1]) > room
    return None


def valid(schema: Any, value: Any) -> bool:
    known = (FORMATS.keys() & FormatChecker.checkers.keys()) - {"time"}  # which it checks by an older standard
    kept = FormatChecker(sorted(known))
    return bool(Draft202012Validator(schema, format_checker=kept).is_valid(value))


@pytest.mark.slow
@sparing
@given(schemas, st.integers(1, 120), st.integers(0, 10**6))
def test_every_answer_is_closed_in_its_room(schema: Any, room: int, seed: int) -> None:
    text = closed_or_refused(ResponseFormat(schema=schema), seed, room)
    assert text is None or valid(schema, json.loads(text))


@pytest.mark.parametrize("room", [4, 9, 17, 40])
@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "array"},
        having({"type": "string", "pattern": "^(ab)+c{3}$"}),
        having({"type": "number", "minimum": 1000, "maximum": 5000}, additionalProperties=TEXT),
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
        having({"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "maxLength": 0}]}),
        having({"anyOf": [{"type": "string", "pattern": "^x{30}$"}, {"type": "string", "maxLength": 3}]}),
    ],
)
def test_some_answers_that_are_closed_in_their_room(schema: Any, room: int) -> None:
    for seed in range(3):
        text = closed_or_refused(ResponseFormat(schema=schema), seed, room)
        assert text is None or valid(schema, json.loads(text))


@pytest.mark.parametrize("room", [30, 45, 80])
def test_calls_are_closed_in_their_room(room: int) -> None:
    tool = Tool("f", "", having({"type": "array", "items": TEXT}))
    text = closed_or_refused(ResponseFormat((tool,), "any", parallel=False), 3, room)
    assert text is None or len(parse_calls(text)[1]) == 1


def test_a_room_that_is_too_small_is_told_with_what_it_takes() -> None:
    text, finish = babbled(ResponseFormat(schema=having(WHOLE)), 1, 7)
    assert (json.loads(text).keys(), finish) == ({"a"}, "stop")
    with pytest.raises(RequestError, match=r"no answer of 6 tokens .* it takes 7"):
        babbled(ResponseFormat(schema=having(WHOLE)), 1, 6)


# ------------------------------------------------------------------------------------------- every word holds or not

PERSON = {"type": "object", "properties": {"name": TEXT, "kids": {"type": "array", "items": {"$ref": "#/$defs/p"}}}}
TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("unknown format", {"type": "string", "format": "password"}, ["x"], [1]),
    ("unknown format of a number", {"type": "integer", "format": "int64"}, [5], ["5"]),
    ("date", {"type": "string", "format": "date"}, ["2024-02-29"], ["2023-02-29", "2024-13-01", "0000-01-01"]),
    ("uniqueItems", {"type": "array", "items": TEXT, "uniqueItems": True}, [[], ["a", "b"]], [["a", "a"]]),
    (
        "names from a list",
        {"type": "object", "propertyNames": {"enum": ["de", "fr"]}, "additionalProperties": TEXT},
        [{"de": "x"}],
        [{"xx": "x"}],
    ),
    (
        "names of a pattern",
        {"type": "object", "propertyNames": {"pattern": "^[a-z]{2}$"}, "additionalProperties": WHOLE},
        [{"de": 1}],
        [{"d": 1}],
    ),
    (
        "names of a format",
        {"type": "object", "propertyNames": {"format": "date"}, "additionalProperties": WHOLE},
        [{"2024-01-02": 1}],
        [{"x": 1}],
    ),
    (
        "one of two keys",
        {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        [{"a": "x"}, {"b": "x"}],
        [{}, {"a": "x", "b": "x"}],
    ),
    ("one of overlapping types", {"oneOf": [WHOLE, {"type": "number", "minimum": 5}]}, [3, 5.5], [7]),
    (
        "one of two shapes",
        {"oneOf": [having(WHOLE), {"properties": {"b": WHOLE}, "required": ["b"], "type": "object"}]},
        [{"a": 1}, {"b": 1}],
        [{}, {"a": 1, "b": 1}],
    ),
    (
        "a required key without a schema",
        {"type": "object", "properties": {"a": WHOLE}, "required": ["a", "id"]},
        [{"a": 1, "id": [2]}],
        [{"a": 1}, {"a": 1, "id": 2, "x": 3}],
    ),
    (
        "the word allOf as a key",
        {"type": "object", "properties": {"allOf": WHOLE, "x": {"enum": ["allOf"]}}},
        [{"allOf": 1, "x": "allOf"}],
        [{"y": 1}],
    ),
    (
        "joined by allOf",
        {"allOf": [having(WHOLE), {"properties": {"b": TEXT}}]},
        [{"a": 1}, {"a": 1, "b": ""}],
        [{"a": 1, "c": 1}, {"b": ""}],
    ),
    (
        "joined beside a reference",
        {"$defs": {"x": having(WHOLE)}, "$ref": "#/$defs/x", "properties": {"b": TEXT}},
        [{"b": "", "a": 1}],
        [{"b": "", "a": ""}, {"a": 1, "c": 1}],
    ),
    ("a limit beside a reference", {"$defs": {"x": WHOLE}, "$ref": "#/$defs/x", "minimum": 5}, [6], [1]),
    ("an anchor", {"$defs": {"x": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"}, [1], ["1"]),
    (
        "its own address",
        {"$id": "http://e.org/s", "$defs": {"x": WHOLE}, "$ref": "http://e.org/s#/$defs/x"},
        [1],
        ["1"],
    ),
    ("object or null", {"type": ["object", "null"], "properties": {"a": WHOLE}}, [None, {"a": 1}], [1, {"b": 1}]),
    (
        "recursion",
        {"$defs": {"p": PERSON}, "$ref": "#/$defs/p"},
        [{"name": "A", "kids": [{"name": "B", "kids": []}]}],
        [{"name": 1}, {"kids": [{"nom": ""}]}],
    ),
    (
        "keys by pattern",
        {"type": "object", "patternProperties": {"^x-": WHOLE}, "additionalProperties": False},
        [{"x-a": 1}],
        [{"x-a": ""}, {"y": 1}],
    ),
    (
        "other keys",
        having(TEXT, additionalProperties=WHOLE),
        [{"a": "x", "b": 1}],
        [{"a": "x", "b": ""}, {"a": "x", "a b": None}],
    ),
    (
        "as many keys",
        {"type": "object", "properties": {"a": WHOLE, "b": WHOLE, "c": WHOLE}, "minProperties": 2},
        [{"a": 1, "c": 1}],
        [{"a": 1}],
    ),
    (
        "dependent keys",
        {"type": "object", "properties": {"a": WHOLE, "b": WHOLE}, "dependentRequired": {"a": ["b"]}},
        [{}, {"b": 1}, {"a": 1, "b": 1}],
        [{"a": 1}],
    ),
    ("not", {"type": "integer", "not": {"enum": [0, 1]}}, [2], [0, 1]),
    (
        "if and then",
        {
            "type": "object",
            "properties": {"k": {"enum": ["a", "b"]}, "v": WHOLE},
            "required": ["k"],
            "if": {"properties": {"k": {"const": "a"}}},
            "then": {"required": ["v"]},
        },
        [{"k": "b"}, {"k": "a", "v": 1}],
        [{"k": "a"}],
    ),
    ("contains", {"type": "array", "items": {"enum": [1, 2]}, "contains": {"const": 2}}, [[2], [1, 2]], [[], [1]]),
    (
        "contains what is rare",
        {"type": "array", "items": WHOLE, "contains": {"const": 7}, "minContains": 2},
        [[7, 7], [7, 1, 7]],
        [[], [1], [7]],
    ),
    (
        "contains objects of a kind",
        {
            "type": "array",
            "items": {"type": "object", "properties": {"k": {"enum": ["a", "bcd"]}, "n": WHOLE}, "required": ["k"]},
            "allOf": [{"contains": {"properties": {"k": {"const": "bcd"}}, "required": ["n"]}}],
            "minItems": 2,
        },
        [[{"k": "a"}, {"k": "bcd", "n": 1}]],
        [[{"k": "a"}, {"k": "bcd"}], [{"k": "bcd", "n": 1}]],
    ),
    (
        "contains any of a pattern",
        {"contains": {"type": "string", "pattern": "^k{3}$"}},
        [[1, "kkk"], "a"],
        [[], ["k"]],
    ),
    ("a tuple", {"type": "array", "prefixItems": [WHOLE, TEXT], "items": False}, [[1], [1, "x"]], [["x"], [1, "x", 2]]),
    ("two patterns", {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "z$"}]}, ["az", "abz"], ["a", "z"]),
    (
        "length and pattern",
        {"type": "string", "pattern": "^[A-Z]+$", "minLength": 2, "maxLength": 3},
        ["AB"],
        ["A", "ABCD"],
    ),
    ("an exact value among others", {"type": "string", "enum": ["a", 1, None]}, ["a"], [1, None]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "good", "bad"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_word_of_a_schema_holds(schema: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not takes(schema, value)] == []
    assert [value for value in bad if takes(schema, value)] == []


@pytest.mark.parametrize("schema", [row[1] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_a_babbling_model_says_is_valid(schema: Any) -> None:
    text, finish = babbled(ResponseFormat(schema=schema), 5, 60)
    assert finish == "stop"
    assert valid(schema, json.loads(text))


def nested(levels: int) -> Any:
    schema: Any = WHOLE
    for _ in range(levels):
        schema = having(schema)
    return schema


def chained(levels: int) -> Any:
    parts: dict[str, Any] = {f"d{at}": having({"$ref": f"#/$defs/d{at + 1}"}) for at in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{levels}": WHOLE}}


def circular() -> Any:
    schema = having(WHOLE)
    schema["properties"]["b"] = schema
    return schema


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (having({"$ref": "http://127.0.0.1:9/x.json"}), "#/properties/a"),
        (having({"$ref": "file:///etc/passwd"}), "#/properties/a"),
        (having({"$ref": "#/$defs/none"}), "#/properties/a"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "#/$defs/a"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "#/$defs/a"),
        ({"$defs": {"a": having({"$ref": "#/$defs/a"})}, "$ref": "#/$defs/a"}, "#"),
        (having({"$dynamicRef": "#x"}), "#/properties/a"),
        (having({"type": "strin"}), "#/properties/a/type"),
        (having({"type": "string", "minLength": "2"}), "#/properties/a/minLength"),
        (having({"type": "string", "pattern": "^(?=a)a$"}), "#/properties/a"),
        (having({"enum": 3}), "#/properties/a/enum"),
        (having({"allOf": [WHOLE, TEXT]}), "#"),
        (having(WHOLE, additionalProperties=False, required=["b"]), "#"),
        (having({"allOf": [{"type": "string", "pattern": f".*a.{{{n}}}b.*"} for n in range(20)]}), "#/properties/a"),
        (having({"type": "array", "items": WHOLE, "minItems": 10**9}), "#/properties/a"),
        ({"allOf": [{"anyOf": [having({"const": j}) for j in range(4)]} for _ in range(12)]}, "#"),
        (nested(1_000), "#/properties/a/properties/a"),
        (chained(1_500), "#"),
        (circular(), "#/properties/b"),
        (
            {"type": "object", "properties": {f"p{n}": {**TEXT, "description": "x" * 90} for n in range(10_000)}},
            "#/prop",
        ),
        (having({"const": float("inf")}), "#/properties/a/const"),
        (having({"default": object()}), "#/properties/a/default"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_place(schema: Any, place: str) -> None:
    with pytest.raises(RequestError, match="of the schema") as refused:
        ResponseFormat(schema=schema).grammar(ROOM)
    assert f"at {place}" in refused.value.what


@pytest.mark.slow
def test_what_references_lead_to_compiles_as_deep_as_it_is_followed() -> None:
    deepest = max(levels for levels in range(20, 200, 20) if _is_followed(chained(levels)))
    assert deepest >= 100
    Grammars(BYTES.language, BYTES.ids).compiled(ResponseFormat(schema=chained(deepest)).grammar(4 * ROOM) or "")


def _is_followed(schema: Any) -> bool:
    try:
        return ResponseFormat(schema=schema).grammar(4 * ROOM) is not None
    except RequestError:
        return False


@pytest.mark.slow
def test_an_object_may_have_many_keys_that_it_need_not_have() -> None:
    schema = {"type": "object", "properties": {f"key{at}": TEXT for at in range(800)}}
    state = Grammars(BYTES.language, BYTES.ids).compiled(ResponseFormat(schema=schema).grammar(ROOM) or "").after(())
    for token in BYTES.ids('{"key799": ""}'):
        assert state.allowed()[token]
        state.take(token)


def test_shared_parts_are_written_once() -> None:
    parts: dict[str, Any] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"type": "array", "items": {"$ref": f"#/$defs/d{n + 1}"}}]}
        for n in range(60)
    }
    written = followable({"$defs": {**parts, "d60": {"type": "null"}}, "$ref": "#/$defs/d0"}, ROOM)
    assert len(json.dumps(written)) < 40_000


# ---------------------------------------------------------------------------------------------- compiled off the thread


def test_a_grammar_that_compiles_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    going, told = threading.Event(), threading.current_thread()
    compile_, threads = Grammars._compile, []

    def slow(self: Grammars, text: str) -> Any:
        threads.append(threading.current_thread())
        assert going.wait(30)
        return compile_(self, text)

    monkeypatch.setattr(Grammars, "_compile", slow)
    grammars = Grammars(BYTES.language, BYTES.ids)
    text = ResponseFormat(schema=WHOLE).grammar(ROOM) or ""
    after: Future[str] = Future()
    after.set_result("opened")
    asked = grammars.then(text, lambda: after)
    assert not asked.done()
    going.set()
    assert asked.result(30) == "opened"
    assert told not in threads
    assert grammars.then(text, lambda: after) is after
    assert len(threads) == 1


def test_a_grammar_that_is_too_complex_is_told_by_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def work(self: Grammars, text: str) -> Any:
        while not over.is_set():
            sum(range(10_000))

    monkeypatch.setattr(Grammars, "_compile", work)
    monkeypatch.setattr(compiling, "WORKED_S", 0.05)
    with pytest.raises(RequestError, match="to compile"):
        Grammars(BYTES.language, BYTES.ids).compiled(ResponseFormat(schema=WHOLE).grammar(ROOM) or "")
    over.set()


def test_a_grammar_that_the_host_has_no_time_for_is_no_fault_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    free, compile_, begun = threading.Event(), Grammars._compile, []

    def starved(self: Grammars, text: str) -> Any:
        begun.append(text)
        assert free.wait(30)
        return compile_(self, text)

    monkeypatch.setattr(Grammars, "_compile", starved)
    monkeypatch.setattr(compiling, "WORKED_S", 0.05)
    monkeypatch.setattr(compiling, "WAITED_S", 0.2)
    grammars, text = Grammars(BYTES.language, BYTES.ids), ResponseFormat(schema=WHOLE).grammar(ROOM) or ""
    for _ in range(2):
        with pytest.raises(EngineError, match="not compiled"):
            grammars.compiled(text)
    monkeypatch.setattr(compiling, "WORKED_S", 30.0)
    monkeypatch.setattr(compiling, "WAITED_S", 30.0)
    free.set()
    assert grammars.compiled(text) is grammars.compiled(text)
    assert len(begun) == 1
