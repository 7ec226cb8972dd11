"""Whether a model can be run here: its shape, told before its weights are read, and that no part of them is missing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from ig_guardrail.engine.kv.copied import empty_cache
from ig_guardrail.engine.loading.context_window import context_of
from ig_guardrail.engine.model import SERVED, Model
from ig_guardrail.errors import ModelError


def shape_of(config: Any, where: str) -> Any:
    """A model of `config` without weights.

    Raises ModelError if this engine does not know where its layers are, or cannot keep its state, or if it reads
    nothing; ValueError for what is no language model.
    """
    from transformers import AutoModelForCausalLM

    _require_writer(config, AutoModelForCausalLM, where)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    try:
        Model(model)
        empty_cache(model.config.get_text_config())
    except ModelError as error:
        raise ModelError(error.what, where=where, why=error.why, fix=error.fix) from None
    if (context_of(config.to_dict()) or 0) < 2:
        raise ModelError(
            "config.json does not say that it reads two tokens or more",
            where=where,
            why="`max_position_embeddings` bounds what prompt and answer have together",
            fix="correct it in config.json",
        )
    return model


def _require_writer(config: Any, auto: Any, where: str) -> None:
    """Raises ModelError unless `transformers` runs it as a model that reads text alone, and goes on with it."""
    kind, text = f"models of type '{config.model_type}'", config.get_text_config()
    if text is not config and (type(config) not in auto._model_mapping or _whole(config, auto)):
        raise ModelError(
            f"{kind} read images or sound as well, and what writes in them is only a part",
            where=where,
            why="language models alone are run here",
            fix=f"use a .gguf file of it, which holds that part; or {SERVED}",
        )
    if type(config) not in auto._model_mapping:
        raise ModelError(
            f"{kind} do not go on with a text, as far as `transformers` knows",
            where=where,
            why="an answer is what a model writes behind a conversation",
            fix=f"use a language model; if this is one, {SERVED}",
        )


def _whole(config: Any, auto: Any) -> bool:
    """Whether `transformers` would make all parts of a model, and not the one that writes."""
    return not issubclass(auto._model_mapping[type(config)].config_class, type(config.get_text_config()))


def require_whole(found: Mapping[str, Any], where: str) -> None:
    """Whether weights made up a model, by what `transformers` found: warns of tensors without a place in it.

    Raises ModelError if some of the model's are missing or of another shape, and would be drawn at random otherwise.
    """
    missing, strange = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    other = [
        f"'{name}' is {tuple(has)} and not {tuple(needs)}" for name, has, needs in sorted(found["mismatched_keys"])
    ]
    if missing or other:
        lacks = f"lack {len(missing)} of the model's tensors, such as '{missing[0]}'" if missing else ""
        fits = f"do not fit the model: {other[0]}" if other else ""
        raise ModelError(
            f"its weights {lacks or fits}",
            where=where,
            why="what is missing would be random numbers, and so would the answers be",
            fix="download the model again, whole; or check that config.json is that of these weights",
        )
    if strange:
        warnings.warn(
            f"{where}: its weights hold {len(strange)} tensors that the model has no place for, such as"
            f" '{strange[0]}'\n"
            "  why: they are left out, and answers are not the model's if config.json is not that of these weights\n"
            "  fix: check config.json",
            stacklevel=2,
        )
