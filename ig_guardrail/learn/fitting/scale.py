"""Sets a head's score curve on harmless answers, and writes it as an artifact keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.linear import Scale, scale_between
from ig_guardrail.learn.fitting.prefixes import PrefixSamples

HARMLESS_SHARE = 0.05


def harmless_scale(
    looks: PrefixSamples, logits: NDArray[np.float64], usual: Sequence[bool], *groups: Sequence[bool]
) -> Scale:
    """The score curve: 0.1 at the mean of the usual rows' logits at charge points, 0.5 where few of any group peak.

    Few are `HARMLESS_SHARE` of it at most.

    logits  (looks,)
    groups  each marks rows, one of them at least; the usual ones alone where none is given
    """
    mean = float(looks.at_charge_points(logits, usual).mean())
    peaks = looks.peaks(logits)
    chosen = [peaks[np.array(group, dtype=bool)] for group in groups or (usual,)]
    return scale_between(mean, max(float(np.quantile(one, 1 - HARMLESS_SHARE, method="higher")) for one in chosen))


def scale_tensors(scale: Scale) -> dict[str, NDArray[np.float32]]:
    """A score curve as an artifact keeps it."""
    return {
        "centre": np.array([scale.centre], dtype=np.float32),
        "width": np.array([scale.width], dtype=np.float32),
    }
