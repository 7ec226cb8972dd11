"""What the packaged policies of three domains stop: everyday answers without need, and harmful ones as they should.

The embedded model answers the questions of benchmarks/domains.yaml unguarded. Three in five answers, by the hash of
the question, set the thresholds of the policies' heads; the others, and test rows of public data, measure the policies.

    python benchmarks/domains.py --data ROWS.jsonl.gz    ask, and measure; writes benchmarks/out/domains.json
    python benchmarks/domains.py ... --write             put the thresholds into policies/*.yaml first
    python benchmarks/domains.py --write                 and measure nothing

What is done is kept under benchmarks/out/domains, so that an interrupted run goes on. ROWS: `docs/cost-models.md` says
which; may be given again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from command import publish, run

from ig_guardrail.drive.prompt_check import score_prompt
from ig_guardrail.drive.runners import finish
from ig_guardrail.evaluate import tables
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.policy import load_policy
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.types import CompiledPolicy, Message
from ig_guardrail.workbench.traffic.bench import Bench, ChargedText, open_bench
from ig_guardrail.workbench.traffic.calibrate import data_sha256
from ig_guardrail.workbench.traffic.texts import TextRow

HERE = Path(__file__).parent
OUT = HERE / "out" / "domains"
WATCHED = HERE / "policies" / "domains.yaml"
POLICIES = HERE.parent / "policies"
RATES: Mapping[str, float] = {"education": 0.10, "health": 0.05, "support": 0.05}
MODELS = {"harmful-help": "help", "toxic-tone": "tone"}  # by budget, the cost model whose threshold is set
HEADS = tuple(MODELS)  # the others are patterns, which score 0 or 1
JAILBREAKS = "JailbreakBench-artifacts"
WORDED = ("ssh", "sxc")  # hazards of questions that patterns look for
INSTRUCTIONS = ("Alpaca subset", "Dolly subset")
MOST = 40  # answers of a kind, which a model reads; questions are read by words, and all of them count
TOKENS, STREAMS, SEED = 56, 16, 7

Peaks: TypeAlias = dict[str, float]  # by budget, or `prompt check`, the highest score at any charge point


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the packaged policies of three domains.")
    parser.add_argument("--data", type=Path, action="append", default=[], help="labelled rows; may be given again")
    parser.add_argument("--write", action="store_true", help="put the thresholds that were found into policies/")
    options = parser.parse_args(arguments)
    if not (options.data or options.write):
        parser.error("give --data, --write or both")
    OUT.mkdir(parents=True, exist_ok=True)
    if options.write:
        for name in RATES:
            set_thresholds(name, ask(name, True))
    if not options.data:
        return 0
    rows = [row for row in read_rows(options.data).rows if row.split == "test"]
    figures: list[tables.Row] = []
    for name in RATES:
        figures += measured(name, ask(name, False), rows)
    data = {path.name: data_sha256(path) for path in options.data}
    publish(HERE / "out" / "domains.json", "Policies of three domains", figures, model="embedded", data_sha256=data)
    return 0


def ask(name: str, sets: bool) -> Path:
    """Recordings of the embedded model's unguarded answers to a domain's questions; what is there is not asked again.

    sets: the questions whose answers set thresholds, three in five by hash; else the others
    """
    domain = yaml.safe_load((HERE / "domains.yaml").read_text(encoding="utf-8"))[name]
    subjects = [" ".join(subject.split()) for subject in domain["subjects"].split(";")]
    questions = [wording.format(subject) for subject in subjects for wording in domain["wordings"]]
    asked = [question for question in questions if (int(digest_of(question, "")[:8], 16) % 5 < 3) is sets]
    prompts, answers, recorded = (OUT / f"{name}-{sets:d}.{what}.jsonl" for what in ("prompts", "answers", "recorded"))
    prompts.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in asked), encoding="utf-8")
    files = ["--prompts", prompts, "--out", answers, "--record", recorded, "--system", domain["system"]]
    how = f"--streams {STREAMS} --seed {SEED} --max-tokens {TOKENS} --temperature 0.7 --top-p 0.95 --record-texts plain"
    command = [sys.executable, "-m", "ig_guardrail", "run", "--policy", WATCHED, *files, *how.split()]
    subprocess.run([str(word) for word in command], check=True)
    return recorded


def set_thresholds(name: str, recorded: Path) -> None:
    """Write the thresholds of a policy's heads, each with its claim, into its file."""
    path = POLICIES / f"{name}.yaml"
    for head in HEADS:
        how = ["--budget", head, "--benign", recorded, "--rate", RATES[name], "--write"]
        command = [sys.executable, "-m", "ig_guardrail", "policy", "calibrate", path, *how]
        subprocess.run([str(word) for word in command], check=True)


