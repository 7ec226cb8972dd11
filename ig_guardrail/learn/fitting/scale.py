"""Sets a head's score curve on harmless answers, and writes it as an artifact keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.linear import Scale, scale_between
from ig_guardrail.learn.fitting.prefixes import PrefixSamples

HARMLESS_SHARE = 0.05


def harmless_scale(looks: PrefixSamples, logits: NDArray[np.float64], chosen: Sequence[bool]) -> Scale:
    """The score curve: 0.1 at the mean of the chosen rows' logits at charge points, 0.5 where 5% of them peak.

    logits: (looks,)
    """
    mean = float(looks.at_charge_points(logits, chosen).mean())
    peaks = looks.peaks(logits)[np.array(chosen, dtype=bool)]
    return scale_between(mean, float(np.quantile(peaks, 1 - HARMLESS_SHARE, method="higher")))


def scale_tensors(scale: Scale) -> dict[str, NDArray[np.float32]]:
    """A score curve as an artifact keeps it."""
    return {
        "centre": np.array([scale.centre], dtype=np.float32),
        "width": np.array([scale.width], dtype=np.float32),
    }
