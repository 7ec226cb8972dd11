"""An index of a corpus: its token ids, their suffix array, and where each document begins and is read from.

A folder with `manifest.json` and three .npy files, mapped into memory and never unpickled. The manifest names the
SHA-256 of each file, of the language (what every token id spells) and the documents in their order. Documents stand
between sentinels, so no run of tokens reaches from one into the next.

A suffix array is the order of all suffixes of the token ids, by which every run of tokens is found by bisection. With
`pydivsufsort` (extra `index`) it takes time linear in the text; without it, prefix doubling in numpy gives the same
array, since the order of suffixes is unique.

Source: Manber and Myers, Suffix arrays: a new method for on-line string searches (1990).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.errors import ModelError
from ig_guardrail.types import QuotedSource

MANIFEST = "manifest.json"
FORMAT = "ig-guardrail/index/v1"
SENTINEL = -1
ARRAYS = ("ids", "order", "characters")
MAX_MANIFEST_BYTES = 256 * 2**20
MAX_TOKENS = 2**30


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A text to index: how evidence calls it, its tokens, and for each the characters known after it; int32 (n,)."""

    name: str
    ids: NDArray[np.int32]
    characters: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SuffixRun:
    """All places of one run of `depth` tokens: the suffixes `low` to `high` - 1 of the suffix array, of which it is
    the beginning."""

    low: int
    high: int
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class TokenIndex:
    """A corpus that is looked up by narrowing: one bisection for each further token of a run.

    ids         int32 (n,): documents between sentinels, with one before the first and one behind the last
    order       int32 (n,): their suffix array
    characters  int32 (n,): characters of its document known after each token; 0 at sentinels
    documents   names of the documents, in order
    language    hash of what token ids spell
    """

    ids: NDArray[np.int32]
    order: NDArray[np.int32]
    characters: NDArray[np.int32]
    documents: tuple[str, ...]
    language: str
    sha256: str
    model: str = ""
    _ids: memoryview = field(init=False, repr=False)
    _order: memoryview = field(init=False, repr=False)
    _bounds: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, view in (("_ids", self.ids.data), ("_order", self.order.data)):
            object.__setattr__(self, name, view)  # a view gives plain integers, several times faster than an array
        object.__setattr__(self, "_bounds", np.flatnonzero(np.asarray(self.ids) == SENTINEL))

    @property
    def tokens(self) -> int:
        """Tokens of all documents."""
        return len(self.ids) - len(self._bounds)

    @property
    def everywhere(self) -> SuffixRun:
        """The run of no tokens."""
        return SuffixRun(0, len(self.ids), 0)

    def narrow(self, run: SuffixRun, token: int) -> SuffixRun | None:
        """`run` with one more token, or None where the corpus has it nowhere. Two bisections."""
        if token < 0:
            return None
        ids, order, depth = self._ids, self._order, run.depth
        places = range(run.low, run.high)
        low = run.low + bisect_left(places, token, key=lambda place: ids[order[place] + depth])
        if low == run.high or ids[order[low] + depth] != token:
            return None
        high = low + bisect_right(range(low, run.high), token, key=lambda place: ids[order[place] + depth])
        return SuffixRun(low, high, depth + 1)

    def count(self, ids: Sequence[int]) -> int:
        """How often a run of tokens stands in the corpus, within one document each time."""
        run: SuffixRun | None = self.everywhere
        for token in ids:
            run = self.narrow(run, token) if run is not None else None
        return run.high - run.low if run is not None else 0

    def source(self, run: SuffixRun) -> QuotedSource:
        """One place of a run of at least one token."""
        start = self._order[run.low]
        document = int(np.searchsorted(self._bounds, start, side="right")) - 1
        first = 0 if self._ids[start - 1] == SENTINEL else int(self.characters[start - 1])
        return QuotedSource(self.documents[document], first, int(self.characters[start + run.depth - 1]))


