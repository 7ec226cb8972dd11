"""What the YAML parser stumbled over, said for people who do not know the parser."""

from __future__ import annotations

import yaml

from ig_guardrail.policy.faults import Fault, Mark, Spot, clipped

_HELP = {
    "mapping values are not allowed": "put text that contains `: ` in quotes, or check the indentation of this line",
    "cannot start any token": "indent with spaces, and put text that begins with a special character in quotes",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "but found '<scalar>'": "check the quotes on this line and above it",
    "expected the node content": "close the bracket that is open above, or delete what stands here",
    "expected <block end>": "line this line up with the lines that it belongs to",
    "expected ',' or": "close the bracket that is open, or put a comma between the items",
    "unexpected end of stream": "close the quote or bracket that is still open",
    "unknown escape character": "double a backslash inside double quotes, or use single quotes",
    "undefined tag handle": "delete the tag; a policy needs none",
}


def syntax_fault(error: Exception, last: Mark) -> Fault:
    """A fault for an error of the YAML parser; at `last`, the end of what was read, if the error names no place."""
    mark, problem, began = last, "a value cannot be read", ""
    if isinstance(error, yaml.MarkedYAMLError):
        problem = error.problem or problem
        if error.problem_mark is not None:
            mark = Mark(error.problem_mark.line + 1, error.problem_mark.column + 1)
        if error.context and error.context_mark is not None and error.context_mark.line + 1 != mark.line:
            began = f" ({error.context}, which began on line {error.context_mark.line + 1})"
    advice = next((text for sign, text in _HELP.items() if sign in problem), "check quotes, brackets and indentation")
    return Spot((), mark).fault("P004", "the file is not YAML", label=clipped_problem(problem) + began, help=advice)


def clipped_problem(problem: str) -> str:
    """The parser's words, without what a terminal could trip over."""
    return "".join(clipped(word) + " " for word in problem.split()).rstrip()
