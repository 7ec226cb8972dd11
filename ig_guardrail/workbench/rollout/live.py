"""Recorded traffic answered again by a model under another policy, and set beside what was recorded.

Each answer is drawn with the seed and the sampling that were recorded, by the same weights: where the policy has
nothing to say it comes out word for word, and what differs is the policy's doing. Recordings hold no prompts; those
come from elsewhere, and find their answers by the hash that both have.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ig_guardrail.drive.request import GenerationRequest, messages_before_answer, told_to_think
from ig_guardrail.engine.base import Engine
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.stream.receipt import prompt_sha256
from ig_guardrail.stream.recording import SCORED
from ig_guardrail.types import CompiledPolicy, Message, Sampling, Thinking
from ig_guardrail.workbench.rollout.answers import RecordedAnswer
from ig_guardrail.workbench.traffic.lines import unfit
from ig_guardrail.workbench.traffic.replay import ANSWERED, ServedRow, budgets_by_hazard, named, served_row

FAILED = "it failed when it was asked for again; `--out` says why"


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A recorded answer, and what is asked to have it once more."""

    before: RecordedAnswer
    turns: tuple[Message, ...]
    sampling: Sampling

    def request(self) -> GenerationRequest:
        """Asked alone: what answers share is charged as at the beginning of a conversation of nobody else."""
        alone = f"replay {secrets.token_hex(8)}"
        (reasoning, effort), language = _reasoning(self.before), self.before.language
        return GenerationRequest(
            self.turns,
            self.sampling,
            language=language,
            conversation=alone,
            tenant=alone,
            reasoning=reasoning,  # type: ignore[arg-type]  # checked with the request
            reasoning_effort=effort,
        )


@dataclass(frozen=True, slots=True)
class Matched:
    """Recorded answers whose prompts are known.

    apart    those that are not asked for again, by reason
    unasked  how many prompts no recorded answer is of
    """

    again: tuple[AskedAgain, ...]
    apart: Mapping[str, int]
    unasked: int


