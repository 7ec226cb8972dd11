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
from ig_guardrail.cli.groups import AnswerOptions, AuditOptions, CanaryOptions, ModelOptions, grouped
from ig_guardrail.cli.receipt_view import line
from ig_guardrail.cli.request import (
    RequestOptions,
    decoded,
    deliver,
    opening_turns,
)
from ig_guardrail.cli.writers import Thoughts, printable
from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.text.calls import parse_message
from ig_guardrail.types import CallNotation, Message, Receipt

if TYPE_CHECKING:
    from ig_guardrail.guardrail import Guardrail
    from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail

HELP = "/new begins again, /result TEXT answers a call, /quit leaves"


@grouped
def chat_command(
    *,
    model: ModelOptions,
    policy: options.Policy = "default",
    reload: options.ReloadOption = False,
    canary: CanaryOptions,
    exit: options.ExitOption = None,
    answer: AnswerOptions,
    conversation: options.ConversationOption = None,
    ledger: options.LedgerOption = None,
    audit: AuditOptions,
) -> None:
    """Talk with the model. /new begins a new conversation, /quit leaves; lines may also come from a pipe.

    Lines from a pipe end with the exit code of the last answer: 0 completed, 3 refused, 4 ended, 5 cancelled, 2 failed.
    """
    from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail

    asking = answer.read()
    spec = model.spec(
        policy,
        reload=reload,
        canary=canary.read(True, answer.tenant),
        exit=exit,
        ledger=ledger,
        audit=audit.file(),
    )
    opened = LazyGuardrail(spec)
    try:
        code = ChatHistory(opened, asking, opening_turns(answer.system), answer.timeout, conversation).hold(_lines())
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
