"""Draws the picture of the README from a real run: the first demo scene whose unguarded answer is over budget.

python benchmarks/picture.py    writes docs/images/demo.svg
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from command import run
from rich.console import Console
from rich.text import Text

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.evaluate.arms import arms_of
from ig_guardrail.evaluate.demo.cases import play, scenes
from ig_guardrail.evaluate.demo.view import side_by_side
from ig_guardrail.judge import read_word_judge

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "demo.svg"


def main(_: Sequence[str]) -> int:
    """Play scenes in their order until an unguarded answer is over budget, and draw that one, whatever came of it."""
    console = Console(record=True, width=108, file=io.StringIO(), force_terminal=True)
    arms, judge = arms_of(open_guardrail()), read_word_judge()
    for scene in scenes():
        played = play(scene, arms, judge, lambda side, text: None)
        if played.over:
            break
    console.print(Text("$ ig-guardrail demo", style="bold"))
    console.print(side_by_side(played))
    picture = console.export_svg(title="the first demo scene whose unguarded answer is over budget")
    no_remote_fonts = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # which a viewer would fetch
    PICTURE.write_text(no_remote_fonts, encoding="utf-8")
    return 0


if __name__ == "__main__":
    run(main)
