"""A file of tools: JSON or YAML, a list in the form that OpenAI's API takes."""

from __future__ import annotations

from pathlib import Path

import yaml

from ig_guardrail.errors import RequestError, brief
from ig_guardrail.text.calls import ResponseFormat

LARGEST = 1_000_000  # bytes


def read_tools(path: Path | None) -> ResponseFormat:
    """What answers may call: the tools in a file, or none. Raises RequestError for a file that holds no such list."""
    from ig_guardrail.integrations.langchain.response_format import form_of

    if path is None:
        return ResponseFormat()
    listed = _parsed(path, _content(path))
    if not isinstance(listed, list) or not listed:
        raise _unfit(path, f"it holds {type(listed).__name__ if listed else 'nothing'}, not a list of tools")
    return form_of(listed, None, None, None)


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise _unfit(path, f"it has more than {LARGEST} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unfit(path, brief(error)) from error


def _parsed(path: Path, content: str) -> object:
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError) as error:
        raise _unfit(path, brief(error)) from error


def _unfit(path: Path, why: str) -> RequestError:
    return RequestError(
        f"the tools in {path} cannot be read",
        where="--tools",
        why=why,
        fix='write a list such as [{"type": "function", "function": {"name": "...", "parameters": {...}}}]',
    )
