"""`ig-guardrail policy calibrate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.commands.policy.formats import Format, FormatOption
from ig_guardrail.errors import RequestError

if TYPE_CHECKING:
    from ig_guardrail.types import Budget, CompiledPolicy
    from ig_guardrail.workbench.traffic.calibrate import AnswerPeaks


def calibrate_command(
    policy: Annotated[str, typer.Argument(help="A policy file, or a packaged name.")],
    budget: Annotated[str, typer.Option("--budget", help="Whose threshold is set.")],
    benign: Annotated[Path, typer.Option("--benign", help="Harmless answers: recordings, or texts as `score` reads.")],
    rate: Annotated[
        float | None, typer.Option("--rate", help="The share of harmless answers that may be touched.")
    ] = None,
    harmful: Annotated[
        Path | None, typer.Option("--harmful", help="Harmful answers, to say how many are missed.")
    ] = None,
    confidence: Annotated[float, typer.Option("--confidence", help="With which the claim holds.")] = 0.95,
    model: options.BesideOption = None,
    device: options.DeviceOption = "auto",
    write: Annotated[bool, typer.Option("--write", help="Put number and claim into the policy's file.")] = False,
    restate: Annotated[
        bool,
        typer.Option("--restate", help="Keep number and claim in the file, and say again what they rest on."),
    ] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="A folder for pictures; needs the extra 'eval'.")] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Set a budget's threshold so that at most a stated share of harmless answers is touched, by an exact bound.

    With --restate nothing is set: a claim that an older version wrote is given what `policy check` watches it by, where
    the cost models that scored --benign are still those of the claim.

    Exit code 0; 2: an error, such as a sample that is too small for the claim.
    """
    from ig_guardrail.policy import load_policy
    from ig_guardrail.policy.calibration import basis_of
    from ig_guardrail.policy.sources import folder_of
    from ig_guardrail.workbench.traffic.calibrate import as_lines, budget_of, calibrate_budget

    compiled = load_policy(policy)
    meant = budget_of(compiled, budget)
    files = [file for file in (benign, harmful) if file is not None]
    harmless, *rest = _peaks(policy, compiled, meant, files, model, device)
    if restate:
        _restate(policy, compiled, meant, harmless)
        return
    if rate is None:
        raise RequestError("there is no rate", where="--rate", fix="give the share that may be touched: `--rate 0.02`")
    found = calibrate_budget(meant, harmless, rate, confidence, rest[0] if rest else None)
    note = {**found.note(), "threshold": found.threshold, **basis_of(compiled, meant, folder_of(policy))}
    if write:
        _write(policy, budget, found.threshold, note)
    if plot is not None:
        from ig_guardrail.workbench.traffic.pictures import draw

        draw(found, plot)
    if form is Format.JSON:
        left_out = {"harmless": harmless.apart, "harmful": rest[0].apart if rest else {}}
        missed = None if found.missed is None else [found.missed.value, found.missed.low, found.missed.high]
        said = {**note, "budget": budget, "missed": missed, "left_out": left_out}
        print(json.dumps(said))
        return
    print("\n".join(as_lines(found, compiled)))
    if write:
        print(f"written to {policy}; raise its version")
    if plot is not None:
        print(f"pictures in {plot}")


def _peaks(
    policy: str, compiled: CompiledPolicy, budget: Budget, files: list[Path], model: str | None, device: str
) -> list[AnswerPeaks]:
    """Of each file: recordings as they are, texts scored on one bench."""
    from ig_guardrail.policy.sources import folder_of
    from ig_guardrail.workbench.traffic.bench import open_bench
    from ig_guardrail.workbench.traffic.calibrate import peaks_of_recordings, peaks_of_texts
    from ig_guardrail.workbench.traffic.recordings import are_recordings

    recorded = [are_recordings(file) for file in files]
    bench = None if all(recorded) else open_bench(policy, model, device)
    return [
        peaks_of_texts(bench, budget, file)
        if bench is not None and not is_recording
        else peaks_of_recordings(compiled, folder_of(policy), budget, file)
        for file, is_recording in zip(files, recorded, strict=True)
    ]


def _restate(policy: str, compiled: CompiledPolicy, budget: Budget, peaks: AnswerPeaks) -> None:
    """Bring an older claim up to date, whose number and cost models are as they were."""
    from ig_guardrail.policy.calibration import basis_of
    from ig_guardrail.policy.sources import folder_of
    from ig_guardrail.workbench.traffic.rewrite import claim_in

    claim = claim_in(Path(policy).read_bytes().decode(), budget.id)
    _check_claim(claim, budget, peaks)
    basis = basis_of(compiled, budget, folder_of(policy))
    _write(policy, budget.id, budget.threshold, {**claim, "threshold": budget.threshold, **basis})
    print(f"the claim of budget '{budget.id}' says again what it rests on, in {policy}")


def _check_claim(claim: dict[str, Any], budget: Budget, peaks: AnswerPeaks) -> None:
    """Raises RequestError for a claim on another number, or on other cost models."""
    from ig_guardrail.workbench.traffic.calibrate import SHORT

    known, number = claim.get("cost_models"), claim.get("threshold", budget.threshold)
    if not isinstance(known, dict):
        what = f"budget '{budget.id}' has no claim to state again"
    elif others := [name for name, sha256 in peaks.cost_models.items() if known.get(name) != sha256[:SHORT]]:
        what = f"cost model '{others[0]}' is another one now"
    elif number != budget.threshold:
        what = f"the threshold is {budget.threshold:g}, and the claim is on {number}"
    else:
        return
    raise RequestError(
        what,
        where="--restate",
        why="a claim holds for the number and the scores that it was made on",
        fix="calibrate again: `--rate 0.02 --write`",
    )


def _write(policy: str, budget: str, threshold: float, note: dict[str, object]) -> None:
    from ig_guardrail.policy.sources import packaged_names
    from ig_guardrail.workbench.traffic.rewrite import with_threshold

    if policy in packaged_names():
        raise RequestError(
            f"'{policy}' comes with the package",
            where="--write",
            fix=f"copy it: `ig-guardrail policy show {policy} > mine.yaml`",
        )
    path = Path(policy)
    mark, text = "\ufeff", path.read_bytes().decode()
    new = with_threshold(text.removeprefix(mark), budget, threshold, note, policy)
    path.write_bytes(((mark if text.startswith(mark) else "") + new).encode())
