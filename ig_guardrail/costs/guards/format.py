"""A format file: how a family of safety models is asked, where its verdict stands, and what its categories mean.

It is YAML of one document, without anchors, and every key is known. Texts may name `{code}` and `{text}`, the category
that is asked about: then it is asked about one at a time. `{categories}` stands for a list of all of them, and `{who}`
for whose text is judged, "user" or "assistant".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ig_guardrail.errors import ModelError, brief
from ig_guardrail.types.hazards import FORM

FORMAT = "ig-guardrail/guard/v1"
PACKAGE = "ig_guardrail.costs.guards.formats"
SUFFIX = ".yaml"
MOST_BYTES = 64 * 1024

Line = Annotated[str, Field(min_length=1, max_length=200)]
Marker = Annotated[str, Field(min_length=2, max_length=200, pattern=r"^\S.*\S$")]
Text = Annotated[str, Field(max_length=20_000)]
Hazard = Annotated[str, Field(pattern=f"^(?:{FORM.pattern})$")]

_PLACE = re.compile(r"\{(code|text|categories|who)\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VerdictPlace(_Strict):
    """after: what the model has written before its verdict; the words that verdicts begin with, as they follow it."""

    after: str = Field("", max_length=500)
    unsafe: tuple[Line, ...] = Field(min_length=1, max_length=16)
    safe: tuple[Line, ...] = Field(min_length=1, max_length=16)
    controversial: tuple[Line, ...] = Field((), max_length=16)


class VerdictThoughts(_Strict):
    """What a model writes before `after`: up to `until`, `most` tokens at most; then `otherwise` is written for it."""

    until: Line
    most: int = Field(ge=1, le=4096)
    otherwise: Line


class GuardFormat(_Strict):
    """A checked format file.

    layout         the conversation as turns of the template, or as a transcript in one message of the user
    system, closing  a message before and behind it
    template       variables of the chat template
    chat_template  Jinja, for models whose tokenizers have none
    markers        what no judged text may hold as it is, besides special tokens
    categories     by the model's name for it, the hazards that it stands for
    texts          by category, what it says, for models that are told
    """

    format: Literal["ig-guardrail/guard/v1"]
    title: Line
    layout: Literal["turns", "transcript"] = "turns"
    system: Text | None = None
    closing: Text | None = None
    template: dict[str, Any] = Field(default_factory=dict, max_length=32)
    chat_template: Text | None = None
    markers: tuple[Marker, ...] = Field((), max_length=64)
    verdict: VerdictPlace
    thought: VerdictThoughts | None = None
    categories: dict[Line, tuple[Hazard, ...]] = Field(min_length=1, max_length=256)
    texts: dict[Line, Text] = Field(default_factory=dict, max_length=256)

    @property
    def asks_each(self) -> bool:
        """Whether one question is about one category."""
        named = {name for text in _texts([self.system, self.closing, self.template]) for name in _PLACE.findall(text)}
        return bool(named & {"code", "text"})

    def filled(self, value: Any, category: str, categories: Sequence[str], who: str) -> Any:
        """A text, or what holds texts, with the places in it filled."""
        if isinstance(value, Mapping):
            return {key: self.filled(one, category, categories, who) for key, one in value.items()}
        if isinstance(value, list):
            return [self.filled(one, category, categories, who) for one in value]
        if not isinstance(value, str):
            return value
        listed = "\n".join(f"- {self.texts.get(code) or code}" for code in categories)
        words = {"code": category, "text": self.texts.get(category, category), "categories": listed, "who": who}
        return _PLACE.sub(lambda found: words[found[1]], value)


def packaged_formats() -> tuple[str, ...]:
    """The names of the formats that come with the package, sorted."""
    names = (entry.name for entry in files(PACKAGE).iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)))


def read_format(name: str, base_dir: Path | None, where: str) -> GuardFormat:
    """The packaged format of that name, else the one in the file of that path.

    base_dir  where relative paths start; the working directory if None
    Raises ModelError, which names the key at fault.
    """
    if name in packaged_formats():
        return parse_format(files(PACKAGE).joinpath(name + SUFFIX).read_bytes(), where)
    path = (base_dir or Path()) / name
    near = difflib.get_close_matches(name, packaged_formats(), n=1)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModelError(
            f"there is no format '{name}'",
            where=where,
            why=f"it is no packaged name ({', '.join(packaged_formats())}), and {path} cannot be read",
            fix=f"write '{near[0]}'" if near else "write a packaged name, or the path of a format file",
        ) from error
    return parse_format(content, where)


def parse_format(content: bytes, where: str) -> GuardFormat:
    """The format that a file says. Raises ModelError."""
    if len(content) > MOST_BYTES:
        raise ModelError(
            f"the format file is larger than {MOST_BYTES >> 10} KiB", where=where, fix="is it the right file?"
        )
    try:
        return GuardFormat.model_validate(yaml.load(content.decode("utf-8"), _Loader))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise _unreadable(where, f"`{key}`: {first['msg']}" if key else str(first["msg"])) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(where, brief(error)) from error


class _Loader(yaml.SafeLoader):
    """YAML as a format file may use it: without anchors, which can make it grow, and without keys written twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses an alias (`*name`), which a format file has no need of")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key '{twice}' is written twice")
        return super().construct_mapping(node, deep)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def _unreadable(where: str, why: str) -> ModelError:
    return ModelError(
        "the format file cannot be used", where=where, why=why, fix="docs/guards.md lists the keys of a format file"
    )
