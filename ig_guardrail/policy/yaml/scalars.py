"""One scalar against its kind: its value, or the one fault that it has. No type is turned into another.

What YAML readers make of a plain word. YAML 1.1 and 1.2 differ, so a policy must not leave the choice to them.
"""

from __future__ import annotations

import math
import re
from typing import Any

from ig_guardrail.fields.field import (
    BooleanKind,
    ChoiceKind,
    ExpressionKind,
    FormatKind,
    HazardKind,
    IntegerKind,
    NumberKind,
    RegexKind,
    TextKind,
    plainly,
)
from ig_guardrail.policy import expression
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, Steps, listed, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest, suggest_hazard
from ig_guardrail.policy.validation import patterns
from ig_guardrail.policy.yaml.tree import Scalar
from ig_guardrail.text.normalisation import folded, seen
from ig_guardrail.types import hazards

DISGUISED = "a letter in it is of another script, or nobody sees it"
OFF = ("none", "no", "off", "false", "disabled", "n", "never")
WITHOUT_SEARCH = "to end answers rather than search for others, write `output: {on_exceed: [end]}`"
_ELSEWHERE = {  # what other guardrails call a choice
    "shadow": "monitor monitoring observe log audit dry_run dryrun report report_only warn",
    "enforce": "block deny active strict",
    "refuse": "block deny reject stop",
    "observe": "log monitor warn allow",
    "response": "answer message reply request turn output",
    "conversation": "session thread chat dialog dialogue",
    "tenant": "user account customer client organisation organization org team",
    "tool": "call function",
    "closed": "block deny fail",
    "open": "allow ignore continue pass skip",
    "search": "rewrite retry regenerate reask resample",
    "end": "stop block refuse",
    "denied": "blocked rejected",
    "completed": "ok passed allowed shown",
}
_EXACT = 2**53  # up to which a float keeps all whole numbers apart
_TO_FILL = re.compile(r"\$\{|\{\{|<%")
# Controls; what turns text around; halves of characters, and no characters; copies of ASCII that nobody sees.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)


def read_scalar(kind: Any, scalar: Scalar, spot: Spot) -> Any:
    """The value of a scalar of one of the simple kinds, or a Fault."""
    if scalar.plain and read_as(scalar.text) == "nothing":
        label = "needs " + needs(kind)
        return spot.fault(
            "P016", f"{called(spot.path)} has no value", label=label, help="write a value, or delete the key"
        )
    match kind:
        case NumberKind() | IntegerKind():
            return _number(kind, scalar, spot)
        case BooleanKind():
            return _switch(scalar, spot)
        case ChoiceKind():
            return _choice(kind, scalar, spot)
        case TextKind():
            return _text(kind, scalar, spot)
        case FormatKind():
            return read_form(kind, scalar, spot)
        case HazardKind():
            return _hazard(scalar, spot)
        case ExpressionKind():
            return _cost(scalar, spot)
        case RegexKind():
            return _regex(kind, scalar, spot)
    raise TypeError(f"{kind!r} is not a simple kind")


def needs(kind: Any) -> str:
    """What a kind asks for, in words."""
    match kind:
        case NumberKind() | IntegerKind():
            above, low = isinstance(kind, NumberKind) and kind.above, plainly(kind.low)
            whole = "a whole number, " if isinstance(kind, IntegerKind) else ""
            limits = f"more than {low}, at most" if above else f"{low} to"
            return f"{whole}{limits} {plainly(kind.high)} ({kind.unit})"
        case BooleanKind():
            return "`true` or `false`"
        case ChoiceKind():
            return listed(kind.words)
        case FormatKind():
            return f"{kind.what}, such as `{kind.example}`"
        case HazardKind():
            return "a hazard, such as `ncr`"
        case ExpressionKind():
            return "a cost expression, such as `max(help, words)`"
        case RegexKind():
            return "a regular expression"
    return "text"


