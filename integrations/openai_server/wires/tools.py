"""The tools of a request: functions, and those of them that may be called."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.wires.fields import unread

FUNCTION = ("name", "description", "parameters", "strict")  # what of a function is read
MOST = 1_000  # tools of a request; a model is told of each of them


def listed(tools: object) -> Sequence[Any]:
    """The tools of a request. Raises Refused for what is no list of them, and for more than a model can be told of."""
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise unfit("it is no list of tools", "tools")
    if len(tools) > MOST:
        raise unfit(f"at most {MOST} tools may be offered", "tools")
    return tools


def demand_functions(tools: object, *, flat: bool = False) -> None:
    """Raises Refused, naming the place, unless all tools are functions, each of a name of its own.

    flat: whether a function's parts stand in the tool itself, and not a step below
    """
    names: set[str] = set()
    for index, tool in enumerate(listed(tools)):
        where = f"tools[{index}]"
        if not isinstance(tool, Mapping) or tool.get("type") != "function":
            raise unfit("tools of type 'function' are called, and no others", where)
        function = tool if flat else tool.get("function")
        at = where if flat else f"{where}.function"
        if not isinstance(function, Mapping):
            raise unfit("it is missing, or is no object", at)
        names.add(demand_function(function, names, at, "parameters"))


def demand_function(function: Mapping[str, Any], names: Collection[str], where: str, schema: str) -> str:
    """The name of a function. Raises Refused, naming the place, for parts of other kinds, and for a name used before.

    schema: what the schema of its arguments is called
    """
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise unfit("it is missing, or is no text", f"{where}.name")
    if name in names:
        raise unfit(f"there are two tools '{name:.80}', and a call could not be told apart", f"{where}.name")
    for part, kind, what in (("description", str, "text"), (schema, Mapping, "object"), ("strict", bool, "truth")):
        if function.get(part) is not None and not isinstance(function[part], kind):
            raise unfit(f"it is no {what}", f"{where}.{part}")
    return name


def unread_of_tools(tools: Sequence[Mapping[str, Any]], *, flat: bool = False) -> tuple[str, ...]:
    """The names of what functions have beside what is read."""
    if flat:
        return tuple(name for tool in tools for name in unread(tool, (*FUNCTION, "type"), "tools"))
    found = [name for tool in tools for name in unread(tool, ("type", "function"), "tools")]
    return (*found, *(name for tool in tools for name in unread(tool["function"], FUNCTION, "tools.function")))


def allowed_tools(tools: Sequence[Mapping[str, Any]], choice: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`tools` and `tool_choice` under a choice of some of them: those that are not allowed are left out."""
    listed, mode = choice.get("tools"), choice.get("mode")
    if not isinstance(listed, list) or mode not in ("auto", "required"):
        raise unfit("it has a mode, 'auto' or 'required', and a list of tools", where)
    names = {_name(tool) for tool in listed}
    allowed = [tool for tool in tools if _name(tool) in names]
    if len(allowed) != len(names):
        raise unfit("it names a tool that is not offered", f"{where}.tools")
    return {"tools": allowed, "tool_choice": mode}


def _name(tool: object) -> str | None:
    """A function's name, whether it stands in the tool or a step below."""
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) else None
