"""Orders carried out by a server, and what comes back checked: nothing goes on that is not what was asked for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ig_guardrail.engine.openai_compatible.orders import BlockOrder, DrawnBlock, Judged, ScoreOrder
from ig_guardrail.engine.openai_compatible.server import BadAnswer, ModelServer, ServerError
from ig_guardrail.engine.openai_compatible.wires import Wire
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.errors import EngineError
from ig_guardrail.threads.together import together

ROOM = 1 << 16  # bytes of an answer beside its tokens
TOKEN_ROOM = 1 << 10  # bytes of a token in an answer
WORD_ROOM = 1 << 6  # bytes of a token of the prompt, which llama.cpp repeats
LONGEST_CHARACTER = 4  # tokens
TOP_ROOM = 1 << 8  # bytes of each of the likeliest tokens beside it


@dataclass(frozen=True, slots=True)
class Asker:
    """A server, asked by one wire. `spell` gives the text of tokens, as servers tell it."""

    server: ModelServer
    wire: Wire
    language: TokenVocabulary
    spell: Callable[[Sequence[int]], str]
    session_header: str = ""
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)

    def salt(self, account: RequestUsage, salt: str | None) -> str:
        """By whose name the server keeps what it reads of a prompt; of this request alone where nobody may share it."""
        named = f"request {self.session(account)}" if salt is None else f"salt {salt}"
        return hashlib.sha256(named.encode()).hexdigest()

    def session(self, account: RequestUsage) -> str:
        """A name of a request, which tells nothing of it."""
        return hashlib.blake2b(str(account.first_root).encode(), key=self._secret, digest_size=16).hexdigest()

    async def draw(self, order: BlockOrder, account: RequestUsage) -> list[DrawnBlock]:
        """The blocks of an order, lane by lane. Raises ServerError unless they are what was asked for."""
        if order.count > 1 and order.greedy:
            return (await self.draw(replace(order, count=1), account)) * order.count
        if order.count > 1 and not self.wire.wide:
            seeds = range(order.seed, order.seed + order.count)
            alone = [self.draw(replace(order, seed=seed, count=1), account) for seed in seeds]
            return [block for blocks in await together(alone) for block in blocks]
        each = order.tokens * (TOKEN_ROOM + order.top * TOP_ROOM) + len(order.prompt) * WORD_ROOM
        most = ROOM + order.count * each
        answer = await self._post(self.wire.body(order), most, account)
        try:
            blocks = self.wire.read(answer, order)
            for block in blocks:
                self._check(block, order)
        except BadAnswer as error:
            raise self._unusable(error) from None
        drawn = [len(block.tokens) for block in blocks]
        account.forwards += max(1, *drawn)
        account.read += sum(drawn) + (0 if account.read else len(order.prompt))
        return blocks

    async def score(self, order: ScoreOrder, account: RequestUsage) -> Judged:
        """Log-probabilities of given tokens. Raises EngineError from a server that tells none."""
        if not order.count:
            return []
        if not self.wire.scores:
            raise not_told("log-probabilities of tokens that it is given", self.server)
        self.check_top(order.top)
        most = ROOM + len(order.tokens) * (TOP_ROOM + order.top * TOP_ROOM)
        answer = await self._post(self.wire.score_body(order), most, account)
        try:
            found = self.wire.read_scores(answer, order)
        except BadAnswer as error:
            raise self._unusable(error) from None
        account.note(order.count)
        return found

    def check_top(self, count: int) -> None:
        """Raises EngineError where more of the likeliest tokens are asked for than the server tells."""
        if count > self.wire.most_top:
            raise not_told(f"the {count} likeliest tokens, but {self.wire.most_top}", self.server)

    async def _post(self, body: dict[str, Any], most: int, account: RequestUsage) -> Any:
        headers = {self.session_header: self.session(account)} if self.session_header else {}
        return await self.server.post(self.wire.path, body, most, headers)

    def _check(self, block: DrawnBlock, order: BlockOrder) -> None:
        """Raises BadAnswer unless a block is one of the model's, and of the order."""
        ids = [token.id for token in block.tokens]
        if self.wire.tokens and len(ids) > order.tokens:
            raise BadAnswer(f"gave {len(ids)} tokens where {order.tokens} were asked for")
        if not ids and not block.stopped:
            raise BadAnswer("gave no tokens, and no end")
        listed = [other for token in block.tokens for other, _ in token.top]
        if not all(0 <= token < self.language.size for token in (*ids, *listed)):
            raise BadAnswer(f"gave a token that the tokenizer does not have, which knows {self.language.size}")
        if order.allowed is not None and not set(ids) <= set(order.allowed) | self.language.end:
            raise BadAnswer("gave a token that it was told not to draw")
        said = ids[:-1] if ids and ids[-1] in self.language.end else ids
        if block.text is not None and _core(block.text) not in map(_core, self._spellings(order.prompt, said)):
            raise BadAnswer("gave tokens that do not spell the text which it says they do")

    def _spellings(self, prompt: Sequence[int], ids: Sequence[int]) -> tuple[str, str]:
        """What tokens spell alone, and with a character that tokens before them began, as servers may tell it."""
        before = prompt[-LONGEST_CHARACTER:]
        begun, whole = self.spell(before).rstrip("\ufffd"), self.spell((*before, *ids))
        return self.spell(ids), whole.removeprefix(begun)

    def _unusable(self, error: BadAnswer) -> ServerError:
        fix = "check that `tokenizer` is the served model's, and `wire` the server's own; `ig-guardrail doctor "
        return self.server.failed(str(error), fix + "--engine-url URL` probes it")


def _core(text: str) -> str:
    """A text without what two decoders may write otherwise: characters cut at its ends, and white space there."""
    return text.replace("\ufffd", "").strip()


def not_told(what: str, server: ModelServer) -> EngineError:
    """The error of what a server does not tell."""
    return EngineError(
        f"the server does not tell {what}",
        where=f"server {server.address}",
        why="what its model computes is known only as far as it is told",
        fix="use a search strategy without it, a server that tells it such as vLLM, or a local model",
    )
