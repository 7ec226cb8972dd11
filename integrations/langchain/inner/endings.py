"""How other chat models say that an answer ended, in this package's words.

Each host has a word of its own, in a field of its own. A word that is not known, such as that for a failure, is told as
the host says it, in lower case: "stop" would claim that the answer is whole. What is no word but a text, which nothing
judged, is "unknown".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

FIELDS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "finishReason", "completion_reason")

WORDS: Mapping[str, frozenset[str]] = {
    "stop": frozenset(
        {
            "stop",  # OpenAI, Google, Mistral, Ollama
            "end_turn",  # Anthropic, Bedrock
            "stop_sequence",
            "tool_use",
            "tool_calls",  # OpenAI, Mistral; calls are told by themselves
            "tool_call",
            "function_call",
            "completed",  # OpenAI's responses
            "complete",  # Cohere, Bedrock's Titan
            "finish",
            "finished",
            "eos",
            "eos_token",
            "endoftext",
            "stop_criteria_met",
            "stop_sequence_reached",
        }
    ),
    "length": frozenset(
        {
            "length",  # OpenAI, Mistral, Ollama
            "max_tokens",  # Anthropic, Google, Cohere, Bedrock
            "max_output_tokens",  # OpenAI's responses
            "max_completion_tokens",
            "max_new_tokens",
            "max_length",
            "model_length",  # Mistral
            "token_limit",  # watsonx
            "model_context_window_exceeded",  # Anthropic
            "context_length_exceeded",
            "error_limit",  # Cohere
        }
    ),
    "content_filter": frozenset(
        {
            "content_filter",  # OpenAI
            "content_filtered",  # Bedrock
            "guardrail_intervened",
            "refusal",  # Anthropic
            "safety",  # Google
            "blocked_reason_safety",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "model_armor",
            "image_safety",
            "image_prohibited_content",
            "image_recitation",
            "jailbreak",
            "error_toxic",  # Cohere
            "sensitive",  # Zhipu
        }
    ),
}
UNKNOWN = "unknown"
_A_WORD = re.compile("[a-z0-9_-]{0,48}")
SILENT = frozenset({"", "none", "null", "unspecified", "finish_reason_unspecified", "in_progress", "queued"})


def ending_of(metadata: Mapping[str, Any]) -> str | None:
    """The ending that a message's metadata tells: "stop", "length", "content_filter", or the host's own word.

    None where it tells none, as in all pieces of a stream but the last.
    """
    said = [_word(metadata.get(field)) for field in FIELDS]
    details, feedback = metadata.get("incomplete_details"), metadata.get("prompt_feedback")
    if isinstance(details, Mapping):  # OpenAI's responses
        said.append(_word(details.get("reason")))
    if isinstance(feedback, Mapping) and feedback.get("block_reason"):  # Google's, of a question that is not answered
        said.append("content_filter")
    said.append(_word(metadata.get("status")))
    word = next((word for word in said if word not in SILENT), None)
    if word is None:
        return None
    return next((ours for ours, theirs in WORDS.items() if word in theirs), word)


def _word(value: object) -> str:
    """A host's word: a string, or a member of an enumeration; in lower case, without what stands before a point."""
    name = value.name if isinstance(value, Enum) else value if isinstance(value, str) else ""
    word = name.strip().rpartition(".")[2].lower()
    return word if _A_WORD.fullmatch(word) else UNKNOWN
