"""How a model's makers would sample it: their `generation_config`, as far as it names what a request may set.

`do_sample` and lengths are not read: the temperature tells whether tokens are drawn, and `max_tokens` is the caller's.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ig_guardrail.engine.loading.description import GENERATION
from ig_guardrail.engine.loading.files import file_of
from ig_guardrail.types import SAMPLING_RANGES, GenerationDefaults

_WHOLE = ("top_k",)


def generation_defaults(config: Mapping[str, Any], model: str) -> GenerationDefaults:
    """The defaults in a generation config. Warns of a value that no request could ask for, and leaves it out."""
    found: dict[str, Any] = {}
    for name in (field.name for field in fields(GenerationDefaults)):
        value = config.get(name)
        value = 0 if name == "top_k" and value == -1 else value
        if value is None:
            continue
        if _fits(name, value):
            found[name] = value
        else:
            least, most = SAMPLING_RANGES[name]
            lowest = f"from {least:g}" if least == 0 or least > 1e-9 else "above 0, up"
            warnings.warn(
                f"model '{model}': {GENERATION} says that {name} is {value!r:.40}\n"
                f"  why: it is left out, since {name} is a number {lowest} to {most:g}\n"
                f"  fix: give `{name}`, or correct the file",
                stacklevel=2,
            )
    return GenerationDefaults(**found)


def read_defaults(model: str, revision: str | None = None) -> GenerationDefaults:
    """The same by the model's files, before it is loaded; empty where they are not on this machine, or unreadable."""
    try:
        file = file_of(model, GENERATION, revision)
        config = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return GenerationDefaults()
    return generation_defaults(config, model) if isinstance(config, dict) else GenerationDefaults()


def _fits(name: str, value: object) -> bool:
    least, most = SAMPLING_RANGES[name]
    kinds = int if name in _WHOLE else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most