def read_form(kind: FormatKind, scalar: Scalar, spot: Spot) -> str | Diagnostic:
    """A short text of a given form, or a Fault. Also for keys."""
    text = scalar.text
    usual = kind.normal(text) if kind.normal is not None else text
    if usual is None or not re.fullmatch(kind.pattern, text):
        message = f"{quoted(text)} is not {kind.what}"
        why = "" if kind.coined else "only this form can be read here"
        alike = folded(seen(text))
        if not text.isascii() and alike.isascii() and re.fullmatch(kind.pattern, alike):
            return spot.fault("P020", message, label=DISGUISED, why=why, help=f"write `{alike}`")
        return spot.fault("P020", message, label=f"needs {needs(kind)}", why=why, help=_as_form(kind, text))
    if text in kind.reserved:
        advice = f"choose another name, such as `{text}-cost`"
        return spot.fault("P020", f"{quoted(text)} is a word of cost expressions", label="taken", help=advice)
    return (None if kind.plain else _ambiguous(scalar, spot)) or usual


def read_json(scalar: Scalar, spot: Spot) -> str | float | bool | Diagnostic | None:
    """A text, number, `true`, `false` or `null`; a Fault for a word that YAML readers take for different things."""
    text = scalar.text
    if not scalar.plain:
        return text
    if text in ("true", "false"):
        return text == "true"
    if read_as(text) == "nothing":
        return None
    value = decimal(text)
    if value is not None and math.isfinite(value):
        return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else value
    return _ambiguous(scalar, spot) or text


def _number(kind: NumberKind | IntegerKind, scalar: Scalar, spot: Spot) -> float | int | Diagnostic:
    text = scalar.text
    value = decimal(text) if scalar.plain else None
    if scalar.plain and (not_finite(text) or (value is not None and math.isinf(value))):
        return spot.fault(
            "P018", f"{called(spot.path)} is not a finite number", label=f"needs {needs(kind)}", help=_range_help(kind)
        )
    if value is None:
        return spot.fault(
            "P016", f"{called(spot.path)} is not a number", label=f"needs {needs(kind)}", help=_as_number(kind, scalar)
        )
    whole = re.fullmatch(r"[-+]?[0-9]+", text)
    if isinstance(kind, IntegerKind) and not whole:
        advice = f"write `{round(value)}`" if abs(value) < 1e9 else _range_help(kind)
        return spot.fault(
            "P016", f"{called(spot.path)} is not a whole number", label=f"needs {needs(kind)}", help=advice
        )
    above = isinstance(kind, NumberKind) and kind.above
    value = int(text) if whole and (isinstance(kind, IntegerKind) or abs(value) >= _EXACT) else value + 0.0
    if value < kind.low or value > kind.high or (above and value == kind.low):
        return _out_of_range(kind, value, spot)
    return value


def _out_of_range(kind: NumberKind | IntegerKind, value: float, spot: Spot) -> Diagnostic:
    how = "negative" if value < 0 <= kind.low else "too small" if value <= kind.low else "too large"
    why = kind.why if isinstance(kind, NumberKind) else ""
    advice = (kind.help if isinstance(kind, NumberKind) else "") or _range_help(kind)
    message = f"{called(spot.path)} is {how}"
    return spot.fault("P014", message, label=f"needs {needs(kind)}", why=why, help=advice)


def _range_help(kind: NumberKind | IntegerKind) -> str:
    above = isinstance(kind, NumberKind) and kind.above
    between = ("above", "and up to") if above else ("from", "to")
    return f"write a number {between[0]} {plainly(kind.low)} {between[1]} {plainly(kind.high)}"


def _as_number(kind: NumberKind | IntegerKind, scalar: Scalar) -> str:
    text = scalar.text.strip()
    if not scalar.plain and decimal(text) is not None:
        return f"write {text} without quotes"
    plain = seen(scalar.text).strip()
    if not scalar.text.isascii() and decimal(plain) is not None:
        return f"write {plain}: a character that nobody sees, or a space that is no plain one, stands beside it"
    if re.fullmatch(r"[1-9][0-9]{0,2}(?:,[0-9]{3}){1,3}", text) and kind.high >= 1000:
        fraction = "" if isinstance(kind, IntegerKind) else "; if the comma stands before a fraction, write a point"
        return f"write {text.replace(',', '')}{fraction}"
    if re.fullmatch(r"[0-9]{1,9},[0-9]{1,9}", text) and not isinstance(kind, IntegerKind):
        return f"write a point: {text.replace(',', '.')}"
    if re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,9})?%", text):
        share = f"{float(text[:-1]) / 100:g}"
        return f"write a share of 1: {share}" if kind.high <= 1 else f"write {text[:-1]}, or {share} for a share of 1"
    with_unit = re.fullmatch(r"([-+]?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([A-Za-z/].{0,30})", text)
    if with_unit and not re.match("0[xob]", text):
        return _without_unit(kind, with_unit[1], with_unit[2].lower())
    if re.fullmatch(r"[0-9]{1,3}(?:_[0-9]{3}){1,4}", text):
        return f"write {text.replace('_', '')}"
    if re.fullmatch(r"[-+]?0[0-9]{1,9}", text):
        return f"write {int(text)}: with a leading 0, YAML 1.1 counts in eights"
    if len(text) > _LONGEST and re.fullmatch(r"[-+]?[0-9]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?", text):
        return f"write at most {_LONGEST} characters: no more of them count"
    return "write digits alone" if isinstance(kind, IntegerKind) else "write digits, with a point for fractions"


