"""`ig-guardrail train`: make cost models that fit a language model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer
from rich.console import Console

from ig_guardrail.cli import options
from ig_guardrail.cli.groups import grouped
from ig_guardrail.types import Sampling

if TYPE_CHECKING:
    from ig_guardrail.engine.loading.weights import Weights
    from ig_guardrail.engine.transformers import TransformersEngine

app = typer.Typer(help="Train cost models for a language model.", no_args_is_help=True)


Device: TypeAlias = Annotated[str, typer.Option("--device", help="'cpu', 'cuda', 'cuda:0' or 'mps'.")]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The model that something is trained for, and how it runs."""

    model: options.ModelOption = "embedded"
    device: Device = "cpu"
    dtype: options.Dtype = "auto"
    weights: options.WeightsOption = "auto"

    def read(self) -> Weights:
        """Its weights. Raises ModelError where they cannot be had."""
        from ig_guardrail.engine.loading.models import load_weights, numerics_of

        return load_weights(self.model, self.device, numerics_of(self.dtype, self.weights))

    def open(self) -> TransformersEngine:
        """An engine on it. Raises ModelError where it cannot be had."""
        from ig_guardrail.engine.loading.models import load_engine

        return load_engine(self.model, device=self.device, dtype=self.dtype, weights=self.weights)


@dataclass(frozen=True, slots=True)
class DrawOptions:
    """How answers are drawn."""

    temperature: Annotated[float, typer.Option("--temperature", help="0 is greedy.")] = 0.7
    top_p: Annotated[float, typer.Option("--top-p", help="Share of the likeliest tokens to draw from.")] = 0.95
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Other seeds, other answers.")] = 0

    def sampling(self, max_tokens: int) -> Sampling:
        """Of answers of that length at most."""
        return Sampling(self.temperature, self.top_p, seed=self.seed, max_tokens=max_tokens)


@app.callback()
def _train() -> None:
    """Train cost models for a language model."""


@app.command("head")
@grouped
def head_command(
    *,
    data: Annotated[list[Path], typer.Option("--data", help="Labelled rows, .jsonl or .jsonl.gz; may be given again.")],
    out: Annotated[Path, typer.Option("--out", help="The folder that the head and its card are written to.")],
    recipe: Annotated[str, typer.Option("--recipe", help="What to learn from which rows; 'any' takes all.")] = "any",
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Where hidden states are kept, so an interrupted run goes on.")
    ] = None,
    model: TrainedModel,
) -> None:
    """Fit a head to a model's hidden states, or to words, and write it with a card of its measured quality."""
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.heads import train_head

    loaded = model.read()
    trained = train_head(loaded, data, out, recipe, cache or store_folder() / "states")
    Console().print(f"wrote {trained.folder}", markup=False, highlight=False, soft_wrap=True)


@app.command("brief")
@grouped
def brief_command(
    *,
    head: Annotated[Path, typer.Option("--head", help="The folder of a head that reads answers; it is written anew.")],
    data: Annotated[list[Path], typer.Option("--data", help="Labelled rows, .jsonl or .jsonl.gz; may be given again.")],
    recipe: Annotated[str, typer.Option("--recipe", help="What to learn from which rows; 'any' takes all.")] = "any",
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Where hidden states are kept, so an interrupted run goes on.")
    ] = None,
    encoder: Annotated[str, typer.Option("--encoder", help="What a head of kind encoder was trained on.")] = "minilm",
    model: TrainedModel,
) -> None:
    """Give a head a line of its own for brief answers, in place of any that it has; all else stays as it is."""
    from ig_guardrail.costs.encoder.loading import open_encoder
    from ig_guardrail.costs.heads.artifact import kind_of
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.encoder import add_brief_windows
    from ig_guardrail.learn.heads import add_brief_line

    if kind_of(head) == "encoder":
        opened = open_encoder(encoder, None, "--encoder", None)
        trained = add_brief_windows(opened, data, head, recipe, cache or store_folder() / "vectors")
    else:
        trained = add_brief_line(model.read(), data, head, recipe, cache or store_folder() / "states")
    Console().print(f"wrote {trained.folder}", markup=False, highlight=False, soft_wrap=True)


