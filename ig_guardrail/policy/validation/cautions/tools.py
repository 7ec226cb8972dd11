"""Rules for tools that contradict each other, or that no call can meet or break."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ig_guardrail.fields.field import plainly
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Steps, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.language.tools import LOWEST
from ig_guardrail.policy.tools import includes
from ig_guardrail.policy.validation.patterns import compiled

EVERY_TOOL, NO_TOOL = ("all", "any", "every", "everything"), ("none", "nothing", "no")
_REGULAR = re.compile(r"(^|[_-])\.\*")


def tool_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful in the section of tools, and in budgets for tools."""
    section = draft.value("tools")
    if section is not None:
        yield from like_patterns(draft, section)
        yield from like_words(draft, section)
        yield from like_paths(draft, section)
        yield from closed(draft, section)
        yield from idle_rules(draft, section)
        yield from implied(draft, section)
        yield from implied_limits(draft, section)
        yield from missed_bans(draft, section)
        yield from unfit(draft, section)
        yield from open_below(draft, section)
        yield from no_calls(draft, section)
    yield from charged_for_nothing(draft, section or {})


def _meets(one: str, other: str) -> bool:
    """Whether some name is matched by both."""
    if "*" not in one or "*" not in other:
        return includes(one, other) or includes(other, one)
    heads, tails = (one.split("*")[0], other.split("*")[0]), (one.split("*")[-1], other.split("*")[-1])
    begins = heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])
    return begins and (tails[0].endswith(tails[1]) or tails[1].endswith(tails[0]))


