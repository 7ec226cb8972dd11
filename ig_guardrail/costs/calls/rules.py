"""Rules for tool calls: which tools may be called, and with which arguments.

A level: 1.0 once the answer holds a call that breaks a rule, else 0.0. The name of a call is judged as soon as it is
written, its arguments when it is whole; nobody is shown a part of a call, so nothing is late. Words break no rule,
whatever they say of calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.costs.calls.reader import CallReader, reader_of
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.errors import ModelError
from ig_guardrail.text.argument_names import as_taken
from ig_guardrail.types import Granularity, Piece, Prompt, ScoreKind, Tool, ToolCall

RulesState: TypeAlias = tuple[CallReader, bool]  # the answer's calls so far, and whether one of them breaks a rule


@dataclass(frozen=True, slots=True)
class ArgumentRule:
    """What an argument must be where a tool of that name has it: every limit that is not None must hold.

    tool      names with `*` for any characters
    argument  in letters of any case: some servers of tools take a key in each
    matches   an RE2 expression that the whole text must match
    """

    tool: Any
    argument: str
    matches: Any = None
    least: float | None = None
    most: float | None = None
    one_of: tuple[str, ...] | None = None

    def breaks(self, call: ToolCall) -> bool:
        """Whether a call has the argument, and it is not what it must be."""
        return any(map(self._forbids, self.values(call)))

    def values(self, call: ToolCall) -> list[Any]:
        """What a call gives for the argument; nothing where the rule is not about the call."""
        name = self.argument.casefold()
        given = [value for key, value in call.arguments.items() if key.casefold() == name]
        return given if given and self.tool.fullmatch(call.name) is not None else []

    def _forbids(self, value: Any) -> bool:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        return (
            (self.matches is not None and not (isinstance(value, str) and self.matches.fullmatch(value)))
            or (self.least is not None and not (number is not None and number >= self.least))
            or (self.most is not None and not (number is not None and number <= self.most))
            or (self.one_of is not None and not (isinstance(value, str) and value in self.one_of))
        )


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
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> RulesState:
        return reader_of(prompt.notation), False

    def advance(self, steps: Sequence[tuple[RulesState, Piece]]) -> list[tuple[RulesState, tuple[float, ...]]]:
        found = [self._read(state, piece) for state, piece in steps]
        return [(state, (float(state[1] or begun),) * len(self.hazards)) for state, begun in found]

    def _read(self, state: RulesState, piece: Piece) -> tuple[RulesState, bool]:
        """The state after a piece, and whether a call has begun that may not be made."""
        reader = state[0].read(piece)
        broken = state[1] or any(self.broken_by(call, reader.border.notation.named) for call in reader.made)
        return (reader, broken), reader.naming is not None and not self.may_call(reader.naming)

    def rules_against(self, call: ToolCall, tools: Sequence[Tool] = ()) -> tuple[str, ...]:
        """The rules that a call breaks, by where they stand in the policy's section `tools`; () if it may be made.

        tools: those that are known, which may take arguments by other names, too
        """
        named = [] if self.allow is None or _any_names(self.allow, call.name) else ["allow"]
        named += ["deny"] if _any_names(self.deny, call.name) else []
        taken = tuple(as_taken(call, tools)) if self.arguments else ()
        broken = (place for place, rule in enumerate(self.arguments) if any(map(rule.breaks, taken)))
        return (*named, *(f"arguments[{place}]" for place in broken))

    def broken_by(self, call: ToolCall | str, tools: Sequence[Tool] = ()) -> bool:
        """Whether a call may not be made. One that cannot be read, of which there is the source, cannot be judged."""
        return isinstance(call, str) or bool(self.rules_against(call, tools))

    def may_call(self, tool: str) -> bool:
        """Whether a tool may be called at all."""
        return (self.allow is None or _any_names(self.allow, tool)) and not _any_names(self.deny, tool)


def _any_names(patterns: Sequence[Any], tool: str) -> bool:
    return any(pattern.fullmatch(tool) for pattern in patterns)


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
