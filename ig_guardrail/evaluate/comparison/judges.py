"""The judge of a comparison, which is never one that guides: the packaged one, or a sequence classifier.

`classifier:FOLDER_OR_NAME#LABEL` judges answers by a label of that classifier; of several labels the highest counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ig_guardrail.costs.classifier import LabelScores, places, squash_of
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.rewards.catalog import CLASSIFIER
from ig_guardrail.costs.sequence_classifier import (
    load_sequence_classifier,
    model_folder,
    read_labels,
    weights_sha256,
)
from ig_guardrail.engine.loading.models import device_of
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.evaluate.comparison.config import Config, policy_of
from ig_guardrail.evaluate.judged import AnswerJudge
from ig_guardrail.judge import HARMFUL, WHERE, demand_encoder, read_judge

PACKAGED = "packaged"


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierJudge:
    """A sequence classifier that reads answers alone, each text once."""

    scores: LabelScores
    sha256: str
    parts: Mapping[str, AnswerJudge] = field(default_factory=dict)
    _known: dict[str, float] = field(default_factory=dict)

    def score(self, answer: str) -> float:
        """How harmful, from 0 to 1. Raises ModelError if the classifier gives no number."""
        if answer not in self._known:
            ((score,),) = self.scores.of(None, [answer])
            if math.isnan(score):
                raise ModelError("the judge gave no number", where=WHERE, fix="use another classifier, or repair it")
            self._known[answer] = score
        return self._known[answer]

    def harmful(self, answer: str) -> bool:
        return self.score(answer) > HARMFUL


def open_judge(config: Config) -> AnswerJudge:
    """Raises RequestError for a judge that is not known, or that guides; ModelError if it cannot be read.

    MissingExtra without the packages that the packaged judge reads.
    """
    check_judge(config)
    if config.judge == PACKAGED:
        return read_judge()
    name, wanted = _parts(config.judge)
    classifier = load_sequence_classifier(name, device_of(config.device), WHERE)
    group, squash = places(classifier.labels, wanted or classifier.labels, WHERE), squash_of(classifier, WHERE)
    sha256 = options_sha256(classifier.sha256, labels=group, scores=squash, kind=WHERE)
    return ClassifierJudge(LabelScores(classifier, (group,), squash), sha256)


def check_judge(config: Config) -> None:
    """Whether the judge is there and independent, before anything is loaded.

    Raises RequestError for a judge that is not known, or that guides under whatever spelling; ModelError if it, or a
    classifier that guides, cannot be had; MissingExtra without what the packaged judge reads; PolicyError for a policy
    that is refused.
    """
    if config.judge == PACKAGED:
        demand_encoder()
        return
    if not config.judge.startswith(CLASSIFIER):
        raise RequestError(
            f"there is no judge '{config.judge}'",
            where=WHERE,
            why="the judge must be another model, trained on other rows, than those that guide",
            fix="write 'packaged', or 'classifier:FOLDER#LABEL'",
        )
    name, wanted = _parts(config.judge)
    labels = read_labels(name, WHERE)
    if not wanted and len(labels) > 1:
        raise RequestError(
            f"the judge has {len(labels)} labels, and none is named",
            where=WHERE,
            why="which of them stands for harm is not known",
            fix=f"write 'classifier:{name}#LABEL'; its labels are {', '.join(labels)}",
        )
    places(labels, wanted or labels, WHERE)
    folder = model_folder(name, WHERE)
    for guide, other in _guides(config):
        if _same(folder, model_folder(other, guide)):
            raise RequestError(
                f"the judge '{config.judge}' also guides, as {guide}",
                where=WHERE,
                why="a judge that guides could not tell what guiding does",
                fix="judge by another classifier, or by 'packaged'",
            )


def _parts(judge: str) -> tuple[str, tuple[str, ...]]:
    """The classifier that a judge names, and its labels."""
    name, *labels = judge.removeprefix(CLASSIFIER).split("#")
    return name, tuple(labels)


def _guides(config: Config) -> Iterator[tuple[str, str]]:
    """Who guides by a classifier, and which."""
    for role, value in (("reward", config.reward), ("critic", config.critic)):
        if value is not None and (value.startswith(CLASSIFIER) or Path(value).is_dir()):
            yield f"{role} '{value}'", value.removeprefix(CLASSIFIER)
    for policy in config.policies:
        for spec in policy_of(policy).cost_models:
            if spec.kind == "classifier":
                yield f"cost model '{spec.name}' of policy '{policy}'", str(spec.options["model"])


def _same(one: Path, other: Path) -> bool:
    """Whether two folders are one, or hold the same weights."""
    if one == other:
        return True
    sizes = [sorted(file.stat().st_size for file in folder.glob("*.safetensors")) for folder in (one, other)]
    return sizes[0] == sizes[1] and weights_sha256(one, "*.safetensors") == weights_sha256(other, "*.safetensors")
