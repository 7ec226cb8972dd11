"""Follows the chain of an audit log from its first line to its last, and tells what does not hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ig_guardrail.audit.chain import ANSWER, CALL, DROPPED, START, TORN, AuditKey, AuditLine, Head, read_line
from ig_guardrail.audit.kept import KeptLog, RawLine
from ig_guardrail.errors import AuditError, RequestError, brief

MOST_FAULTS = 1_000


@dataclass(frozen=True, slots=True)
class AuditFault:
    """What does not hold, and where: `file:line`."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass(slots=True)
class Verification:
    """What following a chain found.

    first, last  lines that were there, by number; 0 where there was none
    calls        lines of calls that were judged by themselves, where they run
    notes        what is as it should be, and worth telling: torn lines, files that were dropped
    """

    files: list[str] = field(default_factory=list)
    lines: int = 0
    answers: int = 0
    calls: int = 0
    first: int = 0
    last: Head = START
    keyed: bool = False
    faults: list[AuditFault] = field(default_factory=list)
    notes: list[AuditFault] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults

    def as_text(self) -> str:
        """Faults and notes with their places, and what was followed."""
        told = [*map(str, self.faults), *(f"note: {one}" for one in self.notes)]
        bound = "bound by a key" if self.keyed else "bound without a key: compare the head with a copy of it"
        count = f"{self.answers} answers" + f", {self.calls} calls" * bool(self.calls)
        span = f"lines {self.first} to {self.last.n} of {', '.join(self.files)}: {count}, {bound}"
        kept = "whole: nothing was changed, put in, moved or taken out"
        empty = "empty: whether it ever held a line is told by a copy of its head, or by `--lines`"
        whole = [f"head {self.last.n} {self.last.hash}", kept if self.lines else empty]
        broken = [f"broken: {len(self.faults)} fault{'s' * (len(self.faults) > 1)}"]
        return "\n".join([*told, span, *(broken if self.faults else whole)])


def verify(log: KeptLog, key: AuditKey | None = None, anchors: Sequence[Head] = (), least: int = 0) -> Verification:
    """Follow the chain through all of a log.

    anchors  heads that were copied elsewhere, which the chain must pass; n is 0 where only the hash is known. The head
             that stands beside the log is among them
    least    lines that there must have been at least, by number
    Raises RequestError for a log under a key that is not given, and for one that cannot be read.
    """
    found = Verification()
    try:
        with log.reading() as reading:
            beside = [] if reading.anchor is None else [reading.anchor]
            follower = _Follower(found, key, [*beside, *(("--head", one) for one in anchors)])
            for name, lines in reading.parts:
                found.files.append(name)
                for raw in lines:
                    follower.take(raw)
                    if len(found.faults) >= MOST_FAULTS:
                        return found
    except (OSError, AuditError) as error:
        raise RequestError("the log cannot be read", where=log.name, why=brief(error)) from error
    follower.end(least)
    return found


