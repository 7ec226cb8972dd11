"""JSON Schemas as a decoder can follow them: merged, closed, and bounded by the room that an answer has.

`reading` looks a schema over, `merging` joins what applies to one place, `writing` says it in the few words that the
grammar knows. What those words cannot say is left to a check of whole values, which the written schema names.
"""

from ig_guardrail.schemas.bounds import reached_bounds
from ig_guardrail.schemas.checking import fault_in
from ig_guardrail.schemas.reading import SchemaDocument, closed, faultless
from ig_guardrail.schemas.shapes import KINDS
from ig_guardrail.schemas.writing import CHECKED, LAYOUT, WITHIN, checkable, followable, sound

__all__ = [
    "CHECKED",
    "KINDS",
    "LAYOUT",
    "WITHIN",
    "SchemaDocument",
    "checkable",
    "closed",
    "fault_in",
    "faultless",
    "followable",
    "reached_bounds",
    "sound",
]
