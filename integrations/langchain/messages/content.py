"""The text of a message's content, whichever kinds of content blocks it has; an error where something is not text.

Of a known kind the fields that hold text are read, of an unknown kind that has text all fields. What words quote beside
them is a text of its own. Pictures, sounds, and files that are not text have nothing that could be judged.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.errors import RequestError

DEEPEST = 16  # blocks in blocks

FIELDS: Mapping[str, tuple[str, ...]] = {  # what of a kind is text
    "text": ("text",),
    "input_text": ("text",),
    "output_text": ("text",),
    "summary_text": ("text",),
    "refusal": ("refusal",),
    "reasoning": ("summary", "content", "reasoning"),
    "thinking": ("thinking",),
    "search_result": ("title", "source", "content"),
    "tool_result": ("content",),
    "json": ("json",),
    "mcp_tool_result": ("content",),
    "function_call_output": ("output",),
    "server_tool_result": ("output",),
    "executable_code": ("language", "executable_code"),
    "code_execution_result": ("outcome", "code_execution_result"),
    "tool_call": ("name", "args"),
    "tool_call_chunk": ("name", "args"),
    "invalid_tool_call": ("name", "args", "error"),
    "server_tool_call": ("name", "args"),
    "server_tool_call_chunk": ("name", "args"),
    "tool_use": ("name", "input"),
    "server_tool_use": ("name", "input"),
    "mcp_tool_use": ("name", "input"),
    "function_call": ("name", "arguments"),
    "input_json_delta": ("partial_json",),
}
RUNNING = ("text", "input_text", "output_text", "refusal")  # words that may go on in the next block
QUOTED = frozenset({"annotations", "citations"})  # of words
FILES = frozenset({"file", "input_file", "text-plain", "document"})
FRAME = frozenset({"type", "id", "index", "cache_control", "mime_type", "media_type", "source_type"})
MEDIA = frozenset(  # keys of what is no text, or lies elsewhere
    {"image", "image_url", "audio", "input_audio", "video", "video_url", "file", "file_id", "file_data", "media"}
) | {"url", "uri", "base64", "bytes", "data", "inline_data"}
FAMILIES: Mapping[str, str] = {
    "image_url": "image",
    "input_image": "image",
    "image_file": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "input_file": "file",
    "document": "file",
    "document_url": "file",
    "text-plain": "file",
}


def unjudged_kinds(given: Sequence[str]) -> frozenset[str]:
    """Kinds of content that are let pass. Raises RequestError for what names none: it would let nothing pass."""
    known = {*FAMILIES, *FAMILIES.values()}
    unknown = [given] if isinstance(given, str) else [one for one in given if one not in known]
    if unknown:
        raise RequestError(
            f"unjudged_blocks holds {unknown[0]!r:.40}" if given != unknown[0] else f"unjudged_blocks is {given!r:.40}",
            where="unjudged_blocks",
            why="it names kinds of content that pass although no policy reads them, and this names none",
            fix="give a list of some of 'image', 'audio', 'video', 'file'",
        )
    return frozenset(given)


@dataclass(frozen=True, slots=True)
class ContentReader:
    """Reads contents.

    silent    kinds that are left out, since something else says what they say
    unjudged  kinds, or their families ("image", "audio", "video", "file"), that are passed over where they are not text
    """

    silent: Container[str] = ()
    unjudged: Container[str] = ()

    def text(self, content: Any, where: str, depth: int = 0, first: int = 0) -> str:
        """All text of a content. Blocks of words are joined as they are, others set apart by an empty line.

        where: names the content in errors; first: the number of its first block there
        Raises RequestError for what is not text.
        """
        text, running = "", False
        for index, block in enumerate(content if isinstance(content, list) else [content], start=first):
            words = self._words(block, f"{where}[{index}]" if isinstance(content, list) else where, depth)
            runs = isinstance(block, str) or block.get("type") in RUNNING
            if words:
                text += words if not text or (runs and running) else f"\n\n{words}"
                running = runs
        return text

    def texts(self, content: Any, where: str) -> list[str]:
        """The texts of a content that others read: blocks joined, set apart where that is another text; quotations."""
        blocks = content if isinstance(content, list) else [content]
        joined = self.text(content, where)
        apart = "\n\n".join(self.text([block], where) for block in blocks)
        quoted = "\n".join(_quoted(content, where))
        return [joined, *([] if joined.split() == apart.split() else [apart]), *([quoted] if quoted else [])]

    def _words(self, block: Any, where: str, depth: int) -> str:
        if isinstance(block, str):
            return block
        kind = block.get("type") if isinstance(block, Mapping) else type(block).__name__
        if not isinstance(block, Mapping) or not isinstance(kind, str | None) or depth > DEEPEST:
            raise not_text(kind, where)
        if kind == "non_standard":
            return self.text(block.get("value"), where, depth + 1)
        if kind in self.silent:
            return ""
        parts = _in_file(block) if kind in FILES else _fields(block)
        if parts is not None:
            return "\n".join(line for part in parts for line in self._lines(part, where, depth + 1) if line)
        if kind in self.unjudged or FAMILIES.get(str(kind)) in self.unjudged:
            return ""
        raise not_text(kind, where)

    def _lines(self, value: Any, where: str, depth: int) -> Iterator[str]:
        """The texts in a value, and the names under which they stand."""
        if depth > DEEPEST:
            raise not_text("one that is nested too deeply", where)
        if isinstance(value, list) and all(isinstance(one, str) or _is_block(one) for one in value):
            yield self.text(value, where, depth)
        elif isinstance(value, list | tuple):
            for one in value:
                yield from self._lines(one, where, depth + 1)
        elif _is_block(value):
            yield self._words(value, where, depth)
        elif isinstance(value, Mapping):
            for key, one in value.items():
                yield str(key)
                yield from self._lines(one, where, depth + 1)
        elif value is not None:
            yield str(value)


def strings_in(value: Any, where: str, depth: int = 0) -> Iterator[str]:
    """The texts in a value of any form, but those that only frame it."""
    if depth > DEEPEST:
        raise not_text("one that is nested too deeply", where)
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from strings_in(None if key in FRAME else one, where, depth + 1)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from strings_in(one, where, depth + 1)


def _quoted(value: Any, where: str, depth: int = 0) -> Iterator[str]:
    """What words in a content quote."""
    if depth > 2 * DEEPEST:
        raise not_text("one that is nested too deeply", where)
    if isinstance(value, list):
        for one in value:
            yield from _quoted(one, where, depth + 1)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            quotes = key in QUOTED and value.get("type") in RUNNING
            yield from strings_in(one, where) if quotes else _quoted(one, where, depth + 1)


def _fields(block: Mapping[str, Any]) -> Sequence[Any] | None:
    """What is to be read of a block; None if it has no text, or something beside it that is none."""
    names = FIELDS.get(str(block.get("type")))
    if MEDIA & block.keys():
        return None
    if names is not None:
        needed = block.get("type") in RUNNING
        return None if needed and not isinstance(block.get(names[-1]), str) else [block.get(name) for name in names]
    if {"text", "content"} & block.keys():
        return [value for key, value in block.items() if key not in FRAME]
    return None


def _in_file(block: Mapping[str, Any]) -> Sequence[Any] | None:
    """A file's title, context and content; None if its content is no text, or lies elsewhere."""
    if block.get("source_type") == "text":  # LangChain's first form, with the text where an address would be
        return None if block.get("text") and block.get("url") else [block.get("text") or block.get("url") or ""]
    source = block.get("source")
    held: Mapping[str, Any] = source if isinstance(source, Mapping) else block
    named = [key for key in {"text", "content", *MEDIA} if held.get(key) is not None]
    if len(named) != 1:
        return None
    content = held[named[0]]
    if named[0] in ("base64", "data") and not (held is source and held.get("type") == "text"):
        usual = "text/plain" if block["type"] == "text-plain" else ""
        content = _decoded(content, held.get("mime_type") or held.get("media_type") or usual)
    elif named[0] in MEDIA - {"data"}:
        return None
    return None if content is None else [block.get("title"), block.get("context"), content]


def _decoded(data: Any, mime: Any) -> str | None:
    """Text that is packed as base64."""
    if not isinstance(data, str) or not str(mime).startswith(("text/", "application/json")):
        return None
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _is_block(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("type"), str)


def not_text(kind: Any, where: str) -> RequestError:
    what = "is not text alone: it has none, or something beside it" if kind in RUNNING else "is not text"
    return RequestError(
        f"there is a content block of type '{kind}', which {what}",
        where=where,
        why="the model reads text only, and leaving the block out would change what was asked",
        fix="say it in words, in a block {'type': 'text', 'text': ...}",
    )
