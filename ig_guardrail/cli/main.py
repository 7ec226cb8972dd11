"""The console command `ig-guardrail`: its commands, and what becomes of errors.

exit code 0 the command did its work, and an answer is complete; 1 `policy check` found faults; 2 it could not be done,
and standard error says why; 3 the answer was refused; 4 it ended with a closing message; 5 it was cancelled at its
deadline; 130 the command was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from ig_guardrail import __version__
from ig_guardrail.cli.commands import audit, cache, index, keys, ledger, policy, train
from ig_guardrail.cli.commands.adopt import adopt_command
from ig_guardrail.cli.commands.chat import chat_command
from ig_guardrail.cli.commands.demo import demo_command
from ig_guardrail.cli.commands.doctor import doctor_command
from ig_guardrail.cli.commands.evaluation import eval_command
from ig_guardrail.cli.commands.run import run_command
from ig_guardrail.cli.commands.serve import serve_command
from ig_guardrail.cli.commands.strategies import strategies_command
from ig_guardrail.cli.commands.studio import studio_command
from ig_guardrail.errors import GuardrailError

INTERRUPTED = 130

app = typer.Typer(
    name="ig-guardrail",
    help="Local language models that stay within a safety budget while they decode.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("chat")(chat_command)
app.command("serve")(serve_command)
app.command("studio")(studio_command)
app.command("demo")(demo_command)
app.command("doctor")(doctor_command)
app.command("strategies")(strategies_command)
app.command("adopt")(adopt_command)
app.command("eval")(eval_command)
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(cache.app, name="cache")
app.add_typer(index.app, name="index")
app.add_typer(keys.app, name="keys")
app.add_typer(ledger.app, name="ledger")
app.add_typer(train.app, name="train")


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point. arguments: those of the process if None. Never returns: it exits with a code from above."""
    try:
        app(arguments, prog_name="ig-guardrail")
    except GuardrailError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _complain(error: GuardrailError) -> None:
    """What, where, why and how to fix it; a policy's report brings its own heading."""
    text = str(error)
    print(text if text.startswith("error[") else f"error: {text}", file=sys.stderr)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"ig-guardrail {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command as a whole."""