@app.command("encoder")
def encoder_command(
    data: Annotated[list[Path], typer.Option("--data", help="Labelled rows, .jsonl or .jsonl.gz; may be given again.")],
    out: Annotated[Path, typer.Option("--out", help="The folder that the head and its card are written to.")],
    recipe: Annotated[str, typer.Option("--recipe", help="What to learn from which rows; 'any' takes all.")] = "any",
    encoder: Annotated[str, typer.Option("--encoder", help="'minilm', a folder (./encoder) or a hub name.")] = "minilm",
    revision: Annotated[str | None, typer.Option("--revision", help="Of a hub name: a branch, tag or commit.")] = None,
    reads: Annotated[
        Literal["answer", "exchange"], typer.Option("--reads", help="The answer alone, or what was asked as well.")
    ] = "answer",
    measure: Annotated[
        list[Path] | None, typer.Option("--measure", help="Rows to measure on and not to learn from.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Where vectors are kept, so an interrupted run goes on.")
    ] = None,
) -> None:
    """Fit a head to a sentence encoder, for any language model, and write it with a card of its measured quality."""
    from ig_guardrail.costs.encoder.loading import open_encoder
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.encoder import train_encoder

    opened = open_encoder(encoder, None, "--encoder", revision)
    trained = train_encoder(opened, data, out, recipe, cache or store_folder() / "vectors", measure or [], reads)
    Console().print(f"wrote {trained.folder}", markup=False, highlight=False, soft_wrap=True)


@app.command("answers")
@grouped
def answers_command(
    *,
    out: Annotated[Path, typer.Option("--out", help="The .jsonl file that the rows are written to.")],
    rows: Annotated[
        Path | None,
        typer.Option("--rows", help="Labelled rows whose prompts are answered instead, if their answers are harmless."),
    ] = None,
    draws: DrawOptions,
    model: TrainedModel,
) -> None:
    """Let the model answer harmless questions: rows that show a head what this model says when nothing is wrong."""
    from ig_guardrail.learn.answers import write_answers, write_answers_to
    from ig_guardrail.learn.data.rows import read_rows

    asked = None if rows is None else read_rows([rows]).rows
    loaded = model.read()
    if asked is None:
        written = write_answers(loaded, out, draws.temperature, draws.top_p, draws.seed)
    else:
        written = write_answers_to(asked, loaded, out, draws.temperature, draws.top_p, draws.seed)
    Console().print(f"wrote {written} rows to {out}", markup=False, highlight=False, soft_wrap=True)


@app.command("thresholds")
@grouped
def thresholds_command(
    *,
    data: Annotated[list[Path], typer.Option("--data", help="Files that `train answers` wrote; may be given again.")],
    heads: Annotated[Path, typer.Option("--heads", help="The folder that holds the heads' folders by name.")],
    model: TrainedModel,
) -> None:
    """Find the thresholds that at most 5 % of the model's own harmless answers touch, and note them in the cards."""
    from ig_guardrail.learn.thresholds import set_thresholds

    found = set_thresholds(model.open(), data, heads)
    for budget, threshold in found.thresholds.items():
        Console().print(f"{budget}: {threshold:.4f}", markup=False, highlight=False)


@app.command("exit")
def exit_command(
    data: Annotated[list[Path], typer.Option("--data", help="Files that `train answers` wrote; may be given again.")],
    out: Annotated[Path, typer.Option("--out", help="The folder that the exit and its card are written to.")],
    layer: Annotated[int, typer.Option("--layer", help="The layer that the exit follows.")],
    rank: Annotated[int, typer.Option("--rank", help="How wide its adapter is.")] = 64,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Where hidden states are kept, so an interrupted run goes on.")
    ] = None,
    model: options.ModelOption = "embedded",
    device: Device = "cpu",
    dtype: options.Dtype = "auto",
) -> None:
    """Fit an early exit to the model's own answers, and write it with a card of how often it guesses right."""
    from ig_guardrail.engine.loading.models import load_weights, numerics_of
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.early_exit import train_exit

    loaded = load_weights(model, device, numerics_of(dtype, "auto"))
    trained = train_exit(loaded, data, out, layer, rank, cache or store_folder() / "states")
    Console().print(f"wrote {trained.folder}", markup=False, highlight=False, soft_wrap=True)


