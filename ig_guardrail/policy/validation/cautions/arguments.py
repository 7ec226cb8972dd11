"""Argument rules that mean more, or less, than they look like: their patterns, which are for whole texts, and texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, quoted
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation import regex
from ig_guardrail.policy.validation.cautions.places import PatternPlace
from ig_guardrail.policy.validation.patterns import compiled
from ig_guardrail.policy.validation.regex import Asserts, Either, Part, Reads, Repeat, parsed

VARIED = "\0"  # stands for signs that a pattern leaves open


def argument_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful in each pattern of an argument, and in the texts that it may be."""
    for index, rule in enumerate((draft.value("tools") or {}).get("arguments") or ()):
        if "matches" in rule:
            place = PatternPlace(draft, ("tools", "arguments", index, "matches"))
            yield from lets_out(rule["matches"], place)
            yield from unfinished(rule["matches"], place)
        for at, text in enumerate(rule.get("one_of") or ()):
            yield from no_such_text(draft.spot("tools", "arguments", index, "one_of", at), text)


def no_such_text(spot: Spot, text: str) -> Iterator[Diagnostic]:
    """Texts that an argument may be and that were meant as more than themselves, or as no text at all."""
    if "*" in text:
        parts = (re.sub(r"[\\^$.|?+()\[\]{}]", r"\\\g<0>", part) for part in text.split("*"))
        advice = (
            f"write `matches: '{'.*'.join(parts)}'` for any characters" if text.strip("*") else "leave the rule out"
        )
        message, label = f"{quoted(text)} is one text, and no pattern", "its star stands for a star"
        yield spot.fault("P158", message, label=label, help=advice)
    elif text.lower() in ("true", "false", "null", "none"):
        message, label = (
            f"{quoted(text)} is a text, and no value of JSON",
            "a call that gives the value itself is denied",
        )
        advice = "limit no argument that takes it, or have the tool take texts: texts and numbers alone can be limited"
        yield spot.fault("P158", message, label=label, help=advice)


def lets_out(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Folders and hosts that a pattern names and lets out of: each is told with a text that was tried."""
    for choice in _choices(pattern):
        for what, text, advice in _outside(*_named(choice)):
            if compiled(pattern).fullmatch(text):
                message, label = f"this pattern lets out of the {what} that it names", f"{quoted(text)} matches it"
                yield place.spot().fault("P161", message, label=label, help=advice)
                return


def _outside(begun: str, behind: str) -> Iterator[tuple[str, str, str]]:
    """Texts elsewhere that a pattern may match, each with what it is outside of, and what to write.

    begun: what matches begin with; behind: what follows, past signs that vary
    """
    folder, _, host = begun.rpartition("/")
    if begun.endswith("://") and "." in behind:
        before = r"write what may stand before the name of the host, such as `(?:[a-z0-9-]+\.)*`"
        varied = ("other.example/", *(("other",) if behind[0].isalnum() else ()))
        yield from (("host", f"{begun}{one}{behind}{end}", before) for one in varied for end in ("", "/"))
    elif behind.startswith("@") and "." in behind:
        yield "host", f"someone{behind}.other.example", "end behind the name of the host"
    elif "://" in begun and folder.endswith(":/") and host:
        closed = "write a `/` behind the name of the host"
        yield from (("host", f"{begun}{end}", closed) for end in (".other.example/", "@other.example/"))
    elif "/" in begun and "://" not in begun:
        listed = r"list the signs that may follow, such as `[a-z0-9_-]+`, and not `.`"
        yield from (("folder", f"{one}/../../other", listed) for one in (folder, begun, f"{folder}/x"))


def unfinished(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """A text that begins or ends with a sign at which others go on: only the whole of it matches."""
    choices = [_letters(part) for part in _choices(pattern)]
    words = [one for one in choices if one and any(map(str.isalnum, one))]
    text = next((one for one in words if one[-1] in "-_/:=@#" or (one[0] in "@." and "." in one)), None)
    if text is not None:
        message = f"only {quoted(text)} itself meets this pattern"
        label = "the whole text has to match, not a part of it"
        advice = r"write what may stand before and behind it, such as `[a-z0-9]+`"
        yield place.spot().fault("P161", message, label=label, help=advice)


def _choices(pattern: str) -> Sequence[Part]:
    tree = parsed(pattern)
    return tree.parts if isinstance(tree, Either) else (tree,)


def _parts(part: Part) -> Sequence[Part]:
    parts = part.parts if isinstance(part, regex.Sequence) else (part,)
    return [one for one in parts if not isinstance(one, Asserts) and one != regex.Sequence(())]


def _named(part: Part) -> tuple[str, str]:
    """The letters that matches begin with, with those that may be left out, and those behind the next open signs."""
    text = ""
    for one in _parts(part):
        many, inner = (max(1, one.least), one.part) if isinstance(one, Repeat) else (1, one)
        text += (_letter(inner) or VARIED) * many
    begun, _, rest = text.partition(VARIED)
    return begun, rest.lstrip(VARIED).partition(VARIED)[0]


def _letters(part: Part) -> str | None:
    """The one text that matches; None where others do."""
    letters = [_letter(one) for one in _parts(part)]
    return None if None in letters else "".join(letter or "" for letter in letters)


def _letter(part: Part) -> str | None:
    if not isinstance(part, Reads) or part.form != "letter":
        return None
    return chr(max((low for low, _ in part.ranges if low < 128), default=part.ranges[0][0]))
