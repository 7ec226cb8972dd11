"""Cases of a policy, as a file `*_test.yaml` beside it tells them: what a text, a call or a conversation comes to.

Read with the places and faults of the policy language. Codes beside its own: T001 the file cannot be used, T002 a case
says too little or too much, T003 it names what its policy does not have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ig_guardrail.costs.catalog import OF_CALLS
from ig_guardrail.errors import PolicyError
from ig_guardrail.fields.field import (
    ArgumentsKind,
    ChoiceKind,
    Field,
    FormatKind,
    IntegerKind,
    ListOf,
    MapOf,
    NumberKind,
    Section,
    ShortForm,
    TextKind,
)
from ig_guardrail.policy import load_policy, packaged_names
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot, dotted, in_order, listed, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.language.names import BUDGET_ID, LANGUAGE, MODEL_NAME
from ig_guardrail.policy.sources import CASES, is_cases, without_cases
from ig_guardrail.policy.validation.structure import check_shape
from ig_guardrail.policy.yaml.decoding import MOST_BYTES, decode, readable
from ig_guardrail.policy.yaml.reader import read
from ig_guardrail.types import PARTS, CompiledPolicy, PolicyMessage

CaseKind: TypeAlias = Literal["answer", "prompt", "call", "message"]

JUDGED = ("answer", "prompt", "call", "turns", "message")
OF_PROMPT = ("action", "outcome", "message", "fired")  # what can be expected of a prompt

_TOOL = FormatKind("a tool's name", r"[A-Za-z0-9_.-]{1,128}", "refund")
_CALL = MapOf(_TOOL, ArgumentsKind(), 1, 1)
_SCORES = ListOf(MapOf(MODEL_NAME, NumberKind(0, 1, "score"), 1, 32), 1, 4096)

EXPECT = Section(
    "an expectation",
    {
        "outcome": Field(
            ChoiceKind(("completed", "denied", "refused", "ended", "failed")),
            "how it ends; `denied` is `refused` or `ended`",
            "denied",
        ),
        "action": Field(
            ChoiceKind(("none", "refuse", "search", "observe")), "what the prompt check leads to", "refuse"
        ),
        "budget": Field(BUDGET_ID, "the budget that denies it, or that `spent` is of", "tone"),
        "shadow": Field(BUDGET_ID, "a shadow budget that would deny it", "tone"),
        "charge_point": Field(IntegerKind(1, 1_000_000, "tokens"), "the position at which it is denied", "16"),
        "spent": Field(NumberKind(0, 1_000_000, "cost"), "what of the budget is spent, to three decimals", "0.05"),
        "message": Field(
            TextKind(2000),
            "the message that is shown: `refusal.en`, `refusal.by_hazard.ssh.en`, or its text",
            "refusal.en",
        ),
        "fired": Field(
            ListOf(TextKind(200), 0, 64), "patterns that match, by name or place; `[]`: none does", "[card-number]"
        ),
    },
)

TURN = Section(
    "a turn",
    {
        "answer": Field(TextKind(100_000), "the answer of the turn", '"You are kind."'),
        "call": Field(_CALL, "a call of a tool instead", "{refund: {amount: 5}}"),
        "scores": Field(_SCORES, "recorded scores, as in a case", "[{tone: 0.2}]"),
        "expect": Field(EXPECT, "what this turn comes to", "{outcome: completed}"),
    },
)

CASE = Section(
    "a case",
    {
        "name": Field(TextKind(200), "what it shows", '"an insult is denied"', required=True),
        "answer": Field(TextKind(100_000), "an answer of the model", '"You are kind."'),
        "prompt": Field(TextKind(100_000), "a text of the user, for the prompt check", '"How do I bake bread?"'),
        "call": Field(_CALL, "a call of a tool", "{refund: {amount: 5}}"),
        "turns": Field(
            ListOf(ShortForm(TURN, "answer"), 1, 100), "answers of one conversation, in order", '["Yes.", "No."]'
        ),
        "message": Field(
            TextKind(2000),
            "a message of the policy, judged as an answer would be, unless it is approved",
            "refusal.en",
        ),
        "scores": Field(
            _SCORES,
            "recorded scores: at each charge point, by cost model; one alone is at every charge point",
            "[{tone: 0.1}, {tone: 0.8}]",
        ),
        "language": Field(LANGUAGE, "of the messages that are shown", "de", default="en"),
        "todo": Field(TextKind(500), "why the case does not count yet", '"waits for the new head"'),
        "expect": Field(EXPECT, "what it comes to", "{outcome: denied, budget: tone}"),
    },
)

FILE = Section(
    "a file of cases",
    {
        "policy": Field(TextKind(500), "the policy, if it is not the file's own: a path, or a packaged name", "strict"),
        "cases": Field(
            ListOf(CASE, 1, 1000),
            "the cases",
            '[{name: an insult is denied, answer: "You are stupid.", expect: {outcome: denied}}]',
            required=True,
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a step is expected to come to; None: nothing is said of it. Keys as in `EXPECT`."""

    outcome: str | None = None
    action: str | None = None
    budget: str | None = None
    shadow: str | None = None
    charge_point: int | None = None
    spent: float | None = None
    message: str | None = None
    fired: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is judged.

    text    an answer, an input turn, or a message by its id or as text
    call    the name of a tool and its arguments; None where it is a text
    scores  by charge point, of cost models by name; () where none are given
    """

    kind: CaseKind
    text: str
    call: tuple[str, Mapping[str, Any]] | None
    scores: tuple[Mapping[str, float], ...]
    expect: Expectation


@dataclass(frozen=True, slots=True)
class Case:
    """A case: its steps, one unless it has turns. line, column: where it stands in its file."""

    name: str
    line: int
    column: int
    steps: tuple[Step, ...]
    language: str
    todo: str | None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A file of cases beside its policy, or why it cannot be used.

    policy, source  as it was compiled, and the path or packaged name that it came from; None where it cannot be used
    text            the file's characters
    unusable        why, where no fault tells it
    """

    path: str
    policy: CompiledPolicy | None = None
    source: str | Path = ""
    cases: tuple[Case, ...] = ()
    faults: tuple[Diagnostic, ...] = ()
    text: str = ""
    unusable: str = ""

    @property
    def usable(self) -> bool:
        return self.policy is not None


