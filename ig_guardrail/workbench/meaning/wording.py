"""Differences of policies in words, and as plain values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.meaning.comparing import Comparison
from ig_guardrail.workbench.meaning.differences import Change, Differences, HazardDifference
from ig_guardrail.workbench.meaning.examples import Example
from ig_guardrail.workbench.meaning.tool_calls import CallComparison, CallExample
from ig_guardrail.workbench.meaning.trials import MadeUpAnswer, Moment

PROVED = {
    "same": "the same answers are denied (proved)",
    "stricter": "B denies all that A denies (proved), and more",
    "looser": "A denies all that B denies (proved), and more",
    "incomparable": "each denies what the other shows",
    "not comparable": "not comparable",
    "not decided": "not decided",
}
LONGEST = 100  # characters of a value


def as_text(a: CompiledPolicy, b: CompiledPolicy, found: Differences, files: tuple[str, str]) -> str:
    """The differences, part by part. files: how the policies were asked for."""
    lines = [f"{side}: {file}, {one.name} {one.version}" for side, file, one in zip("AB", files, (a, b), strict=True)]
    lines.append("")
    if a.sha256 == b.sha256 and found.same:
        return "\n".join([*lines, "the same policy: their normal forms are equal"])
    sections = (
        ("hazards, in answers that score on them", _hazards(found.hazards)),
        ("all budgets together", _comparison(found.together, _limits(a), _limits(b))),
        ("prompt check", _prompt(a, b, found.prompt)),
        ("tools", _calls(found.calls)),
        ("other settings", _changes(found.changes)),
    )
    for title, section in sections:
        lines += [title, *(f"  {line}" for line in section), ""]
    said = f"B means the same as A{_renamed(a, b)}" if found.same else "B means something else than A"
    return "\n".join([*lines, said])


def _renamed(a: CompiledPolicy, b: CompiledPolicy) -> str:
    """The budgets that have other names, where that is all."""
    own, others = ([one.id for one in policy.budgets] for policy in (a, b))
    gone, new = (", ".join(sorted(set(one) - set(other))) for one, other in ((own, others), (others, own)))
    return f"; receipts, metrics and cases name {gone or 'nothing'} of A, and {new or 'nothing'} of B" * bool(
        gone or new
    )


def _hazards(hazards: Sequence[HazardDifference]) -> Iterator[str]:
    width = max((len(_called(one)) for one in hazards), default=0)
    for one in hazards:
        why = f": {one.found.why}" if one.found.why else ""
        ids = " | ".join(", ".join(side) or "no budget" for side in one.budgets)
        yield f"{_called(one):{width}}  {one.found.verdict:14}  {ids}{why}"
        yield from (f"    {line}" for line in _own_examples(one, hazards))


def _called(one: HazardDifference) -> str:
    return f"{one.hazard} ({one.title})" if one.title else one.hazard


def _own_examples(one: HazardDifference, hazards: Sequence[HazardDifference]) -> Iterator[str]:
    """Its examples, where no hazard before it has the same."""
    before = list(itertools.takewhile(lambda other: other is not one, hazards))
    for kind, shows, denies in (("stricter", "A", "B"), ("looser", "B", "A")):
        example: Example | None = getattr(one.found, kind)
        same = next((other for other in before if getattr(other.found, kind) == example), None)
        if example is not None and same is not None:
            yield f"as {same.hazard}: {denies} denies what {shows} shows"
        elif example is not None:
            yield f"{shows} shows and {denies} denies {_answers(example.answers, one.found.patterns)}"


def _limits(policy: CompiledPolicy) -> dict[str, float]:
    return {one.id: one.budget for one in policy.budgets}


def _comparison(found: Comparison, a: dict[str, float], b: dict[str, float]) -> Iterator[str]:
    yield PROVED[found.verdict] + (f": {found.why}" if found.why else "")
    for example, shows, denies in ((found.stricter, ("A", a), ("B", b)), (found.looser, ("B", b), ("A", a))):
        if example is not None:
            yield f"example: {_answers(example.answers, found.patterns)}"
            spent = [f"{name} {amount:.4g} of {shows[1][name]:g}" for name, amount in example.shown.spent.items()]
            yield f"  {shows[0]} shows it: spent {', '.join(spent) or 'nothing, it has no enforced budget'}"
            name = example.denied.denied or ""
            amount = f"{name} would have spent {example.denied.spent[name]:.4g} of {denies[1][name]:g}"
            yield f"  {denies[0]} denies it at token {example.denied.position}: {amount}"


def _answers(answers: Sequence[MadeUpAnswer], patterns: Collection[str]) -> str:
    *_, last = answers
    if last.foreign:
        return f"any answer of a conversation with an earlier one, given elsewhere, {_moments(last.moments, patterns)}"
    if len(answers) == 1:
        return f"an answer {_moments(last.moments, patterns)}"
    apart = "one answer each of" if len({one.conversation for one in answers}) > 1 else "answers of"
    where = f"{len(answers)} conversations" if apart.startswith("one") else "a conversation"
    many = f"{apart} {where}" if apart.startswith("one") else f"{len(answers)} {apart} {where}"
    return f"the last of {many}, each one {_moments(last.moments, patterns)}"


def _moments(moments: Sequence[Moment], patterns: Collection[str]) -> str:
    groups = [(scores, list(group)) for scores, group in itertools.groupby(moments, key=lambda one: dict(one.scores))]
    return ", then ".join(f"{_scores(scores, patterns)} {_places(group)}" for scores, group in groups)


def _scores(scores: dict[str, float], patterns: Collection[str]) -> str:
    matching = [f"matches {name}" for name in scores if name in patterns]
    scoring = [f"scores {value:g} with {name}" for name, value in scores.items() if name not in patterns]
    return "that " + " and ".join([*scoring, *matching] or ["scores nothing"])


def _places(moments: Sequence[Moment]) -> str:
    if len(moments) == 1:
        return "at its end" if moments[0].ended else f"at token {moments[0].position}"
    return f"at {len(moments)} charge points (tokens {moments[0].position} to {moments[-1].position})"


def _prompt(a: CompiledPolicy, b: CompiledPolicy, found: Comparison) -> Iterator[str]:
    if a.prompt is None or b.prompt is None:
        yield "neither has one" if a.prompt is b.prompt else f"only {'A' if a.prompt else 'B'} has one"
    elif found.verdict == "same":
        yield "the same turns exceed it (proved)"
    else:
        yield f"{found.verdict}{': ' if found.why else ''}{found.why}"
    for example, exceeds in ((found.stricter, "B"), (found.looser, "A")):
        if example is not None:
            scores = example.answers[0].moments[0].scores
            yield f"a turn {_scores(dict(scores), found.patterns)} exceeds it in {exceeds} alone"


def _calls(found: CallComparison) -> Iterator[str]:
    yield {"same": "the same calls are let through (proved)"}.get(found.verdict, found.verdict)
    yield from (f"not decided: {one}" for one in found.undecided)
    for example, shows, denies in ((found.stricter, "A", "B"), (found.looser, "B", "A")):
        if example is not None:
            calls = " and ".join(f"{count} x {_call(call.name, call.arguments)}" for call, count in example.calls)
            one = len(example.calls) == 1 and example.calls[0][1] == 1
            yield f"{shows} lets {calls[4:] if one else calls} through, {denies} denies it by {example.by}"


def _call(name: str, arguments: Any) -> str:
    given = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
    return f"{name}({given})"


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    if not changes:
        yield "the same"
    for one in changes:
        note = "" if one.direction == "other" else f" ({one.direction})"
        yield f"{one.part}: {_changed(one.a, one.b)}{note}"


def _changed(a: Any, b: Any) -> str:
    if not (isinstance(a, list | tuple) and isinstance(b, list | tuple)):
        return f"{_value(a)} -> {_value(b)}"
    gone = [value for value in a if value not in b]
    new = [value for value in b if value not in a]
    if len(gone) == len(new) == 1:
        return f"{_value(gone[0])} -> {_value(new[0])}"
    return f"{_listed('without', gone)}{', ' if gone and new else ''}{_listed('with', new)}" or "in another order"


def _listed(word: str, values: Sequence[Any]) -> str:
    return f"{word} {', '.join(map(_value, values))}" if values else ""


def _value(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def as_dict(a: CompiledPolicy, b: CompiledPolicy, found: Differences) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "same": found.same,
        "loosened": list(found.loosened),
        "policies": {
            side: {"name": one.name, "version": one.version, "sha256": one.sha256} for side, one in (("A", a), ("B", b))
        },
        "hazards": [
            {
                "hazard": one.hazard,
                "budgets": {"A": list(one.budgets[0]), "B": list(one.budgets[1])},
                **_plain(one.found),
            }
            for one in found.hazards
        ],
        "together": _plain(found.together),
        "prompt": _plain(found.prompt),
        "calls": {
            "verdict": found.calls.verdict,
            "undecided": list(found.calls.undecided),
            "denied_by_b": _plain_calls(found.calls.stricter),
            "denied_by_a": _plain_calls(found.calls.looser),
        },
        "changes": [{"part": one.part, "A": one.a, "B": one.b, "direction": one.direction} for one in found.changes],
    }


def _plain(found: Comparison) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "why": found.why,
        "denied_by_b": _plain_example(found.stricter),
        "denied_by_a": _plain_example(found.looser),
    }


def _plain_example(example: Example | None) -> dict[str, Any] | None:
    if example is None:
        return None
    return {
        "answers": [
            {
                "conversation": answer.conversation,
                "given_elsewhere": answer.foreign,
                "tokens": answer.tokens,
                "scores": [
                    {"token": one.position, "at_end": one.ended, "scores": dict(one.scores)} for one in answer.moments
                ],
            }
            for answer in example.answers
        ],
        "budget": example.denied.denied,
        "token": example.denied.position,
        "spent": dict(example.denied.spent),
        "spent_where_shown": dict(example.shown.spent),
    }


def _plain_calls(example: CallExample | None) -> dict[str, Any] | None:
    if example is None:
        return None
    calls = [{"name": call.name, "arguments": dict(call.arguments), "times": count} for call, count in example.calls]
    return {"calls": calls, "by": example.by}
