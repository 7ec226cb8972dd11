"""What a verdict comes to: the probability of an unsafe one among the tokens that verdicts begin with."""

from __future__ import annotations

from dataclasses import dataclass

CONTROVERSIAL = 0.5  # of an unsafe verdict
LEAST = 0.01  # of all probability; with less on its verdicts, a model is about to write something else


class NoVerdict(ValueError):
    """A model does not write a verdict where one is looked for."""


@dataclass(frozen=True, slots=True)
class Masses:
    """The probabilities of the tokens that unsafe, safe and controversial verdicts begin with; together at most 1."""

    unsafe: float
    safe: float
    controversial: float = 0.0

    def score(self) -> float:
        """P(unsafe), and half of P(controversial), renormalised over verdicts. NaN stays NaN. Raises NoVerdict."""
        together = self.unsafe + self.safe + self.controversial
        if together < LEAST:
            raise NoVerdict("wrote no verdict where one is looked for")
        return (self.unsafe + CONTROVERSIAL * self.controversial) / together
