"""How this machine's kernels add, tried once and kept in the store: a start is quicker by what need not be tried again.

What a trial finds depends on the processor, on the builds of torch and LLVM, on the threads, and on our own code. All
of these name the file that findings are kept in, so that whatever is changed is tried anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import torch

from ig_guardrail.engine.loading.store import is_own, put_in_place, store_folder
from ig_guardrail.errors import GuardrailError

TrialResult: TypeAlias = bool | int | str | list[int] | None

_SETTINGS = ("ONEDNN_", "DNNL_", "MKL_", "OMP_", "KMP_", "GOMP_", "ATEN_", "TORCH_")  # of kernels, in the environment
_CHANGING = ("processor", "cpu MHz", "bogomips", "apicid", "initial apicid", "core id", "physical id")
_LARGEST = 1 << 20  # bytes of a file of findings


class Trials:
    """TrialResults by the names of their trials.

    file  where they are kept; None to forget them with this object
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._found: dict[str, TrialResult] = {} if file is None else _kept_in(file)
        self._kept = len(self._found)

    def find(self, name: str, attempt: Callable[[], TrialResult]) -> TrialResult:
        """What was found, or is found now."""
        if name not in self._found:
            self._found[name] = attempt()
        return self._found[name]

    def keep(self) -> None:
        """Write down what was found since. A store that cannot be written to keeps nothing."""
        if self._file is None or len(self._found) == self._kept:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with put_in_place(self._file) as beside:
                beside.write_text(json.dumps(_kept_in(self._file) | self._found, indent=1))
            self._kept = len(self._found)


def kept_trials() -> Trials:
    """Those of this machine as it is now, in the store; where there is no place for one, nothing is kept."""
    try:
        store = store_folder()
    except GuardrailError:
        return Trials()
    return Trials(store / "trials" / f"{_machine()}.json")


def _kept_in(file: Path) -> dict[str, TrialResult]:
    """What a file holds, if it is this user's and whole."""
    try:
        if not (is_own(file.parent) and is_own(file)) or file.stat().st_size > _LARGEST:
            return {}
        found = json.loads(file.read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _machine() -> str:
    """Names all that findings depend on."""
    digest = hashlib.sha256()
    for part in _facts():
        digest.update(f"{part}\0".encode())
    return digest.hexdigest()


def _facts() -> Iterator[str]:
    yield from (torch.__version__, torch.__config__.show(), torch.backends.cpu.get_cpu_capability())
    yield from (version("transformers"), version("llvmlite"), platform.machine(), platform.platform())
    yield str(torch.get_num_threads())
    yield from sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(_SETTINGS))
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
        yield from (line for line in first.splitlines() if not line.startswith(_CHANGING))
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        yield hashlib.sha256(file.read_bytes()).hexdigest()