def find_cases(paths: Iterable[str]) -> list[str]:
    """The files of cases that paths stand for: files, policies with cases beside them, folders and all in them.

    What stands for none is told by the path itself, which then cannot be read.
    """
    found: list[str] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = (one for one in path.rglob("*") if is_cases(one.name) and not _hidden(one.relative_to(path)))
            found += sorted(str(one) for one in inside if one.is_file()) or [name]
        elif name in packaged_names():
            found.append(str(resources.files("ig_guardrail.policies") / f"{name}{CASES}"))
        else:
            found.append(name if is_cases(name) else _beside(path))
    return list(dict.fromkeys(found))


def _beside(policy: Path) -> str:
    """The file of cases beside a policy."""
    stem = str(policy.with_suffix("")) if policy.suffix.lower() in (".yaml", ".yml") else str(policy)
    return next((one for one in (f"{stem}{CASES}", f"{stem}_test.yml") if os.path.isfile(one)), f"{stem}{CASES}")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _has_cases(path: str) -> bool:
    """Whether a file that is named like a policy has cases at its top."""
    try:
        with open(path, "rb") as file:
            return re.search(rb"^cases:", file.read(MOST_BYTES), re.MULTILINE) is not None
    except (OSError, ValueError):
        return False


def read_cases(path: str) -> CaseFile:
    """The cases in a file, with their policy; never raises."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if os.path.isdir(path):
            return CaseFile(path, unusable=f"no file in this folder is called *{CASES}")
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        plain = path.replace(CASES, CASES[len("_test") :])
        if _has_cases(plain):
            advice = f"`{plain}` has cases, and is read as a policy: call it `{path}`"
        else:
            advice = "`ig-guardrail policy new` writes a policy with cases"
        return CaseFile(path, unusable=f"{reason.lower()}; {advice}")
    return cases_in(content, path)


def cases_in(content: bytes, path: str, load: Callable[[str | Path], CompiledPolicy] = load_policy) -> CaseFile:
    """The cases in a text, as `read_cases` reads them.

    content  at most one byte past the size limit
    load     the policy of a packaged name or path; raises PolicyError
    """
    if len(content) > MOST_BYTES:
        return CaseFile(path, unusable=f"it has more than {MOST_BYTES} bytes; split it into several files")
    draft, faults = _drafted(content)
    text = readable(content)
    if draft is None or faults:
        return CaseFile(path, faults=_placed(faults, path), text=text)
    source = policy_of(path, draft.value("policy"))
    try:
        policy = load(source)
    except PolicyError as error:
        return CaseFile(path, text=text, unusable=f"its policy cannot be used\n\n{error}")
    cases = tuple(_case(draft, place) for place in range(len(draft.value("cases"))))
    unknown = list(_unknown(draft, policy))
    if unknown:
        return CaseFile(path, faults=_placed(unknown, path), text=text)
    return CaseFile(path, policy, source, cases, text=text)


def policy_of(path: str, named: str | None) -> str | Path:
    """The policy of a file of cases: what it names, from its folder on, else the one that it is called after."""
    if named in packaged_names():
        return str(named)
    if named:
        return Path(path).parent / named
    own = [Path(without_cases(path) + suffix) for suffix in (".yaml", ".yml")]
    return next((one for one in own if one.is_file()), own[0])


def _drafted(content: bytes) -> tuple[PolicyDraft | None, list[Diagnostic]]:
    characters = decode(content)
    if isinstance(characters, Diagnostic):
        return None, [characters]
    document = read(characters)
    if document.tree is None:
        return None, [replace(one, help="write `cases:`") if one.code == "P005" else one for one in document.faults]
    draft, faults = check_shape(document.tree, FILE)
    found = [*document.faults, *faults]
    return draft, found or list(_unclear(draft))


def _unclear(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Cases that do not say what is judged, or what is expected."""
    names: dict[str, int] = {}
    for place, case in enumerate(draft.value("cases")):
        spot = draft.spot("cases", place)
        judged = [key for key in JUDGED if key in case]
        if len(judged) != 1:
            found = f"has {listed(judged, 'and')}" if judged else "judges nothing"
            yield _fault(spot, "T002", f"the case {found}", f"needs one of {listed(JUDGED)}", "write one of them")
        if case["name"] in names:
            label = f"first on line {names[case['name']]}"
            yield _fault(draft.spot("cases", place, "name"), "T002", "two cases have one name", label, "rename one")
        names.setdefault(case["name"], spot.mark.line)
        yield from _expects(draft, case, ("cases", place), judged)


