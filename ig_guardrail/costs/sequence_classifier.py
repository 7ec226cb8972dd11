"""A transformers sequence classifier: texts or pairs of texts in, rows of logits out.

It comes from a folder, or from the hub's cache under a hub name. Weights are safetensors, no code of the model's is
run, and every weight must be there: a head that was never trained would score at random and never say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.errors import CostFailure, ModelError, brief
from ig_guardrail.extras import require
from ig_guardrail.fields.paths import expanded
from ig_guardrail.fields.revisions import FORM
from ig_guardrail.threads.locks import ForkSafeLock, Home

BATCH = 16  # rows of one pass
LONGEST = 512  # tokens of a row, where the model names no limit of its own
HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
HUB_EXTRAS = ["*/*"]


@dataclass(frozen=True, slots=True, eq=False)
class SequenceClassifier:
    """The classifier on its device, for one caller at a time, since tokenizers hold state while they work.

    sha256   of its files
    labels   names of its logits, in order
    problem  what its config says of them: "single_label_classification", "multi_label_classification" or
             "regression"; None where it says nothing
    longest  tokens of a row, special ones included
    batch    rows of one pass; 1 where rows cannot be padded
    """

    name: str
    sha256: str
    labels: tuple[str, ...]
    problem: str | None
    longest: int
    batch: int
    tokenizer: Any
    model: Any
    _turn: ForkSafeLock = field(default_factory=ForkSafeLock)
    _home: Home = field(default_factory=Home)

    def of_pairs(self, first: str, seconds: Sequence[str]) -> NDArray[np.float64]:
        """(texts, labels): logits of each second text after the first; both are cut where the context ends."""
        with self._turn:
            read = self.tokenizer(
                [first] * len(seconds), list(seconds), truncation="longest_first", max_length=self.longest
            )
            return self._logits(read)

    def of_windows(self, first: str | None, texts: Sequence[str]) -> list[NDArray[np.float64]]:
        """For each text (windows, labels): logits of all of it, in windows that overlap by an eighth of the context.

        Each window stands after the end of `first`, as much of it as half of the context holds; alone if it is None.
        """
        with self._turn:
            how: dict[str, Any] = {"max_length": self.longest, "stride": self.longest // 8}
            if first is None:
                read = self.tokenizer(list(texts), truncation=True, return_overflowing_tokens=True, **how)
            else:
                firsts = [self._end_of(first)] * len(texts)
                read = self.tokenizer(
                    firsts, list(texts), truncation="only_second", return_overflowing_tokens=True, **how
                )
            owners = np.array(read.pop("overflow_to_sample_mapping"))
            logits = self._logits(read)
            return [logits[owners == place] for place in range(len(texts))]

    def _end_of(self, text: str) -> str:
        """The end of a text, of no more tokens than leave the second text half of the context."""
        room = max(1, (self.longest - self.tokenizer.num_special_tokens_to_add(pair=True)) // 2)
        read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        starts = read["offset_mapping"]
        return text if len(starts) <= room else text[starts[-room][0] :]

    def _logits(self, read: Mapping[str, list[list[int]]]) -> NDArray[np.float64]:
        import torch

        if self._home.left:
            raise forked("classifier", self.name)
        found = [np.empty((0, len(self.labels)))]
        for start in range(0, len(read["input_ids"]), self.batch):
            rows = {key: values[start : start + self.batch] for key, values in read.items()}
            padded = self.tokenizer.pad(rows, return_tensors="pt") if self.batch > 1 else _tensors(rows)
            with torch.inference_mode():
                logits = self.model(**{key: value.to(self.model.device) for key, value in padded.items()}).logits
            found.append(logits.double().cpu().numpy())
        return np.concatenate(found)


def forked(what: str, name: str) -> CostFailure:
    """The error of a model that was loaded before this process was forked. what: what the model is to its user."""
    return CostFailure(
        f"this process was forked after {what} '{name}' was loaded, and cannot run it",
        where=f"{what} '{name}'",
        why="the threads that compute do not live in a fork, and it would wait for them for ever",
        fix="load it after the fork, or start processes by 'spawn'",
    )


def load_sequence_classifier(name: str, device: str, where: str, revision: str | None = None) -> SequenceClassifier:
    """The classifier in a folder, which is read without the network, or under a hub name, which is fetched.

    device    what it runs on: "cpu", "cuda:0"; "" is the CPU
    where     who asks for it, for messages
    revision  a branch, tag or commit of the hub; its main branch if left out
    Raises ModelError if it cannot be had, or lacks weights for its labels.
    """
    _require_readers("classifier", name, where)
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = model_folder(name, where, revision=revision)
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, split_special_tokens=True, **how)
        model, found = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **how
        )
    except Exception as error:  # readers of odd files raise what they like
        raise _unfit(name, where, brief(error)) from error
    lacking = sorted([*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])])
    if lacking:
        raise _unfit(name, where, f"its files hold no weights for {', '.join(lacking[:3])}")
    if not tokenizer.is_fast:
        raise _unfit(name, where, "its tokenizer cannot tell where tokens begin in a text (no tokenizer.json)")
    return SequenceClassifier(
        name=name,
        sha256=weights_sha256(folder, "*.safetensors", "*.json"),
        labels=labels_of(model.config),
        problem=getattr(model.config, "problem_type", None),
        longest=_longest(tokenizer, model),
        batch=BATCH if _pads(tokenizer, model) else 1,
        tokenizer=tokenizer,
        model=model.to(device or "cpu").eval(),
    )


def model_folder(name: str, where: str, what: str = "classifier", revision: str | None = None) -> Path:
    """The folder of a model's files: the one of that path, else the hub cache's, where what is missing is fetched.

    what  what the model is to its user, for messages
    Raises ModelError if there is neither, and for a revision of a folder, or one that is none.
    """
    folder = expanded(name)
    if revision is not None and (folder.is_dir() or not FORM.fullmatch(revision)):
        raise ModelError(
            f"revision {revision!r:.80} of {what} '{name}' cannot be had",
            where=where,
            why="only models of the hub have revisions: branches, tags and commits",
            fix="leave out the revision, or name a model of the hub, such as 'org/name'",
        )
    if folder.is_dir():
        return folder.resolve()
    if name.startswith((".", "/", "~")):
        raise ModelError(
            f"there is no folder '{name}'", where=where, why=f"a {what} is read from there", fix="check the path"
        )
    _require_readers(what, name, where)
    import huggingface_hub

    try:
        fetched = huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=HUB_FILES, ignore_patterns=HUB_EXTRAS
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the {what} cannot be had: {brief(error)}",
            where=where,
            why="it is neither a folder, nor in the local hub cache, nor could it be downloaded",
            fix="check the path or name, the revision if there is one, and the network",
        ) from error
    return Path(fetched).resolve()


def read_labels(name: str, where: str) -> tuple[str, ...]:
    """The labels that its config names, without its weights. Raises ModelError if it cannot be had."""
    _require_readers("classifier", name, where)
    from transformers import AutoConfig

    folder = model_folder(name, where)
    if not any(folder.glob("*.safetensors")):
        raise _unfit(name, where, "its folder holds no safetensors weights")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise _unfit(name, where, brief(error)) from error
    return labels_of(config)


def _require_readers(what: str, name: str, where: str) -> None:
    require("local", "torch", "transformers", by=f"{what} '{name}'", where=where)


def weights_sha256(folder: Path, *patterns: str) -> str:
    """SHA-256 (hex) over the names and contents of the files in a folder that fit one of the patterns."""
    digest = hashlib.sha256()
    for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
        with file.open("rb") as opened:
            digest.update(file.name.encode() + b"\0" + hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def labels_of(config: Any) -> tuple[str, ...]:
    """The labels of a transformers config, by the place of their logits."""
    return tuple(str(config.id2label[place]) for place in range(config.num_labels))


def _longest(tokenizer: Any, model: Any) -> int:
    """Tokens of a row. Models that count positions from their padding token on have fewer than they name."""
    embeddings = getattr(getattr(model, "base_model", None), "embeddings", None)
    unused = getattr(embeddings, "padding_idx", None)
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST
    return int(min(tokenizer.model_max_length, positions - (0 if unused is None else unused + 1)))


def _pads(tokenizer: Any, model: Any) -> bool:
    """Whether rows of several lengths can share a pass: model and tokenizer know the same padding token."""
    pad = tokenizer.pad_token_id
    return pad is not None and pad == getattr(model.config, "pad_token_id", None)


def _tensors(rows: Mapping[str, list[list[int]]]) -> dict[str, Any]:
    import torch

    return {key: torch.tensor(values) for key, values in rows.items()}


def _unfit(name: str, where: str, why: str) -> ModelError:
    return ModelError(
        f"the classifier '{name}' cannot be had",
        where=where,
        why=why,
        fix="give a transformers sequence classifier with trained head, tokenizer.json and safetensors weights",
    )
