"""What a model's folder says of its tokens, for the process that asks and the one that draws: both read the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.loading.weights import token_vocabulary
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.engine.text.vocabulary import TokenVocabulary


@dataclass(frozen=True, slots=True)
class ModelText:
    """Its tokenizer, chat template, and tokens. generation: how its makers would sample it."""

    tokenizer: Any
    chat: Chat
    language: TokenVocabulary
    generation: dict[str, Any]


def read_text(folder: Path, size: int) -> ModelText:
    """The texts of a model of `size` tokens. Raises OSError and ValueError for a folder that is none's."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if (folder / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
        else:  # as `transformers` does
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            generation = GenerationConfig.from_model_config(config)
    chat = chat_of(tokenizer)
    language = token_vocabulary(tokenizer, generation.eos_token_id, size, chat.thoughts)
    return ModelText(tokenizer, chat, language, generation.to_diff_dict())
