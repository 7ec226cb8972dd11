"""Messages in other languages than their tags say, or for one part or hazard alone; and those over a budget."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import permutations

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot, listed, quoted
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation.semantics import formulas, hazards_scored
from ig_guardrail.types import PARTS
from ig_guardrail.types.hazards import EVERY, HAZARDS, TOOLS, covers
from ig_guardrail.types.languages import COMMON, COUNTRIES, told_apart

_LATIN = (
    "af az bs ca cs cy da de en es et eu fi fr ga gl hr hu id is it lt lv ms mt nl no pl pt ro sk sl sq sv sw tr vi"
)
_SCRIPTS = {
    "LATIN": _LATIN, "CYRILLIC": "be bg mk ru uk", "GREEK": "el", "ARABIC": "ar fa ur", "HEBREW": "he yi", "THAI": "th",
    "DEVANAGARI": "hi mr ne", "HANGUL": "ko", "ARMENIAN": "hy", "GEORGIAN": "ka", "BENGALI": "bn as", "TAMIL": "ta",
    "TELUGU": "te", "KHMER": "km", "LAO": "lo", "ETHIOPIC": "am ti", "CJK": "zh",
}  # fmt: skip
_SCRIPT_OF = {tag: script for script, tags in _SCRIPTS.items() for tag in tags.split()}


def message_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful in the languages that messages are for, and in the hazards."""
    yield from hazards_for_languages(draft)
    yield from foreign(draft)
    yield from respelt(draft)
    yield from one_sided(draft)
    yield from about_one_hazard(draft)
    yield from idle_order(draft)