def like_patterns(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Names with `.*`, which regular expressions write for any characters; behind a word, the dot may be a name's."""
    names: list[tuple[Steps, str]] = []
    for key in ("allow", "deny"):
        names += [(("tools", key, index), one) for index, one in enumerate(section.get(key) or ())]
    for key in ("arguments", "limits"):
        rules = enumerate(section.get(key) or ())
        names += [(("tools", key, index, "tool"), rule["tool"]) for index, rule in rules if "tool" in rule]
    for path, name in names:
        if _REGULAR.search(name):
            message, label = f"{quoted(name)} is written like a pattern", "its dot stands for a dot"
            meant = _REGULAR.sub(r"\1*", name)
            yield draft.spot(*path).fault("P158", message, label=label, help=f"write `{meant}`")


def like_words(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Words for every tool, or for none, which are read as the name of one."""
    for key, means in (("allow", "every tool that is not denied may be called"), ("deny", "no tool is denied")):
        for index, tool in enumerate(section.get(key) or ()):
            if tool.lower() in (*EVERY_TOOL, *NO_TOOL):
                every = key == "deny" and tool.lower() in EVERY_TOOL
                advice = 'for every tool write "*"' if every else f"delete `{key}`: without it, {means}"
                message = f"{quoted(tool)} is the name of one tool here"
                label = "any characters are `*`, and no word has a meaning"
                yield draft.spot("tools", key, index).fault("P158", message, label=label, help=advice)


def like_paths(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Names of arguments with dots, which elsewhere lead to a part of an argument."""
    for index, rule in enumerate(section.get("arguments") or ()):
        whole, dot, _ = rule["argument"].partition(".")
        if dot:
            message = f"{quoted(rule['argument'])} is one name, and no path"
            label = f"a call that has {quoted(whole)} is not looked at"
            advice = "limit an argument of the call itself; what is inside of one cannot be limited"
            spot = draft.spot("tools", "arguments", index, "argument")
            yield spot.fault("P158", message, label=label, help=advice)


def closed(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Tools that are allowed and denied; all denied."""
    denied = section.get("deny") or ()
    for index, tool in enumerate(section.get("allow") or ()):
        ban = next((one for one in denied if includes(one, tool)), None)
        if ban is not None:
            message = f"{quoted(tool)} is allowed and denied"
            label = f"denied by {quoted(ban)}, which counts"
            spot = draft.spot("tools", "allow", index)
            yield spot.fault("P131", message, label=label, help="delete one of the two")
    for index, tool in enumerate(denied):
        if not tool.strip("*"):
            message, label = "no tool may be called", "denies every tool"
            advice = "name the tools that are denied; if none may be called, give the model no tools"
            yield draft.spot("tools", "deny", index).fault("P131", message, label=label, help=advice)


def _barred(section: Mapping[str, Any], tool: str) -> str | None:
    """Why no call of a tool is allowed; None if one may be."""
    ban = next((one for one in section.get("deny") or () if includes(one, tool)), None)
    if ban is not None:
        return f"denied by {quoted(ban)}"
    allowed = section.get("allow")
    return "not in `allow`" if allowed and not any(_meets(one, tool) for one in allowed) else None


def _instead(section: Mapping[str, Any], tool: str, what: str) -> str:
    """What to do about a rule or a budget for a tool that may not be called."""
    close = suggest(tool, section.get("allow") or ())
    meant = f"did you mean {quoted(close)}? Else " if close is not None and close != tool else "correct the name, "
    return f"{meant}allow the tool, or delete the {what}"


def idle_rules(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Rules and limits for tools that may not be called at all: often a name that is misspelt."""
    for part in ("arguments", "limits"):
        for index, rule in enumerate(section.get(part) or ()):
            tool = rule.get("tool", "*")
            reason = _barred(section, tool)
            if reason is not None and tool.strip("*"):
                message = f"{quoted(tool)} may not be called, so this rule does nothing"
                spot = draft.spot("tools", part, index, "tool")
                yield spot.fault("P132", message, label=reason, help=_instead(section, tool, "rule"))


def implied(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Argument rules that say no more than another one."""
    rules = section.get("arguments") or ()
    for index, rule in enumerate(rules):
        for other, strict in enumerate(rules):
            same = rule["argument"] == strict["argument"] and includes(strict.get("tool", "*"), rule.get("tool", "*"))
            twins = (
                same
                and other > index
                and _implies(rule, strict)
                and includes(rule.get("tool", "*"), strict.get("tool", "*"))
            )
            if other != index and same and _implies(strict, rule) and not twins:
                spot = draft.spot("tools", "arguments", index)
                label = f"{draft.spot('tools', 'arguments', other).mark.words} asks for as much or more"
                message = f"this rule for {quoted(rule['argument'])} does nothing"
                why = "whatever breaks it breaks the other one too"
                yield spot.fault("P132", message, label=label, why=why, help="delete it, or make it stricter")
                break


def implied_limits(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Limits of calls that another limit, for these tools too, reaches first."""
    limits = section.get("limits") or ()
    for index, limit in enumerate(limits):
        for other, strict in enumerate(limits):
            covers = other != index and includes(strict["tool"], limit["tool"]) and strict["calls"] <= limit["calls"]
            twins = covers and strict["calls"] == limit["calls"] and includes(limit["tool"], strict["tool"])
            if covers and not (twins and other > index):
                line = draft.spot("tools", "limits", other).mark.words
                message = f"the limit {quoted(limit['id'])} is never reached"
                label = f"{quoted(strict['id'])}, {line}, allows {strict['calls']} calls of {quoted(strict['tool'])}"
                spot = draft.spot("tools", "limits", index, "calls")
                why = "the other one denies a call first, so nothing hangs on this one"
                yield spot.fault("P132", message, label=label, why=why, help="delete it, or lower it")
                break


def missed_bans(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Tools that are denied and not allowed anyway, and are called almost as one that is allowed."""
    allowed = [one for one in section.get("allow") or () if "*" not in one]
    for index, tool in enumerate(section.get("deny") or ()):
        close = next((one for one in allowed if _slipped(tool, one)), None)
        if close is not None and "*" not in tool and _barred({"allow": section["allow"]}, tool):
            message = f"{quoted(tool)} is not allowed anyway, and {quoted(close)} is"
            spot = draft.spot("tools", "deny", index)
            advice = f"did you mean {quoted(close)}? Then delete that from `allow`; else delete this"
            why = "only what is in `allow` may be called, so a ban of another tool changes nothing"
            yield spot.fault("P132", message, label="denies nothing", why=why, help=advice)


def _slipped(word: str, meant: str) -> bool:
    """Whether a name is another one with a letter more or less, or with the same letters in another order."""
    same_letters = sorted(word) == sorted(meant)
    return (
        word[0] == meant[0]
        and word != meant
        and suggest(word, [meant], 0.8) is not None
        and (same_letters or abs(len(word) - len(meant)) == 1)
    )


def _implies(strict: Mapping[str, Any], loose: Mapping[str, Any]) -> bool:
    """Whether a value that meets one rule meets the other."""
    return (
        ("least" not in loose or strict.get("least", -math.inf) >= loose["least"])
        and ("most" not in loose or strict.get("most", math.inf) <= loose["most"])
        and ("one_of" not in loose or ("one_of" in strict and set(strict["one_of"]) <= set(loose["one_of"])))
        and ("matches" not in loose or strict.get("matches") == loose["matches"])
    )


def charged_for_nothing(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Budgets for calls of tools that may not be called."""
    for index, budget in enumerate(draft.value("budgets")):
        tool = budget.get("tool", "*")
        reason = _barred(section, tool) if budget.get("scope") == "tool" else None
        if reason is not None:
            message = f"{quoted(tool)} may not be called, so this budget is never charged"
            place = ("budgets", index, "tool") if draft.written("budgets", index, "tool") else ("budgets", index)
            yield draft.spot(*place).fault("P132", message, label=reason, help=_instead(section, tool, "budget"))


def unfit(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Arguments that no value fits, by one rule or by several for the same tool; texts that another limit rules out."""
    rules = section.get("arguments") or ()
    for index, rule in enumerate(rules):
        met = [one for one in rules[:index] if one["argument"] == rule["argument"] and _same_tool(one, rule)]
        reason = _clash([*met, rule])
        if reason is not None and not _turned(rule) and not (met and _clash(met) is not None):
            message, advice = "no value of this argument meets the rules", "keep one of the two"
            if reason.startswith("`"):
                message, advice = "a value that is listed can never be given", "delete it, or widen the other limit"
            yield draft.spot("tools", "arguments", index).fault("P133", message, label=reason, help=advice)


def _same_tool(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one rule is for all tools that the other is for."""
    tools = one.get("tool", "*"), other.get("tool", "*")
    return includes(*tools) or includes(*reversed(tools))


def _turned(rule: Mapping[str, Any]) -> bool:
    return bool(rule.get("least", -math.inf) > rule.get("most", math.inf))


def _clash(rules: Sequence[Mapping[str, Any]]) -> str | None:
    """Why no value meets all rules, or which listed value does not."""
    least = max((rule["least"] for rule in rules if "least" in rule), default=-math.inf)
    most = min((rule["most"] for rule in rules if "most" in rule), default=math.inf)
    numbers = any({"least", "most"} & rule.keys() for rule in rules)
    lists = [rule["one_of"] for rule in rules if "one_of" in rule]
    forms = [rule["matches"] for rule in rules if "matches" in rule]
    if least > most:
        return f"at least {plainly(least)}, and at most {plainly(most)}"
    if numbers and (lists or forms):
        return f"a number for `least` and `most`, a text for {'`one_of`' if lists else '`matches`'}"
    if not lists or (len(lists) < 2 and not forms):
        return None
    shared = [text for text in lists[0] if all(text in one for one in lists[1:])]
    left = [text for text in shared if all(compiled(form).fullmatch(text) for form in forms)]
    if not left:
        return "none of the listed texts meets the other limit"
    out = [text for one in lists for text in one if text not in left]
    return f"{quoted(out[0])} does not meet the other limit" if out else None


def open_below(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Numbers that may be as far below zero as they like."""
    rules = section.get("arguments") or ()
    for index, rule in enumerate(rules):
        same = [one for one in rules if one["argument"] == rule["argument"] and _same_tool(one, rule)]
        if "most" in rule and not any("least" in one for one in same) and rule["most"] >= 0:
            message = f"{quoted(rule['argument'])} has an upper bound and no lower one"
            label = "a number below 0 meets this rule"
            advice = f"add `least: 0`, or `least: {LOWEST}` if any number below is meant"
            yield draft.spot("tools", "arguments", index, "most").fault("P134", message, label=label, help=advice)


def no_calls(draft: PolicyDraft, section: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Limits of no call, which deny a tool in other words."""
    for index, limit in enumerate(section.get("limits") or ()):
        if limit["calls"] == 0:
            message = f"no call of {quoted(limit['tool'])} is within this limit"
            advice = f'to deny it, write `deny: ["{limit["tool"]}"]`, which the model is told; else allow a call'
            spot = draft.spot("tools", "limits", index, "calls")
            yield spot.fault("P131", message, label="0 calls", help=advice)
