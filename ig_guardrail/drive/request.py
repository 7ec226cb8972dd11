"""What a caller asks for, and whether it can be served at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

from ig_guardrail.budget import BudgetRule
from ig_guardrail.errors import RequestError, brief
from ig_guardrail.search.base import Strategy
from ig_guardrail.settings import Limits
from ig_guardrail.text.calls import ResponseFormat, shown_length, with_instructions
from ig_guardrail.types import (
    EFFORTS,
    SAMPLING_RANGES,
    CallNotation,
    Message,
    Reasoning,
    Sampling,
    Thinking,
    ToolFormat,
)
from ig_guardrail.types.languages import normal_tag

LONGEST_NAME = 1_000  # characters
LARGEST = 2**64 - 1  # of whole numbers; more seconds than that are no limit
WHOLE = ("max_tokens", "max_reasoning_tokens", "top_k", "seed", "top_logprobs")  # options that are whole numbers
_SAMPLED = {
    "temperature": ("between 0 and 100", "0 is greedy"),
    "top_p": ("above 0, at most 1", "1 switches it off"),
    "top_k": ("0 or more", "0 switches it off"),
    "min_p": ("between 0 and 1", "0 switches it off"),
    "repetition_penalty": ("between 0.01 and 100", "1 switches it off"),
    "frequency_penalty": ("between -2 and 2", "0 switches it off"),
    "presence_penalty": ("between -2 and 2", "0 switches it off"),
}
_ELSEWHERE = {"tenant": "; a run's config is believed where the program says so (`tenant_of`, `tenant_key`)"}


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One request: the conversation, how to sample, and by which strategy (a name, or a callable of one's own).

    A last turn of the assistant is the beginning of the answer: it is charged as such, and not shown again.

    unit          how much of a text may be shown where an answer's last part, such as a tool call, is shown whole or
                  not at all; see `Hold`. None where answers have no such part
    conversation  names the conversation that the answer belongs to, for budgets that its answers share
    tenant        names whom the conversation belongs to, for budgets that all its conversations share
    top_logprobs  how many of the likeliest tokens are told for each that is shown; None tells no log-probabilities
    barred        why nothing that is asked for may be said under the policy; the answer is then refused at once
    prose         whether the policy's messages may be said; where JSON is expected, the outcome alone tells
    json          whether the answer is JSON for certain, so that its texts are judged as they will be read
    reasoning     what becomes of thoughts: "auto" shows those that the model has, "show" asks it to think, "hide" shows
                  none, "off" asks it not to think
    reasoning_effort  how much the model is told to think, by one of `EFFORTS`; None leaves it to its template
    notation      how calls are written, and of which tools the model is told; None is the model's own, without tools
    cache_salt    whose prompts share with this one what the model computed for what they begin with; None: nobody's
    bounded       names what may have been ended by its room in a whole answer, by JSON pointers; None where nothing can
    """

    turns: tuple[Message, ...]
    sampling: Sampling
    strategy: str | Strategy | None = None
    language: str = "en"
    unit: Callable[[str, bool, int | None], int] | None = None
    prose: bool = True
    barred: str = ""
    conversation: str | None = None
    tenant: str | None = None
    top_logprobs: int | None = None
    json: bool = False
    reasoning: Reasoning = "auto"
    reasoning_effort: str | None = None
    notation: CallNotation | None = None
    cache_salt: str | None = None
    bounded: Callable[[str], tuple[str, ...]] | None = None

    @property
    def hides(self) -> bool:
        """Whether thoughts are not shown."""
        return self.reasoning in ("hide", "off")

    @property
    def thinking(self) -> Thinking:
        """Whether the model is told to think, or how much; None leaves it to its template."""
        return told_to_think(self.reasoning, self.reasoning_effort)


