"""Tools, and how a model writes calls of them: what was read off its chat template, as plain facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

# Where one argument may be given: its name, its other names, and ways into other arguments.
ArgumentNames: TypeAlias = tuple[str | tuple[str | int, ...], ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call; `parameters` is the JSON Schema of its arguments, an object.

    accepted: the schema that calls follow, where that is narrower than what the model is told
    names: of each argument that is taken by several, all of them
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    accepted: Mapping[str, Any] | None = None
    names: tuple[ArgumentNames, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """How calls are written: `begin`, the calls with `separator` between two, `end`; each text as the model writes it.

    A call is `open`, its name, `middle`, its arguments, `close`. Without a separator, an answer holds one call.

    values   how arguments are written: as a JSON object, as texts between tags, or as keywords of Python
    keys     of name and arguments, where a call is a JSON object; () where it is none
    tag      what stands before a key, between it and its value, and behind that, where arguments stand between tags
    words    true, false and null, where arguments are keywords
    fenced   whether calls may stand in a Markdown fence
    native   whether the chat template writes calls and results, and tells of tools; else a model is told in words
    packed   whether the template takes arguments as JSON text, and not as objects
    id_size  characters of an id that the template demands; 0 if any will do
    channel  whether a call is a message of its own, whose header names the tool; then `open` begins with the header
    stop     the token behind a call that ends the answer; "" where it is the one behind words
    """

    begin: str = ""
    open: str = '<tool_call>{"name": "'
    middle: str = '", "arguments": '
    close: str = "}</tool_call>"
    separator: str | None = "\n"
    end: str = ""
    values: Literal["json", "tags", "python"] = "json"
    keys: tuple[str, ...] = ("name", "arguments")
    tag: tuple[str, str, str] = ("", "", "")
    words: tuple[str, str, str] = ("true", "false", "null")
    fenced: bool = False
    native: bool = False
    packed: bool = False
    id_size: int = 0
    channel: bool = False
    stop: str = ""


OUR_FORMAT = ToolFormat()  # of models whose chat template has none, and of texts that are only judged


@dataclass(frozen=True, slots=True)
class CallNotation:
    """How the calls of one request are written.

    tools   those that the model is told of
    untold  those that it is not told of, since it may never call them
    bare    whether a JSON object that names a tool is a call too, as models write it that forget their own format
    """

    format: ToolFormat = OUR_FORMAT
    tools: tuple[Tool, ...] = ()
    untold: tuple[Tool, ...] = ()
    bare: bool = False

    @property
    def named(self) -> tuple[Tool, ...]:
        """All tools whose names mean something."""
        return (*self.tools, *self.untold)
