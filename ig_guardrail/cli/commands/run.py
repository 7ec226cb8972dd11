"""`ig-guardrail run`: one prompt, one answer, its receipt."""

from __future__ import annotations

from typing import Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.exit_codes import exit_code
from ig_guardrail.cli.request import RequestOptions, Writer, deliver, opening_turns, read_biases, read_prompt
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
    revision: options.Revision = None,
    context: options.ContextOption = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: deltas, then the receipt.")
    ] = False,
) -> None:
    """Answer one prompt. The text goes to standard output as it is released, the receipt to standard error.

    Exit code 0: completed; 3: refused; 4: ended with a closing message; 5: cancelled at the deadline; 2: an error.
    """
    turns = (*opening_turns(system), Message("user", read_prompt(prompt)))
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

    from ig_guardrail.assembly import open_guardrail
    from ig_guardrail.spec import GuardrailSpec

    names = (model, policy, device, dtype, weights, reward, critic, exit, ledger)
    guardrail = open_guardrail(GuardrailSpec(*names, revision=revision, context=context))
    ask = asking.within(guardrail).ask(turns, conversation)
    receipt = deliver(guardrail.stream(ask, timeout), _writer(json_lines))
    raise typer.Exit(exit_code(receipt))


def _writer(json_lines: bool) -> Writer:
    from ig_guardrail.cli.writers import JsonLines, Terminal

    return JsonLines() if json_lines else Terminal()
