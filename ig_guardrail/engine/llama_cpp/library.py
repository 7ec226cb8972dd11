"""llama.cpp's C functions, by the binding's ctypes layer: one exact version, whose layouts were looked at.

The layouts of its structures change without notice, and a wrong one is memory that is written over. So the version is
pinned, and what it gives for defaults must be what that version gives.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ig_guardrail.errors import ModelError
from ig_guardrail.extras import require

VERSION = "0.3.36"  # of llama-cpp-python, as pyproject.toml pins it
DISTRIBUTION = "llama-cpp-python"
_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "llama_model_default_params": {
        "split_mode": 1,
        "main_gpu": 0,
        "vocab_only": False,
        "check_tensors": False,
        "n_gpu_layers": -1,
        "use_extra_bufts": True,
    },
    "llama_context_default_params": {
        "n_ctx": 512,
        "n_batch": 2048,
        "n_ubatch": 512,
        "n_seq_max": 1,
        "rope_scaling_type": -1,
        "pooling_type": -1,
        "yarn_ext_factor": -1.0,
        "type_k": 1,
        "type_v": 1,
        "offload_kqv": True,
        "op_offload": True,
        "swa_full": True,
        "kv_unified": False,
        "n_samplers": 0,
        "n_outputs_max_per_seq": 1,
        "attention_type": -1,
        "yarn_attn_factor": -1.0,
    },
}
_ERROR = 4  # GGML_LOG_LEVEL_ERROR


@cache
def library() -> Any:
    """The module of its functions, started and checked. Raises MissingExtra, and ModelError for another version."""
    require("llama", DISTRIBUTION, by="engine 'llama.cpp'", where="engine")
    found = metadata.version(DISTRIBUTION)
    if found != VERSION:
        raise _unfit(f"{DISTRIBUTION} is {found}", f"this engine was made for {VERSION} alone")
    from llama_cpp import llama_cpp

    for function, expected in _DEFAULTS.items():
        given = getattr(llama_cpp, function)()
        for name, value in expected.items():
            if getattr(given, name) != value:
                raise _unfit(
                    f"{function} gives {name}={getattr(given, name)!r:.40} where {VERSION} gives {value!r}",
                    "its structures are laid out otherwise, so memory would be written over",
                )
    llama_cpp.llama_backend_init()
    quiet()
    return llama_cpp


def quiet() -> None:
    """Have it log nothing: the C function `abs` takes its place in the log, which needs no Python."""
    from llama_cpp import llama_cpp

    llama_cpp.llama_log_set(_native("abs", llama_cpp.llama_log_callback), ctypes.c_void_p(0))


@contextmanager
def heard() -> Iterator[list[str]]:
    """What it reports as errors meanwhile."""
    llama = library()
    said: list[str] = []

    @llama.llama_log_callback  # type: ignore[untyped-decorator]
    def hear(level: int, text: bytes, _: Any) -> None:
        if level == _ERROR:
            said.append(text.decode("utf-8", "replace").strip())

    llama.llama_log_set(hear, ctypes.c_void_p(0))
    try:
        yield said
    finally:
        quiet()


def switch() -> tuple[Any, Any]:
    """What aborts a step, as the library asks for it, and the byte (0 or 1) that says whether it should.

    The C function `strlen` is asked, whose answer is 0 or 1 then: nothing of Python runs inside a step, which may last
    longer than the interpreter.
    """
    flag = ctypes.create_string_buffer(2)
    return _native("strlen", library().ggml_abort_callback), flag


def build() -> str:
    """The version of the binding and of the library in it, and what of the processor it uses."""
    llama = library()
    version = llama.llama_version().decode()
    used = re.findall(r"(\w+) = 1\b", llama.llama_print_system_info().decode())
    return f"{VERSION} ({version}; {' '.join(sorted(used))})"


def library_files() -> tuple[tuple[str, int, int], ...]:
    """The files of the library: names, sizes and when they were written, which tell one build from another."""
    files = sorted(Path(library()._lib._name).parent.iterdir())
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _native(name: str, kind: Any) -> Any:
    return ctypes.cast(getattr(ctypes.CDLL(None), name), kind)


def _unfit(what: str, why: str) -> ModelError:
    return ModelError(what, where="engine 'llama.cpp'", why=why, fix=f"run `pip install {DISTRIBUTION}=={VERSION}`")
