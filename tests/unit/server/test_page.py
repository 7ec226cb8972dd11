"""docs/server.md names every field of every body, as the server reads it. `--rewrite-golden` writes its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from ig_guardrail.integrations.openai_server.wires import (
    chat_completions,
    guard_check,
    messages,
    moderations,
    responses,
)
from ig_guardrail.integrations.openai_server.wires.fields import OWN, Fields
from tests.documents import ROOT

PAGE = ROOT / "docs" / "server.md"
WIRES: Mapping[str, Fields] = {
    "/v1/chat/completions": chat_completions.FIELDS,
    "/v1/responses": responses.FIELDS,
    "/v1/messages": messages.FIELDS,
    "/v1/moderations": moderations.FIELDS,
    "/v1/guard/check": guard_check.FIELDS,
}
TABLE = re.compile(r"<!-- fields (\S+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def table_of(fields: Fields) -> str:
    rows = [f"| honoured | {_listed(fields.honoured)} |"]
    rows += [f"| passed over | {_listed(fields.ignored)} |"] if fields.ignored else []
    rows += [f"| refused | `{name}`: {why} |" for name, why in sorted(fields.refused.items())]
    return "\n".join(["| | |", "|---|---|", *rows, ""])


def _listed(names: object) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))  # type: ignore[call-overload]


def test_every_field_is_told(pytestconfig: pytest.Config) -> None:
    text = PAGE.read_text(encoding="utf-8")
    if pytestconfig.getoption("--rewrite-golden"):
        text = TABLE.sub(lambda one: f"<!-- fields {one[1]} -->\n{table_of(WIRES[one[1]])}<!-- end -->\n", text)
        PAGE.write_text(text, encoding="utf-8")
    assert {one[1]: one[2] for one in TABLE.finditer(text)} == {path: table_of(one) for path, one in WIRES.items()}


def test_so_is_every_option_of_our_own() -> None:
    section = (
        PAGE.read_text(encoding="utf-8").partition("## What a request may say to the guard\n")[2].partition("\n## ")[0]
    )
    assert {*OWN, "refusal_style", "seed"} == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
