"""Names an answer by what it says and calls, so that a conversation knows its own answers when they are given back."""

from __future__ import annotations

import hashlib
import json

from ig_guardrail.calls import read


def answer_sha256(text: str) -> str:
    """The same for texts that differ in white space between words, or in how the JSON of a call is spaced."""
    words, calls = read(text)
    said = [" ".join(words.split()), *({"name": call.name, "arguments": call.arguments} for call in calls)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
