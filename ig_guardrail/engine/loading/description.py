"""What describes a model in its folder, as `transformers` reads it: the config, the tokenizer, the tokens that end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GENERATION = "generation_config.json"


def config_in(folder: Path) -> Any:
    """The `transformers` config in a folder.

    How the model attends is not taken from it: a file may name a package that its makers trained with.
    """
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config._attn_implementation = None
    return config


def tokenizer_in(folder: Path) -> Any:
    """The `transformers` tokenizer in a folder, with weights or without."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def named_ends(folder: Path) -> Any:
    """What the generation settings name; what the model's config says where they are missing.

    Raises OSError where they cannot be read: answers would run on behind their ends.
    """
    from transformers import GenerationConfig, PretrainedConfig

    if (folder / GENERATION).is_file():
        return GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    said, _ = PretrainedConfig.get_config_dict(folder, local_files_only=True)
    return said.get("eos_token_id", (said.get("text_config") or {}).get("eos_token_id"))