def in_form(request: GenerationRequest, form: ResponseFormat, format: ToolFormat) -> GenerationRequest:
    """The request for an answer that keeps to a form: the model is told of it, and follows it at every token.

    format: how the model writes calls
    Raises RequestError for a schema whose keywords have values of other kinds than theirs.
    """
    room, notation = request.sampling.max_tokens, form.notation(format)
    try:
        grammar = form.grammar(room, format)
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
        raise RequestError(
            f"the schema cannot be read: {type(error).__name__}: {brief(error)}",
            where="tools or response format",
            why="a keyword of it has a value that it cannot have",
            fix="check it against the standard, JSON Schema 2020-12",
        ) from error
    return replace(
        request,
        turns=with_instructions(form, request.turns, format),
        sampling=replace(request.sampling, grammar=grammar),
        unit=partial(shown_length, notation=notation) if form.callable else None,
        prose=form.schema is None,
        barred="the policy allows no tool that may be called here" if form.barred else "",
        json=form.schema is not None,
        notation=notation if form.callable else None,
        bounded=partial(form.bounded, room=room, format=format),
    )


def salt_of(tenant: str | None) -> str:
    """The salt of a tenant's prompts, and of all that name none: how long an answer takes tells none of another's."""
    return "" if tenant is None else f"tenant {tenant}"


def told_to_think(reasoning: str, effort: str | None = None) -> Thinking:
    """Whether a model is told to think, or how much; None leaves it to its template."""
    return effort or {"show": True, "off": False}.get(reasoning)


def check(request: GenerationRequest, limits: Limits) -> None:
    """Raises RequestError, naming the option and its range, for anything that cannot be served."""
    sampling = request.sampling
    _check_number("max_tokens", sampling.max_tokens, 1, LARGEST, "at least 1", "an answer needs room for one token")
    for option, (allowed, why) in _SAMPLED.items():
        _check_number(option, getattr(sampling, option), *SAMPLING_RANGES[option], allowed, why)
    _check_number("seed", sampling.seed, -LARGEST, LARGEST, "a whole number", "it names a stream of random numbers")
    if len(sampling.logit_bias) > limits.biases:
        count = f"of {len(sampling.logit_bias)} tokens"
        raise _refuse("logit_bias", count, f"at most {limits.biases}", "each is added at every token")
    for _, bias in sampling.logit_bias:
        _check_number("logit_bias", bias, -1e30, 1e30, "numbers by token id", "they are added to logits")
    if request.top_logprobs is not None:
        _check_number("top_logprobs", request.top_logprobs, 0, LARGEST, "0 or more", "so many are told for each token")
    if sampling.max_reasoning_tokens is not None:
        _check_number(
            "max_reasoning_tokens", sampling.max_reasoning_tokens, 0, LARGEST, "0 or more", "a thought is ended there"
        )
    _check_word("reasoning", request.reasoning, get_args(Reasoning), "it says what becomes of thoughts")
    effort = request.reasoning_effort
    if effort is not None:
        _check_word("reasoning_effort", effort, EFFORTS, "it says how much to think; reasoning='off' has no thoughts")
        if request.reasoning == "off":
            raise _refuse("reasoning_effort", f"'{effort}'", "one of the two", "reasoning is 'off'")
    if not isinstance(request.strategy, str | None) and not callable(request.strategy):
        raise _refuse("strategy", _shown(request.strategy), "a name, or a callable", "it searches for the answer")
    _check_texts("language", (request.language,))
    _check_texts("stop", sampling.stop)
    if len(sampling.stop) > limits.stops or any(not 0 < len(s) <= limits.stop_characters for s in sampling.stop):
        allowed = f"at most {limits.stops} strings of 1 to {limits.stop_characters} characters"
        lengths = [len(one) for one in sampling.stop]
        told = f"{len(lengths)} strings of {min(lengths)} to {max(lengths)} characters"
        raise _refuse("stop", told, allowed, "each is looked for at every token")
    if not request.turns:
        raise RequestError("the conversation is empty", where="messages", fix="give at least one user message")
    check_size(len(request.turns), sum(len(turn.text) + len(turn.thought) for turn in request.turns), limits)
    if beginning_of(request.turns) and (sampling.grammar is not None or len(request.turns) == 1):
        raise RequestError(
            "the conversation ends with a beginning of the answer",
            where="messages",
            why="there is nothing before it that it answers"
            if len(request.turns) == 1
            else "a form, such as a tool call or a schema, is enforced from the first token",
            fix="put a message of the user before it"
            if len(request.turns) == 1
            else "end with a message of the user, or leave out tools and schemas",
        )
    check_language(request.language)
    thoughts = (turn.thought for turn in request.turns)
    for text in (*sampling.stop, *(turn.text for turn in request.turns), *thoughts):
        _demand_unicode(text)


