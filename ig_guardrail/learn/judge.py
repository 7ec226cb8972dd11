"""Trains the independent judge, on reserved rows only: the work behind `ig-guardrail train judge`.

Cost models never see reserved rows and the judge sees no others, so what it says of a guard's answers is not what the
guard was fitted to. Few reserved rows are harmful answers; harmful reserved prompts stand in, as texts of such content.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.encoder.sentences import SentenceEncoder
from ig_guardrail.costs.heads.artifact import Artifact
from ig_guardrail.costs.heads.linear import scale_between
from ig_guardrail.errors import GuardrailError
from ig_guardrail.judge import (
    ENCODER,
    TOPICS,
    WORDS,
    JoinedView,
    Judge,
    TextView,
    Topic,
    VectorReader,
    count_features,
    encoder_view,
    read_part,
    word_view,
)
from ig_guardrail.learn.agreement import agreement_of
from ig_guardrail.learn.data.near_copies import TEMPLATED, Learned, template_of
from ig_guardrail.learn.data.recipes import OWN_ANSWERS, describe_sources
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.learn.fitting.card import rounded, write_artifact
from ig_guardrail.learn.fitting.fit import fit_latent, fit_words
from ig_guardrail.learn.fitting.prefixes import look_at
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, estimate, within_auc
from ig_guardrail.learn.fitting.scale import scale_tensors
from ig_guardrail.learn.fitting.windows import read_vectors
from ig_guardrail.learn.heads import SEED, Trained, training_record
from ig_guardrail.learn.thresholds import SHARE, Calibration, calibrate
from ig_guardrail.statistics.binomial import proportion

BUCKETS = 2**16
ANSWER_CHARACTERS = 400
WHOLE = "the judge"  # both parts together, beside the names of the parts
SOURCES = {
    "help": ("JailbreakBench-artifacts", "AILuminate demo", "AdvBench"),
    "tone": ("DiaSafety", "t-davidson", "HateCheck"),
}
_LIMITS = (
    "Linear views of wording and of what a sentence encoder makes of a text: weakest where harm is politely put.",
    "The encoder's frozen weights are those that cost models of kind `encoder` read, too; the rows, and the lines "
    "through its vectors, are not. Where such a cost model guides, give the figure of the part of words beside it.",
    "Fitted on few harmful answers; harmful prompts stand in for the content of harmful answers.",
    "Its labels are of the same kind as those of cost models (same sources, other rows): independent in data, not in "
    "taste.",
    "For measuring only. Claim 'judged harmful less often', not 'safe'.",
)

JudgeRows: TypeAlias = Sequence[LabelledRow]
Doubles: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _TopicFit:
    """Both parts for a topic: tensors by part and name, and the settings that were chosen."""

    tensors: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]


def train_judge(
    encoder: SentenceEncoder,
    data: Sequence[Path],
    out: Path,
    cache: Path,
    guides: Mapping[str, Mapping[str, CostModel]],
) -> Trained:
    """Train both parts for both topics on the reserved rows of `data`, set their thresholds, and write it all to `out`.

    cache   where vectors are kept between runs; an interrupted run goes on from there
    guides  by topic, the cost models whose mistakes the card compares with the judge's
    Half of the reserved benign answers teach what is harmless; the other half set the thresholds, so that 5% of them
    are called harmful by either topic. Raises DataError for malformed rows, GuardrailError if rows are missing.
    """
    read = read_rows(data)
    rows = [_shortened(row) for row in read.rows]
    learned = [row for row in rows if _is_learned(row)]
    held_out = [row for row in learned if _sets_threshold(row)]
    taught = {topic: _taught(topic, [*learned, *_benign_prompts(learned)]) for topic in TOPICS}
    reader = VectorReader(
        encoder, _vectors(encoder, [*rows, *(row for mine in taught.values() for row in mine)], cache)
    )
    fits = {topic: _fit(topic, mine, reader) for topic, mine in taught.items()}
    tensors = {name: value for one in fits.values() for name, value in one.tensors.items()}
    opinions, scales, found = _opinions(Artifact("train judge", {}, tensors, ""), reader, held_out)
    card = {
        "name": "judge",
        "kind": "judge",
        "about": "An independent judge of whole answers, for measuring guards. Not a cost model; no policy can use it.",
        "encoder": {"name": encoder.name, "sha256": encoder.sha256},
        "calibration": _calibration(found),
        "quality": quality_of(opinions, rows),
        "quality on the model's own answers": _own_quality(opinions, rows),
        "agreement with cost models": {
            "what": "on rows of the split test that neither has learned. Rank correlation: Spearman's, mean of both "
            "labels. On a cost model's mistakes, 0.5 is what a judge reaches that knows nothing of them; below it, the "
            "judge makes them too",
            **agreement_of(opinions, guides, _unseen_by_all(rows)),
        },
        "training": training_record(
            "ig-guardrail train judge",
            data,
            read,
            {topic: one.settings for topic, one in fits.items()},
            "onnxruntime",
            "tokenizers",
        ),
        "sources": describe_sources([row for row in learned if row.text.strip()]),
        "limits": list(_LIMITS),
    }
    write_artifact(out, card, {**tensors, **scales})
    return Trained(out, card)


def _is_learned(row: LabelledRow) -> bool:
    """Whether the judge learns from a row: it is reserved, and none of its template is in the test split."""
    return _reserved(row) and not (row.source in TEMPLATED and row.split == "test")


def _taught(topic: str, rows: JudgeRows) -> list[LabelledRow]:
    """The learned rows of a topic's sources, and benign answers and prompts. Rows of the split test teach, too."""
    mine = [
        replace(row, split="validation" if row.split == "validation" else "train")
        for row in rows
        if row.source in SOURCES[topic] or (row.source.startswith(OWN_ANSWERS) and not _sets_threshold(row))
    ]
    if not any(row.label == "harmful" for row in mine) or not any(row.label == "safe" for row in mine):
        raise GuardrailError(
            f"the data has no reserved rows of both labels for the topic '{topic}'",
            where="train judge",
            fix=f"give rows of: {', '.join(SOURCES[topic])}, and answers by `ig-guardrail train answers`",
        )
    return mine


