"""How this machine's kernels add, tried once and kept in the store: a start is quicker by what need not be tried again.

What a trial finds depends on the processor, on the builds of libraries, on the threads, and on our own code. All that
it depends on names the file that its result is kept in, so that whatever is changed is tried anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from ig_guardrail.engine.loading.store import note_down, noted, store_folder
from ig_guardrail.errors import GuardrailError

TrialResult: TypeAlias = bool | int | str | list[int] | None

_SETTINGS = ("ONEDNN_", "DNNL_", "MKL_", "OMP_", "KMP_", "GOMP_", "ATEN_", "TORCH_")  # of kernels, in the environment
_CHANGING = ("processor", "cpu MHz", "bogomips", "apicid", "initial apicid", "core id", "physical id")


class Trials:
    """Results by the names of their trials.

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
        """Write down what was found since."""
        if self._file is not None and len(self._found) > self._kept:
            note_down(self._file, json.dumps(_kept_in(self._file) | self._found, indent=1))
            self._kept = len(self._found)


def trials_under(facts: Iterable[object]) -> Trials:
    """Those that were made where the same facts held; where there is no place for a store, nothing is kept."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{fact}\0".encode())
    try:
        return Trials(store_folder() / "trials" / f"{digest.hexdigest()}.json")
    except GuardrailError:
        return Trials()


def kept_trials() -> Trials:
    """Those of torch's kernels and ours, on this machine as it is now."""
    return trials_under(_facts())


def _kept_in(file: Path) -> dict[str, TrialResult]:
    try:
        found = json.loads(noted(file))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _facts() -> Iterator[object]:
    import torch

    yield from (torch.__version__, torch.__config__.show(), torch.backends.cpu.get_cpu_capability())
    yield from (version("transformers"), version("llvmlite"), platform.machine(), platform.platform())
    yield torch.get_num_threads()
    yield from sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(_SETTINGS))
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
        yield from (line for line in first.splitlines() if not line.startswith(_CHANGING))
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        yield hashlib.sha256(file.read_bytes()).hexdigest()
