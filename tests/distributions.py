"""Distributions that declare cost models, as an installer leaves them: a module, and metadata beside it."""

from __future__ import annotations

from pathlib import Path

MODULE = """
class Shouting:
    granularity, reading, layers, longest_match = "block", "level", (), 0

    def __init__(self, name, hazards, options):
        self.name, self.hazards, self.sha256 = name, hazards, "by hand"
        self.share = float(options.get("share", "1"))

    def start(self, prompt):
        return ""

    def advance(self, steps):
        return [(known + piece.text, (self.share * (known + piece.text).isupper(),)) for known, piece in steps]

def breaking(name, hazards, options):
    raise OSError("no such file")

not_callable = 3
"""


def install(folder: Path, distribution: str, version: str, module: str = "shouting_costs") -> None:
    """A distribution as an installer leaves it."""
    (folder / f"{module}.py").write_text(MODULE)
    facts = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    names = (
        "shouting = {}:Shouting",
        "house-rules = {}:Shouting",
        "breaking = {}:breaking",
        "number = {}:not_callable",
        "absent = {}:absent",
    )
    declared = "\n".join(name.format(module) for name in names)
    (facts / "entry_points.txt").write_text(f"[ig_guardrail.cost_models]\n{declared}\n")
