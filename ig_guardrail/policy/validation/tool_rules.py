"""Whether rules for tools say something, and whether budgets have keys that their scope does not read."""

from __future__ import annotations

from collections.abc import Iterator

from ig_guardrail.fields.field import plainly
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.language.budgets import BUDGET
from ig_guardrail.policy.language.tools import ARGUMENT_RULE
from ig_guardrail.policy.yaml.tree import Table

SPANNING = ("conversation", "tool", "tenant")  # scopes over more than one answer


def argument_rules(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """The section of tools says something, and no argument rule is empty or turned round."""
    section = draft.value("tools")
    if section is None:
        return
    tree = draft.nodes["tools",]
    if isinstance(tree, Table) and not tree.entries:
        yield draft.key_spot("tools").fault(
            "P027", "`tools` is empty", label="needs a rule", help="write `deny: [...]`"
        )
    for index, rule in enumerate(section.get("arguments") or ()):
        if rule is None:
            continue
        where = draft.spot("tools", "arguments", index)
        tree = draft.nodes["tools", "arguments", index]
        strange = isinstance(tree, Table) and any(one.key.text not in ARGUMENT_RULE.fields for one in tree.entries)
        if not {"matches", "least", "most", "one_of"} & rule.keys() and not strange:
            advice = "write `matches`, `least`, `most` or `one_of`"
            yield where.fault("P015", "this argument rule limits nothing", label="needs a limit", help=advice)
        least, most = rule.get("least"), rule.get("most")
        if least is not None and most is not None and least > most:
            message = f"`least` is {plainly(least)}, but `most` is {plainly(most)}"
            yield where.fault("P031", message, label="no number fits", help="exchange them")


def taken_names(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What the section of tools compiles to is called `tools`, so nothing else is."""
    if draft.value("tools") is None:
        return
    budgets = [("budgets", i, "id") for i, one in enumerate(draft.value("budgets") or ()) if _called_tools(one)]
    limits = [
        ("tools", "limits", i, "id") for i, one in enumerate(draft.value("tools", "limits") or ()) if _called_tools(one)
    ]
    for path in (("cost_models", "tools"), *budgets, *limits):
        if draft.written(*path):
            message = "the name `tools` is taken by the section `tools`"
            yield draft.key_spot(*path).fault("P026", message, label="used twice", help="choose another name")


def scopes(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Only budgets over several turns forget, and only one for tools names a tool."""
    for index, budget in enumerate(draft.value("budgets") or ()):
        scope = budget.get("scope", "response") if budget is not None else None
        for key, means, fits in (
            ("decay", "how turns are forgotten", SPANNING),
            ("window", "how turns are forgotten", SPANNING),
            ("tool", "whose calls are charged", ("tool",)),
        ):
            said = budget is not None and budget.get(key, BUDGET.fields[key].default) != BUDGET.fields[key].default
            if said and scope is not None and scope not in fits:
                message = f"`{key}` says {means}, and scope `{scope}` does not ask"
                spot = draft.key_spot("budgets", index, key)
                advice = f"write `scope: {fits[0]}`, or delete `{key}`"
                yield spot.fault("P025", message, label=f"needs `scope: {fits[0]}`", help=advice)


def _called_tools(one: dict[str, object] | None) -> bool:
    return one is not None and one.get("id") == "tools"
