"""What a policy compiles to: the values that the rest of the package reads."""

from __future__ import annotations

import dataclasses

import pytest

from ig_guardrail.policy import compile_text, load_policy, packaged_names
from ig_guardrail.policy.compiler import policy_in
from ig_guardrail.policy.language.budgets import BUDGET
from ig_guardrail.policy.language.search import BASELINES, PLAIN, SEARCH, SEARCHING
from ig_guardrail.search.registry import METHODS
from ig_guardrail.types import Budget, CostModelSpec, Expression, SearchSettings
from tests.unit.policy.texts import VALID, compiled, edited, faults_of


def spec(name: str) -> CostModelSpec:
    return next(spec for spec in compiled(VALID).cost_models if spec.name == name)


def test_cost_models_carry_the_options_of_their_kind() -> None:
    assert [spec.name for spec in compiled(VALID).cost_models] == ["help", "slurs", "tone", "words"]
    assert spec("help") == CostModelSpec(
        "help", "latent", ("ncr", "vcr", "iwp"), {"head": "harmful-help"}, 2.0, "closed"
    )
    assert spec("words").options == {"model": "words"}
    assert spec("slurs").options == {"patterns": (r"(?i)\bfoo\w{0,10}", "ba.r"), "longest_match": 32}
    assert spec("tone").timeout_s == 0.5


@pytest.mark.parametrize("name", packaged_names())
def test_a_normal_form_is_enough_to_have_the_policy_again(name: str) -> None:
    policy = load_policy(name)
    assert dataclasses.replace(policy_in(policy.normal_form, ""), cost_models=policy.cost_models) == policy


def test_every_method_that_serves_users_can_be_named_but_the_one_that_is_no_guard() -> None:
    assert {*SEARCHING, *PLAIN} == {name for name, method in METHODS.items() if not method.baseline} - {"none"}
    assert {*BASELINES} == {name for name, method in METHODS.items() if method.baseline}
    for name in (*SEARCHING, *PLAIN):
        steps = ("[search, end]", "[end]" if name in PLAIN else "[search, end]")
        prompt = ("on_exceed: search", "on_exceed: refuse")
        text = edited(steps, prompt, ("search:\n", f"search:\n  strategy: {name}\n"))
        assert compiled(text).search.strategy == name


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_has_no_place_in_a_policy(name: str) -> None:
    text = edited(("search:\n", f"search:\n  strategy: {name}\n"))
    policy, (fault,) = compile_text(text, "mine.yaml")
    assert policy is None
    assert (fault.code, fault.line, fault.column) == ("P042", 21, 13)
    assert f"'{name}'" in fault.message.replace("`", "'").replace('"', "'")
    assert f"run --strategy {name}" in fault.help
    assert "inference_guard" in fault.help


def test_a_moderations_endpoint_carries_what_stands_for_each_of_its_hazards() -> None:
    hosted = (
        "kind: openai, model: team/moderator, hazards: [S10, ncr, x.spam], categories: {x.spam: [spam], ncr: [crime]}"
    )
    (words,) = (
        one
        for one in compiled(edited(("kind: lexical, model: words, hazards: [hte, S2]", hosted))).cost_models
        if one.kind == "openai"
    )
    assert words.options == {
        "model": "team/moderator",
        "base_url": "https://api.openai.com/v1",
        "api_key_env": None,
        "categories": {
            "hte": ["hate", "hate/threatening", "harassment", "harassment/threatening"],
            "ncr": ["crime"],
            "x.spam": ["spam"],
        },
    }


@pytest.mark.parametrize(
    ("model", "found"),
    [("./mine", "/somewhere/mine"), ("../mine", "/mine"), ("/a/mine", "/a/mine"), ("org/mine", "org/mine")],
)
def test_a_classifier_is_a_folder_beside_the_policy_or_a_hub_name(model: str, found: str) -> None:
    own = f"kind: classifier, model: {model}, labels: {{hte: ['a, b'], ncr: [c, d]}}, hazards: [hte, ncr]"
    policy, _ = compile_text(edited(("kind: lexical, model: words, hazards: [hte, S2]", own)), "/somewhere/p.yaml")
    assert policy is not None
    (spec,) = (one for one in policy.cost_models if one.kind == "classifier")
    assert spec.options == {
        "model": found, "labels": {"hte": ["a, b"], "ncr": ["c", "d"]}, "scores": None, "with_prompt": False,
    }  # fmt: skip


def test_a_safety_model_and_its_format_may_lie_beside_the_policy() -> None:
    own = "kind: guard, model: ../mine, format: ./own.yaml, hazards: [hte, ncr], categories: {hte: ['Self & Harm']}"
    policy, _ = compile_text(edited(("kind: lexical, model: words, hazards: [hte, S2]", own)), "/somewhere/p.yaml")
    assert policy is not None
    (spec,) = (one for one in policy.cost_models if one.kind == "guard")
    assert spec.options == {
        "model": "/mine", "format": "/somewhere/own.yaml", "categories": {"hte": ["Self & Harm"]}, "base_url": None,
        "api_key_env": None, "with_prompt": True,
    }  # fmt: skip


