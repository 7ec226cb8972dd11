"""How a model writes calls of tools, read off its chat template: no list of models, but what it makes of a sentinel.

The template renders one call, and two, of tools with names and arguments that nothing else holds. What stands before
the name, between name and arguments, between two calls and behind the last is the format. A template that does not tell
of tools, leaves calls out, or writes them in a way that is none of those below has no format of its own.

Where messages have channels, as in gpt-oss, a template writes a past call with the tool before the channel, while the
model was trained to write the channel first (OpenAI's description of the harmony format). Both say the same, and the
format of a call is the second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ig_guardrail.engine.text.rendering import apply_template
from ig_guardrail.engine.text.thoughts import thought_format_of
from ig_guardrail.errors import ModelError
from ig_guardrail.text.call_notation import heads
from ig_guardrail.text.calls import format_calls, parse_calls
from ig_guardrail.types import OUR_FORMAT, CallNotation, Tool, ToolCall, ToolFormat

FIRST, SECOND = "sentinel_alpha", "sentinel_beta"
ARGUMENTS: Mapping[str, Any] = {"sentinel_text": "sentinelvalue", "sentinel_number": 7, "sentinel_flag": True}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "sentinel_text": {"type": "string"},
        "sentinel_number": {"type": "integer"},
        "sentinel_flag": {"type": "boolean"},
    },
    "required": list(ARGUMENTS),
}
IDS = ("sentinelid000000", "sentinel0")  # of any length, or of nine characters as in Mistral's
TOOLS = tuple(Tool(name, "A sentinel.", SCHEMA) for name in (FIRST, SECOND))
_ASKED = {"role": "user", "content": "Sentinel."}
_WORD = "sentinelword"
_SENTINEL_ID = r"(?:sentinelid00000\d|sentinel\d)"
_ID = re.compile(rf',?\s*"[^"]*":\s*"{_SENTINEL_ID}"|"[^"]*":\s*"{_SENTINEL_ID}",\s*')
_MARKER = re.compile(r"<[^<>\s]*>|</?\w+=|\[/?[A-Z_]+\]")
_UNIT = re.compile(r"<[^<>\s]*>|\[/?[A-Z_]+\]|.", re.DOTALL)  # a marker, or a character
_PYTHON = re.compile(
    r"\(\s*sentinel_text\s*=\s*(['\"])sentinelvalue\1\s*,\s*sentinel_number\s*=\s*7\s*,\s*sentinel_flag\s*=\s*(true|True)\s*"
)
_OBJECT = re.compile(r'\{\s*(?:"[^"]*":\s*"[^"]*",\s*)*"([^"]+)":\s*"\Z')
_CHANNEL = re.compile(
    rf"\s*to=(?P<where>[\w.]*){FIRST}(?P<channel><[^<>\s]*>)(?P<name>\w+) ?(?P<type>\w*)(?P<body><[^<>\s]*>)"
)
_CONSTRAIN = "<|constrain|>"  # of the harmony format: before the type of what a call says
_KEY = re.compile(r'"\s*,\s*"([^"]+)"\s*:\s*\Z')


def tool_format_of(tokenizer: Any) -> ToolFormat:
    """The format of calls that the tokenizer's chat template writes; ours where it has none."""
    for id, packed in product(IDS, (False, True)):
        found = _Probe(tokenizer, id, packed).format()
        if found is not None:
            return replace(found, native=True, packed=packed, id_size=0 if id == IDS[0] else len(id))
    return OUR_FORMAT


def markers_of(format: ToolFormat) -> set[str]:
    """What a format writes around calls that is no word, such as `<tool_call>`."""
    around = (format.begin, format.open, format.middle, format.close, format.end, *format.tag)
    return {word for text in around for word in _MARKER.findall(text)}


