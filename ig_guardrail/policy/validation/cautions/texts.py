"""Texts that are not what their author wrote or meant: cut off, unfinished, or with signs that were meant for YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, Steps, quoted
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation.semantics import pattern_texts
from ig_guardrail.policy.yaml.tree import Scalar

_MARKUP = "a|b|blockquote|br|code|div|em|h[1-6]|hr|i|img|li|ol|p|pre|s|small|span|strong|sub|sup|table|td|tr|u|ul"
_LEFT_OPEN = re.compile(
    r"\{\{.*?\}\}|\{\{\w|\$\{\w+\}|\$[a-z_]{2,}\b|\{[\w.-]*\}|<%.*?%>|%[A-Z_]{2,}%|%(?:[0-9]\$)?[sd]\b|%\(\w+\)s"
    rf"|<(?!/?(?:{_MARKUP})\b)[A-Za-z][\w -]*>|\[(?i:insert|your|company|name)[\w ]*\]|\[[A-Z][\w ]* (?i:name)\]"
    r"|__[A-Z][A-Z_]+__|\b(?:TODO|TBD|tbd|FIXME|XXX+|CHANGEME)\b"
    r"|(?i:\blorem ipsum\b|\bplaceholder\b|\bto be (?:translated|defined)\b|\binsert [\w ]{1,20} here\b)"
)
_SPEAKS = re.compile(r"[^\W_]|[^\x00-\uffff]|[\u2600-\u27bf]")  # a letter, a digit or a picture
_ESCAPE = re.compile(r"\\(?:[nt'\"]|u[0-9a-fA-F]{4})")
_NO_COMMENT = re.compile(r"\s(# \S.*)")
_RULES = (
    r"(?:rules?|guidelines?|polic(?:y|ies)|restrictions?|safety(?: \w+s)?|safeguards?|guardrails?|ethics|laws?"
    r"|(?:previous|prior|earlier|system|your) instructions"
    r"|regeln?|richtlinien|vorgaben|sicherheit\w*|gesetze?|(?:bisherigen|vorherigen|deine) anweisungen"
    r"|r[eè]gles?|consignes|lois?|s[eé]curit[eé]|reglas?|normas|leyes|seguridad|regole|leggi|regras|leis|regels)"
)
_SET_ASIDE = (
    r"(?:ignor(?:e|ing|iere|ieren|ez|er|ar|a)|disregard|bypass|override|break|violate|forget|circumvent|negeer"
    r"|missachte|vergiss|umgehe|brich|oublie[rz]?|contourne[rz]?|olvida|dimentica|esque[cç]a|vergeet)"
)
_LAWLESS = re.compile(rf"(?i)\b{_SET_ASIDE}\b(?:[\s,]+(?!(?:by|within|under)\b)[^\s.!?;,]+){{0,5}}?[\s,]+{_RULES}\b")
_KEPT = re.compile(  # before it in its sentence: it says the contrary, or what others ask for
    r"(?i)\b(?:never|not|cannot|nor|without|refus\w*|declin\w*|avoid\w*|resist\w*|ask\w*|request\w*|attempt\w*|tr(?:y|ies)"
    r"|nie|niemals|nicht|ohne|kein\w*|ne|jamais|sans|no|nunca|sin|non|mai|senza|n[aã]o|sem|niet|nooit|zonder)\b|n['\u2019]t\b"
)
_NUMBER = re.compile(r"# \d")
_SENTENCE = re.compile(r"[.!?:;\n]")


def text_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful in each text by itself: messages, texts for the model, owners and patterns."""
    for path, text in _texts(draft):
        yield from cut_short(draft, path, text)
        yield from kept_signs(draft, path, text)
        yield from left_open(draft, path, text)
        yield from lawless(draft, path, text)
    for model, index, pattern in pattern_texts(draft):
        short: Steps = ("cost_models", model, "patterns", index)
        path = (*short, "pattern") if draft.written(*short, "pattern") else short
        yield from cut_short(draft, path, pattern)
        yield from no_comment(draft, path, pattern)


