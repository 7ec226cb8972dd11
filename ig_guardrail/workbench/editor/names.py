"""Names in policies and in their cases: cost models, budgets and hazards, where they are defined and used."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ig_guardrail.costs.kinds.base import HAZARD
from ig_guardrail.errors import RequestError
from ig_guardrail.fields.field import ExpressionKind, HazardKind
from ig_guardrail.policy.expression import FUNCTIONS
from ig_guardrail.policy.inheritance.parents import MOST
from ig_guardrail.policy.language.names import BUDGET_ID, MODEL_NAME
from ig_guardrail.policy.sources import CASES, fetch, packaged_names
from ig_guardrail.types.hazards import canonical
from ig_guardrail.workbench.cases.reading import policy_of
from ig_guardrail.workbench.editor.document import Document, Texts
from ig_guardrail.workbench.editor.outline import CharacterSpan, OutlineNode
from ig_guardrail.workbench.editor.places import Leaf, leaf_at, leaves, node_at

NameKind: TypeAlias = Literal["cost model", "budget", "hazard"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
FORMS = {"cost model": MODEL_NAME, "budget": BUDGET_ID, "hazard": HAZARD}


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a document. defines: whether it stands there for the first time, and elsewhere because of that."""

    what: NameKind
    name: str
    span: CharacterSpan
    defines: bool


def mentions(document: Document) -> Iterator[Mention]:
    """Every name in a policy or a file of cases, in the order of the file."""
    for leaf in leaves(document.language, document.tree):
        if leaf.node.kind == "scalar":
            yield from _of_leaf(leaf, in_policy=document.role != "cases")


def _of_leaf(leaf: Leaf, in_policy: bool) -> Iterator[Mention]:
    node, kind = leaf.node, leaf.kind
    if isinstance(kind, ExpressionKind):
        for found in _NAME.finditer(node.text):
            if found[0] not in FUNCTIONS:
                begin = node.inner.start + found.start()
                yield Mention("cost model", found[0], CharacterSpan(begin, begin + len(found[0])), False)
    elif kind is MODEL_NAME:
        yield Mention("cost model", node.text, node.inner, in_policy and leaf.is_key)
    elif kind is BUDGET_ID:
        yield Mention("budget", node.text, node.inner, in_policy)
    elif isinstance(kind, HazardKind) or kind is HAZARD:
        scored = leaf.path[:1] == ("cost_models",) and not leaf.is_key
        yield Mention("hazard", canonical(node.text) or node.text, node.inner, scored)


def mention_at(document: Document, offset: int) -> Mention | None:
    """The name at an offset."""
    leaf = leaf_at(document, offset)
    found = _of_leaf(leaf, document.role != "cases") if leaf is not None else ()
    return next((one for one in found if one.span.holds(offset)), None)


def defined(document: Document, texts: Texts) -> list[Mention]:
    """The names that a document may use: those of its policy, and of the policies that this one extends."""
    return [one for home in policies(document, texts) for one in mentions(home) if one.defines]


def policies(document: Document, texts: Texts) -> list[Document]:
    """The policy that a document is, or that its cases are for, then those that it extends, the nearest first."""
    home = policy_beside(document, texts) if document.role == "cases" else document
    line: list[Document] = []
    while home is not None and len(line) <= MOST and _file(home) not in map(_file, line):
        line.append(home)
        home = extended(home, texts)
    return line


def policy_beside(cases: Document, texts: Texts) -> Document | None:
    """The policy that a file of cases is for."""
    named = node_at(cases.tree, ("policy",))
    return read_named(policy_of(cases.path, named.text if named is not None else None), texts, cases)


def extended(policy: Document, texts: Texts) -> Document | None:
    """The policy that one extends."""
    named = named_parent(policy)
    if named is None:
        return None
    known = named.text in packaged_names()
    return read_named(named.text if known else Path(policy.path).parent / named.text, texts, policy)


