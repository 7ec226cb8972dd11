"""The names by which a tool takes its arguments: those of the fields of a class, and their aliases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo

from ig_guardrail.types import ArgumentNames


def names_taken(given: Any) -> tuple[ArgumentNames, ...]:
    """Of each argument that has several names, all of them; () for what is no class, or no tool with one."""
    taken = given.args_schema if isinstance(given, BaseTool) else given
    if not (isinstance(taken, type) and issubclass(taken, BaseModel)):
        return ()
    several = ((name, *_aliases(field)) for name, field in taken.model_fields.items())
    return tuple(tuple(dict.fromkeys(names)) for names in several if len(names) > 1)


def _aliases(field: FieldInfo) -> Iterator[str | tuple[str | int, ...]]:
    for alias in (field.validation_alias, field.alias):
        for one in alias.choices if isinstance(alias, AliasChoices) else (alias,):
            if one is not None:
                yield tuple(one.path) if isinstance(one, AliasPath) else one
