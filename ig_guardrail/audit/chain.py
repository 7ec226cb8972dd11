"""Lines of an audit log, each bound to the one before it.

A line is one JSON object. It has a number, holds the hash of the line before, and ends with its own: of every byte of
the line before `,"hash":`. Without a key that is SHA-256, and whoever can write the log can make it again; with one it
is HMAC-SHA-256, and only who holds the key can.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ig_guardrail.errors import AuditError, RequestError, brief
from ig_guardrail.settings import KEY_VARIABLE

FORMAT = "ig-guardrail/audit/v1"
ANSWER, CALL, TORN, DROPPED = "answer", "call", "torn", "dropped"  # kinds of lines
DECISIONS = (ANSWER, CALL)  # those that hold one
LONGEST_LINE = 16 << 20  # bytes
BUSY_S = 10.0  # for which a line waits for its turn
SHORTEST_KEY = 32  # characters
LONGEST_KEY = 4_096
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_END = re.compile(r',"hash":"([0-9a-f]{64})"\}\Z')


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the number of its last line, and that line's hash."""

    n: int = 0
    hash: str = "0" * 64


START = Head()


@dataclass(frozen=True, slots=True)
class AuditKey:
    """A secret. Lines are bound with it, and texts are named with it, so that they cannot be guessed."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Tells keys apart, and says nothing of them."""
        return self._tag("id", b"")[:16]

    def seal(self, text: str) -> str:
        """The hash of a line."""
        return self._tag("line", text.encode())

    def name(self, what: str) -> str:
        """A name for a text, or for whatever else must not be guessed."""
        return self._tag("name", what.encode("utf-8", "surrogatepass"))

    def _tag(self, purpose: str, data: bytes) -> str:
        own = hmac.digest(self.secret, f"ig-guardrail audit {purpose}".encode(), "sha256")
        return hmac.digest(own, data, "sha256").hex()


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A line that was read: its place in the chain, the hash it claims, and all that it says."""

    n: int
    prev: str
    hash: str
    key: str | None
    values: Mapping[str, Any]
    text: str

    @property
    def head(self) -> Head:
        """Where the chain stands after it."""
        return Head(self.n, self.hash)

    def sound(self, key: AuditKey | None) -> bool:
        """Whether the hash that it claims is that of what it says."""
        return hmac.compare_digest(self.hash, _seal(self.text, key))


def write_line(entry: Mapping[str, Any], head: Head, key: AuditKey | None) -> tuple[str, Head]:
    """A line for what `entry` says behind a head, without the line break; and the head after it.

    Raises ValueError for one that is longer than any that is read.
    """
    own = {"format": FORMAT, "n": head.n + 1, "prev": head.hash, "key": None if key is None else key.id}
    text = json.dumps({**own, **entry}, allow_nan=False, separators=(",", ":"))
    digest = _seal(text, key)
    line = f'{text[:-1]},"hash":"{digest}"}}'
    if len(line) >= LONGEST_LINE:
        raise ValueError(f"a line has {len(line):,} bytes, and {LONGEST_LINE:,} are read at most")
    return line, Head(head.n + 1, digest)


def other_key(where: str) -> AuditError:
    """The error that a chain was begun under another key than it is to go on with."""
    return AuditError(
        "the log was written under another key, or without one",
        where=where,
        why="a chain has one key",
        fix="give its key, or name another place",
    )


def read_line(line: bytes) -> AuditLine:
    """A line without its line break. Raises ValueError, in words, for what is none."""
    try:
        told = line.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError("it holds other bytes than a line of a log") from error
    end = _END.search(told)
    if end is None:
        raise ValueError("it does not end with a hash")
    text = told[: end.start()] + "}"
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {brief(error)}") from error
    n, prev, key = (values.get(name) for name in ("n", "prev", "key"))
    if values.get("format") != FORMAT:
        raise ValueError(f"its format is {values.get('format')!r:.60}, not '{FORMAT}'")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1 or not (isinstance(prev, str) and _HASH.match(prev)):
        raise ValueError("it has no number, or does not say what it follows")
    if not isinstance(key, str | None):
        raise ValueError("it does not say under which key it was written")
    return AuditLine(n, prev, end[1], key, values, text)


def find_key(file: Path | None) -> AuditKey | None:
    """The key in a file, else in the environment; None where there is neither.

    Raises RequestError for a file that others may read, and for a key that is short.
    """
    if file is None:
        told = os.environ.get(KEY_VARIABLE)
        return None if not told else _key(told, KEY_VARIABLE)
    try:
        with file.open(encoding="utf-8") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            told = opened.read(LONGEST_KEY + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError("the key cannot be read", where=str(file), why=brief(error), fix="check the path") from error
    if mode & 0o077:
        raise RequestError(
            f"others may read the key: its mode is {mode:04o}",
            where=str(file),
            why="whoever holds the key can write a log that nothing was taken from",
            fix=f"chmod 600 {file}",
        )
    return _key(told, str(file))


def _key(told: str, where: str) -> AuditKey:
    secret = told.strip()
    if not SHORTEST_KEY <= len(secret) <= LONGEST_KEY:
        raise RequestError(
            f"the key has {len(secret)} characters",
            where=where,
            why="a key that is short can be guessed",
            fix="make one: `openssl rand -hex 32`",
        )
    return AuditKey(secret.encode())


def _seal(text: str, key: AuditKey | None) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if key is None else key.seal(text)