def named_parent(policy: Document) -> OutlineNode | None:
    """Where a policy names the one that it extends."""
    named = node_at(policy.tree, ("extends",))
    named = node_at(named, ("policy",)) if named is not None and named.kind == "map" else named
    return named if named is not None and named.kind == "scalar" and named.text else None


def read_named(source: str | Path, texts: Texts, document: Document) -> Document | None:
    """The policy of a packaged name or at a path; None where it cannot be read. Places are counted as in `document`."""
    if isinstance(source, str) and source in packaged_names():
        source = Path(fetch(source).file)
    text = texts(Path(source))
    return Document(str(source), text, document.encoding) if text is not None else None


def _cases_beside(policy: Document, texts: Texts) -> Document | None:
    """The cases that stand beside a policy, if they are for it."""
    path = policy.path.removesuffix(".yaml").removesuffix(".yml") + CASES
    text = texts(Path(path))
    if text is None:
        return None
    cases = Document(path, text, policy.encoding)
    named = node_at(cases.tree, ("policy",))
    source = policy_of(path, named.text if named is not None else None)
    return cases if os.path.abspath(source) == _file(policy) else None


def _file(document: Document) -> str:
    return os.path.abspath(document.path)


def definitions(document: Document, offset: int, texts: Texts) -> list[tuple[Document, CharacterSpan]]:
    """Where the name at an offset is defined; where a policy is named, its top."""
    leaf = leaf_at(document, offset)
    if leaf is not None and not leaf.is_key and leaf.path in (("policy",), ("extends",), ("extends", "policy")):
        home = policy_beside(document, texts) if document.role == "cases" else extended(document, texts)
        return [(home, CharacterSpan(0, 0))] if home is not None else []
    asked = mention_at(document, offset)
    found = _same(document, asked, texts) if asked is not None else []
    return [(home, one.span) for home, one in found if one.defines]


def references(
    document: Document, offset: int, texts: Texts, definitions: bool = True
) -> list[tuple[Document, CharacterSpan]]:
    """Where the name at an offset stands: in a policy, in what that extends, in its cases.

    definitions: whether also where it is defined
    """
    asked = mention_at(document, offset)
    found = _same(document, asked, texts) if asked is not None else []
    return [(home, one.span) for home, one in found if definitions or not one.defines]


def renamed(document: Document, offset: int, new: str, texts: Texts) -> list[tuple[Document, CharacterSpan]]:
    """The places that a new name goes to. Raises RequestError for a name that cannot be, or is taken."""
    asked = mention_at(document, offset)
    if asked is None or (asked.what == "hazard" and not asked.name.startswith("x.")):
        raise _refusal("nothing here can be renamed", "cost models, budgets and hazards `x.*` can be")
    form = FORMS[asked.what]
    if not re.fullmatch(form.pattern, new) or new in form.reserved or (asked.what == "hazard" and new[:2] != "x."):
        raise _refusal(f"'{new}' cannot be the name of a {asked.what}", f"one is written like `{form.example}`")
    if any((one.what, one.name) == (asked.what, new) for one in defined(document, texts)):
        raise _refusal(f"there is a {asked.what} called '{new}'", "choose another name")
    own, *parents = policies(document, texts) or [document]
    found = _same(document, asked, texts)
    if any(home in parents for home, _ in found):
        raise _refusal(f"'{asked.name}' is in a policy that {own.path} extends", "others may extend that too")
    return [(home, one.span) for home, one in found]


def _refusal(what: str, why: str) -> RequestError:
    return RequestError(what, where="rename", why=why)


def _same(document: Document, asked: Mention, texts: Texts) -> list[tuple[Document, Mention]]:
    """Every mention of a name in what shares its names with a document."""
    line = policies(document, texts)
    cases = document if document.role == "cases" else _cases_beside(document, texts)
    homes = [*line, *([cases] if cases is not None else [])]
    return [(home, one) for home in homes for one in mentions(home) if (one.what, one.name) == (asked.what, asked.name)]