_MILLISECONDS = {"ms": 1, "s": 1000, "sec": 1000, "seconds": 1000, "second": 1000, "m": 60_000, "min": 60_000}


def _without_unit(kind: NumberKind | IntegerKind, number: str, unit: str) -> str:
    """What to write for a number with a unit, or another word, behind it."""
    if kind.unit == "milliseconds" and unit in _MILLISECONDS:
        return f"write {round(float(number) * _MILLISECONDS[unit])}, in milliseconds"
    if isinstance(kind, IntegerKind):
        return f"write {number} alone, if {kind.unit} are meant"
    return f"write {number} alone"


def _switch(scalar: Scalar, spot: Spot) -> bool | Diagnostic:
    if scalar.plain and scalar.text in ("true", "false"):
        return scalar.text == "true"
    word = scalar.text.lower()
    meant = "true" if word in ("yes", "on", "y", "true") else "false" if word in ("no", "off", "n", "false") else ""
    code = "P017" if scalar.plain and meant else "P016"
    advice = f"write `{meant}`, without quotes" if meant else "write `true` or `false`"
    message = f"{called(spot.path)} is {quoted(scalar.text)}{'' if scalar.plain else ' in quotes, which is text'}"
    return spot.fault(code, message, label="needs `true` or `false`", help=advice)


def _choice(kind: ChoiceKind, scalar: Scalar, spot: Spot) -> str | Diagnostic:
    text = scalar.text
    if text in kind.words:
        return text
    if text in kind.apart:
        label = "for `ig-guardrail eval` and `run --strategy` only"
        advice = f"write {needs(kind)}; to try it, `ig-guardrail run --strategy {text}`"
        return spot.fault("P042", f"{called(spot.path)} is the baseline {quoted(text)}", label=label, help=advice)
    elsewhere = [word for word in kind.words if text.lower() in _ELSEWHERE.get(word, "").split()]
    close = elsewhere[0] if len(elsewhere) == 1 else suggest(text, kind.words) if kind.code != "P012" else None
    advice = f"did you mean `{close}`?" if close else f"write {needs(kind)}"
    if text.lower() in OFF and "shadow" in kind.words:
        advice = "to have it record and deny nothing, write `shadow`; to have no such budget, delete it"
    elif text.lower() in OFF and spot.path == ("search", "mode"):
        advice = WITHOUT_SEARCH
    return spot.fault(kind.code, f"{called(spot.path)} is {quoted(text)}", label=f"needs {needs(kind)}", help=advice)


def _text(kind: TextKind, scalar: Scalar, spot: Spot) -> str | Diagnostic:
    text, most = scalar.text.strip(), kind.most
    stray = _CONTROL.search(text)
    if stray:
        message = f"{called(spot.path)} holds U+{ord(stray[0]):04X}, which cannot be shown"
        return spot.fault("P028", message, help="delete it; write other characters as they are, not as escapes")
    if not seen(text).strip():
        return spot.fault(
            "P028", f"{called(spot.path)} is blank", label="needs text", help="write the text, or delete the key"
        )
    if len(text) > most:
        label = f"at most {most} characters"
        return spot.fault("P028", f"{called(spot.path)} has {len(text)} characters", label=label, help="shorten it")
    return _ambiguous(scalar, spot, kind.note) or text


def _hazard(scalar: Scalar, spot: Spot) -> str | Diagnostic:
    found = hazards.canonical(scalar.text)
    if found is not None:
        return found
    if scalar.text == hazards.EVERY:
        advice = "write `hazards: all` alone, in a budget; a cost model names its hazards one by one"
        return spot.fault("P022", "`all` is not a hazard", label="`all` stands alone, in a budget", help=advice)
    advice = suggest_hazard(scalar.text)
    return spot.fault(
        "P022", f"there is no hazard {quoted(scalar.text)}", label=f"not in {hazards.TAXONOMY}", help=advice
    )


