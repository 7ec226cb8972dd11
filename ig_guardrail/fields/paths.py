"""Paths as people write them. A process may have no home: in a container, under a number that is no user's."""

from __future__ import annotations

import os
from pathlib import Path

from ig_guardrail.errors import GuardrailError


def expanded(path: str | Path) -> Path:
    """A path with the home that `~` or `~name` stands for; as it is where nobody knows one."""
    return Path(os.path.expanduser(path))


def kept_in(setting: str, shared: str, below: str) -> Path:
    """Where the package keeps things: $`setting`, else $`shared`/ig-guardrail, else ~/`below`/ig-guardrail.

    Raises GuardrailError where that takes a home that nobody knows.
    """
    chosen, base = os.environ.get(setting), os.environ.get(shared)
    found = expanded(chosen or f"{base or f'~/{below}'}/ig-guardrail")
    if str(found).startswith("~"):
        raise GuardrailError(
            f"'{chosen}' is in a home that nobody knows" if chosen else "this user has no home folder",
            where=setting if chosen else "HOME",
            why="what is kept from one run to the next lies there",
            fix=f"set HOME, or {setting} to a folder that may be written to",
        )
    return found
