"""The language reference, from the language itself; `python -m ig_guardrail.policy.reference.page` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ig_guardrail.fields.field import (
    Field,
    FormatKind,
    HazardsKind,
    Kind,
    ListOf,
    MapOf,
    OneOf,
    RegexKind,
    Section,
    ShortForm,
    TextKind,
)
from ig_guardrail.policy import expression
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.render import render
from ig_guardrail.policy.diagnostics.rules import RulePage, rules
from ig_guardrail.policy.inheritance.parents import MOST as MOST_PARENTS
from ig_guardrail.policy.language.budgets import COST_MODEL
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.language.search import PRESETS
from ig_guardrail.policy.reference.text import EXAMPLE, TEXT
from ig_guardrail.policy.yaml import reader as reading
from ig_guardrail.policy.yaml.decoding import MOST_BYTES, lines
from ig_guardrail.policy.yaml.scalars import needs
from ig_guardrail.types.hazards import ALIASES, HAZARDS


def reference() -> str:
    """The reference as Markdown."""
    parts = {
        "example": EXAMPLE.rstrip(),
        "fault": _fault(),
        "policy": table(POLICY),
        "cost_models": "\n\n".join(f"Kind `{kind}`:\n\n{table(one)}" for kind, one in COST_MODEL.sections.items()),
        "sections": "\n\n".join(f"### {name}\n\n{table(section)}" for name, section in _sections().items()),
        "presets": "; ".join(f"`{name}` sets {_settings(values)}" for name, values in PRESETS.items()),
        "hazards": _hazards(),
        "expressions": _expressions(),
        "rules": "\n\n".join(_page(rule) for rule in rules().values()),
        "bytes": f"{MOST_BYTES // 1024} KiB",
        "nodes": str(reading.MOST_NODES),
        "levels": str(reading.DEEPEST),
        "parents": str(MOST_PARENTS),
    }
    text = TEXT
    for name, part in parts.items():
        text = text.replace(f"<<{name}>>", part)
    return text


def _sections() -> dict[str, Section]:
    """The sections of the language below a policy, by where they stand; cost models have tables of their own."""
    found: dict[str, Section] = {}
    for name, field in POLICY.fields.items():
        for place, section in _below(name, field.kind):
            if section not in found.values():
                found[place] = section
    return found


def _below(place: str, kind: Kind) -> Iterator[tuple[str, Section]]:
    match kind:
        case Section():
            yield place, kind
            for name, field in kind.fields.items():
                yield from _below(f"{place.replace(', each', '')}.{name}", field.kind)
        case ListOf():
            yield from _below(f"{place}, each", kind.item)
        case MapOf():
            yield from _below(place, kind.value)
        case ShortForm():
            yield from _below(place, kind.section)
        case OneOf():
            for section in kind.sections.values():
                for name, field in section.fields.items():
                    yield from _below(f"{place}.{name}", field.kind)


def table(section: Section) -> str:
    """The keys of a section as a Markdown table: key, what it takes, default, meaning."""
    rows = [f"| `{name}` | {takes(one.kind)} | {default_of(one)} | {one.doc} |" for name, one in section.fields.items()]
    return "\n".join(["| key | takes | default | meaning |", "|---|---|---|---|", *rows])


def takes(kind: Kind) -> str:
    """What a key takes, in words."""
    match kind:
        case Section() | OneOf():
            return "a mapping, see below"
        case ShortForm():
            fields = ", ".join(f"{name}: ..." for name in kind.section.fields)
            return f"{takes(kind.section.fields[kind.key].kind)}, or `{{{fields}}}`"
        case ListOf():
            return f"a list of {kind.least} to {kind.most}: {takes(kind.item)}"
        case MapOf():
            always = f"; {', '.join(f'`{key}`' for key in kind.needs)} is required" if kind.needs else ""
            key = f"{kind.key.what} (`{kind.key.example}`)" if isinstance(kind.key, FormatKind) else needs(kind.key)
            more = "".join(f"; `{name}`: {takes(one.kind)}" for name, one in kind.beside.items())
            return f"a mapping, {key} to {takes(kind.value)}{always}{more}"
        case HazardsKind():
            return "a list of hazards, or `all`"
        case TextKind() | RegexKind():
            return f"{needs(kind)}, at most {kind.most} characters"
    return needs(kind)


def default_of(one: Field) -> str:
    """What counts when a key is not written, in words."""
    if one.required:
        return "required"
    if one.computed:
        return one.computed
    if isinstance(one.default, bool):
        return f"`{str(one.default).lower()}`"
    if one.default is None:
        return "none"
    return f"`{list(one.default) if isinstance(one.default, tuple) else one.default}`"


def _settings(values: Mapping[str, Any]) -> str:
    written = ", ".join(f"`{name}: {value}`" for name, value in values.items())
    return f"{written}, and `beams` to a quarter of `candidates`"


def _hazards() -> str:
    codes = {name: code for code, name in ALIASES.items()}
    rows = [f"| `{name}` | {meaning} | `{codes[name]}` |" for name, meaning in HAZARDS.items()]
    others = [f"| `{name}` | | `{code}` |" for name, code in codes.items() if name not in HAZARDS]
    return "\n".join(["| hazard | meaning | also written |", "|---|---|---|", *rows, *others])


def _expressions() -> str:
    calls = ", ".join(f"`{name}(...)`" for name in expression.FUNCTIONS)
    limits = f"{expression.LONGEST} characters, {expression.MOST_PARTS} parts and {expression.DEEPEST} levels"
    allowed = f"names, numbers up to {expression.LARGEST:g}, {calls}, `+`, `*` with a number on one side, and brackets"
    return f"Allowed are {allowed};\nat most {limits}."


def _fault() -> str:
    """A fault as the checker shows it: of the example with a budget below 0."""
    broken = EXAMPLE.replace("budget: 0}", "budget: -1.5}")
    _, faults = compile_text(broken, "policies/support-bot.yaml")
    return "\n\n".join(render(fault, lines(broken)) for fault in faults)


def _page(rule: RulePage) -> str:
    return "\n".join(_page_lines(rule))


def _page_lines(rule: RulePage) -> Iterator[str]:
    yield f"### {rule.code}: {rule.title}\n"
    yield f"{rule.why[0].upper()}{rule.why[1:]}.\n"
    yield f"```text\n{rule.example}\n```\n"
    yield f"Instead:\n\n```text\n{rule.instead}\n```"


if __name__ == "__main__":
    print(reference(), end="")
