"""What a call's tools and response format ask of an answer: names from LangChain, a `calls.Form` for the guardrail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.tools import InjectedToolArg
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json_schema import dereference_refs
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from ig_guardrail.calls import Choice, Form, Tool
from ig_guardrail.drive.serve import edited
from ig_guardrail.errors import RequestError, brief
from ig_guardrail.integrations.langchain.plain_json import demand_json
from ig_guardrail.types import Edit, Turn

_ANY = ("any", "required", True)
_ANYTHING: Mapping[str, Any] = {"type": "object"}
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}


def form_of(tools: Sequence[Any] | None, choice: Any, parallel: bool | None, response_format: Any) -> Form:
    """The form of an answer.

    tools            as `bind_tools` takes them
    choice           None or "auto", "none", "any", "required" or True, a tool's name, or OpenAI's dict that names one
    parallel         False: one call at most, as where a choice names the tool and this is None
    response_format  OpenAI's dict of type text, json_object or json_schema, a JSON Schema, or a pydantic class
    Raises RequestError for what is none of these.
    """
    if tools is not None and (isinstance(tools, str | Mapping) or not isinstance(tools, Sequence)):
        raise RequestError(f"tools is {tools!r:.80}", where="tools", fix="give a list of tools")
    schema = _schema(response_format)
    offered = tuple(map(tool_of, tools or ()))
    chosen, kind, named = _chosen(offered, choice)
    return Form(chosen, kind, not named if parallel is None else parallel, schema)


def instructed(form: Form, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """A conversation whose model is told of the form."""
    return edited(turns, Edit(form.instructions()))


def tool_of(given: Any) -> Tool:
    """A tool from a dict, a class, a callable or a `BaseTool`."""
    if isinstance(given, Mapping):
        demand_json(given, "tools")
    try:
        function = described(given)["function"]
        name, parameters = function["name"], function.get("parameters") or _NO_ARGUMENTS
        if not (isinstance(name, str) and name and isinstance(parameters, Mapping)):
            raise TypeError("its name is no text, or its parameters are no JSON Schema")
        return Tool(name, function.get("description", ""), parameters)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise RequestError(
            f"a tool cannot be read: {brief(error)}",
            where="tools",
            why="a model must be told its name, what it is for, and its arguments",
            fix="give a function with type hints, a BaseTool, a pydantic class, or OpenAI's dict",
        ) from error


def described(given: Any, strict: bool | None = None) -> dict[str, Any]:
    """OpenAI's dict of a tool. Arguments of a `BaseTool` go by the names under which it takes them: their aliases."""
    told = convert_to_openai_tool(given, strict=strict)
    schema = getattr(given, "args_schema", None)
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return told
    config = schema.model_config
    if config.get("populate_by_name") or config.get("validate_by_name"):
        return told
    named = {name: alias for name, field in schema.model_fields.items() if (alias := _alias(field)) is not None}
    if not named:
        return told
    parameters = told["function"].get("parameters", {"type": "object"})
    offered = parameters.get("properties", {})
    whole = dereference_refs(schema.model_json_schema())["properties"]
    lost = [name for name in named if name not in offered and not _injected(schema.model_fields[name])]
    properties = {named.get(name, name): part for name, part in offered.items()}
    properties |= {named[name]: whole[named[name]] for name in lost}  # LangChain loses names for reading alone
    needed = [*parameters.get("required", ()), *(name for name in lost if schema.model_fields[name].is_required())]
    required = {"required": [named.get(name, name) for name in needed]} if needed else {}
    return {
        **told,
        "function": {**told["function"], "parameters": {**parameters, "properties": properties, **required}},
    }


def _injected(field: FieldInfo) -> bool:
    """Whether the agent gives an argument, not the model."""
    kinds = [one if isinstance(one, type) else type(one) for one in (field.annotation, *field.metadata)]
    return any(issubclass(kind, InjectedToolArg) for kind in kinds)


def _alias(field: FieldInfo) -> str | None:
    """The name by which a field is read, if that is another than its own."""
    alias = field.validation_alias or field.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return next((choice for choice in choices if isinstance(choice, str)), None)


def _chosen(offered: tuple[Tool, ...], choice: Any) -> tuple[tuple[Tool, ...], Choice, bool]:
    """The tools that may be called, whether one must be, and whether it was named."""
    if isinstance(choice, Mapping):
        inner = choice.get("function", choice)
        choice = inner.get("name", choice.get("type")) if isinstance(inner, Mapping) else choice
    if choice in (None, False, "auto"):
        return offered, "auto", False
    if choice == "none":
        return offered, "none", False
    named = tuple(tool for tool in offered if tool.name == choice)
    if named:
        return named, "any", True
    if choice in _ANY and offered:
        return offered, "any", False
    names = ", ".join(tool.name for tool in offered) or "none"
    raise RequestError(
        f"tool_choice is {choice!r}",
        where="tool_choice",
        why=f"it names no tool of this call; those are: {names}",
        fix="give 'auto', 'none', 'any', or the name of a tool that is bound",
    )


def _schema(response_format: Any) -> Mapping[str, Any] | None:
    if response_format is None:
        return None
    if isinstance(response_format, Mapping):
        demand_json(response_format, "response_format")
        kind = response_format.get("type")
        if kind == "text":
            return None
        if kind == "json_object":
            return _ANYTHING
        if kind == "json_schema" and isinstance(response_format.get("json_schema"), Mapping):
            inner = response_format["json_schema"].get("schema")
            if isinstance(inner, Mapping):
                return inner
        if kind in (None, "object", "array"):
            return response_format
    if isinstance(response_format, type):
        return schema_of(response_format)
    raise RequestError(
        f"response_format is {response_format!r:.80}",
        where="response_format",
        why="the form of an answer is text, any JSON object, or a JSON Schema",
        fix='give {"type": "json_schema", "json_schema": {"schema": ...}}',
    )


def schema_of(given: Any) -> Mapping[str, Any]:
    """The JSON Schema of a pydantic class (v1 or v2), a TypedDict, or one given as a dict."""
    if isinstance(given, Mapping) and "parameters" not in given and "function" not in given:
        return given
    if hasattr(given, "model_json_schema"):
        schema: Mapping[str, Any] = given.model_json_schema()
        return schema
    return tool_of(given).parameters
