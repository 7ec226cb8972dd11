"""`ig-guardrail chat`: a conversation, streamed, with the budgets of each answer below it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import typer
from rich.console import Console

from ig_guardrail.cli import options
from ig_guardrail.cli.exit_codes import FAILED, exit_code
from ig_guardrail.cli.receipt_view import line
from ig_guardrail.cli.request import (
    RequestOptions,
    decoded,
    deliver,
    opening_turns,
    read_biases,
    read_canary,
    read_engine_options,
)
from ig_guardrail.cli.tools_file import read_tools
from ig_guardrail.cli.writers import Thoughts, printable
from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.text.calls import parse_message
from ig_guardrail.types import CallNotation, Message, Receipt

if TYPE_CHECKING:
    from ig_guardrail.guardrail import Guardrail
    from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail

HELP = "/new begins again, /result TEXT answers a call, /quit leaves"


def chat_command(
    model: options.ModelOption = "embedded",
    policy: options.Policy = "default",
    reload: options.ReloadOption = False,
    canary: options.CanaryOption = None,
    canary_share: options.CanaryShare = None,
    canary_by: options.CanaryBy = None,
    strategy: options.StrategyOption = None,
    exit: options.ExitOption = None,
    seed: options.SeedOption = None,
    max_tokens: options.MaxTokens = 256,
    reasoning: options.ReasoningOption = "auto",
    max_reasoning_tokens: options.MaxReasoningTokens = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    top_k: options.TopK = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = None,
    frequency_penalty: options.FrequencyPenalty = 0.0,
    presence_penalty: options.PresencePenalty = 0.0,
    logit_bias: options.LogitBiasOption = None,
    stop: options.Stop = None,
    system: options.System = None,
    language: options.LanguageOption = "en",
    timeout: options.Timeout = None,
    tools: options.Tools = None,
    conversation: options.ConversationOption = None,
    tenant: options.TenantOption = None,
    ledger: options.LedgerOption = None,
    device: options.DeviceOption = "auto",
    dtype: options.Dtype = "auto",
    weights: options.WeightsOption = "auto",
    engine: options.EngineOption = "auto",
    engine_option: options.EngineOptionsOption = None,
    revision: options.Revision = None,
    context: options.ContextOption = None,
    audit: options.AuditOption = None,
    audit_texts: options.AuditTexts = False,
    key_file: options.AuditKeyFile = None,
) -> None:
    """Talk with the model. /new begins a new conversation, /quit leaves; lines may also come from a pipe.

    Lines from a pipe end with the exit code of the last answer: 0 completed, 3 refused, 4 ended, 5 cancelled, 2 failed.
    """
    from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail
    from ig_guardrail.settings import AuditFile
    from ig_guardrail.spec import GuardrailSpec

    drawing = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "frequency_penalty": frequency_penalty,
        "presence_penalty": presence_penalty,
        "logit_bias": read_biases(logit_bias),
    }
    asking = RequestOptions(
        drawing,
        max_tokens,
        stop,
        seed,
        strategy,
        language,
        tenant=tenant,
        form=read_tools(tools),
        reasoning=reasoning,
        max_reasoning_tokens=max_reasoning_tokens,
    )
    names = (model, policy, device, dtype, weights, None, None, exit, ledger)
    log = None if audit is None else AuditFile(audit, key_file, audit_texts)
    other = read_canary(canary, canary_share, canary_by, True, tenant)
    spec = GuardrailSpec(
        *names,
        revision=revision,
        context=context,
        reload=reload,
        audit=log,
        canary=other,
        engine=engine,
        engine_options=read_engine_options(engine_option),
    )
    opened = LazyGuardrail(spec)
    try:
        code = ChatHistory(opened, asking, opening_turns(system), timeout, conversation).hold(_lines())
    finally:
        opened.current().flush()
    raise typer.Exit(0 if sys.stdin.isatty() else code)


class ChatHistory:
    """The turns so far, and what answers them."""

    def __init__(
        self,
        opened: LazyGuardrail,
        asking: RequestOptions,
        opening: tuple[Message, ...],
        timeout: float | None,
        name: str | None,
    ) -> None:
        """opened: gives the guardrail of an answer that begins now.

        name: what the ledger knows the conversation by; None draws one, and another for each that begins again
        """
        self._opened, self._asking, self._timeout = opened, asking, timeout
        self._opening = self._turns = opening
        self._given = name
        self._name = name or str(uuid4())
        self._code = 0
        self._notes = Console(stderr=True, highlight=False)

    def hold(self, lines: Iterator[str]) -> int:
        """Answer line by line, until /quit or the end of the lines. The exit code that tells how the last one ended."""
        guardrail = self._current()
        self._note(f"policy {guardrail.policy.name}, model {guardrail.engine.info.model}; {HELP}")
        for said in lines:
            command, _, rest = said.partition(" ")
            if said == "/quit":
                break
            if said == "/new":
                self._begin_again()
            elif command == "/result" and rest.strip():
                self._answer(Message("tool", rest.strip()))
            elif said.startswith("/"):
                self._note(f"there is no command '{said}'; {HELP}")
            elif said:
                self._answer(Message("user", said))
        return self._code

    def _begin_again(self) -> None:
        """Forget the turns. A conversation with a name of its own keeps it, and what it has spent."""
        self._turns = self._opening
        self._name = self._given or str(uuid4())
        kept = f"; what '{self._given}' has spent stays spent" if self._given else ""
        self._note(f"a new conversation{kept}")

    def _answer(self, said: Message) -> None:
        """One exchange. One that cannot be served, or whose guard fails, is reported and left out of what follows."""
        turns = (*self._turns, said)
        try:
            guardrail = self._current()
            ask = self._asking.within(guardrail).ask(turns, self._name)
            receipt = deliver(guardrail.stream(ask, self._timeout), _Lines(self._notes))
        except (GenerationFailed, RequestError) as error:
            self._note(f"error: {error}")
            self._code = FAILED
            return
        self._code = exit_code(receipt)
        plain, notation = ask.notation is None and not receipt.reasoning, ask.notation or CallNotation()
        answer = replace(parse_message(receipt.text, None, notation), thought=receipt.reasoning)
        self._turns = (*turns, Message("assistant", receipt.text, () if plain else (answer,)))

    def _current(self) -> Guardrail:
        from ig_guardrail.ledger import AccountKey

        return self._opened.current(AccountKey(self._name, self._asking.tenant))

    def _note(self, text: str) -> None:
        self._notes.print(text, style="dim", markup=False)


class _Lines:
    """Writes an answer's text, and one line for its receipt."""

    def __init__(self, notes: Console) -> None:
        self._notes = notes
        self._thoughts = Thoughts(notes)

    def think(self, text: str) -> None:
        self._thoughts.show(text)

    def show(self, text: str) -> None:
        self._thoughts.end()
        sys.stdout.write(printable(text, sys.stdout))
        sys.stdout.flush()

    def close(self, receipt: Receipt) -> None:
        self._thoughts.end()
        sys.stdout.write("\n")
        sys.stdout.flush()
        self._notes.print(line(receipt))


def _lines() -> Iterator[str]:
    """Lines typed at a prompt, or piped in; without line ends and the space around them."""
    if not sys.stdin.isatty():
        yield from (decoded(said).strip() for said in sys.stdin.buffer)
        return
    import readline  # noqa: F401  (gives `input` its line editing)

    while True:
        try:
            yield input("> ").strip()
        except EOFError:
            return
