"""What is judged is what is delivered: a text that is denied in prose is denied as any text of any value or call."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.calls.decoded import read_decoded
from ig_guardrail.costs.pattern import compile_patterns
from ig_guardrail.errors import CostFailure
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.checking.text_checks import readings, text_checks
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.text.calls import CLOSE, OPEN
from ig_guardrail.text.json_strings import JsonTexts
from ig_guardrail.types import CompiledPolicy, Piece, Prompt
from tests.examples import examples
from tests.golden.conversations import compiled, scripted_guardrail
from tests.unit.langchain.obliging import denied_by
from tests.unit.langchain.teller import call_part, last_part, teller

DENIED = ["ls\nsudo x", 'say "yes"', "C:\\mira", "BANANA\tSPLIT", "1234-5678-9012", "🍌/é\u2028"]
BEGINS = [3, 0, 0, 0, 0, 0]  # where in each text its match begins
PATTERNS = [r"(?m)^sudo ", 'say "yes"$', r"^C:\\mira", r"BANANA\s+SPLIT", r"^\d{4}-\d{4}-\d{4}$", "🍌/é\u2028"]
LISTED = json.dumps(PATTERNS, ensure_ascii=False).replace("\u2028", r"\u2028")  # in a file it would end a line
POLICY = f"""\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: codes, version: 1.0.0, owners: [tests@example.org]}}
cost_models:
  codes: {{kind: pattern, hazards: [prv], patterns: {LISTED}, longest_match: 14, timeout_ms: 60000}}
budgets:
  - {{id: secrets, hazards: [prv], cost: codes, threshold: 0.5, budget: 0, every: 4}}
