"""Cost expressions: `max(help, 0.5 * words)`. A tokenizer and a recursive-descent parser, with limits.

sum      product ('+' product)*
product  part ('*' part)*             at most one side of a `*` may name cost models
part     NUMBER | NAME | ('max' | 'min' | 'mean') '(' sum (',' sum)* ')' | '(' sum ')'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias, cast

from ig_guardrail.policy.diagnostics.diagnostic import quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.text.normalisation import folded, seen
from ig_guardrail.types import Expression

LONGEST = 500  # characters
MOST_PARTS = 64
DEEPEST = 16
LARGEST = 1000.0
FUNCTIONS = ("max", "min", "mean")

_OTHER_NAMES = {"avg": "mean", "average": "mean", "any": "max", "or": "max", "all": "min", "and": "min"}
_STRAY = {  # signs of other languages, and what to write
    "%": "write a share of 1: `0.5 * help`",
    "|": "for one or the other, write `max(a, b)`",
    "&": "for one and the other, write `min(a, b)`",
    "<>=": "leave the comparison out: `threshold` says from where on a score counts",
    "{}$": "write the name of a cost model alone",
}
_TIMES = "\u00d7\u00b7\u22c5"

Function: TypeAlias = Literal["max", "min", "mean"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)|(?P<sign>[-+*(),/]))"
)


@dataclass(frozen=True, slots=True)
class Token:
    """A number, a name, a sign, or the end; `offset` is its first character in the expression."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed expression, and each name in it with its offset."""

    expression: Expression
    names: tuple[tuple[str, int], ...]


class NotAnExpression(Exception):
    """Where an expression goes wrong, why, and what to write."""

    def __init__(self, offset: int, length: int, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.offset, self.length, self.problem, self.advice = offset, max(1, length), problem, advice


def parse(text: str) -> Formula:
    """The formula a text stands for. Raises NotAnExpression."""
    if len(text) > LONGEST:
        raise NotAnExpression(LONGEST, 1, f"an expression has at most {LONGEST} characters", "use fewer cost models")
    return _parsed(text, Parser(tokens(text), MOST_PARTS, DEEPEST))


def reread(text: str) -> Expression:
    """The expression that `written` wrote: where it stands in a sum or product, it may have brackets more than its
    author wrote. Raises NotAnExpression.
    """
    return _parsed(text, Parser(tokens(text), 2 * MOST_PARTS, 2 * DEEPEST)).expression


def _parsed(text: str, parser: Parser) -> Formula:
    expression = parser.sum(1)
    parser.expect_end()
    if not expression.models():
        raise NotAnExpression(0, len(text), "names no cost model", "name a cost model, such as `help`")
    return Formula(expression, tuple(parser.names))


def tokens(text: str) -> list[Token]:
    """The tokens of a text, an end token last. Raises NotAnExpression at a character that belongs to none."""
    found: list[Token] = []
    index, end = 0, len(text.rstrip())
    while index < end:
        match = _TOKEN.match(text, index)
        if match is None:
            stray = index + len(text[index:]) - len(text[index:].lstrip())
            advice = next((words for signs, words in _STRAY.items() if text[stray] in signs), _plain(text[stray]))
            raise NotAnExpression(stray, 1, f"{quoted(text[stray])} is not part of an expression", advice)
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind], match.start(kind)))
        index = match.end()
    return [*found, Token("end", "", end)]


def _plain(sign: str) -> str:
    """What to write for a sign that is part of no expression."""
    alike = "*" if sign in _TIMES else folded(seen(sign))
    return f"write the plain `{alike}`" if alike and alike.isascii() and not sign.isascii() else "delete it"


def written(expression: Expression) -> str:
    """The one way the normal form writes an expression; `reread` gives the same expression back."""
    match expression.op:
        case "model":
            return expression.model
        case "number":
            return f"{Decimal(repr(expression.number)):f}"  # 0.00001 and not 1e-05, which is no number here
        case "add" | "multiply":
            sign = " + " if expression.op == "add" else " * "
            first, *rest = expression.args
            left = f"({written(first)})" if expression.op == "multiply" and first.op == "add" else written(first)
            return sign.join(
                [left, *(f"({written(arg)})" if arg.op in ("add", "multiply") else written(arg) for arg in rest)]
            )
        case _:
            return f"{expression.op}({', '.join(written(arg) for arg in expression.args)})"


