"""Policies and receipts in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.costs.catalog import declared_by
from ig_guardrail.costs.classifier import ClassifierCost
from ig_guardrail.costs.encoder.cost import EncoderCost
from ig_guardrail.costs.heads.latent import LatentHead
from ig_guardrail.costs.heads.lexical import LexicalHead
from ig_guardrail.costs.pattern import PatternCost
from ig_guardrail.errors import RequestError
from ig_guardrail.policy import load_policy, packaged_names
from ig_guardrail.workbench.meaning.explaining import as_text, explain_policy
from ig_guardrail.workbench.meaning.receipt_files import read_receipts
from ig_guardrail.workbench.meaning.receipts import as_text as receipt_text
from ig_guardrail.workbench.meaning.receipts import explain_receipt
from tests.unit.workbench.policies import policy

TRANSCRIPTS = Path(__file__).parents[3] / "golden" / "transcripts"


def said(**budget: Any) -> Any:
    (one,) = explain_policy(policy([budget])).budgets
    return one


@pytest.mark.parametrize(
    ("budget", "most", "overdrawn"),
    [
        ({}, 0.5, "one score above 0.5"),
        ({"budget": 0.5}, 0.5, ""),
        ({"budget": 0.2, "weight": 2}, 1.0, "one score above 0.6"),
        ({"budget": 0.2, "accumulate": "sum"}, None, "one score above 0.7, or lower scores at several charge points"),
        ({"budget": 2, "accumulate": "sum"}, None, "5 charge points at 1"),
        ({"cost": "0.4 * a", "budget": 0.1, "threshold": 0.3}, 0.1, ""),
        ({"cost": "p"}, None, "a match"),
        ({"cost": "p", "budget": 1}, None, "3 charge points with a match"),
        ({"budget": 0.8, "scope": "conversation"}, 0.5, "2 answers at 1"),
        ({"budget": 1.1, "scope": "conversation", "window": 2}, 0.5, ""),
    ],
)
def test_what_overdraws_a_budget(budget: dict[str, Any], most: float | None, overdrawn: str) -> None:
    one = said(**budget)
    assert (one.most, one.overdrawn) == (most, overdrawn)


def test_what_a_shared_budget_asks_of_requests_is_told() -> None:
    told = as_text(explain_policy(policy([{"scope": "tenant", "budget": 0.2}, {"scope": "conversation"}, {}])))
    for whose in ("tenant", "conversation"):
        assert f"requests must name the {whose}; earlier answers that they bring along are charged, too" in told
    assert told.count("requests must name") == 2


def test_what_serves_instead_is_told_as_what_is_chosen_at_start_up() -> None:
    models = {
        "a": {"kind": "openai", "model": "m", "hazards": ["hte"], "otherwise": "b"},
        "b": {"kind": "lexical", "model": "words", "hazards": ["hte"]},
    }
    assert explain_policy(policy([{}], models)).cost_models == (
        "a (openai m; asks https://api.openai.com/v1; shows nothing more where it fails); where it does not fit at "
        "start-up: b (lexical words)",
    )


def test_a_scale_is_told_and_bounds_what_can_be_overdrawn() -> None:
    models = {"a": {"kind": "lexical", "model": "words", "hazards": ["hte"], "scale": {"from": 1, "to": 0.4}}}
    found = explain_policy(policy([{}], models))
    assert found.budgets[0].overdrawn == ""
    assert found.cost_models == ("a (lexical words; its score 1 counts as 0.4)",)


def test_a_hazard_that_overdraws_nothing_alone_is_told() -> None:
    models = {
        "a": {"kind": "lexical", "model": "words", "hazards": ["hte"]},
        "b": {"kind": "lexical", "model": "words", "hazards": ["ncr"]},
    }
    (one,) = explain_policy(policy([{"cost": "max(a, 0.4 * b)"}], models)).budgets
    assert one.overdrawn == "one score above 0.5"
    assert one.alone == {"ncr": 0.0}
    text = as_text(explain_policy(policy([{"cost": "max(a, 0.4 * b)"}], models)))
    assert "never by scores for ncr alone" in text
    assert [line.split()[-2:] for line in text.splitlines() if line.startswith("ncr (")] == [["alone", "enforce"]]


def test_a_policy_in_words() -> None:
    tools = {
        "deny": ["delete_*"],
        "arguments": [{"tool": "refund", "argument": "amount", "least": 1, "most": 100}],
        "limits": [{"id": "payments", "tool": "pay*", "calls": 3}],
    }
    check = {"cost": "b", "threshold": 0.8, "on_exceed": "refuse"}
    text = as_text(explain_policy(policy([{"hazards": ["hte"], "cost": "a"}], tools=tools, prompt=check)))
    for part in (
        "hte (hate)  a     b0",
        "where a turn of user or tool scores above 0.8 by b, the refusal is shown, and nothing is decoded",
        "these tools may not be called: delete_*",
        "`amount` of refund, where it is given, must be a number of at least 1 and of at most 100",
        "at most 3 calls of pay* in a conversation, which requests must name (payments)",
        "ssh (suicide and self-harm)",
        "scored, and limited by no budget\n  ncr (non-violent crimes)",
    ):
        assert part in text


def test_packaged_policies_have_budgets_that_can_be_overdrawn() -> None:
    for name in packaged_names():
        assert all(one.overdrawn for one in explain_policy(load_policy(name)).budgets)


def test_kinds_declare_what_their_cost_models_do() -> None:
    kinds: dict[str, Any] = {
        "latent": LatentHead,
        "lexical": LexicalHead,
        "encoder": EncoderCost,
        "pattern": PatternCost,
        "classifier": ClassifierCost,
    }
    for name, model in kinds.items():
        declared, fields = declared_by(name), model.__dataclass_fields__
        assert declared is not None
        assert (declared.granularity, declared.reading) == (fields["granularity"].default, fields["reading"].default)


def recorded(name: str) -> dict[str, Any]:
    *_, last = (TRANSCRIPTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, Any] = json.loads(last)["receipt"]
    return found


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("refused", ("nothing of an answer was shown", "1 draft would have overdrawn rudeness", "threshold of 0.5")),
        ("ended", ("a safe beginning was shown", "fallback: closing message", "matched: pattern 0 of rude")),
        ("rescued", ("the answer is complete", "1 draft would have overdrawn rudeness")),
        ("failed", ("because: the weights caught fire",)),
        ("refused-at-the-prompt", ("the prompt check was exceeded (rude 1", "so the request was refused")),
        ("unguarded", ("no budget was kept",)),
    ],
)
def test_why_an_answer_ended(name: str, parts: tuple[str, ...]) -> None:
    text = receipt_text(explain_receipt(recorded(name)))
    for part in parts:
        assert part in text


def test_what_an_older_receipt_lacks_is_said() -> None:
    older = {key: value for key, value in recorded("refused").items() if key not in ("unsafe", "fired")}
    text = receipt_text(explain_receipt(older))
    assert "which budget drafts would have overdrawn: not recorded" in text
    assert "which patterns matched: not recorded" in text


@pytest.mark.parametrize(
    "broken", [{"spend": []}, {"blocks": [{}]}, {"policy": None}, {"charges": [{"budget": "rudeness"}]}]
)
def test_what_is_no_receipt_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        explain_receipt({**recorded("refused"), **broken})


def test_a_file_of_other_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    for text in ('{"answer": 42}', '{"answer": ', '{"a": 1}\n[2]'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(RequestError):
            read_receipts(str(file))
