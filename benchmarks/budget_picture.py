"""The picture of docs/budgets.md: what a draft and the answer in its place spend of a budget, from a real run.

python benchmarks/budget_picture.py     runs the policy of the page, and writes benchmarks/results/budget.json
python benchmarks/report.py             draws that as docs/images/budget.svg, and puts the figures into the page
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from command import run

from ig_guardrail.assembly import guard
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.types import Message, Sampling
from ig_guardrail.workbench.traffic.bench import Bench, open_bench
from ig_guardrail.workbench.traffic.texts import TextRow

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "budgets.md"
RESULT = ROOT / "benchmarks" / "results" / "budget.json"
PROMPT, SEED, TOKENS = "Write a rude review of a slow waiter.", 3, 64


def main(_: Sequence[str]) -> int:
    """Answer one prompt twice, with the budget in shadow mode and enforced, and keep what both answers spent."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kindness.yaml"
        file.write_text(policy_of_the_page(), encoding="utf-8")
        bench = open_bench(str(file), "embedded")
    enforced = bench.policy
    watched = replace(enforced, budgets=tuple(replace(one, mode="shadow") for one in enforced.budgets))
    (budget,) = enforced.budgets
    request = GenerationRequest((Message("user", PROMPT),), Sampling(seed=SEED, max_tokens=TOKENS))
    told = {}
    for name, policy in (("draft", watched), ("answer", enforced)):
        *_, last = guard(bench.engine, policy).stream(request)
        told[name] = pieces(bench, last.receipt.text)
    result = {
        "policy": {"name": enforced.name, "version": enforced.version, "sha256": enforced.sha256},
        "prompt": PROMPT,
        "seed": SEED,
        "threshold": budget.threshold,
        "budget": budget.budget,
        "outcome": last.receipt.verdict.outcome,
        "candidates": sum(one.candidates for one in last.receipt.blocks),
        **told,
    }
    RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def policy_of_the_page() -> str:
    """The YAML that docs/budgets.md shows."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, "the page shows no policy"
    return found[1]


def pieces(bench: Bench, text: str) -> list[dict[str, Any]]:
    """What an answer says up to each charge point, what it scores there, what that costs, and what is left."""
    charged = bench.charge(TextRow(text, "the answer", PROMPT))
    found, begin = [], 0
    for line in charged.charges:
        end = charged.node.offsets[line.position - 1]
        if end > begin:
            said = charged.node.text[begin:end]
            found.append(
                {"at": line.position, "says": str(said), "score": line.score, "cost": line.cost, "left": line.z_after}
            )
        begin = end
    return found


# The picture: four columns, one for each charge point. All texts are set in a font whose letters are equally wide.
WIDE, TOP, HIGH, LEFT, COLUMN = 960, 84, 220, 60, 222  # of the picture; of the scores: where, how high; of a column
LETTER, LINE = 7.2, 17  # width and height of a letter of 12 pixels
STYLE = """
    text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1f2328 }
    .title { font-weight: bold } .quiet { fill: #59636e } .denied { fill: #b3261e } .shown { fill: #0b5fc2 }
    .spent { fill: #8a4b00 } .axis { stroke: #59636e } .limit { stroke: #1f2328; stroke-dasharray: 6 4 }
    .way { fill: none; stroke: #0b5fc2; stroke-width: 2 } .dot { fill: #0b5fc2 } .over { fill: #b3261e }
    .excess { fill: #e08a00; fill-opacity: .55 } .lost { fill: #b3261e; fill-opacity: .22 } .coin { fill: #2e9e4f }
    .box { fill: none; stroke: #59636e } .struck { fill: none; stroke: #b3261e; stroke-dasharray: 3 3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .quiet { fill: #9aa4af } .denied { fill: #ff8a80 } .shown { fill: #7db7ff }
      .spent { fill: #ffc069 } .axis, .box { stroke: #9aa4af } .limit { stroke: #e6edf3 } .way { stroke: #7db7ff }
      .dot { fill: #7db7ff } .over { fill: #ff8a80 } .struck { stroke: #ff8a80 }
    }"""


def draw(result: Mapping[str, Any]) -> str:
    """The picture as SVG: scores over the text, what they spend, and what is left of the budget below."""
    return "\n".join(_drawn(result)) + "\n"


def _drawn(result: Mapping[str, Any]) -> Iterator[str]:
    answer, draft = result["answer"], result["draft"]
    denied = next(place for place, one in enumerate(draft) if one["left"] < 0)
    base, granted = TOP + HIGH, result["budget"]
    texts = [_wrapped(one["says"]) for one in answer], _wrapped(draft[denied]["says"])
    gauge = base + 44
    said = gauge + 82
    lost = said + 48 + LINE * max(map(len, texts[0]))
    height = lost + 30 + LINE * len(texts[1])
    label = f"Scores of an answer and of the draft that it replaced, over a threshold of {result['threshold']:g}"
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {height}" role="img" aria-label="{label}">'
    yield f"  <style>{STYLE}\n  </style>"
    yield _text(16, 24, f"“{result['prompt']}” What was drafted, and what was shown instead", "title")
    yield _text(16, 46, f"budget {granted:g}: so much may be spent above the threshold", "quiet")
    yield from _scores(result, answer, draft[: denied + 1], base)
    yield _text(16, gauge + 4, "left of the budget, after each charge point", "quiet")
    for place, one in enumerate(answer):
        yield from _purse(place, gauge + 16, one["left"] / granted, f"{one['left']:.3f} of {granted:g}")
    yield _text(16, said, "shown", "shown title")
    for place, lines in enumerate(texts[0]):
        yield from _said(place, said + 10, lines, "box", max(map(len, texts[0])))
    yield _text(16, lost, "denied: seen by nobody, and nothing is spent for it", "denied title")
    yield from _said(denied, lost + 10, texts[1], "struck", len(texts[1]))
    yield "</svg>"


def _scores(
    result: Mapping[str, Any], answer: Sequence[Mapping[str, Any]], draft: Sequence[Mapping[str, Any]], base: int
) -> Iterator[str]:
    """The threshold, a dot for each score, and a bar for what of it is above the threshold and charged."""
    limit = _height(result["threshold"], base)
    for score in (0, 1):
        yield _text(LEFT - 22, _height(score, base) + 4, str(score), "quiet")
    yield _line(LEFT, base, WIDE - 12, base, "axis") + _line(LEFT, TOP, LEFT, base, "axis")
    yield _text(16, TOP - 14, "score", "quiet")
    yield _line(LEFT, limit, WIDE - 12, limit, "limit")
    yield _text(WIDE - 12 - LETTER * 13, limit - 6, f"threshold {result['threshold']:g}", "")
    for place, one in enumerate(draft):
        x, y = _middle(place) - 40, _height(one["score"], base)
        if one["score"] > result["threshold"]:
            yield f'  <rect class="lost" x="{x - 9}" y="{y:.1f}" width="18" height="{limit - y:.1f}"/>'
        yield f'  <circle class="over" cx="{x}" cy="{y:.1f}" r="5"/>'
        yield _text(x + 14, y - 2, f"draft {one['score']:.2f}", "denied")
        if one["left"] < 0:
            yield _text(x + 14, y + 14, f"would spend {one['cost']:.2f} of {result['budget']:g}:", "denied")
            yield _text(x + 14, y + 30, "denied, and another way taken", "denied title")
    dots = [(_middle(place), _height(one["score"], base)) for place, one in enumerate(answer)]
    for (x, y), one in zip(dots, answer, strict=True):
        if one["cost"] > 0:
            yield f'  <rect class="excess" x="{x - 9}" y="{y:.1f}" width="18" height="{limit - y:.1f}"/>'
            yield _text(x - 30, y - 14, f"spends {one['cost']:.3f}", "spent title")
    yield f'  <polyline class="way" points="{" ".join(f"{x},{y:.1f}" for x, y in dots)}"/>'
    for (x, y), one in zip(dots, answer, strict=True):
        yield f'  <circle class="dot" cx="{x}" cy="{y:.1f}" r="5"/>'
        yield _text(x - 14, max(y, limit) + 22, f"{one['score']:.2f}", "shown")
        yield _text(x - 30, base + 16, f"token {one['at']}", "quiet")


def _purse(place: int, y: int, share: float, told: str) -> Iterator[str]:
    x, width = LEFT + COLUMN * place + 8, COLUMN - 16
    yield f'  <rect class="coin" x="{x}" y="{y}" width="{width * share:.1f}" height="14"/>'
    yield f'  <rect class="box" x="{x}" y="{y}" width="{width}" height="14"/>'
    yield _text(x, y + 32, told, "")


def _said(place: int, y: int, lines: Sequence[str], box: str, rows: int) -> Iterator[str]:
    x = LEFT + COLUMN * place + 8
    yield f'  <rect class="{box}" x="{x}" y="{y}" width="{COLUMN - 16}" height="{rows * LINE + 8}" rx="4"/>'
    yield from (_text(x + 8, y + 16 + LINE * row, line, "") for row, line in enumerate(lines))


def _wrapped(said: str) -> list[str]:
    return textwrap.wrap(" ".join(said.split()), int((COLUMN - 32) / LETTER))


def _middle(place: int) -> int:
    return LEFT + COLUMN * place + COLUMN // 2


def _height(score: float, base: int) -> float:
    return base - HIGH * score


def _text(x: float, y: float, said: str, kind: str) -> str:
    return f'  <text x="{x:g}" y="{y:g}" class="{kind}">{escape(said, quote=False)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'  <line class="{kind}" x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}"/>'


if __name__ == "__main__":
    run(main)
