"""Whether a policy that extends another is at least as strict, key by key. What cannot be shown to be is refused.

The promise: with the same cost models scoring the same, no answer that the parent denies is shown under the child. Each
rule below keeps it when one key changes and the others stay, and so all changes together keep it. They hold for the
arithmetic as it is done, in floats and decimals, so no rule rests on numbers that are equal but for their last digit.
Why each is sound: docs/decisions/extends.md.

How to search (`search`, `output`) is not part of the promise: whatever is found, the gate decides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.costs.kinds.registry import path_options
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, Steps, clipped, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.inheritance.charging import (
    NormalForm,
    chains_of,
    charged_alike,
    may_grow,
    reads,
    scores_as_much,
)
from ig_guardrail.policy.inheritance.parents import KEY
from ig_guardrail.policy.sources import called
from ig_guardrail.policy.tools import includes

KeyPath: TypeAlias = tuple[str, ...]  # of a key in a normal form, budgets and limits by their ids

FREE = frozenset({"apiVersion", "kind", "metadata", "taxonomy", "output", "search", "swaps"})
NAMED = (("budgets",), ("tools", "limits"))  # lists whose items are told apart by `id`
HARSHER = ("observe", "search", "refuse")  # what a prompt over its threshold leads to


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A policy that is extended, in its normal form; paths of its cost models as a policy in `folder` reads them."""

    file: str
    folder: str
    draft: PolicyDraft
    form: NormalForm

    @property
    def loosenable(self) -> tuple[str, ...]:
        """What it lets policies that extend it loosen."""
        return tuple(self.draft.value("loosenable") or ())


