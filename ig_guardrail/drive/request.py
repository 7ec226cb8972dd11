"""What a caller asks for, and whether it can be served at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ig_guardrail.budget import Rule
from ig_guardrail.errors import RequestError
from ig_guardrail.languages import normal_tag
from ig_guardrail.search.base import Strategy
from ig_guardrail.settings import Limits
from ig_guardrail.types import Sampling, Turn

LONGEST_NAME = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the conversation, how to sample, and by which strategy (a name, or a callable of one's own).

    A last turn of the assistant is the beginning of the answer: it is charged as such, and not shown again.

    unit          what the last part of an answer begins with that is shown whole or not at all, such as a tool call
    conversation  names the conversation that the answer belongs to, for budgets that its answers share
    tenant        names whom the conversation belongs to, for budgets that all its conversations share
    chances       how many of the likeliest tokens are told for each that is shown; None tells no chances at all
    prose         whether the policy's messages may be said; where JSON is expected, the outcome alone tells
    json          whether the answer is JSON for certain, so that its texts are judged as they will be read
    """

    turns: tuple[Turn, ...]
    sampling: Sampling
    strategy: str | Strategy | None = None
    language: str = "en"
    unit: str | None = None
    prose: bool = True
    conversation: str | None = None
    tenant: str | None = None
    chances: int | None = None
    json: bool = False


def check(ask: Ask, limits: Limits) -> None:
    """Raises RequestError, naming the option and its range, for anything that cannot be served."""
    sampling = ask.sampling
    if sampling.max_tokens < 1:
        raise _refuse("max_tokens", sampling.max_tokens, "at least 1", "an answer needs room for one token")
    if not 0 <= sampling.temperature <= 100:
        raise _refuse("temperature", sampling.temperature, "between 0 and 100", "0 is greedy")
    if not 0 < sampling.top_p <= 1:
        raise _refuse("top_p", sampling.top_p, "above 0, at most 1", "1 switches it off")
    if sampling.top_k < 0:
        raise _refuse("top_k", sampling.top_k, "0 or more", "0 switches it off")
    if not 0 <= sampling.min_p <= 1:
        raise _refuse("min_p", sampling.min_p, "between 0 and 1", "0 switches it off")
    if len(sampling.stop) > limits.stops or any(not 0 < len(s) <= limits.stop_characters for s in sampling.stop):
        allowed = f"at most {limits.stops} strings of 1 to {limits.stop_characters} characters"
        raise _refuse("stop", f"{len(sampling.stop)} strings", allowed, "each is looked for at every token")
    if not ask.turns:
        raise RequestError("the conversation is empty", where="messages", fix="give at least one user message")
    if len(ask.turns) > limits.turns or sum(len(turn.text) for turn in ask.turns) > limits.characters:
        allowed = f"at most {limits.turns} messages of {limits.characters} characters in all"
        raise _refuse("messages", f"{len(ask.turns)} messages", allowed, "more cannot fit any context")
    if beginning_of(ask.turns) and (sampling.grammar is not None or len(ask.turns) == 1):
        raise RequestError(
            "the conversation ends with a beginning of the answer",
            where="messages",
            why="a form, such as a tool call or a schema, is enforced from the first token, and so is a first turn",
            fix="end with a message of the user, or leave out tools and schemas",
        )
    check_language(ask.language)
    for text in (*sampling.stop, *(turn.text for turn in ask.turns)):
        _demand_unicode(text)


def check_language(tag: str) -> None:
    """Raises RequestError unless a text is the tag of a language, in any of its usual spellings."""
    if normal_tag(tag) is None:
        raise RequestError(
            f"language is '{tag[:40]}', which is no language tag",
            where="language",
            why="refusals and closing messages are shown in it",
            fix="give a tag such as 'de', 'pt-BR' or 'zh-Hans'; a policy without texts in it answers in English",
        )


def beginning_of(turns: tuple[Turn, ...]) -> str:
    """What the caller wrote of the answer itself; "" where it wrote nothing."""
    return turns[-1].text if turns and turns[-1].role == "assistant" else ""


def earlier(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The turns before the answer."""
    return turns[:-1] if beginning_of(turns) else turns


def check_payer(ask: Ask, rules: Sequence[Rule]) -> None:
    """Raises RequestError if a budget is shared by a conversation or a tenant, and the request names none."""
    _demand_name("conversation", ask.conversation, [r for r in rules if r.budget.scope in ("conversation", "tool")])
    _demand_name("tenant", ask.tenant, [rule for rule in rules if rule.budget.scope == "tenant"])


def _demand_name(whose: str, name: str | None, rules: Sequence[Rule]) -> None:
    if name is not None and not 0 < len(name) <= LONGEST_NAME:
        raise _refuse(
            whose, f"{len(name)} characters long", f"1 to {LONGEST_NAME} characters", "it is a name, not a text"
        )
    if name is None and rules:
        raise RequestError(
            f"no {whose} is named, and budget '{rules[0].budget.id}' is shared by all answers of one",
            where=whose,
            why="without its name, what earlier answers spent could not be counted",
            fix=f"give `{whose}`, a name that stays the same for all of its answers",
        )


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
