"""The runs that the end of a text has in a corpus, kept as the text grows.

A trail holds the places of every suffix of the text that stands in the corpus, longest first. One more token narrows
each; those that the corpus does not have are dropped. It is an immutable tuple, so a branch of a search costs nothing.
"""

from __future__ import annotations

from typing import TypeAlias

from ig_guardrail.costs.provenance.index import Run, TokenIndex

Trail: TypeAlias = tuple[Run, ...]


def grown(index: TokenIndex, trail: Trail, token: int, longest: int) -> Trail:
    """The trail after one more token; runs are followed up to `longest` tokens, and longer ones count as that."""
    started = (*(run for run in trail if run.depth < longest), index.everywhere)
    return tuple(run for run in (index.narrow(before, token) for before in started) if run is not None)


def length(trail: Trail) -> int:
    """Tokens of the longest suffix of the text that stands in the corpus."""
    return trail[0].depth if trail else 0