def _expects(
    draft: PolicyDraft, case: Mapping[str, Any], path: tuple[str | int, ...], judged: list[str]
) -> Iterator[Diagnostic]:
    said = [case.get("expect")]
    for place, turn in enumerate(case.get("turns") or ()):
        if isinstance(turn, dict):
            said.append(turn.get("expect"))
            if ("answer" in turn) == ("call" in turn):
                spot = draft.spot(*path, "turns", place)
                yield _fault(spot, "T002", "the turn is not clear", "needs `answer` or `call`", "write one of them")
    if "todo" not in case and not any(said):
        yield _fault(draft.spot(*path), "T002", "the case expects nothing", "needs `expect`", "say what it comes to")
    if case.get("turns") and case.get("scores"):
        spot = draft.key_spot(*path, "scores")
        yield _fault(spot, "T002", "scores of a case with turns", "whose are they?", "give each turn its own `scores`")
    for key in case.get("expect") or {}:
        if (key not in OF_PROMPT) if judged == ["prompt"] else (key == "action"):
            spot = draft.key_spot(*path, "expect", key)
            what = f"`{key}` is not of prompts" if judged == ["prompt"] else "`action` is of prompts alone"
            yield _fault(spot, "T002", what, "nothing to compare it with", "delete it")


def _case(draft: PolicyDraft, place: int) -> Case:
    values, mark = draft.value("cases", place), draft.spot("cases", place).mark
    expect = _expectation(values.get("expect"))
    if "turns" in values:
        turns = [turn if isinstance(turn, dict) else {"answer": turn} for turn in values["turns"]]
        steps = [_step("call" if "call" in one else "answer", one, _expectation(one.get("expect"))) for one in turns]
        last = steps[-1]
        steps[-1] = replace(last, expect=expect) if "expect" in values else last
    else:
        steps = [_step(next(key for key in JUDGED if key in values), values, expect)]
    return Case(values["name"], mark.line, mark.column, tuple(steps), values.get("language", "en"), values.get("todo"))


