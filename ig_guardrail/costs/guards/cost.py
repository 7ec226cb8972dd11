"""A safety model that writes a verdict, as a cost model: a level of the answer so far, after what was asked.

Models that are told a category are asked about each that stands for a hazard, and the worst counts for it. Those that
give one verdict about everything give all hazards the same score: which category they would name is not read, since
they name the first alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ig_guardrail.costs.guards.format import GuardFormat, read_format
from ig_guardrail.costs.guards.local import load_local_guard
from ig_guardrail.costs.guards.questions import NEUTRAL, GuardModel, GuardQuestion, GuardQuestions, Turn, spoken
from ig_guardrail.costs.guards.served import ServedGuard
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.remote.endpoint import ScoreEndpoint, open_client
from ig_guardrail.costs.remote.moderation import SHARE, key_of
from ig_guardrail.errors import ModelError
from ig_guardrail.text.normalisation import normalise
from ig_guardrail.types import CostModelSpec, Granularity, Piece, Prompt, ScoreKind
from ig_guardrail.types.hazards import covers


@dataclass(frozen=True, slots=True)
class GuardState:
    """What was said before, and the answer so far."""

    before: tuple[Turn, ...]
    answer: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class GuardCost:
    """A level in [0, 1], charged at block points.

    categories  for each hazard, the model's categories that stand for it
    asked       those that are asked about one by one; ("",) for one question about everything
    """

    name: str
    hazards: tuple[str, ...]
    sha256: str
    categories: tuple[tuple[str, ...], ...]
    asked: tuple[str, ...]
    with_prompt: bool
    model: GuardModel = field(repr=False)
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> GuardState:
        """Nothing of the answer was read."""
        said = spoken(prompt.turns) if self.with_prompt else ()
        return GuardState(tuple((role, normalise(text)) for role, text in said) or (NEUTRAL,))

    def advance(self, steps: Sequence[tuple[GuardState, Piece]]) -> list[tuple[GuardState, tuple[float, ...]]]:
        """Read all answers so far, each different one once. Raises CostFailure where there is no verdict."""
        heard = [GuardState(said.before, said.answer + piece.text) for said, piece in steps]
        asked = [self._question(state, piece) for state, (_, piece) in zip(heard, steps, strict=True)]
        questions = [one for one in dict.fromkeys(asked) if one.judged[1].strip()]
        rows = [GuardQuestion(one.before, one.judged, code) for one in questions for code in self.asked]
        found = dict(zip(rows, self.model.scores(rows), strict=True)) if rows else {}
        scores = {one: self._by_hazard({code: found[_about(one, code)] for code in self.asked}) for one in questions}
        nothing = (0.0,) * len(self.hazards)
        return [(state, scores.get(one, nothing)) for state, one in zip(heard, asked, strict=True)]

    def _question(self, state: GuardState, piece: Piece) -> GuardQuestion:
        """An answer after what was asked; a turn of the input alone."""
        text = normalise(state.answer)
        return (
            GuardQuestion(state.before, ("assistant", text))
            if piece.role == "assistant"
            else GuardQuestion((), ("user", text))
        )

    def _by_hazard(self, scores: dict[str, float]) -> tuple[float, ...]:
        if "" in scores:
            return (scores[""],) * len(self.hazards)
        return tuple(float(np.max([scores[code] for code in group])) for group in self.categories)  # NaN stays NaN


def guard_cost(spec: CostModelSpec, device: str, base_dir: Path | None) -> GuardCost:
    """The cost model of a `guard` entry.

    device    what a model in this process runs on
    base_dir  where relative paths start; the working directory if None
    Raises ModelError if the model or its format cannot be had, or no category stands for a hazard.
    """
    where = f"cost_models.{spec.name}"
    form = read_format(str(spec.options["format"]), base_dir, f"{where}.format")
    groups = tuple(_group(form, spec, hazard) for hazard in spec.hazards)
    every = tuple(dict.fromkeys(code for group in groups for code in group))
    asker = GuardQuestions(form, every)
    model, identity = _model(spec, asker, device, base_dir)
    with_prompt = spec.options.get("with_prompt") is not False
    return GuardCost(
        name=spec.name,
        hazards=spec.hazards,
        sha256=options_sha256(
            identity,
            kind="guard",
            form=form.model_dump(mode="json"),
            hazards=spec.hazards,
            categories=groups,
            with_prompt=with_prompt,
        ),
        categories=groups,
        asked=every if form.asks_each else ("",),
        with_prompt=with_prompt,
        model=model,
    )


def _model(spec: CostModelSpec, asker: GuardQuestions, device: str, base_dir: Path | None) -> tuple[GuardModel, str]:
    """The model, in this process or behind its server, and what tells it from others."""
    where, name, address = f"cost_models.{spec.name}", str(spec.options["model"]), spec.options.get("base_url")
    if address:
        seconds = spec.timeout_s * SHARE
        client = open_client(str(address), key_of(spec, str(address)), seconds)
        return ServedGuard(name, asker, ScoreEndpoint(spec.name, name, client, seconds)), f"{name} at {address}"
    if spec.options.get("api_key_env"):
        raise ModelError(
            "a key is named, and no server that it would be sent to",
            where=f"{where}.api_key_env",
            why="without `base_url` the model runs in this process",
            fix="add `base_url`, or delete `api_key_env`",
        )
    place = str((base_dir or Path()) / name) if name.startswith((".", "/")) else name
    guard = load_local_guard(place, device, asker, where)
    return guard, guard.sha256


def _group(form: GuardFormat, spec: CostModelSpec, hazard: str) -> tuple[str, ...]:
    """The categories that stand for a hazard: as the policy says, else those of the format. Raises ModelError."""
    where = f"cost_models.{spec.name}"
    written = tuple((spec.options.get("categories") or {}).get(hazard) or ())
    unknown = next((code for code in written if code not in form.categories), None)
    if unknown is not None:
        raise ModelError(
            f"the format has no category '{unknown}'",
            where=f"{where}.categories.{hazard}",
            fix=f"its categories are {', '.join(form.categories)}",
        )
    usual = tuple(code for code, hazards in form.categories.items() if any(_related(hazard, one) for one in hazards))
    if not (written or usual):
        raise ModelError(
            f"no category of the format stands for '{hazard}'",
            where=f"{where}.hazards",
            why=f"its categories are {', '.join(form.categories)}",
            fix=f"add `categories: {{{hazard}: [...]}}`, or leave the hazard to another cost model",
        )
    return written or usual


def _related(one: str, other: str) -> bool:
    """Whether one hazard is the other, or a part of it, as `spc.hlt` is of `spc`."""
    return covers(one, other) or covers(other, one)


def _about(question: GuardQuestion, category: str) -> GuardQuestion:
    return GuardQuestion(question.before, question.judged, category)
