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
from functools import cached_property
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


class TokenTable:
    """What each token of a vocabulary spells, found out for all of them at once when the first is asked for.

    beyond: what the tokens behind the table spell, such as those that fill up a model's last rows
    """

    def __init__(self, make: Callable[[], list[bytes]], beyond: Callable[[int], bytes] = lambda token: b"") -> None:
        self._make, self._beyond = make, beyond

    @cached_property
    def table(self) -> list[bytes]:
        """By token, from 0 on."""
        return self._make()

    def __call__(self, token: int) -> bytes:
        return self.table[token] if token < len(self.table) else self._beyond(token)


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

    def spelled(self, size: int) -> list[bytes]:
        """What the tokens 0 to `size` - 1 spell."""
        known = self.bytes_of.table[:size] if isinstance(self.bytes_of, TokenTable) else []
        return known + [self.bytes_of(token) for token in range(len(known), size)]

    def sha256(self, size: int) -> str:
        """Names what the tokens 0 to `size` - 1 spell; those that spell nothing do not count."""
        told = [b"%d %d %b" % (token, len(data), data) for token, data in enumerate(self.spelled(size)) if data]
        return hashlib.sha256(b"".join(told)).hexdigest()

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
        return Detokenizer(_table_of(tokenizer, _byte_level_spelling(), spelled))
    if kinds[:3] == ["Replace", "ByteFallback", "Fuse"] and set(kinds[3:]) <= {"Strip"}:
        lead = " " if any(step["content"] == " " and step["start"] == 1 for step in steps[3:]) else ""
        return Detokenizer(_table_of(tokenizer, _sentencepiece_spelling, spelled), lead)
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


def _table_of(tokenizer: Any, spelling: Spelling, spelled: Collection[str]) -> TokenTable:
    entries = {token: entry for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    special = {token: entry.content.encode() if entry.content in spelled else b"" for token, entry in entries.items()}
    core = tokenizer.backend_tokenizer

    def spell(token: int) -> bytes:
        return special[token] if token in special else spelling(core.id_to_token(token) or "")

    def make() -> list[bytes]:
        size = core.get_vocab_size()
        table = [spelling(name or "") for name in map(core.id_to_token, range(size))]
        for token in special.keys() & range(size):
            table[token] = special[token]
        return table

    return TokenTable(make, spell)


def _sentencepiece_spelling(piece: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(piece) if piece.startswith("<") else None
    return bytes.fromhex(byte[1]) if byte else piece.replace(_SPACE, " ").encode()


def _byte_level_spelling() -> Spelling:
    """Byte-level BPE writes each byte as one printable character (the table of GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {**{byte: byte for byte in printable}, **{256 + place: byte for place, byte in enumerate(others)}}
    table = {code: characters.get(code, 0xFFFD) for code in range(256 + len(others))}  # no byte: not of Latin-1 then

    def spelling(piece: str) -> bytes:
        if piece.isascii():
            return piece.encode()  # each byte is its own character, or, in an added token, written as it is
        try:
            return piece.translate(table).encode("latin-1")
        except UnicodeEncodeError:  # an added token, written as it is
            return piece.encode()

    return spelling
