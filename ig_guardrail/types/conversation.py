"""What a caller asks with: messages, the prompt they make, and how tokens are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ig_guardrail.types.tools import CallNotation

Reasoning: TypeAlias = Literal["auto", "show", "hide", "off"]

Thinking: TypeAlias = bool | str | None  # whether a model is told to think, or how much, by one of `EFFORTS`

EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")  # the words that models take, the least first

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole call of a tool. id: the name that the model gave it, where it gave one."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """One message of the assistant: words, and the calls behind them. thought: what it thought before them."""

    words: str
    calls: tuple[ToolCall, ...] = ()
    thought: str = ""

    @property
    def parts(self) -> tuple[AssistantMessage, ...]:
        """The thought and what was said behind it, as messages of their own."""
        said = AssistantMessage(self.words, self.calls)
        return (AssistantMessage(self.thought), said) if self.thought else (said,)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation, as plain text.

    said     the messages of the assistant that its turn was made of, where they are known; () leaves it to the text
    call_id  the name of the call whose result a tool's turn is, where it is known
    """

    role: Role
    text: str
    said: tuple[AssistantMessage, ...] = field(default=(), compare=False, repr=False)
    call_id: str | None = field(default=None, compare=False, repr=False)

    @property
    def thought(self) -> str:
        """What the assistant thought before it, where that is known."""
        return "\n\n".join(one.thought for one in self.said if one.thought)


def with_system_text(turns: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """The conversation with words added to its system text; "" adds none."""
    if not text:
        return turns
    if turns and turns[0].role == "system":
        return (Message("system", f"{turns[0].text}\n\n{text}"), *turns[1:])
    return (Message("system", text), *turns)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation and the token ids the model reads for it.

    thinking  whether the model was told to think, or how much; None leaves it to the model's template
    opened    whether the prompt ends within a thought, which the answer goes on with
    notation  how calls in the answer are written
    cache_salt  an engine may keep what it computed for the prompt, and give it to prompts of the same salt; with None
              it neither keeps nor uses any
    """

    turns: tuple[Message, ...]
    ids: tuple[int, ...]
    thinking: Thinking = None
    opened: bool = False
    notation: CallNotation = field(default=CallNotation(), compare=False, repr=False)
    cache_salt: str | None = field(default=None, compare=False, repr=False)


SAMPLING_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_p": (5e-324, 1),
    "top_k": (0, 2**64 - 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
"""The least and the most that a request may ask for, and a model's makers may name."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the unguarded model would be sampled; fixed for the life of a request.

    temperature 0 is greedy. top_k 0 and top_p 1 and min_p 0 are off. `stop` strings end the answer and are not part
    of it. `seed` keys the counter-based generator (one uniform per token, by seed, position, lane and attempt).
    repetition_penalty divides the logits above 0 of tokens that prompt or answer hold, and multiplies those below 0, as
    in `transformers`; 1 is off. frequency_penalty is taken from the logit of a token as often as the answer holds it,
    and presence_penalty once, as in OpenAI's API; 0 is off. `logit_bias` is added behind them: token ids, values.
    `from_model` names those that the caller left to the model's makers.
    `grammar` is a Lark text; with one, every answer has its form, and ends by itself only where the form is complete.
    Neither acts in a thought. A thought of `max_reasoning_tokens` is ended there, so that an answer follows.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    stop: tuple[str, ...] = ()
    seed: int = 0
    max_tokens: int = 256
    grammar: str | None = None
    max_reasoning_tokens: int | None = None
    from_model: tuple[str, ...] = ()

    @property
    def penalises(self) -> bool:
        """Whether what was said changes how the next token is drawn."""
        return self.repetition_penalty != 1 or self.frequency_penalty != 0 or self.presence_penalty != 0


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """How a model's makers would sample it, as far as its files say; None where they do not.

    stop    texts that end an answer, beside those of a request
    banned  tokens that are never drawn, whatever a request asks for
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] = ()
    banned: tuple[int, ...] = ()

    def known(self) -> dict[str, float | int]:
        """The numbers that the files say, by name."""
        numbers = {name: getattr(self, name, None) for name in SAMPLING_RANGES}
        return {name: value for name, value in numbers.items() if value is not None}

    def sampling(self, **asked: Any) -> Sampling:
        """`Sampling` as asked for; what is None or left out is the model's own, else the usual value of `Sampling`."""
        given = {name: value for name, value in asked.items() if value is not None}
        own: dict[str, Any] = {name: value for name, value in self.known().items() if name not in given}
        if self.stop:
            own["stop"] = tuple(dict.fromkeys((*given.pop("stop", ()), *self.stop)))
        return Sampling(**given, **own, from_model=tuple(own))
