"""What to open: a model, how it runs, and the policy that it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ig_guardrail.errors import RequestError
from ig_guardrail.ledger import Ledger
from ig_guardrail.rollout.canary import Canary
from ig_guardrail.settings import AuditFile, Limits, RecordingFile, device_named, dtype_named, weights_named
from ig_guardrail.types import CompiledPolicy

if TYPE_CHECKING:
    from ig_guardrail.costs.base import CostModel
    from ig_guardrail.engine.kinds import EngineOptions

_NONE = type(None)
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "policy": ((str, Path, CompiledPolicy), "a file, the name of a packaged policy, or a compiled policy"),
    "exit": ((str, Path, _NONE), "a folder, or leave it out"),
    "cost_models": ((Mapping,), "cost models by name"),
    "limits": ((Limits, _NONE), "a `Limits`, or leave it out"),
    "reload": ((bool,), "True or False"),
    "record": ((str, Path, RecordingFile, _NONE), "a file, or leave it out"),
    "audit": ((str, Path, AuditFile, _NONE), "a file or the address of a database, or leave it out"),
    "canary": ((Canary, _NONE), "a `Canary`, or leave it out"),
    "ledger": ((str, Path, Ledger, _NONE), "a path, an address or a ledger, or leave it out"),
    "engine_options": ((Mapping,), "options by name, or leave it out"),
}


@dataclass(frozen=True, slots=True)
class GuardrailSpec:
    """Every way to name a guardrail says it by this value: Python, the command line, comparisons, chat models.

    model        "embedded", a folder, a .gguf file, or a hub name
    policy       a file, a packaged name, or a compiled value
    device       "auto", "cpu", "cuda", "cuda:0" or "mps"
    dtype        "auto", "bfloat16", "float16" or "float32"
    weights      "auto", "bf16" or "int4"
    reward       ranks candidates: "relevance" (packaged), a folder, or "classifier:PATH"
    critic       foresees budgets, to rank candidates: "foresight" (packaged), or a folder
    exit         a folder with an early exit for strategy `early_exit`; the packaged one if left out
    ledger       what conversations have spent: a SQLite file, postgresql://..., or a ledger; the process's if left out
    cost_models  those that the policy leaves to the program, by name
    limits       bounds on any request, such as the seconds that it may search
    revision     a branch, tag or commit of a hub model; its main branch if left out
    context      most tokens of prompt and answer together; what the model reads if left out
    reload       of a chat model: whether its policy's file is read again where it was changed (`reload`)
    record       the file that what answers score is appended to; nothing is recorded if left out
    audit        the audit log that a line is written to for every answer; there is none if left out
    canary       of a chat model: another policy, for a share of its requests
    engine       what runs the model: "auto", or one of those in docs/engines.md
    engine_options  of that engine alone, by name
    verifier     a second model, which strategy `verifier` has read the drafts of the first; the same model if left out
    """

    model: str = "embedded"
    policy: str | Path | CompiledPolicy = "default"
    device: str = "auto"
    dtype: str = "auto"
    weights: str = "auto"
    reward: str | None = None
    critic: str | None = None
    exit: str | Path | None = None
    ledger: str | Path | Ledger | None = field(default=None, repr=False)  # an address may hold a password
    cost_models: Mapping[str, CostModel] = field(default_factory=dict)
    limits: Limits | None = None
    revision: str | None = None
    context: int | None = None
    reload: bool = False
    record: str | Path | RecordingFile | None = None
    audit: str | Path | AuditFile | None = None
    canary: Canary | None = None
    engine: str = "auto"
    engine_options: EngineOptions = field(default_factory=dict)
    verifier: str | None = None

    def __post_init__(self) -> None:
        """Raises RequestError for an option of another type; what no such name stands for shows when it is opened."""
        for name, read in (("dtype", dtype_named), ("weights", weights_named), ("device", device_named)):
            object.__setattr__(self, name, read(getattr(self, name)))
        for name, (kinds, told) in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise RequestError(f"{name} is of type {type(value).__name__}", where=name, fix=f"give {told}")
        texts = {name: getattr(self, name) for name in ("model", "device", "dtype", "weights", "engine")}
        texts |= {
            name: getattr(self, name)
            for name in ("reward", "critic", "revision", "verifier")
            if getattr(self, name) is not None
        }
        for name, value in texts.items():
            if not isinstance(value, str) or not value.strip():
                raise RequestError(
                    f"{name} is {value!r:.80}",
                    where=name,
                    why="it names what is opened",
                    fix="give a name, as the documentation of `GuardrailSpec` lists them",
                )
        if self.context is not None and (isinstance(self.context, bool) or not isinstance(self.context, int)):
            raise RequestError(
                f"context is {self.context!r:.80}",
                where="context",
                why="it counts tokens of prompt and answer together",
                fix="give a whole number, or leave it out",
            )
