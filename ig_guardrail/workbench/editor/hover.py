"""What a key, a name or a number in a document means, where the cursor rests on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ig_guardrail.costs.kinds.base import ARTIFACT
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.diagnostics.rules import rules
from ig_guardrail.workbench.editor import wording
from ig_guardrail.workbench.editor.document import Document, Texts
from ig_guardrail.workbench.editor.findings import place
from ig_guardrail.workbench.editor.names import mention_at, policies
from ig_guardrail.workbench.editor.outline import CharacterSpan
from ig_guardrail.workbench.editor.places import Leaf, leaf_at, node_at

_TUNED = ("id", "cost", "threshold", "weight", "budget", "accumulate", "discount")  # keys of what a budget comes to


def hover(
    document: Document, offset: int, faults: Sequence[Diagnostic], texts: Texts
) -> tuple[CharacterSpan, str] | None:
    """What is at an offset, as Markdown, and the characters that it is about. faults: those of the document."""
    here = [one for one in faults if place(document, one).holds(offset)]
    pages = [_page(one) for one in here if one.code in rules()]
    leaf = leaf_at(document, offset) if document.role != "other" else None
    said = list(filter(None, _of_leaf(document, leaf, offset, texts))) if leaf is not None else []
    if leaf is None or not said:
        return (place(document, here[0]), "\n\n---\n\n".join(pages)) if pages else None
    name = mention_at(document, offset)
    return name.span if name is not None else leaf.node.span, "\n\n---\n\n".join([*said, *pages])


def _page(fault: Diagnostic) -> str:
    """What the reference says of a fault's code."""
    page = rules()[fault.code]
    shown = f"```text\n{page.example}\n```\n\nInstead:\n\n```text\n{page.instead}\n```"
    return f"**{page.code}: {page.title}**\n\n{page.why}\n\n{shown}"


def _of_leaf(document: Document, leaf: Leaf, offset: int, texts: Texts) -> Iterator[str]:
    homes = policies(document, texts)
    name = mention_at(document, offset)
    if name is not None and name.what == "hazard":
        yield wording.of_hazard(name.name)
    elif name is not None and name.what == "cost model":
        entries = ((home, node_at(home.tree, ("cost_models", name.name))) for home in homes)
        home, entry = next((pair for pair in entries if pair[1] is not None), (document, None))
        yield wording.of_cost_model(name.name, entry, Path(home.path).parent) if entry is not None else ""
    elif name is not None and homes:
        yield _of_budget(homes[0], name.name)
    elif leaf.kind is ARTIFACT:
        tag = node_at(document.tree, (*leaf.path[:-1], "kind"))
        yield wording.about_artifact(tag.text if tag else "", leaf.node.text, Path(document.path).parent)
    key = next((step for step in reversed(leaf.path) if isinstance(step, str)), "")
    if leaf.field is not None and leaf.section is not None and key in leaf.section.fields:
        yield wording.of_field(key, leaf.field, leaf.section)
    if name is None and document.role == "policy" and leaf.path[:1] == ("budgets",) and key in _TUNED:
        own = node_at(document.tree, (*leaf.path[:2], "id"))
        yield _of_budget(document, own.text) if own is not None else ""


def _of_budget(policy: Document, name: str) -> str:
    """What a budget comes to, where the policy has no errors."""
    from ig_guardrail.workbench.meaning.explaining import details, explain_policy  # the server starts without it

    compiled, _ = compile_text(policy.text, policy.path, warn=False)
    if compiled is None:
        return ""
    found = next((one for one in explain_policy(compiled).budgets if one.id == name), None)
    return f"**{name}**: a budget\n\n" + "\n".join(f"- {line}" for line in details(found)) if found is not None else ""
