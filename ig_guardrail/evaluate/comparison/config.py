"""What is compared with what: the file of `ig-guardrail eval`, read strictly.

Paths of prompts start at the file's folder, all others where the command runs. `packaged:NAME` is a prompt set that
ships with the package.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate.comparison.bounds import read_bound
from ig_guardrail.evaluate.prompts import PromptRow, read_prompts
from ig_guardrail.fields.yaml_settings import parse_settings
from ig_guardrail.policy import load_policy
from ig_guardrail.search.registry import METHODS
from ig_guardrail.types import CompiledPolicy, SearchSettings

PRESETS = ("quality", "smoke", "embedded", "equal", "hard", "sweep", "robustness", "adversarial", "second", "paper")
UNGUARDED = "none"
MOST_BYTES = 1_000_000
WHY = "it says what is compared, and what is not understood would be left out of it"
EXAMPLE = "see docs/results.md for an example"
_SETTINGS = {field.name for field in dataclasses.fields(SearchSettings)} - {"strategy"}


class ConfigSection(BaseModel):
    """A section of the file: no key that is not known, no value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StrategyEntry(ConfigSection):
    """A method, and what of the policy's search settings it runs with instead.

    guided: whether it may use the comparison's reward model and critic
    again: whether it draws at other seeds than those that are named: a control that tells what luck does
    where_over: whether it is asked only where the unguarded answer (`none`) is over budget
    """

    name: str
    label: str | None = None
    guided: bool = True
    again: bool = False
    where_over: bool = False
    search: dict[str, int | float | str | None] = {}

    @property
    def title(self) -> str:
        """How rows call it."""
        settings = [f"{key} {value}" for key, value in self.search.items()]
        words = (("unguided", not self.guided), ("again", self.again), ("where over", self.where_over))
        settings += [word for word, holds in words if holds]
        return self.label or (f"{self.name} ({', '.join(settings)})" if settings else self.name)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in METHODS:
            raise ValueError(f"there is no strategy '{self.name}'; `ig-guardrail strategies` lists all")
        strange = sorted(self.search.keys() - _SETTINGS)
        if strange:
            raise ValueError(f"there is no search setting '{strange[0]}'; there are {', '.join(sorted(_SETTINGS))}")
        return self


class PromptSet(ConfigSection):
    """Prompts of one kind, from a .jsonl, .txt or .csv file.

    sha256  of the file, where results must not be mistaken for those of another version
    origin  where the file comes from, and in which form; told when it is not there
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")
    kind: Literal["risky", "benign"]
    file: str
    sha256: str | None = None
    origin: str | None = None
    limit: int | None = Field(default=None, ge=1)


class SamplingEntry(ConfigSection):
    """How answers are drawn; see `Sampling`."""

    temperature: float = Field(default=0.7, ge=0, le=100)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=64, ge=1)


class Config(ConfigSection):
    """A comparison: every model under every policy with every strategy on every prompt at every seed.

    reward  the task value that guides those who use one, and is a column: "relevance", or "classifier:FOLDER"
    critic  a folder, for those who use one
    exit    a folder with an early exit of the model, for those who use one; its packaged one if left out
    verifier a second model, for the strategy `verifier`; the model itself if left out
    judge   "packaged", or "classifier:FOLDER_OR_NAME#LABEL"; it never guides
    recheck whether every answer is charged once more, from its tokens alone
    bounds  of figures that tell what guarding does (see `figures`), by name: what is reported beside the table, as kept
            or MISSED
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")
    models: list[str] = Field(default=["embedded"], min_length=1)
    policies: list[str] = Field(default=["default"], min_length=1)
    strategies: list[StrategyEntry] = Field(min_length=1)
    prompts: list[PromptSet] = Field(min_length=1)
    sampling: SamplingEntry = SamplingEntry()
    seeds: list[int] = Field(default=[0], min_length=1)
    reward: str | None = None
    critic: str | None = None
    exit: str | None = None
    verifier: str | None = None
    judge: str = "packaged"
    recheck: bool = False
    bounds: dict[str, str] = {}
    device: str = "auto"

    @field_validator("strategies")
    @classmethod
    def _distinct(cls, entries: list[StrategyEntry]) -> list[StrategyEntry]:
        titles = [entry.title for entry in entries]
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"two strategies are called '{title}'; give one a `label`")
        return entries

    @field_validator("bounds")
    @classmethod
    def _readable(cls, bounds: dict[str, str]) -> dict[str, str]:
        return {name: str(read_bound(written)) for name, written in bounds.items()}

    @model_validator(mode="after")
    def _drafts_are_there(self) -> Self:
        plain = any(entry.title == UNGUARDED for entry in self.strategies)
        if not plain and any(entry.where_over for entry in self.strategies):
            raise ValueError("`where_over` needs the strategy `none`, whose answers tell where")
        return self

    @model_validator(mode="after")
    def _judge_is_independent(self) -> Self:
        if self.judge in (self.reward, self.critic):
            raise ValueError(f"the judge '{self.judge}' also guides, so it could not tell what guiding does")
        return self


