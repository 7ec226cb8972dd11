"""A GGUF file's vocabulary cuts text as its makers' tokenizer does, by the name that the file carries.

`llama_cpp_tokens.json` holds what llama.cpp, which shares no code with ours, made of 255 odd texts under
every name: the tokens themselves for the embedded model's own name, six digits of their hash for the others.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.engine.loading import gguf
from ig_guardrail.engine.loading.models import load_tokenizer
from ig_guardrail.engine.loading.unpacking.pretokenize import CUTTINGS, cut_as

RECORDED = json.loads(Path(__file__).with_name("llama_cpp_tokens.json").read_text(encoding="utf-8"))
TEXTS: list[str] = RECORDED["texts"]
CASES = "llama.cpp writes the published expression without \\p{M}; an accent or vowel sign then begins another piece"
AHEAD = "llama.cpp looks ahead past the end of a piece that was cut before; the published tokenizer does not"
DIFFERENT = {
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "kimi-k2"), (1, CASES)),
    "tiny_aya": (7, AHEAD),
    "afmoe": (8, AHEAD),
    "deepseek-llm": (2, "llama.cpp lets an ideographic space stand apart from the space before it"),
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer("embedded")


@pytest.mark.real
def test_the_embedded_model_reads_odd_texts_as_it_was_trained_to(tokenizer: Any) -> None:
    assert len(TEXTS) >= 200
    for text, ids in zip(TEXTS, RECORDED["smollm"], strict=True):
        assert tokenizer.encode(text, add_special_tokens=False) == ids, repr(text)


@pytest.mark.real
@pytest.mark.parametrize("row", RECORDED["digests"], ids=lambda row: row["names"][0])
def test_every_name_cuts_as_recorded(tokenizer: Any, row: dict[str, Any]) -> None:
    recorded = row["sha256_of_each_text"]
    for name in row["names"]:
        tokenizer.backend_tokenizer.normalizer = None
        assert cut_as(tokenizer, name)
        texts = [text for text in TEXTS if unicodedata.is_normalized("NFC", text) or not CUTTINGS[name].nfc]
        unlike = [text for text in texts if _digest(tokenizer, text) != _recorded(recorded, text)]
        assert len(unlike) == DIFFERENT.get(name, (0, ""))[0], (name, unlike)


def test_an_unknown_name_is_told_at_every_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unpack(packed: Path, dtype: str, folder: Path) -> None:
        (folder / gguf._DOUBT).write_text(gguf._doubt(packed, "no-such-way"))

    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gguf, "_unpack", unpack)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    for _ in range(2):
        with pytest.warns(UserWarning, match="cuts text as 'no-such-way', which is not known here"):
            gguf.unpacked(tmp_path / "m.gguf", "float32")


def _digest(tokenizer: Any, text: str) -> str:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:6]


def _recorded(digests: str, text: str) -> str:
    place = TEXTS.index(text) * 6
    return digests[place : place + 6]
