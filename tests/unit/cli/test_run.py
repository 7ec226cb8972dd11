"""`ig-guardrail run`: the answer on standard output, the receipt beside it, exit codes that tell what happened."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from ig_guardrail import assembly
from ig_guardrail.cli.writers import JsonLinesWriter, Terminal, printable
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import GenerationDefaults
from tests.golden.conversations import CALM, CONVERSATIONS, LATE, RUDE, compiled, scripted_guardrail
from tests.unit.cli.conftest import Command

Says = Callable[[Guardrail], Guardrail]
ASK = ("run", "--prompt", "Why is the sky blue?", "--seed", "7")


def test_the_answer_stands_alone_on_standard_output(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig(*ASK)
    assert (ran.code, ran.out) == (0, CALM + "\n")


def test_the_receipt_tells_outcome_budgets_tokens_and_seed(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    err = ig(*ASK).err
    assert "completed (stop) · policy polite 1.0.0 · strategy inference_guard\n" in err
    assert "rudeness" in err
    assert "spent 0 of 0  highest score 0.00" in err
    assert "17 tokens shown of 17 drawn" in err
    assert "seed 7" in err


@pytest.mark.parametrize(
    ("told", "shown", "note", "code"),
    [
        (RUDE, "I would rather not say that.", "refused (no safe continuation was found)", 3),
        (LATE, "The sky looks blue because the air scatters\n\nI stop here.", "fallbacks: closing message", 4),
    ],
)
def test_a_refused_or_ended_answer_has_an_exit_code_of_its_own(
    ig: Command, says: Says, told: str, shown: str, note: str, code: int
) -> None:
    says(scripted_guardrail({(0, 0): told}))
    ran = ig(*ASK)
    assert (ran.code, ran.out) == (code, shown + "\n")
    assert note in ran.err


def test_json_is_one_object_a_line_deltas_then_one_receipt(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig(*ASK, "--json")
    *deltas, receipt = ran.objects
    assert {line["type"] for line in deltas} == {"delta"}
    assert len(deltas) == 4
    assert "".join(line["text"] for line in deltas) == receipt["text"] == CALM
    assert (receipt["type"], receipt["outcome"], receipt["finish"]) == ("receipt", "completed", "stop")
    assert receipt["guarded"] is True
    assert receipt["sampling"]["seed"] == 7
    assert receipt["spend"] == {
        "rudeness": {"spent": 0.0, "of": 0.0, "mode": "enforce", "threshold": 0.5, "hazards": ["hte"]}
    }
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.slow
def test_past_its_timeout_an_answer_is_cancelled_and_what_was_released_stands(ig: Command, says: Says) -> None:
    gate = threading.Event()
    says(scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", 3): gate})))
    ran = ig(*ASK, "--json", "--timeout", "0.2")
    gate.set()
    assert [line["type"] for line in ran.objects] == ["delta", "receipt"]
    assert (ran.objects[-1]["outcome"], ran.objects[-1]["reason"]) == ("cancelled", "deadline")
    assert ran.code == 5


@pytest.mark.parametrize("writer", [JsonLinesWriter, Terminal])
def test_every_piece_is_flushed_at_once(
    writer: type[JsonLinesWriter | Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pipe(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    flushed: list[str] = []
    monkeypatch.setattr(sys, "stdout", Pipe())
    writer().show("The sky")
    assert "The sky" in flushed[-1]


def test_a_failed_guard_gives_a_receipt_an_error_and_exit_code_2(ig: Command, says: Says) -> None:
    failing = CONVERSATIONS["failed"]
    says(failing.guardrail())
    ran = ig(*ASK, "--json")
    assert ran.objects[-1]["outcome"] == "failed"
    assert ran.objects[-1]["text"] == "The sky looks blue"
    assert ran.err == "error: the weights caught fire\n"
    assert ran.code == 2
    says(failing.guardrail())
    human = ig(*ASK)
    assert human.out == "The sky looks blue\n"
    assert "failed (the weights caught fire)" in human.err
    assert human.code == 2


def test_ctrl_c_stops_decoding_frees_the_engine_and_exits_130(
    ig: Command, says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    rail = says(scripted_guardrail({(0, 0): CALM}))

    def interrupted(writer: Terminal, text: str) -> None:
        assert rail.engine.live_nodes() > 0
        raise KeyboardInterrupt

    monkeypatch.setattr(Terminal, "show", interrupted)
    ran = ig(*ASK)
    assert ran.code == 130
    assert "Traceback" not in ran.err
    assert rail.engine.live_nodes() == 0


def test_options_reach_the_request(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig(*ASK, "--json", "--max-tokens", "9", "--temperature", "0", "--top-p", "0.5", "--stop", "X", "--stop", "Y")
    sampling = ran.objects[-1]["sampling"]
    assert (sampling["max_tokens"], sampling["temperature"], sampling["top_p"]) == (9, 0, 0.5)
    assert sampling["stop"] == ["X", "Y"]
    assert ran.objects[-1]["finish"] == "length"


def test_penalties_and_biases_reach_the_request(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    penalties = ("--repetition-penalty", "1.3", "--frequency-penalty", "-0.5", "--presence-penalty", "0.25")
    ran = ig(
        *ASK, "--json", *penalties, "--top-k", "9", "--min-p", "0.1", "--logit-bias", "3=-100", "--logit-bias", "4=2"
    )
    sampling = ran.objects[-1]["sampling"]
    assert (sampling["repetition_penalty"], sampling["frequency_penalty"], sampling["presence_penalty"]) == (
        1.3,
        -0.5,
        0.25,
    )
    assert (sampling["top_k"], sampling["min_p"], sampling["logit_bias"]) == (9, 0.1, {"3": -100.0, "4": 2.0})
    assert (sampling["temperature"], sampling["top_p"], sampling["from_model"]) == (0.7, 0.95, [])


@pytest.mark.parametrize("words", ["3", "3=much", "x=1", "=1", "3=1=2"])
def test_a_bias_that_is_none_is_refused(ig: Command, says: Says, words: str) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig(*ASK, "--logit-bias", words)
    assert ran.code == 2
    assert "logit_bias: it cannot be read" in ran.err


def test_a_command_leaves_to_the_model_s_makers_what_it_does_not_say(ig: Command, says: Says) -> None:
    rail = says(scripted_guardrail({(0, 0): CALM}))
    rail.engine._info = replace(rail.engine.info, defaults=GenerationDefaults(temperature=0.2, top_k=7))
    sampling = ig(*ASK, "--json", "--temperature", "0.4").objects[-1]["sampling"]
    assert (sampling["temperature"], sampling["top_k"], sampling["from_model"]) == (0.4, 7, ["top_k"])
    assert "its makers set temperature 0.2, top_k 7" in " ".join(ig(*ASK).err.split())


def test_a_revision_of_what_has_none_is_refused(ig: Command) -> None:
    ran = ig(*ASK, "--revision", "main")
    assert ran.code == 2
    assert "revision 'main' of model 'embedded' was asked for" in ran.err


def test_a_context_reaches_the_engine(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[GuardrailSpec] = []

    def open_guardrail(spec: GuardrailSpec, policy: object = None) -> Guardrail:
        asked.append(spec)
        return scripted_guardrail({(0, 0): CALM})

    monkeypatch.setattr(assembly, "open_guardrail", open_guardrail)
    ig(*ASK, "--context", "64", "--model", "some/model", "--revision", "v1", "--exit", "there")
    ig("chat", "--context", "32", "--model", "some/model", "--revision", "v2", "--ledger", "postgresql://u@h/d")
    assert [(spec.model, spec.context, spec.revision) for spec in asked] == [
        ("some/model", 64, "v1"),
        ("some/model", 32, "v2"),
    ]
    assert (asked[0].exit, asked[1].exit, asked[1].ledger) == ("there", None, "postgresql://u@h/d")


def test_a_strategy_and_a_language_may_be_chosen(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): RUDE}))
    ran = ig(*ASK, "--strategy", "cut", "--language", "de", "--json")
    assert ran.objects[-1]["search"]["strategy"] == "cut"
    assert ran.objects[-1]["text"] == "Das möchte ich nicht sagen."
    says(scripted_guardrail({(0, 0): RUDE}))
    assert "unguarded" in ig(*ASK, "--strategy", "none").err


def test_the_prompt_may_come_from_standard_input(ig: Command, says: Says) -> None:
    rail = says(scripted_guardrail({(0, 0): CALM}))
    tokens = [
        ig("run", "--prompt", given, "--seed", "7", "--json", stdin="Grüß Gott".encode()).objects[-1]["prompt_sha256"]
        for given in ("-", "Grüß Gott")
    ]
    assert tokens[0] == tokens[1]
    assert rail.engine.live_nodes() == 0


def test_without_a_seed_each_run_draws_its_own_and_tells_it(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    seeds = {ig("run", "--prompt", "why?", "--json").objects[-1]["sampling"]["seed"] for _ in range(2)}
    assert len(seeds) == 2


def test_an_answer_cannot_steer_the_terminal_it_is_shown_on() -> None:
    class Screen:
        def __init__(self, tty: bool) -> None:
            self.isatty = lambda: tty

    assert printable("a\x1b[2Jb\n\tü", Screen(True)) == "a\N{REPLACEMENT CHARACTER}[2Jb\n\tü"  # type: ignore[arg-type]
    assert printable("a\x1b[2Jb", Screen(False)) == "a\x1b[2Jb"  # type: ignore[arg-type]


THINKING = "<think>\nThe air, I think.\n</think>\n\n" + CALM


def test_thoughts_go_beside_the_answer(ig: Command, says: Says) -> None:
    thinker = Continuations({(0, 0): THINKING}, thoughts=ThoughtFormat("<think>", "</think>"))
    says(assembly.guard(ScriptedEngine(thinker), compiled()))
    ran = ig(*ASK)
    assert (ran.code, ran.out) == (0, CALM + "\n")
    assert ran.err.startswith("The air, I think.\n")
    assert "23 tokens shown of 23 drawn · 6 of a thought" in ran.err
    assert "The air" not in ig(*ASK, "--reasoning", "hide").err
    *lines, receipt = ig(*ASK, "--json").objects
    assert "".join(line["text"] for line in lines if line["type"] == "reasoning") == "The air, I think."
    assert "".join(line["text"] for line in lines if line["type"] == "delta") == CALM
    assert (receipt["reasoning"], receipt["tokens"]["reasoning"]) == ("The air, I think.", 6)
    refused = ig(*ASK, "--reasoning", "off")
    assert (refused.code, "no switch that turns thinking off" in refused.err) == (2, True)
    assert "give one of 'auto', 'show', 'hide', 'off'" in ig(*ASK, "--reasoning", "never").err
