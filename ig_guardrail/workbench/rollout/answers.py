"""Answers that were given, as reports on a rollout need them: of recordings, audit logs and receipts alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.drive.records.recorder import shadow_accounts
from ig_guardrail.errors import RequestError
from ig_guardrail.stream.receipt import text_sha256
from ig_guardrail.stream.recording import Recording, ShadowAccount, recording_in, shadow_account
from ig_guardrail.types import Charge
from ig_guardrail.workbench.meaning.receipts import receipts_in
from ig_guardrail.workbench.traffic.lines import unfit
from ig_guardrail.workbench.traffic.recordings import recorded_lines
from ig_guardrail.workbench.traffic.replay import CannotJudge, PolicyReplay


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """One answer.

    at        when it ended, ISO 8601; "" where that was not kept, as in receipts of older versions
    policy    its name, version and hash
    name      the hash of its text, by which it can be found; "" where there is none
    judged    whether any of it was charged; one that was refused at the prompt was not
    denied    budgets that denied drafts of it
    shadow    by budget in shadow mode, what would have come of it; None where that was not kept
    drafts    how many were denied
    prompt    the hash of its prompt; "" where that was not kept
    sampling  how it was drawn, as receipts tell it; None where that was not kept
    model     the hash of the model's weights
    """

    place: str
    at: str
    policy: Mapping[str, str]
    language: str
    arm: str
    outcome: str
    name: str
    judged: bool
    denied: tuple[str, ...]
    searched: bool
    shadow: Mapping[str, ShadowAccount] | None
    drafts: int = 0
    prompt: str = ""
    sampling: Mapping[str, Any] | None = None
    model: str = ""


def read_answers(path: Path, under: PolicyReplay | None = None) -> Iterator[RecordedAnswer]:
    """The answers of a file, or of all `*.jsonl` of a folder.

    under: the policy whose budgets in shadow mode are meant, in place of those that were in force
    Raises RequestError for what cannot be read, and where there is no answer.
    """
    found = False
    for place, values in recorded_lines(path):
        try:
            for one in _answers_in(place, values, under):
                found = True
                yield one
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise unfit(place, f"it is not whole: {error!s:.80}", "give recordings, audit logs or receipts") from error
    if not found:
        raise RequestError(
            "there is no answer in it", where=str(path), fix="give recordings, audit logs, or receipts as JSON lines"
        )


def _answers_in(place: str, values: Mapping[str, Any], under: PolicyReplay | None) -> Iterator[RecordedAnswer]:
    if "format" in values:
        yield _of_recording(place, recording_in(values), under)
        return
    for receipt in receipts_in([values]):
        yield answer_of(place, receipt, known=under is None)


def _of_recording(place: str, recording: Recording, under: PolicyReplay | None) -> RecordedAnswer:
    return RecordedAnswer(
        place=place,
        at=recording.at,
        policy=recording.policy if under is None else under.facts,
        language=recording.language,
        arm=recording.arm,
        outcome=recording.outcome,
        name=recording.text_sha256 or "",
        judged=bool(recording.tokens),
        denied=tuple(recording.denied),
        searched=recording.searched,
        shadow=recording.shadow if under is None else _shadow_under(recording, under),
        drafts=sum(one.count for one in recording.denied.values()),
        prompt=recording.prompt_sha256 or "",
        sampling=recording.sampling,
        model=recording.engine["sha256"],
    )


def _shadow_under(recording: Recording, under: PolicyReplay) -> Mapping[str, ShadowAccount] | None:
    """What would have come of a recorded answer under a policy's budgets in shadow mode; None where nobody can know."""
    try:
        return shadow_accounts(under.budgets, under.charges(recording))
    except CannotJudge:
        return None


def answer_of(place: str, receipt: Mapping[str, Any], known: bool = True) -> RecordedAnswer:
    """The answer that a receipt is of.

    known: whether the budgets that were in force are meant; a receipt has no scores for others
    """
    verdict: Mapping[str, Any] = receipt.get("verdict") or receipt
    charges = [Charge(**{**one, "raw": {}, "fired": {}}) for one in receipt["charges"]]
    shadow = {
        budget: shadow_account(tuple(entry.get("hazards", ())), [line for line in charges if line.budget == budget])
        for budget, entry in receipt["spend"].items()
        if entry["mode"] == "shadow"
    }
    denied = tuple(receipt.get("unsafe", ()))
    return RecordedAnswer(
        place=place,
        at=receipt.get("at", ""),
        policy={key: str(receipt["policy"][key]) for key in ("name", "version", "sha256")},
        language=receipt.get("language", ""),
        arm=receipt.get("arm", ""),
        outcome=verdict["outcome"],
        name=text_sha256(receipt["text"]),
        judged=bool(charges),
        denied=denied,
        searched=bool(denied) or any(one["candidates"] > 1 for one in receipt["blocks"]),
        shadow=shadow if known else None,
        drafts=sum(one["drafts"] for one in receipt.get("unsafe", {}).values()),
        prompt=receipt.get("prompt_sha256", ""),
        sampling=receipt.get("sampling"),
        model=receipt["model"]["sha256"],
    )
