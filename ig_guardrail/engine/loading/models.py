"""From a model's name to a running engine: found, loaded once, and shared by everyone in the process."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ig_guardrail.engine.loading.description import config_in, named_ends, tokenizer_in
from ig_guardrail.engine.loading.gguf import SUFFIX, packed_sha256, unpacked
from ig_guardrail.engine.loading.loaded import Registry
from ig_guardrail.engine.loading.soundness.folder import UNQUANTISED, ModelFolder
from ig_guardrail.engine.loading.store import files_sha256, quiet
from ig_guardrail.engine.text.soundness import require_sound
from ig_guardrail.errors import GuardrailError, ModelError, RequestError, brief
from ig_guardrail.extras import LOCAL, require
from ig_guardrail.fields.paths import expanded
from ig_guardrail.fields.revisions import FORM

if TYPE_CHECKING:
    from ig_guardrail.engine.loading.trials import Trials
    from ig_guardrail.engine.loading.weights import Weights
    from ig_guardrail.engine.transformers import TransformersEngine

EMBEDDED = "embedded"
DTYPES = ("bfloat16", "float32", "float16")
QUANTIZED = ("int4",)
UNROUNDED = "float16"  # the dtype in which the embedded model's values are kept to be quantised again
HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
HUB_EXTRAS = [  # the same weights in other layouts: all folders but that of further templates, such as one for tools
    *("[!a]*/*", "a[!d]*/*", "ad[!d]*/*"),  # additional_chat_templates/
    "consolidated*",
]
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_HUB_ADDRESS = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The folder of a model's files, the content hash of its weights, and the commit of its files on the hub."""

    name: str
    folder: Path
    sha256: str
    revision: str | None = None


_REGISTRY: Registry[TransformersEngine] = Registry()  # process-wide: weights are too large to hold twice


def load_engine(
    model: str, *, device: str = "auto", dtype: str = "auto", weights: str = "auto", revision: str | None = None
) -> TransformersEngine:
    """The engine of a model, loaded at the first call and shared from then on.

    model   "embedded", a local folder, a .gguf file, or a hub name such as "Qwen/Qwen3-0.6B" (downloaded if it is not
            there)
    device  "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:0", "mps"
    dtype   "auto" (bfloat16), "bfloat16", "float32", "float16"
    weights "auto" (as `dtype` says), "bf16", or, on the CPU, "int4"
    revision a branch, tag or commit of a hub model; its main branch if left out
    Raises ModelError if the model cannot be had, RequestError for a device, dtype, weights or revision that do not
    exist.
    """
    check_revision(model, revision)
    _require_readers(model)
    place, numerics = device_of(device), numerics_of(dtype, weights)
    key = (model_place(model), revision, place, numerics)
    return _REGISTRY.get(key, lambda: _start(model, place, numerics, revision))


def load_weights(
    model: str, device: str, numerics: str, revision: str | None = None, trials: Trials | None = None
) -> Weights:
    """A model's weights and tokenizer on `device`, for this caller alone.

    numerics  a dtype, or "int4"
    trials    what was found before on this machine
    """
    check_revision(model, revision)
    _require_readers(model)
    from ig_guardrail.engine.loading.quantized import quantize
    from ig_guardrail.engine.loading.weights import Weights

    quantized = numerics if numerics in QUANTIZED else None
    source = find_files(model, UNROUNDED if quantized else numerics, revision)
    try:
        loaded, tokenizer = _load(source, device, "auto" if quantized else numerics)
    except GuardrailError:
        raise
    except Exception as error:  # readers of odd files raise what they like
        raise unreadable(model, source.folder, error) from error
    if quantized:
        quantize(loaded, trials)
    return Weights(model, source.sha256, loaded, tokenizer, quantized, source.revision)


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """A model's `transformers` tokenizer, without its weights."""
    check_revision(model, revision)
    _require_readers(model)
    folder, _ = find_description(model, revision)
    try:
        with quiet():
            return tokenizer_in(folder)
    except Exception as error:  # readers of odd files raise what they like
        raise unreadable(model, folder, error) from error


