"""Faults: what is wrong in a policy, where exactly, why it matters and what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from ig_guardrail.policy.diagnostics.rules import Severity, rules

Steps: TypeAlias = tuple[str | int, ...]

_RULES = rules()
_KEY = re.compile(
    r"\b((?:sk|hf|gh[opsu]|glpat|xox[abp])[-_]|AKIA)(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9_-]{12,}"
)
_CLIP = 48  # characters of a policy's own words that a message repeats


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: line and column from 1, in characters, and how many characters it spans. Line 0: nowhere.

    file: of a policy that the one at hand extends; "" for the one at hand
    """

    line: int = 0
    column: int = 0
    length: int = 1
    file: str = ""

    @property
    def words(self) -> str:
        """`line 3`, and of what file, if it is another one."""
        return f"line {self.line}{f' of {self.file}' if self.file else ''}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong. `label` stands beside the carets; `path` is dotted, such as `budgets[0].cost`.

    excerpt: the line it stands on, where that is in another file than the one that was checked
    """

    code: str
    severity: Severity
    path: str
    file: str
    line: int
    column: int
    length: int
    message: str
    label: str
    why: str
    help: str
    excerpt: str = ""

    def as_dict(self) -> dict[str, str | int]:
        """The fault for JSON: where, what, why and how to fix it."""
        keys = ("severity", "code", "path", "file", "line", "column", "message", "why", "help")
        facts: dict[str, str | int] = {key: getattr(self, key) for key in keys}
        return {**facts, "message": f"{self.message}: {self.label}" if self.label else self.message}


@dataclass(frozen=True, slots=True)
class Spot:
    """A value's path and its place in the file: all that a fault needs to say where."""

    path: Steps
    mark: Position

    def fault(self, code: str, message: str, *, label: str = "", why: str = "", help: str = "") -> Diagnostic:
        """A fault here. Without a `why` of its own it gives the rule's."""
        page = _RULES[code]
        mark = self.mark
        return Diagnostic(
            code=code,
            severity=page.severity,
            path=dotted(self.path),
            file=mark.file,
            line=mark.line,
            column=mark.column,
            length=mark.length,
            message=message,
            label=label,
            why=why or page.why,
            help=help,
        )


def dotted(path: Steps) -> str:
    """A path as people write it: `budgets[0].cost`; `(file)` for the whole."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{clipped(step)}"
    return text.removeprefix(".") or "(file)"


def quoted(text: str) -> str:
    """Words from a policy, safe to print on one line: clipped, and with control characters made visible."""
    return f"`{clipped(text)}`"


def masked(text: str) -> str:
    """The text with stars in place of what looks like a key of a service: more people read reports than policies."""
    return _KEY.sub(lambda key: key[1] + "*" * (len(key[0]) - len(key[1])), text)


def clipped(text: str) -> str:
    """At most 48 characters of `text`, none of them a control character, and no key."""
    text = masked(text)
    short = text if len(text) <= _CLIP else text[: _CLIP - 3] + "..."
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in short)


def listed(words: list[str] | tuple[str, ...], last: str = "or") -> str:
    """`a`, `b` or `c`."""
    shown = [f"`{word}`" for word in words]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def in_order(faults: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Faults in the order of the file, each once: a value repeated by aliases is wrong in one place only.

    Those in files that it extends come last.
    """
    seen = {(fault.file, fault.line, fault.column, fault.code, fault.message): fault for fault in reversed(faults)}
    return tuple(seen[key] for key in sorted(seen))