@dataclass(frozen=True, slots=True)
class Looser:
    """A key of the child that is not shown to be as strict.

    says   the parent's value
    wants  what would be as strict
    sure   whether it is certainly looser
    """

    place: KeyPath
    says: Any
    wants: str
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Whether the child's value of a key is at least as strict as the parent's; what would be, in words.

    sure: whether it is looser where it is not
    """

    holds: Callable[[Any, Any], bool]
    wants: str
    sure: bool = False


SAME = Rule(lambda own, above: bool(own == above), "leave it as the parent has it")
AT_MOST = Rule(lambda own, above: bool(own <= above), "write {} or less", sure=True)
AT_LEAST = Rule(lambda own, above: bool(own >= above), "write {} or more", sure=True)

_BUDGET: Mapping[str, Rule] = {
    "hazards": Rule(lambda own, above: set(own) >= set(above), "name all of {} too"),
    "threshold": AT_MOST,
    "weight": AT_LEAST,
    "budget": AT_MOST,
    "discount": AT_LEAST,
    "accumulate": Rule(lambda own, above: own in ("sum", above), "write `sum`", sure=True),
    "mode": Rule(lambda own, above: own in ("enforce", above), "write `enforce`", sure=True),
    "decay": AT_LEAST,
    "window": Rule(lambda own, above: not own or 0 < above <= own, "write 0, which forgets nothing"),
}  # a key that is not here stays as it is


def loosened(own: NormalForm, draft: PolicyDraft, above: Ancestor, folder: str) -> Iterator[Diagnostic]:
    """A fault for everything in a child that is not shown to be as strict as in one that it extends.

    own, draft: the child, its parents' parts among it. folder: where its paths start
    """
    for one in _looser(own, draft, above, folder):
        place = ".".join(one.place)
        if not any(place == granted or place.startswith(f"{granted}.") for granted in above.loosenable):
            yield _fault(one, own, draft, above)


def not_there(form: NormalForm, draft: PolicyDraft) -> Iterator[Diagnostic]:
    """A fault for each place under `loosenable` at which the policy says nothing that could be loosened."""
    known = {".".join(place[:end]) for place in _places(form) for end in range(1, len(place) + 1)}
    for index, place in enumerate(draft.value("loosenable") or ()):
        if place not in known:
            close = suggest(place, known, 0.8)
            advice = f"did you mean `{close}`?" if close else "name a key of this policy that is not about searching"
            spot = draft.spot("loosenable", index)
            yield spot.fault("P053", f"there is nothing to loosen at {quoted(place)}", label="not here", help=advice)


def _looser(own: NormalForm, draft: PolicyDraft, above: Ancestor, folder: str) -> Iterator[Looser]:
    old = above.form
    for name, model in old["cost_models"].items():
        yield from _of_model(name, _rooted(own["cost_models"][name], folder), _rooted(model, above.folder), old)
    mine = {one["id"]: one for one in own["budgets"]}
    for one in old["budgets"]:
        yield from _of_budget(mine[one["id"]], one, own)
    if old["prompt"] is not None:
        yield from _of_prompt(own["prompt"], old["prompt"])
    if old.get("tools") is not None:
        yield from _of_tools(own["tools"], old["tools"])
    yield from _kept(("messages",), own["messages"], old["messages"])
    yield from _approved(("messages",), own["messages"], old["messages"])
    if own.get("reasoning") not in (None, old.get("reasoning")):
        yield Looser(("reasoning",), "charge", "write `charge`", sure=True)
    if own["allow_unguarded"] and not old["allow_unguarded"]:
        yield Looser(("allow_unguarded",), "false", "write `false`", sure=True)
    rest = (
        {*own, *old} - FREE - {"cost_models", "budgets", "prompt", "tools", "messages", "reasoning", "allow_unguarded"}
    )
    for key in sorted(rest):
        if own.get(key) != old.get(key):
            yield Looser((key,), old.get(key), SAME.wants)


def _of_budget(own: NormalForm, above: NormalForm, form: NormalForm) -> Iterator[Looser]:
    place = ("budgets", above["id"])
    for key, value in above.items():
        rule = _BUDGET.get(key, SAME)
        fine = rule.holds(own[key], value)
        if key == "cost" and not fine:
            fine = scores_as_much(own[key], value) and charged_alike(own[key], value, form)
            rule = Rule(rule.holds, "keep {} in it, such as `max({}, ...)`, with cost models that are charged as often")
        if key == "every" and not fine:
            fine = value % own[key] == 0 and all(reads(chain, "level") for chain in chains_of(own["cost"], form))
            rule = Rule(rule.holds, "write a divisor of {}, where no pattern or other event is charged; else {}")
        if not fine:
            yield Looser((*place, key), value, rule.wants, rule.sure)


def _of_model(name: str, own: NormalForm, above: NormalForm, old: NormalForm) -> Iterator[Looser]:
    """A cost model scores as it did; it may gain patterns, and fail closed. How long it may take decides no score."""
    for key in dict.fromkeys((*above, *own)) if own["kind"] == above["kind"] else ("kind",):
        mine: Any = own.get(key)
        value: Any = above.get(key)
        if mine == value or (key, mine) == ("on_error", "closed"):
            continue
        if key == "timeout_ms" and (own["on_error"] == "closed" or mine >= value):
            continue
        if key == "patterns" and mine[: len(value)] == value and may_grow(name, old):
            continue
        wants = "give a cost model of your own, and a budget for it, what should be stricter"
        yield Looser(("cost_models", name, key), value, wants)


def _of_prompt(own: NormalForm, above: NormalForm) -> Iterator[Looser]:
    if not (own["cost"] == above["cost"] or scores_as_much(own["cost"], above["cost"])):
        yield Looser(("prompt", "cost"), above["cost"], "keep {} in it, such as `max({}, ...)`")
    if not AT_MOST.holds(own["threshold"], above["threshold"]):
        yield Looser(("prompt", "threshold"), above["threshold"], AT_MOST.wants, sure=True)
    if HARSHER.index(own["on_exceed"]) < HARSHER.index(above["on_exceed"]):
        yield Looser(("prompt", "on_exceed"), above["on_exceed"], "write {}, or what is harsher", sure=True)


def _of_tools(own: NormalForm, above: NormalForm) -> Iterator[Looser]:
    allowed = above["allow"]
    if allowed is not None and not all(any(includes(one, name) for one in allowed) for name in own["allow"] or ["*"]):
        yield Looser(("tools", "allow"), allowed, "allow only tools that the parent allows")
    for key in ("deny", "arguments"):
        if any(one not in (own[key] or ()) for one in above[key] or ()):
            yield Looser(("tools", key), above[key], "keep what the parent says")
    mine = {one["id"]: one for one in own["limits"] or ()}
    for one in above["limits"] or ():
        place = ("tools", "limits", one["id"])
        if mine[one["id"]]["tool"] != one["tool"]:
            yield Looser((*place, "tool"), one["tool"], SAME.wants)
        if mine[one["id"]]["calls"] > one["calls"]:
            yield Looser((*place, "calls"), one["calls"], AT_MOST.wants, sure=True)


def _kept(place: KeyPath, own: Any, above: Any) -> Iterator[Looser]:
    """Whatever the parent says is said by the child as well."""
    if not isinstance(above, Mapping):
        if own != above:
            yield Looser(place, above, "leave it as the parent has it; other languages may be added")
        return
    for key, value in above.items():
        yield from _kept((*place, key), own.get(key) if isinstance(own, Mapping) else None, value)


def _approved(place: KeyPath, own: Any, above: Any) -> Iterator[Looser]:
    """Texts that somebody lets stand over the budgets, and the parent does not."""
    if isinstance(own, Mapping) and own != above:
        old = above if isinstance(above, Mapping) else {}
        if own.get("approved") not in (None, old.get("approved")):
            yield Looser((*place, "approved"), old.get("approved"), "word it so that it is within the budgets")
        for key, value in own.items():
            yield from _approved((*place, key), value, old.get(key))


def _rooted(model: NormalForm, folder: str) -> dict[str, Any]:
    """A cost model with its paths from the root."""
    places = {key: os.path.normpath(os.path.join(folder, model[key])) for key in path_options(model)}
    return {**model, **places}


def _places(form: NormalForm) -> Iterator[KeyPath]:
    """Every place that a child is held to."""
    yield from (("cost_models", name, key) for name, model in form["cost_models"].items() for key in model)
    yield from (("budgets", one["id"], key) for one in form["budgets"] for key in one if key != "id")
    yield from (("prompt", key) for key in form["prompt"] or ())
    tools = form.get("tools") or {}
    yield from (("tools", key) for key in tools if tools[key])
    yield from (("tools", "limits", one["id"], key) for one in tools.get("limits") or () for key in one if key != "id")
    yield from _leaves(("messages",), form["messages"])
    yield from (("reasoning",), ("allow_unguarded",))


def _leaves(place: KeyPath, value: Any) -> Iterator[KeyPath]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves((*place, key), part)
    else:
        yield place


def _fault(one: Looser, own: NormalForm, draft: PolicyDraft, above: Ancestor) -> Diagnostic:
    said = json.dumps(one.says, ensure_ascii=False) if not isinstance(one.says, str) else one.says
    where = _told(one.place, above)
    label = f"the parent says {clipped(said)}, {where}" if one.says is not None else f"the parent says nothing, {where}"
    advice = one.wants.replace("{}", clipped(said))
    packaged = called(above.file) != above.file
    grant = "" if packaged else f"; or let {above.file} list `{'.'.join(one.place)}` under `loosenable`"
    how = "looser than" if one.sure else "not shown to be as strict as"
    message = f"{quoted(one.place[-1])} is {how} the parent's"
    return _spot(one.place, draft).fault("P052", message, label=label, help=f"{advice}{grant}")


def _told(place: KeyPath, above: Ancestor) -> str:
    """The file and line at which a policy that is extended says something."""
    path = next(path for path in _paths(place, above.draft) if path in above.draft.nodes)
    mark = above.draft.nodes[path].mark
    return f"{called(mark.file or above.file)}:{mark.line}"


def _spot(place: KeyPath, draft: PolicyDraft) -> Spot:
    """Where the child says it; at `extends`, where it does not itself."""
    written = (
        path for path in _paths(place, draft) if path and path in draft.nodes and not draft.nodes[path].mark.file
    )
    return draft.spot(*next(written, (KEY,)))


def _paths(place: KeyPath, draft: PolicyDraft) -> Iterator[Steps]:
    """The path of a place, and of all that it is a part of, the nearest first."""
    path: list[str | int] = []
    for step in place:
        items = draft.value(*path) if tuple(path) in NAMED else None
        path.append(step if items is None else next(i for i, one in enumerate(items) if one and one["id"] == step))
    yield from (tuple(path[:end]) for end in range(len(path), -1, -1))
