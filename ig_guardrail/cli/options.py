"""Options that several commands take, each with its one description."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ig_guardrail.errors import RequestError

OWN = "what the model's makers set"
MOST_STREAMS = 256

ModelOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model", "-m", envvar="IG_GUARDRAIL_MODEL", help="'embedded', a model folder, a .gguf file, or a hub name."
    ),
]
ReloadOption: TypeAlias = Annotated[
    bool, typer.Option("--reload", help="Follow the policy's file: what stands in it holds for the next answer.")
]
RecordOption: TypeAlias = Annotated[
    Path | None, typer.Option("--record", help="Append what the answer scored to this file, for `policy replay`.")
]
RecordedTexts: TypeAlias = Annotated[
    str, typer.Option("--record-texts", help="What recordings keep of a text: 'hash' (SHA-256), 'none' or 'plain'.")
]
CanaryOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--canary", help="Another policy, for a share of names: a file, or a packaged name."),
]
CanaryShare: TypeAlias = Annotated[
    float | None, typer.Option("--canary-share", help="With --canary: of how many names, from 0 to 1.")
]
CanaryBy: TypeAlias = Annotated[
    str | None,
    typer.Option("--canary-by", help="With --canary: whose names, 'conversation' (if left out) or 'tenant'."),
]
AuditOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--audit", help="Write a line for every answer to this audit log: a file, or postgresql://..."),
]
AuditTexts: TypeAlias = Annotated[
    bool, typer.Option("--audit-texts", help="Keep what was shown in the audit log, and not only its hash.")
]
AuditKeyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--key-file", help="The key of the audit log, in a file of mode 0600; else the variable IG_GUARDRAIL_AUDIT_KEY."
    ),
]
BesideOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--model", "-m", help="The model to score beside, as `run` takes it; words alone if left out."),
]
TextsOption: TypeAlias = Annotated[
    Path | None, typer.Option("--file", help='JSON lines: {"text": ..., "prompt": ..., "call": ..., "language": ...}.')
]
Revision: TypeAlias = Annotated[str | None, typer.Option("--revision", help="A branch, tag or commit of a hub model.")]
ContextOption: TypeAlias = Annotated[
    int | None, typer.Option("--context", help="Most tokens of prompt and answer together; what the model reads.")
]
Policy: TypeAlias = Annotated[
    str, typer.Option("--policy", "-p", envvar="IG_GUARDRAIL_POLICY", help="A policy file, or a packaged name.")
]
DeviceOption: TypeAlias = Annotated[
    str, typer.Option("--device", envvar="IG_GUARDRAIL_DEVICE", help="'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'.")
]
Dtype: TypeAlias = Annotated[str, typer.Option("--dtype", help="'auto', 'bfloat16', 'float16' or 'float32'.")]
WeightsOption: TypeAlias = Annotated[
    str, typer.Option("--weights", envvar="IG_GUARDRAIL_WEIGHTS", help="'auto', 'bf16' or 'int4'.")
]
EngineOption: TypeAlias = Annotated[
    str, typer.Option("--engine", envvar="IG_GUARDRAIL_ENGINE", help="What runs the model: 'auto', or one of `doctor`.")
]
EngineOptionsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--engine-option", help="NAME=VALUE, of that engine alone; may be given again."),
]
StrategyOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--strategy", help="One of `ig-guardrail strategies`; the policy's own if left out."),
]
System: TypeAlias = Annotated[str | None, typer.Option("--system", help="System text.")]
LanguageOption: TypeAlias = Annotated[
    str, typer.Option("--language", help="Of refusals and closing messages: 'de', 'pt-BR'; English if there is none.")
]
ConversationOption: TypeAlias = Annotated[
    str | None, typer.Option("--conversation", help="Names the conversation, for budgets that its answers share.")
]
TenantOption: TypeAlias = Annotated[
    str | None, typer.Option("--tenant", help="Names whom conversations belong to, for budgets that all of them share.")
]
LedgerOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        help="What keeps shared budgets: a SQLite file, or postgresql://USER@HOST/DATABASE; memory if left out.",
    ),
]
OlderThan: TypeAlias = Annotated[
    str | None, typer.Option("--older-than", metavar="DAYS", help="Age from which on it is dropped: '180d'.")
]
Tools: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--tools", help="A JSON or YAML file: the list of tools that may be called, as OpenAI's API takes it."
    ),
]
SeedOption: TypeAlias = Annotated[
    int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Repeats a run; drawn afresh if left out.")
]
MaxTokens: TypeAlias = Annotated[int, typer.Option("--max-tokens", help="Longest answer, in tokens.")]
ReasoningOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--reasoning", help="Of thoughts: 'auto' shows them, 'show' asks for them, 'hide' shows none, 'off' has none."
    ),
]
ReasoningEffort: TypeAlias = Annotated[
    str | None,
    typer.Option("--reasoning-effort", help="How much to think: 'low' and the like, as its chat template takes."),
]
MaxReasoningTokens: TypeAlias = Annotated[
    int | None, typer.Option("--max-reasoning-tokens", help="Where a thought is ended, so that an answer follows.")
]
Temperature: TypeAlias = Annotated[
    float | None, typer.Option("--temperature", help=f"0 is greedy; {OWN}, else 0.7, if left out.")
]
TopP: TypeAlias = Annotated[
    float | None,
    typer.Option("--top-p", help=f"Share of the likeliest tokens to draw from; {OWN}, else 0.95, if left out."),
]
TopK: TypeAlias = Annotated[
    int | None, typer.Option("--top-k", help=f"Count of the likeliest tokens to draw from, 0 for all; {OWN}, else 0.")
]
MinP: TypeAlias = Annotated[
    float | None,
    typer.Option("--min-p", help=f"Least chance of a token, as a share of the likeliest one's; {OWN}, else 0."),
]
RepetitionPenalty: TypeAlias = Annotated[
    float | None,
    typer.Option("--repetition-penalty", help=f"On tokens of prompt and answer, 1 for none; {OWN}, else 1."),
]
FrequencyPenalty: TypeAlias = Annotated[
    float, typer.Option("--frequency-penalty", help="On tokens of the answer, for each time; from -2 to 2.")
]
PresencePenalty: TypeAlias = Annotated[
    float, typer.Option("--presence-penalty", help="On tokens of the answer, however often; from -2 to 2.")
]
LogitBiasOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--logit-bias", help="ID=NUMBER, added to the logit of a token; may be given again."),
]
Stop: TypeAlias = Annotated[list[str] | None, typer.Option("--stop", help="Ends the answer; may be given again.")]
Timeout: TypeAlias = Annotated[
    float | None, typer.Option("--timeout", min=0.001, help="Seconds, past which the outcome is 'cancelled'.")
]
Reward: TypeAlias = Annotated[
    str | None,
    typer.Option("--reward", help="Ranks candidates: 'relevance', a folder of `train reward`, or 'classifier:PATH'."),
]
ExitOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--exit", help="For `--strategy early_exit`: a folder of `train exit`; the packaged one if left out."),
]
VerifierOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--verifier", help="For `--strategy verifier`: a second model, which reads the drafts of the first."),
]
CriticOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--critic", help="Foresees budgets, to rank candidates: 'foresight', or a folder of `train critic`."),
]


def read_days(older_than: str | None, kept: int | None, other: str) -> int | None:
    """The days of `--older-than`. Raises RequestError for what are none, and where nothing says what is dropped.

    kept: what `other`, the name of another option, says
    """
    if older_than is None:
        if kept is None:
            raise RequestError(
                "it is not said what is dropped", where="prune", fix=f"give --older-than 180d, or {other}"
            )
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})d", older_than)
    if found is None:
        raise RequestError(f"{older_than!r:.40} is no number of days", where="--older-than", fix="write it as 180d")
    return int(found[1])
