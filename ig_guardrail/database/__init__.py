"""PostgreSQL, for what several processes and hosts share: addresses, connections, and tables of a version.

Here stands what needs no driver; `connections` and `migrations` need the extra `postgres`.
"""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.errors import GuardrailError
from ig_guardrail.extras import require

SCHEMES = ("postgresql://", "postgres://")


def is_address(place: object) -> bool:
    """Whether a place is the address of a database, and not a path."""
    return isinstance(place, str) and "://" in place


def demand_postgres(place: str | Path, failure: type[GuardrailError], setting: str, what: str) -> None:
    """Raises `failure` for an address of another kind of database, MissingExtra where there is no driver.

    setting: where the address stands; what: is kept there, as the subject of a sentence
    """
    if not str(place).startswith(SCHEMES):
        raise failure(
            f"{what} cannot be kept at an address of the kind '{str(place).partition('://')[0]:.20}'",
            where=setting,
            fix="give the path of a file, or postgresql://USER@HOST/DATABASE",
        )
    require("postgres", by=f"{what} in PostgreSQL", where=setting)
