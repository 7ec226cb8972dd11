"""`GuardRunnable`: a policy for the text that flows out of a chain, whatever wrote it.

It has no model, so nothing is searched for or asked for again: text goes on as far as the policy takes it, and ends
there. It goes on block by block, behind the policy's hold, both counted in pieces of text, of about a word each.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import AIMessageChunk, message_chunk_to_message
from langchain_core.runnables import Runnable, RunnableConfig
from typing_extensions import override

from ig_guardrail.costs.base import CostModel
from ig_guardrail.drive.request import GenerationRequest, check_language
from ig_guardrail.engine.external.engine import StreamedEngine
from ig_guardrail.engine.external.stream import AwaitedReading, PulledReading
from ig_guardrail.integrations.langchain.checking.text_checks import LONGEST, TextOpening, sampling
from ig_guardrail.integrations.langchain.inner.answer import (
    InnerAnswer,
    ShownPiece,
    answer_pieces,
    errors_of_others,
    relayed,
    spoken_async,
)
from ig_guardrail.integrations.langchain.payer import Payers, TenantOf
from ig_guardrail.integrations.langchain.step_runs import as_run, as_run_async
from ig_guardrail.integrations.langchain.structured import AnswerRefused, raises
from ig_guardrail.ledger import AccountKey, Ledger
from ig_guardrail.rollout.canary import Canary, canary_in
from ig_guardrail.settings import AuditFile
from ig_guardrail.text.calls import shown_length
from ig_guardrail.types import Chunk, CompiledPolicy, Message

_UNKNOWN = (Message("system", ""),)  # the conversation that led to the text; the prompt check has nothing to read


class GuardRunnable(Runnable[Any, Any]):
    """Passes strings on as strings, and messages as message chunks whose last one has the receipt.

    policy      a policy file, the name of a packaged policy, or a compiled policy; its budgets must be over text
    on_refusal  what follows where the policy denies: "end", its message; "raise", AnswerRefused
    language    of that message
    longest     pieces of a text; what is longer is cut there
    ledger      where shared budgets are kept, as in `ChatIGGuardrail`; the config's `thread_id` names the conversation
    tenant, tenant_of, tenant_key  name the tenant, as in `ChatIGGuardrail`
    cost_models those that the policy leaves to the program, by name
    audit       an audit log, in which a line is written for every answer before its end is delivered; without texts
    reload      whether a policy file that is changed holds for the texts that begin after that; see `policy_fault`
    canary      another policy for a share of conversations or tenants, as a `Canary` or a dict of its fields

    Raises PolicyError or ModelError at once; when it runs, GenerationFailed if the guard fails, and errors of the chain
    as they are. Closing the stream closes what it reads from.
    """

    def __init__(
        self,
        policy: str | Path | CompiledPolicy,
        *,
        on_refusal: Literal["end", "raise"] = "end",
        language: str = "en",
        longest: int = LONGEST,
        ledger: str | Path | Ledger | None = None,
        cost_models: Mapping[str, CostModel] | None = None,
        tenant: str | None = None,
        tenant_of: TenantOf | None = None,
        tenant_key: str | None = None,
        audit: str | Path | AuditFile | None = None,
        reload: bool = False,
        canary: Canary | Mapping[str, Any] | None = None,
    ) -> None:
        self._payers = Payers(tenant=tenant, tenant_of=tenant_of, tenant_key=tenant_key)
        self._opened = TextOpening(policy, ledger, cost_models, audit, reload, canary_in(canary))
        self._raises = raises(on_refusal)
        check_language(language)
        self._language = language
        self._longest = longest

    @property
    def policy_fault(self) -> str | None:
        """With `reload`, why the policy's file, as it stands now, is not in force; None if it is."""
        return self._opened.fault

    @override
    def transform(
        self, input: Iterator[ShownPiece], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[ShownPiece, None, None]:
        """What of `input` may be shown, as it comes; it is read no further than the next block needs."""
        return as_run(self.get_name(), config, self._passed(input, config), _whole)

    @override
    def atransform(
        self, input: AsyncIterator[ShownPiece], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[ShownPiece, None]:
        """The same on the running event loop."""
        answer = InnerAnswer()
        reading = AwaitedReading(spoken_async(input, answer))
        return as_run_async(
            self.get_name(), config, self._passed_async(reading, answer, config), _whole, reading.closed
        )

    def _passed(self, input: Iterator[ShownPiece], config: RunnableConfig | None) -> Generator[ShownPiece, None, None]:
        answer = InnerAnswer()
        engine = StreamedEngine("upstream", lambda: PulledReading(answer_pieces(input, answer)))
        payer = self._payers.of(config)
        stream = self._opened.current(payer).over(engine).stream(self._ask(payer))
        with errors_of_others(), closing(stream) as chunks:
            for chunk in chunks:
                yield from self._shown(chunk, answer)

    async def _passed_async(
        self, reading: AwaitedReading, answer: InnerAnswer, config: RunnableConfig | None
    ) -> AsyncGenerator[ShownPiece, None]:
        payer = self._payers.of(config)
        guardrail = await self._opened.current_async(payer)
        stream = guardrail.over(StreamedEngine("upstream", lambda: reading)).astream(self._ask(payer))
        with errors_of_others():
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    for piece in self._shown(chunk, answer):
                        yield piece

    @override
    def invoke(self, input: ShownPiece, config: RunnableConfig | None = None, **kwargs: Any) -> ShownPiece:
        """The whole of a text or message, as far as it may be shown."""
        return _whole(list(self.stream(input, config)))

    @override
    async def ainvoke(self, input: ShownPiece, config: RunnableConfig | None = None, **kwargs: Any) -> ShownPiece:
        return _whole([piece async for piece in self.astream(input, config)])

    @override
    def stream(
        self, input: ShownPiece, config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> Generator[ShownPiece, None, None]:
        return self.transform(iter([input]), config)

    @override
    def astream(
        self, input: ShownPiece, config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncGenerator[ShownPiece, None]:
        return self.atransform(_alone(input), config)

    def _ask(self, payer: AccountKey) -> GenerationRequest:
        return GenerationRequest(
            _UNKNOWN,
            sampling(self._longest),
            "cut",
            self._language,
            unit=shown_length,
            prose=not self._raises,
            conversation=payer.conversation,
            tenant=payer.tenant,
        )

    def _shown(self, chunk: Chunk, answer: InnerAnswer) -> Iterator[ShownPiece]:
        """A piece of the guardrail's stream, in the kind that came in."""
        if self._raises and chunk.receipt is not None and chunk.receipt.verdict.outcome in ("refused", "ended"):
            raise AnswerRefused("the policy let no such text through")
        if answer.in_messages:
            yield from (piece.message for piece in relayed(chunk, answer, answer.usage))
        elif chunk.text:
            yield chunk.text


async def _alone(input: ShownPiece) -> AsyncIterator[ShownPiece]:
    yield input


def _whole(pieces: Sequence[ShownPiece]) -> ShownPiece:
    """Pieces of one kind put together."""
    chunks = [piece for piece in pieces if isinstance(piece, AIMessageChunk)]
    if not chunks:
        return "".join(piece for piece in pieces if isinstance(piece, str))
    first, *rest = chunks
    return message_chunk_to_message(first + rest if rest else first)