def index_of(documents: Sequence[IndexedDocument], language: str, model: str = "") -> TokenIndex:
    """An index in memory. Raises ModelError without a document that has tokens, or with more than `MAX_TOKENS`."""
    kept = [document for document in documents if len(document.ids)]
    size = 1 + sum(len(document.ids) + 1 for document in kept)
    if not kept or size > MAX_TOKENS:
        raise ModelError(
            f"{size} tokens are too many for one index" if kept else "there is nothing to index",
            where="index",
            why=f"an index has at most {MAX_TOKENS} tokens" if kept else "no document has a token",
            fix="split the corpus" if kept else "give files with text",
        )
    ids = _between([document.ids for document in kept], SENTINEL)
    characters = _between([document.characters for document in kept], 0)
    names = tuple(document.name for document in kept)
    return TokenIndex(ids, suffix_array(ids), characters, names, language, _sha256(ids, names, language), model)


def write_index(index: TokenIndex, folder: Path) -> None:
    """Write an index to an empty folder."""
    digests = {}
    for name in ARRAYS:
        file = folder / f"{name}.npy"
        np.save(file, getattr(index, name), allow_pickle=False)
        digests[file.name] = _file_sha256(file)
    manifest = {
        "format": FORMAT,
        "model": index.model,
        "language_sha256": index.language,
        "sha256": index.sha256,
        "tokens": index.tokens,
        "files": digests,
        "documents": index.documents,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_index(folder: Path) -> TokenIndex:
    """The index in a folder, mapped into memory. Raises ModelError if a file is missing, altered or malformed."""
    manifest = _manifest(folder)
    arrays = {name: _array(folder / f"{name}.npy", manifest["files"]) for name in ARRAYS}
    ids, order, characters = (arrays[name] for name in ARRAYS)
    names = tuple(manifest["documents"])
    fits = len(ids) == len(order) == len(characters) == manifest["tokens"] + len(names) + 1
    if not (fits and ids[0] == ids[-1] == SENTINEL and np.count_nonzero(ids == SENTINEL) == len(names) + 1):
        raise unfit(folder, "its files do not belong together")
    if order.min() < 0 or order.max() >= len(ids):
        raise unfit(folder, "its suffix array points outside the corpus")
    index = TokenIndex(
        ids, order, characters, names, manifest["language_sha256"], manifest["sha256"], manifest["model"]
    )
    if _sha256(ids, names, index.language) != index.sha256:
        raise unfit(folder, "its content is not what its manifest says")
    return index


def unfit(folder: Path, why: str) -> ModelError:
    return ModelError(
        "this is not a whole index", where=str(folder), why=why, fix="build it again with `ig-guardrail index build`"
    )


def _between(parts: Sequence[NDArray[np.int32]], mark: int) -> NDArray[np.int32]:
    """All parts in a row, with a mark before, between and behind them."""
    border = np.array([mark], dtype=np.int32)
    return np.concatenate([border, *(piece for part in parts for piece in (part, border))])


def _sha256(ids: NDArray[np.int32], names: tuple[str, ...], language: str) -> str:
    """Names a corpus under a language, however it was sorted."""
    digest = hashlib.sha256(json.dumps([FORMAT, language, names]).encode())
    digest.update(np.ascontiguousarray(ids).data)
    return digest.hexdigest()


def _manifest(folder: Path) -> Mapping[str, Any]:
    file = folder / MANIFEST
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_MANIFEST_BYTES + 1)
        manifest = json.loads(content) if len(content) <= MAX_MANIFEST_BYTES else None
    except OSError as error:
        raise unfit(folder, f"{MANIFEST} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise unfit(folder, f"{MANIFEST} is not JSON") from error
    kinds = {"model": str, "language_sha256": str, "sha256": str, "tokens": int, "files": dict, "documents": list}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise unfit(folder, f"{MANIFEST} is not of format '{FORMAT}'")
    for key, kind in kinds.items():
        if not isinstance(manifest.get(key), kind):
            raise unfit(folder, f"`{key}` in {MANIFEST} is not what it should be")
    if not all(isinstance(name, str) for name in manifest["documents"]):
        raise unfit(folder, f"a document in {MANIFEST} has no name")
    return manifest


def _array(file: Path, digests: Mapping[str, Any]) -> NDArray[np.int32]:
    try:
        if _file_sha256(file) != digests.get(file.name):
            raise unfit(file.parent, f"{file.name} is not the file that {MANIFEST} names")
        values: NDArray[np.int32] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unfit(file.parent, f"{file.name} cannot be read: {error}") from error
    if values.dtype != np.int32 or values.ndim != 1 or not len(values):
        raise unfit(file.parent, f"{file.name} is not a list of 32-bit numbers")
    return values


def _file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
