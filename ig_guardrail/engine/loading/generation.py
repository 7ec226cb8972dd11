"""How a model's makers would sample it: their `generation_config`, as far as it names what a request may set.

What else would change answers, and is not taken, is told. `do_sample` and lengths are not read: the temperature tells
whether tokens are drawn, and `max_tokens` is the caller's.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ig_guardrail.engine.loading.description import GENERATION
from ig_guardrail.engine.loading.files import file_of
from ig_guardrail.settings import Limits
from ig_guardrail.types import SAMPLING_RANGES, GenerationDefaults

_WHOLE = ("top_k",)
_NUMBERS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
_BAD_WORDS = "bad_words_ids"
_LIMITS = Limits()

UNTAKEN: Mapping[str, object] = {  # what would change answers, with the value at which it does not
    **dict.fromkeys(("begin_suppress_tokens", _BAD_WORDS, "sequence_bias", "forced_bos_token_id"), None),
    **dict.fromkeys(("min_length", "min_new_tokens", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"), 0),
    **dict.fromkeys(("epsilon_cutoff", "eta_cutoff", "penalty_alpha", "presence_penalty", "frequency_penalty"), 0),
    **dict.fromkeys(("typical_p", "encoder_repetition_penalty", "guidance_scale", "num_beams"), 1),
    **dict.fromkeys(("exponential_decay_length_penalty", "top_h", "dola_layers", "watermarking_config"), None),
}


def generation_defaults(config: Mapping[str, Any], model: str) -> GenerationDefaults:
    """The defaults in a generation config. Warns of a value that no request could ask for, and of what is not taken."""
    found: dict[str, Any] = {}
    for name in _NUMBERS:
        value = config.get(name)
        value = 0 if name == "top_k" and value == -1 else value
        if value is None:
            continue
        if _fits(name, value):
            found[name] = value
        else:
            least, most = SAMPLING_RANGES[name]
            lowest = f"from {least:g}" if least == 0 or least > 1e-9 else "above 0, up"
            _tell_odd(model, name, value, f"a number {lowest} to {most:g}", f"give `{name}`")
    texts, tokens = config.get("stop_strings") or [], config.get("suppress_tokens") or []
    texts = [texts] if isinstance(texts, str) else texts
    if not (isinstance(texts, list) and len(texts) <= _LIMITS.stops and all(map(_ends, texts))):
        _tell_odd(model, "stop_strings", texts, f"at most {_LIMITS.stops} texts", "give `stop`")
        texts = []
    if not (isinstance(tokens, list) and all(map(_is_token, tokens))):
        _tell_odd(model, "suppress_tokens", tokens, "a list of token ids", "give `logit_bias`")
        tokens = []
    words = config.get(_BAD_WORDS) or []
    alone = [one[0] for one in words if _is_lone(one)] if isinstance(words, list) else []
    _tell_untaken(model, {**config, _BAD_WORDS: None if words == [[token] for token in alone] else words})
    return GenerationDefaults(**found, stop=tuple(texts), banned=tuple(dict.fromkeys((*tokens, *alone))))


def read_defaults(model: str, revision: str | None = None) -> GenerationDefaults:
    """The same by the model's files, before it is loaded; empty where they are not on this machine, or unreadable."""
    try:
        file = file_of(model, GENERATION, revision) or file_of(model, "config.json", revision)  # as `transformers` does
        config = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return GenerationDefaults()
    return generation_defaults(config, model) if isinstance(config, dict) else GenerationDefaults()


def _fits(name: str, value: object) -> bool:
    least, most = SAMPLING_RANGES[name]
    kinds = int if name in _WHOLE else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most


def _ends(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _LIMITS.stop_characters


def _is_token(one: object) -> bool:
    return isinstance(one, int) and not isinstance(one, bool) and one >= 0


def _is_lone(word: object) -> bool:
    return isinstance(word, list) and len(word) == 1 and _is_token(word[0])


def _tell_odd(model: str, name: str, value: object, kind: str, fix: str) -> None:
    _tell(
        f"model '{model}': {GENERATION} says that {name} is {value!r:.40}\n"
        f"  why: it is left out, since {name} is {kind}\n"
        f"  fix: {fix}, or correct the file"
    )


def _tell_untaken(model: str, config: Mapping[str, Any]) -> None:
    names = sorted(name for name, neutral in UNTAKEN.items() if config.get(name) not in (None, neutral, [], {}, ""))
    if names:
        are = "is" if len(names) == 1 else "are"
        _tell(
            f"model '{model}': {GENERATION} sets {', '.join(names)}, which {are} not taken\n"
            "  why: no token is drawn by it here, so answers are not quite those that its makers had\n"
            "  fix: give what serves instead, such as `min_p` or `logit_bias`; docs/models.md lists what is taken"
        )


@lru_cache(maxsize=256)
def _tell(text: str) -> None:
    """Warn once in a process: settings are read before a model is loaded, and with it."""
    warnings.warn(text, stacklevel=5)