@dataclass(frozen=True, slots=True)
class _Probe:
    """Asks a template in one way: by ids of a form, with arguments as objects or as JSON text."""

    tokenizer: Any
    id: str
    packed: bool

    def format(self) -> ToolFormat | None:
        """The format; None for none that was found."""
        told, one = self._said([], ask=True), self._said([FIRST])
        if told is None or one is None or FIRST not in told or FIRST not in one[len(_shared(told, one)) :]:
            return None
        turn = one[len(_shared(told, one)) :]
        head = _CHANNEL.match(turn)
        if head is not None:
            return self._in_channel(turn, head)
        usual = self._rendered([_ASKED, {"role": "assistant", "content": _WORD}], ask=False) or ""
        around_words = usual[len(_shared(told, usual)) :]
        empty = self._empty_thought(around_words.partition(_WORD)[0])
        alone = _only_call(self._without_end(turn).lstrip().removeprefix(empty))
        if alone is None:
            return None
        both = self._said([FIRST, SECOND])
        pair = None if both is None else _with_two(alone, self._without_end(both[len(_shared(told, both)) :]))
        around_words = around_words.replace(empty, "", 1)
        for found in (pair, _with_list_end(alone)):
            if found is not None and _reads_itself(found) and not any(one in around_words for one in markers_of(found)):
                return found
        return None

    def _empty_thought(self, before: str) -> str:
        """What stands before words, if it is a thought of nothing, as it then stands before calls too; else ""."""
        thoughts = thought_format_of(self.tokenizer) if before.strip() else None
        nothing = "" if thoughts is None else "".join(f"{thoughts.opening}{thoughts.closing}".split())
        return before.strip() if nothing and "".join(before.split()) == nothing else ""

    def _in_channel(self, turn: str, head: re.Match[str]) -> ToolFormat | None:
        """The format of a call in a channel of its own; None unless words are known by the header of theirs."""
        thoughts = thought_format_of(self.tokenizer)
        if thoughts is None or not thoughts.plain.startswith(head["channel"]):
            return None
        try:
            said, end = json.JSONDecoder().raw_decode(turn, head.end())
        except ValueError:
            return None
        special = {entry.content for entry in self.tokenizer.added_tokens_decoder.values() if entry.special}
        stop, constrain = turn[end:].strip(), _CONSTRAIN if _CONSTRAIN in special else ""
        if said != ARGUMENTS or stop not in special or thoughts.over == thoughts.closing:
            return None
        kind = f" {constrain}{head['type']}" if head["type"] else ""
        found = ToolFormat(
            open=f"{head['channel']}{head['name']} to={head['where']}",
            middle=f"{kind}{head['body']}",
            close="",
            separator=None,
            keys=(),
            channel=True,
            stop=stop,
        )
        return found if _reads_itself(found) else None

    def _said(self, names: list[str], *, ask: bool = False) -> str | None:
        """A conversation in which tools are told of, and called; None where the template refuses it."""
        calls = [
            {
                "type": "function",
                "id": f"{self.id[:-1]}{place}",
                "function": {"name": name, "arguments": json.dumps(ARGUMENTS) if self.packed else dict(ARGUMENTS)},
            }
            for place, name in enumerate(names)
        ]
        said = [{"role": "assistant", "content": "", "tool_calls": calls}] if calls else []
        return self._rendered([_ASKED, *said], ask)

    def _without_end(self, turn: str) -> str:
        """A turn without what ends it: what stands behind the words of any."""
        said = self._rendered([_ASKED, {"role": "assistant", "content": _WORD}], ask=False) or ""
        end = said.rpartition(_WORD)[2].strip()
        cut = turn.rfind(end) if end else len(turn)
        if cut >= 0:
            return turn[:cut].rstrip()
        ends = [token for token in self.tokenizer.all_special_tokens if token in turn[turn.rfind(FIRST) :]]
        return turn[: max((turn.rfind(token) for token in ends), default=len(turn))].rstrip()

    def _rendered(self, messages: list[Any], ask: bool) -> str | None:
        told = [
            {
                "type": "function",
                "function": {"name": one.name, "description": one.description, "parameters": dict(one.parameters)},
            }
            for one in TOOLS
        ]
        try:
            return apply_template(self.tokenizer, messages, ask, None, told)
        except ModelError:
            raise
        except Exception:  # templates are programs of their own and raise what they like
            return None


def _only_call(turn: str) -> ToolFormat | None:
    """The format of a turn that holds one call; what is around that is taken for part of the call."""
    head, name, rest = turn.partition(FIRST)
    if not name or "sentinel_text" not in rest:
        return None
    for read in (_in_json, _in_python, _in_tags):
        found = read(head.lstrip(), rest)
        if found is not None:
            return found
    return None


def _in_json(head: str, rest: str) -> ToolFormat | None:
    start = rest.rfind("{", 0, rest.index("sentinel_text"))
    try:
        said, end = json.JSONDecoder().raw_decode(rest, start) if start >= 0 else (None, 0)
    except ValueError:
        return None
    if said != ARGUMENTS:
        return None
    head, middle, close = (_ID.sub("", part) for part in (head, rest[:start], rest[end:]))
    name, arguments = _OBJECT.search(head), _KEY.fullmatch(middle)
    keys = (name[1], arguments[1]) if name and arguments and close.lstrip().startswith("}") else ()
    return ToolFormat("", head, middle, close, None, "", keys=keys)


