"""Why an answer ended as it did, told from its receipt, as JSON. What a receipt does not hold is said, not guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ig_guardrail.errors import RequestError, brief

NOT_RECORDED = "not recorded"
LONGEST = 100  # characters of an answer that are quoted
ENDINGS = {
    "completed": "the answer is complete",
    "refused": "nothing of an answer was shown: the refusal was shown in its place",
    "ended": "a safe beginning was shown, and the closing message behind it",
    "cancelled": "the caller or a deadline ended it",
    "failed": "it failed, and nothing more was shown",
}


@dataclass(frozen=True, slots=True)
class ReceiptMeaning:
    """One request. ending: how it ended and why; budgets: what each spent; effort: of the search; notes: what else."""

    policy: str
    outcome: str
    ending: tuple[str, ...]
    budgets: tuple[str, ...]
    effort: tuple[str, ...]
    notes: tuple[str, ...]


def is_receipt(values: Any) -> bool:
    """Whether an object of JSON is a receipt, as `as_json` or `run --json` write it."""
    return isinstance(values, dict) and {"charges", "spend", "blocks"} <= values.keys()


def explain_receipt(values: Mapping[str, Any]) -> ReceiptMeaning:
    """Raises RequestError for what is no receipt."""
    try:
        verdict = values.get("verdict") or values  # `run --json` writes its fields beside the others
        policy = values["policy"]
        return ReceiptMeaning(
            policy=f"{policy['name']} {policy['version']} ({str(policy['sha256'])[:12]})",
            outcome=str(verdict["outcome"]),
            ending=tuple(_ending(values, verdict)),
            budgets=tuple(_budgets(values)),
            effort=tuple(_effort(values)),
            notes=tuple(_notes(values)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestError(
            "the receipt cannot be read",
            where="receipt",
            why=f"{type(error).__name__}: {brief(error)}",
            fix="give one as `ig-guardrail run --json` writes it",
        ) from error


def _ending(values: Mapping[str, Any], verdict: Mapping[str, Any]) -> Iterator[str]:
    outcome, finish, reason = verdict["outcome"], verdict["finish"], verdict["reason"]
    yield "the answer was cut off at its greatest length" if finish == "length" else ENDINGS[outcome]
    if reason:
        yield f"because: {reason}"
    if text := " ".join(str(values.get("text", "")).split()):
        yield f"shown: {text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}"
    check = values["prompt_check"]
    if check["exceeded"]:
        follows = {"refuse": "so the request was refused", "search": "so the search was careful", "observe": "noted"}
        scored = ", ".join(f"{name} {_number(score)}" for name, score in check["raw"].items())
        threshold = _number(check["threshold"]) if "threshold" in check else NOT_RECORDED
        yield f"the prompt check was exceeded ({scored}; its threshold is {threshold}), {follows[check['action']]}"
    yield from _unsafe(values, outcome)
    yield from _message(values)
    yield from (f"fallback: {step}" for step in values["fallbacks"])
    if not verdict["guarded"]:
        yield "no budget was kept: it was asked for without the guard, or all of the policy is off"


def _message(values: Mapping[str, Any]) -> Iterator[str]:
    """Which message was shown, and why that one."""
    if not values.get("message"):
        return
    name = values.get("message_name")
    if not name:
        yield f"which message: {NOT_RECORDED}"
        return
    several, denied = len(values["denied"]) > 1, ", ".join(values["denied"])
    hazard = name.split(".", 2)[2].rpartition(".")[0] if ".by_hazard." in name else ""
    if hazard and several:
        yield f"message: {name}, since of what was denied ({denied}) this is the most severe that has a text"
    elif hazard:
        yield f"message: {name}, since {denied} was denied"
    else:
        yield f"message: {name}" + (f", since {denied} has no text of its own" if denied else "")
    if values["approved"]:
        owner, reason = values["approved"]["owner"], values["approved"]["reason"]
        yield f"its text stands whatever the budgets say, by {owner}: {reason}"


def _unsafe(values: Mapping[str, Any], outcome: str) -> Iterator[str]:
    """Which budgets drafts would have overdrawn."""
    if "unsafe" not in values:
        if outcome in ("refused", "ended"):
            yield f"which budget drafts would have overdrawn: {NOT_RECORDED}"
        return
    for name, drafts in values["unsafe"].items():
        count = drafts["drafts"]
        threshold = _threshold(values["spend"].get(name, {}))
        said = f"{count} draft{'s' if count != 1 else ''} would have overdrawn {name}"
        yield f"{said}; the worst scored {_number(drafts['score'])} at token {drafts['position']}, {threshold}"


def _threshold(entry: Mapping[str, Any]) -> str:
    return (
        f"above a threshold of {_number(entry['threshold'])}" if "threshold" in entry else f"threshold {NOT_RECORDED}"
    )


def _budgets(values: Mapping[str, Any]) -> Iterator[str]:
    """What each budget spent, on what, and how near it came."""
    for name, entry in values["spend"].items():
        charges = [one for one in values["charges"] if one["budget"] == name]
        spent, granted = entry["spent"], entry["of"]
        line = f"{name}: spent {_number(spent)} of {_number(granted)}"
        line += "" if entry["mode"] == "enforce" else f" ({entry['mode']}: nothing was held back)"
        worst = max(charges, key=lambda one: float(one["score"]), default=None)
        if worst is not None:
            line += f"; highest score {_number(worst['score'])} at token {worst['position']}"
            line += f" (threshold {_number(entry['threshold'])})" if "threshold" in entry else ""
        costly = [one for one in charges if one["cost"] > 0]
        if costly:
            places = ", ".join(str(one["position"]) for one in costly[:8])
            line += (
                f"; charged at {'token' if len(costly) == 1 else 'tokens'} {places}{', ...' if len(costly) > 8 else ''}"
            )
        over = next((one for one in charges if one["z_after"] < 0), None)
        if over is not None:
            line += f"; it would have been overdrawn at token {over['position']}"
        yield line


def _effort(values: Mapping[str, Any]) -> Iterator[str]:
    """How much was searched."""
    blocks, tokens, search = values["blocks"], values["tokens"], values["search"]
    yield f"{tokens['released']} tokens shown of {tokens['generated']} drawn; {tokens['discarded']} discarded"
    judged = sum(one["candidates"] for one in blocks)
    again = [one for one in blocks if one["attempts"] > 1]
    denied = sum(one["denials"] for one in blocks)
    yield f"{len(blocks)} blocks accepted, of {judged} candidates judged ({search['strategy']})"
    if again:
        rounds = max(one["attempts"] for one in again)
        first = again[0]["position"]
        yield f"{len(again)} of them only after more rounds, {rounds} at most; the first of these ends at token {first}"
    if denied:
        yield f"{denied} commits were denied by the gate before others were accepted"
    yield f"{values['cost_calls']} calls of cost models, {values['forwards']} passes of the model"


def _notes(values: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{entry} served as {name}" for name, entry in values["substitutes"].items())
    for name, rules in values.get("fired", {}).items():
        yield f"matched: {', '.join(_pattern(name, rule) for rule in rules)}"
    if "fired" not in values:
        yield f"which patterns matched: {NOT_RECORDED}"
    yield from (f"went on without a judgement: {one}" for one in values["fail_open"])
    for one in values["sources"]:
        yield f"word for word in {one['document']}, characters {one['start']} to {one['stop']}"


def _pattern(model: str, rule: Any) -> str:
    return f"pattern {rule} of {model}, counted from 0" if isinstance(rule, int) else f"{rule} of {model}"


def _number(value: float) -> str:
    return f"{float(value):.4g}"


def as_text(found: ReceiptMeaning) -> str:
    """For people."""
    lines = [f"{found.outcome}, under policy {found.policy}", *(f"  {line}" for line in found.ending)]
    for title, texts in (("budgets", found.budgets), ("search", found.effort), ("notes", found.notes)):
        lines += ["", title, *(f"  {text}" for text in texts)] if texts else []
    return "\n".join(lines)


def as_dict(found: ReceiptMeaning) -> dict[str, Any]:
    """Plain values."""
    return asdict(found)


def receipts_in(lines: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The receipts among objects of JSON: `run --json` writes one behind the pieces of the answer."""
    inner = (one["receipt"] if isinstance(one, dict) and is_receipt(one.get("receipt")) else one for one in lines)
    return [one for one in inner if is_receipt(one)]
