"""A safety model behind an OpenAI-compatible server, which applies the model's own template and tells logprobs.

The verdict's token is found in what the model wrote; its alternatives there are read, so the server must list them. A
verdict that it lists nowhere counts as much as could be left over: a server that tells little never makes a text safe.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ig_guardrail.costs.guards.format import GuardFormat
from ig_guardrail.costs.guards.questions import GuardQuestion, GuardQuestions, windows
from ig_guardrail.costs.guards.verdict import Masses, NoVerdict
from ig_guardrail.costs.remote.endpoint import ScoreEndpoint, UnusableReply

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ROOM = 12_000  # characters of one question
TOP_LOGPROBS = 20  # as many as such servers list
_ROUNDING = 1e-6  # of a logprob above 0


class CharacterRuler:
    """A text, character by character."""

    def edges(self, text: str) -> list[tuple[int, int]]:
        """Each character."""
        return [(place, place + 1) for place in range(len(text))]


@dataclass(frozen=True, slots=True, eq=False)
class ServedGuard:
    """One model of a server. All questions of a call are asked at once."""

    model: str
    asker: GuardQuestions
    endpoint: ScoreEndpoint = field(repr=False)

    def scores(self, questions: Sequence[GuardQuestion]) -> list[float]:
        """The worst window of each question. Raises CostFailure, CostTimeout."""
        asked = [(place, part) for place, one in enumerate(questions) for part in windows(one, ROOM, CharacterRuler())]
        different = list(dict.fromkeys(part for _, part in asked))
        found = self.endpoint.ask([partial(self._asked, part) for part in different])
        scores = dict(zip(different, found, strict=True))
        worst = [0.0] * len(questions)
        for place, part in asked:
            worst[place] = max(worst[place], scores[part])
        return worst

    async def _asked(self, question: GuardQuestion, client: AsyncOpenAI) -> float:
        form = self.asker.form
        variables = self.asker.variables(question)
        before = form.verdict.after + (form.thought.until if form.thought else "")
        messages: Any = self.asker.messages(question)
        reply = await client.chat.completions.with_raw_response.create(
            model=self.model,
            messages=messages,
            temperature=0,
            max_tokens=len(before) + 8 + (form.thought.most if form.thought else 0),
            logprobs=True,
            top_logprobs=TOP_LOGPROBS,
            extra_body={"chat_template_kwargs": variables} if variables else None,
        )
        return read_score(reply.http_response.content, form)


def read_score(content: bytes, form: GuardFormat) -> float:
    """The score in an answer of a server. Raises BadAnswer where it tells none."""
    try:
        masses = _masses(_alternatives(_tokens(content), form), form)
        return masses.score()
    except NoVerdict as error:
        raise UnusableReply(
            str(error), "check that `format` is the model's, and that the server applies its template"
        ) from error


def _tokens(content: bytes) -> list[Any]:
    """The tokens that were written, each with its alternatives."""
    try:
        answer = json.loads(content)
        tokens = answer["choices"][0]["logprobs"]["content"]
    except (ValueError, RecursionError):
        raise UnusableReply("did not answer in JSON", "check `base_url`") from None
    except (KeyError, IndexError, TypeError):
        tokens = None
    if not isinstance(tokens, list) or not tokens:
        raise UnusableReply(
            "told no logprobs", "use a server that tells them (`logprobs`, `top_logprobs`), such as vLLM"
        )
    return tokens


def _alternatives(tokens: Sequence[Any], form: GuardFormat) -> dict[str, float]:
    """The probabilities of what might have stood where the verdict begins: the first words after what comes before."""
    before = f"{form.thought.until if form.thought else ''}{form.verdict.after}".split()
    sign, written = before[-1] if before else "", ""
    for token in tokens:
        text = token.get("token") if isinstance(token, Mapping) else None
        if not isinstance(text, str):
            raise UnusableReply("told tokens without their text", "use a server that answers as OpenAI's do")
        if written.endswith(sign) and text.strip():
            return _probabilities(token)
        written += "".join(text.split())
    raise NoVerdict("wrote no verdict where one is looked for")


def _probabilities(token: Mapping[str, Any]) -> dict[str, float]:
    listed = token.get("top_logprobs")
    found: dict[str, float] = {}
    for one in listed if isinstance(listed, list) else []:
        entry: Mapping[str, Any] = one if isinstance(one, dict) else {}
        text: Any = entry.get("token")
        logprob: Any = entry.get("logprob")
        number = isinstance(logprob, int | float) and not isinstance(logprob, bool)
        if not isinstance(text, str) or not number or not logprob <= _ROUNDING:
            raise UnusableReply("told a logprob that is none", "use a server that answers as OpenAI's do")
        found[text] = found.get(text, 0.0) + math.exp(min(0.0, logprob))
    if not found:
        raise UnusableReply("told no `top_logprobs`", "use a server that lists them, such as vLLM")
    return found


def _masses(found: Mapping[str, float], form: GuardFormat) -> Masses:
    """What verdicts come to among the listed tokens; the pieces that words begin with count for them."""
    place = form.verdict
    meanings = (place.unsafe, place.safe, place.controversial)
    sums = [0.0, 0.0, 0.0]
    for text, probability in found.items():
        piece = text.strip()
        meant = [any(word.strip().startswith(piece) for word in words) for words in meanings] if piece else []
        if sum(meant) == 1:
            sums[meant.index(True)] += probability
    if not any(sums):
        raise NoVerdict("listed no token of a verdict")
    if sums[0] == 0:
        sums[0] = max(0.0, min(1 - sum(found.values()), *found.values()))
    return Masses(*sums)
