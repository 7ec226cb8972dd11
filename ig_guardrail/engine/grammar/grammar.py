"""Grammars: which tokens may come next, so that what a model says has its form by construction.

A grammar is a Lark text as `llguidance` reads it, JSON schemas included. At every token it allows those that some whole
answer of that form continues with, and the end only where one is complete. How a form is cut into tokens is free.

Beside it stands the network of the same form (`network.py`), which tells how far the end is: a token is drawn only if
an answer can still be closed behind it in the tokens that are left. A way to the end is tried on the grammar itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.engine.futures import WorkFuture
from ig_guardrail.engine.grammar.closing import Stand, beginning
from ig_guardrail.engine.grammar.compiling import WAITED_S, WORKED_S, Compilation, settle
from ig_guardrail.engine.grammar.network import FAR, Net, Unread
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.errors import EngineError, GuardrailError, RequestError, brief
from ig_guardrail.schemas import CHECKED
from ig_guardrail.threads.locks import ForkSafeLock

R = TypeVar("R")

LONGEST = 700_000  # characters of a grammar
WIDEST = 30_000  # readings of one place; an object needs three for each key that it may leave out
WAYS = 60  # to the end that are tried
TRIES = 16  # tokens that are passed over because an answer could not be closed behind them
_KEPT = 32  # compiled grammars


class TokenSpelling:
    """Texts in tokens, for one model."""

    def __init__(self, language: TokenVocabulary, tokenizer: Any) -> None:
        self.language = language
        self._tokenizer = tokenizer

    @cached_property
    def single(self) -> dict[int, int]:
        """The tokens of single bytes."""
        found: dict[int, int] = {}
        for token, data in enumerate(self.language.detokenizer.spelled(self.language.size)):
            if len(data) == 1:
                found.setdefault(data[0], token)
        return found

    def tokens(self, data: bytes) -> list[int] | None:
        """Some tokens of a text that may begin within a character; None if there are none."""
        first = next((at for at, byte in enumerate(data) if byte & 0xC0 != 0x80), len(data))
        begun = [self.single.get(byte) for byte in data[:first]]
        if None in begun:
            return None
        rest = self._tokenizer.greedy_tokenize(data[first:].decode()) if data[first:] else []
        return [*(token for token in begun if token is not None), *rest]


class GrammarState:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: Any, spelling: TokenSpelling, stand: Stand | None) -> None:
        self._matcher = matcher
        self._spelling = spelling
        self._language = spelling.language
        self._stand = stand
        self._plan: list[int] | None = None  # tokens to the end that were found already
        self._plans: dict[int, list[int]] = {}  # the same, behind a token that may come next

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (vocabulary,). Raises EngineError if that cannot be told."""
        mask: bytes = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            raise _broken(self._matcher.get_error())
        size = self._language.size
        bits = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")[:size]
        allowed = np.pad(bits, (0, size - len(bits))).astype(np.bool_)
        if self._stand is not None and self._stand.exact:
            for token in np.flatnonzero(allowed).tolist():
                allowed[token] = self._goes_on(token)
        elif self._stand is not None and self._stand.net.check:
            for token in self._language.end:
                allowed[token] &= self._stand.whole
        return allowed

    def take(self, token: int) -> None:
        """Go on with a token. Raises EngineError if it is not allowed."""
        if not self._matcher.consume_token(token):
            raise _broken(f"token {token} is not allowed there")
        if self._stand is not None and token not in self._language.end:
            self._stand = self._stand.after(self._language.detokenizer.bytes_of(token))
            going = self._plan[1:] if self._plan and self._plan[0] == token else None
            self._plan, self._plans = self._plans.get(token, going), {}

    def takes(self, tokens: Sequence[int]) -> bool:
        """Whether it could go on with these tokens."""
        return bool(self._matcher.validate_tokens(list(tokens)) == len(tokens))

    @property
    def ended(self) -> bool:
        """Whether it is complete where it stands, words left aside, which may always go on."""
        if self._stand is None:
            return bool(self._matcher.is_stopped())
        return self._stand.whole and not self._stand.prose and bool(self._matcher.is_accepting())

    @property
    def counting(self) -> bool:
        """Whether it stands in a number, which further digits would make another one."""
        return self._stand is not None and self._stand.counting

    def may_take(self, token: int, left: int) -> bool:
        """Whether an answer that may have `left` more tokens can be closed behind this one; words may be cut."""
        if self._stand is None:
            return True
        if token in self._language.end:
            return self._stand.whole
        if self._plan and self._plan[0] == token and len(self._plan) <= left:
            return True
        after = self._stand.after(self._language.detokenizer.bytes_of(token))
        if after is None or after.cost >= FAR:
            return False
        if after.prose and after.cost == 0:
            return True
        if after.cost < left and not (after.rest or after.net.check) and len(self._spelling.single) == 256:
            return True
        way = self._way(after, left - 1, [token])
        if way is not None:
            self._plans[token] = way
        return way is not None

    @property
    def tries(self) -> int:
        """How many tokens may be passed over before the way out is taken; fewer where each is costly to weigh."""
        return TRIES // 4 if self._stand is not None and self._stand.net.check else TRIES

    def way_out(self, left: int) -> int | None:
        """The next token of a short way to the end; None if none of `left` tokens is known."""
        if self._stand is None:
            return None
        if self._plan is None or len(self._plan) > left:
            self._plan = self._way(self._stand, left, [])
        return None if self._plan is None else self._plan[0] if self._plan else min(self._language.end)

    def fits(self, room: int) -> bool:
        """Whether it can be closed within so many tokens, as far as that is known."""
        if self._stand is None or (self._stand.cost <= room and not self._stand.net.check):
            return True
        return self.way_out(room) is not None

    def least(self) -> int | None:
        """How many tokens the shortest known way to the end has; None if none is known."""
        way = None if self._stand is None else self._way(self._stand, FAR, [])
        return None if way is None else len(way)

    def _goes_on(self, token: int) -> bool:
        if self._stand is None:
            return True
        if token in self._language.end:
            return self._stand.whole
        return self._stand.after(self._language.detokenizer.bytes_of(token)) is not None

    def _way(self, stand: Stand, left: int, begun: list[int]) -> list[int] | None:
        """Tokens behind `begun` that end the form within `left`, as the grammar itself confirms."""
        for data in islice(stand.ways(), WAYS):
            tokens = self._spelling.tokens(data)
            if tokens is None or len(tokens) > left:
                continue
            tried = [*begun, *tokens, min(self._language.end)]
            if self._matcher.validate_tokens(tried) == len(tried):
                return tokens
        return None


