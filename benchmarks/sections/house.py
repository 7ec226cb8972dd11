"""The house: its floors, and how easy it is to find one's way in."""

from __future__ import annotations

import tomllib
from pathlib import Path

from sections.cells import table
from sections.results import ROOT, Result, read_result


def layers(_: Path) -> str:
    """The floors of the house, highest first, from the contract that import-linter checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (floors,) = (contract["layers"] for contract in contracts["contracts"] if contract["id"] == "layers")
    return "\n".join(("```text", *(floor.replace("ig_guardrail.", "") for floor in floors), "```"))


def house(results: Path) -> str:
    """How easy the package is to find one's way in, as `python -m tests.house --json` counted it."""
    found = read_result(results, "house")
    told = table(("what", "value", "goal"), [(one["title"], one["value"], _goal(one)) for one in found])
    whys = "\n".join(f"- {one['title']}: {one['why']}." for one in found if one["why"])
    return f"{told}\n\nWhat the counts above their goals are made of:\n\n{whys}"


def _goal(figure: Result) -> str:
    if figure["goal"] is None:
        return ""
    return f"at most {figure['goal']}: {'met' if figure['value'] <= figure['goal'] else 'MISSED'}"
