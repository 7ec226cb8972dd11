"""The console command `ig-guardrail`: its commands, and what becomes of errors.

exit code 0 the command did its work, and an answer is complete; 1 `policy check` found faults; 2 it could not be done,
and standard error says why; 3 the answer was refused; 4 it ended with a closing message; 5 it was cancelled at its
deadline; 130 the command was interrupted.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
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
_REPAIR = "check the place and its permissions"
_REPAIRS = {
    errno.ENOSPC: "free some space, or write to another place",
    errno.EDQUOT: "free some of your quota, or write to another place",
    errno.EROFS: "write to another place: this one may only be read",
    errno.EMFILE: "raise the limit of open files, `ulimit -n`",
}

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
    _open_what_is_closed()
    _write_any_character()
    try:
        try:
            app(arguments, prog_name="ig-guardrail")
        finally:
            sys.stdout.flush()  # what cannot be written is told here, and not when the process is over
    except GuardrailError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read has seen enough
        _write_no_more()
        sys.exit(1)
    except OSError as error:
        _write_no_more()
        where = f"{error.filename}: " if error.filename is not None else ""
        _complain(GuardrailError(f"{where}{error.strerror or error}", fix=_REPAIRS.get(error.errno or 0, _REPAIR)))
        sys.exit(GuardrailError.exit_code)
    sys.exit(0)


def _write_no_more() -> None:
    """Drop what standard output still holds: it could not be written, and is not tried again at the end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # it is no file
        return


def _open_what_is_closed() -> None:
    """Have a standard stream that the caller closed lead nowhere: the next file to be opened would get its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _write_any_character() -> None:
    """Let standard output and error take what their encoding has no place for: the language settings choose that.

    A terminal is shown an escape in its place. Pipes and files are written in UTF-8, as policies and JSON are read,
    unless `PYTHONIOENCODING` says otherwise.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or codecs.lookup(stream.encoding).name == "utf-8":
            continue
        if stream.isatty() or os.environ.get("PYTHONIOENCODING"):
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


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
