"""`ig-guardrail chat`: a conversation, streamed, with the budgets of each answer below it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from ig_guardrail.cli import options
from ig_guardrail.cli.asking import decoded, deliver, opening_turns, sampling
from ig_guardrail.cli.receipt_view import line
from ig_guardrail.cli.writers import printable
from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.types import Receipt, Turn

if TYPE_CHECKING:
    from ig_guardrail.drive.request import Ask
    from ig_guardrail.guardrail import Guardrail

HELP = "/new begins anew, /quit leaves"


def chat_command(
    model: options.Model = "embedded",
    policy: options.Policy = "default",
    strategy: options.Strategy = None,
    exit: options.Exit = None,
    seed: options.Seed = None,
    max_tokens: options.MaxTokens = 256,
    temperature: options.Temperature = 0.7,
    top_p: options.TopP = 0.95,
    stop: options.Stop = None,
    system: options.System = None,
    language: options.Language = "en",
    timeout: options.Timeout = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    weights: options.Weights = "auto",
) -> None:
    """Talk with the model. /new begins a new conversation, /quit leaves; lines may also come from a pipe."""
    from ig_guardrail.assembly import open_guardrail
    from ig_guardrail.drive.request import Ask

    def ask(turns: tuple[Turn, ...]) -> Ask:
        return Ask(turns, sampling(temperature, top_p, max_tokens, stop, seed), strategy, language)

    guardrail = open_guardrail(model, policy, device=device, dtype=dtype, weights=weights, exit=exit)
    Conversation(guardrail, ask, opening_turns(system), timeout).hold(_lines())


class Conversation:
    """The turns so far, and what answers them."""

    def __init__(
        self,
        guardrail: Guardrail,
        ask: Callable[[tuple[Turn, ...]], Ask],
        opening: tuple[Turn, ...],
        timeout: float | None,
    ) -> None:
        self._guardrail, self._ask, self._timeout = guardrail, ask, timeout
        self._opening = self._turns = opening
        self._notes = Console(stderr=True, highlight=False)

    def hold(self, lines: Iterator[str]) -> None:
        """Answer line by line, until /quit or the end of the lines."""
        self._note(f"policy {self._guardrail.policy.name}, model {self._guardrail.engine.info.model}; {HELP}")
        for said in lines:
            if said == "/quit":
                return
            if said == "/new":
                self._turns = self._opening
                self._note("a new conversation")
            elif said.startswith("/"):
                self._note(f"there is no command '{said}'; {HELP}")
            elif said:
                self._answer(said)

    def _answer(self, said: str) -> None:
        """One exchange. One that cannot be served, or whose guard fails, is reported and left out of what follows."""
        turns = (*self._turns, Turn("user", said))
        try:
            receipt = deliver(self._guardrail.stream(self._ask(turns), self._timeout), _Lines(self._notes))
        except (GenerationFailed, RequestError) as error:
            self._note(f"error: {error}")
            return
        self._turns = (*turns, Turn("assistant", receipt.text))

    def _note(self, text: str) -> None:
        self._notes.print(text, style="dim", markup=False)


class _Lines:
    """Writes an answer's text, and one line for its receipt."""

    def __init__(self, notes: Console) -> None:
        self._notes = notes

    def show(self, text: str) -> None:
        sys.stdout.write(printable(text, sys.stdout))
        sys.stdout.flush()

    def close(self, receipt: Receipt) -> None:
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
