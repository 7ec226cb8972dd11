"""A prompt is cut into the same pieces whatever stands behind it, and none has too few of its tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.decoding.prefill import Pace, read_prompt

TILES = st.sampled_from([(32, 9), (64, 64)])  # where pieces may begin, and the fewest tokens of one


class _Joins:
    def joined(self, parts: list[Any], _: int) -> list[Any]:
        return parts


def pieces(prompt: int, answer: int, tile: int, shortest: int, piece: int) -> list[int]:
    """Tokens of the prompt in each pass that has some; all passes together read everything once, in order."""
    caching: Any = SimpleNamespace(
        piece=512, tile=tile, shortest=shortest, empty=lambda room, reach: None, recall=lambda rows, pages: 0
    )
    context: Any = SimpleNamespace(
        prompt=SimpleNamespace(ids=tuple(range(prompt)), cache_salt=None),
        account=None,
        layers=(),
        edit=None,
        rules=SimpleNamespace(limit=9),
    )
    arithmetic: Any = _Joins()
    strand = read_prompt(caching, arithmetic, context, tuple(range(prompt, prompt + answer)), Pace(piece, piece))
    read, found = 0, []
    asked: Pass[Any] = next(strand)
    while True:
        (ids,) = asked.tokens
        assert list(ids) == list(range(read, read + len(ids)))
        if read < prompt:
            found.append(min(len(ids), prompt - read))
        read += len(ids)
        try:
            asked = strand.send(PassResult([], {}))
        except StopIteration:
            assert read == prompt + answer
            return found


@given(
    prompt=st.integers(1, 1500),
    answer=st.integers(0, 700),
    tile_and_shortest=TILES,
    wide=st.booleans(),
)
def test_an_answer_behind_it_does_not_change_how_a_prompt_is_read(
    prompt: int, answer: int, tile_and_shortest: tuple[int, int], wide: bool
) -> None:
    tile, shortest = tile_and_shortest
    piece = 512 if wide else tile
    with_answer = pieces(prompt, answer, tile, shortest, piece)
    assert with_answer == pieces(prompt, 0, tile, shortest, piece)
    assert min(with_answer) >= min(shortest, prompt)
    assert all(one % tile == 0 for one in with_answer[:-1])
