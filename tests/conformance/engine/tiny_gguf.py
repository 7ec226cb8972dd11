"""A GGUF file of a few thousand random weights, with the tokens of `tiny`."""

from __future__ import annotations

from pathlib import Path

import gguf
import gguf.quants
import numpy as np

from tests.conformance.engine.tiny import MERGES, TEMPLATE, tiny_tokenizer

WIDTH, INNER, LAYERS, HEADS, SHARED = 64, 96, 3, 4, 2


def write_tiny(
    file: Path, context: int = 160, seed: int = 0, packed: bool = False, writer: gguf.GGUFWriter | None = None
) -> Path:
    """A model of the shape of Llama; the template's last token ends an answer.

    packed: matrices in 8 bits, of which llama.cpp gives a row the same bits alone and among others; else in float32
    writer: one of its own, which may write otherwise than it is told
    """
    tokenizer = tiny_tokenizer()
    size = len(tokenizer)
    names = tokenizer.convert_ids_to_tokens(range(size))
    special = set(tokenizer.added_tokens_decoder)
    kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
    writer = writer or gguf.GGUFWriter(file, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(SHARED)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if packed else gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(names)
    writer.add_token_types([kinds[token in special] for token in range(size)])
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        drawn = (np.ones(shape) if len(shape) == 1 else random.normal(0, 0.3, shape)).astype(np.float32)
        if packed and len(shape) == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(drawn, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", drawn)

    add("token_embd", size, WIDTH)
    add("output_norm", WIDTH)
    add("output", size, WIDTH)
    for layer in range(LAYERS):
        shared = WIDTH * SHARED // HEADS
        shapes = {
            "attn_norm": (WIDTH,),
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (shared, WIDTH),
            "attn_v": (shared, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_norm": (WIDTH,),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
        }
        for name, shape in shapes.items():
            add(f"blk.{layer}.{name}", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
