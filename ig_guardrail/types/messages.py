"""The texts of a policy that people wrote: what is shown in place of an answer, and behind a safe beginning of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ig_guardrail.types.hazards import broader, severest_first
from ig_guardrail.types.languages import fitting_tag
from ig_guardrail.types.receipt import Outcome

TextsByLanguage: TypeAlias = Mapping[str, str]

PARTS: Mapping[Outcome, str] = {"refused": "refusal", "ended": "closing"}
"""Which part of the messages an outcome is told by."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Who lets a text stand whatever the budgets say of it, and why."""

    owner: str
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyMessage:
    """One text. It is never charged, and shown as it stands.

    name      its place in the policy: `refusal.en`, `closing.by_hazard.ssh.de`
    approved  None: a start tries it against the budgets
    """

    name: str
    text: str
    approved: Approval | None = None

    @property
    def part(self) -> str:
        """`refusal` or `closing`."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Messages:
    """The texts by language: `refusal` where nothing was shown, `closing` after a safe beginning.

    by_hazard  of either part, by hazard, the texts that are shown instead where that hazard was denied
    severity   hazards, the most severe first; those that are not among them follow in the usual order
    approved   by name, the texts that no budget is asked about
    """

    refusal: TextsByLanguage
    closing: TextsByLanguage
    by_hazard: Mapping[str, Mapping[str, TextsByLanguage]] = field(default_factory=dict)
    severity: tuple[str, ...] = ()
    approved: Mapping[str, Approval] = field(default_factory=dict)

    def of(self, outcome: Outcome, language: str, denied: Iterable[str] = ()) -> PolicyMessage | None:
        """What is said of an outcome; None of one that needs no words."""
        return self.find(PARTS[outcome], language, denied) if outcome in PARTS else None

    def find(self, part: str, language: str, denied: Iterable[str] = ()) -> PolicyMessage:
        """The text of a part where these hazards were denied.

        The hazard decides first: the most severe of those that have a text, their own or that of a broader one. Then
        the language: as it was asked for, else in more general terms, else English.
        """
        own = self.by_hazard.get(part, {})
        hazard = next((name for one in self.ranked(denied) for name in broader(one) if name in own), None)
        texts = self._general(part) if hazard is None else own[hazard]
        tag = fitting_tag(texts, language)
        return self._message(part, hazard, tag, texts[tag])

    def ranked(self, denied: Iterable[str]) -> tuple[str, ...]:
        """Hazards, the most severe first."""
        return severest_first(denied, self.severity)

    def __iter__(self) -> Iterator[PolicyMessage]:
        for part in PARTS.values():
            yield from (self._message(part, None, tag, text) for tag, text in self._general(part).items())
            for hazard, texts in self.by_hazard.get(part, {}).items():
                yield from (self._message(part, hazard, tag, text) for tag, text in texts.items())

    def _general(self, part: str) -> TextsByLanguage:
        return self.refusal if part == "refusal" else self.closing

    def _message(self, part: str, hazard: str | None, tag: str, text: str) -> PolicyMessage:
        name = ".".join([part, *(["by_hazard", hazard] if hazard else []), tag])
        return PolicyMessage(name, text, self.approved.get(name))
