"""`ig-guardrail run`: one prompt, one answer, its receipt; or the prompts of a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.batch_rows import BatchRow, read_rows
from ig_guardrail.cli.exit_codes import FAILED, exit_code
from ig_guardrail.cli.groups import AnswerOptions, AuditOptions, CanaryOptions, ModelOptions, RecordOptions, grouped
from ig_guardrail.cli.request import (
    RequestOptions,
    Writer,
    deliver,
    opening_turns,
    read_prompt,
)
from ig_guardrail.errors import RequestError
from ig_guardrail.types import Message

if TYPE_CHECKING:
    from ig_guardrail.drive.request import GenerationRequest
    from ig_guardrail.guardrail import Guardrail
    from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail


@grouped
def run_command(
    *,
    prompt: Annotated[str | None, typer.Option("--prompt", help="What to ask; `-` reads standard input.")] = None,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="A file to ask instead: JSON lines, or a prompt a line.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With --prompts: a file of JSON lines; what it holds is not asked again."),
    ] = None,
    streams: Annotated[
        int, typer.Option("--streams", min=1, max=options.MOST_STREAMS, help="With --prompts: answers at a time.")
    ] = 4,
    model: ModelOptions,
    policy: options.Policy = "default",
    canary: CanaryOptions,
    reward: options.Reward = None,
    critic: options.CriticOption = None,
    exit: options.ExitOption = None,
    verifier: options.VerifierOption = None,
    answer: AnswerOptions,
    conversation: options.ConversationOption = None,
    ledger: options.LedgerOption = None,
    record: RecordOptions,
    audit: AuditOptions,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: deltas, then the receipt.")
    ] = False,
) -> None:
    """Answer one prompt. The text goes to standard output as it is released, the receipt to standard error.

    With --prompts and --out, answer every prompt of a file; stopped with Ctrl-C, the same command goes on from there.

    Exit code 0: completed; 3: refused; 4: ended with a closing message; 5: cancelled at the deadline; 2: an error. Of a
    file 0: every prompt has its answer, however it ended.
    """
    rows = _rows(prompt, prompts, out)
    turns = () if prompt is None else (*opening_turns(answer.system), Message("user", read_prompt(prompt)))
    asking = answer.read()
    asking.check(turns or (Message("user", "of a file"),), conversation)

    from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail
    from ig_guardrail.ledger import AccountKey

    some_named = conversation is not None or any(row.conversation is not None for row in rows)
    spec = model.spec(
        policy,
        canary=canary.read(some_named, answer.tenant),
        reward=reward,
        critic=critic,
        exit=exit,
        verifier=verifier,
        ledger=ledger,
        record=record.file(),
        audit=audit.file(),
    )
    opened = LazyGuardrail(spec)
    guardrail = opened.current(AccountKey(conversation, answer.tenant))
    try:
        if out is not None:
            _answer_file(opened, rows, asking, opening_turns(answer.system), out, streams, answer.timeout, ledger)
        request = asking.within(guardrail).ask(turns, conversation)
        receipt = deliver(guardrail.stream(request, answer.timeout), _writer(json_lines))
    finally:
        guardrail.flush()
    raise typer.Exit(exit_code(receipt))


def _rows(prompt: str | None, prompts: Path | None, out: Path | None) -> list[BatchRow]:
    """The prompts of the file that is named; none with `--prompt`. Raises RequestError unless one of both is given."""
    if (prompt is None) == (prompts is None):
        raise RequestError(
            "there is no prompt" if prompt is None else "there is a prompt, and a file of them",
            where="--prompt, --prompts",
            fix="give `--prompt TEXT` (`-` reads standard input), or `--prompts FILE --out FILE`",
        )
    if (prompts is None) != (out is None):
        raise RequestError(
            "answers to a file need a place" if out is None else "one answer has no file",
            where="--out",
            why="each is kept as soon as it is there, so that a batch can go on where it was stopped",
            fix="give `--prompts FILE --out FILE`",
        )
    return [] if prompts is None else read_rows(prompts)


def _answer_file(
    opened: LazyGuardrail,
    rows: list[BatchRow],
    asking: RequestOptions,
    opening: tuple[Message, ...],
    out: Path,
    streams: int,
    timeout: float | None,
    ledger: str | None,
) -> NoReturn:
    """Answer the rows under a progress bar, and say how they ended. Exits with code 2 if some failed, else 0."""
    from ig_guardrail.cli.batch import answer_under_bar, check_conversations, setting_of
    from ig_guardrail.ledger import AccountKey
    from ig_guardrail.policy import load_policy

    def ask(row: BatchRow) -> tuple[Guardrail, GenerationRequest]:
        guardrail = opened.current(AccountKey(row.conversation, asking.tenant))
        return guardrail, asking.within(guardrail).ask((*opening, *row.turns), row.conversation)

    check_conversations(rows, out, ledger)
    usual = opened.current()
    asked = {"asking": asdict(asking.within(usual)), "system": [turn.text for turn in opening]}
    if opened.spec.canary is not None:
        asked["canary"] = {**asdict(opened.spec.canary), "policy": load_policy(opened.spec.canary.policy).sha256}
    setting = setting_of(usual, asked)
    summary = answer_under_bar(rows, ask, out, setting=setting, streams=streams, timeout=timeout)
    raise typer.Exit(FAILED if summary.outcomes.get("failed") else 0)


def _writer(json_lines: bool) -> Writer:
    from ig_guardrail.cli.writers import JsonLinesWriter, Terminal

    return JsonLinesWriter() if json_lines else Terminal()
