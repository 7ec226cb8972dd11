"""`ig-guardrail run`: one prompt, one answer, its receipt."""

from __future__ import annotations

from typing import Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.exit_codes import exit_code
from ig_guardrail.cli.request import RequestOptions, Writer, deliver, opening_turns, read_prompt
from ig_guardrail.cli.tools_file import read_tools
from ig_guardrail.types import Message


def run_command(
    prompt: Annotated[str, typer.Option("--prompt", help="What to ask; `-` reads standard input.")],
    model: options.ModelOption = "embedded",
    policy: options.Policy = "default",
    strategy: options.StrategyOption = None,
    reward: options.Reward = None,
    critic: options.CriticOption = None,
    exit: options.ExitOption = None,
    seed: options.SeedOption = None,
    max_tokens: options.MaxTokens = 256,
    temperature: options.Temperature = 0.7,
    top_p: options.TopP = 0.95,
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
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: deltas, then the receipt.")
    ] = False,
) -> None:
    """Answer one prompt. The text goes to standard output as it is released, the receipt to standard error.

    Exit code 0: completed; 3: refused; 4: ended with a closing message; 5: cancelled at the deadline; 2: an error.
    """
    turns = (*opening_turns(system), Message("user", read_prompt(prompt)))
    asking = RequestOptions(
        temperature, top_p, max_tokens, stop, seed, strategy, language, tenant=tenant, form=read_tools(tools)
    )

    from ig_guardrail.assembly import open_guardrail
    from ig_guardrail.spec import GuardrailSpec

    spec = GuardrailSpec(model, policy, device, dtype, weights, reward, critic, exit, ledger)
    guardrail = open_guardrail(spec)
    ask = asking.within(guardrail.costs.tool_rules).ask(turns, conversation)
    receipt = deliver(guardrail.stream(ask, timeout), _writer(json_lines))
    raise typer.Exit(exit_code(receipt))


def _writer(json_lines: bool) -> Writer:
    from ig_guardrail.cli.writers import JsonLines, Terminal

    return JsonLines() if json_lines else Terminal()
