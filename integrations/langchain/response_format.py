"""What a call's tools and response format ask of an answer: names from LangChain, a `calls.Form` for the guardrail."""

from __future__ import annotations

import enum
from collections.abc import Container, Mapping, Sequence
from inspect import Parameter, isroutine, signature
from typing import Any, get_origin

from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool
from langchain_core.tools.base import _DirectlyInjectedToolArg, create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from ig_guardrail.errors import RequestError, brief
from ig_guardrail.integrations.langchain.given.argument_names import names_taken
from ig_guardrail.integrations.langchain.given.typed_dicts import as_hinted, unmarked
from ig_guardrail.schemas import KINDS, faultless, sound
from ig_guardrail.schemas.reading import in_words
from ig_guardrail.text.calls import ResponseFormat, Tool, ToolChoice
from ig_guardrail.types import ArgumentNames, CallNotation

LONGEST_NAME = 128  # characters of a tool's name
_ANY = ("any", "required", True)
_OTHERS = {"function", "parameters", "input_schema", "inputSchema", "toolSpec"}  # of tools that are no schema
_ARGUMENTS = ("parameters", "input_schema", "inputSchema", "schema")  # where interfaces have a tool's arguments
_BESIDE = {"type", "name", "title", "description", "strict", "cache_control", "metadata"}  # of no arguments
_NO_OBJECTS = (bool, int, float, str, bytes, list, tuple, set)  # classes whose values have no fields
_ANYTHING: Mapping[str, Any] = {"type": "object"}
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}


def form_of(tools: Sequence[Any] | None, choice: Any, parallel: bool | None, response_format: Any) -> ResponseFormat:
    """The form of an answer.

    tools            as `bind_tools` takes them
    choice           None or "auto", "none", "any", "required" or True, a tool's name, or OpenAI's dict that names one
    parallel         False: one call at most, as where a choice names the tool and this is None
    response_format  OpenAI's dict of type text, json_object or json_schema, a JSON Schema, or a pydantic class
    Raises RequestError for what is none of these, and for a schema that cannot be followed, naming the place in it.
    """
    if tools is not None and (isinstance(tools, str | Mapping) or not isinstance(tools, Sequence)):
        raise RequestError(f"tools is {tools!r:.80}", where="tools", fix="give a list of tools")
    schema = _schema(response_format)
    offered = tuple(map(tool_of, tools or ()))
    _told_apart(offered)
    for asked in (*(tool.parameters for tool in offered), *(() if schema is None else (schema,))):
        sound(asked)
    chosen, kind, named = _chosen(offered, choice)
    return ResponseFormat(chosen, kind, not named if parallel is None else parallel, schema)


def _told_apart(offered: Sequence[Tool]) -> None:
    """Raises RequestError for two tools of one name: a call to one is a call to the other."""
    known: dict[str, Tool] = {}
    for tool in offered:
        if known.setdefault(tool.name, tool) != tool:
            raise RequestError(
                f"two tools are named {tool.name!r:.80}",
                where="tools",
                why="a call is known by its name, and theirs take different arguments or do different things",
                fix="rename one of them",
            )


def tool_of(given: Any) -> Tool:
    """A tool from a dict, a class, a callable or a `BaseTool`.

    Its arguments are named as they are taken (by their aliases), and those that lead back to themselves stay so.
    Raises RequestError for what is none of these.
    """
    function = described(given)["function"]
    if len(function["name"]) > LONGEST_NAME:
        raise RequestError(
            f"a tool's name has {len(function['name'])} characters: {function['name'][:40]}...",
            where="tools",
            why="the form of a call to it grows with its name, past what can be enforced",
            fix=f"give it a name of at most {LONGEST_NAME} characters",
        )
    parameters = _of_objects(function.get("parameters") or _NO_ARGUMENTS)
    return Tool(function["name"], function.get("description", ""), parameters, names=_names(given))


