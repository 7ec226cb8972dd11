"""`with_structured_output`: an answer as a value of a schema, or an error that says why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from langchain_core import exceptions
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.blocks import RECORD, refused
from ig_guardrail.integrations.langchain.forms import form_of, schema_of, tool_of

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]

_Refusal: type[Exception] = getattr(exceptions, "ModelRefusalError", exceptions.OutputParserException)


class AnswerRefused(_Refusal):  # type: ignore[misc, valid-type]
    """The policy refused or ended the answer, so there is no value. A `ModelRefusalError` where LangChain has one."""


def structured(
    model: BaseChatModel, schema: Any, include_raw: bool, method: Method, asked: Mapping[str, Any]
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
    described = {"kwargs": {"method": method, "strict": asked.get("strict")}, "schema": schema}
    if method == "function_calling":
        name = tool_of(schema).name
        bound = model.bind_tools(
            [schema], tool_choice=name, parallel_tool_calls=False, ls_structured_output_format=described, **asked
        )
        parser = of_calls(schema, name)
    else:
        wanted = _format(schema)
        form_of(None, None, None, wanted)  # a schema that cannot be followed is told of here
        bound = model.bind(response_format=wanted, ls_structured_output_format=described, **asked)
        parser = _of_text(schema)
    return parsed(bound, parser, include_raw)


def parsed(bound: Runnable[Any, Any], parser: BaseOutputParser[Any], include_raw: bool) -> Runnable[Any, Any]:
    """A model and the parser behind it; AnswerRefused where the policy refused or ended the answer."""
    if not include_raw:
        return bound | unless_refused | parser
    value = RunnablePassthrough.assign(parsed=itemgetter("raw") | unless_refused | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | value.with_fallbacks([failed], exception_key="parsing_error")


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


def _pass(messages: Iterator[BaseMessage]) -> Iterator[BaseMessage]:
    for message in messages:
        _check(message)
        yield message


async def _apass(messages: AsyncIterator[BaseMessage]) -> AsyncIterator[BaseMessage]:
    async for message in messages:
        _check(message)
        yield message


unless_refused: Runnable[BaseMessage, BaseMessage] = RunnableGenerator(_pass, _apass)
"""Passes messages on, and raises `AnswerRefused` at one that the policy refused or ended."""


def _check(message: BaseMessage) -> None:
    if refused(message):
        record = message.response_metadata.get(RECORD, {})
        reason = record.get("verdict", {}).get("reason", "")
        raise AnswerRefused(f"the policy let no such answer through: {reason or 'no safe continuation was found'}")