def _step(kind: Any, values: Mapping[str, Any], expect: Expectation) -> Step:
    call = next(iter(values["call"].items())) if kind == "call" else None
    return Step(kind, "" if call else values[kind], call, tuple(values.get("scores") or ()), expect)


def _expectation(values: Mapping[str, Any] | None) -> Expectation:
    given = dict(values or {})
    if "fired" in given:
        given["fired"] = tuple(given["fired"])
    return Expectation(**given)


def _unknown(draft: PolicyDraft, policy: CompiledPolicy) -> Iterator[Diagnostic]:
    """What cases name and the policy does not have."""
    budgets = [one.id for one in policy.budgets]
    models = [one.name for one in policy.cost_models if one.kind not in OF_CALLS]
    messages = message_ids(policy)
    for path in [path for path in draft.nodes if "call" not in path[:-1]]:  # arguments are called as they like
        match path:
            case (*_, "expect", "budget" | "shadow"):
                yield from _known(draft, path, draft.value(*path), "budget", budgets)
            case (*_, "scores", int(), str() as name):
                yield from _known(draft, path, name, "cost model", models)
            case ("cases", int(), "message") | (*_, "expect", "message") if (
                str(draft.value(*path)).partition(".")[0] in PARTS.values()
            ):
                yield from _known(draft, path, draft.value(*path), "message", messages)
            case (*_, "expect") if draft.value(*path).get("spent") is not None and len(budgets) > 1:
                if "budget" not in draft.value(*path):
                    help = f"add `budget:`, one of {listed(budgets)}"
                    yield _fault(draft.spot(*path), "T003", "`spent` of which budget?", "the policy has several", help)


def _known(draft: PolicyDraft, path: Any, name: str, what: str, known: list[str]) -> Iterator[Diagnostic]:
    if name in known:
        return
    close = suggest(name, known)
    help = f"did you mean `{close}`?" if close else f"the policy has {listed(known, 'and')}"
    spot = draft.key_spot(*path) if what == "cost model" else draft.spot(*path)
    yield _fault(spot, "T003", f"the policy has no {what} {quoted(name)}", "", help)


def message_ids(policy: CompiledPolicy) -> list[str]:
    """The policy's messages by name: `refusal.en`, `closing.by_hazard.ssh.de`."""
    return [message.name for message in policy.messages]


def message_of(policy: CompiledPolicy, named: str) -> PolicyMessage:
    """The message of a name; a text that is no name is itself."""
    return next((one for one in policy.messages if one.name == named), PolicyMessage("", named))


def _fault(spot: Spot, code: str, message: str, label: str, help: str) -> Diagnostic:
    mark: Position = spot.mark
    where = (mark.line, mark.column, mark.length)
    return Diagnostic(code, "error", dotted(spot.path), "", *where, message, label, "", help)


def _placed(faults: Iterable[Diagnostic], path: str) -> tuple[Diagnostic, ...]:
    return tuple(replace(fault, file=path) for fault in in_order(list(faults)))
