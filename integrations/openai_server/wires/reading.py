"""JSON that callers wrote, read as the standard has it. What is read can be written again, and holds whole texts."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # half of a character, which may lack the other


def read_json(text: str) -> Any:
    """What a text says. Raises ValueError, whose words quote nothing of it, for what is no JSON.

    So are halves of characters, and NaN, Infinity and numbers that no float holds, which Python's reader would take.
    """
    try:
        found = json.loads(text, parse_constant=_no_number, parse_float=_number)
        if _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it holds a number that is too large, or none of JSON's") from None
    return found


def _no_number(name: str) -> None:
    raise ValueError(name)


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number
