"""What a GGUF file says of its model, held against what `transformers` makes of it.

`transformers` passes over what it does not know of a file: tensors, parts of a split file, how positions are stretched.
The model would run all the same, and answer otherwise than it was trained to. So positions are set here as the file
says, and a file is refused whose tensors would be left out, or do not make up the model.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ig_guardrail.engine.text.endings import end_of_turn
from ig_guardrail.errors import ModelError

if TYPE_CHECKING:
    from gguf import GGUFReader

_FACTORS = "rope_freqs.weight"  # by how much each frequency is slowed down
_ORIGINAL = 8192  # tokens; this and the next are the same in all files that have such factors
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": _ORIGINAL}
_ELSEWHERE = "use the model's safetensors folder, or engine 'llama.cpp' (extra `llama`), which runs the file as it is"
_CLOSE = 1e-3
_ENDS = ("eos", "eot", "eom")  # of a text, a turn, and a message that a tool answers
_SPELLED_ENDS = {
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<eos>",
    "</s>",
}  # as files leave it to their readers


class Claims:
    """The fields of a GGUF file. where: how messages call it"""

    def __init__(self, reader: GGUFReader, where: str) -> None:
        self._reader = reader
        self._where = where
        self._architecture = self._field("general.architecture")

    def require_one_file(self) -> None:
        """Raises ModelError for a part of a split file."""
        parts = self._field("split.count") or 1
        if parts > 1:
            raise self._refused(
                f"it is one of the {parts} parts of a file",
                "only whole files are unpacked",
                "join the parts by llama.cpp's `llama-gguf-split --merge`, or run the first by engine 'llama.cpp'",
            )

    def ends(self, tokenizer: Any) -> list[int]:
        """The tokens that end an answer: as the file names and spells them, and as its chat template closes a turn.

        `transformers` reads one of them, and an answer that ends by another would run on.
        """
        named = [self._field(f"tokenizer.ggml.{kind}_token_id") for kind in _ENDS]
        added = tokenizer.added_tokens_decoder.items()
        spelled = [token for token, entry in added if entry.special and entry.content in _SPELLED_ENDS]
        found = {*named, *spelled, end_of_turn(tokenizer)}
        size = len(self._reader.fields["tokenizer.ggml.tokens"].data)
        return sorted(token for token in found if isinstance(token, int) and 0 <= token < size)

    def set_positions(self, config: Any) -> None:
        """Have a `transformers` config read positions as the file says. Raises ModelError where it cannot say so."""
        text = config.get_text_config()
        whole = text.rope_parameters
        whole = whole.get("full_attention", whole)  # the other layers of Gemma 3 are not stretched
        if whole.get("rope_type", "default") != "default":
            return  # the architecture has positions of its own, which its files repeat
        scaling, factor = self._own("rope.scaling.type"), self._own("rope.scaling.factor")
        if scaling in ("linear", "yarn") and factor is not None:
            whole |= {"rope_type": scaling, "factor": float(factor)}
            original = self._own("rope.scaling.original_context_length")
            whole |= {"original_max_position_embeddings": original} if original and scaling == "yarn" else {}
        elif scaling not in (None, "none"):
            raise self._positions(f"by '{scaling}'")
        factors = next((tensor.data for tensor in self._reader.tensors if tensor.name == _FACTORS), None)
        if factors is not None:
            whole |= self._as_llama3(float(whole["rope_theta"]), [float(one) for one in factors.reshape(-1)])
        turned, size = self._own("rope.dimension_count"), _head_size(text)
        if turned is not None and turned != int(size * whole.get("partial_rotary_factor", 1.0)):
            raise self._positions(f"in {turned} of {size} numbers of a head")

    def require_tensors(self, places: Collection[str], is_tied: bool) -> None:
        """Raises ModelError unless the file's tensors are those that a model of its config has places for.

        is_tied: whether the output layer is the embedding's
        """
        known = {_stem(name) for name in places}
        here = {_stem(tensor.name) for tensor in self._reader.tensors} - {_stem(_FACTORS)}
        tied = {_stem("output.weight")} if is_tied else set()
        if here - known:
            raise self._refused(
                f"`transformers` has no place for {len(here - known)} of its tensors, such as '{min(here - known)}'",
                "they would be left out, and it would answer as another model",
                _ELSEWHERE,
            )
        if known - here - tied:
            raise self._refused(
                f"it lacks {len(known - here - tied)} of the model's tensors, such as '{min(known - here - tied)}'",
                "they would be random numbers, and so would the answers be",
                f"download the file again, whole; or {_ELSEWHERE}",
            )

    def _as_llama3(self, theta: float, factors: Sequence[float]) -> dict[str, Any]:
        """The factors of frequencies as Llama 3's, which is how a config can say them."""
        largest = max(factors, default=1.0)
        if largest <= 1 + _CLOSE and min(factors, default=1.0) >= 1 - _CLOSE:
            return {}
        count = len(factors)
        expected = [_llama3(2 * math.pi * theta ** (place / count), largest) for place in range(count)]
        if any(abs(a - b) > _CLOSE * b for a, b in zip(factors, expected, strict=True)):
            raise self._positions("by factors of its own")
        return {"rope_type": "llama3", "factor": largest, **_LLAMA3}

    def _own(self, key: str) -> Any:
        return self._field(f"{self._architecture}.{key}")

    def _field(self, key: str) -> Any:
        field = self._reader.fields.get(key)
        return None if field is None else field.contents()

    def _positions(self, how: str) -> ModelError:
        return self._refused(
            f"it reads positions {how}, which is not unpacked",
            "it would run, and answer otherwise than it was trained to",
            _ELSEWHERE,
        )

    def _refused(self, what: str, why: str, fix: str) -> ModelError:
        return ModelError(what, where=self._where, why=why, fix=fix)


def _llama3(wave: float, factor: float) -> float:
    """By how much Llama 3 slows down a frequency, by the tokens of its wave."""
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    if wave < _ORIGINAL / high:
        return 1.0
    if wave > _ORIGINAL / low:
        return factor
    smooth = (_ORIGINAL / wave - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _stem(name: str) -> str:
    """A tensor's name as files and maps both have it: experts have no suffix in the map."""
    return name.removesuffix(".weight")
