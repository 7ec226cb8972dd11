"""How servers are asked for blocks of tokens, and what their answers say: one class for each form of the wire.

An answer is taken only if every part of it has the form that was asked for; BadAnswer says what it lacks. Whether the
tokens are the model's, and as many as were asked for, is checked behind all wires alike (`checks`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from ig_guardrail.engine.openai_compatible.orders import BlockOrder, DrawnBlock, DrawnToken, Judged, ScoreOrder
from ig_guardrail.engine.openai_compatible.server import BadAnswer
from ig_guardrail.types import Sampling

MOST_BIAS = 100.0  # what servers clip a bias to
MOST_TOP = 20  # likeliest tokens that servers tell, unless they are started to tell more
_LONGEST_TOKEN = 128  # characters
_ROUNDING = 1e-3  # of a logprob above 0


class Wire(Protocol):
    """One form of the wire.

    name    in the engine's mode
    path    where blocks are asked for; below the server's root if it begins with "/"
    tokens  whether token ids come back; else the text that they spell
    wide    whether one request gives several answers, of which number i is drawn with the seed + i
    greedy_wide  whether it does so where all are the same
    scores  whether it tells log-probabilities of tokens that it is given
    most_top  how many of the likeliest tokens it tells
    """

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def tokens(self) -> bool: ...
    @property
    def wide(self) -> bool: ...
    @property
    def scores(self) -> bool: ...
    @property
    def masks(self) -> bool: ...
    @property
    def most_top(self) -> int: ...

    def body(self, order: BlockOrder) -> dict[str, Any]:
        """The request for a block."""
        ...

    def read(self, answer: Any, order: BlockOrder) -> list[DrawnBlock]:
        """Its blocks, in the order of their seeds. Raises BadAnswer."""
        ...

    def score_body(self, order: ScoreOrder) -> dict[str, Any]:
        """The request for log-probabilities."""
        ...

    def read_scores(self, answer: Any, order: ScoreOrder) -> Judged:
        """Them. Raises BadAnswer."""
        ...


def _sampled(sampling: Sampling) -> dict[str, Any]:
    """The settings that all of vLLM's forms share."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": min(sampling.top_k, 2**31 - 1),
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "frequency_penalty": 0.0,  # as penalties are counted here, over all of the answer: in the bias
        "presence_penalty": 0.0,
    }


def _bias(order: BlockOrder) -> dict[str, float]:
    return {str(token): max(-MOST_BIAS, min(MOST_BIAS, value)) for token, value in order.bias.items()}


