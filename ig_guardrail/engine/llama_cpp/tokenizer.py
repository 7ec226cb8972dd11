"""The tokens of a GGUF file, as the library cuts text, in the words that `engine.text` asks a tokenizer in.

The library's own cutting is the reference for such a file. Its chat template is rendered here, since the library only
knows some by their looks.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from ig_guardrail.engine.llama_cpp.library import library
from ig_guardrail.engine.llama_cpp.model import GgufModel
from ig_guardrail.errors import ModelError, RequestError

_LONGEST = 4096  # bytes of a token
_SENTENCEPIECE, _BYTE_LEVEL = 1, 2  # LLAMA_VOCAB_TYPE_SPM, _BPE
_UNKNOWN, _CONTROL, _ADDED = 1 << 0, 1 << 3, 1 << 4  # LLAMA_TOKEN_ATTR_*
_ODD = ("In 2026, x  8\n\n\tÉté: 10 € / 你好 🌊", "don't  <b>\r\n", "\u200b a\u0301")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that stands beside the vocabulary of text; a special one is no text at all."""

    content: str
    special: bool


@dataclass(frozen=True, slots=True)
class EncodedText:
    """The tokens of a text, and where each begins and ends in it, in bytes."""

    ids: list[int]
    spans: list[tuple[int, int]]
    text: str

    def __getitem__(self, key: str) -> list[int]:
        return {"input_ids": self.ids}[key]

    def token_to_chars(self, place: int) -> tuple[int, int]:
        """The characters of a token, from and to."""
        data = self.text.encode("utf-8", "replace")
        start, stop = self.spans[place]
        return len(data[:start].decode("utf-8", "ignore")), len(data[:stop].decode("utf-8", "ignore"))


class GgufTokenizer:
    """What of a `transformers` tokenizer `engine.text` uses, by the library's vocabulary."""

    def __init__(self, model: GgufModel) -> None:
        """Raises ModelError for a vocabulary whose tokens do not spell the text they were cut from."""
        self._model = model  # whose memory the vocabulary lies in
        self._vocabulary, self._size = model.vocabulary, model.size
        self.name_or_path = f"model '{model.name}'"
        self.chat_template = model.template
        kind = library().llama_vocab_type(self._vocabulary)
        if kind not in (_SENTENCEPIECE, _BYTE_LEVEL):
            raise self._unspelled(f"its vocabulary is of kind {kind}")
        self.lead = " " if kind == _SENTENCEPIECE and model.said("tokenizer.ggml.add_space_prefix") != "false" else ""
        end = library().llama_vocab_eos(self._vocabulary)
        self.eos_token_id: int | None = end if end >= 0 else None
        for text in _ODD:
            said = b"".join(map(self.bytes_of, self.encode(text))).decode("utf-8", "replace")
            if said.removeprefix(self.lead) != text:
                raise self._unspelled(f"{text!r} comes back as {said!r:.80}")

    @cached_property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """All tokens that no text is cut into, but where it spells one: id -> token."""
        attribute = library().llama_vocab_get_attr
        found = ((token, attribute(self._vocabulary, token)) for token in range(self._size))
        return {
            token: AddedToken(self._pieces[token].decode("utf-8", "replace"), bool(kind & (_CONTROL | _UNKNOWN)))
            for token, kind in found
            if kind & (_CONTROL | _UNKNOWN | _ADDED)
        }

    def ends(self) -> list[int]:
        """The tokens that end an answer to the library."""
        return [token for token in self.added_tokens_decoder if library().llama_vocab_is_eog(self._vocabulary, token)]

    def bytes_of(self, token: int) -> bytes:
        """What a token spells; b"" for special ones."""
        return self.spelled[token]

    @cached_property
    def spelled(self) -> list[bytes]:
        """What each token spells; b"" for special ones."""
        table = list(self._pieces)
        for token, added in self.added_tokens_decoder.items():
            if added.special:
                table[token] = b""
        return table

    def encode(self, text: str, add_special_tokens: bool = False, split_special_tokens: bool = False) -> list[int]:
        """The tokens of a text; special ones that it spells are read as such, unless they are to be split."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        while True:
            ids = (ctypes.c_int32 * room)()
            count = library().llama_tokenize(
                self._vocabulary, data, len(data), ids, room, add_special_tokens, not split_special_tokens
            )
            if count >= 0:
                return list(ids[:count])
            room = -count

    def __call__(self, text: str, add_special_tokens: bool = False) -> EncodedText:
        """The tokens of a text, and where they stand. RequestError where they do not spell it."""
        ids, data = self.encode(text, add_special_tokens), text.encode("utf-8", "replace")
        spans: list[tuple[int, int]] = []
        place = 0
        for token in ids:
            piece = self._pieces[token]
            if not data.startswith(piece, place):
                piece = piece.removeprefix(b" ")  # which a SentencePiece vocabulary puts before words
            if not data.startswith(piece, place):
                raise RequestError(
                    "the model's tokens do not spell the conversation",
                    where="messages",
                    why="so it cannot be told which of them are a message's words",
                    fix="leave out unusual characters",
                )
            spans.append((place, place + len(piece)))
            place += len(piece)
        return EncodedText(ids, spans, text)

    def convert_ids_to_tokens(self, token: int) -> str:
        """A token by its name."""
        return str(library().llama_vocab_get_text(self._vocabulary, token).decode("utf-8", "replace"))

    def apply_chat_template(
        self, conversation: Sequence[Mapping[str, Any]], tokenize: bool, add_generation_prompt: bool, **told: Any
    ) -> str:
        """What the chat template makes of a conversation; it raises what it likes."""
        assert not tokenize
        return str(
            self._template.render(
                messages=conversation, add_generation_prompt=add_generation_prompt, **{**self._named, **told}
            )
        )

    @cached_property
    def _template(self) -> Any:
        return _environment().from_string(self.chat_template or "")

    @cached_property
    def _named(self) -> dict[str, str]:
        """The special tokens that templates know by name."""
        llama, found = library(), {}
        for name in ("bos", "eos", "pad", "sep"):
            token = getattr(llama, f"llama_vocab_{name}")(self._vocabulary)
            if token >= 0:
                found[f"{name}_token"] = self._pieces[token].decode("utf-8", "replace")
        return found

    @cached_property
    def _pieces(self) -> list[bytes]:
        """What each token spells, special ones too."""
        spell, data = library().llama_token_to_piece, ctypes.create_string_buffer(_LONGEST)
        found = []
        for token in range(self._size):
            size = spell(self._vocabulary, token, data, _LONGEST, 0, True)
            if size < 0:
                raise self._unspelled(f"token {token} has {-size} bytes")
            found.append(data.raw[:size])
        return found

    def _unspelled(self, why: str) -> ModelError:
        return ModelError(
            "the model's tokens do not spell text exactly",
            where=self.name_or_path,
            why=f"{why}, and text is judged and shown as it grows",
            fix="use a model with a byte-level BPE or SentencePiece vocabulary, such as Llama, Qwen, Gemma or Mistral",
        )


def _environment() -> Any:
    """Jinja as chat templates expect it: sandboxed, and with what `transformers` gives them."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, which marks what the model says: here, nothing but its content."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = lambda value, ensure_ascii=False, indent=None, separators=None, sort_keys=False: (
        json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    )
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made
