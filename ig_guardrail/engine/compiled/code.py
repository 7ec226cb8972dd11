"""A function made of LLVM's instructions by llvmlite, and its code in the memory of this process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir

LANES = 16  # numbers in a vector
BYTE, HALF, WORD, LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOAT, POINTER, NOTHING = ir.FloatType(), ir.PointerType(), ir.VoidType()
FLOATS, WORDS, HALVES = (ir.VectorType(kind, LANES) for kind in (FLOAT, WORD, HALF))
_FETCH = "llvm.prefetch.p0"
_WHOLE_VECTORS = 'nounwind "min-legal-vector-width"="512" "prefer-vector-width"="512"'
_C_TYPES = {POINTER: ctypes.c_void_p, LONG: ctypes.c_int64, FLOAT: ctypes.c_float}

Function = Callable[..., None]  # takes addresses and numbers, and does not hold the interpreter while it runs


class Code:
    """A function that takes `taken` and gives nothing, while it is written; whoever derives from it writes its body."""

    def __init__(self, taken: Sequence[Any]) -> None:
        self._module = ir.Module()
        self._taken = taken
        self._function = ir.Function(self._module, ir.FunctionType(NOTHING, taken), "function")
        self._function.attributes.add("nounwind")
        self.at = ir.IRBuilder(self._function.append_basic_block())
        self.arguments: Sequence[Any] = self._function.args

    def compiled(self) -> Function:
        """What was written, closed and compiled."""
        self.at.ret_void()
        text = str(self._module).replace("nounwind\n", f"{_WHOLE_VECTORS}\n", 1)
        return _in_memory(text, [_C_TYPES[kind] for kind in self._taken])

    def declared(self, name: str, gives: Any, taken: Sequence[Any]) -> Any:
        """An intrinsic of LLVM."""
        return ir.Function(self._module, ir.FunctionType(gives, taken), name)

    @contextmanager
    def each(self, count: Any) -> Iterator[Any]:
        """What is written within runs for 0, 1, ... count - 1; at least once."""
        place = self.variable(LONG)
        self.at.store(LONG(0), place)
        body, behind = (self._function.append_basic_block() for _ in range(2))
        self.at.branch(body)
        self.at.position_at_end(body)
        number = self.at.load(place, typ=LONG)
        yield number
        following = self.plus(number, 1)
        self.at.store(following, place)
        self.at.cbranch(self.at.icmp_unsigned("<", following, count), body, behind)
        self.at.position_at_end(behind)

    def variable(self, kind: Any = FLOATS) -> Any:
        with self.at.goto_entry_block():
            return self.at.alloca(kind)

    def clear(self, rows: Sequence[Sequence[Any]]) -> None:
        """Set vectors of floats to zero."""
        for place in (place for row in rows for place in row):
            self.at.store(ir.Constant(FLOATS, [0.0] * LANES), place)

    def value(self, place: Any, kind: Any = FLOATS) -> Any:
        return self.at.load(place, typ=kind, align=2)

    def fetch(self, place: Any, ahead: int) -> None:
        """Have what lies so many bytes behind a place brought near, while other things are computed."""
        fetch = self._module.globals.get(_FETCH) or self.declared(_FETCH, NOTHING, [POINTER, WORD, WORD, WORD])
        self.at.call(fetch, [self.moved(place, ahead, BYTE), WORD(0), WORD(3), WORD(1)])

    def moved(self, place: Any, count: Any, kind: Any) -> Any:
        """A place `count` numbers of a kind further on."""
        return self.at.gep(place, [LONG(count) if isinstance(count, int) else count], source_etype=kind)

    def times(self, number: Any, factor: int) -> Any:
        return self.at.mul(number, LONG(factor))

    def plus(self, number: Any, other: int) -> Any:
        return self.at.add(number, LONG(other))

    def spread(self, number: Any) -> Any:
        """One float in all places of a vector."""
        empty = ir.Constant(FLOATS, ir.Undefined)
        return self.at.shuffle_vector(self.at.insert_element(empty, number, WORD(0)), empty, all_of(0))

    def numbers(self, place: Any, start: Any, count: int = LANES) -> Any:
        """A vector of `count` bfloat16, as floats: those behind a place from the `start`-th on."""
        return self.widened(self.value(self.moved(place, start, HALF), ir.VectorType(HALF, count)), count)

    def widened(self, halves: Any, count: int = LANES) -> Any:
        """A vector of `count` bfloat16 as floats."""
        words = self.at.zext(halves, ir.VectorType(WORD, count))
        return self.at.bitcast(self.at.shl(words, all_of(16, count)), ir.VectorType(FLOAT, count))

    def rounded(self, floats: Any) -> Any:
        """Floats rounded to the nearest bfloat16, to even ones between two; as floats."""
        bits = self.at.bitcast(floats, WORDS)
        odd = self.at.and_(self.at.lshr(bits, all_of(16)), all_of(1))
        up = self.at.add(bits, self.at.add(odd, all_of(0x7FFF)))
        return self.at.bitcast(self.at.and_(up, all_of(-0x10000)), FLOATS)

    def narrowed(self, floats: Any) -> Any:
        """Floats that are bfloat16 as such."""
        return self.at.trunc(self.at.lshr(self.at.bitcast(floats, WORDS), all_of(16)), HALVES)


def _in_memory(text: str, taken: Sequence[Any]) -> Function:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    module = binding.parse_assembly(text)
    passes = binding.create_new_module_pass_manager()
    passes.add_sroa_pass()  # from memory to registers
    passes.run(module, binding.create_pass_builder(machine, binding.create_pipeline_tuning_options()))
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, *taken)(engine.get_function_address("function"))
    function.engine = engine  # type: ignore[attr-defined]  # owns the code, which lives as long as the function
    return function


def all_of(number: int, count: int = LANES) -> Any:
    """A whole number in all places of a vector."""
    return ir.Constant(ir.VectorType(WORD, count), [number] * count)
