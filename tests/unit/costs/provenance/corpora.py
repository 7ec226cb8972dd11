"""Small corpora of token ids, and the definition of what is looked up in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ig_guardrail.costs.provenance.cost import Contrast, ProvenanceCost, provenance_cost
from ig_guardrail.costs.provenance.index import IndexedDocument, TokenIndex, index_of

LANGUAGE = "1" * 64


def indexed(*documents: Sequence[int], language: str = LANGUAGE) -> TokenIndex:
    """An index of documents of two characters a token, called d0, d1, ..."""
    return index_of([document(f"d{i}", ids) for i, ids in enumerate(documents)], language, "toy")


def document(name: str, ids: Sequence[int]) -> IndexedDocument:
    return IndexedDocument(name, np.array(ids, np.int32), np.arange(2, 2 * len(ids) + 2, 2, dtype=np.int32))


def occurrences(documents: Sequence[Sequence[int]], span: Sequence[int]) -> int:
    """How often a span stands in the documents, by looking everywhere."""
    size, wanted = len(span), list(span)
    return sum(list(ids[i : i + size]) == wanted for ids in documents for i in range(len(ids) - size + 1))


def longest_suffix(documents: Sequence[Sequence[int]], text: Sequence[int], longest: int) -> int:
    """Tokens of the longest suffix of a text, up to `longest`, that stands in a document."""
    return max((n for n in range(1, min(longest, len(text)) + 1) if occurrences(documents, text[-n:])), default=0)


def cost(unsafe: TokenIndex, reference: TokenIndex, contrast: Contrast | None = None) -> ProvenanceCost:
    return provenance_cost("origin", ("hte",), unsafe, reference, contrast or Contrast())
