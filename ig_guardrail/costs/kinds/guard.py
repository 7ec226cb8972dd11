"""Kind `guard`: a safety model that writes a verdict, in this process or behind a server."""

from __future__ import annotations

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import HAZARD, PRINTABLE, BuildContext, CostKind, Declaration, folder_or
from ig_guardrail.costs.kinds.classifier import LABEL
from ig_guardrail.costs.kinds.openai import ADDRESS, KEY_NAME
from ig_guardrail.fields.field import BooleanKind, Field, FormatKind, ListOf, MapOf
from ig_guardrail.types import CostModelSpec

MODEL = folder_or(
    "a hub name, or what a server calls its model", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "Qwen/Qwen3Guard-Gen-0.6B"
)
FORMAT = FormatKind(
    "a packaged name, or the path of a file that contains `/`",
    rf"[a-z][a-z0-9.-]{{0,63}}|{PRINTABLE}{{0,500}}/{PRINTABLE}{{0,500}}",
    "qwen3guard",
    is_path=lambda text: "/" in text,
)


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The safety model, on the engine's device or behind its server."""
    from ig_guardrail.costs.guards.cost import guard_cost

    device = context.engine.device if context.engine is not None else "cpu"
    return guard_cost(spec, device, context.folder)


GUARD = CostKind(
    "guard",
    {
        "model": Field(
            MODEL,
            "a safety model that writes a verdict: a folder, relative to the policy, or a hub name; with `base_url`, "
            "what the server calls it",
            "Qwen/Qwen3Guard-Gen-0.6B",
            required=True,
        ),
        "format": Field(
            FORMAT,
            "how it is asked and where its verdict stands: a packaged format, or a format file",
            "qwen3guard",
            required=True,
        ),
        "categories": Field(
            MapOf(HAZARD, ListOf(LABEL, 1, 64, unique=True), 1, 64),
            "which of the format's categories stand for a hazard",
            "{vcr: [violence, harm]}",
            computed="as the format says",
        ),
        "base_url": Field(
            ADDRESS,
            "the OpenAI-compatible server that runs it, which must tell logprobs; conversations are sent there",
            "http://127.0.0.1:8000/v1",
            computed="none: it runs in this process",
        ),
        "api_key_env": Field(
            KEY_NAME,
            "the environment variable that holds the server's key; a server at `http://`, on this machine, may go "
            "without",
            "GUARD_API_KEY",
            computed="none",
        ),
        "with_prompt": Field(
            BooleanKind(),
            "whether it reads what was asked before the answer; else the answer alone",
            "false",
            default=True,
        ),
    },
    build,
    declares=Declaration(alike=False),
)
