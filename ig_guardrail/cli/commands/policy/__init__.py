"""`ig-guardrail policy`: a module for each command. Only what reads a model needs torch."""

from __future__ import annotations

import typer

from ig_guardrail.cli.commands.policy.calibrate import calibrate_command
from ig_guardrail.cli.commands.policy.check import check_command
from ig_guardrail.cli.commands.policy.diff import diff_command
from ig_guardrail.cli.commands.policy.explain import explain_command
from ig_guardrail.cli.commands.policy.fmt import fmt_command
from ig_guardrail.cli.commands.policy.lsp import lsp_command
from ig_guardrail.cli.commands.policy.migrate import migrate_command
from ig_guardrail.cli.commands.policy.new import new_command
from ig_guardrail.cli.commands.policy.replay import record_command, replay_command
from ig_guardrail.cli.commands.policy.report import report_command
from ig_guardrail.cli.commands.policy.schema import schema_command
from ig_guardrail.cli.commands.policy.score import score_command
from ig_guardrail.cli.commands.policy.show import show_command
from ig_guardrail.cli.commands.policy.test import run_cases_command

app = typer.Typer(help="Check and read safety policies.", no_args_is_help=True)
app.command("new")(new_command)
app.command("check")(check_command)
app.command("show")(show_command)
app.command("fmt")(fmt_command)
app.command("migrate")(migrate_command)
app.command("schema")(schema_command)
app.command("explain")(explain_command)
app.command("test")(run_cases_command)
app.command("diff")(diff_command)
app.command("score")(score_command)
app.command("record")(record_command)
app.command("replay")(replay_command)
app.command("report")(report_command)
app.command("calibrate")(calibrate_command)
app.command("lsp")(lsp_command)
