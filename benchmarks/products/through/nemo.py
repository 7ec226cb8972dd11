"""NeMo Guardrails: an output rail of one's own, streamed or not.

python nemo.py first|checked|whole

first    streamed as its defaults are: chunks are shown, and judged then (`stream_first: true`)
checked  streamed, each chunk judged before it is shown (`stream_first: false`)
whole    not streamed
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import wire
from nemoguardrails import LLMRails, RailsConfig
from nemoguardrails.actions import action
from nemoguardrails.actions.rail_outcome import RailOutcome

HOW = sys.argv[1]
YAML = f"""
models:
  - type: main
    engine: openai
    model: {wire.MODEL}
    parameters: {{base_url: {wire.PLAIN}, api_key: none, max_retries: 0}}
passthrough: true
rails:
  output:
    flows: [keep budget]
    streaming: {{enabled: {str(HOW != "whole").lower()}, stream_first: {str(HOW == "first").lower()}}}
"""
COLANG = """
define bot refuse to respond
  "I'm sorry, I can't respond to that."

define subflow keep budget
  $response = execute keep_budget(text=$bot_message)
  if $response.is_blocked
    bot refuse to respond
    stop
"""


@action(name="keep_budget")
async def keep_budget(text: str = "", **_: Any) -> Any:
    """The rail's action."""
    allowed = await wire.VERDICT.allows_async(text)
    return RailOutcome.allow() if allowed else RailOutcome.block()


RAILS = LLMRails(RailsConfig.from_content(colang_content=COLANG, yaml_content=YAML))
RAILS.register_action(keep_budget, "keep_budget")
CANNED = "I'm sorry, I can't respond to that."


async def answer(asked: wire.Asked) -> AsyncIterator[wire.Told]:
    """By `stream_async`, or by `generate_async`."""
    messages, options = wire.messages(asked), {"llm_params": wire.sampled(asked)}
    if HOW == "whole":
        said = (await RAILS.generate_async(messages=messages, options=options)).response[0]["content"]
        if said == CANNED:
            yield wire.end("canned", said)
        else:
            yield wire.text(said)
            yield wire.end("whole")
        return
    async for piece in RAILS.stream_async(messages=messages, options=options):
        if piece.startswith('{"error"'):
            yield wire.end("error", json.loads(piece)["error"]["message"])
            return
        yield wire.text(piece)
    yield wire.end("whole")


wire.serve(answer)