def test_a_classifier_s_revision_is_part_of_the_policy_s_hash_where_there_is_one() -> None:
    own = "kind: classifier, model: org/mine, labels: {hte: [a], ncr: [b]}, hazards: [hte, ncr]"
    plain, one, other = (
        compiled(edited(("kind: lexical, model: words, hazards: [hte, S2]", f"{own}{more}")))
        for more in ("", ", revision: v1.0", ", revision: refs/pr/7")
    )
    assert len({policy.sha256 for policy in (plain, one, other)}) == 3
    assert "revision" not in plain.normal_form
    (spec,) = (entry for entry in other.cost_models if entry.kind == "classifier")
    assert spec.options["revision"] == "refs/pr/7"


@pytest.mark.parametrize("revision", ["../main", "a//b", "'-x'", "'a b'", "''", "a..b"])
def test_a_revision_is_a_name(revision: str) -> None:
    own = (
        f"kind: classifier, model: org/mine, labels: {{hte: [a], ncr: [b]}}, hazards: [hte, ncr], revision: {revision}"
    )
    policy, faults = compile_text(edited(("kind: lexical, model: words, hazards: [hte, S2]", own)), "p.yaml")
    assert policy is None
    assert any("branch, tag or commit" in str(fault) for fault in faults)


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost.example.org/v1",
        "http://127.0.0.1.example.org/v1",
        "http://127.0.0.1@example.org/v1",
        "http://10.0.0.1/v1",
        "https://user:word@example.org/v1",
        "https://example.org/v1?key=word",
        "file:///etc/passwd",
    ],
)
def test_an_endpoint_is_at_https_or_on_this_machine_and_its_address_holds_no_secret(address: str) -> None:
    hosted = f"kind: openai, model: m, base_url: '{address}', hazards: [hte, ncr]"
    (fault,) = faults_of(edited(("kind: lexical, model: words, hazards: [hte, S2]", hosted)))
    assert fault.code == "P020"


def test_budgets_carry_their_expression_and_hazards() -> None:
    help_, words = Expression("model", model="help"), Expression("model", model="words")
    first, second = compiled(VALID).budgets
    assert first == Budget("harmful-help", ("iwp", "ncr", "vcr"), Expression("max", (help_, words)), 0.5, budget=0.05)
    assert second.hazards == ("hte", "x.insult")
    assert (second.weight, second.mode) == (2.0, "shadow")
    assert second.cost.op == "mean"
    assert second.cost.args[1] == Expression(
        "multiply", (Expression("number", number=0.5), Expression("model", model="slurs"))
    )


def test_a_hazard_covers_its_parts() -> None:
    text = edited(
        ("hazards: [ncr, vcr, iwp]", "hazards: [spc.hlt, spc.fin, prv]"),
        ("hazards: [iwp, vcr, ncr]\n", "hazards: [spc]\n"),
    )
    text = text.replace('"max(help, words)"', "help")
    assert compiled(text).budgets[0].hazards == ("spc", "spc.fin", "spc.hlt")


def test_llama_guard_codes_become_ids() -> None:
    text = edited(("hazards: [ncr, vcr, iwp]", "hazards: [S1, S2, S9, S13, S14]"))
    assert next(spec for spec in compiled(text).cost_models if spec.name == "help").hazards == (
        "vcr", "ncr", "iwp", "spc.ele", "x.code",
    )  # fmt: skip


def test_the_preset_is_the_papers_and_written_keys_win() -> None:
    search = VALID[VALID.index("search:\n") : VALID.index("messages:")]
    paper = compiled(VALID.replace(search, "search: {preset: paper}\n")).search
    assert paper == SearchSettings(mode="always", candidates=128, beams=32, block=32, retries=2, accept=1.0)
    own = compiled(VALID.replace(search, "search: {preset: paper, candidates: 12, retries: 5}\n")).search
    assert own == SearchSettings(mode="always", candidates=12, beams=3, block=32, retries=5, accept=1.0)


def test_end_alone_means_cut_and_cut_means_end_alone() -> None:
    quiet = ("on_exceed: search}", "on_exceed: observe}")
    by_output = compiled(edited(quiet, ("[search, end]", "[end]")))
    by_strategy = compiled(
        edited(quiet, ("output: {on_exceed: [search, end]}\nsearch:\n", "search:\n  strategy: cut\n"))
    )
    assert by_output.search.strategy == "cut"
    assert by_output == by_strategy


def test_accept_never_exceeds_trigger_by_default() -> None:
    text = edited(("  trigger: 0.9\n  accept: 0.6\n", "  trigger: 0.5\n"))
    assert (compiled(text).search.trigger, compiled(text).search.accept) == (0.5, 0.5)


def test_texts_lose_outer_white_space_only() -> None:
    text = edited(('"Be kind."', "|\n\n    Be kind.\n\n    And true.\n\n"))
    assert compiled(text).search.steer == "Be kind.\n\nAnd true."


@pytest.mark.parametrize(("section", "value"), [(BUDGET, Budget), (SEARCH, SearchSettings)])
def test_the_languages_defaults_are_the_types_defaults(section: object, value: type) -> None:
    typed = {one.name: one.default for one in dataclasses.fields(value) if one.default is not dataclasses.MISSING}
    written = {name: default for name, default in section.defaults().items() if default is not None}  # type: ignore[attr-defined]
    assert written == {name: typed[name] for name in written}