def read_config(source: str) -> Config:
    """The comparison of a file, or of a preset by its name.

    Raises RequestError that names every mistake. Paths of prompts come back absolute.
    """
    if source in PRESETS:
        place: Path | Traversable = files("ig_guardrail.evaluate") / "presets" / f"{source}.yaml"
        return _parsed(place.read_bytes(), f"preset {source}", Path())
    path = Path(source)
    if not path.is_file():
        raise RequestError(
            f"there is no file '{source}'",
            where="eval",
            why=f"it is no preset either ({', '.join(PRESETS)})",
            fix="give the path of a YAML file, or a preset's name",
        )
    return _parsed(path.read_bytes(), source, path.parent)


def policy_of(name: str) -> CompiledPolicy:
    """A policy of a comparison: one that belongs to a preset, else as `load_policy` finds it. Raises PolicyError."""
    own = files("ig_guardrail.evaluate") / "presets" / "policies" / f"{name}.yaml"
    if "/" in name or not own.is_file():
        return load_policy(name)
    with as_file(own) as path:
        return load_policy(path)


def narrowed(config: Config, model: str | None, policy: str | None, limit: int | None) -> Config:
    """The comparison on one model, under one policy, on the first `limit` prompts of each set; None leaves each."""
    sets = [one.model_copy(update={"limit": min(limit, one.limit or limit)}) for one in config.prompts] if limit else []
    return config.model_copy(
        update={
            "models": [model] if model else config.models,
            "policies": [policy] if policy else config.policies,
            "prompts": sets or config.prompts,
        }
    )


def read_sets(entries: Sequence[PromptSet]) -> list[tuple[PromptSet, PromptRow]]:
    """The prompts of all sets, each with its set. Raises RequestError as `read_set` does, naming all missing files."""
    missing = [entry for entry in entries if not _source(entry).is_file()]
    if missing:
        raise _missing(missing)
    return [(entry, row) for entry in entries for row in read_set(entry)]


def read_set(entry: PromptSet) -> tuple[PromptRow, ...]:
    """The prompts of a set. Raises RequestError if the file is missing, malformed, or not the one that was meant."""
    source = _source(entry)
    if not source.is_file():
        raise _missing([entry])
    rows = read_prompts(source)
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if entry.sha256 is not None and entry.sha256 != found:
        raise RequestError(
            f"'{entry.file}' has another content than the one that was meant",
            where=f"prompts.{entry.name}.sha256",
            why="results on other prompts would go by the same name",
            fix=f"write {found}, or bring the right file",
        )
    return rows[: entry.limit]


def _source(entry: PromptSet) -> Path | Traversable:
    if entry.file.startswith("packaged:"):
        return files("ig_guardrail.evaluate") / "prompt_sets" / f"{entry.file.removeprefix('packaged:')}.jsonl"
    return Path(entry.file)


def _missing(entries: Sequence[PromptSet]) -> RequestError:
    meant = [f"{entry.file}: {entry.origin}" for entry in entries if entry.origin]
    return RequestError(
        "; ".join(f"there is no prompt file '{entry.file}'" for entry in entries),
        where=", ".join(f"prompts.{entry.name}" for entry in entries),
        why="all prompts are read before anything is loaded",
        fix=f"bring what is meant: {'; '.join(meant)}" if meant else "check the path",
    )


def _parsed(data: bytes, where: str, folder: Path) -> Config:
    if len(data) > MOST_BYTES:
        raise RequestError(f"the file has {len(data)} bytes", where=where, fix=f"keep it under {MOST_BYTES}")
    config = parse_settings(data, where, Config, why=WHY, keys=_keys(Config), fix=EXAMPLE)
    return config.model_copy(update={"prompts": [_placed(one, folder) for one in config.prompts]})


def _placed(entry: PromptSet, folder: Path) -> PromptSet:
    if entry.file.startswith("packaged:"):
        return entry
    return entry.model_copy(update={"file": str((folder / entry.file).absolute())})


def _keys(section: type[BaseModel]) -> list[str]:
    """The keys of a section and of those in it."""
    return [name for one in (section, *ConfigSection.__subclasses__()) for name in one.model_fields]
