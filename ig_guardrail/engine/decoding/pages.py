"""Prompts in pages, as prompt caches know them, and how much of them may be kept."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator, Sequence

from ig_guardrail.errors import RequestError


def page_keys(ids: Sequence[int], salt: str, page: int) -> Iterator[bytes]:
    """The keys of the whole pages of `ids`, in order."""
    key = hashlib.sha256(salt.encode()).digest()
    for start in range(0, len(ids) - page + 1, page):
        key = hashlib.sha256(key + array("q", ids[start : start + page]).tobytes()).digest()
        yield key


def room_for_prompts(memory: int) -> int:
    """Bytes of prompts that an engine keeps: `IG_GUARDRAIL_PROMPT_CACHE` MiB, or a 32nd of the device's memory.

    Raises RequestError if the variable holds no whole number from 0 on.
    """
    given = os.environ.get("IG_GUARDRAIL_PROMPT_CACHE", "").strip()
    if not given:
        return memory // 32
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise RequestError(
            f"IG_GUARDRAIL_PROMPT_CACHE is {given!r:.40}",
            where="environment",
            why="it says how many MiB of prompts are kept in memory, so that what they begin with is read once",
            fix="write a whole number such as 512, or 0 to keep none",
        )
    return int(given) << 20


def machine_memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 16 << 30
