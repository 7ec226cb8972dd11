"""Receipts in files: JSON, or JSON lines with pieces of answers between them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ig_guardrail.errors import RequestError, brief
from ig_guardrail.policy.sources import packaged_names
from ig_guardrail.workbench.receipts import receipts_in

MOST_CHARACTERS = 64 << 20


def read_receipts(source: str) -> list[Mapping[str, Any]]:
    """The receipts in a file, or in standard input for `-`; none where it is a policy, or not there.

    Raises RequestError for JSON that is neither, and for what is too large.
    """
    if source in packaged_names() or (source != "-" and not Path(source).is_file()):
        return []
    text = _text(source)
    if text is None or not text.lstrip().startswith("{"):
        return [] if source != "-" else _refuse(source, "it does not begin with `{`")
    try:
        objects = [json.loads(text)]
    except ValueError:
        try:
            objects = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            return [] if source.endswith((".yaml", ".yml")) else _refuse(source, brief(error))
    except RecursionError:
        return _refuse(source, "it is nested too deeply")
    if isinstance(objects[0], dict) and "apiVersion" in objects[0]:
        return []
    return receipts_in(objects) or _refuse(source, "no object in it is a receipt")


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
    return _refuse(source, f"it has more than {MOST_CHARACTERS:,} characters") if len(text) > MOST_CHARACTERS else text


def _refuse(source: str, why: str) -> Any:
    raise RequestError(
        "there is no receipt to explain", where=source, why=why, fix="give one as `ig-guardrail run --json` writes it"
    )