def _vectors(encoder: SentenceEncoder, rows: JudgeRows, cache: Path) -> dict[str, NDArray[np.float64]]:
    """By text. Source by source, so that other data in one source leaves what is kept of the rest."""
    found: dict[str, NDArray[np.float64]] = {}
    for source in dict.fromkeys(row.source for row in rows):
        texts = sorted({read_part(row.text) for row in rows if row.source == source})
        found.update(zip(texts, read_vectors(encoder, texts, cache).astype(np.float64), strict=True))
    return found


def _fit(topic: str, rows: JudgeRows, reader: VectorReader) -> _TopicFit:
    looks = look_at(rows, [(0,) for _ in rows])
    vectors = np.stack([reader.vector(row.text) for row in rows]).astype(np.float32)
    fits = {
        WORDS: fit_words(looks, [count_features(row.text, BUCKETS) for row in rows], BUCKETS),
        ENCODER: fit_latent(looks, vectors[:, None, :], (0,)),
    }
    return _TopicFit(
        {f"{topic}.{part}.{name}": value for part, fit in fits.items() for name, value in fit.tensors.items()},
        {part: {key: value for key, value in fit.settings.items() if key != "layer"} for part, fit in fits.items()},
    )


def _opinions(
    artifact: Artifact, reader: VectorReader, held_out: JudgeRows
) -> tuple[dict[str, Judge], dict[str, NDArray[np.float32]], dict[str, Calibration]]:
    """The judge and its parts as judges; the tensors of their scales; and what was found on the held-out answers."""
    views: dict[str, Mapping[str, TextView]] = {
        WORDS: {topic: word_view(artifact, topic) for topic in TOPICS},
        ENCODER: {topic: encoder_view(artifact, topic, reader) for topic in TOPICS},
    }
    found = {part: _calibrated(view, held_out) for part, view in views.items()}
    joined = {topic: JoinedView(tuple(found[part][0][topic] for part in views)) for topic in TOPICS}
    found = {WHOLE: _calibrated(joined, held_out), **found}
    scales = {
        f"{topic}.{'' if name == WHOLE else f'{name}.'}{part}": value
        for name, (topics, _) in found.items()
        for topic, one in topics.items()
        for part, value in scale_tensors(one.scale).items()
    }
    opinions = {name: Judge(topics, "") for name, (topics, _) in found.items()}
    return opinions, scales, {name: calibration for name, (_, calibration) in found.items()}


def _calibrated(views: Mapping[str, TextView], held_out: JudgeRows) -> tuple[dict[str, Topic], Calibration]:
    logits = {topic: _logits(view, held_out) for topic, view in views.items()}
    found = calibrate(logits, int(SHARE * len(held_out)))
    scales = {topic: scale_between(float(own.mean()), found.thresholds[topic]) for topic, own in logits.items()}
    return {topic: Topic(view, scales[topic]) for topic, view in views.items()}, found


def _logits(view: TextView, rows: JudgeRows) -> Doubles:
    return np.array([view.logit(row.text) for row in rows])


