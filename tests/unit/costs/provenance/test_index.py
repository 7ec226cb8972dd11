"""The index against looking everywhere: every run is found, none across documents, and files are what they were."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.provenance.cost import Trail, grown, length
from ig_guardrail.costs.provenance.index import (
    MANIFEST,
    SENTINEL,
    by_doubling,
    by_induction,
    index_of,
    read_index,
    suffix_array,
    write_index,
)
from ig_guardrail.errors import ModelError
from tests.examples import examples
from tests.unit.costs.provenance.corpora import LANGUAGE, document, indexed, longest_suffix, occurrences

TOKENS = st.integers(0, 3)
DOCUMENTS = st.lists(st.lists(TOKENS, min_size=1, max_size=12), min_size=1, max_size=4)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.sampled_from([-1, 0, 1, 2, 300, 70_000]), max_size=40))
def test_prefix_doubling_gives_the_order_of_all_suffixes(ids: list[int]) -> None:
    assert by_doubling(np.array(ids, np.int32)).tolist() == sorted(range(len(ids)), key=lambda i: ids[i:])


@pytest.mark.parametrize("kinds", [2, 50, 60_000])
def test_the_library_gives_the_same_order(kinds: int) -> None:
    pytest.importorskip("pydivsufsort")
    ids = np.random.default_rng(kinds).integers(SENTINEL, kinds, 5_000).astype(np.int32)
    assert by_induction(ids).tolist() == by_doubling(ids).tolist() == suffix_array(ids).tolist()


def test_a_thousand_random_spans_are_counted_as_by_looking_everywhere() -> None:
    dice = random.Random(5)
    documents = [[dice.randrange(6) for _ in range(dice.randrange(1, 60))] for _ in range(20)]
    index = indexed(*documents)
    joined = [token for ids in documents for token in ids]
    counts = []
    for _ in range(1_000):
        start, size = dice.randrange(len(joined) - 8), dice.randrange(1, 8)
        span = joined[start : start + size]
        counts.append(index.count(span))
        assert counts[-1] == occurrences(documents, span)
    assert 0 in counts, "spans that only exist across two documents were among them"


def test_no_run_reaches_across_documents_or_through_a_sentinel() -> None:
    index = indexed([1, 2], [3, 4])
    assert index.count([2, 3]) == index.count([SENTINEL]) == index.count([2, SENTINEL, 3]) == 0
    assert index.count([3, 4]) == 1


@settings(max_examples=examples(200), deadline=None)
@given(DOCUMENTS, st.lists(TOKENS, max_size=20), st.lists(TOKENS, max_size=8), st.integers(1, 6))
def test_a_trail_that_was_forked_and_grown_is_that_of_the_whole_text(
    documents: list[list[int]], stem: list[int], branch: list[int], longest: int
) -> None:
    index = indexed(*documents)
    trails: list[Trail] = [()]
    for token in stem:
        trails.append(grown(index, trails[-1], token, longest))
    for fork in range(len(stem) + 1):
        forked = trails[fork]
        for token in branch:
            forked = grown(index, forked, token, longest)
        text = stem[:fork] + branch
        scratch: Trail = ()
        for token in text:
            scratch = grown(index, scratch, token, longest)
        assert forked == scratch
        assert length(forked) == longest_suffix(documents, text, longest)
        for run in forked:
            assert run.high - run.low == occurrences(documents, text[len(text) - run.depth :])


@settings(max_examples=examples(100), deadline=None)
@given(DOCUMENTS, st.data())
def test_a_source_is_a_place_where_the_run_stands(documents: list[list[int]], data: st.DataObject) -> None:
    index = indexed(*documents)
    ids = data.draw(st.sampled_from(documents))
    start = data.draw(st.integers(0, len(ids) - 1))
    span = ids[start : data.draw(st.integers(start + 1, len(ids)))]
    run = index.everywhere
    for token in span:
        narrowed = index.narrow(run, token)
        assert narrowed is not None
        run = narrowed
    source = index.source(run)
    found = documents[int(source.document[1:])]
    assert found[source.start // 2 : source.stop // 2] == span


def test_a_document_without_tokens_is_left_out() -> None:
    index = index_of([document("empty", []), document("full", [1])], LANGUAGE)
    assert (index.documents, index.tokens) == (("full",), 1)
    with pytest.raises(ModelError, match="nothing to index"):
        index_of([document("empty", [])], LANGUAGE)


def test_an_index_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    index = indexed([1, 2, 3], [2, 3])
    write_index(index, tmp_path)
    back = read_index(tmp_path)
    assert (back.sha256, back.documents, back.language, back.model) == (index.sha256, ("d0", "d1"), LANGUAGE, "toy")
    assert isinstance(back.ids, np.memmap)
    assert back.count([2, 3]) == 2


@pytest.mark.parametrize("name", ["ids.npy", "order.npy", "characters.npy"])
def test_a_file_that_was_altered_is_refused(name: str, tmp_path: Path) -> None:
    write_index(indexed([1, 2, 3]), tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-4] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="not a whole index") as raised:
        read_index(tmp_path)
    assert name in raised.value.why
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="not a whole index"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "v0"),
        ("documents", ["d0", 1]),
        ("documents", ["d0", "d1"]),
        ("tokens", 4),
        ("sha256", "0"),
        ("files", []),
    ],
)
def test_a_manifest_that_does_not_fit_its_files_is_refused(key: str, value: object, tmp_path: Path) -> None:
    write_index(indexed([1, 2, 3]), tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(ModelError, match="not a whole index"):
        read_index(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a whole index"):
        read_index(tmp_path / "nothing")
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ModelError, match="not a whole index"):
        read_index(tmp_path)


def test_nothing_in_an_index_is_unpickled(tmp_path: Path) -> None:
    write_index(indexed([1, 2, 3]), tmp_path)
    np.save(tmp_path / "ids.npy", np.array([{}], dtype=object), allow_pickle=True)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["files"]["ids.npy"] = hashlib.sha256((tmp_path / "ids.npy").read_bytes()).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError) as raised:
        read_index(tmp_path)
    assert "ids.npy cannot be read" in raised.value.why
