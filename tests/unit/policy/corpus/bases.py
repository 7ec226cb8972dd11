"""What is edited: the packaged policies, and the reference's example grown by every key of the language.

Keys are taken from the language's own description with the examples there, so that a new key is in by construction.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources

from ig_guardrail.fields.field import ListOf, MapOf, OneOf, Section
from ig_guardrail.policy import compile_text, packaged_names
from ig_guardrail.policy.language.budgets import COST_MODEL
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.reference.text import EXAMPLE
from tests.unit.policy.corpus.places import Place, places, sections, with_entry

FILE = "corpus/p.yaml"  # how bases are called, and where their paths start: no such folder is there

TOOLS = f"""{EXAMPLE}tools:
  allow: [refund, search-orders, "read_*"]
  arguments:
    - {{tool: refund, argument: amount, least: 0, most: 100}}
    - tool: search-orders
      argument: shop
      one_of: [north, south]
  limits: [{{id: refunds, tool: refund, calls: 3}}]
"""


@cache
def packaged() -> dict[str, str]:
    """The packaged policies by name."""
    folder = resources.files("ig_guardrail.policies")
    return {name: (folder / f"{name}.yaml").read_text(encoding="utf-8") for name in packaged_names()}


@cache
def grown() -> dict[str, str]:
    """The reference's example, grown: by each kind of cost model, and by each key and each other section."""
    found = {f"kind {kind}": _with_model(model) for kind, model in COST_MODEL.sections.items()}
    for name, field in POLICY.fields.items():
        if isinstance(field.kind, Section):
            found[name] = _filled(_entered(EXAMPLE, (), name) or EXAMPLE, (name,))
    return {**found, "budgets": _filled(EXAMPLE, ("budgets", 0)), "policy": _filled(EXAMPLE, ())}


def _with_model(model: Section) -> str:
    """The example with one cost model more: its keys' own examples, and a hazard that fits them."""
    keys = ", ".join(f"{name}: {one.example}" for name, one in model.fields.items() if one.required)
    for hazard in ("ncr", "hte", "vcr"):
        entry = f"  extra: {{{keys.replace('hazards: [ncr, vcr]', f'hazards: [{hazard}]')}}}\n"
        text = EXAMPLE.replace("budgets:\n", f"{entry}budgets:\n").replace("cost: words", 'cost: "max(words, extra)"')
        if not _errors(text):
            return _filled(text, ("cost_models", "extra"))
    return EXAMPLE


def _filled(text: str, path: tuple[str | int, ...]) -> str:
    """The text with every further key that the section at a path and those below take, where it stays valid."""
    for place in _below(text, path):
        section = sections(place)
        for name in section.fields if section is not None else ():
            text = _entered(text, place.path, name) or text
    return text


def _below(text: str, path: tuple[str | int, ...]) -> Iterator[Place]:
    yield from (place for place in places(text, POLICY) if place.path[: len(path)] == path)


def _entered(text: str, path: tuple[str | int, ...], name: str) -> str | None:
    """The text with one key more, with the language's example for it; None where that is not valid."""
    place = next((one for one in places(text, POLICY) if one.path == path), None)
    section = sections(place) if place is not None else None
    if place is None or section is None or any(key.value == name for key, _ in place.value.value):
        return None
    edited, _ = with_entry(text, place.value, f"{name}: {section.fields[name].example}")
    return None if _errors(edited) else edited


def _errors(text: str) -> bool:
    return compile_text(text, FILE, warn=False)[0] is None


def all_sections(kind: object = POLICY) -> Iterator[Section]:
    """Every section of the language."""
    match kind:
        case Section():
            yield kind
            for one in kind.fields.values():
                yield from all_sections(one.kind)
        case OneOf():
            for section in kind.sections.values():
                yield from all_sections(section)
        case ListOf():
            yield from all_sections(kind.item)
        case MapOf():
            yield from all_sections(kind.value)
        case _:
            inner = getattr(kind, "section", None)
            if inner is not None:
                yield inner
                for one in inner.fields.values():
                    yield from all_sections(one.kind)
