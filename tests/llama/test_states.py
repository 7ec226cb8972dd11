"""Hidden states by llama.cpp, against those of `transformers` on the same values of the same file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ig_guardrail.types import Sampling
from tests.llama.conftest import MODEL, TALE, prompt

COSINE = 0.999  # of the two states of a token, at least


@pytest.mark.real
def test_states_are_those_of_the_same_layers(real: Any) -> None:
    """Also where a block is read in several steps."""
    if MODEL != "embedded":
        pytest.skip("the states of another file would have to be unpacked first")
    from ig_guardrail.engine.loading.models import load_weights

    layers = (1, 16, real.info.layers)
    asked = prompt(real)
    root = real.open(asked, Sampling(max_tokens=200), layers).result()
    (node,) = real.append([(root, TALE * 4)]).result()
    model = load_weights("embedded", "cpu", "float16").model.float()
    with torch.inference_mode():
        read = model(torch.tensor([[*asked.ids, *node.ids]]), output_hidden_states=True).hidden_states
    for layer in layers:
        ours, theirs = node.hidden[layer], read[layer][0, len(asked.ids) :].numpy()
        assert ours.shape == theirs.shape
        cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
        assert cosines.min() > COSINE, layer
    real.close(root)
