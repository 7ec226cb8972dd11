"""The rule book: every way a policy can be wrong has a code, and every code has a page.

Codes P001-P011 are about the file, P012-P028 about its shape, P029-P045 about its meaning, P050-P054 about what it
extends; P101 and up are warnings, which do not stop a policy from being used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ig_guardrail.errors import RequestError
from ig_guardrail.policy.diagnostics.pages import PAGES
from ig_guardrail.policy.diagnostics.suggest import suggest

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class RulePage:
    """One page of the rule book: what the fault is, why it matters, how it looks, what to write instead."""

    code: str
    title: str
    why: str
    example: str
    instead: str

    @property
    def severity(self) -> Severity:
        return "warning" if self.code >= "P100" else "error"

    def page(self) -> str:
        """The page as plain text."""
        shown = "\n".join(f"    {line}" for line in self.example.splitlines())
        meant = "\n".join(f"    {line}" for line in self.instead.splitlines())
        return (
            f"{self.code} ({self.severity}): {self.title}\n\n{self.why}\n\nfor example:\n{shown}\n\ninstead:\n{meant}\n"
        )


def rule(code: str) -> RulePage:
    """The rule with a code such as "P014". Raises RequestError, with the nearest code, if there is none."""
    book = rules()
    if code.upper() in book:
        return book[code.upper()]
    close = suggest(code.upper(), book)
    raise RequestError(
        f"there is no rule '{code}'",
        where="rule code",
        fix=f"did you mean {close}? Rules run from {min(book)} to {max(book)}"
        if close
        else f"rules: {', '.join(book)}",
    )


def rules() -> dict[str, RulePage]:
    """Every rule by code, in order."""
    return {code: RulePage(code, *texts) for code, texts in PAGES.items()}


def explain(code: str) -> str:
    """The rule page of a fault code, as plain text. Raises RequestError for a code that does not exist."""
    return rule(code).page()
