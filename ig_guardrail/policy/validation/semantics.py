"""Whether the parts of a policy fit each other: names that must exist, hazards that must meet, limits on limits.

Each check looks only at sound values, so that one cause gives one fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, clipped, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft, search_settings, strategy_of
from ig_guardrail.policy.expression import Formula
from ig_guardrail.policy.language.messages import CLOSING, REFUSAL
from ig_guardrail.policy.language.search import PLAIN
from ig_guardrail.policy.validation.label_maps import namings
from ig_guardrail.policy.validation.otherwise import chain_of, substitutes
from ig_guardrail.policy.validation.patterns import border_at_letter, least_length, matches, too_much_work
from ig_guardrail.policy.validation.tool_rules import argument_rules, scopes, taken_names
from ig_guardrail.policy.yaml.tree import Scalar
from ig_guardrail.types import PARTS
from ig_guardrail.types.hazards import EVERY, covers
from ig_guardrail.types.languages import normal_tag

TEXT_KINDS = tuple(name for name, kind in KINDS.items() if not kind.beyond)


def check_meaning(draft: PolicyDraft) -> tuple[Diagnostic, ...]:
    """Every fault in how the parts of a draft fit together."""
    named = (ids, names, substitutes, text_models, hazards, namings)
    settings = (
        limits,
        strategy,
        lengths,
        pattern_names,
        borders,
        work,
        english,
        messages,
        argument_rules,
        taken_names,
        scopes,
    )
    return tuple(chain.from_iterable(check(draft) for check in (*named, *settings)))


def budgets(draft: PolicyDraft) -> Iterator[tuple[int, dict[str, Any]]]:
    """The budgets that are mappings, with their places in the list."""
    for index, budget in enumerate(draft.value("budgets") or ()):
        if budget is not None:
            yield index, budget


def formulas(draft: PolicyDraft) -> Iterator[tuple[tuple[str | int, ...], Formula]]:
    """Every readable cost expression, with its path."""
    paths: list[tuple[str | int, ...]] = [("budgets", index, "cost") for index, _ in budgets(draft)]
    for path in [*paths, ("prompt", "cost")]:
        formula = draft.value(*path)
        if isinstance(formula, Formula):
            yield path, formula


def model_names(draft: PolicyDraft) -> tuple[str, ...]:
    """The cost models that are declared, sound or not."""
    return tuple(draft.value("cost_models") or ())


def ids(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Budgets and limits of calls have names of their own."""
    first: dict[str, Spot] = {}
    limits = enumerate(draft.value("tools", "limits") or () if draft.value("tools") else ())
    named: list[tuple[tuple[str | int, ...], Any]] = [(("budgets", index, "id"), one) for index, one in budgets(draft)]
    named += [(("tools", "limits", index, "id"), one) for index, one in limits if one is not None]
    for path, one in named:
        name = one.get("id")
        if name is not None and name in first:
            message = f"two budgets are called {quoted(name)}"
            label = f"first used on {first[name].mark.words}"
            yield draft.spot(*path).fault("P026", message, label=label, help="rename one of them")
        elif name is not None:
            first[name] = draft.spot(*path)


