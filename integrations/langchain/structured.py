"""`with_structured_output`: an answer as a value of a schema, or an error that says why there is none.

While an answer streams, its parser gives what is there so far, as LangChain's parsers do. At the end the value is
whole, or the stream ends in an error: those parsers would complete an answer that was cut off.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from langchain_core import exceptions
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, RunnableLambda, RunnableMap
from langchain_core.utils.pydantic import is_basemodel_subclass

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.given.typed_dicts import unmarked
from ig_guardrail.integrations.langchain.messages.blocks import RECORD, is_refusal
from ig_guardrail.integrations.langchain.response_format import form_of, schema_of, tool_of
from ig_guardrail.schemas import fault_in, faultless
from ig_guardrail.types import HURRIED

Demand: TypeAlias = Callable[[AIMessage], None]  # raises an error where an answer is no whole value
OutputMethod: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]

_Refusal: type[Exception] = getattr(exceptions, "ModelRefusalError", exceptions.OutputParserException)


_WHY: Mapping[str, str] = {
    "length": "it was cut off at `max_tokens`: give more, or ask for less",
    "cancelled": "its time was up: give a longer `timeout`, or ask for less",
    "stop": "it ended before the value did, as at a stop string inside of it",
}


class _InOwnWords(Exception):
    """An error that says what it was made with: LangChain would add the address of a page on failures of parsers."""

    def __init__(self, error: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(error, *args, **kwargs)
        self.args = (error,)


class AnswerCut(_InOwnWords, exceptions.OutputParserException):
    """The answer holds no whole value, since it was cut off, or is something else."""


class AnswerRefused(_InOwnWords, _Refusal):  # type: ignore[misc, valid-type]
    """The policy refused or ended the answer, so there is no value. A `ModelRefusalError` where LangChain has one."""


def raises(on_refusal: str) -> bool:
    """Whether AnswerRefused follows a refusal. Raises RequestError for a word that is neither "end" nor "raise"."""
    if on_refusal not in ("end", "raise"):
        raise RequestError(
            f"on_refusal is {on_refusal!r:.40}",
            where="on_refusal",
            why="it says what follows where the policy refuses",
            fix="write 'end' for the policy's message, or 'raise' for AnswerRefused",
        )
    return on_refusal == "raise"


def structured(
    model: BaseChatModel, schema: Any, include_raw: bool, method: OutputMethod, asked: Mapping[str, Any]
) -> Runnable[Any, Any]:
    """The model bound to a schema and to what else is asked of its calls, and the parser behind it.

    Raises RequestError for an unknown method.
    """
    if method not in ("json_schema", "function_calling", "json_mode"):
        raise RequestError(
            f"method is {method!r}",
            where="with_structured_output",
            why="a schema is asked for in one of a few ways",
            fix="use 'json_schema', 'function_calling' or 'json_mode'",
        )
    if schema is None and method != "json_mode":
        raise RequestError("no schema is given", where="with_structured_output", fix="give one, or use 'json_mode'")
    if isinstance(schema, Mapping):
        faultless(schema)
    described = {"kwargs": {"method": method, "strict": asked.get("strict")}, "schema": unmarked(schema)}
    if method == "function_calling":
        schema_of(schema)  # what is no schema is told of here
        name = tool_of(schema).name
        bound = model.bind_tools(
            [schema], tool_choice=name, parallel_tool_calls=False, ls_structured_output_format=described, **asked
        )
        return parsed(bound, of_calls(schema, name), call_of(name), include_raw)
    wanted = _format(schema)
    form_of(None, None, None, wanted)  # a schema that cannot be followed is told of here
    bound = model.bind(response_format=wanted, ls_structured_output_format=described, **asked)
    return parsed(bound, _of_text(schema), json_text, include_raw)


def parsed(
    bound: Runnable[Any, Any], parser: BaseOutputParser[Any], demand: Demand, include_raw: bool
) -> Runnable[Any, Any]:
    """A model and the parser behind it.

    AnswerRefused where the policy refused or ended the answer; AnswerCut, or the parser's error, where it is no value.
    """
    value = _only_whole(parser, demand) | parser
    if not include_raw:
        return bound | value

    def beside(found: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            return {**found, "parsed": value.invoke(found["raw"], config), "parsing_error": None}
        except Exception as error:
            return {**found, "parsed": None, "parsing_error": error}

    async def beside_async(found: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            return {**found, "parsed": await value.ainvoke(found["raw"], config), "parsing_error": None}
        except Exception as error:
            return {**found, "parsed": None, "parsing_error": error}

    return RunnableMap(raw=bound) | RunnableLambda(beside, beside_async)


def _format(schema: Any) -> dict[str, Any]:
    if schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema_of(schema)}}


def _of_text(schema: Any) -> BaseOutputParser[Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def of_calls(schema: Any, name: str) -> BaseOutputParser[Any]:
    """The parser of values that are written as the arguments of a call of `name`."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def json_text(message: AIMessage) -> None:
    """Raises AnswerCut unless the words of an answer are one whole JSON value."""
    _demand_time(message)
    try:
        value = json.loads(str(message.text))
    except (ValueError, RecursionError):
        raise _cut(message, "the answer is no whole JSON value") from None
    if isinstance(value, int | float) and not isinstance(value, bool) and _may_go_on(message.response_metadata):
        raise _cut(message, "the answer may be the first digits of a number")


