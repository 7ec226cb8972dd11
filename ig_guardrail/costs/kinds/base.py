"""What a kind of cost model says of itself: its name, its keys in a policy, what it reads, and how it is made.

One module here for each kind, and one line in `registry.py`. The policy language, its checks, its reference page and
the catalog all read these descriptions. What is heavy is imported where a cost model is made, so that policies are
checked without it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.errors import HeadMismatch, ModelError
from ig_guardrail.fields.field import Field, FormatKind
from ig_guardrail.fields.revisions import FORM as REVISION_FORM
from ig_guardrail.types import CostModelSpec, Granularity, ScoreKind
from ig_guardrail.types.hazards import FORM

CARD = "card.json"  # in the folder of an artifact: what it is
HAZARD = FormatKind("a hazard", FORM.pattern, "hte")
PRINTABLE = r"[^\x00-\x1f\x7f]"
ARTIFACT = FormatKind(
    "a packaged name, or a folder path that contains `/`",
    rf"[a-z][a-z0-9-]{{0,63}}|{PRINTABLE}{{0,500}}/{PRINTABLE}{{0,500}}",
    "./heads/mine",
    is_path=lambda text: "/" in text,
)
HUB_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?"
REVISION = FormatKind("a branch, tag or commit", REVISION_FORM.pattern, "v1.0")


def options_sha256(artifact: str, **options: object) -> str:
    """One hash for an artifact and the options it is used with; part of the key under which scores are kept."""
    return hashlib.sha256(json.dumps([artifact, options], sort_keys=True).encode()).hexdigest()


def folder_or(what: str, pattern: str, example: str, *, also: str = "") -> FormatKind:
    """The form of a model's name: a folder path that starts with `./`, `../` or `/`, or `what`, of form `pattern`.

    also: what else it may be, told first; `pattern` allows it
    """
    return FormatKind(
        f"{also}a folder path that starts with `./`, `../` or `/`, {what}",
        rf"\.{{0,2}}/{PRINTABLE}{{1,500}}|{pattern}",
        example,
        is_path=lambda text: text.startswith((".", "/")),
    )


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What a latent head must fit: the content hash of the loaded weights, and the dtype they run in.

    language: what an index must fit, the hash of what token ids spell
    device: where it runs, and where classifiers run beside it
    """

    model_sha256: str
    numerics: str
    language: str = ""
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a cost model is made beside.

    engine  the engine that it will run beside; None where answers are only read as text
    folder  where relative paths start; the working directory if None
    given   what the program hands in for entries of kind `provided`
    """

    engine: EngineFacts | None = None
    folder: Path | None = None
    given: Mapping[str, CostModel] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a cost model declares of its scores, see `CostModel`. alike: whether all its hazards have the same score."""

    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    alike: bool = True


@dataclass(frozen=True, slots=True)
class CostKind:
    """A kind of cost model.

    fields    its own keys in a policy; `hazards`, `timeout_ms` and others are shared by all kinds. `build` finds their
              values in the entry's `options`, checked and with defaults filled in (`option_of`); a list as a tuple
    build     makes the cost model of an entry. Raises ModelError for what is missing or unfit; HeadMismatch for what
              does not fit the engine, and MissingExtra, where the entry named by `otherwise` may serve instead
    beyond    what it reads beyond text, in words; "" if it reads text alone, and so prompts and calls too
    quick     whether it reads text without a network or a large model
    packaged  names of artifacts that ship with the package, and the hazards that each was made for
    asking    those of them that read what is asked, not what is answered
    normal    an entry as the policy's normal form tells it, defaults filled in
    declares  when its cost models are charged and what they score, as they say it themselves, since policies are
              checked before any is made; a level at blocks if nothing is written, None where it depends on the entry
    """

    name: str
    fields: Mapping[str, Field]
    build: Callable[[CostModelSpec, BuildContext], CostModel]
    beyond: str = ""
    quick: bool = False
    packaged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asking: tuple[str, ...] = ()
    normal: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    declares: Declaration | None = field(default_factory=Declaration)


def engine_beside(spec: CostModelSpec, context: BuildContext, what: str, why: str) -> EngineFacts:
    """The engine that a cost model reads more than text of. Raises HeadMismatch without one.

    what  what the cost model is, as the subject of a sentence
    why   what it reads
    """
    if context.engine is None:
        raise HeadMismatch(
            f"{what} needs a language model to read",
            where=f"cost_models.{spec.name}",
            why=f"it {why}, and no engine is open",
            fix="use a lexical or pattern cost here, or name one in `otherwise`",
        )
    return context.engine


def packaged_artifact(kind: str, name: str) -> Traversable:
    """The folder of an artifact that comes with the package: that of its kind, where kinds share a name."""
    shelf = files("ig_guardrail.artifacts")
    own = shelf / kind / name
    return own if own.is_dir() else shelf / name


def artifact_folder(spec: CostModelSpec, option: str, packaged: tuple[str, ...], folder: Path | None) -> Traversable:
    """The packaged artifact that an option names, else the folder of that path. Raises ModelError if it is neither."""
    given = str(option_of(spec, option, (str,)))
    if given in packaged:
        return packaged_artifact(spec.kind, given)
    path = (folder or Path()) / given
    if path.is_dir():
        return path
    near = difflib.get_close_matches(given, packaged, n=1)
    raise ModelError(
        f"there is no artifact '{given}'",
        where=f"cost_models.{spec.name}.{option}",
        why=f"it is no packaged name ({', '.join(packaged)}), and {path} is not a folder",
        fix=f"write '{near[0]}'" if near else "write a packaged name or the path of an artifact folder",
    )


def option_of(spec: CostModelSpec, name: str, types: tuple[type, ...]) -> Any:
    """An option of one of these types. Raises ModelError without one: a spec need not come from a checked policy."""
    value = spec.options.get(name)
    if not isinstance(value, types) or isinstance(value, bool):
        raise ModelError(
            f"option '{name}' is missing or of the wrong type",
            where=f"cost_models.{spec.name}",
            fix=f"a {spec.kind} cost model needs '{name}'",
        )
    return value
