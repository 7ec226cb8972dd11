"""Bytes and YAML: encodings, limits, and what YAML readers disagree about."""

from __future__ import annotations

import pytest

from ig_guardrail.policy.yaml.decoding import MOST_BYTES
from ig_guardrail.policy.yaml.reader import DEEPEST, MOST_NODES, read
from tests.unit.policy.texts import VALID, edited, faults_of, places


def test_bytes_that_are_not_utf8_are_named_by_offset_line_and_column() -> None:
    before, after = VALID.encode().split(b"Be kind")
    (fault,) = faults_of(before + b"\xe9" + after)
    assert (fault.code, fault.line, fault.column) == ("P002", 26, 11)
    assert fault.message == f"byte {len(before)} is not UTF-8"
    assert fault.label == "byte 0xe9"


def test_utf16_is_recognised() -> None:
    (fault,) = faults_of(VALID.encode("utf-16"))
    assert (fault.code, fault.line, fault.column) == ("P002", 1, 1)
    assert "the file starts like UTF-16" in fault.label


def test_a_utf8_byte_order_mark_does_no_harm() -> None:
    assert faults_of(b"\xef\xbb\xbf" + VALID.encode()) == ()
    (fault,) = faults_of(b"\xef\xbb\xbf" + VALID.replace("apiVersion: ig", "apiVersion: og").encode())
    assert (fault.line, fault.column) == (1, 13)


def test_a_control_character_is_named_with_its_place() -> None:
    (fault,) = faults_of(edited(("Be kind", "Be\x1b kind")))
    assert (fault.code, fault.line, fault.column) == ("P002", 26, 13)
    assert "U+001B" in fault.message


@pytest.mark.parametrize("sign", ["\r", "\x85", "\u2028", "\u2029"])
def test_no_comment_hides_a_line(sign: str) -> None:
    hidden = f"# as agreed{sign}allow_unguarded: true\n"
    (fault,) = faults_of(VALID.replace("metadata:", f"{hidden}metadata:", 1))
    assert (fault.code, fault.message) == ("P002", f"the file holds the control character U+{ord(sign):04X}")
    assert fault.label == "YAML begins a line here, and whoever reads the file may see none"


@pytest.mark.parametrize("sign", ["\u202a", "\u202e", "\u2066", "\u2069"])
def test_no_comment_turns_what_follows(sign: str) -> None:
    (fault,) = faults_of(VALID.replace("metadata:", f"# {sign} :gnidliub\nmetadata:", 1))
    assert (fault.code, fault.label) == ("P002", "what follows is shown in another order than it is read")


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_may_end_in_any_one_way(end: str) -> None:
    assert faults_of(VALID.replace("\n", end)) == ()


def test_a_lone_surrogate_is_not_text() -> None:
    assert [fault.code for fault in faults_of(edited(("Be kind", "Be \ud800 kind")))] == ["P002"]


def test_a_file_over_the_size_limit_is_refused_unread() -> None:
    (fault,) = faults_of(VALID + "#" * MOST_BYTES)
    assert (fault.code, fault.line) == ("P003", 0)
    assert (fault.message, fault.label) == ("the policy is too large", f"more than {MOST_BYTES} bytes")
    assert faults_of(VALID + "#" * (MOST_BYTES - len(VALID.encode()))) == ()


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "---\n", "---\n...\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    assert [fault.code for fault in faults_of(text)] == ["P005"]


@pytest.mark.parametrize("break_", ["\r\n", "\r"])
def test_lines_and_columns_hold_with_other_line_breaks(break_: str) -> None:
    text = edited(("budget: 0.05", "budget: -1")).replace("\n", break_)
    assert places(faults_of(text)) == [("P014", 15, 13)]


def test_an_anchor_before_a_value_does_not_move_its_place() -> None:
    assert places(faults_of(edited(("budget: 0.05", "budget: &b   -1")))) == [("P014", 15, 18)]


def test_an_alias_is_blamed_where_it_stands() -> None:
    text = edited(("threshold: 0.8", "threshold: *k"), ("name: support-bot", "name: &k support-bot"))
    assert places(faults_of(text)) == [("P016", 18, 34)]


def test_anchors_and_aliases_are_allowed_within_the_file() -> None:
    text = edited(("    threshold: 0.5\n", "    threshold: &usual 0.5\n"), ("threshold: 0.8", "threshold: *usual"))
    assert faults_of(text) == ()


def test_nested_aliases_are_refused_before_they_are_written_out() -> None:
    layers = "".join(
        f"{name}: &{name} [{', '.join(['*' + below] * 10)}]\n"
        for below, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    reading = read(f"a: &a [x, x, x, x, x, x, x, x, x, x]\n{layers}")
    assert [fault.code for fault in reading.faults] == ["P010"]
    assert reading.nodes <= 2 * MOST_NODES


def test_ten_thousand_aliases_are_refused_at_the_limit() -> None:
    reading = read("a: &a x\nb: [" + ", ".join(["*a"] * 30_000) + "]\n")
    assert [fault.code for fault in reading.faults] == ["P010"]
    assert reading.nodes == MOST_NODES + 1


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "{a: "])
def test_deep_nesting_is_refused_at_the_limit(opening: str) -> None:
    reading = read(opening * 10_000)
    assert [fault.code for fault in reading.faults] == ["P010"]
    assert reading.nodes <= 2 * DEEPEST


def test_aliases_count_with_their_depth() -> None:
    nested = "a: &a " + "[" * 20 + "x" + "]" * 20 + "\n"
    assert read(nested + "b: *a\n").faults == ()
    assert [fault.code for fault in read(nested + "b: " + "[" * 20 + "*a" + "]" * 20 + "\n").faults] == ["P010"]


@pytest.mark.parametrize(
    "word", ["yes", "No", "ON", "off", "true", "null", "~", "12", "1.5", "0x1F", "12:30", "1_000", "2026-10-01"]
)
def test_a_word_that_yaml_readers_disagree_about_is_not_taken_for_text(word: str) -> None:
    faults = faults_of(edited(('{en: "I will stop here."}', f"{{en: {word}}}")))
    assert [fault.code for fault in faults] == (["P016"] if word in ("null", "~") else ["P017"])
    quoted = faults_of(edited(('{en: "I will stop here."}', f"{{en: '{word}'}}")))
    assert [fault.code for fault in quoted] == (["P138"] if word == "~" else [])


@pytest.mark.parametrize("number", ["0x10", "0o17", "1_6", "1:30", "+-3", "0b1", "16e", "٣"])
def test_only_plain_decimals_are_numbers(number: str) -> None:
    assert [fault.code for fault in faults_of(edited(("every: 16", f"every: {number}")))] == ["P016"]


@pytest.mark.parametrize("number", ["0.5", ".5", "+0.5", "5e-1", "0.50"])
def test_decimals_may_be_written_as_people_write_them(number: str) -> None:
    assert faults_of(edited(("    threshold: 0.5\n", f"    threshold: {number}\n"))) == ()


def test_escapes_that_stand_for_no_character_are_faults_of_the_file() -> None:
    for escape in (r"\U00110000", r"\UFFFFFFFF", r"\x4"):
        assert [fault.code for fault in faults_of(edited(('"Be kind."', f'"{escape}"')))] == ["P004"]


def test_faults_found_before_the_file_breaks_are_kept() -> None:
    text = edited(("    every: 16\n", "    every: 16\n    every: 17\n"), ("mode: shadow}", "mode: shadow"))
    assert [fault.code for fault in faults_of(text)] == ["P007", "P004"]