@app.command("judge")
def judge_command(
    data: Annotated[list[Path], typer.Option("--data", help="Labelled rows, .jsonl or .jsonl.gz; may be given again.")],
    out: Annotated[Path, typer.Option("--out", help="The folder that the judge and its card are written to.")],
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Where vectors are kept, so an interrupted run goes on.")
    ] = None,
) -> None:
    """Train the judge of comparisons on the rows that no cost model may see. No policy can use it."""
    from ig_guardrail.costs.encoder.loading import PACKAGED, open_encoder
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.agreement import packaged_guides
    from ig_guardrail.learn.judge import train_judge

    encoder = open_encoder(PACKAGED, None, "train judge")
    trained = train_judge(encoder, data, out, cache or store_folder() / "vectors", packaged_guides())
    Console().print(f"wrote {trained.folder}", markup=False, highlight=False, soft_wrap=True)


Out: TypeAlias = Annotated[Path, typer.Option("--out", help="The folder that it and its card are written to.")]
Prompts: TypeAlias = Annotated[
    int, typer.Option("--prompts", min=1, help="How many of the project's own questions are asked, and of --data.")
]
Data: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--data", help="Rows whose prompts are asked, too; may be given again.")
]
Answers: TypeAlias = Annotated[int, typer.Option("--answers", min=1, help="Unguarded answers drawn to each.")]
TokensOfAnswers: TypeAlias = Annotated[int, typer.Option("--tokens", min=2, help="Longest answer, in tokens.")]
CacheFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--cache", help="Where recordings are kept, so an interrupted run goes on.")
]


@app.command("critic")
@grouped
def critic_command(
    *,
    out: Out,
    policy: options.Policy = "default",
    data: Data = None,
    prompts: Prompts = 200,
    answers: Answers = 4,
    guided: Annotated[bool, typer.Option(help="Also record an answer of the policy's own search to each.")] = True,
    tokens: TokensOfAnswers = 64,
    reward: options.Reward = None,
    cache: CacheFolder = None,
    draws: DrawOptions,
    model: TrainedModel,
) -> None:
    """Record answers under a policy and train a critic that foresees its budgets, with a card of its quality."""
    from ig_guardrail.assembly import open_guardrail
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.critic import train_critic
    from ig_guardrail.learn.data.questions import survey
    from ig_guardrail.learn.sampling import SamplingPlan
    from ig_guardrail.learn.trajectories import TrajectoryRecorder
    from ig_guardrail.spec import GuardrailSpec

    guardrail = open_guardrail(GuardrailSpec(model.model, policy, model.device, model.dtype, model.weights, reward))
    speech = SamplingPlan(draws.sampling(tokens), answers)
    recorder = TrajectoryRecorder(guardrail, speech, guided)
    trained = train_critic(recorder, survey(data or [], prompts), cache or store_folder() / "recordings", out)
    Console().print(f"wrote {trained.folder}", markup=False, highlight=False, soft_wrap=True)


@app.command("reward")
@grouped
def reward_command(
    *,
    out: Out,
    data: Data = None,
    prompts: Prompts = 200,
    answers: Answers = 4,
    tokens: TokensOfAnswers = 64,
    cache: CacheFolder = None,
    draws: DrawOptions,
    model: TrainedModel,
) -> None:
    """Train a small reward that tells an answer to a prompt from answers to others, with a card of its quality."""
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.data.questions import survey
    from ig_guardrail.learn.reward import train_reward
    from ig_guardrail.learn.sampling import SamplingPlan

    engine = model.open()
    speech = SamplingPlan(draws.sampling(tokens), answers)
    trained = train_reward(engine, survey(data or [], prompts), speech, cache or store_folder() / "recordings", out)
    Console().print(f"wrote {trained.folder}", markup=False, highlight=False, soft_wrap=True)
