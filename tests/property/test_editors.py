"""Whatever is typed, wherever the cursor stands: nothing fails, and every place lies in the document."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.workbench.editor.completion import complete
from ig_guardrail.workbench.editor.document import Document
from ig_guardrail.workbench.editor.findings import find, fixes
from ig_guardrail.workbench.editor.hover import hover
from ig_guardrail.workbench.editor.names import definitions, references
from ig_guardrail.workbench.editor.outline import CharacterSpan
from tests.unit.workbench.editor.texts import CASES, POLICY

TYPED = st.text(st.sampled_from("{}[]:,-#'\"|>&*!%@()\n\t \r\u2028\x85\ufeff\U0001f600é\x00ax0.?`"), max_size=12)
WORDS = st.sampled_from(["budgets:", "- id: ", "kind: latent", "cost: max(", "policy: ", "waivers:\n", "hazards: ["])


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A file with a few of its characters typed over, or any text."""
    text = draw(st.sampled_from([POLICY, CASES, "waivers:\n  - {code: P103, path: a}\n", ""]))
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(text)))
        end = draw(st.integers(begin, min(len(text), begin + 40)))
        text = text[:begin] + draw(TYPED | WORDS) + text[end:]
    return text


@given(
    edited() | st.text(max_size=200),
    st.sampled_from(["bank.yaml", "bank_test.yaml", "waivers.yaml"]),
    st.sampled_from(["utf-8", "utf-16", "utf-32"]),
    st.data(),
)
def test_every_text_is_served(text: str, path: str, encoding: str, data: st.DataObject) -> None:
    document = Document(path, text, encoding)  # type: ignore[arg-type]

    def texts(asked: Path) -> str | None:
        return text if asked.name == "bank.yaml" else None

    def inside(span: CharacterSpan) -> bool:
        line, column = document.line_column(span.start)
        return 0 <= span.start <= span.end <= len(text) and line >= 0 and document.offset(line, column) <= span.start

    offset = data.draw(st.integers(0, len(text)))
    faults = find(document, texts)
    assert all(inside(document.span(one.line, one.column, one.length)) for one in faults)
    for one in complete(document, offset, texts):
        assert inside(one.replaces)
        assert one.replaces.holds(offset)
    said = hover(document, offset, faults, texts)
    assert said is None or inside(said[0])
    for home, span in [*definitions(document, offset, texts), *references(document, offset, texts)]:
        assert 0 <= span.start <= span.end <= len(home.text)
    for fix in fixes(document, faults[0], texts) if faults else ():
        assert fix.edit.path != path or inside(fix.edit.span)


@given(
    st.text(st.sampled_from("a😀é\n\r\t\u2028"), max_size=30), st.sampled_from(["utf-8", "utf-16", "utf-32"]), st.data()
)
def test_a_place_is_the_same_there_and_back(text: str, encoding: str, data: st.DataObject) -> None:
    document = Document("bank.yaml", text, encoding)  # type: ignore[arg-type]
    offset = data.draw(st.integers(0, len(text)))
    line, column = document.line_column(offset)
    ends_line = text[offset - 1 : offset + 1] == "\r\n"  # between the two no editor puts a cursor
    assert document.offset(line, column) == offset - ends_line
    rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert line < len(rows)
