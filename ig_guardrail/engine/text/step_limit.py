"""A bound on the work of a chat template, which is a program that came with a model's files.

Steps are counted, and not seconds, so that the same conversation is refused on every machine or on none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

MOST_STEPS = 5_000_000  # a second or two; a thousand messages take some hundred thousand
COMPILED = "<template>"  # what Jinja calls the file of a template's code


class TooManySteps(Exception):
    """A template has taken all the steps that it may."""


@contextmanager
def limited_steps(most: int) -> Iterator[None]:
    """Raises TooManySteps inside as soon as this thread has taken `most` steps: calls, and lines of templates.

    A debugger's trace function rests meanwhile.
    """
    left = most

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooManySteps
        return step if frame.f_code.co_filename == COMPILED else None

    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(before)
