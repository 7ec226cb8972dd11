"""The files of one audit log: the one that is written, those before it, and what stands beside them.

audit.jsonl             the newest lines
audit.part000001.jsonl  the first lines, then audit.part000002.jsonl, and so on
audit.jsonl.head        where the chain stands; a copy of it elsewhere shows whether lines were cut off
audit.jsonl.policies    the policies that answers were given under, by hash
audit.jsonl.lock        held while a line is written
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ig_guardrail.audit.chain import FORMAT, LONGEST_LINE, START, AuditLine, Head, read_line
from ig_guardrail.audit.kept import LogReading, RawLine
from ig_guardrail.errors import AuditError, RequestError, brief
from ig_guardrail.fields.paths import expanded

_PART = re.compile(r"(.+)\.part([0-9]{6,})((?:\.[^.]*)?)")


class LogFiles:
    """The files of a log, by the path of the one that is written. Raises RequestError for a path that names none."""

    def __init__(self, path: Path) -> None:
        if not path.name:
            raise RequestError(
                "the path of the audit log names no file",
                where="audit",
                why="a line is written there for every answer",
                fix="give the path of a file, such as audit.jsonl",
            )
        self.path = path = expanded(path)
        self.head = path.with_name(f"{path.name}.head")
        self.lock = path.with_name(f"{path.name}.lock")
        self.policies = path.with_name(f"{path.name}.policies")

    @property
    def name(self) -> str:
        return str(self.path)

    @contextmanager
    def reading(self) -> Iterator[LogReading]:
        """All of it; the head is read first, since a log that is written to goes on meanwhile."""
        beside = (str(self.head), self.anchored()) if self.head.exists() else None
        yield LogReading(beside, ((str(path), raw_lines(path)) for path in self.all()))

    def before(self) -> list[Path]:
        """The files whose lines stand before those of the newest, in order."""
        folder = self.path.parent
        paths = list(folder.iterdir()) if folder.is_dir() else []
        earlier = (path for path in paths if path != self.path and _numbered(path)[0] == self.path)
        return sorted(earlier, key=_numbered)

    def all(self) -> list[Path]:
        """All of them, in order."""
        return [*self.before(), *([self.path] if self.path.exists() else [])]

    def next_name(self) -> Path:
        """What the newest is called when another is begun."""
        taken = [_numbered(path)[1] for path in self.before()]
        return self.path.with_name(f"{self.path.stem}.part{max(taken, default=0) + 1:06d}{self.path.suffix}")

    def anchored(self) -> Head:
        """The head that was written beside the log. Raises AuditError for a file that is none."""
        return read_head(self.head) if self.head.exists() else START

    def anchor(self, head: Head) -> None:
        """Write down where the chain stands. Raises OSError."""
        new = self.head.with_name(f"{self.head.name}.new")
        write_private(new, json.dumps({"lines": head.n, "hash": head.hash}) + "\n")
        new.replace(self.head)

    def policy(self, sha256: str) -> str | None:
        """The normal form of a policy that was kept; None where it was not, or is not that policy any more."""
        try:
            text = _text(self.policies / f"{sha256}.json", LONGEST_LINE)
        except (OSError, ValueError):
            return None
        return text if hashlib.sha256(text.encode()).hexdigest() == sha256 else None

    def keep_policy(self, sha256: str, normal_form: str) -> None:
        """Keep a policy by its hash. Raises OSError."""
        if self.policy(sha256) is None:
            self.policies.mkdir(mode=0o700, exist_ok=True)
            new = self.policies / f"{sha256}.{os.getpid()}.new"
            write_private(new, normal_form)
            new.replace(self.policies / f"{sha256}.json")


def files_of(path: Path) -> LogFiles:
    """The log that a file belongs to. Raises RequestError where there is none."""
    path = expanded(path)
    files = LogFiles(_numbered(path)[0])
    if path not in files.all():
        raise RequestError("there is no such log", where=str(path), fix="name the file that `audit` was given")
    return files


def _numbered(path: Path) -> tuple[Path, int]:
    """The log that a file is of, and its number; 0 for the one that is written."""
    part = _PART.fullmatch(path.name)
    return (path, 0) if part is None else (path.with_name(f"{part[1]}{part[3]}"), int(part[2]))


def read_head(path: Path) -> Head:
    """The head in a file. Raises AuditError."""
    try:
        values = json.loads(_text(path, 1_000))
        n, digest = values["lines"], values["hash"]
        if not isinstance(n, int) or n < 0 or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError("it holds no number of lines, or no hash")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuditError(
            "the head cannot be read", where=str(path), why=brief(error), fix="give a whole one"
        ) from error
    return Head(n, digest)


def _text(path: Path, most: int) -> str:
    """The text of a file of so many characters at most. Raises OSError, ValueError."""
    with path.open(encoding="utf-8") as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise ValueError(f"it has more than {most:,} characters")
    return text


def raw_lines(path: Path) -> Iterator[RawLine]:
    """The lines of a file. Raises AuditError, OSError."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise AuditError(f"a line has more than {LONGEST_LINE:,} bytes", where=f"{path}:{number}")
            yield RawLine(f"{path}:{number}", line.removesuffix(b"\n"), line.endswith(b"\n"))


def is_log(path: Path) -> bool:
    """Whether a file begins as a log does."""
    begins = f'{{"format":"{FORMAT}"'.encode()
    try:
        with path.open("rb") as file:
            return file.read(len(begins)) == begins
    except OSError:
        return False


def last_line(path: Path) -> tuple[AuditLine | None, bytes]:
    """The last line of a file that is one, None if there is none; and what stands behind it, as a crash leaves it.

    Raises OSError; ValueError where so much stands behind it as no crash leaves.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        length = 1 << 14
        while True:
            file.seek(max(0, size - length))
            told = file.read(min(size, length))
            found = _last_of(told, whole=length >= size)
            if found is not None:
                return found
            if length > 2 * LONGEST_LINE:
                raise ValueError(f"the last {length:,} bytes hold no line of a log")
            length *= 4


def _last_of(told: bytes, whole: bool) -> tuple[AuditLine | None, bytes] | None:
    """The same of the end of a file, or of a whole one; None if more of it must be read."""
    end = len(told)
    while (stop := told.rfind(b"\n", 0, end)) >= 0:
        start = told.rfind(b"\n", 0, stop) + 1
        if start == 0 and not whole:
            return None
        try:
            return read_line(told[start:stop]), told[stop + 1 :]
        except ValueError:
            end = stop
    return (None, told) if whole else None


def write_private(path: Path, text: str) -> None:
    """Write a file again, for its owner alone. Raises OSError."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write(text)
