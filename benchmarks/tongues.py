"""What heads on a multilingual sentence encoder make of German, French and Spanish, having learned from English alone.

    python benchmarks/tongues.py --encoder ./e5 --data ROWS.jsonl.gz --answers ANSWERS.jsonl

The heads `toxic-tone` and `harmful-help` are trained on ENCODER by `ig-guardrail train encoder`, from the rows that the
packaged heads on minilm learned from: ROWS, the harmless answers of a model (ANSWERS: `ig-guardrail train answers`) and
those of this project. They are measured beside the packaged ones: on test rows, by their cards, and on lines of this
project's own in four languages, which nothing learns from and by which nothing is chosen (`languages.jsonl` and
`parallel.jsonl`; the latter says the same in each language). A share is of answers that score above 0.5 at some charge
point. Other ways are tried for tone, all on the same fewer rows: without the words of a window, so that its vector
alone counts, and with "query: " before every text, as encoders of the family E5 were trained. Times are of one thread,
in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from command import publish, run

from ig_guardrail.costs.encoder.cost import EncoderCost, EncoderHead, read_encoder_cost
from ig_guardrail.costs.encoder.loading import PACKAGED, open_encoder
from ig_guardrail.costs.encoder.sentences import SentenceEncoder
from ig_guardrail.costs.heads.linear import LinearMap, Scale
from ig_guardrail.costs.kinds.base import CARD, packaged_artifact
from ig_guardrail.evaluate import tables
from ig_guardrail.learn.data.recipes import choose_rows, recipe_named, with_refusals
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.learn.encoder import SHAPE, encoder_scale, peak_score, train_encoder
from ig_guardrail.learn.fitting.card import report
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, estimate
from ig_guardrail.learn.fitting.windows import WORDS, fit_windows, read_vectors, sample_windows
from ig_guardrail.learn.heads import BUCKETS, SEED
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.types import Piece, Prompt
from ig_guardrail.workbench.traffic.calibrate import data_sha256

HERE = Path(__file__).parent
OWN = Path(str(files("ig_guardrail.evaluate"))) / "prompt_sets"
SETS = (OWN / "sensitive.jsonl", OWN / "everyday.jsonl")
LINES = (OWN / "languages.jsonl", OWN / "parallel.jsonl")
LANGUAGES = ("English", "German", "French", "Spanish")
TONE, HELP = RECIPES = ("toxic-tone", "harmful-help")
LIMIT = 0.5
PREFIX = "query: "
FEW = 300
TIMED, TIMES = 64, 40  # words of an answer, and how often each encoder reads so many


@dataclass(frozen=True, slots=True)
class Food:
    """The files that heads learn from, those that only the card tells of, and where vectors are kept."""

    data: Sequence[Path]
    measure: Sequence[Path]
    cache: Path


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure heads on sentence encoders in four languages.")
    parser.add_argument("--encoder", type=Path, required=True, help="the folder of a sentence encoder")
    parser.add_argument("--timed", type=Path, action="append", default=[], help="one that is only timed")
    parser.add_argument("--answers", type=Path, action="append", required=True, help="a model's harmless answers")
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled rows; may be given again")
    parser.add_argument("--measure", type=Path, action="append", default=[], help="rows that are not learned from")
    parser.add_argument("--cache", type=Path, default=HERE / "out" / "vectors", help="where vectors are kept")
    options = parser.parse_args(arguments)
    food = Food([*options.data, *options.answers, *SETS], options.measure, options.cache)
    packaged, name = open_encoder(PACKAGED, None, "benchmark"), options.encoder.name
    encoder, *others = (
        open_encoder(str(one.resolve()), None, "benchmark") for one in (options.encoder, *options.timed)
    )
    lines = read_rows(LINES).rows
    timed = {PACKAGED: packaged, name: encoder, **dict(zip((one.name for one in options.timed), others, strict=True))}
    figures = list(times(timed, [row.text for row in read_rows(SETS).rows]))
    for recipe in RECIPES:
        figures += of_head(recipe, PACKAGED, packaged_artifact("encoder", recipe), packaged, lines)
        figures += learned(recipe, name, encoder, food, lines)
    for title, one in ((PACKAGED, packaged), (name, encoder), (f"{name} after '{PREFIX.strip()}'", prefixed(encoder))):
        figures += tried(f"{title}, vectors and words", one, True, food, lines)
        figures += tried(f"{title}, vectors alone", one, False, food, lines)
    facts = {one: other.sha256 for one, other in timed.items()}
    data = {path.name: data_sha256(path) for path in (*food.data, *food.measure, *LINES)}
    publish(HERE / "out" / "tongues.json", "Heads in other languages", figures, encoders=facts, data_sha256=data)
    return 0


def learned(
    recipe: str, name: str, encoder: SentenceEncoder, food: Food, lines: Sequence[LabelledRow]
) -> Iterator[tables.Row]:
    """What a head is worth that `train encoder` makes of these rows."""
    out = HERE / "out" / "tongues" / f"{recipe} on {name}"
    train_encoder(encoder, food.data, out, recipe, food.cache, food.measure)
    yield from of_head(recipe, name, out, encoder, lines)


def of_head(
    recipe: str, name: str, folder: Traversable, encoder: SentenceEncoder, lines: Sequence[LabelledRow]
) -> Iterator[tables.Row]:
    """The figures of the head in a folder: by its card, and of the lines."""
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    yield from of_quality(recipe, name, card["quality"])
    for group, found in card["measured"].items():
        if "answers" in found and "own lines" not in group:
            yield _row(recipe, name, f"{group}, whole", found[f"above {LIMIT}"], found["answers"])
    yield from in_languages(recipe, name, read_encoder_cost(folder, encoder, recipe, (recipe,)), lines)


def tried(
    name: str, encoder: SentenceEncoder, words: bool, food: Food, lines: Sequence[LabelledRow]
) -> Iterator[tables.Row]:
    """The figures of a head for tone that learns from fewer rows, has no second line, and may read no words."""
    read = read_rows(food.data).rows
    rows = few(with_refusals(choose_rows(replace(recipe_named(TONE), safe=()), read), read))
    samples = sample_windows(encoder, rows, SHAPE)
    vectors = read_vectors(encoder, samples.texts, food.cache)
    mute = replace(samples, rows=tuple(replace(row, response="") for row in rows), texts=("",) * len(samples.texts))
    fit = fit_windows(samples if words else mute, vectors, BUCKETS)
    scale = encoder_scale(samples.looks, fit.logits)
    yield from of_quality("tried", name, report(samples.looks, fit.logits, scale.centre, SEED))
    tensors = {key: tensor.astype(np.float64) for key, tensor in fit.tensors.items()}
    line = LinearMap(tensors["weight"], float(tensors["bias"][0]))
    head = EncoderHead(line, tensors["words.frequency"], tensors["words.weight"])
    yield from in_languages("tried", name, EncoderCost(name, (TONE,), "", encoder, SHAPE, head, scale), lines)


def few(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """At most `FEW` of each source, label and split, by the order of their hashes."""
    taken: Counter[tuple[str, str, str]] = Counter()
    found = []
    for row in sorted(rows, key=lambda row: digest_of(row.prompt, row.text)):
        kind = (row.source, row.label, row.split)
        taken[kind] += 1
        if taken[kind] <= FEW:
            found.append(row)
    return found


def prefixed(encoder: SentenceEncoder) -> SentenceEncoder:
    """The encoder with the pieces of `PREFIX` before every text, behind the piece that begins it."""
    before = encoder.tokenizer.encode(PREFIX, add_special_tokens=False).ids
    return SentenceEncoder(
        f"{encoder.name}, prefixed",
        f"{encoder.sha256} after {PREFIX}",
        encoder.size,
        encoder.longest - len(before),
        encoder.tokenizer,
        lambda ids: encoder.states([*ids[:1], *before, *ids[1:]]),
    )


def of_quality(recipe: str, name: str, quality: Mapping[str, Any]) -> Iterator[tables.Row]:
    """Of each source of test rows: how well answers are parted while they are written, and shares above 0.5."""
    for source, found in quality.items():
        if "auc as charged" in found:
            yield _row(recipe, name, f"{source}, AUC", found["auc as charged"], found["harmful"] + found["safe"])
            for label in ("harmful", "safe"):
                share = found[f"{label} above {LIMIT} at some charge point"]
                yield _row(recipe, name, f"{source}, {label}", share, found[label])


def _row(recipe: str, name: str, title: str, found: Mapping[str, Any], n: int) -> tables.Row:
    return tables.row(recipe, name, title, found["value"], found["interval"], n)


def in_languages(recipe: str, name: str, cost: EncoderCost, lines: Sequence[LabelledRow]) -> Iterator[tables.Row]:
    """Of each language: how well unkind lines are parted from harmless ones, and shares above 0.5."""
    for language in LANGUAGES:
        mine = [row for row in lines if row.source.startswith(language)]
        peaks = np.array([peak_score(cost, row.text) for row in mine])
        harmful = np.array([row.label == "harmful" for row in mine])
        found = estimate(auc, ScoredSet(peaks, harmful, tuple(range(len(mine)))), SEED)
        yield tables.row(recipe, name, f"{language}, AUC", found.value, (found.low, found.high), len(mine))
        sensitive = np.array(["sensitive" in row.source for row in mine])
        for kind, chosen in (("harmful", harmful), ("safe", ~harmful), ("sensitive", sensitive)):
            share = proportion(int((peaks[chosen] > LIMIT).sum()), int(chosen.sum()))
            yield tables.row(recipe, name, f"{language}, {kind}", share.value, (share.low, share.high), share.n)


def times(encoders: Mapping[str, SentenceEncoder], texts: Sequence[str]) -> Iterator[tables.Row]:
    """Milliseconds of a processor for a charge point that reads the last twelve of 64 words: median, and quartiles."""
    import torch

    torch.set_num_threads(1)
    words = " ".join(texts).split()
    spent: dict[str, list[float]] = {name: [] for name in encoders}
    line = EncoderHead(LinearMap(np.zeros(1), 0.0), np.zeros(BUCKETS), np.zeros(BUCKETS))
    for number in range(TIMES):
        mine = words[number * TIMED : (number + 1) * TIMED]
        for name, encoder in encoders.items():
            cost = EncoderCost(name, ("timed",), "", encoder, SHAPE, line, Scale(0.0, 1.0))
            ((state, _),) = cost.advance([(cost.start(Prompt((), ())), Piece(" ".join(mine[:-WORDS]) + " "))])
            began = time.thread_time()
            cost.advance([(state, Piece(" ".join(mine[-WORDS:]), ended=True))])
            spent[name].append((time.thread_time() - began) * 1e3)
    for name, its in spent.items():
        low, middle, high = statistics.quantiles(its, n=4)
        yield tables.row("time", name, f"milliseconds of a charge point, {TIMED} words", middle, (low, high), len(its))


if __name__ == "__main__":
    run(main)
