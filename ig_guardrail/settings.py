"""Host settings: what a machine and an operator bear. Never safety numbers; those live in policies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, cast

from ig_guardrail.database import is_address
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

    def __post_init__(self) -> None:
        """Raises RequestError for a bound that is none: what is no number, or not a finite one from 0 on."""
        for name in self.__dataclass_fields__:
            value, kinds = getattr(self, name), (int, float) if name == "searching" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < math.inf:
                kind = "number" if name == "searching" else "whole number"
                raise RequestError(
                    f"{name} is {value!r:.40}",
                    where="limits",
                    why="a request that nothing ends would hold the model for good",
                    fix=f"give a {kind} from 0 on",
                )


_DTYPES = {
    **dict.fromkeys(("bf16",), "bfloat16"),
    **dict.fromkeys(("fp16", "f16", "half"), "float16"),
    **dict.fromkeys(("fp32", "f32", "float"), "float32"),
}


def dtype_named(given: object) -> object:
    """A number format by the name that it has here: one of torch's own (`torch.float16`), or a short form ("bf16")."""
    text = str(given) if type(given).__module__ == "torch" else given
    if not isinstance(text, str):
        return given
    name = text.strip().removeprefix("torch.").lower()
    return _DTYPES.get(name, name)


def weights_named(given: object) -> object:
    """How weights are kept, which in a number format is "bf16" under all its names."""
    return "bf16" if dtype_named(given) == "bfloat16" else given


def device_named(given: object) -> object:
    """A device by its name, where it is one of torch's own."""
    return str(given) if type(given).__module__ == "torch" else given


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


KEY_VARIABLE = "IG_GUARDRAIL_AUDIT_KEY"
MOST_BYTES = 64 << 20  # of a file of an audit log, before the next one is begun


@dataclass(frozen=True, slots=True)
class AuditFile:
    """Where a line is kept of every answer, each bound to the one before it.

    path        a file of JSON lines, which is appended to and made for its owner alone; or postgresql://USER@HOST/DATABASE
    key_file    a file of mode 0600 with the key; else the environment's IG_GUARDRAIL_AUDIT_KEY; else there is no key
    texts       whether the lines hold what was shown, and not only its hash
    on_error    of a line that cannot be written: `closed` delivers no such answer, `open` does, and counts it
    most_bytes  after which the next file is begun; the chain goes on in it
    daily       whether each day, by UTC, has a file of its own
    keep_days   after which a whole file, or a line in a database, is deleted, and a line tells that; makes files daily
    keep_files  how many files before the newest are kept
    """

    path: str | Path = field(repr=False)  # an address may hold a password
    key_file: Path | None = None
    texts: bool = False
    on_error: Literal["closed", "open"] = "closed"
    most_bytes: int = MOST_BYTES
    daily: bool = False
    keep_days: int | None = None
    keep_files: int | None = None

    def __post_init__(self) -> None:
        """Raises RequestError for values out of range."""
        for name in ("texts", "daily"):
            if not isinstance(getattr(self, name), bool):
                raise RequestError(
                    f"{name} is {getattr(self, name)!r:.40}",
                    where="audit",
                    why="a word for no would be taken for yes",
                    fix="give True or False",
                )
        least = {"most_bytes": 1, "keep_days": 1, "keep_files": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
                raise RequestError(f"{name} is {value!r:.40}", where="audit", fix=f"give a whole number from {low} on")
        split = self.daily or self.most_bytes != MOST_BYTES or self.keep_files is not None
        if is_address(self.path) and split:
            raise RequestError(
                "most_bytes, daily and keep_files are for files",
                where="audit",
                why="a log in a database is one row of lines",
                fix="leave them out; `keep_days` bounds a log in a database",
            )
        if self.on_error not in ("closed", "open"):
            raise RequestError(
                f"on_error is {self.on_error!r:.40}",
                where="audit",
                why="it says what becomes of an answer whose line cannot be written",
                fix="write 'closed' or 'open'",
            )


def audit_file(given: str | Path | AuditFile) -> AuditFile:
    """A path, or the address of a database, as an audit log; such a log as it is."""
    if isinstance(given, AuditFile):
        return given
    return AuditFile(given if is_address(given) else Path(given))