def _may_go_on(metadata: Mapping[str, Any]) -> bool:
    """Whether an answer that is a number was perhaps cut off behind one of its digits."""
    stops = metadata.get(RECORD, {}).get("sampling", {}).get("stop", ())
    return metadata.get("finish_reason") != "stop" or any(stop[0] in "0123456789.eE+-" for stop in stops)


def call_of(name: str, schema: Mapping[str, Any] | None = None) -> Demand:
    """A demand for a whole call of a tool. schema: that its arguments must be of, where nothing else sees to that"""

    def demand(message: AIMessage) -> None:
        _demand_time(message)
        call = next((call for call in message.tool_calls if call["name"] == name), None)
        if call is None:
            raise _cut(message, f"the answer holds no whole call of '{name}'")
        fault = None if schema is None else fault_in(schema, call["args"])
        if fault is not None:
            raise AnswerCut(f"the answer is no value of its schema: {fault}", llm_output=json.dumps(call["args"]))

    return demand


def _demand_time(message: AIMessage) -> None:
    """Raises AnswerCut where `max_tokens` decided what is in a value: it is whole, and says something else."""
    record = message.response_metadata.get(RECORD, {})
    if record.get("verdict", {}).get("reason") == HURRIED:
        raise AnswerCut(f"{HURRIED}: give more, or ask for less", llm_output=str(message.text))


def _cut(message: AIMessage, what: str) -> AnswerCut:
    why = _WHY.get(message.response_metadata.get("finish_reason", ""), "it is something else")
    return AnswerCut(f"{what}: {why}", llm_output=str(message.text))


def _only_whole(parser: BaseOutputParser[Any], demand: Demand) -> Runnable[BaseMessage, BaseMessage]:
    """Passes messages on, and raises at the end of an answer that was refused or is no whole value."""

    def check(message: BaseMessage) -> None:
        if is_refusal(message):
            record = message.response_metadata.get(RECORD, {})
            reason = record.get("verdict", {}).get("reason", "")
            raise AnswerRefused(f"the policy let no such answer through: {reason or 'no safe continuation was found'}")

    def conclude(messages: list[BaseMessage]) -> None:
        chunks = [message for message in messages if isinstance(message, AIMessageChunk)]
        whole = chunks[0] + chunks[1:] if chunks else messages[-1]
        if isinstance(whole, AIMessage):
            demand(whole)
        if len(messages) > 1:  # a parser of a stream is silent about a value that does not fit its schema
            parser.invoke(whole)

    def passed(messages: Iterator[BaseMessage]) -> Iterator[BaseMessage]:
        heard = []
        for message in messages:
            check(message)
            heard.append(message)
            yield message
        conclude(heard)

    async def passed_async(messages: AsyncIterator[BaseMessage]) -> AsyncIterator[BaseMessage]:
        heard = []
        async for message in messages:
            check(message)
            heard.append(message)
            yield message
        conclude(heard)

    return RunnableGenerator(passed, passed_async)
