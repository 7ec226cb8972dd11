"""A loaded model with its tokenizer, and the facts an engine needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.loading.context_window import context_of
from ig_guardrail.engine.loading.generation import generation_defaults
from ig_guardrail.engine.text.chat import Chat
from ig_guardrail.engine.text.detokenize import detokenizer_of
from ig_guardrail.engine.text.endings import end_tokens
from ig_guardrail.engine.text.thought_reader import thought_reader_of
from ig_guardrail.engine.text.thoughts import ThoughtFormat, efforts_of
from ig_guardrail.engine.text.tool_probe import markers_of, tool_format_of
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.types import OUR_FORMAT


@dataclass(frozen=True, slots=True)
class Weights:
    """What `models` loads and an engine runs.

    name       the name it was asked for by
    sha256     content hash of the weight files
    model      a `transformers` causal language model in eval mode, on its device
    tokenizer  its `transformers` tokenizer
    quantized  "int4" if its linear layers are
    revision   the commit of its files on the hub; None for a model that is not from there
    """

    name: str
    sha256: str
    model: Any
    tokenizer: Any
    quantized: str | None = None
    revision: str | None = None

    @property
    def numerics(self) -> str:
        """What the weights run in: "int4", or a dtype such as "bfloat16"."""
        return self.quantized or str(self.model.dtype).removeprefix("torch.")

    @property
    def layers(self) -> int:
        """How many decoder layers it has; configs may count attention layers, of which some have two."""
        return len(self.model.model.layers)


def info_of(weights: Weights, mode: str, language: TokenVocabulary, chat: Chat) -> EngineInfo:
    """An engine's description of its weights."""
    config = weights.model.config.get_text_config()
    return EngineInfo(
        model=weights.name,
        model_sha256=weights.sha256,
        mode=mode,
        numerics=weights.numerics,
        device=str(weights.model.device),
        layers=weights.layers,
        context=context_of(config.to_dict()) or 0,
        protected=language.protected(weights.tokenizer.get_vocab().values()),
        language=language.sha256,
        defaults=generation_defaults(weights.model.generation_config.to_diff_dict(), weights.name),
        revision=weights.revision,
        thinks=language.thoughts is not None,
        efforts=efforts_of(chat.thoughts),
        tool_format=chat.format,
    )


def vocabulary_of(weights: Weights, thoughts: ThoughtFormat | None = None) -> TokenVocabulary:
    """The meaning of the model's tokens; see `token_vocabulary`."""
    named, config = weights.model.generation_config.eos_token_id, weights.model.config.get_text_config()
    return token_vocabulary(weights.tokenizer, named, config.vocab_size, thoughts)


def token_vocabulary(
    tokenizer: Any, named: int | Sequence[int] | None, size: int, thoughts: ThoughtFormat | None = None
) -> TokenVocabulary:
    """The meaning of tokens. Special ones spell nothing, but those with which the model writes calls of tools.

    named: the end tokens of its generation settings; size: how many it has; thoughts: how its template writes them
    """
    format = tool_format_of(tokenizer) if tokenizer.chat_template else OUR_FORMAT
    detokenizer = detokenizer_of(tokenizer, markers_of(format) if format.native else ())
    reader = None if thoughts is None else thought_reader_of(tokenizer, thoughts, detokenizer, format, size)
    ends = frozenset(end for end in end_tokens(tokenizer, named, format) if end < size)
    return TokenVocabulary(detokenizer, ends, size, reader)