search: {{block: 4, hold: 0, retries: 0, candidates: 1, shortest: 0}}
messages: {{refusal: {{en: "No."}}, closing: {{en: "Stop."}}}}
"""
SCHEMA = {"type": "object", "additionalProperties": True}
TOOL = {"type": "function", "function": {"name": "run", "description": "", "parameters": SCHEMA}}
relaxed = partial(settings, deadline=None, suppress_health_check=[HealthCheck.too_slow])
plain = st.text('abc ,:{}[]\n"\\é', max_size=6)


CODES = compiled(POLICY)
CHECKS = text_checks(CODES)
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


# -------------------------------------------------------------------------------------------- values that hold a text


@st.composite
def holding(draw: st.DrawFn, text: str) -> dict[str, Any]:
    """An object that has the text somewhere: as a value or a key, at any depth, beside others."""
    value: Any = draw(st.sampled_from([text, {text: draw(plain)}]))
    for _ in range(draw(st.integers(0, 3))):
        beside = draw(st.lists(plain | st.integers(-(10**15) + 1, 10**15 - 1) | st.none(), max_size=2))
        around = {draw(plain): one for one in beside}
        value = draw(st.sampled_from([[*beside, value], [value, *beside], {**around, draw(plain): value}]))
    return value if isinstance(value, dict) else {draw(plain): value}


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """JSON of a value, each character of its texts written in one of the ways there are."""
    return "".join(_spelled(value, lambda ways: draw(st.sampled_from(ways))))


def _spelled(value: Any, choose: Callable[[list[str]], str]) -> Iterator[str]:
    if isinstance(value, str):
        yield from ('"', *(choose(_ways(character)) for character in value), '"')
    elif isinstance(value, dict | list):
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        yield opening
        for place, inner in enumerate(value):
            yield ", " if place else ""
            yield from _spelled(inner, choose)
            if isinstance(value, dict):
                yield ": "
                yield from _spelled(value[inner], choose)
        yield closing
    else:
        yield json.dumps(value)


def _ways(character: str) -> list[str]:
    ways = {json.dumps(character)[1:-1], json.dumps(character, ensure_ascii=False)[1:-1]}
    if ord(character) < 0x10000:
        ways.add(f"\\u{ord(character):04X}")
    return sorted(ways | ({"\\/"} if character == "/" else set()))


denied = st.sampled_from(DENIED)


# ------------------------------------------------------------------------------------------------- ways of delivery


def own(told: str, policy: CompiledPolicy) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): list(told)}, policy), seed=7, max_tokens=2_000)  # type: ignore[dict-item]


def hosted(parts: Sequence[Any], policy: CompiledPolicy) -> GuardedChatModel:
    return GuardedChatModel(inner=teller(list(parts)), policy=policy)


@pytest.mark.parametrize("text", DENIED)
def test_the_texts_are_denied_in_prose(text: str) -> None:
    assert own(text, CODES).invoke("x").text == "No."
    assert hosted(list(text), CODES).invoke("x").text == "No."


@pytest.mark.parametrize("told", [{"a": 'fine, "so"\n'}, {"b c": ["x", {"d": 1}]}])
def test_what_is_not_denied_comes_whole(told: dict[str, Any]) -> None:
    source = json.dumps(told)
    assert own(source, CODES).bind(response_format=FORMAT).invoke("x").text == source
    assert hosted(list(source), CODES).invoke("x").text == source
    call = f'{OPEN}{{"name": "run", "arguments": {source}}}{CLOSE}'
    assert own(call, CODES).bind_tools([TOOL], tool_choice="any").invoke("x").tool_calls[0]["args"] == told
    assert hosted([call_part("run", source, "call_1")], CODES).invoke("x").tool_calls[0]["args"] == told
    assert denied_by(CHECKS, readings("run", told, "call_1")) is None


@pytest.mark.slow
@relaxed(max_examples=examples(10))
@given(denied, st.data())
def test_they_are_denied_in_own_values(text: str, data: st.DataObject) -> None:
    source = json.dumps(data.draw(holding(text)), ensure_ascii=False)
    asked = own(source, CODES).bind(response_format=FORMAT)
    _check_shown("".join(chunk.text for chunk in asked.stream("x")), source, text)


@pytest.mark.slow
@relaxed(max_examples=examples(10))
@given(denied, st.data())
def test_they_are_denied_in_own_calls(text: str, data: st.DataObject) -> None:
    arguments = json.dumps(data.draw(holding(text)), ensure_ascii=False)
    told = f'{OPEN}{{"name": "run", "arguments": {arguments}}}{CLOSE}'
    answer = own(told, CODES).bind_tools([TOOL], tool_choice="any").invoke("x")
    assert not any(_holds(call["args"], text) for call in answer.tool_calls)


@relaxed(max_examples=examples(40))
@given(denied, st.data())
def test_they_are_denied_in_calls_of_others(text: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(["name", "id", "arguments"]))
    arguments = data.draw(spelled(data.draw(holding(text)))) if place == "arguments" else "{}"
    name, id = text if place == "name" else "run", text if place == "id" else "call_1"
    parts = ["Well. ", call_part(name, arguments, id), last_part("tool_calls")]
    answer = hosted(parts, CODES).invoke("x")
    assert (answer.tool_calls, answer.response_metadata["finish_reason"]) == ([], "content_filter")


@relaxed(max_examples=examples(40))
@given(denied, st.data(), st.sampled_from(["", "{}", "```json\n"]))
def test_they_are_denied_in_values_of_others(text: str, data: st.DataObject, asked: str) -> None:
    """Asked for or not: JSON that nobody asked for is known by how it begins."""
    source = ("" if asked == "{}" else asked) + data.draw(spelled(data.draw(holding(text))))
    options = {"response_format": {"type": "json_object"}} if asked == "{}" else {}
    shown = "".join(chunk.text for chunk in hosted(list(source), CODES).stream("x", **options))
    _check_shown(shown.removesuffix("Stop.").removesuffix("\n\n"), source, text)


@relaxed(max_examples=examples(60))
@given(denied, st.data())
def test_they_are_denied_before_a_tool_runs(text: str, data: st.DataObject) -> None:
    assert denied_by(CHECKS, readings("run", data.draw(holding(text)))) == "secrets"
    assert denied_by(CHECKS, readings(text, {})) == denied_by(CHECKS, readings("run", {}, text)) == "secrets"


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(one, text) for item in value.items() for one in item)
    return any(_holds(one, text) for one in value) if isinstance(value, list) else value == text


def _check_shown(shown: str, source: str, text: str) -> None:
    """What was shown is the beginning of the answer, and ends before the match in the text."""
    if shown in ("", "No."):
        return
    assert source.startswith(shown)
    before = [part.text for part in JsonTexts().read(source)[1]].index(text)
    parts = JsonTexts().read(shown)[1]
    assert len(parts) <= before or (len(parts) == before + 1 and len(parts[-1].text) <= BEGINS[DENIED.index(text)])


# ------------------------------------------------------------------------------------------- the cost model between


@relaxed(max_examples=examples(100))
@given(st.data(), denied, st.lists(st.integers(0, 200), max_size=8))
def test_however_json_is_cut_its_texts_are_judged_as_if_alone(data: st.DataObject, text: str, cuts: list[int]) -> None:
    import re2

    source = data.draw(spelled(data.draw(holding(text))))
    alone = read_decoded(compile_patterns([f"^(?:{re2.escape(text)})$"], 14, "codes", ("prv",)))
    assert max(_scores(alone, source, cuts)) == max(_scores(alone, source, [])) == 1
    other = read_decoded(compile_patterns([f"^(?:{re2.escape(text)})\\.$"], 15, "codes", ("prv",)))
    assert max(_scores(other, source, cuts)) == 0


@dataclass(frozen=True)
class Vowels:
    """A level: the share of vowels in a text of letters; 0 of what has other characters."""

    name: str = "vowels"
    sha256: str = "0"
    hazards: tuple[str, ...] = ("hte",)
    granularity: Any = "block"
    reading: Any = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> str:
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        texts = [known + piece.text for known, piece in steps]
        return [(text, (self._share(text),)) for text in texts]

    def _share(self, text: str) -> float:
        return sum(map("aeiou".count, text)) / len(text) if text.replace(" ", "").isalpha() else 0.0


def test_a_level_stays_up_and_of_names_it_counts_sentences_alone() -> None:
    model = read_decoded(Vowels())
    source = '{"aeiou": ["xyz", "oo oo"], "b": "xxxxxxxxxxxxxxx"}'
    scores = _scores(model, source, list(range(len(source))))
    begun, closed = source.index("oo"), source.index('"]')
    assert max(scores[:begun]) == 0
    assert scores[closed:] == [pytest.approx(0.8)] * len(scores[closed:])
    assert _scores(model, '{"ae ou": 1}', [4, 5]) == [0, pytest.approx(2 / 3), pytest.approx(0.8)]
    call = '{"name": "aeiou", "arguments": {"aeiou": "x"}, "id": "aeiou"}'
    assert _scores(model, OPEN + call + CLOSE, [33]) == [0, 0]


@pytest.mark.parametrize("facts", [{}, {"words": 5}])
@given(st.lists(st.integers(0, 200), max_size=8), st.sampled_from(["", "Well.", '{"a\\n": "\\u0042"} ', "[1]\\n"]))
def test_a_level_reads_the_whole_without_escapes(facts: dict[str, int], cuts: list[int], words: str) -> None:
    call = f'{OPEN}{{"name": "f", "arguments": {{"a": "x\\ny \\ud83c\\udf4c \\"z\\""}}}}{CLOSE}'
    text = words + call
    known = len(words) if facts else None
    model = read_decoded(Vowels())
    state = model.start(Prompt((), ()))
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, stop in pairwise(edges):
        left = None if known is None else min(max(0, known - start), stop - start)
        ((state, _),) = model.advance([(state, Piece(text[start:stop], words=left, ended=stop == len(text)))])
    clear = '{"a\n": "B"} ' if words.startswith("{") else words
    assert state.source == clear + call.replace("\\n", "\n").replace("\\ud83c\\udf4c", "🍌").replace('\\"', '"')


def test_prose_is_judged_as_it_is() -> None:
    text = 'He said "aeiou" and wrote {"aeiou": "aeiou"} behind it.'
    cuts = list(range(0, len(text), 7))
    asked: list[Piece] = []

    class Noting(Vowels):
        def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
            asked.extend(piece for _, piece in steps)
            return super().advance(steps)

    assert _scores(read_decoded(Noting()), text, cuts) == _scores(Vowels(), text, cuts)
    assert len(asked) == len(cuts)


@pytest.mark.parametrize("answers", [[], [("", (math.nan,))], [("", (2.0,))], [("", ())], [("", (-1.0,))]])
def test_what_is_no_score_of_a_text_is_none_of_the_answer(answers: list[Any]) -> None:
    class Odd(Vowels):
        def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
            return [("", (0.5,)), *answers] if len(steps) > 1 else [("", (0.5,))]

    model = read_decoded(Odd())
    steps = [(model.start(Prompt((), ())), Piece('["a b"]', ended=True))]
    if not answers:
        with pytest.raises(CostFailure, match="gave 1 answers to 2 questions"):
            model.advance(steps)
        return
    ((_, scores),) = model.advance(steps)
    assert not (len(scores) == 1 and 0 <= scores[0] <= 1)


def _scores(model: CostModel, text: str, cuts: Sequence[int]) -> list[float]:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    state, scores = model.start(Prompt((), ())), []
    for start, stop in pairwise(edges):
        ((state, (score,)),) = model.advance([(state, Piece(text[start:stop], ended=stop == len(text)))])
        scores.append(score)
    return scores
