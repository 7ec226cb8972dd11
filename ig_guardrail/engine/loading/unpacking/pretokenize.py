r"""How a byte-level vocabulary cuts text before it merges bytes, by the name that a GGUF file gives for it.

A file holds the vocabulary and its merges, and of the cutting a name only (`tokenizer.ggml.pre`). Text that is cut
otherwise than the model was trained on comes out as other tokens: digits above all, which some models read one by one,
some by threes, some as they stand. The names are those of llama.cpp; what a name means is what the tokenizer does that
the model's makers published. `make test` holds every name against what llama.cpp made of the same 255 odd texts, and
names the few on which the two differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_MIXED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
_SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_PATHS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_ASCII_THEN_LETTERS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    rf"""| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}"""
)
_FROM_THE_RIGHT = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"


def _words(digits: str) -> str:
    """Letters with one character before them, digits, symbols with the ends of lines behind them, spaces."""
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}|{_SYMBOLS}|{_SPACES}"


def _cases(digits: str, contractions: str = "") -> str:
    """The same, with words cut where small letters end and capitals begin."""
    return rf"{_MIXED}{contractions}|{_UPPER}{contractions}|{digits}|{_PATHS}|{_SPACES}"


@dataclass(frozen=True, slots=True)
class Cutting:
    """cuts: expressions, each applied to the pieces of those before it; every match and every gap is a piece.

    whole  whether a piece that is a token is taken as it is, whatever its merges say
    nfc    whether text is composed (Unicode NFC) before it is cut
    """

    cuts: tuple[str, ...]
    whole: bool = False
    nfc: bool = False


_ONE_BY_ONE = Cutting((r"\p{N}", _GPT2))
_PLAIN = Cutting((_GPT2,))
_LLAMA3 = Cutting((_words(r"\p{N}{1,3}"),), whole=True)
_THREES = Cutting((_words(r"\p{N}{1,3}"),))
_QWEN2 = Cutting((_words(r"\p{N}"),), nfc=True)
_DIGITS = Cutting((_words(r"\p{N}"),))
_GPT4O = Cutting((_cases(r"\p{N}{1,3}", _CONTRACTIONS + "?"),))
_CJK = "[一-龥\u3040-ゟ゠-ヿ]+"
_DEEPSEEK3 = Cutting((r"\p{N}{1,3}", _CJK, _ASCII_THEN_LETTERS))
_BAILING = Cutting(
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    )
)

CUTTINGS: Mapping[str, Cutting] = {
    **dict.fromkeys(
        ("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "gigachat", "a.x-4.0", "mellum"),
        _PLAIN,
    ),
    **dict.fromkeys(("jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v1-en", "jina-v2-code"), _PLAIN),
    **dict.fromkeys(("roberta-bpe", "modern-bert", "exaone4", "nuh-bytelevel"), _PLAIN),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "cohere2_moe", "codeshell", "exaone", "minerva-7b", "mellum2"),
        _ONE_BY_ONE,
    ),
    **dict.fromkeys(
        ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
        _LLAMA3,
    ),
    **dict.fromkeys(("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"), _THREES),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "openpangu"), _QWEN2),
    **dict.fromkeys(("stablelm2", "hunyuan", "solar-open", "grok-2"), _DIGITS),
    "qwen35": Cutting(
        (
            rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
            rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}",
        ),
        nfc=True,
    ),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"), _GPT4O),
    "tekken": Cutting((_cases(r"\p{N}"),), whole=True),
    "tiny_aya": Cutting((r"\d{1,3}(?=(?:\d{3})*\b)", *_GPT4O.cuts)),
    "youtu": Cutting(
        (
            "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+",
            _cases(r"\p{N}", _CONTRACTIONS + "?"),
        ),
        whole=True,
    ),
    **dict.fromkeys(("deepseek-v3", "hunyuan-dense", "joyai-llm"), _DEEPSEEK3),
    "deepseek-coder": Cutting((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}")),
    "deepseek-llm": Cutting(
        (
            r"[\r\n]",
            r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
            r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+",
            r"\s+$",
            "[一-龥ࠀ-一가-퟿]+",
            r"\p{N}+",
        )
    ),
    "afmoe": Cutting(
        (
            _FROM_THE_RIGHT,
            "[一-鿿㐀-䶿豈-﫿\u3040-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+",
            _ASCII_THEN_LETTERS,
        )
    ),
    "falcon": Cutting((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    "default": Cutting((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    **dict.fromkeys(("bailingmoe", "bailingmoe2", "llada-moe"), _BAILING),
    "seed-coder": Cutting(
        (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",)
    ),
    "exaone-moe": Cutting(
        (
            rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
        )
    ),
    "jais-2": Cutting(
        (
            rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_SYMBOLS}|\s*[\r\n]+|"
            + "|".join(rf"\s{{{length}}}(?!\S)" for length in (512, 256, 128, 64, 32, 16, 8, 4))
            + r"|\s{1,2}(?!\S)|\s{1}",
        )
    ),
    **dict.fromkeys(("poro-chat", "bloom", "gpt3-finnish"), Cutting((_BLOOM,))),
    "viking": Cutting((_BLOOM, r"\p{N}")),
    "superbpe": Cutting((r"\p{N}+", _FROM_THE_RIGHT)),
    "chameleon": Cutting(
        (
            "<sentinel:[0-9]+>",
            "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
            "([\\t\\n]|    |  )",
            r"\p{N}",
            r"[\p{P}!-/:-@\[-`{-~]",
            _GPT2,
        )
    ),
    "kimi-k2": Cutting(
        (
            r"\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
            r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
            r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            rf"|\p{{N}}{{1,3}}|{_SYMBOLS}|{_SPACES}",
        )
    ),
}
"""By name. A name that is not here, or a file without one, is cut as `transformers` cuts it, with a warning."""


def cut_as(tokenizer: Any, name: str) -> bool:
    """Have a `transformers` tokenizer of a byte-level vocabulary cut text as `name` says; False for a name unknown."""
    from tokenizers import Regex, normalizers
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    cutting = CUTTINGS.get(name)
    if cutting is None:
        return False
    backend = tokenizer.backend_tokenizer
    splits = [Split(Regex(cut), behavior="isolated") for cut in cutting.cuts]
    backend.pre_tokenizer = Sequence([*splits, ByteLevel(add_prefix_space=False, use_regex=False)])
    backend.model.ignore_merges = cutting.whole
    if cutting.nfc:
        backend.normalizer = normalizers.NFC()
    return True
