"""What a check of policy files found, as text, as JSON and as an exit code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.diagnostics.render import coloured, printable, render
from ig_guardrail.policy.yaml.decoding import lines
from ig_guardrail.types import PolicyMessage

UNREADABLE = "P001"
UNTRIED = (
    "note: messages were tried against words and patterns alone, and no model was loaded; a guardrail tries every\n"
    "budget when it starts, and `policy check --deep` now"
)


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: its faults and, if it is valid, the name, version and hash of its policy.

    source  its characters
    waived  warnings that somebody answers for, each with the reason (`policy.waivers`)
    approved  messages that somebody lets stand whatever the budgets say of them
    policy  whether it is a policy, and not a file of waivers
    start   None: not tried, or its messages are over its budgets, which faults tell; "": it starts as a guardrail, and
            they are within its budgets; else why it does not start
    """

    path: str
    faults: tuple[Diagnostic, ...]
    name: str | None = None
    version: str | None = None
    sha256: str | None = None
    source: str = field(default="", repr=False)
    start: str | None = None
    waived: tuple[tuple[Diagnostic, str], ...] = ()
    policy: bool = True
    approved: tuple[PolicyMessage, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the policy can be used; warnings do not stand in the way."""
        return not self.errors and not self.start

    @property
    def warnings(self) -> int:
        """How many warnings it has, waived ones aside."""
        return sum(fault.severity == "warning" for fault in self.faults)

    @property
    def errors(self) -> int:
        """How many errors it has; that it does not start is one."""
        return sum(fault.severity == "error" for fault in self.faults) + bool(self.start)

    def as_text(self) -> str:
        """Every fault with its place in the source, then one line on the file."""
        source = lines(self.source)
        parts = [render(fault, source) for fault in self.faults]
        if self.start:
            parts.append(f"error: {printable(self.path)} is valid, and does not start: {self.start}")
        waived = [f"{fault.code} at {fault.path}: {reason}" for fault, reason in self.waived]
        parts += [f"{printable(self.path)}: waived: {printable(one)}" for one in waived]
        told = [f"{one.name} by {one.approved.owner}: {one.approved.reason}" for one in self.approved if one.approved]
        parts += [f"{printable(self.path)}: approved, and held to no budget: {printable(one)}" for one in told]
        if self.ok and self.policy:
            tried = "" if self.start is None else ", starts, and its messages are within its budgets"
            about = f"{self.name} {self.version}, sha256 {str(self.sha256)[:12]}"
            parts.append(f"{printable(self.path)}: valid: {about}{tried}")
        return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class Report:
    """The check of several files. strict: whether a warning fails a file, as an error does."""

    files: tuple[FileReport, ...]
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """0: every file is valid; 1: a file has faults; 2: a file could not be read, or there was none to check."""
        unreadable = any(fault.code == UNREADABLE for one in self.files for fault in one.faults)
        if unreadable or not self.files:
            return 2
        warned = self.strict and any(one.warnings for one in self.files)
        return 1 if warned or not all(one.ok for one in self.files) else 0

    def as_text(self, color: bool) -> str:
        """The report for people."""
        untried = any(one.ok and one.policy and one.start is None for one in self.files)
        text = "\n\n".join([*(one.as_text() for one in self.files), *([UNTRIED] if untried else []), self._summary()])
        return coloured(text) if color else text

    def as_json(self) -> str:
        """The report for programs: {"files": [{"path", "ok", "sha256", "name", "faults", "waived", ...}]}.

        start: null where it was not tried, or messages are over budgets (P045); "" for a policy that starts; else why
        it does not
        """
        files = [
            {
                "path": one.path,
                "ok": one.ok,
                "sha256": one.sha256,
                "name": one.name,
                "faults": [fault.as_dict() for fault in one.faults],
                "waived": [{**fault.as_dict(), "reason": reason} for fault, reason in one.waived],
                "approved": [asdict(message) for message in one.approved],
                "start": one.start,
            }
            for one in self.files
        ]
        return json.dumps({"files": files}, indent=2)

    def _summary(self) -> str:
        if not self.files:
            return "no policy was checked"
        policies = [one for one in self.files if one.policy]
        waived = sum(len(one.waived) for one in self.files)
        counts = [
            _count(len(policies), "file"),
            f"{sum(one.ok for one in policies)} valid",
            _count(sum(one.errors for one in self.files), "error"),
            _count(sum(one.warnings for one in self.files), "warning"),
            *([f"{waived} waived"] if waived else []),
        ]
        return ", ".join(counts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
