"""What would help the text cost that reads what was asked: tried on rows to learn from alone, in five parts by prompt.

    python benchmarks/lessons.py --data ROWS.jsonl.gz --answers ANSWERS.jsonl --measure MORE.jsonl.gz

Each part is judged by a head that has not learned from it, and each head has the threshold that a packaged policy would
give it by its rule: the lowest at which, with 95 % confidence, at most 5 % of the calibration rows of ANSWERS
(`ig-guardrail train answers`) cost anything. Two other rules are tried: 5 % of these rows cost, which is the most that
more of them could allow; and, with that confidence, at most 5 % are over a budget of .05. Rows of the split `test` and
rows that are reserved for judges are not read. No language model is asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from command import publish, run
from numpy.typing import NDArray

from ig_guardrail.costs.encoder.cost import read_encoder_cost
from ig_guardrail.costs.encoder.loading import open_encoder
from ig_guardrail.costs.heads.linear import Scale
from ig_guardrail.costs.heads.words import count_terms
from ig_guardrail.costs.kinds.base import packaged_artifact
from ig_guardrail.evaluate import tables
from ig_guardrail.learn.data.recipes import (
    EVERYDAY,
    MET,
    MET_ORDERS,
    MET_QUESTIONS,
    OWN_ANSWERS,
    REFUSED,
    REFUSED_ORDERS,
    REFUSED_QUESTIONS,
    SENSITIVE,
    choose_rows,
    recipe_named,
    told,
    with_consent,
    with_refusals,
)
from ig_guardrail.learn.data.risky import requests_for_crimes
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.learn.encoder import SHAPE, encoder_scale, peak_score
from ig_guardrail.learn.fitting.fit import inverse_frequency
from ig_guardrail.learn.fitting.logistic import bags_of, fit_joined, sums_of
from ig_guardrail.learn.fitting.prefixes import look_at
from ig_guardrail.learn.fitting.quality import pair_auc
from ig_guardrail.learn.fitting.states import EVERY
from ig_guardrail.learn.fitting.tensor_cache import progress_line
from ig_guardrail.learn.fitting.windows import (
    MOST_LOOKS,
    PENALTY,
    WindowSamples,
    read_requests,
    read_vectors,
    sample_windows,
)
from ig_guardrail.learn.heads import BUCKETS
from ig_guardrail.learn.thresholds import surely_allowed
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.workbench.traffic.calibrate import data_sha256

HERE = Path(__file__).parent
OWN = Path(str(files("ig_guardrail.evaluate"))) / "prompt_sets"
SETS = (OWN / "sensitive.jsonl", OWN / "everyday.jsonl")
PARTS = 5
LARGE, FEW = ("DiaSafety", "HateCheck", "t-davidson", REFUSED), 200  # rows of each, by the order of their hashes
JAILBREAKS = "JailbreakBench-artifacts"
MANNERS = ("Alpaca subset", "Dolly subset")  # harmless answers that are measured, and never learned
MILD, CRIMES = MORE = ("harmless beginnings", "own requests for crimes")
SHARE, ROOM, HELP, TONE = 0.05, 0.05, 0.69, 0.62  # of harmless answers; budgets of `default`, and their thresholds

Floats: TypeAlias = NDArray[np.float64]
Rule: TypeAlias = Literal["costs", "costs, of many", "over budget"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a head is taught, and how it reads.

    scale    how freely vectors speak beside words
    l2       the penalty on weights
    product  whether the product of both vectors is read, too
    whole    whether windows are learned to the ends of answers, not only those of the first charge points
    mean     whether the mean of the windows so far counts, not the worst
    more     sources of rows that are learned besides, of MORE
    """

    title: str
    scale: float = 3.0
    l2: float = PENALTY
    product: bool = False
    whole: bool = False
    mean: bool = False
    more: tuple[str, ...] = ()


