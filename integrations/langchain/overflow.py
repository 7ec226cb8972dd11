"""Prompts that are too long, as LangChain knows them, so that what shortens conversations may do so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.exceptions import ContextOverflowError

from ig_guardrail.errors import PromptTooLong


class ContextOverflow(PromptTooLong, ContextOverflowError):
    """A prompt that is too long, under both names."""


@contextmanager
def overflow_told() -> Iterator[None]:
    """Raise ContextOverflow where PromptTooLong is raised."""
    try:
        yield
    except PromptTooLong as error:
        raise ContextOverflow(error.what, where=error.where, why=error.why, fix=error.fix) from error
