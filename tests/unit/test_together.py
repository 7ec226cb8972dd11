"""Works of one event loop, side by side."""

from __future__ import annotations

import asyncio

import pytest

from ig_guardrail.threads.together import together


def test_results_come_in_the_order_of_the_works() -> None:
    async def late(number: int) -> int:
        await asyncio.sleep(0.01 * (3 - number))
        return number

    assert asyncio.run(together([late(number) for number in range(3)])) == [0, 1, 2]
    assert asyncio.run(together([])) == []


@pytest.mark.parametrize("outside", [False, True])
def test_with_the_first_error_or_from_outside_the_others_are_ended(outside: bool) -> None:
    ended: list[int] = []

    async def endless(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    async def fail() -> None:
        await asyncio.sleep(0.01)
        if not outside:
            raise LookupError("lost")
        await asyncio.sleep(60)

    async def run() -> None:
        task = asyncio.ensure_future(together([endless(0), fail(), endless(1)]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError if outside else LookupError):
            await task
        assert sorted(ended) == [0, 1]

    asyncio.run(run())
