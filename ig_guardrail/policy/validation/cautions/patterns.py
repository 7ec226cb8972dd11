"""Patterns that are valid and do not find what they are there for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, quoted
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation import regex
from ig_guardrail.policy.validation.cautions.borders import EVERYWHERE, NONE, Sides, Walk
from ig_guardrail.policy.validation.cautions.dialects import of_other_programs
from ig_guardrail.policy.validation.cautions.places import PatternPlace
from ig_guardrail.policy.validation.cautions.spelling import (
    addresses_in_capitals,
    alnum,
    disguised,
    inside_words,
    shouted,
)
from ig_guardrail.policy.validation.patterns import border_at_letter, least_length, matches
from ig_guardrail.policy.validation.regex import (
    Asserts,
    Either,
    Part,
    Reads,
    branches,
    parsed,
    sequences,
    spread,
    widths,
)
from ig_guardrail.policy.validation.semantics import model_names, pattern_texts

MOST_WAYS = 64
WIDE = 256  # characters of a window, of about fifty tokens
HARMLESS = (
    "Yes, that is certainly right.",
    "Let me stop here and start again.",
    "Paris is the capital of France.",
    "Water boils at a hundred degrees.",
    "I am happy to help another time.",
)
_INSIDE = EVERYWHERE - {one for one in EVERYWHERE if one[0] == NONE}
_ESCAPED_BY_YAML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\u2028\u2029]")
_ESCAPES = {"\x08": r"\b", "\x07": r"\a", "\x0b": r"\v", "\x0c": r"\f", "\x1b": r"\e", "\x00": r"\0", "\x85": r"\N"}
_ESCAPES |= {"\xa0": r"\_", "\u2028": r"\L", "\u2029": r"\P"}


def pattern_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful in each pattern by itself, and beside the others of its cost model."""
    for model, index, pattern in pattern_texts(draft):
        longest = draft.value("cost_models", model, "longest_match")
        if least_length(pattern) > longest:
            continue
        place = PatternPlace.of_model(draft, model, index)
        dead = [*from_escapes(pattern, place)] or [*never(pattern, longest, place)]
        yield from dead or chain(
            anchored(pattern, place),
            nearly_always(pattern, place),
            cut_off(pattern, longest, place),
            open_dots(pattern, place),
            outer_spaces(pattern, place),
            shouted(pattern, place),
            addresses_in_capitals(pattern, place),
            inside_words(pattern, place),
            named_twice(pattern, place),
            disguised(pattern, place, draft.value("cost_models", model, "normalise") != "none"),
            of_other_programs(pattern, place),
        )
    for index, rule in enumerate((draft.value("tools") or {}).get("arguments") or ()):
        if "matches" in rule:
            place = PatternPlace(draft, ("tools", "arguments", index, "matches"))
            yield from [*from_escapes(rule["matches"], place)] or [
                *never(rule["matches"], None, place),
                *open_dots(rule["matches"], place),
                *named_twice(rule["matches"], place),
                *disguised(rule["matches"], place, folds=False),
                *of_other_programs(rule["matches"], place),
            ]
    for model in model_names(draft):
        own = [one for one in pattern_texts(draft) if one[0] == model]
        yield from idle(draft, model, own)
        yield from wide(draft, model, [pattern for _, _, pattern in own])


def wide(draft: PolicyDraft, model: str, patterns: Sequence[str]) -> Iterator[Diagnostic]:
    """Windows in which far longer matches are looked for than any pattern has: as much text waits."""
    longest = draft.value("cost_models", model, "longest_match")
    ends = [spread(pattern).most for pattern in patterns]
    needed = max((end for end in ends if end is not None), default=0)
    if patterns and None not in ends and longest >= max(WIDE, 2 * needed):
        message = "text waits for matches that no pattern has"
        label = f"the last {longest} characters are held back, and no match has more than {needed}"
        spot = draft.spot("cost_models", model, "longest_match")
        why = "a match is found before its first character is shown, so as much as it may have waits for it"
        yield spot.fault("P104", message, label=label, why=why, help=f"write `longest_match: {needed}`")


