"""Writes the tables of benchmarks/results/ into the documents, between markers; no figure is typed by hand.

    python benchmarks/report.py                     fill the documents
    python benchmarks/report.py --check             exit 1 if a document is not current
    python benchmarks/report.py --take              copy benchmarks/out/*.json to benchmarks/results/ first

Wide tables of comparisons are written whole to docs/results/*.csv; the documents show the columns that readers compare.
A marker pair is `<!-- NAME:begin -->` and `<!-- NAME:end -->`, on lines of their own. Which section stands where:
benchmarks/sections/documents.py; how each is written: the modules beside it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from budget_picture import draw
from sections.documents import DOCUMENTS, Sections
from sections.results import RESULTS, ROOT, read_result

from ig_guardrail.evaluate.comparison.report import comma_separated, rows_from

OUT = ROOT / "benchmarks" / "out"
WIDE = ("equal", "hard", "sweep")
TAKEN: Mapping[str, Path] = {  # under benchmarks/out, and where the documents have it from
    "bench.json": RESULTS / "bench.json",
    "prompts/bench.json": RESULTS / "prompts.json",
    "llama/bench.json": RESULTS / "llama.json",
    "start/bench.json": RESULTS / "start.json",
    "steps/bench.json": RESULTS / "steps.json",
    "domains.json": RESULTS / "domains.json",
    "asked.json": RESULTS / "asked.json",
    "brief.json": RESULTS / "brief.json",
    "kinds.json": RESULTS / "kinds.json",
    "lessons.json": RESULTS / "lessons.json",
    "server.json": RESULTS / "server.json",
    "sizing.json": RESULTS / "sizing.json",
    "products.json": RESULTS / "products.json",
    "ledger.json": RESULTS / "ledger.json",
    "tongues.json": RESULTS / "tongues.json",
    "vllm.json": RESULTS / "vllm.json",
    "quality/figures.json": RESULTS / "quality.json",
    **{f"{name}/results.json": RESULTS / f"{name}.json" for name in (*WIDE, "tuning", "words")},
    "second/figures.json": RESULTS / "second-exchange.json",
    "second/results.json": RESULTS / "second.json",
    **{f"equal/{name}": ROOT / "docs" / "images" / name for name in ("front.svg", "traces.svg")},
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Fill the documents' tables from measured results.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a document is not current")
    parser.add_argument("--take", action="store_true", help="copy the last measurements to benchmarks/results/ first")
    options = parser.parse_args(arguments)
    for source, kept in TAKEN.items() if options.take else ():
        if (OUT / source).is_file():
            shutil.copyfile(OUT / source, kept)
    stale = {path: text for path, text in current() if not path.is_file() or path.read_text(encoding="utf-8") != text}
    for path, text in stale.items() if not options.check else ():
        path.write_text(text, encoding="utf-8")
    names = ", ".join(path.name for path in stale) or "nothing"
    print(f"{'not current' if options.check else 'written'}: {names}")
    return 1 if stale and options.check else 0


def current() -> Iterator[tuple[Path, str]]:
    """Every document, every CSV file and the picture of a budget, as it is when it is current."""
    for document, sections in DOCUMENTS.items():
        text = document.read_text(encoding="utf-8")
        if absent := [name for name in sections if f"<!-- {name}:begin -->" not in text]:
            raise ValueError(f"{document.name} has no place for {', '.join(absent)}")
        yield document, fill(text, sections, RESULTS)
    yield ROOT / "docs" / "images" / "budget.svg", draw(read_result(RESULTS, "budget"))
    for name in WIDE:
        yield ROOT / "docs" / "results" / f"{name}.csv", comma_separated(rows_from(read_result(RESULTS, name)["rows"]))


def fill(text: str, sections: Sections, results: Path) -> str:
    """The document with the section of every marker made again. Raises ValueError for a marker without its end."""
    for name, section in sections.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != text.count(end):
            raise ValueError(f"the marker {begin} and its end do not come in pairs")
        body = f"{begin}\n{section(results)}\n{end}".replace("\\", "\\\\")
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", body, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
