"""Suffix arrays of token ids: the order of all suffixes, by which every run of tokens is found by bisection.

With `pydivsufsort` (extra `index`) it takes time linear in the text; without it, prefix doubling in numpy gives the
same array, since the order of suffixes is unique.

Source: Manber and Myers, Suffix arrays: a new method for on-line string searches (1990).
"""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

BUILDER = "pydivsufsort"


def suffix_array(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """The start of every suffix of `ids` (n,), in their order: int32 (n,). A suffix stands before its continuations."""
    return by_induction(ids) if importlib.util.find_spec(BUILDER) else by_doubling(ids)


def by_induction(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same by `pydivsufsort`, which must be installed."""
    from pydivsufsort import divsufsort

    return np.asarray(divsufsort(_ranked(ids)), dtype=np.int32)


def by_doubling(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same in numpy: sort by the first 1, 2, 4, ... tokens until all differ. O(n log^2 n), 40 bytes a token."""
    rank = _ranked(ids).astype(np.int64)
    order = np.argsort(rank, kind="stable")
    width = 1
    while width < 2 * len(ids):
        behind = np.zeros_like(rank)  # 0: nothing stands there
        behind[:-width] = rank[width:] + 1
        key = rank * (len(ids) + 1) + behind
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        fresh = np.empty_like(rank)
        fresh[order] = np.cumsum(np.concatenate(([0], ordered[1:] != ordered[:-1])))
        rank, width = fresh, 2 * width
        if rank[order[-1]] == len(ids) - 1:
            break
    return order.astype(np.int32)


def _ranked(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """The ids by their rank among those that occur: dense, from 0, in the same order."""
    return np.unique(ids, return_inverse=True)[1].astype(np.int32)