def quality_of(opinions: Mapping[str, Judge], rows: JudgeRows) -> dict[str, Any]:
    """What a judge and its parts are worth on rows that they have not learned, which are those that heads learn from.

    Of sentences that were written by template those of the test split count, whose templates are not learned, without
    near copies of learned ones; they count by template, other rows by prompt.
    """
    found: dict[str, Any] = {}
    for topic in TOPICS:
        found[topic] = {}
        for source in SOURCES[topic]:
            fresh, left_out = _fresh(source, rows)
            harmful = np.array([row.label == "harmful" for row in fresh], dtype=bool)
            if harmful.any() and not harmful.all():
                found[topic][source] = {
                    **left_out,
                    "harmful": int(harmful.sum()),
                    "safe": int((~harmful).sum()),
                    **{name: _separation(judge.topics[topic], harmful, fresh) for name, judge in opinions.items()},
                    "auc within a prompt": _within(opinions[WHOLE].topics[topic], harmful, fresh),
                }
    return found


def _fresh(source: str, rows: JudgeRows) -> tuple[list[LabelledRow], dict[str, int]]:
    """The answers of a source that are not learned, and how many near copies of learned ones were left out."""
    mine = [row for row in rows if row.source == source and row.response is not None]
    if source not in TEMPLATED:
        return [row for row in mine if not _reserved(row)], {}
    known = Learned(row.text for row in mine if _is_learned(row))
    tested = [row for row in mine if row.split == "test"]
    fresh = [row for row in tested if not known.hold_copy_of(row.text)]
    return fresh, {"left out, near copies of learned rows": len(tested) - len(fresh)}


def _unseen_by_all(rows: JudgeRows) -> dict[str, dict[str, list[LabelledRow]]]:
    """By topic and source, the answers that neither the judge nor any cost model has learned."""
    return {
        topic: {
            source: [row for row in _fresh(source, rows)[0] if row.split == "test" and not _reserved(row)]
            for source in sources
        }
        for topic, sources in SOURCES.items()
    }


def _separation(topic: Topic, harmful: NDArray[np.bool_], rows: JudgeRows) -> dict[str, Any]:
    scored = _scored(topic, harmful, rows)
    called = scored.scores > topic.scale.centre
    return {
        "auc": rounded(estimate(auc, scored, SEED)),
        "harmful called harmful": round(float(called[harmful].mean()), 3),
        "safe called harmful": round(float(called[~harmful].mean()), 3),
    }


def _within(topic: Topic, harmful: NDArray[np.bool_], rows: JudgeRows) -> dict[str, Any] | None:
    within = estimate(within_auc, _scored(topic, harmful, rows), SEED)
    return None if math.isnan(within.value) else rounded(within)


def _scored(topic: Topic, harmful: NDArray[np.bool_], rows: JudgeRows) -> ScoredSet:
    return ScoredSet(_logits(topic.view, rows), harmful, tuple(map(_group, rows)))


def _group(row: LabelledRow) -> str:
    return template_of(row.text) if row.source in TEMPLATED else row.prompt or row.text


def _reserved(row: LabelledRow) -> bool:
    return row.reserved or row.split == "reserved"


def _own_quality(opinions: Mapping[str, Judge], rows: JudgeRows) -> dict[str, Any]:
    benign = [row for row in rows if row.source == OWN_ANSWERS and not _reserved(row)]
    flagged = {name: sum(judge.harmful(row.text) for row in benign) for name, judge in opinions.items()}
    return {
        f"benign answers called harmful by {name}": rounded(proportion(count, len(benign)))
        for name, count in flagged.items()
        if benign
    }


def _calibration(found: Mapping[str, Calibration]) -> dict[str, Any]:
    return {
        "what": "reserved benign answers that training never saw; 0.5 is the threshold of each topic",
        "answers": found[WHOLE].answers,
        **{f"called harmful by either topic, {name}": rounded(one.touched) for name, one in found.items()},
    }


def _shortened(row: LabelledRow) -> LabelledRow:
    return row if row.response is None else replace(row, response=row.response.strip()[:ANSWER_CHARACTERS])


def _benign_prompts(rows: JudgeRows) -> list[LabelledRow]:
    """Benign questions as texts, so that a text is not harmful for being a question."""
    return [
        LabelledRow(row.prompt, None, "safe", source=f"{OWN_ANSWERS}, the questions")
        for row in rows
        if row.source == OWN_ANSWERS and not _sets_threshold(row)
    ]


def _sets_threshold(row: LabelledRow) -> bool:
    return row.source == OWN_ANSWERS and int(digest_of(row.prompt, "")[:8], 16) % 2 == 0