@dataclass(frozen=True, slots=True)
class LiveFlip:
    """An answer that ended otherwise. by: the budgets that denied drafts now, or, where none did, then."""

    place: str
    before: str
    after: str
    language: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiveRow:
    """All answers, those of a language, or those of which drafts were denied for a hazard: then, and now.

    drafts_before, drafts_after  drafts that were denied, in all
    """

    before: ServedRow
    after: ServedRow
    drafts_before: int
    drafts_after: int
    flips: int


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What another policy made of recorded traffic.

    against   the policies that it was recorded under
    flipped   the share of answers that ended otherwise; None where none was given
    same      how many came out word for word
    apart     recorded answers that were not compared, by reason
    unasked   prompts that no recorded answer is of
    alone     budgets that answers share, which were charged for each alone
    """

    policy: str
    against: tuple[str, ...]
    flipped: Estimate | None
    same: int
    flips: tuple[LiveFlip, ...]
    rows: tuple[LiveRow, ...]
    apart: Mapping[str, int]
    unasked: int
    alone: tuple[str, ...]


def match(engine: Engine, prompts: Sequence[tuple[Message, ...]], answers: Iterable[RecordedAnswer]) -> Matched:
    """Find the prompt of each recorded answer among these. Raises RequestError for a sampling that is none."""
    apart: Counter[str] = Counter()
    known: dict[Thinking, dict[str, tuple[Message, ...]]] = {}
    again: list[AskedAgain] = []
    for answer in answers:
        reason = _why_not(answer, engine.info.model_sha256)
        if reason is None:
            thinking = told_to_think(*_reasoning(answer))
            if thinking not in known:
                known[thinking] = {_hash(engine, turns, thinking): turns for turns in prompts}
            turns = known[thinking].get(answer.prompt)
            if turns is not None:
                again.append(AskedAgain(answer, turns, _sampling(answer)))
                continue
            reason = "its prompt is not in the file"
        apart[reason] += 1
    asked = {one.turns for one in again}
    return Matched(tuple(again), apart, sum(turns not in asked for turns in prompts))


def compare(policy: CompiledPolicy, matched: Matched, given: Mapping[str, RecordedAnswer]) -> LiveReport:
    """Set answers, by the places of those that they were asked for again, beside these."""
    apart = Counter(matched.apart)
    pairs: list[tuple[RecordedAnswer, RecordedAnswer]] = []
    for one in matched.again:
        after = given.get(one.before.place)
        if after is None or after.outcome not in ANSWERED:
            apart[FAILED] += 1
        else:
            pairs.append((one.before, after))
    flips = tuple(
        LiveFlip(before.place, before.outcome, after.outcome, before.language, after.denied or before.denied)
        for before, after in pairs
        if before.outcome != after.outcome
    )
    policies = (before.policy for before, _ in pairs)
    under = {f"{one['name']} {one['version']} ({one['sha256'][:12]})" for one in policies}
    return LiveReport(
        policy=named(policy),
        against=tuple(sorted(under)),
        flipped=proportion(len(flips), len(pairs)) if pairs else None,
        same=sum(before.name == after.name for before, after in pairs),
        flips=flips,
        rows=tuple(_rows(policy, pairs)) if pairs else (),
        apart=apart,
        unasked=matched.unasked,
        alone=tuple(budget.id for budget in policy.budgets if budget.scope != "response"),
    )


def _why_not(answer: RecordedAnswer, model: str) -> str | None:
    """Why a recorded answer cannot be asked for again; None where it can."""
    sampling = answer.sampling
    if answer.outcome == SCORED:
        return "its text was scored, and not answered"
    if answer.outcome not in ANSWERED:
        return f"it was {answer.outcome} when it was recorded".replace("was failed", "failed")
    if not answer.prompt or sampling is None:
        return "it does not name its prompt and its sampling (audit logs do not, nor what `--record-texts none` keeps)"
    if answer.model != model:
        return "another model gave it"
    if sampling.get("grammar") is not None:
        return "it had a form, of tools or a schema, that is not recorded"
    if sampling.get("stop") is None:
        return "its stop strings are not recorded"
    return None


def _reasoning(answer: RecordedAnswer) -> tuple[str, str | None]:
    """What became of thoughts, and how much the model was told to think."""
    sampling = answer.sampling or {}
    return str(sampling.get("reasoning", "auto")), sampling.get("reasoning_effort")


def _hash(engine: Engine, turns: tuple[Message, ...], thinking: Thinking) -> str:
    return prompt_sha256(engine.encode(messages_before_answer(turns), thinking, None))


def _sampling(answer: RecordedAnswer) -> Sampling:
    recorded = answer.sampling or {}
    own: dict[str, Any] = {field.name: recorded[field.name] for field in fields(Sampling) if field.name in recorded}
    try:
        biases = tuple((int(token), float(bias)) for token, bias in dict(own.pop("logit_bias", ())).items())
        own |= {name: tuple(own.get(name, ())) for name in ("stop", "from_model")}
        return Sampling(**own, logit_bias=biases)
    except (TypeError, ValueError) as error:
        raise unfit(answer.place, f"its sampling is not whole: {error!s:.80}", "record it again") from error


def _rows(policy: CompiledPolicy, pairs: Sequence[tuple[RecordedAnswer, RecordedAnswer]]) -> Iterable[LiveRow]:
    """All; for each hazard of which a draft was denied then or now; each language."""
    yield _row("all", pairs, None)
    hazards = {f"hazard {name}": budgets for name, budgets in budgets_by_hazard([policy]).items()}
    denied = {budget for pair in pairs for one in pair for budget in one.denied}
    for budget in sorted(denied.difference(*hazards.values()) if hazards else denied):
        hazards[f"budget {budget}"] = {budget}
    for name, budgets in hazards.items():
        if budgets & denied:
            yield _row(name, pairs, budgets)
    for language in sorted({before.language for before, _ in pairs}):
        yield _row(f"language {language}", [pair for pair in pairs if pair[0].language == language], None)


def _row(name: str, pairs: Sequence[tuple[RecordedAnswer, RecordedAnswer]], budgets: set[str] | None) -> LiveRow:
    """budgets: those of a hazard; None: whatever denied."""

    def meant(one: RecordedAnswer) -> bool:
        return budgets is None or not budgets.isdisjoint(one.denied)

    before, after = ([pair[when] for pair in pairs] for when in (0, 1))
    own_before, own_after = [one for one in before if meant(one)], [one for one in after if meant(one)]
    return LiveRow(
        served_row(name, before, own_before),
        served_row(name, after, own_after),
        sum(one.drafts for one in own_before),
        sum(one.drafts for one in own_after),
        sum(old.outcome != new.outcome and (meant(old) or meant(new)) for old, new in pairs),
    )