@dataclass(frozen=True, slots=True)
class TokensWire:
    """vLLM's `POST /inference/v1/generate`: token ids in and out."""

    model: str
    wide: bool = True
    most_top: int = MOST_TOP
    name: ClassVar[str] = "tokens"
    path: ClassVar[str] = "/inference/v1/generate"
    tokens: ClassVar[bool] = True
    scores: ClassVar[bool] = True
    masks: ClassVar[bool] = True

    def body(self, order: BlockOrder) -> dict[str, Any]:
        drawn: dict[str, Any] = {
            **_sampled(order.sampling),
            "n": order.count,
            "seed": order.seed,
            "max_tokens": order.tokens,
            "logprobs": order.top,
            "stop_token_ids": list(order.ends),
            "detokenize": False,
        }
        if order.bias:
            drawn["logit_bias"] = _bias(order)
        if order.allowed is not None:
            drawn["allowed_token_ids"] = list(order.allowed)
        return self._whole(order.prompt, drawn, order.salt)

    def read(self, answer: Any, order: BlockOrder) -> list[DrawnBlock]:
        return [self._block(choice) for choice in _choices(answer, order.count)]

    def score_body(self, order: ScoreOrder) -> dict[str, Any]:
        asked = {"n": 1, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": order.top, "detokenize": False}
        return self._whole(order.tokens, asked, order.salt)

    def read_scores(self, answer: Any, order: ScoreOrder) -> Judged:
        return _prompt_scores(_member(answer, "prompt_logprobs"), order)

    def _whole(self, ids: Sequence[int], drawn: dict[str, Any], salt: str) -> dict[str, Any]:
        return {"model": self.model, "token_ids": list(ids), "sampling_params": drawn, "cache_salt": salt}

    def _block(self, choice: Any) -> DrawnBlock:
        ids, content = _list(choice, "token_ids"), _list(_member(choice, "logprobs"), "content")
        if len(ids) != len(content):
            raise BadAnswer(f"gave {len(ids)} tokens and {len(content)} log-probabilities")
        tokens = []
        for token, one in zip(ids, content, strict=True):
            if _member(one, "token_id") != token:
                raise BadAnswer("gave log-probabilities of other tokens than it drew")
            top = [(_id(_member(o, "token_id")), _logprob(_member(o, "logprob"))) for o in _list(one, "top_logprobs")]
            tokens.append(DrawnToken(_id(token), _logprob(_member(one, "logprob")), tuple(top)))
        return DrawnBlock(tuple(tokens), _stopped(choice))


@dataclass(frozen=True, slots=True)
class CompletionsWire:
    """`POST /v1/completions` with token ids as prompt, of servers that tell token ids too, such as vLLM.

    wide, scores, masks, most_top: see `Wire`; what the server was found to do
    """

    model: str
    wide: bool = True
    scores: bool = True
    masks: bool = True
    most_top: int = MOST_TOP
    name: ClassVar[str] = "completions"
    path: ClassVar[str] = "completions"
    tokens: ClassVar[bool] = True

    def body(self, order: BlockOrder) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "model": self.model,
            "prompt": list(order.prompt),
            **_sampled(order.sampling),
            "n": order.count,
            "seed": order.seed,
            "max_tokens": order.tokens,
            "logprobs": order.top,
            "stop_token_ids": list(order.ends),
            "cache_salt": order.salt,
            "add_special_tokens": False,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }
        if order.bias:
            asked["logit_bias"] = _bias(order)
        if order.allowed is not None:
            asked["allowed_token_ids"] = list(order.allowed)
        return asked

    def read(self, answer: Any, order: BlockOrder) -> list[DrawnBlock]:
        return [self._block(choice) for choice in _choices(answer, order.count)]

    def score_body(self, order: ScoreOrder) -> dict[str, Any]:
        return {
            "model": self.model,
            "prompt": list(order.tokens),
            "max_tokens": 1,
            "temperature": 0.0,
            "prompt_logprobs": order.top,
            "cache_salt": order.salt,
            "add_special_tokens": False,
        }

    def read_scores(self, answer: Any, order: ScoreOrder) -> Judged:
        (choice,) = _choices(answer, 1)
        return _prompt_scores(_member(choice, "prompt_logprobs"), order)

    def _block(self, choice: Any) -> DrawnBlock:
        ids, told = _list(choice, "token_ids"), _member(choice, "logprobs")
        logprobs, named, tops = (_list(told, name) for name in ("token_logprobs", "tokens", "top_logprobs"))
        if not len(ids) == len(logprobs) == len(named) == len(tops):
            raise BadAnswer(f"gave {len(ids)} tokens and {len(logprobs)} log-probabilities")
        tokens = []
        for token, logprob, name, top in zip(ids, logprobs, named, tops, strict=True):
            if _named(name) != token:
                raise BadAnswer("gave log-probabilities of other tokens than it drew")
            listed = [(_named(other), _logprob(value)) for other, value in _items(top or {})]
            tokens.append(DrawnToken(_id(token), _logprob(logprob), tuple(listed)))
        return DrawnBlock(tuple(tokens), _stopped(choice), _text(choice, "text"))


