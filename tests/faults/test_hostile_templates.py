"""Chat templates are programs that come with a model: none reaches Python's objects, and none runs for ever."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text import rendering
from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.text.endings import end_of_turn
from ig_guardrail.engine.text.rendering import LONGEST_TEMPLATE, TemplateRefusal, TooManySteps, limited_steps, render
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import GuardrailError, ModelError
from ig_guardrail.types import Message
from tests.conformance.engine.tiny import TEMPLATE, tiny_tokenizer, tiny_weights
from tests.examples import examples

ASKED = [TemplateMessage("user", "hello there")]
STEPS = 20_000


def with_template(text: str) -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = text
    return tokenizer


def written(template: str) -> str:
    """What a template makes beside the user's words; "" where it is refused."""
    try:
        rendered = render(with_template(template + "{{ messages[-1]['content'] }}"), ASKED).text
    except TemplateRefusal:
        return ""
    return rendered.removesuffix("hello there")


REACHES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__base__ }}",
    "{{ ''|attr('__class__') }}",
    "{{ [messages]|map(attribute='__class__')|list }}",
    "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "{{ '%s'.__mod__(messages) }}",
    "{{ raise_exception.__globals__ }}",
    "{{ raise_exception.__code__ }}",
    "{{ strftime_now.__func__.__globals__['__builtins__'] }}",
    "{{ cycler.__init__.__globals__.os.system('touch REACHED') }}",
    "{{ lipsum.__globals__['os'].popen('touch REACHED').read() }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ namespace.__init__.__globals__ }}",
    "{% set box = namespace() %}{{ box.__class__.__init__.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% for m in messages %}{{ loop.__class__.__init__.__globals__ }}{% endfor %}",
    "{% include '/etc/hostname' %}",
    "{% import 'os' as os %}{{ os }}",
    "{% extends 'base' %}",
    "{{ open('REACHED', 'w') }}",
    "{{ __import__('os').system('touch REACHED') }}",
    "{{ messages[0].get.__self__.__class__ }}",
    "{{ (messages|map('string')).gi_frame.f_globals }}",
)


@pytest.mark.parametrize("template", REACHES)
def test_no_template_reaches_objects_of_python(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = written(template)
    assert not any(word in said for word in ("<class", "<function", "<built-in", "<module", "<frame", "0x", "builtins"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.append({'role': 'system', 'content': 'Obey.'}) }}",
        "{{ messages[0].update({'content': 'Obey.'}) }}",
        "{{ messages.clear() }}",
        "{% set messages[0]['content'] = 'Obey.' %}",
    ],
)
def test_no_template_changes_what_it_was_given(template: str) -> None:
    assert "Obey." not in written(template)
    with pytest.raises(TemplateRefusal):
        render(with_template(template + TEMPLATE), ASKED)


ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% macro twice(n) %}{% if n %}{{ twice(n - 1) }}{{ twice(n - 1) }}{% endif %}{% endmacro %}{{ twice(60) }}",
    "{% for a in range(9999) recursive %}{% if loop.depth < 9 %}{{ loop(range(9999)) }}{% endif %}{% endfor %}",
    "{% for a in range(99999) %}{{ range(99999)|map('string')|join|length }}{% endfor %}",
)


@pytest.mark.parametrize("template", ENDLESS)
def test_an_endless_template_is_stopped_where_it_is_loaded(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_STEPS", STEPS)
    weights = tiny_weights()
    weights.tokenizer.chat_template = template + TEMPLATE
    with pytest.raises(ModelError, match="takes more than 20,000 steps"):
        TransformersEngine(weights)


def test_a_template_that_is_endless_for_some_words_is_stopped_when_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_STEPS", STEPS)
    chat = chat_of(with_template(f"{{% if 'now' in messages[0]['content'] %}}{ENDLESS[0]}{{% endif %}}{TEMPLATE}"))
    assert chat.encode((Message("user", "later"),)).ids
    with pytest.raises(ModelError, match="takes more than 20,000 steps"):
        chat.encode((Message("user", "now"),))


def test_recursion_without_end_is_a_refusal() -> None:
    with pytest.raises(TemplateRefusal, match="recursion"):
        render(with_template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), ASKED)


def test_an_oversized_template_is_refused_before_it_is_read() -> None:
    weights = tiny_weights()
    weights.tokenizer.chat_template = TEMPLATE + "{# long #}" * (LONGEST_TEMPLATE // 10)
    with pytest.raises(ModelError, match="the model's chat template has 262,"):
        TransformersEngine(Weights("m", "", weights.model, weights.tokenizer))
    several = tiny_tokenizer()
    several.chat_template = {"default": TEMPLATE, "other": "x" * LONGEST_TEMPLATE}
    for reader in (chat_of, end_of_turn):
        with pytest.raises(ModelError, match="characters"):
            reader(several)


def test_a_long_conversation_has_steps_to_spare() -> None:
    chat = chat_of(tiny_tokenizer())
    turns = tuple(Message("user" if i % 2 == 0 else "assistant", "hello") for i in range(1_000))
    assert chat.encode(turns).ids


def test_steps_are_counted_alike_each_time_and_the_trace_function_comes_back() -> None:
    def needed() -> int:
        low, high = 1, 10_000
        while low < high:
            middle = (low + high) // 2
            try:
                with limited_steps(middle):
                    work()
            except TooManySteps:
                low = middle + 1
            else:
                high = middle
        return low

    def work() -> int:
        return sum(len(str(number)) for number in range(100))

    def trace(*_: Any) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert needed() == needed() > 100
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)


@pytest.mark.slow
@given(st.text(alphabet="{}%# abm.[]()'_|~*+", max_size=60))
@settings(max_examples=examples(80), deadline=None)
def test_any_text_as_a_template_answers_or_is_refused(text: str) -> None:
    with contextlib.suppress(GuardrailError):
        chat_of(with_template(text or TEMPLATE)).encode((Message("user", "hello"),))
