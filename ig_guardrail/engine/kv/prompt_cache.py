"""Keys and values of prompts that were read before, so that what a prompt begins with is read once.

Kept in pages of some tokens. A page is known by all tokens from the beginning of the prompt to its end, and by the
salt of whose prompts may share it: each page's key is a hash of the one before and of its own tokens, so pages form the
tree of all prompts that were read (RadixAttention, arXiv 2312.07104, section 3; hashes as in vLLM, whose `cache_salt`
this is). The least recently used is forgotten first, and of one prompt the end before the beginning.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from ig_guardrail.engine.decoding.pages import machine_memory


class PromptCache:
    """Pages of prompts, `limit` bytes of them at most. Used by the engine's thread alone.

    A page is a tensor (layers, 2, key heads, tokens, size), and is never written again.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._pages: OrderedDict[bytes, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pages)

    def find(self, keys: Sequence[bytes]) -> list[Tensor]:
        """The pages of these keys, as far as they are there without a gap."""
        found = list(takewhile(self._pages.__contains__, keys))
        self._touch(found)
        return [self._pages[key] for key in found]

    def has(self, keys: Sequence[bytes]) -> bool:
        """Whether all these pages are there."""
        return all(key in self._pages for key in keys)

    def keep(self, keys: Sequence[bytes], page: Callable[[int], Tensor]) -> None:
        """Put in what is not there: of the key at a place, the `page` of that number."""
        self._touch(keys)
        for number, key in enumerate(keys):
            if key not in self._pages:
                new = page(number)
                if (number + 1) * new.nbytes > self.limit:  # of a longer prompt the beginning is kept
                    break
                self._put(key, new)
        self._touch(keys)

    def _put(self, key: bytes, page: Tensor) -> None:
        self._pages[key] = page
        self.bytes += page.nbytes
        while self.bytes > self.limit:
            _, gone = self._pages.popitem(last=False)
            self.bytes -= gone.nbytes

    def _touch(self, keys: Sequence[bytes]) -> None:
        """Note a use. What a prompt begins with is forgotten last: nothing behind it is found without it."""
        for key in reversed(keys):
            if key in self._pages:
                self._pages.move_to_end(key)


def memory_of(device: torch.device) -> int:
    """Bytes of a device's memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_memory()