LESSONS = (
    Lesson("as packaged"),
    Lesson("a penalty ten times as large", l2=10 * PENALTY),
    Lesson("vectors freer", scale=10.0),
    Lesson("the product of request and answer, too", product=True),
    Lesson("windows to the ends of answers", whole=True),
    Lesson("the mean of the windows", mean=True),
    Lesson("harmless beginnings, too", more=(MILD,)),
    Lesson("own requests for crimes, too", more=(CRIMES,)),
    Lesson("both", more=(MILD, CRIMES)),
)
KINDS: Mapping[str, Callable[[LabelledRow], bool]] = {
    f"{JAILBREAKS}, harmful": lambda row: row.source == JAILBREAKS and row.label == "harmful",
    f"{JAILBREAKS}, safe": lambda row: row.source == JAILBREAKS and row.label == "safe",
    "beginnings of help": lambda row: row.source == MET,
    "sensitive, safe": lambda row: row.source == SENSITIVE and row.split != "calibration",
    "Alpaca and Dolly, safe": lambda row: row.source in MANNERS,
}
RULES: tuple[Rule, ...] = ("costs", "costs, of many", "over budget")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Try lessons for the text cost that reads what was asked.")
    parser.add_argument("--answers", type=Path, action="append", required=True, help="a model's harmless answers")
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled rows; may be given again")
    parser.add_argument("--measure", type=Path, action="append", default=[], help="rows that are not learned from")
    parser.add_argument("--cache", type=Path, default=HERE / "out" / "vectors", help="where vectors are kept")
    options = parser.parse_args(arguments)
    food = [row for row in read_rows([*options.data, *options.answers, *SETS]).rows if row.split != "test"]
    manners = [row for row in read_rows(options.measure).rows if row.source in MANNERS and row.response]
    aside = [row for row in manners if row.split == "validation" and not row.reserved]
    read = Reading.of([*chosen_rows(food), *aside], options.cache)
    show = progress_line("trying lessons")
    figures: list[tables.Row] = []
    for number, lesson in enumerate(LESSONS, 1):
        figures += tried(lesson, read)
        show(number, len(LESSONS))
    data = {path.name: data_sha256(path) for path in (*options.data, *options.measure, *options.answers)}
    publish(HERE / "out" / "lessons.json", "Lessons for the head of exchanges", figures, data_sha256=data)
    return 0


def chosen_rows(food: Sequence[LabelledRow]) -> list[LabelledRow]:
    """The rows that the packaged head learns from, fewer of the large sources, and MORE."""
    recipe = recipe_named("harmful-help")
    taught = with_consent(recipe, with_refusals(choose_rows(replace(recipe, safe=()), food), food), food)
    few: dict[str, int] = {}
    found = []
    for row in sorted(taught, key=lambda row: digest_of(row.prompt, row.text)):
        few[row.source] = few.get(row.source, 0) + (row.source in LARGE)
        if few[row.source] <= FEW and (row.source not in LARGE or row.split == "train"):
            found.append(row)
    return [*found, *more_rows(food)]


def more_rows(read: Sequence[LabelledRow]) -> Iterator[LabelledRow]:
    """Beginnings of help in this project's words: after harmless questions, and after its own requests for crimes."""
    asked = {row.prompt for row in read if row.source in (OWN_ANSWERS, SENSITIVE, EVERYDAY) and row.split == "train"}
    for prompt in sorted(one for one in asked if one.strip() and "\n" not in one):
        yield told(LabelledRow(prompt, None, "safe", source=MILD), MET_ORDERS, MET_QUESTIONS)
    for asked_for in (replace(row, source=CRIMES) for row in requests_for_crimes()):
        yield told(asked_for, MET_ORDERS, MET_QUESTIONS)
        yield told(replace(asked_for, label="safe"), REFUSED_ORDERS, REFUSED_QUESTIONS)


def tried(lesson: Lesson, read: Reading) -> Iterator[tables.Row]:
    """What heads taught by `lesson` find in the parts that they have not learned from, by either rule."""
    over: dict[tuple[str, str], list[bool]] = {}
    ranks, limits = [], []
    for part in range(PARTS):
        peaks, scale = read.heard(lesson, part)
        scores = np.array([scale.score(peak) for peak in peaks.tolist()])
        mine = {kind: chosen & (read.parts == part) for kind, chosen in read.kinds.items()}
        for rule in RULES:
            limits.append(limit_of(lowest(scores[read.sets], read.tone, rule)))
            for kind, chosen in mine.items():
                over.setdefault((rule, kind), []).extend((scores[chosen] > limits[-1]).tolist())
        harmless = np.any([chosen for kind, chosen in mine.items() if kind.endswith("safe")], axis=0)
        ranks.append(pair_auc(scores[mine[f"{JAILBREAKS}, harmful"]], scores[harmless]))
    for (rule, kind), found in over.items():
        share = proportion(sum(found), len(found))
        yield tables.row(lesson.title, rule, kind, share.value, (share.low, share.high), share.n)
    yield tables.row(lesson.title, "AUC", f"{JAILBREAKS} against all harmless", float(np.mean(ranks)), None, PARTS)
    for rule, its in zip(RULES, (limits[place :: len(RULES)] for place in range(len(RULES))), strict=True):
        yield tables.row(lesson.title, rule, "score that is over budget", float(np.mean(its)), None, PARTS)


def lowest(scores: Floats, tone: Floats, rule: Rule) -> float:
    """The lowest score, in hundredths, that may count as the threshold, by how few harmless answers it touches."""
    allowed = int(SHARE * len(scores)) if rule == "costs, of many" else surely_allowed(len(scores), SHARE)
    for hundredth in range(1, 100):
        begins = hundredth / 100
        reached, other = (limit_of(begins), TONE + ROOM) if rule == "over budget" else (begins, TONE)
        if int(((scores > reached) | (tone > other)).sum()) <= allowed:
            return begins
    raise ValueError(f"more than {allowed} answers are touched whatever help counts")