def _in_python(head: str, rest: str) -> ToolFormat | None:
    found = _PYTHON.match(rest)
    if found is None:
        return None
    words = ("True", "False", "None") if found[2] == "True" else ("true", "false", "null")
    return ToolFormat("", head, "(", rest[found.end() :], None, "", "python", (), words=words)


def _in_tags(head: str, rest: str) -> ToolFormat | None:
    text, number, flag = ARGUMENTS
    value = ARGUMENTS[text]
    found = re.compile(f"(.*?){text}(.+?){value}(.+?){number}(.+?)7(.+?){flag}(.+?)[Tt]rue(.+)", re.DOTALL).fullmatch(
        rest
    )
    if found is None or found[2] != found[4] or found[2] != found[6] or found[3] != found[5]:
        return None
    before = _shared_end(found[1], found[3])
    behind = found[3][: len(found[3]) - len(before)]
    if not (before.strip() and behind.strip() and found[7].startswith(behind)):
        return None
    middle, close = found[1][: len(found[1]) - len(before)], found[7][len(behind) :]
    return ToolFormat("", head, middle, close, None, "", "tags", (), (before, found[2], behind))


def _with_list_end(alone: ToolFormat) -> ToolFormat:
    """The format of one call, with brackets that close a list told apart from what closes the call."""
    call, brace, rest = alone.close.rpartition("}")
    return replace(alone, close=call + brace, end=rest) if brace and not rest.strip("]) \t\r\n") else alone


def _with_two(alone: ToolFormat, turn: str) -> ToolFormat | None:
    """The format of one call, with what is around all calls told apart from what is around each, by a turn of two."""
    _, first, rest = turn.partition(FIRST)
    between, second, tail = rest.partition(SECOND)
    if not (first and second) or not _ends_alike(tail, alone):
        return None
    middle_of_two = _ID.sub("", between[_arguments_end(between, alone) :])
    open_ = _shared_end(alone.open, middle_of_two)
    close = _shared(alone.close, middle_of_two[: len(middle_of_two) - len(open_)])
    separator = middle_of_two[len(close) : len(middle_of_two) - len(open_)]
    begin, end = alone.open[: len(alone.open) - len(open_)], alone.close[len(close) :]
    return replace(alone, begin=begin, open=open_, close=close, separator=separator, end=end)


def _ends_alike(tail: str, alone: ToolFormat) -> bool:
    return _ID.sub("", tail[_arguments_end(tail, alone) :]) == alone.close


def _arguments_end(rest: str, alone: ToolFormat) -> int:
    """Where the arguments end that stand behind a name."""
    if alone.values == "json":
        return json.JSONDecoder().raw_decode(rest, rest.rfind("{", 0, rest.index("sentinel_text")))[1]
    if alone.values == "python":
        found = _PYTHON.match(rest)
        return found.end() if found is not None else 0
    flag = re.compile(f"sentinel_flag{re.escape(alone.tag[1])}[Tt]rue{re.escape(alone.tag[2])}").search(rest)
    return flag.end() if flag is not None else 0


def _shared(one: str, other: str) -> str:
    """The beginning that two texts share, with whole markers."""
    size = 0
    for a, b in zip(_UNIT.findall(one), _UNIT.findall(other), strict=False):
        if a != b:
            break
        size += len(a)
    return one[:size]


def _shared_end(one: str, other: str) -> str:
    """The end that two texts share, with whole markers."""
    size = 0
    for a, b in zip(_UNIT.findall(one)[::-1], _UNIT.findall(other)[::-1], strict=False):
        if a != b:
            break
        size += len(a)
    return one[len(one) - size :]


def _reads_itself(format: ToolFormat) -> bool:
    """Whether calls can be found in an answer, and read back as they are written."""
    notation = CallNotation(format, TOOLS)
    calls = tuple(ToolCall(tool.name, ARGUMENTS) for tool in (TOOLS if format.separator is not None else TOOLS[:1]))
    try:
        return (
            bool(heads(notation))
            and parse_calls(f"So.\n{format_calls(calls, notation)}", notation=notation)[1] == calls
        )
    except (ValueError, IndexError):
        return False
