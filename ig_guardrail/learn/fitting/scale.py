"""Sets a head's score curve on harmless answers, and writes it as an artifact keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.linear import Scale, scale_between
from ig_guardrail.learn.fitting.prefixes import PrefixSamples

HARMLESS_SHARE = 0.05


def harmless_scale(looks: PrefixSamples, logits: NDArray[np.float64], *groups: Sequence[bool]) -> Scale:
    """The score curve: 0.1 at the mean of the rows' logits at charge points, 0.5 where 5% of a group peak at most.

    logits  (looks,)
    groups  each marks rows; one without any is left out
    """
    chosen = [np.array(group, dtype=bool) for group in groups if any(group)]
    mean = float(looks.at_charge_points(logits, np.any(chosen, axis=0).tolist()).mean())
    peaks = looks.peaks(logits)
    return scale_between(
        mean, max(float(np.quantile(peaks[one], 1 - HARMLESS_SHARE, method="higher")) for one in chosen)
    )


def scale_tensors(scale: Scale) -> dict[str, NDArray[np.float32]]:
    """A score curve as an artifact keeps it."""
    return {
        "centre": np.array([scale.centre], dtype=np.float32),
        "width": np.array([scale.width], dtype=np.float32),
    }