def find_description(model: str, revision: str | None = None) -> tuple[Path, str | None]:
    """The folder of a model's files, with weights or without, and their commit on the hub; what is missing is fetched.

    Raises ModelError and RequestError as `load_engine` does.
    """
    check_revision(model, revision)
    _require_readers(model)
    if model == EMBEDDED or expanded(model).exists():
        found = expanded(model)
        return (found, None) if found.is_dir() else (find_files(model, DTYPES[0], None).folder, None)
    folder = _downloaded(model, revision, [*HUB_EXTRAS, "*.safetensors"])
    return folder, _commit_of(folder, revision)


def find_sha256(model: str, folder: Path) -> str | None:
    """The content hash of a model's weights, without loading them; None where they are not on this machine.

    folder  where `find_description` found its files
    """
    from ig_guardrail.engine.loading.embedded import packed_file

    packed = packed_file() if model == EMBEDDED else expanded(model)
    if packed.suffix == SUFFIX and packed.is_file():
        return packed_sha256(packed)
    weights = list(folder.glob("*.safetensors"))
    return files_sha256(weights) if weights else None


def _start(model: str, device: str, numerics: str, revision: str | None) -> TransformersEngine:
    from ig_guardrail.engine.kv.laying_out import lay_out
    from ig_guardrail.engine.loading.trials import Trials, kept_trials
    from ig_guardrail.engine.transformers import TransformersEngine

    trials = kept_trials() if device == "cpu" else Trials()
    weights = load_weights(model, device, numerics, revision, trials)
    lay_out(weights.model, trials, f"{weights.sha256} {numerics}")
    trials.keep()
    return TransformersEngine(weights)


def check_revision(model: str, revision: str | None) -> None:
    """Raises RequestError for a revision of what has none, or for what no revision can be called."""
    if revision is None:
        return
    if model == EMBEDDED or expanded(model).exists() or Path(model).suffix == SUFFIX:
        raise RequestError(
            f"revision '{revision}' of model '{model}' was asked for",
            where="revision",
            why="only models of the hub have revisions; a file, a folder and the embedded model are what they are",
            fix="leave out `revision`, or name a hub model such as 'Qwen/Qwen3-0.6B'",
        )
    if not FORM.fullmatch(revision):
        raise RequestError(
            f"revision is {revision!r:.80}",
            where="revision",
            why="it names a branch, a tag or a commit of the hub",
            fix="give one of these, such as 'main'",
        )


def _require_readers(model: str) -> None:
    """Raises MissingExtra without what runs a model. What unpacks a packed file is asked for when that is done."""
    packed = model == EMBEDDED or Path(model).suffix == SUFFIX
    require("embedded" if packed else "local", *LOCAL, by=f"model '{model}'", where="model")


def model_place(model: str) -> str:
    """One spelling for each model: files and folders by their absolute path."""
    path = expanded(model)
    return model if model == EMBEDDED or not path.exists() else str(path.resolve())


def find_files(model: str, dtype: str, revision: str | None) -> ModelFiles:
    """A model's files, unpacked in `dtype` where they are packed; what is missing is fetched. Raises ModelError."""
    if model == EMBEDDED:
        from ig_guardrail.engine.loading.embedded import embedded_model

        return ModelFiles(model, *embedded_model(dtype))
    folder = expanded(model)
    if folder.suffix == SUFFIX and folder.is_file():
        return ModelFiles(model, *unpacked(folder, dtype))
    here = folder.is_dir()
    folder = folder if here else _downloaded(model, revision, HUB_EXTRAS)
    ModelFolder(folder, f"model '{model}'").require_weights()
    commit = None if here else _commit_of(folder, revision)
    return ModelFiles(model, folder, files_sha256(folder.glob("*.safetensors")), commit)


def _commit_of(folder: Path, revision: str | None) -> str | None:
    """The hub's cache names folders by commits."""
    return folder.name if folder.parent.name == "snapshots" else revision


