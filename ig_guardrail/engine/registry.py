"""Which engine runs a model: each kind is a line here, and a room of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.kinds import EngineChoice, EngineKind
from ig_guardrail.errors import RequestError
from ig_guardrail.extras import EXTRAS, missing, require

if TYPE_CHECKING:
    from ig_guardrail.engine.loading.facts import ModelFacts

AUTO = "auto"


def _open_transformers(choice: EngineChoice) -> Engine:
    from ig_guardrail.engine.loading.models import load_engine

    choice.check_options("transformers", ())
    engine = load_engine(
        choice.model, device=choice.device, dtype=choice.dtype, weights=choice.weights, revision=choice.revision
    )
    return engine if choice.context is None else engine.with_context(choice.context)


def _open_llama_cpp(choice: EngineChoice) -> Engine:
    require("llama", by="engine 'llama.cpp'", where="engine")
    from ig_guardrail.engine.llama_cpp.opening import open_llama_cpp

    return open_llama_cpp(choice)


def _facts_of_packed(model: str) -> ModelFacts:
    from ig_guardrail.engine.llama_cpp.opening import facts_of_file

    return facts_of_file(model)


def _is_packed(model: str) -> bool:
    """A GGUF file, where what runs it is installed."""
    return model.endswith(".gguf") and not missing(EXTRAS["llama"])


LLAMA_CPP = EngineKind(
    "llama.cpp",
    "in this process, by llama.cpp, on a CPU and without torch",
    _open_llama_cpp,
    _is_packed,
    facts=_facts_of_packed,
)


def _open_vllm(choice: EngineChoice) -> Engine:
    from ig_guardrail.engine.vllm.opening import open_vllm

    return open_vllm(choice)


VLLM = EngineKind("vllm", "in vLLM, many requests at once, on GPUs or a CPU", _open_vllm, lambda model: False)

TRANSFORMERS = EngineKind(
    "transformers", "in this process, by torch, on a CPU or a GPU", _open_transformers, lambda model: True, exits=True
)


def _open_served(choice: EngineChoice) -> Engine:
    from ig_guardrail.engine.openai_compatible.opening import open_choice

    return open_choice(choice)


OPENAI_COMPATIBLE = EngineKind(
    "openai_compatible",
    "on a server: vLLM, llama.cpp's llama-server, or what answers as they do",
    _open_served,
    lambda model: False,  # it takes an address, which `auto` does not have
)

ENGINES: Mapping[str, EngineKind] = {  # the first that fits a model runs it
    kind.name: kind
    for kind in (
        LLAMA_CPP,
        TRANSFORMERS,  # fits any
        OPENAI_COMPATIBLE,
        VLLM,  # where it is named
    )
}


def engine_kind(name: str, model: str) -> EngineKind:
    """The kind that `name` stands for; with "auto", the first that fits the model. RequestError for no such name."""
    if name == AUTO:
        return next(kind for kind in ENGINES.values() if kind.fits(model))
    if name not in ENGINES:
        raise RequestError(
            f"there is no engine '{name:.80}'",
            where="engine",
            fix=f"use one of: {', '.join((AUTO, *ENGINES))}",
        )
    return ENGINES[name]
