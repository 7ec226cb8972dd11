"""Rules for tool calls: which tools may be called, and with which arguments.

A level: 1.0 once the answer holds a call that breaks a rule, else 0.0. The name of a call is judged as soon as it is
written, its arguments when it is whole; nobody is shown a part of a call, so nothing is late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ig_guardrail.calls import OPEN, Call
from ig_guardrail.costs.artifact import options_sha256
from ig_guardrail.costs.call_reader import CallReader
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Granularity, Piece, Prompt, Reading

_NAME = re.compile(re.escape(OPEN) + r'\s{0,8}\{"name": "([^"\\]{0,256})"')
_LONGEST_HEAD = len(OPEN) + 8 + len('{"name": ""') + 256  # characters that _NAME can match


@dataclass(frozen=True, slots=True)
class ArgumentRule:
    """What an argument must be where a tool of that name has it: every limit that is not None must hold.

    tool      names with `*` for any characters
    matches   an RE2 expression that the whole text must match
    """

    tool: Any
    argument: str
    matches: Any = None
    least: float | None = None
    most: float | None = None
    one_of: tuple[str, ...] | None = None

    def breaks(self, call: Call) -> bool:
        """Whether a call has the argument, and it is not what it must be."""
        if self.argument not in call.arguments or self.tool.fullmatch(call.name) is None:
            return False
        value = call.arguments[self.argument]
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        return (
            (self.matches is not None and not (isinstance(value, str) and self.matches.fullmatch(value)))
            or (self.least is not None and not (number is not None and number >= self.least))
            or (self.most is not None and not (number is not None and number <= self.most))
            or (self.one_of is not None and not (isinstance(value, str) and value in self.one_of))
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """What was read of an answer: its calls, its last characters, in which a name may stand, and whether it broke."""

    calls: CallReader = field(default_factory=CallReader)
    recent: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ToolRules:
    """See above. allow None: every tool that is not denied."""

    name: str
    hazards: tuple[str, ...]
    sha256: str
    allow: tuple[Any, ...] | None
    deny: tuple[Any, ...]
    arguments: tuple[ArgumentRule, ...]
    granularity: Granularity = "block"
    reading: Reading = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> Judged:
        return Judged()

    def advance(self, steps: Sequence[tuple[Judged, Piece]]) -> list[tuple[Judged, tuple[float, ...]]]:
        states = [self._read(known, piece) for known, piece in steps]
        return [(state, (float(state.broken),) * len(self.hazards)) for state in states]

    def broken(self, text: str) -> bool:
        """Whether an answer holds a call that may not be made, or the beginning of one."""
        return self._read(Judged(), Piece(text, ended=True)).broken

    def _read(self, known: Judged, piece: Piece) -> Judged:
        """The state after a piece; what it says of a whole answer does not depend on how that was cut."""
        calls, finished = known.calls.read(piece.text)
        calls = calls.ended() if piece.ended else calls
        recent = known.recent + piece.text
        begun = [name[1] for name in _NAME.finditer(recent)]
        broken = (
            known.broken
            or any(self._breaks(call) for call in finished)
            or calls.unread  # a call was closed that cannot be read, so it cannot be judged
            or not all(map(self.may_call, begun))
        )
        return Judged(calls, recent[-_LONGEST_HEAD + 1 :], broken)

    def _breaks(self, call: Call) -> bool:
        return not self.may_call(call.name) or any(rule.breaks(call) for rule in self.arguments)

    def may_call(self, tool: str) -> bool:
        """Whether a tool may be called at all."""
        allowed = self.allow is None or any(pattern.fullmatch(tool) for pattern in self.allow)
        return allowed and not any(pattern.fullmatch(tool) for pattern in self.deny)


def tool_rules(name: str, hazards: tuple[str, ...], options: Mapping[str, Any]) -> ToolRules:
    """The rules of a policy's `tools` section. Raises ModelError for an expression that does not compile."""
    allow, deny = options.get("allow"), options.get("deny") or ()
    rules = options.get("arguments") or ()
    return ToolRules(
        name=name,
        hazards=hazards,
        sha256=options_sha256("tools", hazards=hazards, allow=allow, deny=deny, arguments=rules),
        allow=None if allow is None else tuple(map(name_pattern, allow)),
        deny=tuple(map(name_pattern, deny)),
        arguments=tuple(_argument_rule(rule, name) for rule in rules),
    )


def _argument_rule(rule: Mapping[str, Any], name: str) -> ArgumentRule:
    import re2

    pattern, one_of = rule.get("matches"), rule.get("one_of")
    try:
        matches = None if pattern is None else re2.compile(pattern)
    except re2.error as error:
        raise ModelError(f"the pattern {pattern!r} does not compile", where=f"{name}.arguments") from error
    return ArgumentRule(
        tool=name_pattern(rule.get("tool") or "*"),
        argument=rule["argument"],
        matches=matches,
        least=rule.get("least"),
        most=rule.get("most"),
        one_of=None if one_of is None else tuple(one_of),
    )


def name_pattern(pattern: str) -> Any:
    """A pattern of tool names, in which `*` stands for any characters. Linear-time, whatever the name."""
    import re2

    return re2.compile("(?s)" + ".*".join(re2.escape(part) for part in pattern.split("*")))