class _Follower:
    """Where the chain stands, and what is still to be explained."""

    def __init__(self, found: Verification, key: AuditKey | None, anchors: Sequence[tuple[str, Head]]) -> None:
        """anchors: heads that must be passed, and where each is from."""
        self._found, self._key = found, key
        self._anchors = [one for one in anchors if one[1] != START]
        self._wanted = {head.hash for _, head in self._anchors}
        self._at: Head | None = None
        self._begins: tuple[str, Head] | None = None  # the place of the first line, and what it follows
        self._strange: list[tuple[RawLine, str]] = []  # what is no line, and why; unless the next says that it was torn
        self._dropped: set[Head] = set()
        self._passed: dict[str, int] = {}  # of the anchors' hashes, the lines that have them

    def take(self, raw: RawLine) -> None:
        """The next line."""
        try:
            line = read_line(raw.data)
        except ValueError as error:
            self._strange.append((raw, str(error)))
            return
        if not raw.ended:
            self._strange.append((raw, "it was not written to its end"))
            return
        if self._bound(raw, line) and not line.sound(self._key):
            self._tell(raw.place, "it was changed: its hash is not that of what it says")
        self._check_torn(raw, line)
        self._check_place(raw, line)
        self._note(raw, line)

    def end(self, least: int) -> None:
        """What must hold of the whole."""
        last = self._found.last
        if any(head == last for _, head in self._anchors) and self._strange:
            self._note_torn()
        self._fault_strange()
        if self._begins is not None and self._begins[1] not in self._dropped:
            place, before = self._begins
            self._tell(place, f"lines 1 to {before.n} are missing, and no line says that they were dropped")
        for where, head in self._anchors:
            self._check_anchor(where, head)
        if last.n < least:
            self._tell("--lines", f"the log ends at line {last.n}, and had {least}: lines were cut off")

    def _check_anchor(self, where: str, head: Head) -> None:
        last, passed = self._found.last, self._passed.get(head.hash)
        if head.n > last.n:
            self._tell(where, f"the log ends at line {last.n}, and had {head.n}: lines were cut off")
        elif head.n and passed != head.n and head.n >= self._found.first:
            self._tell(where, f"line {head.n} had another hash: the log was made again from there on, or before")
        elif not head.n and passed is None and head.hash not in {one.hash for one in self._dropped}:
            self._tell(where, "the log does not pass this hash: lines were cut off, or it was made again")

    def _bound(self, raw: RawLine, line: AuditLine) -> bool:
        """Whether a line is written as this log is: under this key, or without one."""
        if line.key is not None and self._key is None:
            raise RequestError(
                "the log is written under a key",
                where=raw.place,
                why="without it nobody can tell whether a line was changed",
                fix="give `--key-file`, or set IG_GUARDRAIL_AUDIT_KEY",
            )
        if self._key is not None and line.key != self._key.id:
            self._tell(raw.place, "it is not written under this key")
            return False
        return True

    def _check_torn(self, raw: RawLine, line: AuditLine) -> None:
        """Whether what is no line was torn by a crash, as this line says."""
        if line.values.get("kind") == TORN:
            data = b"\n".join(one.data for one, _ in self._strange)
            if not self._strange:
                self._tell(raw.place, "it tells of a torn line, which is gone")
            elif line.values.get("sha256") == hashlib.sha256(data).hexdigest():
                self._note_torn()
        self._fault_strange()

    def _note_torn(self) -> None:
        self._found.notes += [AuditFault(one.place, "torn, as a crash leaves a line") for one, _ in self._strange]
        self._strange = []

    def _fault_strange(self) -> None:
        for raw, why in self._strange:
            self._tell(raw.place, f"no line of this log: {why}")
        self._strange = []

    def _check_place(self, raw: RawLine, line: AuditLine) -> None:
        before = Head(line.n - 1, line.prev)
        if self._at is None:
            if before != START:
                self._begins = raw.place, before
        elif before != self._at:
            self._tell(raw.place, _how_it_breaks(self._at, before))
        self._at = line.head

    def _note(self, raw: RawLine, line: AuditLine) -> None:
        found, kind = self._found, line.values.get("kind")
        found.lines += 1
        found.answers += kind == ANSWER
        found.calls += kind == CALL
        found.first = found.first or line.n
        found.keyed = line.key is not None
        found.last = line.head
        self._passed |= {line.hash: line.n} if line.hash in self._wanted else {}
        if kind == DROPPED:
            last, digest = line.values.get("last"), line.values.get("last_hash")
            if isinstance(last, int) and isinstance(digest, str):
                self._dropped.add(Head(last, digest))
                found.notes.append(AuditFault(raw.place, f"lines up to {last} were dropped, as the log was told to"))

    def _tell(self, place: str, what: str) -> None:
        self._found.faults.append(AuditFault(place, what))


def _how_it_breaks(at: Head, before: Head) -> str:
    if before.n > at.n:
        missing = f"lines {at.n + 1} to {before.n} are" if before.n > at.n + 1 else f"line {before.n} is"
        return f"{missing} missing before it"
    if before.n < at.n:
        return f"line {before.n + 1} stands behind line {at.n}: lines were put in, swapped or repeated"
    return "it does not follow the line before: one of both was put in or changed"
