"""Which policy a policy tightens, and what those that extend it may loosen."""

from __future__ import annotations

import re

from ig_guardrail.costs.kinds.base import PRINTABLE
from ig_guardrail.fields.field import Field, FormatKind, Section, ShortForm


def is_parent_path(name: str) -> bool:
    """Whether `extends` names a file, and not a packaged policy."""
    return "/" in name or name.endswith((".yaml", ".yml"))


def parent_hint(text: str) -> str:
    """What to write instead of a name and a version in one."""
    found = re.fullmatch(r"([a-z][a-z0-9-]*)\s*(?:[@:]|==|>=|\s)\s*v?(\d+(?:\.\d+){0,2})", text)
    return f'write `{{policy: {found[1]}, version: ">={found[2]}"}}`' if found else ""


PARENT = FormatKind(
    "a packaged policy, or the path of a file, which contains `/` or ends with `.yaml`",
    rf"[a-z][a-z0-9-]{{0,63}}|(?=.*(?:/|\.ya?ml$)){PRINTABLE}{{1,1000}}",
    "strict",
    is_path=is_parent_path,
    hint=parent_hint,
)
_COMPARISON = r"(?:>=|<=|==|>|<)\s*(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){0,2}"
VERSIONS = FormatKind("a range of versions", rf"{_COMPARISON}(?:\s*,\s*{_COMPARISON}){{0,7}}", ">=1.0,<2")
EXTENDS = ShortForm(
    Section(
        "the parent",
        {
            "policy": Field(PARENT, "the policy that this one tightens", "../base/policy.yaml", required=True),
            "version": Field(VERSIONS, "the versions of it that this one fits", '">=1.0,<2"'),
        },
    ),
    "policy",
)
PLACE = FormatKind(
    "the place of a key, with budgets by their ids",
    r"[a-z][A-Za-z_]{0,31}(?:\.[A-Za-z][A-Za-z0-9_-]{0,63}){0,7}",
    "budgets.harmful-help.threshold",
)
