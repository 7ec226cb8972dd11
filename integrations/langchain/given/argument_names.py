"""Arguments of a call under the other names that its tool takes them by: the fields of a class and their aliases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def under_other_names(arguments: Mapping[str, Any], tool: BaseTool | None) -> Iterator[dict[str, Any]]:
    """The arguments with each one that is given under all the names that its tool has for it, one after another.

    Nothing where they have one name each. Of two that are given for one field the tool takes either, so both are there.
    """
    taken = None if tool is None else tool.args_schema
    if not (isinstance(taken, type) and issubclass(taken, BaseModel)):
        return
    for name, field in taken.model_fields.items():
        aliases = list(_aliases(field))
        names = dict.fromkeys((name, *(alias for alias in aliases if isinstance(alias, str))))
        values = [arguments[one] for one in names if one in arguments]
        values += [one.search_dict_for_path(dict(arguments)) for one in aliases if isinstance(one, AliasPath)]
        for value in values:
            if aliases and value is not PydanticUndefined:
                yield {**arguments, **dict.fromkeys(names, value)}


def _aliases(field: FieldInfo) -> Iterator[str | AliasPath]:
    for alias in (field.validation_alias, field.alias):
        if isinstance(alias, AliasChoices):
            yield from alias.choices
        elif alias is not None:
            yield alias