@dataclass(frozen=True, slots=True)
class Grammar:
    """A compiled grammar, for the tokens of one model. begun: where an answer stands before it begins."""

    _start: Any
    _spelling: TokenSpelling
    _begun: Stand | None = None

    def after(self, ids: Sequence[int]) -> GrammarState:
        """Where an answer stands after `ids`. Raises EngineError if no form begins like that."""
        matcher = self._start.deep_copy()
        if ids and not matcher.consume_tokens(list(ids)):
            raise _broken("tokens were forced that no form begins with")
        spelled = b"".join(map(self._spelling.language.detokenizer.bytes_of, ids))
        return GrammarState(matcher, self._spelling, self._begun and self._begun.after(spelled))

    @property
    def shortest(self) -> int:
        """Bytes of the shortest answer, which no more tokens are needed for; 0 where that is not known."""
        return 0 if self._begun is None or self._begun.cost >= FAR else self._begun.cost

    def demand(self, limit: int, before: int = 0, begun: Sequence[int] = ()) -> None:
        """Raises RequestError unless an answer of `limit` tokens can have the form.

        before, begun: so many tokens stand before the form, and with these it begins
        """
        lead = before + len(begun)
        form, room = self.after(begun), max(0, limit - lead)
        if not form.fits(room):
            least = form.least()
            raise RequestError(
                f"no answer of {limit} tokens has the form that was asked for"
                + (f": it takes {least + lead}" if least is not None else ", nor was a longer one found"),
                where="tools or response format",
                why="an answer that is cut is no value",
                fix=f"set max_tokens to {least + lead} or more" if least is not None else "use a simpler JSON schema",
            )


