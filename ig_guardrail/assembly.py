"""Puts a guardrail together from names: a model, a policy, and the cost models that the policy asks for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ig_guardrail.costs.adoption import read_adoption
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import BuiltCost, beyond_text, build_costs, reads_text
from ig_guardrail.costs.heads.artifact import Artifact, for_numerics, read_artifact
from ig_guardrail.costs.heads.base_model import BaseModel, read_base_model
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.registry import engine_kind
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import Ledger, ledger_at
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.sources import folder_of
from ig_guardrail.settings import Limits, audit_file, recording_file
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import CompiledPolicy

LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    from ig_guardrail.drive.records.auditor import Auditor
    from ig_guardrail.drive.records.recorder import Recorder
    from ig_guardrail.engine.early_exit.layers import Exit
    from ig_guardrail.engine.transformers import TransformersEngine


def open_guardrail(spec: GuardrailSpec | None = None, policy: CompiledPolicy | None = None) -> Guardrail:
    """The guardrail that a spec names; without one, the embedded model under the default policy.

    policy: the spec's own, where it was compiled before
    Weights are loaded once per process, here at the latest. Raises PolicyError, ModelError, HeadMismatch.
    """
    spec = spec or GuardrailSpec()
    compiled = policy or load_policy(spec.policy)
    recorder, auditor = _recorder(spec), _auditor(spec)
    ledger = ledger_at(spec.ledger)  # before the weights: one that cannot be reached is told at once
    engine = open_engine(spec)
    values = open_values(engine, spec.reward, spec.critic)
    opened = guard(engine, compiled, folder_of(spec.policy), values, ledger, spec.cost_models, spec.limits)
    opened.recorder, opened.auditor = recorder, auditor
    if spec.verifier is not None:
        opened.verifier = open_engine(GuardrailSpec(spec.verifier, device=spec.device))
    return opened


def guard_alike(
    old: Guardrail,
    policy: CompiledPolicy,
    folder: Path | None,
    cost_models: Mapping[str, CostModel] | None,
    arm: str = "",
) -> Guardrail:
    """A guardrail for another policy, on the model of one that is open; its messages were tried.

    Engine, ledger, values and limits are that one's, and so are its recorder and its audit log. Raises PolicyError,
    ModelError and HeadMismatch as at start-up.
    """
    new = guard(old.engine, policy, folder, old.values, old.ledger, cost_models, old.limits)
    new.recorder, new.auditor, new.arm, new.verifier = old.recorder, old.auditor, arm, old.verifier
    new.approve()
    return new


def open_engine(spec: GuardrailSpec) -> Engine:
    """The engine of a model, with the early exit in a folder, or with the packaged one that was trained on it.

    Raises ModelError for what cannot be had, HeadMismatch for an exit of another model or other numerics, RequestError
    for a context that is larger than the model's, and for an engine, or an option of it, that does not exist.
    """
    kind = engine_kind(spec.engine, spec.model)
    if spec.exit is not None and not kind.exits:
        raise RequestError(
            f"engine '{kind.name}' cannot be given an early exit",
            where="exit",
            why="an exit reads the states between a model's layers",
            fix="leave out `exit`, or use engine 'transformers'",
        )
    how = (spec.device, spec.dtype, spec.weights, spec.revision, spec.context, spec.engine_options)
    engine = kind.open(EngineChoice(spec.model, *how))
    if not kind.exits:
        return engine
    facts = facts_of(engine)
    way_out = packaged_exit(facts) if spec.exit is None else read_exit(Path(spec.exit), facts)
    return engine if way_out is None else cast("TransformersEngine", engine).with_exit(way_out)


def open_values(engine: Engine, reward: str | None = None, critic: str | None = None) -> Values:
    """The judges that rank candidates, by name.

    reward  "relevance" (packaged for the embedded model), a folder with a reward or a critic, or "classifier:PATH"
    critic  "foresight" (packaged, for the embedded model under the default policy's budgets), or a folder with one
    Raises ModelError for what cannot be had, HeadMismatch for what was trained on another model or other numerics.
    """
    if reward is None and critic is None:
        return Values()
    from ig_guardrail.costs.rewards.catalog import critic_named, reward_named

    loaded = BaseModel(engine.info.model_sha256, engine.info.numerics)
    return Values(
        reward=None if reward is None else reward_named(reward, loaded, engine.info.device),
        critic=None if critic is None else critic_named(critic, loaded),
    )


def guard(
    engine: Engine,
    policy: CompiledPolicy,
    folder: Path | None = None,
    values: Values | None = None,
    ledger: Ledger | None = None,
    cost_models: Mapping[str, CostModel] | None = None,
    limits: Limits | None = None,
) -> Guardrail:
    """A guardrail for an open engine. `folder` is where relative artifact paths of the policy start.

    Raises ModelError and HeadMismatch for cost models that cannot be had, or are given and not asked for.
    """
    facts = facts_of(engine)
    adoption = read_adoption(facts.model_sha256, facts.numerics)
    built = build_costs(policy.cost_models, policy.asked, cost_models, engine=facts, base_dir=folder, adoption=adoption)
    if not adoption.scales:
        adopt = f"`ig-guardrail adopt {engine.info.model}` sets them"
        tell_substitutes(built, policy.name, adopt if facts.model_sha256 else "try the policy in `mode: shadow` first")
    return Guardrail(engine, policy, built, values, limits, ledger)


def tell_substitutes(built: Mapping[str, BuiltCost], policy: str, advice: str) -> None:
    """Log what serves instead of what, since thresholds were set beside another model."""
    served = [f"`{one.entry}` serves as `{name}`" for name, one in built.items() if one.entry != name]
    if served:
        LOG.warning("policy '%s': %s. Its thresholds were not set on this model; %s", policy, ", ".join(served), advice)


def guard_text(
    engine: Engine,
    policy: CompiledPolicy,
    folder: Path | None = None,
    ledger: Ledger | None = None,
    cost_models: Mapping[str, CostModel] | None = None,
) -> Guardrail:
    """A guardrail for an engine that has text only. Cost models that no budget or prompt rule asks for are left out.

    Raises ModelError if a budget, enforced or in shadow, reads more than text.
    """
    costs = [(f"budget '{budget.id}'", budget.cost) for budget in policy.budgets]
    costs += [("the prompt rule", policy.prompt.cost)] if policy.prompt else []
    askers = {name: who for who, cost in reversed(costs) for name in cost.models()}
    askers |= {
        spec.options["by"]: spec.name for spec in policy.cost_models if spec.name in askers and "by" in spec.options
    }
    by_name = {spec.name: spec for spec in policy.cost_models}
    for name in askers:
        spec, beyond = by_name[name], beyond_text(by_name[name].kind)
        if beyond and not reads_text(spec, by_name):
            raise ModelError(
                f"{askers[spec.name]} reads {beyond}, and this model is only read as text",
                where=f"policy '{policy.name}', cost_models.{spec.name}",
                why=f"a model that is decoded elsewhere does not show its {beyond}, so the budget cannot be kept",
                fix="use cost models that read text, such as lexical or pattern ones, or decode with a local model",
            )
    built = build_costs(policy.cost_models, tuple(askers), cost_models, engine=None, base_dir=folder)
    tell_substitutes(built, policy.name, "try the policy in `mode: shadow` first")
    return Guardrail(engine, policy, built, ledger=ledger)


def packaged_exit(engine: EngineFacts) -> Exit | None:
    """The packaged early exit of a model in its numerics; None where there is none."""
    folder = for_numerics(files("ig_guardrail.artifacts") / "exit", engine.numerics)
    artifact = None if folder is None else read_artifact(folder, "exit")
    if artifact is None or read_base_model(artifact) != BaseModel(engine.model_sha256, engine.numerics):
        return None
    return _exit_in(artifact)


def read_exit(folder: Path, engine: EngineFacts) -> Exit:
    """The early exit in an artifact folder that `ig-guardrail train exit` wrote, for `with_exit` of an engine.

    Raises ModelError if the folder does not hold one, HeadMismatch unless it was trained on that model and numerics.
    """
    artifact = read_artifact(folder, "exit")
    loaded = BaseModel(engine.model_sha256, engine.numerics)
    read_base_model(artifact).demand(loaded, str(folder), "ig-guardrail train exit", what="exit")
    return _exit_in(artifact)


def _recorder(spec: GuardrailSpec) -> Recorder | None:
    if spec.record is None:
        return None
    from ig_guardrail.drive.records.recorder import Recorder

    return Recorder(recording_file(spec.record))


def _auditor(spec: GuardrailSpec) -> Auditor | None:
    if spec.audit is None:
        return None
    from ig_guardrail.drive.records.auditor import Auditor

    return Auditor(audit_file(spec.audit))


def _exit_in(artifact: Artifact) -> Exit:
    import torch

    from ig_guardrail.engine.early_exit.layers import Exit

    layer = artifact.section("base_model").get("layer")
    matrices = [artifact.tensors.get(name) for name in ("down", "up")]
    if not (isinstance(layer, int) and all(one is not None and one.ndim == 2 for one in matrices)):
        raise artifact.unfit("it has no layer, or no two matrices 'down' and 'up'")
    down, up = (torch.from_numpy(one).float() for one in matrices)
    if down.shape != up.shape[::-1] or not bool(down.isfinite().all() and up.isfinite().all()):
        raise artifact.unfit("its matrices do not fit each other, or hold numbers that are not finite")
    return Exit(layer, down, up)


def facts_of(engine: Engine) -> EngineFacts:
    """What cost models beside an engine must fit."""
    info = engine.info
    return EngineFacts(info.model_sha256, info.numerics, info.language, info.device)
