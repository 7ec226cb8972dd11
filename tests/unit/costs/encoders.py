"""Tiny sentence encoders with random weights, as users have them, and heads that fit them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.costs.artifacts import write

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "soup", "bread", "why", "how", "##s", "zog")
PIECES = (
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    *(f"\N{LOWER ONE EIGHTH BLOCK}{word}" for word in WORDS[4:]),
    "s",
    "\N{LOWER ONE EIGHTH BLOCK}",
)
CONTEXT = 24
SIZE = 8
BUCKETS = 64
SHAPE = {"pieces": 6, "overlap": 2}


def onnx_encoder(folder: Path, seed: int = 0, inputs: tuple[str, ...] = ("input_ids", "attention_mask")) -> Path:
    """A folder with a graph: the row of a table for each piece, and what all pieces have in common."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    chance = np.random.default_rng(seed)
    table = numpy_helper.from_array(chance.normal(size=(len(WORDS), SIZE)).astype(np.float32), "table")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["common"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["rows", "common"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["last_hidden_state"]),
    ]
    shape = ["batch", "pieces"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, SIZE])],
        [table],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    write_tokenizer(folder)
    (folder / "onnx").mkdir(exist_ok=True)
    onnx.save(model, folder / "onnx" / "model.onnx")
    return folder


def bert_encoder(folder: Path, seed: int = 0) -> Path:
    """A sentence-transformers folder around a tiny BERT model."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=SIZE,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=SIZE,
        max_position_embeddings=CONTEXT,
        initializer_range=1.0,
    )
    BertModel(config).save_pretrained(folder)
    write_tokenizer(folder)
    write_modules(folder)
    return folder


def family_encoder(folder: Path, family: str, seed: int = 0, **more: Any) -> Path:
    """A folder around a tiny model of a family that transformers knows, with pieces as SentencePiece cuts them."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family,
        vocab_size=len(PIECES),
        hidden_size=SIZE,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=SIZE,
        initializer_range=1.0,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **{"max_position_embeddings": CONTEXT, **more},
    )
    AutoModel.from_config(config).save_pretrained(folder)
    write_pieces(folder)
    write_modules(folder)
    return folder


def write_pieces(folder: Path) -> None:
    """A tokenizer as XLM-RoBERTa's: a unigram model over words that begin with a mark."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram([(piece, -float(place)) for place, piece in enumerate(PIECES)], 3, False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.save(str(folder / "tokenizer.json"))


def write_modules(folder: Path, pooling: str = "pooling_mode_mean_tokens", last: str = "Normalize") -> None:
    """What sentence-transformers keeps of how states become a vector."""
    parts = ["Transformer", "Pooling", last]
    modules = [
        {"path": f"{place}_{part}" if place else "", "type": f"sentence_transformers.models.{part}"}
        for place, part in enumerate(parts)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False, pooling: True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": SIZE, **modes}))


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.enable_padding(length=CONTEXT)
    tokenizer.enable_truncation(4)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def head_tensors(size: int, seed: int = 0, reads: str = "answer") -> dict[str, Any]:
    """A head with random weights that dislikes the word "zog"."""
    from ig_guardrail.costs.heads.words import bucket

    chance = np.random.default_rng(seed)
    weight = np.zeros(BUCKETS, dtype=np.float16)
    weight[bucket("zog", BUCKETS)] = 6
    tensors = {
        "weight": chance.normal(size=size).astype(np.float32),
        "bias": np.array([-1], dtype=np.float32),
        "words.weight": weight,
        "words.frequency": np.ones(BUCKETS, dtype=np.float16),
        "centre": np.array([0], dtype=np.float32),
        "width": np.array([1], dtype=np.float32),
    }
    if reads == "exchange":
        tensors["request.weight"] = chance.normal(size=size).astype(np.float32)
    return tensors


def head(folder: Path, encoder: Any, seed: int = 0, more: Mapping[str, Any] | None = None, **described: Any) -> Path:
    """An artifact with such a head for an encoder, and more tensors beside it."""
    tensors = head_tensors(encoder.size, seed, described.get("reads", "answer"))
    made_for = {"name": encoder.name, "sha256": encoder.sha256, **SHAPE, **described}
    return write(folder, "encoder", {**tensors, **(more or {})}, encoder=made_for)