def names(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Expressions name cost models that are declared."""
    if draft.value("cost_models") is None:
        return
    known = model_names(draft)
    for path, formula in formulas(draft):
        for name, offset in formula.names:
            if name not in known:
                close = suggest(name, known)
                missing = f"declare it under `cost_models`; declared: {', '.join(map(clipped, known)) or 'none'}"
                advice = f"did you mean {quoted(close)}?" if close else missing
                spot = name_spot(draft, path, name, offset)
                yield spot.fault("P023", f"there is no cost model {quoted(name)}", label="not declared", help=advice)


def name_spot(draft: PolicyDraft, path: tuple[str | int, ...], name: str, offset: int) -> Spot:
    """The place of a name inside an expression."""
    node = draft.nodes[path]
    return Spot(path, node.part(offset, len(name)) if isinstance(node, Scalar) else node.mark)


def text_models(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """The prompt check and budgets for tools read text only."""
    by_call = [("budgets", index, "cost") for index, one in budgets(draft) if one.get("scope") == "tool"]
    for path, reader in (("prompt", "cost"), "the prompt check"), *((path, "a budget for tools") for path in by_call):
        formula = draft.value(*path)
        for name, offset in formula.names if isinstance(formula, Formula) else ():
            kinds = [draft.value("cost_models", one, "kind") for one in chain_of(draft, name)]
            kind = next((kind for kind in kinds if kind is not None and kind not in TEXT_KINDS), None)
            if kind is not None:
                spot = name_spot(draft, path, name, offset)
                why = "" if path[0] == "prompt" else "the call is read as a text of its own, which has no hidden states"
                yield _reads_no_text(draft, spot, f"{reader} cannot use {quoted(name)}", kind, why)


def _reads_no_text(draft: PolicyDraft, spot: Spot, message: str, kind: str, why: str = "") -> Diagnostic:
    able = [other for other in model_names(draft) if draft.value("cost_models", other, "kind") in TEXT_KINDS]
    advice = f"name a cost model that reads text{': ' + ', '.join(map(quoted, able)) if able else ''}"
    return spot.fault("P030", message, label=f"it is of kind `{kind}`", why=why, help=advice)


def hazards(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Every budget limits a hazard that one of its cost models scores."""
    for index, budget in budgets(draft):
        wanted, scored = budget.get("hazards"), hazards_scored(draft, budget.get("cost"))
        if not wanted or None in wanted or scored is None or wanted == [EVERY]:
            continue
        if not any(covers(broad, narrow) for broad in wanted for narrow in scored):
            label = f"its cost models score {', '.join(scored)}"
            message = "this budget limits hazards that nothing scores"
            close = suggest(wanted[0], scored, 0.8)
            meant = f"did you mean {quoted(close)}? " if close else ""
            advice = (
                f"{meant}write `hazards: [{', '.join(scored)}]`, or name a cost model that scores {', '.join(wanted)}"
            )
            yield draft.spot("budgets", index, "hazards").fault("P029", message, label=label, help=advice)


def hazards_scored(draft: PolicyDraft, formula: Formula | None) -> tuple[str, ...] | None:
    """The hazards that the cost models of an expression score, in order; None unless all of them are sound."""
    if formula is None:
        return None
    found: dict[str, None] = {}
    for name in formula.expression.models():
        own = draft.value("cost_models", name, "hazards")
        if not own or None in own:
            return None
        found.update(dict.fromkeys(own))
    return tuple(found)


def limits(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """`beams` is at most `candidates`, `accept` at most `trigger`."""
    settings = search_settings(draft)
    if draft.faulty("search", "preset"):
        return
    for low, high in (("beams", "candidates"), ("accept", "trigger")):
        if draft.faulty("search", low) or draft.faulty("search", high) or not draft.written("search", low):
            continue
        if settings[low] > settings[high]:
            message = f"`{low}` is {settings[low]:g}, but `{high}` is {settings[high]:g}"
            advice = f"write `{low}: {settings[high]:g}`, or raise `{high}`"
            yield draft.spot("search", low).fault("P031", message, label=f"at most `{high}`", help=advice)


def strategy(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is said about whether and how to search fits the strategy."""
    steps, named = draft.value("output", "on_exceed"), draft.value("search", "strategy")
    if steps is not None and None not in steps:
        if steps not in (["search", "end"], ["end"]):
            message = "`on_exceed` cannot be done in this order"
            spot = draft.spot("output", "on_exceed")
            yield spot.fault(
                "P031", message, label="needs [search, end] or [end]", help="write `[search, end]` or `[end]`"
            )
            return
        if named is not None and (named in PLAIN) != (steps == ["end"]):
            message = f"`search.strategy` is `{named}`, but `output.on_exceed` is [{', '.join(steps)}]"
            advice = f"delete one of the two; `{named}` {'never searches' if named in PLAIN else 'searches'}"
            yield draft.spot("search", "strategy").fault("P031", message, help=advice)
            return
    if strategy_of(draft) == "inference_guard" or draft.faulty("search", "strategy"):
        return
    label = f"the strategy is `{strategy_of(draft)}`"
    if draft.value("prompt", "on_exceed") == "search":
        message = "`on_exceed` is `search`, but only `inference_guard` keeps a margin"
        advice = "write `refuse` or `observe`, or use that strategy"
        spot = draft.spot("prompt", "on_exceed")
        said = [draft.spot(*path) for path in (("search", "strategy"), ("output", "on_exceed")) if draft.written(*path)]
        here = [one for one in said if not one.mark.file]
        if spot.mark.file and here:  # the prompt check is a parent's
            spot, message = here[0], f"`prompt.{message[1:]}"
            advice = "write `prompt: {on_exceed: refuse}` too, or leave the strategy as the parent has it"
        yield spot.fault("P031", message, label=label, help=advice)
    if draft.value("search", "restart") is not None:
        message = "`restart` is written, but only `inference_guard` makes a fresh start"
        yield draft.spot("search", "restart").fault(
            "P031", message, label=label, help="delete it, or use that strategy"
        )


def lengths(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """No pattern is longer than the window that it is looked for in."""
    for name, index, pattern in pattern_texts(draft):
        longest, least = draft.value("cost_models", name, "longest_match"), least_length(pattern)
        if longest is not None and least > longest:
            spot = draft.spot("cost_models", name, "patterns", index)
            label = f"it has {least} characters, `longest_match` is {longest}"
            yield spot.fault(
                "P034", "this pattern can never match", label=label, help=f"write `longest_match: {least}`"
            )


def pattern_names(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """The patterns of a cost model have names of their own."""
    for model in model_names(draft):
        named = [draft.value("cost_models", model, "patterns", index, "name") for index in _places(draft, model)]
        for index, name in enumerate(named):
            if name is not None and name in named[:index]:
                spot = draft.spot("cost_models", model, "patterns", index, "name")
                message = f"two patterns are called {quoted(name)}"
                yield spot.fault("P026", message, label="used before", help="rename one of them")


def borders(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """No pattern looks for the border of a word where RE2 sees none."""
    for name, index, pattern in pattern_texts(draft):
        letter = border_at_letter(pattern)
        if letter is not None:
            spot = draft.spot("cost_models", name, "patterns", index)
            label = f"for `\\b`, {quoted(letter)} is not part of a word"
            advice = r"write `(?:^|[^\pL])` before the word, and `(?:[^\pL]|$)` behind it"
            yield spot.fault("P040", "this pattern asks for a border that is not there", label=label, help=advice)


def work(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Looking for all patterns of a cost model once takes a bounded time."""
    for name in model_names(draft):
        texts = [pattern for model, _, pattern in pattern_texts(draft) if model == name]
        longest = draft.value("cost_models", name, "longest_match")
        over = too_much_work(texts, longest) if texts and longest is not None else None
        if over is not None:
            spot = draft.key_spot("cost_models", name, "patterns")
            label = f"{over[0]:,} steps or more for one scoring, at worst; {over[1]:,} are allowed"
            advice = "lower `longest_match`, shorten counted repetitions such as `{0,900}`, or write fewer patterns"
            yield spot.fault("P041", "these patterns are too much work", label=label, help=advice)


def _places(draft: PolicyDraft, model: str) -> range:
    return range(len(draft.value("cost_models", model, "patterns") or ()))


def pattern_texts(draft: PolicyDraft) -> Iterator[tuple[str, int, str]]:
    """Every sound pattern: cost model, place in its list, text."""
    for name in model_names(draft):
        for index in _places(draft, name):
            written = draft.value("cost_models", name, "patterns", index)
            pattern = written.get("pattern") if isinstance(written, dict) else written
            if pattern is not None:
                yield name, index, pattern


def english(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Every message has an English text, those for one hazard too."""
    for part in PARTS.values():
        example = {"refusal": REFUSAL, "closing": CLOSING}[part]
        own = draft.value("messages", part, "by_hazard") or {}
        paths: list[tuple[str | int, ...]] = [("messages", part)]
        for path in [*paths, *(("messages", part, "by_hazard", hazard) for hazard in own)]:
            texts = draft.value(*path)
            if texts and "en" not in texts and all(map(normal_tag, texts)):
                advice = f'add `en: "{example}"`' if path == ("messages", part) else 'add `en: "..."`'
                regional = next((tag for tag in texts if tag.startswith("en-")), None)
                advice = f"write `en` in place of `{regional}`: it is for all who read English" if regional else advice
                name = part if path == ("messages", part) else f"{part} for {path[-1]}"
                yield draft.key_spot(*path).fault(
                    "P036", f"`{name}` has no English text", label="needs `en`", help=advice
                )


def messages(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """No message contains a match of the policy's own patterns, but for those that somebody approved."""
    said = [one for one in draft.messages() if one.approved is None]
    for name, index, pattern in pattern_texts(draft):
        for one, match in zip(said, matches(pattern, [one.text for one in said]), strict=True):
            if match is not None:
                where = draft.spot("cost_models", name, "patterns", index).mark.words
                message = f"the {one.part} message contains {quoted(match)}"
                label = f"a match of cost model {quoted(name)}, {where}"
                advice = "word the message differently, narrow the pattern, or let somebody approve the text"
                yield draft.spot(*one.path).fault("P035", message, label=label, help=advice)