@dataclass(frozen=True, slots=True)
class LlamaCppWire:
    """llama.cpp's own `POST /completion`: token ids in and out."""

    wide: bool = True
    most_top: int = 1000
    name: ClassVar[str] = "llama.cpp"
    path: ClassVar[str] = "/completion"
    tokens: ClassVar[bool] = True
    scores: ClassVar[bool] = False
    masks: ClassVar[bool] = False

    def body(self, order: BlockOrder) -> dict[str, Any]:
        sampling = order.sampling
        return {
            "prompt": list(order.prompt),
            "n_predict": order.tokens,
            "n_cmpl": order.count,
            "seed": order.seed,
            "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
            "temperature": sampling.temperature,
            "top_k": min(sampling.top_k, 2**31 - 1),
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": len(order.prompt) + order.tokens,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "logit_bias": [[int(token), value] for token, value in _bias(order).items()],
            "n_probs": max(1, order.top),
            "return_tokens": True,
            "cache_prompt": True,
        }

    def read(self, answer: Any, order: BlockOrder) -> list[DrawnBlock]:
        blocks = answer if isinstance(answer, list) else [answer]
        if len(blocks) != order.count or sorted(_index(one) for one in blocks) != list(range(order.count)):
            raise BadAnswer(f"gave {len(blocks)} answers where {order.count} were asked for")
        return [self._block(one, order.top) for one in sorted(blocks, key=_index)]

    def score_body(self, order: ScoreOrder) -> dict[str, Any]:
        raise BadAnswer("tells no log-probabilities of tokens that it is given")

    def read_scores(self, answer: Any, order: ScoreOrder) -> Judged:
        raise BadAnswer("tells no log-probabilities of tokens that it is given")

    def _block(self, answer: Any, top: int) -> DrawnBlock:
        why, ids = _member(answer, "stop_type"), _list(answer, "tokens")
        if why not in ("eos", "limit") or _member(answer, "truncated") is not False:
            raise BadAnswer("ended an answer for another reason than its end, or the tokens that were asked for")
        told = _list(answer, "completion_probabilities")
        if why == "eos" and len(told) == len(ids) + 1:
            ids = [*ids, _member(told[-1], "id")]
        if len(told) != len(ids):
            raise BadAnswer(f"gave {len(ids)} tokens and {len(told)} log-probabilities")
        tokens = []
        for token, one in zip(ids, told, strict=True):
            if _member(one, "id") != token:
                raise BadAnswer("gave log-probabilities of other tokens than it drew")
            listed = [(_id(_member(o, "id")), _logprob(_member(o, "logprob"))) for o in _list(one, "top_logprobs")]
            tokens.append(DrawnToken(_id(token), _logprob(_member(one, "logprob")), tuple(listed[:top])))
        return DrawnBlock(tuple(tokens), why == "eos", _text(answer, "content"))


