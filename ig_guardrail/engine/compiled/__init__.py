"""Arithmetic of steps with few tokens, compiled for this processor on the spot, with the bits of torch's kernels.

Each function does what several calls of torch do, in the same order of additions and with the same roundings. Where
torch's own order is another one (it depends on the processor), bits differ, so whoever uses them tries that first.
"""