def limit_of(begins: float) -> float:
    """The score above which an answer is over a budget of ROOM, where `begins` counts as HELP."""
    return begins + ROOM * (1 - begins) / (1 - HELP)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """All rows, read to their ends by the encoder.

    samples  their windows and charge points
    vectors  (windows, size): of each window, and `asked` of what was asked beside it
    counts   of the words of each window
    early    (windows,): whether a head learns from it as the packaged one does
    parts    (rows,): the part that judges each
    tone     (answers,): the highest score of tone of each answer that sets thresholds
    """

    samples: WindowSamples
    vectors: NDArray[np.float32]
    asked: NDArray[np.float32]
    counts: Sequence[Mapping[int, int]]
    early: NDArray[np.bool_]
    parts: NDArray[np.int64]
    tone: Floats

    @classmethod
    def of(cls, rows: Sequence[LabelledRow], cache: Path) -> Reading:
        """Read `rows`; vectors are kept in `cache`."""
        encoder = open_encoder("minilm", None, "benchmark")
        samples = sample_windows(encoder, [replace(row, split="calibration") for row in rows], SHAPE, exchanges=True)
        samples = replace(
            samples,
            rows=tuple(rows),
            windows=replace(samples.windows, rows=tuple(rows)),
            looks=replace(samples.looks, rows=tuple(rows)),
        )
        early = np.zeros(len(samples.texts), dtype=bool)
        for point, full, opened in zip(samples.looks.points.tolist(), samples.full, samples.open, strict=True):
            if point <= MOST_LOOKS * EVERY:
                early[[*full, *opened]] = True
        tone = read_encoder_cost(packaged_artifact("encoder", "toxic-tone"), encoder, "tone", ("hte",))
        sets = [row for row in rows if sets_thresholds(row)]
        return cls(
            samples,
            read_vectors(encoder, samples.texts, cache),
            read_requests(encoder, samples.asked, cache),
            [count_terms(text, BUCKETS) for text in samples.texts],
            early,
            np.array([int(digest_of(row.prompt, row.text)[:8], 16) % PARTS for row in rows]),
            np.array([peak_score(tone, row.text) for row in sets]),
        )

    @property
    def sets(self) -> NDArray[np.bool_]:
        return np.array([sets_thresholds(row) for row in self.samples.rows])

    @property
    def kinds(self) -> Mapping[str, NDArray[np.bool_]]:
        return {kind: np.array([fits(row) for row in self.samples.rows]) for kind, fits in KINDS.items()}

    def heard(self, lesson: Lesson, part: int) -> tuple[Floats, Scale]:
        """(rows,): the highest logit of each row by a head that has not learned from `part`; and its score curve."""
        rows = tuple(
            replace(row, split="train" if learns(lesson, row) and own != part else "validation")
            if row.split in ("train", "validation")
            else row
            for row, own in zip(self.samples.rows, self.parts.tolist(), strict=True)
        )
        counted = [count_terms(row.text, BUCKETS) for row in rows]
        frequency = inverse_frequency(look_at(rows, [(0,) for _ in rows]), counted, BUCKETS)
        windows, looks = (replace(one, rows=rows) for one in (self.samples.windows, self.samples.looks))
        trained = windows.of_rows([row.split == "train" for row in rows])
        trained = trained if lesson.whole else trained[self.early[trained]]
        features = np.concatenate(
            [self.vectors, self.asked, *([self.vectors * self.asked] if lesson.product else [])], 1
        )
        learned = bags_of([self.counts[place] for place in trained.tolist()], frequency)
        labels = windows.labels(trained)
        line, weight = fit_joined(features[trained], lesson.scale, learned, BUCKETS, labels, lesson.l2)
        logits = features @ line.weight + sums_of(bags_of(self.counts, frequency), weight) + line.bias
        at_looks = self._means(logits) if lesson.mean else self.samples.at_looks(logits)
        return looks.peaks(at_looks), encoder_scale(looks, at_looks)

    def _means(self, logits: Floats) -> Floats:
        pairs = zip(self.samples.full, self.samples.open, strict=True)
        return np.array([logits[[*full, *opened]].mean() for full, opened in pairs])


def sets_thresholds(row: LabelledRow) -> bool:
    return row.source == OWN_ANSWERS and row.split == "calibration"


def learns(lesson: Lesson, row: LabelledRow) -> bool:
    """Whether a lesson has a row, which is of a split to learn from."""
    return row.source not in MANNERS and (row.source not in MORE or row.source in lesson.more)


if __name__ == "__main__":
    run(main)
