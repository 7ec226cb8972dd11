"""Paths as people write them. A process may have no home: in a container, under a number that is no user's."""

from __future__ import annotations

import os
from pathlib import Path

from ig_guardrail.errors import GuardrailError


def expanded(path: str | Path) -> Path:
    """A path with the home that `~` or `~name` stands for; as it is where nobody knows one."""
    return Path(os.path.expanduser(path))


def home(setting: str) -> Path:
    """This user's home. Raises GuardrailError where there is none; `setting` says what can be set instead."""
    found = expanded("~")
    if found == Path("~"):
        raise GuardrailError(
            "this user has no home folder",
            where="HOME",
            why="what is kept from one run to the next lies there",
            fix=f"set HOME, or {setting} to a folder that may be written to",
        )
    return found