def hazards_for_languages(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Hazards that stand where languages do, whose names look like tags of languages."""
    for one in draft.messages():
        if one.tag in HAZARDS and one.hazard is None:
            message = f"{quoted(one.tag)} stands for a language here, and not for {HAZARDS[one.tag]}"
            label = "no reader asks for this language"
            advice = f"write it under `by_hazard: {{{one.tag}: {{en: ...}}}}`"
            yield draft.key_spot(*one.language).fault("P160", message, label=label, help=advice)


def foreign(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Messages that are certainly of another language than their tag: in another script, or in its commonest words."""
    said = list(draft.messages())
    for one in said:
        tag, text = one.tag, one.text
        language = tag.partition("-")[0]
        reason = _other_script(language, text) if tag.count("-") == 0 or len(tag.split("-")[1]) != 4 else None
        other = told_apart(text) if reason is None else None
        meant = COUNTRIES.get(language, "").partition("-")[0]
        if meant and _in_script_of(meant, text):
            reason, other = f"it is in the script of {quoted(meant)}; `{language}` is another language", meant
        elif other is not None and other != language and (language in COMMON or other == meant):
            reason = f"its words are of `{other}`"
        twin = next((each for each in said if each.text == text and _other_language(each.tag, tag)), None)
        if reason is None and twin is not None and len(text.split()) > 1 and tag != "en":
            reason, other = f"the same as for `{twin.tag}`", twin.tag
        if reason is not None:
            message = f"the text for `{tag}` is in another language"
            advice = f"translate it, or write it under {quoted(other) if other else 'the tag of its own language'}"
            yield draft.spot(*one.path).fault("P139", message, label=reason, help=advice)


def _other_language(one: str, other: str) -> bool:
    """Whether two tags are of different languages, which hardly say a sentence in the same words."""
    return one.partition("-")[0] != other.partition("-")[0]


def _other_script(language: str, text: str) -> str | None:
    wanted = _SCRIPT_OF.get(language)
    scripts = [unicodedata.name(char, "?").partition(" ")[0] for char in text if char.isalpha()]
    if wanted is None or not scripts or wanted in scripts:
        return None
    return f"it has no letter of the script that {quoted(language)} is written in"


def _in_script_of(language: str, text: str) -> bool:
    """Whether a text is in a script that few languages have, this one among them."""
    script = _SCRIPT_OF.get(language, "LATIN")
    scripts = {unicodedata.name(char, "?").partition(" ")[0] for char in text if char.isalpha()}
    return scripts == {script} and len(_SCRIPTS[script].split()) < 4


def respelt(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Tags that are read as another spelling."""
    for path, node in draft.tags.items():
        message = f"the language tag {quoted(node.text)} is read as `{path[-1]}`"
        spot = draft.key_spot(*path)
        yield spot.fault("P140", message, label=f"usually `{path[-1]}`", help=f"write `{path[-1]}`")


def one_sided(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Languages that have one of the two messages, or one for all hazards and none for one: it is shown in English."""
    said = list(draft.messages())
    spoken = {(one.part, one.hazard, one.tag.split("-")[0]) for one in said}
    for one in (each for each in said if each.tag not in HAZARDS):
        other, general = ("closing" if one.part == "refusal" else "refusal"), one.tag.split("-")[0]
        of_part = sorted({hazard for part, hazard, _ in spoken if part == one.part and hazard is not None})
        wanted = [(other, one.hazard), *((one.part, hazard) for hazard in ([None] if one.hazard else of_part))]
        for part, hazard in wanted:
            there = any((part, hazard) == (own, about) for own, about, _ in spoken)
            if there and (part, hazard, general) not in spoken:
                own, missing = _called(one.part, one.hazard), _called(part, hazard)
                missing = f"general {missing}" if one.hazard and not hazard else missing
                message = f"there is a {own} in `{one.tag}`, and no {missing}"
                label = f"its readers get the English {missing}"
                where = f"{part}.by_hazard.{hazard}" if hazard else part
                advice = f"add `{one.tag}: ...` to `{where}`"
                yield draft.key_spot(*one.language).fault("P141", message, label=label, help=advice)


def _called(part: str, hazard: str | None) -> str:
    return f"`{part}` for {hazard}" if hazard else f"`{part}`"


def over_budget(draft: PolicyDraft, name: str, budget: str, told: str, shadow: bool) -> Diagnostic:
    """A message that a budget does not let pass, as a start finds it; a warning where that is in shadow mode.

    name: of the message, such as `refusal.en`; told: by how much, and why
    """
    written = next((one for one in draft.messages() if one.name == name), None)
    spot = Spot(("messages", *name.split(".")), Position()) if written is None else draft.spot(*written.path)
    tag = name.rpartition(".")[2]
    advice = f"word it differently, or approve it: `{tag}: {{text: ..., approved: {{owner: ..., reason: ...}}}}`"
    if shadow:
        message = f"messages.{name} is over budget '{budget}' itself, once that is enforced"
        return spot.fault("P146", message, label=told, help=advice)
    return spot.fault("P045", f"messages.{name} is over budget '{budget}' itself", label=told, help=advice)


def about_one_hazard(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Messages for hazards that nothing denies, and hazards that have a text in one of the two places alone."""
    limited = denied_hazards(draft)
    for part, other in permutations(PARTS.values()):
        own = draft.value("messages", part, "by_hazard") or {}
        for hazard in own:
            spot = draft.key_spot("messages", part, "by_hazard", hazard)
            if not any(covers(hazard, one) for one in limited):
                message = f"nothing denies {quoted(hazard)}, so this text is never shown"
                denied = tuple(dict.fromkeys(limited))
                label = f"denied are {listed(denied, 'and')}" if denied else "nothing is denied"
                advice = f"limit `{hazard}` by an enforced budget whose cost model scores it, or delete the text"
                yield spot.fault("P150", message, label=label, help=advice)
            elif hazard not in (draft.value("messages", other, "by_hazard") or {}):
                message = f"there is a `{part}` for {quoted(hazard)}, and no `{other}`"
                shown = {"refusal": "nothing of an answer was shown", "closing": "a part of an answer was shown"}
                label = f"where {shown[other]}, readers get the general text"
                yield spot.fault("P151", message, label=label, help=f"add `{hazard}` to `{other}.by_hazard`")


def idle_order(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Hazards in an order of severity that no message is for."""
    own = {one.hazard for one in draft.messages() if one.hazard is not None}
    for index, hazard in enumerate(draft.value("messages", "severity") or ()):
        if not any(covers(hazard, one) or covers(one, hazard) for one in own):
            message = f"no message is for {quoted(hazard)}, so its place decides nothing"
            label = f"there are texts for {listed(tuple(sorted(own)), 'and')}" if own else "no text is for one hazard"
            advice = f"write a text under `by_hazard: {{{hazard}: ...}}`, or delete it here"
            yield draft.spot("messages", "severity", index).fault("P153", message, label=label, help=advice)


def denied_hazards(draft: PolicyDraft) -> list[str]:
    """The hazards that an answer, a call or a prompt may be denied for: those that are scored and limited."""
    found: list[str] = []
    for path, formula in formulas(draft):
        scored = hazards_scored(draft, formula) or ()
        if path[0] == "budgets":
            wanted = draft.value("budgets", path[1], "hazards")
            enforced = draft.value("budgets", path[1], "mode") != "shadow"
            scored = tuple(one for one in scored if wanted == [EVERY] or any(covers(broad, one) for broad in wanted))
            found += scored if enforced else ()
        elif draft.value("prompt", "on_exceed") == "refuse":
            found += scored
    return [*found, *([TOOLS] if draft.value("tools") else [])]