def _texts(draft: PolicyDraft) -> Iterator[tuple[Steps, str]]:
    for one in draft.messages():
        yield one.path, one.text
    for key in ("steer", "restart"):
        text = draft.value("search", key) if draft.value("search") else None
        if text is not None:
            yield ("search", key), text
    for index, owner in enumerate(draft.value("metadata", "owners") or ()):
        yield ("metadata", "owners", index), owner


def cut_short(draft: PolicyDraft, path: Steps, text: str) -> Iterator[Diagnostic]:
    """Texts without quotes that a ` #` ends: what stands behind it is a comment."""
    node = draft.nodes[path]
    rest = node.rest if isinstance(node, Scalar) else ""
    meant = len(rest) > 1 and not rest[1].isspace() and rest[1] != "#"
    unfinished = path[0] == "messages" and text[-1].isalnum() and bool(_NUMBER.match(rest))
    if rest and (meant or unfinished or text[-1] in ",;:"):
        message = "this text ends before a `#`"
        label = f"{quoted(rest)} is a comment"
        advice = "put the whole text in quotes; a comment begins with `# `"
        yield draft.spot(*path).fault("P137", message, label=label, help=advice)


def kept_signs(draft: PolicyDraft, path: Steps, text: str) -> Iterator[Diagnostic]:
    """Signs that were meant for YAML, and are part of a text: escapes outside of double quotes, and comments."""
    yield from no_comment(draft, path, text)
    node = draft.nodes[path]
    found = _ESCAPE.search(text) if isinstance(node, Scalar) and node.style != '"' and ":\\" not in text else None
    if found and isinstance(node, Scalar):
        message = f"{quoted(found[0])} is shown as {len(found[0])} characters"
        label = "escapes have a meaning inside double quotes alone"
        advice = "put the text in double quotes, or write its lines below a `|`"
        mark = node.part(found.start(), len(found[0]))
        yield Spot(path, mark).fault("P159", message, label=label, help=advice)


def no_comment(draft: PolicyDraft, path: Steps, text: str) -> Iterator[Diagnostic]:
    """What looks like a comment in a text below `|` or `>`, where there are none."""
    node = draft.nodes[path]
    found = _NO_COMMENT.search(text) if isinstance(node, Scalar) and node.style in ("|", ">") else None
    if found and isinstance(node, Scalar):
        message = f"{quoted(found[1])} is part of this text"
        label = f"behind `{node.style}` there are no comments"
        advice = "write the comment above the key, or delete it"
        yield draft.spot(*path).fault("P159", message, label=label, help=advice)


def left_open(draft: PolicyDraft, path: Steps, text: str) -> Iterator[Diagnostic]:
    """Texts with a place that was left to be filled in."""
    found = _LEFT_OPEN.search(text)
    if path[0] == "messages" and not _SPEAKS.search(text):
        message, label = f"{quoted(text)} says nothing", "readers are shown this, and no more"
        yield draft.spot(*path).fault("P138", message, label=label, help="write what is meant")
    elif found and path[-1] not in ("steer", "restart"):
        message = f"{quoted(found[0])} was left to be filled in"
        label = "texts are shown as they stand" if path[0] == "messages" else "nobody answers to this name"
        node = draft.nodes[path]
        spot = draft.spot(*path)
        mark = node.part(found.start(), len(found[0])) if isinstance(node, Scalar) else spot.mark
        yield type(spot)(path, mark).fault("P138", message, label=label, help="write what is meant")


def lawless(draft: PolicyDraft, path: Steps, text: str) -> Iterator[Diagnostic]:
    """Texts for the model that tell it to set rules aside, in place of keeping them."""
    told = (one for one in _LAWLESS.finditer(text) if not _KEPT.search(_SENTENCE.split(text[: one.start()])[-1]))
    found = next(told, None) if path[-1] in ("steer", "restart") else None
    if found:
        message = f"{quoted(found[0])} tells the model to set rules aside"
        label = "replacements of what a budget denied are drawn under this text"
        node, spot = draft.nodes[path], draft.spot(*path)
        mark = node.part(found.start(), len(found[0])) if isinstance(node, Scalar) else spot.mark
        advice = "say what an answer should be like, and which rules it keeps"
        yield type(spot)(path, mark).fault("P155", message, label=label, help=advice)
