"""The tools of a request: functions, and those of them that may be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ig_guardrail.integrations.openai_server.faults import unfit


def demand_functions(tools: object) -> None:
    """Raises Refused, naming the place, unless all tools are functions."""
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise unfit("it is no list of tools", "tools")
    for index, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or tool.get("type") != "function":
            raise unfit("tools of type 'function' are called, and no others", f"tools[{index}]")


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