class Grammars:
    """Compiles grammars for one model, apart from the thread that asks, and keeps the last few by their hash.

    One that takes too long is a RequestError where it is too complex, and an EngineError where the host is too busy.
    """

    def __init__(self, language: TokenVocabulary, encode: Callable[[str], Sequence[int]]) -> None:
        self._language = language
        self._encode = encode
        self._compiled: dict[str, Grammar] = {}
        self._begun: dict[str, Compilation[Grammar]] = {}  # and not over yet
        self._lock = ForkSafeLock()
        self._first = ForkSafeLock()

    def compiled(self, text: str) -> Grammar:
        """The grammar of a Lark text; it is waited for. RequestError if it is none, or too large to be followed."""
        known = self._known(text)
        if known is not None:
            return known
        return self._making(text).awaited().result()

    def then(self, text: str, go_on: Callable[[], Future[R]]) -> Future[R]:
        """The future of what follows once a grammar is compiled; nobody waits for that on this thread."""
        if self._known(text) is not None:
            return go_on()
        asked: WorkFuture[R] = WorkFuture()
        self._making(text).awaited().add_done_callback(lambda made: _follow(asked, made, go_on))
        return asked

    def _known(self, text: str) -> Grammar | None:
        with self._lock:
            return self._compiled.get(_name(text))

    def _making(self, text: str) -> Compilation[Grammar]:
        """The compilation of a grammar: the one that was begun for another, or a new one."""
        with self._lock:
            self._begun = {name: begun for name, begun in self._begun.items() if begun.running}
            name = _name(text)
            if name not in self._begun:
                self._begun[name] = Compilation(lambda: self._make(text), _late)
            return self._begun[name]

    def _make(self, text: str) -> Grammar:
        """Compile a grammar, and keep it."""
        try:
            grammar = self._compile(text)
        except GuardrailError:
            raise
        except BaseException as error:  # whoever waits must hear of it
            raise _unfit(f"{type(error).__name__}: {error}") from error
        with self._lock:
            while len(self._compiled) >= _KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[_name(text)] = grammar
        return grammar

    def _compile(self, text: str) -> Grammar:
        from llguidance import LLMatcher, LLParserLimits

        if len(text) > LONGEST:
            raise _unfit(f"it has {len(text)} characters, of at most {LONGEST}")
        limits = LLParserLimits(max_items_in_row=WIDEST)
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(text), log_level=0, limits=limits)
        if matcher.is_error():
            raise _unfit(matcher.get_error())
        return Grammar(matcher, self._spelling, _beginning(text))

    @cached_property
    def _spelling(self) -> TokenSpelling:
        return TokenSpelling(self._language, self._tokenizer)

    @cached_property
    def _made(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(
            TokenizerWrapper(_Spelling(self._language, self._encode)), eos_token=sorted(self._language.end)
        )

    @property
    def _tokenizer(self) -> Any:
        with self._first:
            return self._made


def _beginning(text: str) -> Stand | None:
    """Where an answer of a grammar begins; None for a grammar of which no network is made."""
    from ig_guardrail.engine.grammar.lark_network import net_of

    try:
        net: Net = net_of(text)
    except Unread as error:
        if f'"{CHECKED}"' in text:
            raise _unfit(str(error)) from error
        return None
    return beginning(net)


def _name(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _follow(asked: WorkFuture[R], made: Future[Grammar], go_on: Callable[[], Future[R]]) -> None:
    """Go on once a grammar is there, unless nobody waits any more."""
    if not asked.set_running_or_notify_cancel():
        return
    error = made.exception()
    if error is not None:
        settle(asked, error)
        return
    asked.follow(go_on())


class _Spelling:
    """A model's tokens as `llguidance` wants them; those that spell nothing are special, by names of their own."""

    def __init__(self, language: TokenVocabulary, encode: Callable[[str], Sequence[int]]) -> None:
        spelled = language.detokenizer.spelled(language.size)
        self.eos_token_id = min(language.end)
        self.bos_token_id = None
        self.special_token_ids = [token for token, data in enumerate(spelled) if not data]
        self.tokens = [data or f"<|{token}|>".encode() for token, data in enumerate(spelled)]
        self._encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        return list(self._encode(text if isinstance(text, str) else text.decode("utf-8", "replace")))


def _unfit(why: str) -> RequestError:
    return RequestError(
        f"the form that was asked for cannot be enforced: {brief(why, 400)}",
        where="tools or response format",
        why="an answer whose form is not enforced may break who reads it",
        fix="use a simpler JSON schema",
    )


def _late(complex_: bool) -> GuardrailError:
    """The error of a grammar that takes too long to compile. complex_: whether that is the work itself"""
    if complex_:
        return _unfit(f"it takes more than {WORKED_S:.0f} s to compile")
    return EngineError(
        f"the form that was asked for was not compiled within {WAITED_S:.0f} s",
        where="grammar",
        why="this host has no time for it: it may be a simple one",
        fix="ask again; it is compiled meanwhile",
    )


def _broken(why: str) -> EngineError:
    return EngineError(
        f"an answer left the form that was asked for: {brief(why, 400)}",
        where="grammar",
        why="a form that was promised must hold at every token",
    )
