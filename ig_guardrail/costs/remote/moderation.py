"""A hosted judge: what a moderations endpoint says of the whole answer so far.

A long text is judged in windows that overlap, so that no sentence is cut in both, and the worst one counts. The windows
begin at the same characters however the text was cut, and blank texts score 0 without being asked about. What is sent
is the text without disguises (`normalisation`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.remote.endpoint import ScoreEndpoint, open_client
from ig_guardrail.errors import ModelError
from ig_guardrail.fields.addresses import THIS_MACHINE
from ig_guardrail.text.normalisation import normalise
from ig_guardrail.types import CostModelSpec, Granularity, Piece, Prompt, ScoreKind

OPENAI = "https://api.openai.com/v1"
WINDOW = 8_000  # characters of one text that is asked about
OVERLAP = 1_000
SHARE = 0.9  # of the policy's time limit; the rest is for the thread to come back in


@dataclass(frozen=True, slots=True, eq=False)
class ModerationCost:
    """A level in [0, 1], charged at block points. The state is the answer so far.

    categories  for each hazard, the endpoint's categories that stand for it; the highest score counts
    """

    name: str
    hazards: tuple[str, ...]
    sha256: str
    categories: tuple[tuple[str, ...], ...]
    endpoint: ScoreEndpoint = field(repr=False)
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> str:
        """Nothing of the answer was read; the prompt is not sent."""
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        """Ask about all texts at once, each different one once. Raises CostFailure, CostTimeout."""
        texts = [known + piece.text for known, piece in steps]
        read = {text: windows(normalise(text)) for text in texts}
        asked = list(dict.fromkeys(window for parts in read.values() for window in parts))
        wanted = sorted({category for group in self.categories for category in group})
        found = dict(zip(asked, self.endpoint.judge(asked, wanted), strict=True))
        return [(text, self._worst([found[window] for window in read[text]])) for text in texts]

    def _worst(self, judged: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
        return tuple(
            max((scores[category] for scores in judged for category in group), default=0.0) for group in self.categories
        )


def windows(text: str) -> list[str]:
    """The parts of a text that are asked about: all of it in pieces of at most `WINDOW` characters, less blank ones."""
    starts = range(0, max(1, len(text) - OVERLAP), WINDOW - OVERLAP)
    return [window for start in starts if (window := text[start : start + WINDOW]).strip()]


def moderation_cost(spec: CostModelSpec) -> ModerationCost:
    """The cost model of an `openai` entry. Raises ModelError without the package, the key, or a hazard's categories."""
    model, address = str(spec.options["model"]), str(spec.options["base_url"])
    seconds = spec.timeout_s * SHARE
    client = open_client(address, key_of(spec, address), seconds)
    categories = tuple(_categories(spec, hazard) for hazard in spec.hazards)
    return ModerationCost(
        name=spec.name,
        hazards=spec.hazards,
        sha256=options_sha256("openai", model=model, address=address, hazards=spec.hazards, categories=categories),
        categories=categories,
        endpoint=ScoreEndpoint(spec.name, model, client, seconds),
    )


def key_of(spec: CostModelSpec, address: str) -> str | None:
    """The key in the environment variable that the policy names; an endpoint on this machine may go without.

    OpenAI's own variable is read for OpenAI alone, so that no other host is sent its key unasked.
    """
    variable = spec.options.get("api_key_env") or ("OPENAI_API_KEY" if address == OPENAI else None)
    key = os.environ.get(variable, "").strip() if variable else ""
    if not key and not address.startswith(THIS_MACHINE):
        raise ModelError(
            f"there is no key in the environment variable {variable}" if variable else "no key is named",
            where=f"cost_models.{spec.name}",
            why=f"the endpoint at {address} answers to nobody without one",
            fix=f"set {variable or 'a variable for it'}, and name it with `api_key_env`",
        )
    return key or None


def _categories(spec: CostModelSpec, hazard: str) -> tuple[str, ...]:
    categories = tuple(spec.options["categories"].get(hazard) or ())
    if not categories:
        raise ModelError(
            f"no category of the endpoint stands for '{hazard}'",
            where=f"cost_models.{spec.name}",
            fix=f"add `categories: {{{hazard}: [...]}}`",
        )
    return categories