def measured(name: str, recorded: Path, rows: Sequence[LabelledRow]) -> Iterator[tables.Row]:
    """What one policy stops of everyday answers and questions, and of rows of public data."""
    policy = load_policy(POLICIES / f"{name}.yaml")
    words = open_bench(str(POLICIES / f"{name}.yaml"), None)
    prompts, answers = [], []
    for recording in _lines(recorded):
        heads = {track["model"]: max(score for _, _, score in track["points"]) for track in recording["tracks"]}
        answers.append({head: heads[MODELS[head]] for head in HEADS} | _patterns(words, recording["text"]))
    yield from _shares(name, "everyday answers", answers, _limits(policy))
    for kind, those in _of_kinds(rows, answers=True).items():
        peaks = [_read_by_heads(row) | _patterns(words, row.text) for row in those]
        yield from _shares(name, kind, peaks, _limits(policy))
    prompts = [row["prompt"] for row in _lines(recorded.with_name(recorded.name.replace("recorded", "prompts")))]
    kinds = {"everyday questions": prompts} | {
        kind: [row.prompt for row in those] for kind, those in _of_kinds(rows, answers=False).items()
    }
    for kind, questions in kinds.items():
        yield from _shares(name, kind, [_asked(words, question) for question in questions], _limits(policy))


def _of_kinds(rows: Iterable[LabelledRow], answers: bool) -> Mapping[str, list[LabelledRow]]:
    """Rows by kind: all questions, or at most MOST answers, by the order of their hashes."""
    kinds: dict[str, list[LabelledRow]] = {}
    for row in rows:
        if answers and row.response is not None and (row.label == "harmful" or row.source == JAILBREAKS):
            hazard = f", {row.hazard}" if row.hazard and row.source == "DiaSafety" else ""
            kinds.setdefault(f"{row.label} answers: {row.source}{hazard}", []).append(row)
        elif not answers and row.response is None:
            kinds.setdefault(f"harmful questions: {row.source}", []).append(row)
            if row.hazard in WORDED:
                kinds.setdefault(f"harmful questions: {row.source}, {row.hazard} alone", []).append(row)
        elif not answers and row.source in INSTRUCTIONS:
            kinds.setdefault(f"harmless questions: {row.source}", []).append(row)
    return {
        kind: sorted(those, key=lambda row: digest_of(row.prompt, row.response or ""))[: MOST if answers else None]
        for kind, those in sorted(kinds.items())
    }


@cache
def _heads() -> Bench:
    return open_bench(str(WATCHED), "embedded")


@cache
def _known() -> dict[str, Peaks]:
    return {row["key"]: row["peaks"] for row in _lines(OUT / "heads.jsonl")}


def _read_by_heads(row: LabelledRow) -> Peaks:
    """What the heads say of a row, beside the embedded model; kept, since all three policies have the same heads."""
    key = digest_of(row.prompt, "") + digest_of("", row.text)
    if key not in _known():
        charged = _heads().charge(TextRow(row.text, "rows", row.prompt))
        _known()[key] = {budget: score for budget, score in _peaks(charged).items() if budget in HEADS}
        with (OUT / "heads.jsonl").open("a", encoding="utf-8") as file:
            print(json.dumps({"key": key, "peaks": _known()[key]}), file=file, flush=True)
    return _known()[key]


def _patterns(words: Bench, text: str) -> Peaks:
    """What the patterns of a policy say, which need no model."""
    if not text.strip():
        return {}
    of_heads = {*HEADS, *words.left_out}
    peaks = _peaks(words.charge(TextRow(text, "rows")))
    return {budget: score for budget, score in peaks.items() if budget not in of_heads}


def _peaks(charged: ChargedText) -> Peaks:
    found: Peaks = {}
    for charge in charged.charges:
        found[charge.budget] = max(found.get(charge.budget, 0.0), charge.score)
    return found


def _asked(words: Bench, question: str) -> Peaks:
    check = finish(score_prompt(words.policy.prompt, words.costs, words.engine.encode((Message("user", question),))))
    return {"prompt check": check.score}


def _limits(policy: CompiledPolicy) -> Peaks:
    """The threshold of each budget, all of them bans, and of the prompt check."""
    prompt = {"prompt check": policy.prompt.threshold} if policy.prompt else {}
    return {one.id: one.threshold for one in policy.budgets if one.scope == "response"} | prompt


def _shares(name: str, kind: str, found: Sequence[Peaks], limits: Peaks) -> Iterator[tables.Row]:
    """The share that any budget denies, and that of each one which denies any."""
    counts: dict[str, int] = {}
    for peaks in found:
        over = [budget for budget, score in peaks.items() if score > limits.get(budget, 1)]
        for budget in (*over, *(["any"] if over else [])):
            counts[budget] = counts.get(budget, 0) + 1
    for budget in ("any", *sorted(set(counts) - {"any"})):
        share = proportion(counts.get(budget, 0), len(found))
        yield tables.row(name, budget, kind, share.value, (share.low, share.high), share.n)


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.split("\n") if line]


if __name__ == "__main__":
    run(main)
