"""Receipts as JSON: the record of a request in plain values, the same for every caller."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from ig_guardrail.types import Prompt, Receipt


def as_dict(receipt: Receipt) -> dict[str, Any]:
    """Plain dicts, lists, strings and numbers; no text of the prompt."""
    return asdict(receipt)


def as_json(receipt: Receipt) -> str:
    """One line of JSON with sorted keys."""
    return json.dumps(as_dict(receipt), sort_keys=True, ensure_ascii=False, allow_nan=False)


def text_sha256(text: str) -> str:
    """Names a text without keeping it."""
    return hashlib.sha256(text.encode()).hexdigest()


def prompt_sha256(prompt: Prompt) -> str:
    """Names a prompt without keeping it: the hash of its token ids."""
    return hashlib.sha256(",".join(map(str, prompt.ids)).encode()).hexdigest()
