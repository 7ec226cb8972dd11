"""Receipts in files: JSON, or JSON lines with pieces of answers between them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ig_guardrail.errors import RequestError, brief
from ig_guardrail.policy.sources import packaged_names
from ig_guardrail.workbench.meaning.receipts import receipts_in

MOST_CHARACTERS = 64 << 20


def read_receipts(source: str) -> list[Mapping[str, Any]]:
    """The receipts in a file, or in standard input for `-`; none where it is a policy, or not there.

    Raises RequestError for JSON that is neither, and for what is too large.
    """
    if source in packaged_names() or (source != "-" and not Path(source).is_file()):
        return []
    text = _text(source)
    if text is None or not text.lstrip().startswith("{"):
        if source == "-":
            raise _unfit(source, "it does not begin with `{`")
        return []
    try:
        objects = _objects(text)
    except (ValueError, RecursionError) as error:
        if source.endswith(
            (".yaml", ".yml")
        ):  # a policy may begin with a bracket, and its own checker tells its faults
            return []
        raise _unfit(source, brief(error)) from error
    if isinstance(objects[0], dict) and "apiVersion" in objects[0]:
        return []
    found = receipts_in(objects)
    if not found:
        raise _unfit(source, "no object in it is a receipt")
    return found


def _objects(text: str) -> list[Any]:
    """One value of JSON, or one on each line."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]


def _text(source: str) -> str | None:
    """The text of a file; None if it is no text, or cannot be read, which loading it as a policy tells better."""
    try:
        if source == "-":
            text = sys.stdin.read(MOST_CHARACTERS + 1)
        else:
            with Path(source).open(encoding="utf-8") as file:
                text = file.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError):
        return None
    if len(text) > MOST_CHARACTERS:
        raise _unfit(source, f"it has more than {MOST_CHARACTERS:,} characters")
    return text


def _unfit(source: str, why: str) -> RequestError:
    return RequestError(
        "there is no receipt to explain", where=source, why=why, fix="give one as `ig-guardrail run --json` writes it"
    )