def check_language(tag: object) -> None:
    """Raises RequestError unless a text is the tag of a language, in any of its usual spellings."""
    if not isinstance(tag, str) or normal_tag(tag) is None:
        raise RequestError(
            f"language is {tag!r:.40}, which is no language tag",
            where="language",
            why="refusals and closing messages are shown in it",
            fix="give a tag such as 'de', 'pt-BR' or 'zh-Hans'; a policy without texts in it answers in English",
        )


def check_size(messages: int, characters: int, limits: Limits) -> None:
    """Raises RequestError for more messages, or more characters in all of them, than a host bears."""
    if messages > limits.turns or characters > limits.characters:
        raise RequestError(
            f"the conversation has {messages} messages and, as far as it was read, {characters} characters",
            where="messages",
            why="so much cannot fit any context",
            fix=f"give at most {limits.turns} messages of {limits.characters} characters in all",
        )


def check_timeout(seconds: float | None) -> float | None:
    """The seconds a request may take; None for no limit. Raises RequestError for what is no number."""
    if seconds is None:
        return None
    _check_number("timeout", seconds, -math.inf, math.inf, "seconds", "past them the request ends")
    return None if seconds > LARGEST else seconds


def beginning_of(turns: tuple[Message, ...]) -> str:
    """What the caller wrote of the answer itself; "" where it wrote nothing."""
    return turns[-1].text if turns and turns[-1].role == "assistant" else ""


def messages_before_answer(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns before the answer; an empty last one of the assistant is its beginning, too."""
    return turns[:-1] if turns and turns[-1].role == "assistant" else turns


def check_payer(request: GenerationRequest, rules: Sequence[BudgetRule]) -> None:
    """Raises RequestError if a budget is shared by a conversation or a tenant, and the request names none."""
    _demand_name("conversation", request.conversation, [r for r in rules if r.budget.scope in ("conversation", "tool")])
    _demand_name("tenant", request.tenant, [rule for rule in rules if rule.budget.scope == "tenant"])


def _demand_name(whose: str, name: str | None, rules: Sequence[BudgetRule]) -> None:
    if name is not None and not isinstance(name, str):
        raise _refuse(whose, _shown(name), f"a text of 1 to {LONGEST_NAME} characters", "it is a name")
    if name is not None and not 0 < len(name) <= LONGEST_NAME:
        raise _refuse(
            whose, f"{len(name)} characters long", f"1 to {LONGEST_NAME} characters", "it is a name, not a text"
        )
    if name is None and rules:
        raise RequestError(
            f"no {whose} is named, and budget '{rules[0].budget.id}' is shared by all answers of one",
            where=whose,
            why="without its name, what earlier answers spent could not be counted",
            fix=f"give `{whose}`, a name that stays the same for all of its answers{_ELSEWHERE.get(whose, '')}",
        )


def _check_number(option: str, value: object, least: float, most: float, allowed: str, why: str) -> None:
    kinds = int if option in WHOLE else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise _refuse(option, _shown(value), allowed, why)


def _check_word(option: str, value: object, words: Sequence[str], why: str) -> None:
    if value not in words:
        raise _refuse(option, _shown(value), f"one of {', '.join(map(repr, words))}", why)


def _check_texts(option: str, values: Sequence[object]) -> None:
    for value in values:
        if not isinstance(value, str):
            raise _refuse(option, _shown(value), "text", "nothing else can be read there")


def _shown(value: object) -> str:
    """A value for a message; by its type alone where it may be long, or cannot be written."""
    if isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST):
        return str(value)
    return repr(value) if isinstance(value, str) and len(value) <= 80 else f"of type {type(value).__name__}"


def _demand_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"a text is not Unicode: it has half a character at {error.start}",
            where="messages and stop strings",
            why="the tokenizer cannot read it",
            fix="decode the text from the encoding it is in, such as UTF-8",
        ) from error


def _refuse(option: str, value: object, allowed: str, why: str) -> RequestError:
    return RequestError(f"{option} is {value}", where=option, why=why, fix=f"give {allowed}")