def _cost(scalar: Scalar, spot: Spot) -> expression.Formula | Diagnostic:
    try:
        formula = expression.parse(scalar.text)
    except expression.NotAnExpression as error:
        mark = scalar.part(error.offset, error.length)
        where = "" if scalar.column else f" (at character {error.offset + 1})"
        message = f"{called(spot.path)} cannot be read"
        torn = scalar.plain and scalar.text.count("(") > scalar.text.count(")")
        advice = f"{error.advice}; if it holds a comma, put the expression in quotes" if torn else error.advice
        return Spot(spot.path, mark).fault("P024", message, label=error.problem + where, help=advice)
    return _ambiguous(scalar, spot) or formula


def _regex(kind: RegexKind, scalar: Scalar, spot: Spot) -> str | Diagnostic:
    if len(scalar.text) > kind.most:
        label = f"at most {kind.most}"
        return spot.fault(
            "P028", f"a pattern has {len(scalar.text)} characters", label=label, help="split it into several"
        )
    if scalar.plain and read_as(scalar.text):
        return _ambiguous(scalar, spot) or scalar.text
    reason = patterns.reason_against(scalar.text)
    if reason is not None:
        advice = patterns.advice_against(reason)
        return spot.fault("P032", "RE2 does not accept this pattern", label=reason, help=advice)
    if patterns.matches_nothing(scalar.text):
        label = "it matches without reading a character"
        return spot.fault(
            "P033", "this pattern matches everywhere", label=label, help="let it need at least one character"
        )
    return scalar.text


def _ambiguous(scalar: Scalar, spot: Spot, note: str = "") -> Diagnostic | None:
    reading = read_as(scalar.text) if scalar.plain else None
    if reading is None:
        return None
    label = f"YAML may read it as {reading}"
    advice = f'write "{scalar.text}"' + (f"; {note}" if note else "")
    return spot.fault("P017", f"{quoted(scalar.text)} is not clearly text", label=label, help=advice)


def _as_form(kind: FormatKind, text: str) -> str:
    """What to write: a name with hyphens for other characters, three numbers for fewer; else what the form hints."""
    if _TO_FILL.search(text):
        return "write what is meant: a policy is read as it stands, and nothing is filled in"
    hyphened = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:48]
    number = text.removeprefix("v")
    repairs = (hyphened,) if kind.coined else ()
    repairs = (*repairs, number + ".0" * (2 - number.count("."))) if number[:1].isdigit() else repairs
    fits = (one for one in repairs if re.fullmatch(kind.pattern, one) and one not in kind.reserved)
    fit = next((one for one in fits if kind.normal is None or kind.normal(one) is not None), None)
    hint = kind.hint(text) if kind.hint is not None and not fit else ""
    return f"write `{fit}`" if fit else hint or f"write {needs(kind)}"


def called(path: Steps) -> str:
    """How a message calls a value: by its key, or its place in a list."""
    last = path[-1] if path else "the file"
    if isinstance(last, int):
        return f"item {last + 1} of {quoted(str(path[-2]))}" if len(path) > 1 else f"item {last + 1}"
    return quoted(last) if path else last


_READINGS = {
    "a boolean": re.compile(r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|y|Y|n|N"),
    "nothing": re.compile(r"|~|null|Null|NULL"),
    "a number": re.compile(
        r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7]+|[0-9][0-9_]*(?::[0-5]?[0-9])*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
    ),
    "a date": re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?"),
}
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"[-+]?0[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.?(?:inf|infinity|nan)", re.IGNORECASE)
_LONGEST = 32  # characters of a number


def read_as(word: str) -> str | None:
    """What some YAML reader takes a plain word for, other than text: "a boolean", "nothing", "a number", "a date"."""
    return next((reading for reading, form in _READINGS.items() if form.fullmatch(word)), None)


def decimal(word: str) -> float | None:
    """The value of a plain decimal number; infinite if it is too large for one; None for anything else."""
    if len(word) > _LONGEST or _OCTAL.fullmatch(word) or not _DECIMAL.fullmatch(word):
        return None
    return float(word)


def not_finite(word: str) -> bool:
    """Whether a word stands for infinity or for not-a-number."""
    return _NOT_FINITE.fullmatch(word) is not None