def _of_objects(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema of arguments, whose values are objects also where it says nothing of that. RequestError for others."""
    kind = schema.get("type")
    if kind == "object":
        return schema
    if kind is None or (isinstance(kind, list | tuple) and "object" in kind):
        in_words(schema)
        return {**schema, "type": "object"}
    raise RequestError(
        f"the arguments of a tool are of type {kind!r:.80}",
        where="tools",
        why="each is given by its name, so that all of them are one object",
        fix="give a schema of type 'object'",
    )


class BoundTool(dict[str, Any]):
    """A tool as OpenAI's dict, which handlers of a run can write down. given: what another model binds in its way."""

    given: Any

    @classmethod
    def of(cls, given: Any) -> Any:
        """A tool that is given as a dict stays as it is. Raises RequestError for what is no tool."""
        if isinstance(given, Mapping):
            return given
        told = cls(described(given))
        told.given = given
        return told


def notation_of(tools: Sequence[Any]) -> CallNotation:
    """How calls are read of a model that tells of tools itself: in our notation, by all names of their arguments."""
    bound = [tool for tool in tools if isinstance(tool, BoundTool)]
    return CallNotation(
        tools=tuple(Tool(one["function"]["name"], "", _NO_ARGUMENTS, names=_names(one.given)) for one in bound)
    )


def described(given: Any, strict: bool | None = None) -> dict[str, Any]:
    """A tool as OpenAI's dict. Raises RequestError for what is no tool."""
    if isinstance(given, Mapping):
        faultless(given)
        _of_functions(given)
        given = _as_openai_has_it(given)
    if isinstance(given, type) and issubclass(given, BaseTool):
        raise RequestError(
            f"a tool is the class {given.__name__!r:.80}",
            where="tools",
            why="a tool is an object of it, with its name and arguments",
            fix=f"give {given.__name__}()",
        )
    try:
        _demand_tellable(given)
        made = convert_to_openai_tool(unmarked(given), strict=strict)
        own = as_hinted(made["function"]["parameters"], given) if is_typeddict(given) else _arguments(given)
        name, parameters = made["function"]["name"], own or made["function"].get("parameters") or _NO_ARGUMENTS
        if not (isinstance(name, str) and name and isinstance(parameters, Mapping)):
            raise TypeError("its name is no text, or its parameters are no JSON Schema")
    except (KeyError, TypeError, ValueError, NameError, AttributeError, RecursionError, PydanticUserError) as error:
        raise RequestError(
            f"a tool cannot be read: {brief(error)}",
            where="tools",
            why="a model must be told its name, what it is for, and its arguments",
            fix="give a function with type hints, a BaseTool, a pydantic class, or OpenAI's dict",
        ) from error
    if own is None:
        return made
    return {**made, "function": {**made["function"], "name": name, "parameters": own}}


def _of_functions(given: Mapping[str, Any]) -> None:
    """Raises RequestError for what a maker of models runs on its own servers: it is told by a type alone."""
    kind = given.get("type")
    if isinstance(kind, str) and kind not in ("function", "object") and not _OTHERS & given.keys():
        raise RequestError(
            f"a tool is of type {kind!r:.80}, and no function",
            where="tools",
            why="such a tool is run by who serves its model, and a model on this machine has none",
            fix="give a function with type hints, a BaseTool, a pydantic class, or OpenAI's dict",
        )


def _as_openai_has_it(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool by its name, as OpenAI's dict, however flat it is and wherever it has the schema of its arguments.

    Raises RequestError where that stands under a name that is not known: the tool would be called without arguments.
    """
    inner = given.get("function", given)
    if not isinstance(inner, Mapping) or "name" not in inner or {"properties", "toolSpec"} & inner.keys():
        return given
    found = next((name for name in _ARGUMENTS if inner.get(name) is not None), None)
    unread = sorted(inner.keys() - _BESIDE - set(_ARGUMENTS))
    if found is None and any(isinstance(inner[name], Mapping) for name in unread):
        raise RequestError(
            f"a tool has {', '.join(f'`{name:.40}`' for name in unread[:4])}, and no `parameters`",
            where="tools",
            why="it would be called without arguments",
            fix="give the JSON Schema of its arguments as `parameters`",
        )
    function = {name: inner[name] for name in ("description", "strict") if inner.get(name) is not None}
    function["name"] = inner["name"]
    return {"type": "function", "function": function | ({} if found is None else {"parameters": inner[found]})}


def _demand_tellable(given: Any) -> None:
    """Raises RequestError for a function with an argument that LangChain tells no model of, or under another name."""
    function = given.func or given.coroutine if isinstance(given, StructuredTool) else given
    told = given.args_schema if isinstance(given, StructuredTool) else None
    if isinstance(given, type) or not isroutine(function) or isinstance(told, Mapping):
        return
    named = told.model_fields if isinstance(told, type) and issubclass(told, BaseModel) else {}
    taken = signature(function).parameters
    own = any(name not in taken and not name.startswith("v__") for name in named)  # a schema of the tool's own
    lost = [one.name for one in taken.values() if _untold(one, named)]
    if lost and not own:
        raise RequestError(
            f"a tool's function has an argument {lost[0]!r:.80} that no call can give",
            where="tools",
            why="it is taken by its place, or LangChain keeps its name from models, as it does with `args` and `_...`",
            fix="give it another name, and have it taken by that",
        )


def _untold(parameter: Parameter, named: Container[str]) -> bool:
    kind, needed = parameter.kind, parameter.default is Parameter.empty
    if kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
        return False
    hidden = parameter.name in ("args", "kwargs") or (needed and parameter.name.startswith("_"))
    return (hidden and parameter.name not in named) or (needed and kind is Parameter.POSITIONAL_ONLY)


def _arguments(given: Any) -> dict[str, Any] | None:
    """The schema of a tool's arguments with its references, by aliases; None where LangChain's own has all there is."""
    if isinstance(given, Mapping):
        return _bare(given) if "title" in given and not ({"name"} | _OTHERS) & given.keys() else None
    if isinstance(given, BaseTool):
        return _of_tool(given)
    model = given if isinstance(given, type) and issubclass(given, BaseModel) else _model_of(given)
    return None if model is None else _bare(model.model_json_schema())


def _of_tool(tool: BaseTool) -> dict[str, Any] | None:
    taken = tool.args_schema
    if isinstance(taken, Mapping):
        return _bare(taken) if "properties" in taken else None
    if not (isinstance(taken, type) and issubclass(taken, BaseModel)):
        return None
    config = taken.model_config
    by_alias = not (config.get("populate_by_name") or config.get("validate_by_name"))
    return _bare(_of_the_model(taken).model_json_schema(by_alias=by_alias))


def _of_the_model(taken: type[BaseModel]) -> type[BaseModel]:
    """The class of a tool's arguments without those that the agent gives, which need not be JSON at all."""
    kept = {name: (one.annotation, one) for name, one in taken.model_fields.items() if not _injected(one)}
    if len(kept) == len(taken.model_fields):
        return taken
    made: type[BaseModel] = create_model(taken.__name__, __config__=taken.model_config, **kept)  # type: ignore[call-overload]
    return made


def _injected(field: FieldInfo) -> bool:
    """Whether the agent gives an argument, not the model."""
    kinds = [get_origin(one) or one for one in (field.annotation, *field.metadata)]
    classes = [one if isinstance(one, type) else type(one) for one in kinds]
    return any(issubclass(one, InjectedToolArg | _DirectlyInjectedToolArg) for one in classes)


def _model_of(given: Any) -> type[BaseModel] | None:
    """The pydantic class of a callable's arguments, as LangChain makes it."""
    if isinstance(given, type) or not callable(given) or not hasattr(given, "__name__"):
        return None
    made: Any = create_schema_from_function(
        given.__name__, given, parse_docstring=True, error_on_invalid_docstring=False, include_injected=False
    )
    return made if isinstance(made, type) and issubclass(made, BaseModel) else None


def _names(given: Any) -> tuple[ArgumentNames, ...]:
    """All names of arguments that a tool takes by several."""
    return names_taken(given if isinstance(given, type | BaseTool) else _model_of(given))


def _bare(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of arguments without its own name and description; one that is only a reference is what it refers to."""
    reference, parts = schema.get("$ref"), schema.get("$defs")
    if isinstance(reference, str) and isinstance(parts, Mapping) and "properties" not in schema:
        target = parts.get(reference.removeprefix("#/$defs/"))
        schema = {**target, "$defs": parts} if isinstance(target, Mapping) and "$ref" not in target else schema
    return {key: part for key, part in schema.items() if key not in ("title", "description")}


def _chosen(offered: tuple[Tool, ...], choice: Any) -> tuple[tuple[Tool, ...], ToolChoice, bool]:
    """The tools that may be called, whether one must be, and whether it was named."""
    if isinstance(choice, Mapping):
        choice = _named_in(choice)
    if choice in (None, False, "auto"):
        return offered, "auto", False
    if choice == "none":
        return offered, "none", False
    named = tuple(tool for tool in offered if tool.name == choice)
    if named:
        return named, "any", True
    if choice in _ANY and offered:
        return offered, "any", False
    if not offered:
        raise RequestError(
            f"tool_choice is {choice!r}, and no tools are offered",
            where="tool_choice",
            why="there is none that could be called",
            fix="offer tools, or leave tool_choice out",
        )
    names = ", ".join(tool.name for tool in offered)
    raise RequestError(
        f"tool_choice is {choice!r}",
        where="tool_choice",
        why=f"it names no tool of this call; those are: {names}",
        fix="give 'auto', 'none', 'required', or the name of a tool that is offered",
    )


def _named_in(choice: Mapping[str, Any]) -> str:
    """What a dict of a choice names. Raises RequestError where it names nothing, and would else count for nothing."""
    inner = choice.get("function", choice)
    name = inner.get("name", choice.get("type")) if isinstance(inner, Mapping) else None
    if isinstance(name, str):
        return name
    raise RequestError(
        f"tool_choice is {dict(choice)!r:.80}",
        where="tool_choice",
        why="it names no tool",
        fix='give {"type": "function", "function": {"name": ...}}, or the name alone',
    )


def _schema(response_format: Any) -> Mapping[str, Any] | None:
    if response_format is None:
        return None
    if isinstance(response_format, Mapping):
        faultless(response_format)
        kind = response_format.get("type")
        if kind == "text":
            return None
        if kind == "json_object":
            return _ANYTHING
        inner = _unpacked(response_format)
        if inner is not response_format or kind in (None, *KINDS, "integer") or isinstance(kind, list | tuple):
            return inner
    if isinstance(response_format, type):
        return schema_of(response_format)
    raise RequestError(
        f"response_format is {response_format!r:.80}",
        where="response_format",
        why="the form of an answer is text, any JSON object, or a JSON Schema",
        fix='give {"type": "json_schema", "json_schema": {"schema": ...}}',
    )


def _unpacked(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A JSON Schema out of what OpenAI's interfaces wrap around it: a name and `strict`, and once more or not."""
    inner = given.get("json_schema", given) if given.get("type") == "json_schema" else given
    wrapped = isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping) and "properties" not in inner
    return inner["schema"] if wrapped else given


def schema_of(given: Any) -> Mapping[str, Any]:
    """The JSON Schema of a pydantic class (v1 or v2), a TypedDict, or one given as a dict."""
    if isinstance(given, Mapping) and not (_OTHERS & given.keys()):
        return _unpacked(given)
    if isinstance(given, BaseModel):
        raise RequestError(
            f"the schema is a value of {type(given).__name__!r:.80}", where="schema", fix="give the class"
        )
    if hasattr(given, "model_json_schema"):
        schema: Mapping[str, Any] = given.model_json_schema()
        return schema
    if isinstance(given, type) and hasattr(given, "__fields__") and hasattr(given, "schema"):  # pydantic v1
        older: Mapping[str, Any] = given.schema()
        return older
    simple = isinstance(given, type) and (given in _NO_OBJECTS or issubclass(given, enum.Enum))
    if simple or get_origin(given) or given is Any:
        raise RequestError(
            f"the schema is {given!r:.80}",
            where="schema",
            why="a value is an object, whose fields say what they hold",
            fix="put it into a field of a pydantic class or a TypedDict, or give its JSON Schema",
        )
    return tool_of(given).parameters