def _downloaded(name: str, revision: str | None, unwanted: list[str]) -> Path:
    """The hub cache's folder of a model; what is missing is fetched, with a progress bar."""
    if expanded(name).is_file():
        raise ModelError(
            f"'{name}' is a file, and its name does not end in '{SUFFIX}'",
            where=f"model '{name}'",
            why="of files, only GGUF files are models; what has safetensors weights is a folder",
            fix=f"name the folder that the file lies in; or, of a GGUF file, let its name end in '{SUFFIX}'",
        )
    file, address = Path(name).suffix == SUFFIX, _HUB_ADDRESS.match(name)
    if name.startswith(".") or file or not _HUB_NAME.fullmatch(name):
        raise ModelError(
            f"there is no {'file' if file else 'folder'} '{name}'",
            where=f"model '{name}'",
            why="a model is 'embedded', a folder with its files, a .gguf file, or a hub name such as 'Qwen/Qwen3-0.6B'",
            fix="check the path" if address is None else f"name it '{address[1]}'",
        )
    import huggingface_hub

    patterns: dict[str, Any] = {"allow_patterns": HUB_FILES, "ignore_patterns": unwanted}
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, **patterns))
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model cannot be had: {brief(error)}",
            where=f"model '{name}'" if revision is None else f"model '{name}', revision '{revision}'",
            why="it is neither a folder, nor in the local hub cache, nor could it be downloaded",
            fix="check the name and the network, or use model 'embedded'",
        ) from error


def _load(source: ModelFiles, device: str, dtype: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM

    from ig_guardrail.engine.loading.soundness.fitness import require_whole, shape_of

    auto: Any = AutoModelForCausalLM
    where = f"model '{source.name}'"
    ModelFolder(source.folder, where).require_numbers()
    with quiet():
        config = config_in(source.folder)
        shape_of(config, where)
        tokenizer = tokenizer_in(source.folder)
        require_sound(tokenizer, where, config.get_text_config().vocab_size)
        named_ends(source.folder)  # `transformers` passes over settings that it cannot read
        told = {"config": config, "dtype": getattr(torch, dtype, dtype), "use_safetensors": True}
        told |= {"output_loading_info": True, "ignore_mismatched_sizes": True}  # what does not fit is told below
        model, found = auto.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False, **told)
    require_whole(found, where)
    return model.to(device).eval(), tokenizer


def device_of(device: str) -> str:
    """The device that a choice stands for; see `load_engine`. Raises RequestError if this machine does not have it."""
    require("local", "torch", by="a local model", where="device")
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = device.partition(":")[0]
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if here.get(kind):
        return str(torch.device("cuda", torch.cuda.current_device())) if device == "cuda" else device
    present = ", ".join(name for name, there in here.items() if there)
    raise RequestError(
        f"device is '{device}', which this machine does not have",
        where="device",
        why=f"it has: {present}",
        fix="use 'auto', or one of those",
    )


def numerics_of(dtype: str, weights: str) -> str:
    """What the weights run in: a dtype, or "int4"; see `load_engine`. Raises RequestError for a bad choice."""
    _check_choice("dtype", dtype, ("auto", *DTYPES), "weights run in one of a few number formats")
    _check_choice("weights", weights, ("auto", "bf16", *QUANTIZED), "weights are kept in one of a few ways")
    chosen = DTYPES[0] if dtype == "auto" else dtype
    if weights == "auto":
        return chosen
    if chosen != DTYPES[0]:
        raise RequestError(
            f"weights is '{weights}' and dtype is '{dtype}'",
            where="weights",
            why="weights that are kept like that compute in bfloat16",
            fix="leave out one of the two",
        )
    return DTYPES[0] if weights == "bf16" else weights


def _check_choice(name: str, given: str, known: tuple[str, ...], why: str) -> None:
    if given not in known:
        raise RequestError(f"{name} is '{given}'", where=name, why=why, fix=f"use one of: {', '.join(known)}")


def unreadable(name: str, folder: Path, error: Exception) -> ModelError:
    """What is told where `transformers` could not read a model's files."""
    what, where, fix = f"the model cannot be loaded: {brief(error)}", f"model '{name}'", f"check {folder}"
    why = "a model needs config.json, a tokenizer and safetensors weights, all in one folder"
    if isinstance(error, ImportError):
        why, fix = "its files say that it is read by what is not installed", f"install that; or {UNQUANTISED}"
    if "trust_remote_code" in str(error):
        what = "the model is made of code of its own, which came with its files and is not run"
        why = "such code can do anything, and no search could be had with a model that nothing is known of"
        fix = "use a model of an architecture that `transformers` has; or have a server run this one, with engine "
        fix += "'openai_compatible'"
    return ModelError(what, where=where, why=why, fix=fix)
