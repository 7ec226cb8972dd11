"""Makes ig_guardrail/engine/vllm/known_values.json: what `transformers` gives for the embedded model.

python -m tests.vllm.known_values
"""

from __future__ import annotations

import json
from pathlib import Path

from ig_guardrail.engine.loading.models import load_engine
from ig_guardrail.engine.vllm import self_test
from ig_guardrail.types import Draw, Sampling

LAYERS = (16, 20)  # those that the packaged values read
NUMBERS = 64  # of each state


def main() -> None:
    """Draw a greedy answer, and write down its tokens, log-probabilities and the beginnings of its states."""
    engine = load_engine("embedded", device="cpu", dtype="bfloat16")
    prompt = engine.encode(self_test.ASKED)
    root = engine.open(prompt, Sampling(temperature=0.0, max_tokens=self_test.TOKENS), LAYERS).result()
    (node,) = engine.extend([Draw(root)], self_test.TOKENS).result()
    stored = {
        engine.info.model_sha256: {
            "prompt": prompt.ids,
            "ids": node.ids,
            "logprobs": [round(value, 4) for value in node.logprobs],
            "hidden": {
                layer: [[round(float(value), 3) for value in row[:NUMBERS]] for row in node.hidden[layer]]
                for layer in LAYERS
            },
        }
    }
    file = Path(self_test.__file__).with_name("known_values.json")
    file.write_text(json.dumps(stored) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
