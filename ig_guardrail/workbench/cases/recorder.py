"""Records what cost models say of the texts of cases beside a model, so that the cases then run without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ig_guardrail.assembly import guard, open_engine
from ig_guardrail.budget import charge_points
from ig_guardrail.costs.kinds.identity import identity_of
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.drive.prompt_check import check_prompt_text
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.run import make_run
from ig_guardrail.drive.runners import finish
from ig_guardrail.drive.scoring.cost_registry import BoundCost, CostRegistry
from ig_guardrail.drive.scoring.scorer import NO_PROMPT, Scorer
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import GuardrailError, RequestError
from ig_guardrail.settings import Limits
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import CompiledPolicy, Message, Sampling
from ig_guardrail.workbench.cases.reading import CaseFile, read_cases
from ig_guardrail.workbench.cases.recordings import RecordedCost, Recordings, recordings_path
from ig_guardrail.workbench.cases.scored import HeardCost, Reading, RecordedScores
from ig_guardrail.workbench.cases.suite import CostsOfCases, folder_of_policy, judged_text


def record_files(paths: Sequence[str], model: str) -> list[Path]:
    """Write the recordings of files of cases; their paths. Raises GuardrailError where a model cannot be had.

    A file that cannot be used is left out; running it then says why.
    """
    engine: Engine | None = None
    written = []
    for path in paths:
        file = read_cases(path)
        if file.policy is None:
            continue
        engine = engine or open_engine(GuardrailSpec(model))
        written.append(recordings_path(path))
        _recorded(file, file.policy, engine).write(written[-1])
    return written


def _recorded(file: CaseFile, policy: CompiledPolicy, engine: Engine) -> Recordings:
    """What the cost models that need a model say of every text of a file."""
    folder, found = folder_of_policy(file), Recordings(engine.info.model)
    costs = CostsOfCases(policy, folder, Recordings())
    costs.build()
    registry = guard(engine, policy, folder).costs
    heard = _listening(registry, costs.needs, found)
    for name in costs.needs:
        cost = registry.by_name[name]
        spec = next(one for one in policy.cost_models if one.name == name)
        declared = (cost.model.granularity, cost.model.reading, cost.model.longest_match, cost.spec.scale)
        found.costs[name] = RecordedCost(identity_of(spec, folder), *declared, cost.entry or name)
    for case in file.cases:
        for step in case.steps:
            text = judged_text(step, policy)
            if not costs.unscored(step):
                continue
            try:
                if step.kind == "prompt":
                    _read_prompt(text, policy, engine, heard)
                else:
                    _read_answer(text, step.kind == "call", engine, heard, found)
            except GuardrailError as error:
                where = f"{file.path}:{case.line}"
                raise RequestError(f"case '{case.name}' cannot be recorded", where=where, why=str(error)) from error
    return found


def _listening(registry: CostRegistry, names: Mapping[str, str], found: Recordings) -> CostRegistry:
    """The same cost models, and what those of these names say is noted."""

    def listening(name: str, cost: BoundCost) -> BoundCost:
        def note(reading: Reading, scores: RecordedScores) -> None:
            found.note_scores(name, reading, tuple(map(float, scores)))

        return replace(cost, model=HeardCost(cost.model, note)) if name in names else cost

    return replace(registry, by_name={name: listening(name, cost) for name, cost in registry.by_name.items()})


def _read_prompt(text: str, policy: CompiledPolicy, engine: Engine, costs: CostRegistry) -> None:
    request = GenerationRequest((Message("user", text),), Sampling(), "cut", conversation="case", tenant="case")
    finish(check_prompt_text(make_run(request, policy, engine, costs, Values(), Limits())))


def _read_answer(text: str, calls: bool, engine: Engine, costs: CostRegistry, found: Recordings) -> None:
    """Score a text at every charge point of every budget, and note where the model's tokens end in it."""
    prompt = engine.encode((NO_PROMPT,))
    root = engine.open(prompt, Sampling(max_tokens=engine.info.context), costs.layers).result()
    try:
        (node,) = engine.append([(root, text)]).result()
    finally:
        engine.close(root)
    if node.text != text or node.finish == "length":
        why = "it does not fit the model's context" if node.finish == "length" else "its tokens spell another text"
        raise RequestError("a text cannot be recorded", where="engine", why=why)
    found.note_text(text, [end for step in node.path() for end in step.offsets])
    whole = replace(node, finish="stop", words=0 if calls else len(text))
    points = [(rule, charge_points(rule, 0, whole.position, ended=True)) for rule in costs.rules]
    due = [(rule.budget.id, point) for rule, places in points for point in places]
    finish(Scorer.of_written(engine, costs, prompt).measure(whole, due))