def from_escapes(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Characters that YAML made of an escape in double quotes, which was meant for RE2."""
    found = _ESCAPED_BY_YAML.search(pattern)
    if found and place.escaped:
        written = _ESCAPES.get(found[0], f"U+{ord(found[0]):04X}")
        label = f"in double quotes, `{written}` is the character U+{ord(found[0]):04X}"
        advice = "put the pattern in single quotes, where YAML leaves backslashes alone"
        message = "this pattern holds a character that no text has"
        yield place.spot().fault("P126", message, label=label, help=advice)


def never(pattern: str, longest: int | None, place: PatternPlace) -> Iterator[Diagnostic]:
    """Patterns, or alternatives in them, that no text has a match of."""
    tree, walk = parsed(pattern), Walk()
    least, most = spread(pattern)
    message = "this pattern can never match"
    if border_at_letter(pattern) is not None:
        return
    if not walk.after(tree, EVERYWHERE):
        part = walk.stuck[-1]
        reason = f"nothing can stand at this {quoted(part.written)}"
        yield place.spot(part.at, len(part.written)).fault("P122", message, label=reason, help=_instead(part))
    elif longest is not None and least > longest:
        label = f"a match has at least {least} characters, `longest_match` is {longest}"
        yield place.spot().fault("P122", message, label=label, help=f"write `longest_match: {most or least}`")
    else:
        for at, end in sorted(walk.tried - walk.passed):
            rest = pattern[at:end]
            stuck = next(one for one in walk.stuck if at <= one.at <= end)
            message = f"the alternative {quoted(rest)} can never match"
            label = f"nothing can stand at its {quoted(stuck.written)}"
            yield place.spot(at, len(rest)).fault("P122", message, label=label, help=_instead(stuck))
        yield from _too_wide(tree, pattern, longest, place) if longest is not None else ()


def _too_wide(tree: Part, pattern: str, longest: int, place: PatternPlace) -> Iterator[Diagnostic]:
    """Alternatives at the top that fit no window, while others do."""
    if not isinstance(tree, Either):
        return
    for (at, end), one in zip(tree.places, tree.parts, strict=True):
        least = widths(one).least
        if least > longest:
            rest = pattern[at:end]
            message = f"the alternative {quoted(rest)} can never match"
            label = f"it has at least {least} characters, `longest_match` is {longest}"
            advice = f"write `longest_match: {least}` or more"
            yield place.spot(at, len(rest)).fault("P122", message, label=label, help=advice)


def _instead(part: Reads | Asserts) -> str:
    if isinstance(part, Reads):
        return "write a class that holds a character"
    if part.written in (r"\b", r"\B"):
        return "delete it, or put it where a word begins or ends; for a backslash before `b`, write `\\\\b`"
    sign = part.written.removeprefix("(?m)")
    return f"delete it; for the character {quoted(sign[-1])} itself, write `\\{sign[-1]}`"


def anchored(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Patterns, or alternatives, that match at the beginning or the end of a whole text alone.

    `\\A` and `\\z` say that it is meant.
    """
    tree = parsed(pattern)
    whole = (((0, len(pattern)), tree),)
    choices = tuple(zip(tree.places, tree.parts, strict=True)) if isinstance(tree, Either) else whole
    for (begin, end), part in choices:
        written, what = pattern[begin:end], "this pattern" if len(choices) == 1 else "this alternative"
        for sign, meant, sides in (("^", r"\A", "beginning"), ("$", r"\z", "end")):
            if meant in pattern or sign not in written:
                continue
            if _goes_on(Walk().after(part, _INSIDE if sign == "^" else EVERYWHERE), sign):
                continue
            label = f"{quoted(sign)} is the {sides} of the whole text, not of a line or a word"
            advice = f"write `\\b` for a word, `(?m)` in front for lines, or {quoted(meant)} if the whole text is meant"
            at = begin + (written.find(sign) if sign == "^" else written.rfind(sign))
            message = f"{what} matches at the very {sides} of a text alone"
            yield place.spot(at).fault("P123", message, label=label, help=advice)


def _goes_on(found: Sides, sign: str) -> bool:
    return bool(found) if sign == "^" else any(behind != NONE for _, behind in found)


def nearly_always(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Patterns that match in most harmless sentences, or at a single letter anywhere."""
    found = [(match, text) for match, text in zip(matches(pattern, HARMLESS), HARMLESS, strict=True) if match]
    tree = parsed(pattern)
    one_letter = isinstance(tree, Reads) and any(map(tree.holds, (*range(65, 91), *range(97, 123))))
    if len(found) >= len(HARMLESS) - 1 or one_letter:
        example = " in ".join(map(quoted, found[0])) if found else "a single letter, in any word"
        advice = r"name the word that is meant, with `\b` before and behind it; `\.` is a dot"
        message = "this pattern matches nearly every text"
        yield place.spot().fault("P124", message, label=f"it finds {example}", help=advice)


def cut_off(pattern: str, longest: int, place: PatternPlace) -> Iterator[Diagnostic]:
    """Patterns with matches that are longer than the window; without an end only where more of the pattern follows."""
    most = spread(pattern).most
    needed = widths(regex.without_tail(parsed(pattern))).most if most is None else most
    if needed is not None and needed <= longest:
        return
    if most is None:
        label = f"it reads on without an end, and is looked for in windows of {longest}"
        advice = "write an end: `{1,20}` for `+`, `{0,20}` for `*`, and a `longest_match` that fits"
    else:
        label, advice = f"up to {most} characters, `longest_match` is {longest}", f"write `longest_match: {most}`"
    message = "matches of this pattern may be longer than `longest_match`"
    yield place.spot().fault("P125", message, label=label, help=advice)


def open_dots(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Dots between words, as in `example.org`, that were meant as dots."""
    for parts in sequences(parsed(pattern)):
        for index, part in enumerate(parts):
            if not (isinstance(part, Reads) and part.form == "dot"):
                continue
            if _is_word(parts[max(0, index - 2) : index]) and _begins_word(parts[index + 1 : index + 3]):
                advice = r"write `\.` for a dot, or `[^\n]` for any character"
                message = "this dot stands for any character"
                label = "between letters, it looks like a dot of a name or an address"
                yield place.spot(part.at).fault("P127", message, label=label, help=advice)
                return


def _is_word(parts: Sequence[Part]) -> bool:
    return len(parts) == 2 and all(isinstance(one, Reads) and one.form == "letter" and alnum(one) for one in parts)


def _begins_word(parts: Sequence[Part]) -> bool:
    """Whether two letters come first, or a choice of what begins with two."""
    if parts and isinstance(parts[0], Either):
        choices = (one.parts if isinstance(one, regex.Sequence) else (one,) for one in parts[0].parts)
        return all(_is_word(choice[:2]) for choice in choices)
    return _is_word(parts)


def outer_spaces(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Spaces at the ends of a pattern, without which it does not match."""
    if pattern != pattern.strip():
        front = pattern[0].isspace()
        at = 0 if front else len(pattern.rstrip())
        where = "before" if front else "behind"
        advice = r"delete it; for the border of a word write `\b`, and `[ ]` if a space is meant"
        what = "space" if pattern.strip(" ") == pattern.strip() else "line break or tab"
        message = f"a {what} stands {where} this pattern"
        label = "it is part of every match"
        yield place.spot(at, len(pattern) - at if not front else 1).fault("P128", message, label=label, help=advice)
        return
    tree = parsed(pattern)
    for at, end in tree.places if isinstance(tree, Either) else ():
        part = pattern[at:end]
        if part != part.strip():
            at += 0 if part[0].isspace() else len(part.rstrip())
            message = f"a space stands at the border of the alternative {quoted(part.strip())}"
            label = "it is part of its every match"
            advice = r"delete the spaces around `|`; write `[ ]` if a space is meant"
            yield place.spot(at).fault("P128", message, label=label, help=advice)
            return


def named_twice(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Groups that were copied with their name: the copy was to be changed, or the pattern comes from elsewhere."""
    found = regex.repeated_name(pattern)
    if found:
        name, at = found
        label = "a group before it has this name"
        advice = "look whether this copy says what it should; then give it a name of its own, or none: `(?:...)`"
        message = f"two groups of this pattern are named {quoted(name)}"
        yield place.spot(at, len(name)).fault("P154", message, label=label, help=advice)


def idle(draft: PolicyDraft, model: str, texts: Sequence[tuple[str, int, str]]) -> Iterator[Diagnostic]:
    """Patterns that find nothing that another of the same cost model does not find."""
    for position, (_, index, pattern) in enumerate(texts):
        for other, (_, _, text) in enumerate(texts):
            same = text == pattern
            if other == position or (same and other > position):
                continue
            if same or (contains(pattern, text) and not (other > position and contains(text, pattern))):
                line = PatternPlace.of_model(draft, model, texts[other][1]).spot().mark.words
                label = f"{'the same as' if same else 'each of its matches holds one of'} {quoted(text)}, {line}"
                advice = "delete this one, or narrow the other"
                message = "this pattern adds nothing"
                yield PatternPlace.of_model(draft, model, index).spot().fault("P129", message, label=label, help=advice)
                break


def contains(pattern: str, other: str) -> bool:
    """Whether every match of a pattern certainly holds a match of the other; False where it takes long to tell."""
    ways, others = _ways(pattern), _ways(other)
    if not ways or not others or any(None in way for way in others) or len(ways) * len(others) > MOST_WAYS:
        return False
    return all(any(_holds(way, inner) for inner in others) for way in ways)


@lru_cache(maxsize=1024)
def _ways(pattern: str) -> tuple[tuple[Reads | Asserts | None, ...], ...]:
    """The ways through a pattern; none where they are many, or long."""
    ways = tuple(branches(parsed(pattern)) or ()) if len(pattern) <= 4 * MOST_WAYS else ()
    return ways if sum(map(len, ways)) <= 4 * MOST_WAYS else ()


def _holds(way: Sequence[Reads | Asserts | None], inner: Sequence[Reads | Asserts | None]) -> bool:
    return any(_follows(way[start:], inner) for start in range(len(way)))


def _follows(way: Sequence[Reads | Asserts | None], inner: Sequence[Reads | Asserts | None]) -> bool:
    """Whether `way` begins with all that `inner` asks for; what else it asserts in between changes nothing."""
    rest = list(inner)
    for one in way:
        wanted = rest[0] if rest else None
        if isinstance(one, Asserts):
            if isinstance(wanted, Asserts) and wanted.written == one.written:
                rest.pop(0)
        elif one is None or not isinstance(wanted, Reads) or not one.within(wanted):
            break
        else:
            rest.pop(0)
        if not rest:
            return True
    return not rest
