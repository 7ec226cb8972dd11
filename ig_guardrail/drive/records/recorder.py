"""Writes what answers scored to a file, beside the answers: a recording changes none, delays none, and may fail.

Whoever asked for recordings is told once where one cannot be written, by a warning in the log.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ig_guardrail.drive.prompt_check import PromptCheck
from ig_guardrail.drive.records.backlog import Backlog
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.drive.usage import DeniedDraft, Usage
from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.errors import GuardrailError, RequestError, brief
from ig_guardrail.fields.paths import expanded
from ig_guardrail.policy.expression import written
from ig_guardrail.settings import RecordingFile
from ig_guardrail.stream.receipt import text_sha256
from ig_guardrail.stream.recording import (
    DeniedCandidates,
    RecordedModel,
    RecordedPrompt,
    Recording,
    ScoreTrack,
    ShadowAccount,
    shadow_account,
)
from ig_guardrail.types import Budget, Charge, CompiledPolicy, PromptRule, Receipt

LOG = logging.getLogger(__name__)

MOST_WAITING = 1_000  # answers; where a disk is that slow, later ones are left out


class Recorder:
    """Appends a line for each answer to a file, on a thread of its own, in the order in which answers ended."""

    def __init__(self, file: RecordingFile) -> None:
        """Raises RequestError where the file cannot be written."""
        self.file = file
        self._backlog = Backlog("recordings", _failure, MOST_WAITING)
        self._told = False
        try:
            append_line(file, "")
        except OSError as error:
            raise RequestError(
                "answers cannot be recorded",
                where=str(file.path),
                why=brief(error),
                fix="name a file that you may write",
            ) from error

    def note(self, run: Run, usage: Usage, receipt: Receipt) -> None:
        """Record an answer that has ended. Never raises, and never waits."""
        try:
            self._backlog.begin(self._write, run, usage, receipt).add_done_callback(self._check)
        except Exception as error:
            self._tell(error)

    def flush(self, seconds: float = 5.0) -> None:
        """Wait until what was noted is written, so many seconds at most."""
        self._backlog.flush(seconds)

    def _write(self, run: Run, usage: Usage, receipt: Receipt) -> None:
        append_line(self.file, recording_of(run, usage, receipt, self.file.texts).as_line())

    def _check(self, call: Future[Any]) -> None:
        error = None if call.cancelled() else call.exception()
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        if not self._told:
            self._told = True
            LOG.warning("answers are served and not all recorded in %s: %s", self.file.path, brief(error))


def recording_of(run: Run, usage: Usage, receipt: Receipt, texts: str = "hash") -> Recording:
    """The recording of an answer that has ended. texts: what is kept of it, `hash`, `none` or `plain`."""
    ends = [usage.blocks[-1].position] if usage.blocks else []
    return Recording(
        at=receipt.at,
        policy=policy_facts(run.policy),
        engine=engine_facts(run.engine.info),
        cost_models=recorded_models(run.costs),
        outcome=receipt.verdict.outcome,
        reason=receipt.verdict.reason,
        language=run.request.language,
        tokens=max([*ends, *(line.position for line in receipt.charges)], default=0),
        released=receipt.tokens["released"],
        ended=any(line.ended for line in receipt.charges),
        searched=bool(usage.over) or any(one.candidates > 1 or one.denials for one in usage.blocks),
        tracks=tracks_of(run.costs, receipt.charges),
        prompt=recorded_prompt(run.policy.prompt, usage.prompt_check),
        denied=denied_candidates({budget: list(drafts.values()) for budget, drafts in usage.over.items()}),
        fail_open=receipt.fail_open,
        text_sha256=None if texts == "none" else text_sha256(receipt.text),
        text=receipt.text if texts == "plain" else None,
        shadow=shadow_accounts(run.policy.budgets if run.guarded else (), receipt.charges),
        arm=receipt.arm,
        prompt_sha256=None if texts == "none" else receipt.prompt_sha256,
        sampling=_sampling(receipt, texts),
    )


def _sampling(receipt: Receipt, texts: str) -> dict[str, Any]:
    stop = receipt.sampling["stop"]
    return {**receipt.sampling, "stop": None if stop and texts != "plain" else stop}


def shadow_accounts(budgets: Iterable[Budget], charges: Sequence[Charge]) -> dict[str, ShadowAccount]:
    """By budget in shadow mode, what would have come of it."""
    return {
        one.id: shadow_account(one.hazards, [line for line in charges if line.budget == one.id])
        for one in budgets
        if one.mode == "shadow"
    }


def tracks_of(costs: CostRegistry, charges: Iterable[Charge]) -> tuple[ScoreTrack, ...]:
    """The scores that charges rest on, once for each cost model, its hazards that are meant, and spacing."""
    rules = {rule.budget.id: rule for rule in costs.rules}
    found: dict[tuple[Any, ...], dict[tuple[int, bool], float]] = {}
    for line in charges:
        rule = rules[line.budget]
        for name, score in line.raw.items():
            meant = tuple(one for one in costs.by_name[name].model.hazards if one in rule.budget.hazards)
            points = found.setdefault((name, meant, rule.granularity, rule.budget.every), {})
            points[line.position, line.ended] = score
    return tuple(
        ScoreTrack(name, meant, granularity, every, tuple((*point, score) for point, score in points.items()))
        for (name, meant, granularity, every), points in found.items()
    )


def recorded_prompt(rule: PromptRule | None, check: PromptCheck) -> RecordedPrompt | None:
    """What a prompt scored; None where it was not checked."""
    if rule is None or not check.raw:
        return None
    return RecordedPrompt(written(rule.cost), dict(check.raw), check.score, check.action)


def recorded_models(costs: CostRegistry) -> dict[str, RecordedModel]:
    """What every cost model declares."""
    return {
        name: RecordedModel(costs.hashes[name], one.model.granularity, one.model.reading, tuple(one.model.hazards))
        for name, one in costs.by_name.items()
    }


def policy_facts(policy: CompiledPolicy) -> dict[str, str]:
    """How recordings name a policy."""
    return {"name": policy.name, "version": policy.version, "sha256": policy.sha256}


def engine_facts(info: EngineInfo) -> dict[str, str]:
    """How recordings name a model: by what decides whether cost models score the same beside it."""
    return {"name": info.model, "sha256": info.model_sha256, "numerics": info.numerics, "language": info.language}


def denied_candidates(over: Mapping[str, Sequence[DeniedDraft]]) -> dict[str, DeniedCandidates]:
    """By budget, what is kept of drafts that were over it."""
    scores = {budget: [one.worst.score for one in drafts] for budget, drafts in over.items()}
    return {budget: DeniedCandidates(len(all), max(all), _tenths(all)) for budget, all in scores.items()}


def _tenths(scores: Sequence[float]) -> tuple[int, ...]:
    places = [min(int(score * 10), 9) for score in scores]
    return tuple(places.count(tenth) for tenth in range(10))


def append_line(file: RecordingFile, line: str) -> None:
    """Append a line, if it has any, in one write, so that processes that share a file do not mix theirs.

    A new file is for its owner alone, in a folder that is made if need be. Raises OSError.
    """
    path = expanded(file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if line:
            os.write(opened, f"{line}\n".encode())
    finally:
        os.close(opened)


def _failure(reason: str) -> GuardrailError:
    return GuardrailError(f"a recording failed: {reason}", where="recorder", fix="see that the file can be written")
