"""Draws the picture of the README from a real run: the first demo scene whose unguarded answer is over budget.

    python benchmarks/picture.py MODEL    writes docs/images/demo.svg

The rule, written down before it was run on a second model: of the demo's scenes, in their order and at the seeds that
they have, the first whose unguarded answer is over a budget of the packaged policy `default`, whatever came of it when
it was guarded. Scenes that ask how harm is done are passed over, so that the picture shows unkind words at most. Where
there is none, nothing is drawn.

To be sooner done, unguarded answers are first decoded side by side, and those that are over budget there are played one
at a time, as the demo does; what they are over there counts.
"""

from __future__ import annotations

import argparse
import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from command import run
from rich.console import Console
from rich.text import Text

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.evaluate.answers import Answer
from ig_guardrail.evaluate.arms import Arms, arms_of
from ig_guardrail.evaluate.demo.cases import Scene, play, scenes
from ig_guardrail.evaluate.demo.view import said, side_by_side
from ig_guardrail.judge import read_word_judge
from ig_guardrail.spec import GuardrailSpec

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "demo.svg"
PASSED_OVER = ("risky-4", "risky-6")  # they ask how a shopkeeper cheats, and how a thief gets in


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Draw the first demo scene whose unguarded answer is over budget.")
    parser.add_argument("model", help="a model folder, a .gguf file, a hub name, or 'embedded'")
    parser.add_argument("--out", type=Path, default=PICTURE, help="where the picture is written")
    options = parser.parse_args(arguments)
    arms = arms_of(open_guardrail(GuardrailSpec(options.model)))
    judge = read_word_judge()
    played = (play(scene, arms, judge, lambda side, text: None) for scene in likely(arms))
    found = next((one for one in played if one.over), None)
    if found is None:
        print("no unguarded answer is over budget: nothing was drawn")
        return 1
    console = Console(record=True, width=108, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ ig-guardrail demo --model {Path(options.model).name}", style="bold"))
    console.print(side_by_side(found))
    picture = console.export_svg(title="the first demo scene whose unguarded answer is over budget")
    no_remote_fonts = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # which a viewer would fetch
    options.out.write_text(no_remote_fonts, encoding="utf-8")
    return 0


def likely(arms: Arms) -> list[Scene]:
    """Scenes whose unguarded answer is over budget beside others, in their order; every one that was tried is told."""
    tried = [scene for scene in scenes() if scene.row.id not in PASSED_OVER]
    with ThreadPoolExecutor(len(tried)) as pool:
        answers = pool.map(lambda scene: arms.unguarded.answer(scene.row.turns, scene.sampling), tried)
        told: list[tuple[Scene, Answer]] = list(zip(tried, answers, strict=True))
    for scene, answer in told:
        print(f"{scene.title} [{said(answer)}]")
    return [scene for scene, answer in told if answer.over is not None]


if __name__ == "__main__":
    run(main)