class Parser:
    """Recursive descent over tokens; counts parts and depth, of which there are `most` and `deepest` at most."""

    def __init__(self, stream: list[Token], most: int, deepest: int) -> None:
        self.stream, self.most, self.deepest = stream, most, deepest
        self.index = 0
        self.parts = 0
        self.names: list[tuple[str, int]] = []

    def sum(self, depth: int) -> Expression:
        left = self.product(depth)
        while self.next_is("+"):
            left = Expression("add", (left, self.product(depth)))
        return left

    def product(self, depth: int) -> Expression:
        left = self.part(depth)
        while self.next_is("*"):
            sign = self.stream[self.index - 1]
            right = self.part(depth)
            if left.models() and right.models():
                advice = "multiply a cost model by a number, or take `min(a, b)`"
                raise NotAnExpression(sign.offset, 1, "`*` needs a number on one side", advice)
            left = Expression("multiply", (left, right))
        return left

    def part(self, depth: int) -> Expression:
        token = self.stream[self.index]
        self.parts += 1
        if self.parts > self.most or depth > self.deepest:
            limit = f"{self.most} parts" if self.parts > self.most else f"{self.deepest} levels of brackets"
            raise NotAnExpression(
                token.offset, len(token.text), f"an expression has at most {limit}", "make it simpler"
            )
        self.index += token.kind != "end"
        if token.kind == "number":
            return self.number(token)
        if token.kind == "name":
            return self.named(token, depth)
        if token.text == "(":
            inside = self.sum(depth + 1)
            self.close(token)
            return inside
        raise NotAnExpression(token.offset, len(token.text), *_misplaced(token))

    def number(self, token: Token) -> Expression:
        value = float(token.text)
        if value > LARGEST:
            raise NotAnExpression(token.offset, len(token.text), f"numbers go up to {LARGEST:g}", "scores lie in 0..1")
        return Expression("number", number=value)

    def named(self, token: Token, depth: int) -> Expression:
        if token.text in FUNCTIONS:
            return self.call(token, depth)
        if self.stream[self.index].text == "(":
            close = _OTHER_NAMES.get(token.text.lower()) or suggest(token.text, FUNCTIONS) or "max"
            raise NotAnExpression(
                token.offset,
                len(token.text),
                f"there is no function {quoted(token.text)}",
                f"did you mean `{close}(...)`?",
            )
        self.names.append((token.text, token.offset))
        return Expression("model", model=token.text)

    def call(self, token: Token, depth: int) -> Expression:
        if not self.next_is("("):
            advice = f"write `{token.text}(a, b)`"
            raise NotAnExpression(token.offset, len(token.text), f"`{token.text}` needs `(` after it", advice)
        opened = self.stream[self.index - 1]
        args = [self.sum(depth + 1)]
        while self.next_is(","):
            args.append(self.sum(depth + 1))
        self.close(opened)
        return Expression(cast(Function, token.text), tuple(args))

    def next_is(self, sign: str) -> bool:
        """Step over a sign if it comes next."""
        found = self.stream[self.index].text == sign
        self.index += found
        return found

    def close(self, opened: Token) -> None:
        token = self.stream[self.index]
        if token.kind == "end":
            raise NotAnExpression(opened.offset, 1, "this `(` is never closed", "add `)`")
        if not self.next_is(")"):
            raise NotAnExpression(token.offset, len(token.text), *_misplaced(token))

    def expect_end(self) -> None:
        token = self.stream[self.index]
        if token.kind != "end":
            raise NotAnExpression(token.offset, len(token.text), *_misplaced(token))


def _misplaced(token: Token) -> tuple[str, str]:
    if token.kind == "end":
        return "a part is missing here", "add a cost model or a number"
    if token.text in "-/":
        return f"there is no `{token.text}`", "costs only add up; to scale one, write `0.5 * help`"
    if token.kind == "sign":
        return f"{quoted(token.text)} cannot stand here", "name a cost model or a number here, or delete it"
    return f"{quoted(token.text)} cannot follow what stands before it", "join parts by `+`, or list them in `max(a, b)`"
