"""Tokens to text, one at a time and exactly: constant work per token, whole characters only.

Byte-level tokenizers (GPT-2, Llama 3, Qwen, SmolLM) and SentencePiece ones (Llama 2, Gemma, Mistral) both spell a token
as bytes. Bytes that do not yet make a character are held back; what can never become one is U+FFFD. The text of an
answer equals `tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)` but for a character
that is begun at its end and was cut there, of which nothing is shown; and for SentencePiece byte tokens that are not
UTF-8, where that call may take back characters it gave before.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.errors import ModelError

Spelling: TypeAlias = Callable[[str], bytes]

_SPACE = "\u2581"  # SentencePiece's mark for a space
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, slots=True)
class Held:
    """What a detokenizer carries between tokens: bytes that are not yet text, and whether any text was written."""

    data: bytes = b""
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Detokenizer:
    """bytes_of gives the bytes a token spells, b"" for special ones; `lead` is dropped once from an answer's start."""

    bytes_of: Callable[[int], bytes]
    lead: str = ""

    def read(self, token: int, held: Held) -> tuple[str, Held]:
        """The characters that `token` completes, and what to carry to the next one."""
        data = held.data + self.bytes_of(token)
        text, used = codecs.utf_8_decode(data, "replace", False)
        if text and not held.begun:
            text, begun = text.removeprefix(self.lead), True
        else:
            begun = held.begun
        return text, Held(data[used:], begun)

    def sha256(self, size: int) -> str:
        """Names what the tokens 0 to `size` - 1 spell; those that spell nothing do not count."""
        digest = hashlib.sha256()
        for token in range(size):
            spelled = self.bytes_of(token)
            if spelled:
                digest.update(f"{token} {len(spelled)} ".encode() + spelled)
        return digest.hexdigest()

    def replay(self, ids: tuple[int, ...]) -> Held:
        """What is carried after `ids`."""
        held = Held()
        for token in ids:
            _, held = self.read(token, held)
        return held


def detokenizer_of(tokenizer: Any, spelled: Collection[str] = ()) -> Detokenizer:
    """The detokenizer that agrees with a `transformers` tokenizer, but spells out some special tokens, by their texts.

    Raises ModelError if its decoder is not known.
    """
    decoder = _decoder_of(tokenizer)
    steps = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return Detokenizer(_bytes_of(tokenizer, _byte_level_spelling(), spelled))
    if kinds[:3] == ["Replace", "ByteFallback", "Fuse"] and set(kinds[3:]) <= {"Strip"}:
        lead = " " if any(step["content"] == " " and step["start"] == 1 for step in steps[3:]) else ""
        return Detokenizer(_bytes_of(tokenizer, _sentencepiece_spelling, spelled), lead)
    raise ModelError(
        f"the tokenizer decodes with {' + '.join(kinds)}, which this engine does not read",
        where=str(getattr(tokenizer, "name_or_path", "tokenizer")),
        why="text must be exact at every token, since it is judged and shown as it grows",
        fix="use a model with a byte-level BPE or SentencePiece tokenizer, such as Llama, Qwen, Gemma or Mistral",
    )


def _decoder_of(tokenizer: Any) -> dict[str, Any]:
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return {"type": "no decoder"}
    described: dict[str, Any] = json.loads(decoder.__getstate__())
    return described


def _bytes_of(tokenizer: Any, spelling: Spelling, spelled: Collection[str]) -> Callable[[int], bytes]:
    entries = {token: entry for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    special = {token: entry.content.encode() if entry.content in spelled else b"" for token, entry in entries.items()}
    name_of = tokenizer.convert_ids_to_tokens

    def bytes_of(token: int) -> bytes:
        return special[token] if token in special else spelling(name_of(token) or "")

    return bytes_of


def _sentencepiece_spelling(piece: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(piece)
    return bytes.fromhex(byte[1]) if byte else piece.replace(_SPACE, " ").encode()


def _byte_level_spelling() -> Spelling:
    """Byte-level BPE writes each byte as one printable character (the table of GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {**{byte: byte for byte in printable}, **{256 + place: byte for place, byte in enumerate(others)}}
    table = {code: characters.get(code, 0xFFFD) for code in range(256 + len(others))}  # no byte: not of Latin-1 then

    def spelling(piece: str) -> bytes:
        try:
            return piece.translate(table).encode("latin-1")
        except UnicodeEncodeError:  # an added token, written as it is
            return piece.encode()

    return spelling
