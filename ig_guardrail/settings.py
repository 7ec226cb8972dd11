"""Host settings: what a machine and an operator bear. Never safety numbers; those live in policies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from ig_guardrail.errors import RequestError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that end any request, whatever its strategy does.

    effort    tokens that may be generated for each token of `max_tokens`, over all candidates and attempts
    requests  requests a strategy may yield for each token of `max_tokens`
    searching seconds of a request in which drafts are denied and nothing that may be said is found yet, together
    turns     messages in a conversation
    characters in all turns together
    stops     stop strings of a request, and characters in each
    biases    tokens of a request's `logit_bias`
    """

    effort: int = 600
    requests: int = 64
    searching: float = 60.0
    turns: int = 1_000
    characters: int = 2_000_000
    stops: int = 64
    stop_characters: int = 256
    biases: int = 1_024


Keeping: TypeAlias = Literal["hash", "none", "plain"]


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """Where the scores of answers are recorded.

    path   a file of JSON lines, which is appended to; made for its owner alone
    texts  what is kept of what was shown: its SHA-256, nothing, or the text itself
    """

    path: Path
    texts: Keeping = "hash"


def recording_file(given: str | Path | RecordingFile, texts: str = "hash") -> RecordingFile:
    """A path as a file of recordings; a file of recordings as it is. Raises RequestError for other words of `texts`."""
    if isinstance(given, RecordingFile):
        return recording_file(given.path, given.texts)
    if texts not in ("hash", "none", "plain"):
        raise RequestError(
            f"texts is {texts!r:.40}",
            where="recording",
            why="it says what is kept of an answer's text",
            fix="write 'hash', 'none' or 'plain'",
        )
    return RecordingFile(Path(given), cast(Keeping, texts))