@dataclass(frozen=True, slots=True)
class TextWire:
    """`POST /v1/completions` with text as prompt, of servers that take and tell nothing else.

    What comes back is cut into tokens here, and has no log-probabilities. A character that a block leaves open is
    drawn again with the next one.

    write  the text of tokens, with markers; raises EngineError where a server would read other markers in it
    cut    the tokens of a text, in which markers are only words
    spell  the text of these
    """

    model: str
    write: Callable[[Sequence[int]], str]
    cut: Callable[[str], Sequence[int]]
    spell: Callable[[Sequence[int]], str]
    wide: bool = True
    name: ClassVar[str] = "text"
    path: ClassVar[str] = "completions"
    tokens: ClassVar[bool] = False
    scores: ClassVar[bool] = False
    masks: ClassVar[bool] = False
    most_top: ClassVar[int] = 0

    def body(self, order: BlockOrder) -> dict[str, Any]:
        asked = {**_sampled(order.sampling), "repeat_penalty": order.sampling.repetition_penalty}
        if order.bias:
            asked["logit_bias"] = _bias(order)
        room = {"model": self.model, "n": order.count, "seed": order.seed, "max_tokens": order.tokens}
        return {**room, **asked, "prompt": self.write(order.prompt)}

    def read(self, answer: Any, order: BlockOrder) -> list[DrawnBlock]:
        return [self._block(choice, order) for choice in _choices(answer, order.count)]

    def score_body(self, order: ScoreOrder) -> dict[str, Any]:
        raise BadAnswer("tells no log-probabilities of tokens that it is given")

    def read_scores(self, answer: Any, order: ScoreOrder) -> Judged:
        raise BadAnswer("tells no log-probabilities of tokens that it is given")

    def _block(self, choice: Any, order: BlockOrder) -> DrawnBlock:
        text = _text(choice, "text").rstrip("\ufffd")
        if len(text) > order.tokens * _LONGEST_TOKEN:
            raise BadAnswer(f"gave {len(text)} characters where {order.tokens} tokens were asked for")
        ids = list(self.cut(text))
        if self.spell(ids) != text:
            raise BadAnswer("gave a text that cannot be cut into tokens which spell it")
        return DrawnBlock(tuple(DrawnToken(token, None) for token in ids), _stopped(choice), text)


def _choices(answer: Any, count: int) -> list[Any]:
    """The choices of an answer, by their index. Raises BadAnswer unless there are so many, each once."""
    found = _list(answer, "choices")
    if sorted(_index(choice) for choice in found) != list(range(count)):
        raise BadAnswer(f"gave {len(found)} answers where {count} were asked for")
    return sorted(found, key=_index)


def _index(choice: Any) -> int:
    index = _member(choice, "index")
    return index if isinstance(index, int) and not isinstance(index, bool) else -1


def _stopped(choice: Any) -> bool:
    reason = _member(choice, "finish_reason")
    if reason not in ("stop", "length"):
        raise BadAnswer("ended an answer for another reason than its end, or the tokens that were asked for")
    return bool(reason == "stop")


def _prompt_scores(told: Any, order: ScoreOrder) -> Judged:
    """What is told of the last tokens of a prompt: for each, what is known of it, by its id."""
    if not isinstance(told, list) or len(told) != len(order.tokens):
        raise BadAnswer("gave no log-probabilities of the tokens that it was given")
    first = len(order.tokens) - order.count
    found = []
    for token, entries in zip(order.tokens[first:], told[first:], strict=True):
        values = {_numeral(name): _logprob(_member(entry, "logprob")) for name, entry in _items(entries)}
        if token not in values:
            raise BadAnswer("gave log-probabilities of other tokens than it was given")
        ranked = sorted(values.items(), key=lambda one: (-one[1], one[0]))[: order.top]
        found.append(DrawnToken(token, values[token], tuple(ranked)))
    return found


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise BadAnswer(f"gave no `{name}`")
    return value[name]


def _list(value: Any, name: str) -> list[Any]:
    found = _member(value, name)
    if not isinstance(found, list):
        raise BadAnswer(f"gave no list of `{name}`")
    return found


def _items(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise BadAnswer("gave no log-probabilities by token")
    return list(value.items())


def _text(value: Any, name: str) -> str:
    found = _member(value, name)
    if not isinstance(found, str):
        raise BadAnswer(f"gave no `{name}`")
    return found


def _id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadAnswer("gave a token that is no number")
    return value


def _numeral(name: str) -> int:
    if not name.isascii() or not name.isdecimal() or len(name) > 9:
        raise BadAnswer("gave a token that is no number")
    return int(name)


def _named(name: Any) -> int:
    """The token of vLLM's spelling `token_id:42`."""
    if not isinstance(name, str) or not name.startswith("token_id:"):
        raise BadAnswer("did not name tokens by their numbers")
    return _numeral(name.removeprefix("token_id:"))


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > _ROUNDING:
        raise BadAnswer("gave a log-probability that is none")
    return min(0.0, float(value))
