"""Which processor something was measured on: bfloat16 is a matter of milliseconds or of tens of them by what it has."""

from __future__ import annotations

import platform
from pathlib import Path

_KINDS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}
_FACTS = Path("/proc/cpuinfo")


def processor() -> str:
    """The machine's kind, and on Linux the name and the widest arithmetic of its processor."""
    facts = _FACTS.read_text(encoding="utf-8") if _FACTS.is_file() else ""
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in facts.splitlines())}
    flags = told.get("flags", "").split()
    known = [told.get("model name", ""), next((name for flag, name in _KINDS.items() if flag in flags), "")]
    named = ", ".join(filter(None, known))
    return f"{platform.machine()} ({named})" if named else platform.machine()
