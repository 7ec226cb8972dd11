"""Pages of prompts: found from the beginning on, never across salts, and forgotten from the end of the oldest."""

from __future__ import annotations

import pytest
import torch

from ig_guardrail.engine.decoding.pages import page_keys, room_for_prompts
from ig_guardrail.engine.kv.prompt_cache import PromptCache, memory_of
from ig_guardrail.errors import RequestError

TOKENS = 8  # of a page
PAGE = torch.zeros(1, 2, 1, TOKENS, 2)
SIZE = PAGE.nbytes


def keys(*pages: int, salt: str = "", rest: int = 0) -> list[bytes]:
    """Of a prompt whose pages hold these numbers, and `rest` tokens behind them."""
    return list(page_keys([number for number in pages for _ in range(TOKENS)] + [9] * rest, salt, TOKENS))


def held(cache: PromptCache, prompt: list[bytes]) -> list[float]:
    return [float(page[0, 0, 0, 0, 0]) for page in cache.find(prompt)]


def keep(cache: PromptCache, prompt: list[bytes]) -> None:
    cache.keep(prompt, lambda number: torch.full_like(PAGE, number))


def test_what_prompts_begin_with_is_found_as_far_as_they_agree() -> None:
    cache = PromptCache(10 * SIZE)
    keep(cache, keys(1, 2, 3, rest=TOKENS - 1))
    assert held(cache, keys(1, 2, 3, 4)) == [0, 1, 2]
    assert held(cache, keys(1, 2, 4)) == [0, 1]
    assert held(cache, keys(2, 3)) == []
    assert held(cache, keys(1, 2, salt="another")) == []
    assert (len(cache), cache.bytes) == (3, 3 * SIZE)


def test_the_oldest_prompt_is_forgotten_first_and_its_end_before_its_beginning() -> None:
    cache = PromptCache(5 * SIZE)
    keep(cache, keys(1, 2, 3))
    keep(cache, keys(4, 5))
    keep(cache, keys(6))
    assert [len(held(cache, prompt)) for prompt in (keys(1, 2, 3), keys(4, 5), keys(6))] == [2, 2, 1]
    held(cache, keys(1, 2))
    keep(cache, keys(7, 8))
    assert [len(held(cache, prompt)) for prompt in (keys(1, 2), keys(4, 5), keys(6), keys(7, 8))] == [2, 0, 1, 2]
    assert cache.bytes == 5 * SIZE


def test_of_a_prompt_that_does_not_fit_the_beginning_is_kept() -> None:
    cache = PromptCache(2 * SIZE + 1)
    for _ in range(2):
        keep(cache, keys(1, 2, 3, 4))
        assert held(cache, keys(1, 2, 3, 4)) == [0, 1]
    nothing = PromptCache(SIZE - 1)
    keep(nothing, keys(1))
    assert (len(nothing), nothing.bytes) == (0, 0)


def test_how_much_is_kept_is_the_operators_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.delenv("IG_GUARDRAIL_PROMPT_CACHE", raising=False)
    assert room_for_prompts(memory_of(cpu)) > 1 << 20
    for given, size in {"0": 0, " 64 ": 64 << 20}.items():
        monkeypatch.setenv("IG_GUARDRAIL_PROMPT_CACHE", given)
        assert room_for_prompts(memory_of(cpu)) == size
    for odd in ("-1", "64MB", "1e3", "\uff19", "9" * 12):
        monkeypatch.setenv("IG_GUARDRAIL_PROMPT_CACHE", odd)
        with pytest.raises(RequestError, match="whole number such as 512"):
            room_for_prompts(memory_of(cpu))
