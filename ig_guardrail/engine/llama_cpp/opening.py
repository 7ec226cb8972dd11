"""From a choice to a running engine of a GGUF file, which everyone in the process shares."""

from __future__ import annotations

import os
from pathlib import Path

from ig_guardrail.engine.decoding.pages import machine_memory
from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.llama_cpp.engine import LlamaCppEngine
from ig_guardrail.engine.llama_cpp.library import library
from ig_guardrail.engine.llama_cpp.model import GgufModel
from ig_guardrail.engine.llama_cpp.tokenizer import GgufTokenizer
from ig_guardrail.engine.loading.embedded import packed_file
from ig_guardrail.engine.loading.facts import ModelFacts, template_facts
from ig_guardrail.engine.loading.gguf import SUFFIX, packed_sha256
from ig_guardrail.engine.loading.loaded import Registry
from ig_guardrail.engine.loading.models import EMBEDDED, check_revision
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.fields.paths import expanded
from ig_guardrail.types import GenerationDefaults

NAME = "llama.cpp"
OPTIONS = ("threads", "memory")  # of a step; MiB of all conversations together

_REGISTRY: Registry[LlamaCppEngine] = Registry()  # process-wide: weights are too large to hold twice


def open_llama_cpp(choice: EngineChoice) -> LlamaCppEngine:
    """The engine of a GGUF file, or of the embedded one.

    Raises MissingExtra, ModelError for what is no such file, and RequestError for what llama.cpp is not told by us.
    """
    library()
    choice.check_options(NAME, OPTIONS)
    _check(choice)
    file = _file_of(choice.model)
    threads = _number(choice, "threads", usual_threads(), 256)
    memory = _number(choice, "memory", usual_memory(), 1 << 24)
    key = (str(file.resolve()), threads, memory)
    engine = _REGISTRY.get(key, lambda: _load(file, choice.model, threads, memory))
    return engine if choice.context is None else engine.with_context(choice.context)


def facts_of_file(model: str) -> ModelFacts:
    """What a GGUF file says of itself."""
    file = _file_of(model)
    opened = GgufModel(file, model)
    tokenizer = GgufTokenizer(opened)
    return ModelFacts(
        folder=file,
        revision=None,
        context=opened.context,
        defaults=GenerationDefaults(),
        ends=tuple(tokenizer.convert_ids_to_tokens(end) for end in tokenizer.ends()),
        template=template_facts(tokenizer),
    )


def usual_threads() -> int:
    """Those of $OMP_NUM_THREADS, or one for each processor that this process may use."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(told) if told.isdigit() and int(told) > 0 else here


def usual_memory() -> int:
    """Half of the machine's, MiB."""
    return machine_memory() >> 21


def _file_of(model: str) -> Path:
    file = packed_file() if model == EMBEDDED else expanded(model)
    if file.suffix != SUFFIX or not file.is_file():
        raise ModelError(
            f"'{model}' is no {SUFFIX} file",
            where=f"model '{model}'",
            why="llama.cpp runs GGUF files and nothing else",
            fix="check the path, or use engine 'transformers' for folders and hub names",
        )
    return file


def _load(file: Path, name: str, threads: int, memory: int) -> LlamaCppEngine:
    return LlamaCppEngine(GgufModel(file, name), packed_sha256(file), threads, memory << 20)


def _check(choice: EngineChoice) -> None:
    check_revision(choice.model, choice.revision)
    for name, value in (("device", choice.device), ("dtype", choice.dtype), ("weights", choice.weights)):
        if value not in ("auto", "cpu" if name == "device" else "auto"):
            raise RequestError(
                f"{name} is '{value:.80}', and the engine is '{NAME}'",
                where=name,
                why="a GGUF file says what its weights are, and it is run on the CPU",
                fix=f"leave out `{name}`, or use engine 'transformers'",
            )


def _number(choice: EngineChoice, name: str, usual: int, most: int) -> int:
    given = choice.options.get(name, usual)
    number = int(given) if isinstance(given, str) and given.isascii() and given.isdigit() else given
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
        raise RequestError(
            f"engine option '{name}' is {given!r:.80}",
            where="engine_options",
            fix=f"give a whole number from 1 to {most}",
        )
    return number
